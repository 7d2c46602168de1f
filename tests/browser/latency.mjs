// How long it takes from a webhook's POST until the caller's name stands on the console, and on the CRM's page.

import {
  exampleSettings,
  expect,
  open,
  post,
  ring,
  run,
  serveExample,
  settings,
  signedIn,
  until,
} from "./browser.mjs";

const CALLS = 200;
const BETWEEN = 60;
const LIMIT = 500;

run(async (browser) => {
  const page = await signedIn(browser, settings.trunkline);
  await until(page, () => document.querySelector(".connection").dataset.state === "live");
  await serveExample(settings.page_port, exampleSettings(settings.trunkline));
  const crm = await open(browser, `http://127.0.0.1:${settings.page_port}/`);
  await crm.getByText("connected, listening to 2 channels").waitFor();
  await watch(page, ".board", "data-call");
  await watch(crm, "#pops", "id");
  const screens = [
    ["the console", page],
    ["the CRM's page", crm],
  ];
  // The first ones find everything cold.
  for (let number = 1; number <= 5; number += 1) await post(settings.ingest, "pre-call", ring(9_000 + number));
  for (const [, page] of screens) await until(page, () => Object.keys(window.shownAt).length === 5);

  const posted = {};
  for (let number = 1; number <= CALLS; number += 1) {
    const call = ring(number);
    posted[call.resource_id] = Date.now();
    await post(settings.ingest, "pre-call", call);
    // People do not all call at once: not in step with how often the table is read.
    await new Promise((resolve) => setTimeout(resolve, BETWEEN + Math.random() * BETWEEN));
  }
  for (const [name, page] of screens) {
    await until(page, (calls) => Object.keys(window.shownAt).length === calls + 5, CALLS);
    const shownAt = await page.evaluate(() => window.shownAt);
    const took = Object.entries(posted)
      .map(([call, at]) => shownAt[call] - at)
      .sort((one, other) => one - other);
    const [median, p99] = [took[CALLS / 2], took[Math.ceil(CALLS * 0.99) - 1]];
    console.log(`POST to ${name} over ${CALLS} calls: median ${median} ms, p99 ${p99} ms, most ${took.at(-1)} ms`);
    expect(p99 < LIMIT, `p99 on ${name} is ${p99} ms`);
  }
});

// Has a page note when the caller's name first stands in each entry of a list; an attribute names the call.
function watch(page, list, attribute) {
  return page.evaluate(
    ([list, attribute]) => {
      window.shownAt = {};
      const entries = document.querySelector(list);
      const note = (entry) =>
        entry.textContent.includes("Jane Dough") && (window.shownAt[entry.getAttribute(attribute)] ??= Date.now());
      new MutationObserver(() => [...entries.children].forEach(note)).observe(entries, {
        childList: true,
        subtree: true,
      });
    },
    [list, attribute],
  );
}
