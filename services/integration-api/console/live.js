// The live board: who calls now, and how the calls of the last hour ended.

import { Board } from "./board.js";
import { badge, el, empty, title } from "./dom.js";
import { duration, phone, reference, time } from "./format.js";
import { follow } from "./stream.js";

const STATES = {
  ringing: "Ringing",
  routed: "Put through",
  answered: "Talking",
  completed: "Ended",
  voicemail: "Voicemail",
  missed: "Missed",
};

const CONNECTION = {
  live: "Connected",
  waiting: "Connecting… What happens meanwhile shows when the connection is there.",
  offline: "Offline. What happens meanwhile shows when the connection is back.",
};

// More than anybody reads; the rest is under Calls.
const MAX_SHOWN = 200;
const LOOKING_BACK = 3_600_000;

export async function show(main, _parameters, signal) {
  const board = new Board();
  const rows = new Map();
  const connection = el("p", { class: "connection", role: "status" });
  const spoken = el("p", { class: "unseen", role: "status" });
  const going = section("On the line", empty("Nobody is on the line.", "The next call shows here by itself."));
  const over = section("Last hour", empty("No call has ended in the last hour.", "Earlier ones are under Calls."));
  main.replaceChildren(title("Live", connection), going.element, over.element, spoken);

  const draw = () => {
    const now = Date.now();
    const calls = board.list(now);
    going.fill(
      calls.going.map((call) => rowOf(rows, call, now)),
      calls.going.length,
    );
    over.fill(
      calls.over.slice(0, MAX_SHOWN).map((call) => rowOf(rows, call, now)),
      calls.over.length,
    );
    const ringing = calls.going.filter((call) => call.rank < 3).length;
    document.title = ringing ? `(${ringing}) Trunkline` : "Trunkline";
    for (const [sid, row] of rows) if (!row.isConnected) rows.delete(sid);
  };
  const ticks = setInterval(draw, 1_000);
  signal.addEventListener("abort", () => {
    clearInterval(ticks);
    document.title = "Trunkline";
  });
  draw();

  const since = new Date(Date.now() - LOOKING_BACK).toISOString();
  await follow(`/api/alerts/stream?since=${since}`, {
    signal,
    onState: (state) => {
      connection.dataset.state = state;
      connection.textContent = CONNECTION[state];
    },
    onEvent: (alert) => {
      if (!board.take(alert)) return;
      const isNews = Date.now() - Date.parse(alert.at) < 10_000;
      if (alert.kind === "incoming-call" && isNews) spoken.textContent = `${caller(alert)} calls.`;
      draw();
    },
  });
}

function section(name, nothing) {
  const list = el("ul", { class: "board" });
  const number = el("span", { class: "muted" });
  const element = el("section", { "aria-label": name }, el("h2", {}, name, " ", number), list, nothing);
  const fill = (rows, total) => {
    nothing.hidden = rows.length > 0;
    number.textContent = total ? total.toLocaleString() : "";
    // Only what has moved is moved: focus and selection stay where they are.
    rows.forEach((row, place) => list.children[place] !== row && list.insertBefore(row, list.children[place] ?? null));
    while (list.children.length > rows.length) list.lastChild.remove();
  };
  return { element, fill };
}

function caller(call) {
  return call.contact?.name || phone(call.from);
}

// The row of a call: made once, and made anew only where something has changed.
function rowOf(rows, call, now) {
  const row = rows.get(call.sid) ?? el("li", { "data-call": call.sid });
  rows.set(call.sid, row);
  const seconds = call.ended ? call.duration : Math.max(0, Math.floor((now - call.began) / 1_000));
  const known = JSON.stringify(call);
  if (row.known !== known) {
    row.known = known;
    row.dataset.state = call.state;
    row.clock = el("span", { class: "clock" });
    row.replaceChildren(...cells(call, row.clock));
  }
  row.clock.textContent = duration(seconds);
  return row;
}

function cells(call, clock) {
  const name = el("strong", {}, caller(call));
  const details = [
    call.contact?.name ? phone(call.from) : null,
    call.contact ? reference(call.contact) : null,
    call.source,
    call.direction === "outbound" ? "outbound" : null,
  ];
  return [
    badge(STATES[call.state], call.state),
    el(
      "div",
      { class: "caller" },
      // While it rings there is no row of it in the database.
      call.ended ? el("a", { href: `#/calls/${call.interaction}` }, name) : name,
      call.isNewLead ? badge("New lead", "new") : null,
      call.contact ? null : badge("Unknown", "unknown"),
      el("span", { class: "muted" }, details.filter(Boolean).join(" · ")),
    ),
    el("div", { class: "when" }, clock, el("span", { class: "muted" }, time(new Date(call.began).toISOString()))),
  ];
}
