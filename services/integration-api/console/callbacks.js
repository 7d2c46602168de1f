// Whom nobody has called back: a line for each number, however often it was tried.

import { callbacks } from "./api.js";
import { badge, el, empty, pages, row, table, title } from "./dom.js";
import { count, outcome, phone, time, who } from "./format.js";

const HEADINGS = ["Who", "Number", "Last tried", "How often", "Outcome"];

export async function show(main, _parameters, signal) {
  const results = el("div");
  main.replaceChildren(
    title("Call back"),
    el(
      "p",
      { class: "muted" },
      "Missed calls and voicemails of people with whom nobody has talked since. A call with them takes them off the list.",
    ),
    results,
  );
  const load = async (cursor) => {
    const page = await callbacks({ cursor, limit: 200 }, signal);
    return { items: page.interactions, next: page.next };
  };
  const tries = new Map();
  const made = table("People to call back, the latest first", HEADINGS, []);
  const { holder, first } = pages(
    load,
    (calls) => {
      for (const call of calls) tries.set(call.call_from_number, [...(tries.get(call.call_from_number) ?? []), call]);
      made.tBodies[0].replaceChildren(...[...tries.values()].map(rowOf));
      const nothing = empty(
        "Nobody waits for a call.",
        "Missed calls show here until somebody has talked with the caller.",
      );
      results.replaceChildren(tries.size ? made : nothing, holder);
    },
    "Earlier ones",
  );
  await first();
}

function rowOf(calls) {
  const [last] = calls;
  return row(HEADINGS, [
    [
      el("a", { href: `#/calls/${last.id}` }, el("strong", {}, who(last))),
      " ",
      last.contact ? null : badge("Unknown", "unknown"),
    ],
    el("a", { href: `tel:${last.call_from_number}` }, phone(last.call_from_number)),
    time(last.scheduled_at),
    count(calls.length, "call"),
    outcome(last.outcome),
  ]);
}
