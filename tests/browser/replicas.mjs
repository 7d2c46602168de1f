// Two replicas of the API: each shows every call once, also to whoever was offline for a while.

import { expect, noComplaints, post, ring, run, settings, signedIn, until } from "./browser.mjs";

run(async (browser) => {
  const [near, far] = await Promise.all(settings.replicas.map((replica) => watched(browser, replica)));
  await rings(1, 20);
  await shows(near, 20);
  await shows(far, 20);

  await far.context().setOffline(true);
  await until(far, () => document.querySelector(".connection").dataset.state === "offline");
  const offlineSince = Date.now();
  await rings(21, 30);
  await shows(near, 30);
  // A page asks for more than it has seen; what was told long before it comes back is what it could miss.
  await new Promise((resolve) => setTimeout(resolve, offlineSince + settings.offline_seconds * 1_000 - Date.now()));
  await rings(31, 40);
  await shows(near, 40);
  expect((await shown(far)) === 20, "a page that is offline shows what it cannot know");
  await far.context().setOffline(false);
  console.log(`a page was offline for ${Math.round((Date.now() - offlineSince) / 1_000)} s`);
  await shows(far, 40);

  // Whoever opens a page only now sees them too.
  const late = await watched(browser, settings.replicas[0]);
  await shows(late, 40);
  for (const page of [near, far, late]) {
    const most = await page.evaluate(() => Math.max(...Object.values(window.added)));
    expect(most === 1, `a call was shown ${most} times`);
    noComplaints(page);
  }
});

// A console that counts how often each call was put on the board.
async function watched(browser, replica) {
  const page = await signedIn(browser, replica);
  await page.evaluate(() => {
    window.added = {};
    const count = (item) => (window.added[item.dataset.call] = (window.added[item.dataset.call] ?? 0) + 1);
    const board = document.querySelector(".board");
    [...board.children].forEach(count);
    // What is only moved is taken away and added in one go.
    new MutationObserver((changes) => {
      const removed = new Set(changes.flatMap((change) => [...change.removedNodes]));
      changes
        .flatMap((change) => [...change.addedNodes])
        .filter((item) => !removed.has(item))
        .forEach(count);
    }).observe(board, { childList: true });
  });
  await until(page, () => document.querySelector(".connection").dataset.state === "live");
  return page;
}

async function rings(first, last) {
  for (let number = first; number <= last; number += 1) await post(settings.ingest, "pre-call", ring(number));
}

const shown = (page) => page.locator(".board li").count();
const shows = (page, calls) => until(page, (calls) => document.querySelectorAll(".board li").length === calls, calls);
