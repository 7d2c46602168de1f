// What could not be worked on: with its reason, to be tried again or put aside.

import { deadLetter, deadLetters, discard, mayWrite, replay } from "./api.js";
import { act, badge, el, empty, field, filter, notice, title, worklist } from "./dom.js";
import { count, time } from "./format.js";

const STATES = [
  ["", "Waiting"],
  ["replayed", "Replayed"],
  ["discarded", "Discarded"],
  ["all", "All"],
];

export async function show(main, search, signal) {
  const load = async (before) => {
    const page = await deadLetters({ state: search.state, before }, signal);
    return { items: page.dead_letters, next: page.next };
  };
  const nothing = empty(
    "Nothing is left over.",
    "A webhook that is no call, or a message that failed again and again, shows here with its reason.",
  );
  const { parts, first } = worklist(main, load, card, nothing, "Earlier ones");
  const note = mayWrite()
    ? ""
    : el("p", { class: "muted" }, "Your token may only read: replaying needs the scope callrail:write.");
  const chosen = filter("state", STATES, search.state, "#/dead-letters");
  main.replaceChildren(title("Dead letters", field("Show", chosen)), note, ...parts);
  await first();
}

function card(letter, done) {
  const body = el("div");
  const button = (text, work, told) => {
    const onclick = async () => {
      if (!(await act(made, () => work(letter.id)))) return;
      notice(told);
      done(item);
    };
    const made = el("button", { type: "button", disabled: !mayWrite(), onclick }, text);
    return made;
  };
  const look = el("button", { type: "button", "aria-expanded": "false" }, "Show the message");
  look.addEventListener("click", () =>
    act(look, async () => {
      if (look.getAttribute("aria-expanded") === "true") {
        look.setAttribute("aria-expanded", "false");
        return body.replaceChildren();
      }
      const { body: message } = await deadLetter(letter.id);
      look.setAttribute("aria-expanded", "true");
      const text = typeof message === "string" ? message : JSON.stringify(message, null, 2);
      body.replaceChildren(el("pre", { tabIndex: 0, "aria-label": "Message" }, text));
    }),
  );
  const item = el(
    "li",
    {},
    el("div", { class: "card-head" }, el("strong", {}, letter.reason), badge(letter.state, letter.state)),
    el(
      "p",
      { class: "muted" },
      `${letter.queue} · ${count(letter.attempts, "attempt")} · `,
      time(letter.last_failed_at),
      letter.call_sid ? ` · ${letter.call_sid}` : "",
    ),
    el(
      "div",
      { class: "buttons" },
      button("Replay", replay, "Replayed. If it fails again, it comes back here."),
      letter.state === "waiting" ? button("Discard", discard, "Discarded. It is kept under Discarded.") : null,
      look,
    ),
    body,
  );
  return item;
}
