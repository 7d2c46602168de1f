// Calls that somebody should look at: of nobody, or possibly of several people.

import { mayWrite, review } from "./api.js";
import { badge, el, empty, field, filter, title, worklist } from "./dom.js";
import { customerNumber, duration, method, outcome, person, phone, time } from "./format.js";
import { chooser, decide } from "./link.js";

const MATCHES = [
  ["", "All"],
  ["unmatched", "Unknown callers"],
  ["ambiguous", "Several people"],
];

export async function show(main, search, signal) {
  const load = async (cursor) => {
    const page = await review({ match: search.match, cursor }, signal);
    return { items: page.interactions, next: page.next };
  };
  const nothing = empty(
    "Every call is linked with somebody.",
    "Calls of unknown callers, and of numbers that several people share, show here.",
  );
  const { parts, first } = worklist(main, load, card, nothing, "Earlier calls");
  const note = mayWrite()
    ? ""
    : el("p", { class: "muted" }, "Your token may only read: linking needs the scope callrail:write.");
  const chosen = filter("match", MATCHES, search.match, "#/review");
  main.replaceChildren(title("Review", field("Show", chosen)), note, ...parts);
  await first();
}

function card(call, done) {
  const choices = el("div", { class: "buttons" });
  const place = el("div");
  const item = el(
    "li",
    {},
    el(
      "div",
      { class: "card-head" },
      el("a", { href: `#/calls/${call.id}` }, el("strong", {}, call.customer_name || phone(customerNumber(call)))),
      outcome(call.outcome),
      call.match_candidates.length ? badge("Several", "ambiguous") : badge("Unknown", "unknown"),
    ),
    el(
      "p",
      { class: "muted" },
      phone(customerNumber(call)),
      " · ",
      time(call.scheduled_at),
      " · ",
      duration(call.call_duration_seconds),
      call.source ? ` · ${call.source}` : "",
      " · ",
      method(call.match_method),
    ),
    choices,
    place,
  );
  const onLinked = () => done(item);
  const button = (text, contact) => {
    const onclick = async () => (await decide(made, call, contact)) && onLinked();
    const made = el("button", { type: "button", disabled: !mayWrite(), onclick }, text);
    return made;
  };
  const open = () => {
    const { element, focus } = chooser(call, onLinked);
    place.replaceChildren(element);
    focus();
  };
  choices.append(
    ...call.match_candidates.map((contact) => button(person(contact), contact)),
    el(
      "button",
      { type: "button", disabled: !mayWrite(), onclick: open },
      call.match_candidates.length ? "Somebody else…" : "Link…",
    ),
    button("Nobody", null),
  );
  return item;
}
