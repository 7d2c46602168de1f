// All calls: looked for by number, name, time and outcome.

import { interactions, withParameters } from "./api.js";
import { badge, el, empty, field, pages, row, select, table, title } from "./dom.js";
import { customerNumber, duration, outcome, phone, time, who } from "./format.js";

const OUTCOMES = [
  ["", "Any"],
  ["completed", "Talked"],
  ["no_answer", "Missed"],
  ["voicemail", "Voicemail"],
];
const DIRECTIONS = [
  ["", "Any"],
  ["inbound", "Inbound"],
  ["outbound", "Outbound"],
];
const MATCHES = [
  ["", "Any"],
  ["matched", "Known"],
  ["unmatched", "Unknown"],
  ["ambiguous", "Several"],
];
const HEADINGS = ["When", "Who", "Outcome", "Duration", "Source"];

export async function show(main, search, signal) {
  const text = (name, type = "search") => el("input", { name, type, value: search[name] ?? "" });
  const onsubmit = (event) => {
    event.preventDefault();
    const wanted = Object.fromEntries(new FormData(event.target));
    const address = withParameters("#/calls", wanted);
    if (address === location.hash) dispatchEvent(new HashChangeEvent("hashchange"));
    else location.hash = address;
  };
  const form = el(
    "form",
    { class: "search", role: "search", onsubmit },
    field("Number", text("number")),
    field("Name", text("name")),
    field("From", text("from", "date")),
    field("Until", text("until", "date")),
    field("Outcome", select("outcome", OUTCOMES, search.outcome)),
    field("Direction", select("direction", DIRECTIONS, search.direction)),
    field("Person", select("match", MATCHES, search.match)),
    el(
      "div",
      { class: "buttons" },
      el("button", { type: "submit", class: "primary" }, "Search"),
      el("a", { href: "#/calls" }, "Clear"),
    ),
  );
  const results = el("div");
  main.replaceChildren(title("Calls"), form, results);

  const { from, until, ...rest } = search;
  const wanted = { ...rest, from: midnight(from, 0), to: midnight(until, 1) };
  const load = async (cursor) => {
    const page = await interactions({ ...wanted, cursor }, signal);
    return { items: page.interactions, next: page.next };
  };
  let body = null;
  const { holder, first } = pages(
    load,
    (found) => {
      if (!body) {
        const made = table("Calls, latest first", HEADINGS, []);
        body = made.tBodies[0];
        results.replaceChildren(found.length ? made : nothing(Object.values(search).some(Boolean)), holder);
      }
      body.append(...found.map(rowOf));
    },
    "Earlier calls",
  );
  await first();
}

function rowOf(call) {
  return row(HEADINGS, [
    el("a", { href: `#/calls/${call.id}` }, time(call.scheduled_at)),
    person(call),
    outcome(call.outcome),
    duration(call.call_duration_seconds),
    call.source ?? "–",
  ]);
}

// Who it was, and how well that is known.
export function person(call) {
  const name = who(call);
  const number = phone(customerNumber(call));
  const isAmbiguous = call.match_candidates.length > 0 && call.match_method !== "human";
  return [
    el("strong", {}, name),
    " ",
    call.direction === "outbound" ? badge("Outbound", "outbound") : null,
    isAmbiguous ? badge("Several", "ambiguous") : call.contact ? null : badge("Unknown", "unknown"),
    name === number ? null : el("span", { class: "muted line" }, number),
  ];
}

function nothing(isSearch) {
  return isSearch
    ? empty("No call fits this search.", "Leave something out: a part of a number or name is enough.")
    : empty(
        "There is no call yet.",
        "Calls come in by themselves once CallRail sends webhooks. Past ones are brought in under ",
        el("a", { href: "#/imports" }, "Imports"),
        ".",
      );
}

// The beginning of a day here, so many days later.
function midnight(text, days) {
  if (!text) return null;
  const [year, month, day] = text.split("-").map(Number);
  const at = new Date(year, month - 1, day + days);
  return Number.isNaN(at.getTime()) ? null : at.toISOString();
}
