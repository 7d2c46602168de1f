// A browser for the tests: started anew for each, with a picture of every page when one fails.

import { createHmac } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const modules = process.env.TEST_BROWSER_MODULES;
const require = createRequire(join(modules, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const PATIENCE = 20_000;

// What the test has started, and where.
export const settings = JSON.parse(process.env.TEST_SETTINGS);

// Runs a test with a browser; ends the process.
export async function run(test) {
  const browser = await chromium.launch({ executablePath: process.env.TEST_BROWSER, args: FLAGS });
  try {
    await test(browser);
  } catch (error) {
    console.error(error);
    await photograph(browser);
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
  process.exit();
}

// A new window. Whatever a page complains of fails the test, except that a server is away, which some tests want.
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && !/Failed to load resource/.test(message.text()))
      page.complaints.push(message.text());
  });
  await page.goto(url);
  return page;
}

// A window with the console, signed in as `trunkline demo` does it.
export async function signedIn(browser, console_, options) {
  const page = await open(browser, `${console_}/console#token=${settings.token}`, options);
  await page.locator("nav a").first().waitFor();
  return page;
}

export function expect(condition, text) {
  if (!condition) throw new Error(text);
}

export function noComplaints(page) {
  expect(page.complaints.length === 0, `the page complains: ${page.complaints.join("; ")}`);
}

// Waits until a condition in the page holds.
export function until(page, condition, argument) {
  return page.waitForFunction(condition, argument, { polling: 20 });
}

// Posts a webhook as CallRail does.
export async function post(server, kind, body) {
  const text = JSON.stringify(body);
  const signature = createHmac("sha1", settings.signing_key).update(text).digest("base64");
  const response = await fetch(`${server}/api/webhooks/callrail/${kind}`, {
    method: "POST",
    headers: { "content-type": "application/json", signature },
    body: text,
  });
  expect(response.ok, `${kind} was answered ${response.status}`);
}

// A call that rings, like the sample but of its own.
export function ring(number, changes = {}) {
  const id = `CAL${String(number).padStart(32, "0")}`;
  return { ...settings.pre_call, resource_id: id, id, ...changes };
}

// What keeps people from using the page, by axe-core: nothing serious, nothing critical.
export async function accessible(page, name) {
  // Around the page's policy, which lets no script in: an evaluation is none of the page's.
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  expect(found.passes.length > 5, "axe-core has looked at nothing");
  const grave = found.violations.filter((one) => one.impact === "serious" || one.impact === "critical");
  const text = grave.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" ")}`).join("\n");
  expect(grave.length === 0, `${name} is not accessible:\n${text}`);
}

// Serves the example's page with these settings on the port that the test has chosen.
export function serveExample(port, its) {
  const folder = join(dirname(fileURLToPath(import.meta.url)), "../../examples/crm-alerts");
  const files = {
    "/": () => ["text/html", readFileSync(join(folder, "index.html"))],
    "/crm-alerts.css": () => ["text/css", readFileSync(join(folder, "crm-alerts.css"))],
    "/crm-alerts.js": () => ["text/javascript", readFileSync(join(folder, "crm-alerts.js"))],
    "/settings.js": () => ["text/javascript", `export const settings = ${JSON.stringify(its)};`],
    "/pusher.min.js": () => ["text/javascript", readFileSync(require.resolve("pusher-js/dist/web/pusher.min.js"))],
  };
  const server = createServer((request, response) => {
    const file = files[request.url];
    if (!file) return response.writeHead(404).end();
    const [type, body] = file();
    response.writeHead(200, { "content-type": type }).end(body);
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
}

export function exampleSettings(trunkline, its = {}) {
  const { host, port, key } = settings.pusher;
  return {
    trunkline,
    token: settings.token,
    user: "7",
    key,
    pusher: { cluster: "", wsHost: host, wsPort: port, forceTLS: false, enabledTransports: ["ws"] },
    ...its,
  };
}

async function photograph(browser) {
  const folder = join(modules, "..", "screenshots");
  mkdirSync(folder, { recursive: true });
  let number = 0;
  for (const page of browser.contexts().flatMap((context) => context.pages())) {
    const path = join(folder, `${settings.name}-${(number += 1)}.png`);
    await page.screenshot({ path, fullPage: true }).then(
      () => console.error(`see ${path} (${page.url().split("#token")[0]})`),
      () => {},
    );
  }
}
