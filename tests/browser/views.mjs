// Every view of the console, filled with data: by keyboard alone, and with nothing that keeps people out, in light and
// dark, on a desk and on a phone.

import { accessible, expect, noComplaints, run, settings, signedIn, until } from "./browser.mjs";

const VIEWS = ["live", "calls", "review", "callbacks", "imports", "dead-letters", "health"];
const TABS = 80;

run(async (browser) => {
  const page = await signedIn(browser, settings.trunkline);
  await until(page, () => document.querySelectorAll(".board li").length > 5);
  await calls(page);
  await oneCall(page);
  await review(page);
  await callbacks(page);
  await imports(page);
  await deadLetters(page);
  await health(page);
  noComplaints(page);

  const call = await page.evaluate(() => fetch("/api/interactions?limit=1").then((answer) => answer.json()));
  const views = [...VIEWS, `calls/${call.interactions[0].id}`];
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1200, 360]) {
      const page = await signedIn(browser, settings.trunkline, { colorScheme, viewport: { width, height: 740 } });
      for (const view of views) await look(page, view, `${view}, ${colorScheme}, ${width} wide`);
      noComplaints(page);
      await page.context().close();
    }
  }
});

async function look(page, view, name) {
  await page.evaluate((view) => (location.hash = `#/${view}`), view);
  await settled(page);
  await accessible(page, name);
  const spare = await page.evaluate(() => innerWidth - document.documentElement.scrollWidth);
  expect(spare >= 0, `${name} is ${-spare} pixels too wide`);
}

async function settled(page) {
  await page.waitForLoadState("networkidle", { timeout: 1_000 }).catch(() => {});
  await until(page, () => !document.querySelector("main .problem"));
}

// Goes to a view as somebody without a mouse does.
async function go(page, name) {
  await page.evaluate(() => document.activeElement.blur());
  await tabTo(page, "a", name);
  await page.keyboard.press("Enter");
  await page.locator("h1", { hasText: name }).waitFor();
}

// Presses Tab until something of that kind and with that text has the focus, and can be seen to have it.
async function tabTo(page, tag, text) {
  for (let pressed = 0; pressed < TABS; pressed += 1) {
    await page.keyboard.press("Tab");
    const there = await page.evaluate(
      ([tag, text]) => {
        const it = document.activeElement;
        const name = it.labels?.[0]?.textContent ?? it.textContent;
        return it.matches(tag) && name.includes(text) && getComputedStyle(it).outlineStyle !== "none";
      },
      [tag, text],
    );
    if (there) return;
  }
  throw new Error(`the keyboard does not get to ${tag} ${text}`);
}

async function calls(page) {
  await go(page, "Calls");
  const rows = page.locator("tbody tr");
  await rows.first().waitFor();
  // The caller's name comes from outside: it is text, whatever it says.
  await tabTo(page, "input", "Name");
  await page.keyboard.type("<img src=x onerror=alert(1)>");
  await page.keyboard.press("Enter");
  await page.locator("tbody strong", { hasText: "<img src=x onerror=alert(1)>" }).first().waitFor();
  await tabTo(page, "a", "Clear");
  await page.keyboard.press("Enter");
  await until(page, () => document.querySelectorAll("tbody tr").length > 20);
  await tabTo(page, "input", "Number");
  await page.keyboard.type("555-019");
  await tabTo(page, "select", "Outcome");
  await page.keyboard.type("Mi");
  await tabTo(page, "button", "Search");
  await page.keyboard.press("Enter");
  await until(page, () => {
    const rows = [...document.querySelectorAll("tbody tr")];
    return rows.length > 0 && rows.every((row) => row.textContent.includes("Missed"));
  });
  await tabTo(page, "input", "Number");
  await page.keyboard.press("Control+a");
  await page.keyboard.type("000000000");
  await page.keyboard.press("Enter");
  await page.getByText("No call fits this search.").waitFor();
}

async function oneCall(page) {
  await page.evaluate((call) => (location.hash = `#/calls/${call}`), settings.recorded_call);
  await page.getByText("What happened").waitFor();
  await page.getByText("It is over").waitFor();
  await tabTo(page, "button", "Listen");
  await page.keyboard.press("Enter");
  await page.locator("audio[src*='ticket=']").waitFor();
}

async function review(page) {
  await go(page, "Review");
  const cards = page.locator(".cards > li");
  await cards.first().waitFor();
  const before = await cards.count();
  await tabTo(page, "button", "Link…");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Control+a");
  await page.keyboard.type("Jane");
  await page.getByRole("button", { name: "Jane Dough" }).waitFor();
  await tabTo(page, "button", "Jane Dough");
  await page.keyboard.press("Enter");
  await page.getByText("Linked with Jane Dough.").waitFor();
  await until(page, (before) => document.querySelectorAll(".cards > li").length === before - 1, before);
  await page.evaluate(() => (location.hash = "#/review?match=ambiguous"));
  await until(page, () =>
    [...document.querySelectorAll(".cards > li")].every((card) => card.textContent.includes("Several")),
  );
}

async function callbacks(page) {
  await go(page, "Call back");
  await page.locator("tbody a[href^='tel:']").first().waitFor();
}

async function imports(page) {
  await go(page, "Imports");
  await tabTo(page, "button", "Import");
  await page.keyboard.press("Enter");
  await page.locator(".cards .badge.finished").waitFor();
}

async function deadLetters(page) {
  await go(page, "Dead letters");
  await tabTo(page, "button", "Show the message");
  await page.keyboard.press("Enter");
  await page.locator("pre").waitFor();
  await tabTo(page, "select", "Show");
  await tabTo(page, "button", "Discard");
  await page.keyboard.press("Enter");
  await page.getByText("Nothing is left over.").waitFor();
  await tabTo(page, "select", "Show");
  await page.keyboard.type("Disc");
  await page.locator(".badge.discarded").waitFor();
}

async function health(page) {
  await go(page, "Health");
  await page.getByText("Answers, and accepts the key.").waitFor();
  await page.locator("section", { hasText: "Requests to CallRail" }).locator("meter").first().waitFor();
}
