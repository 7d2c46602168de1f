// One call in full: what it is, with whom, what was said, and how the database came to say so.

import { history, interaction, mayWrite, open, ticket } from "./api.js";
import { act, badge, el, notice, title } from "./dom.js";
import { customerNumber, duration, method, outcome, person, phone, time, who, words } from "./format.js";
import { chooser, decide } from "./link.js";

const FACTS = [
  ["call_from_number", "From", phone],
  ["call_to_number", "To", phone],
  ["tracking_number", "Tracking number", phone],
  ["customer_name", "Name of the line"],
  ["source", "Source"],
  ["medium", "Medium"],
  ["campaign", "Campaign"],
  ["keywords", "Keywords"],
  ["landing_page_url", "Landing page"],
  ["tags", "Tags", (tags) => tags.join(", ")],
  ["lead_status", "Lead status"],
  ["value", "Value"],
  ["agent_email", "Agent"],
  ["company_id", "Company"],
  ["call_sid", "CallRail's id"],
];

const KINDS = {
  "pre-call": "It rings",
  "routing-complete": "It is put through",
  "post-call": "It is over",
  "call-modified": "CallRail changed it",
  "outbound-post-call": "The outbound call is over",
  "outbound-call-modified": "CallRail changed the outbound call",
  import: "Read from CallRail's API",
};

export async function show(main, { id }, signal) {
  main.replaceChildren(title("Call"));
  const [{ interaction: call }, told] = await Promise.all([interaction(id, signal), history(id, signal)]);
  const again = () => show(main, { id }, signal).then(() => main.querySelector("h1").focus());
  main.replaceChildren(
    el("p", {}, el("a", { href: "#/calls" }, "All calls")),
    title(who(call), outcome(call.outcome), call.direction === "outbound" ? badge("Outbound", "outbound") : null),
    el(
      "p",
      { class: "muted" },
      phone(customerNumber(call)),
      " · ",
      time(call.scheduled_at),
      " · ",
      duration(call.call_duration_seconds),
    ),
    call.spam ? el("p", { class: "problem" }, "CallRail says that this is spam: it is hidden from the lists.") : "",
    call.vanished ? el("p", { class: "problem" }, "The call is gone from CallRail: it is hidden from the lists.") : "",
    told.reread
      ? el("p", { class: "muted" }, "Two states came at the same time. CallRail will be asked which is the newer.")
      : "",
    el(
      "div",
      { class: "columns" },
      el("div", {}, matched(call, told, again), recording(call), facts(call)),
      el(
        "div",
        {},
        spoken("Summary", call.call_summary),
        spoken("Transcription", call.transcription),
        spoken("Notes", call.notes),
        timeline(told),
      ),
    ),
  );
}

function part(name, ...children) {
  return el("section", { "aria-label": name, class: "part" }, el("h2", {}, name), children);
}

function matched(call, told, again) {
  const place = el("div");
  const nobody = async () => (await decide(unlink, call, null)) && again();
  const change = () => {
    const { element, focus } = chooser(call, again);
    place.replaceChildren(element);
    focus();
  };
  const unlink = el("button", { type: "button", disabled: !mayWrite(), onclick: nobody }, "With nobody");
  const by = told.sealed.find((seal) => seal.group === "link");
  return part(
    "Person",
    el("p", {}, call.contact ? el("strong", {}, person(call.contact)) : "Linked with nobody"),
    el("p", { class: "muted" }, method(call.match_method), by ? [` (${by.by}, `, time(by.at), ")"] : null),
    call.match_candidates.length
      ? el("p", { class: "muted" }, "With this number: ", call.match_candidates.map(person).join(", "))
      : null,
    el(
      "div",
      { class: "buttons" },
      el("button", { type: "button", disabled: !mayWrite(), onclick: change }, call.contact ? "Change…" : "Link…"),
      call.contact ? unlink : null,
    ),
    place,
  );
}

function recording(call) {
  if (!call.call_recording_url) return part("Recording", el("p", { class: "muted" }, "There is none, or not yet."));
  const place = el("div");
  const listen = el("button", { type: "button" }, "Listen");
  listen.addEventListener("click", () =>
    act(listen, async () => {
      const { url } = await ticket(call.call_sid);
      // Asked for a piece first: a player does not tell why it plays nothing.
      await open(url, { headers: { Range: "bytes=0-0" } });
      const player = el("audio", { controls: true, src: url, "aria-label": "Recording" });
      player.addEventListener("error", () => {
        notice("The recording breaks off: listen once more.");
        place.replaceChildren(listen);
      });
      place.replaceChildren(player);
      player.focus();
      await player.play().catch(() => {});
    }),
  );
  place.append(listen);
  return part("Recording", place);
}

function facts(call) {
  const known = FACTS.filter(([column]) => call[column] !== null && call[column]?.length !== 0);
  const pairs = known.map(([column, label, write = String]) => [
    el("dt", {}, label),
    el("dd", {}, write(call[column])),
  ]);
  return part("Details", el("dl", {}, pairs));
}

function spoken(name, text) {
  return text ? part(name, el("p", { class: "spoken" }, text)) : "";
}

function timeline(told) {
  const steps = told.snapshots.map((seen) =>
    el(
      "li",
      {},
      el(
        "p",
        {},
        el("strong", {}, KINDS[seen.kind] ?? words(seen.kind)),
        " ",
        el("span", { class: "muted" }, time(seen.first_observed_at), ` · ${seen.origin}`),
      ),
      seen.changed.length
        ? el("ul", { class: "changes" }, seen.changed.map(change))
        : el("p", { class: "muted" }, "Changed nothing in the row."),
    ),
  );
  const seals = told.sealed.map((seal) =>
    el(
      "li",
      {},
      el(
        "p",
        {},
        el("strong", {}, `${words(seal.group)}: decided`),
        " ",
        el("span", { class: "muted" }, time(seal.at), ` · ${seal.by} · ${seal.reason}`),
      ),
    ),
  );
  return part("What happened", el("ol", { class: "timeline" }, steps, seals));
}

const LONG = 160;

function change({ column, before, after }) {
  const cut = (text) => (text.length > LONG ? `${text.slice(0, LONG)}…` : text);
  const old = before === null ? null : el("del", {}, cut(before));
  return el(
    "li",
    {},
    el("span", { class: "muted" }, words(column), ": "),
    old,
    old ? " " : "",
    after === null ? "taken away" : el("ins", {}, cut(after)),
  );
}
