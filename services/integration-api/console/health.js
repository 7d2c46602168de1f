// Is all well? What an operator looks at first.

import { status } from "./api.js";
import { badge, el, problem, title } from "./dom.js";
import { ago, count, time, words } from "./format.js";

const EVERY = 5_000;

export async function show(main, _parameters, signal) {
  const grid = el("div", { class: "grid" });
  main.replaceChildren(title("Health"), grid);
  const refresh = async () => {
    try {
      const told = await status(signal);
      grid.replaceChildren(...cards(told));
    } catch (error) {
      if (!signal.aborted && error.status !== 401) grid.replaceChildren(problem(error));
    }
  };
  const ticks = setInterval(() => !document.hidden && refresh(), EVERY);
  signal.addEventListener("abort", () => clearInterval(ticks));
  await refresh();
}

function cards({ integration, health }) {
  return [
    webhooks(health),
    callrail(integration),
    "gap" in health ? gap(health.gap) : null,
    "webhooks" in health ? subscription(health.webhooks) : null,
    queues(health.queues),
    letters(health.dead_letters_waiting),
    budget(health.requests),
  ].filter(Boolean);
}

function card(name, state, ...children) {
  return el("section", { class: "part", "aria-label": name }, el("h2", {}, name, " ", badge(...state)), children);
}

const GOOD = ["Good", "good"];
const UNKNOWN = ["Not known", "unknown"];
const look = (text = "Look") => [text, "bad"];
const hint = (...text) => el("p", { class: "muted" }, text);

function webhooks({ last_webhook_at: last }) {
  if (!last)
    return card(
      "Last webhook",
      UNKNOWN,
      hint("CallRail has sent nothing yet. The README tells how its webhooks are set up."),
    );
  return card("Last webhook", GOOD, el("p", { class: "figure" }, ago(last)), hint(time(last)));
}

function callrail({ configured, connected, error }) {
  if (!configured)
    return card(
      "CallRail's API",
      UNKNOWN,
      hint("Set CALLRAIL_API_KEY and CALLRAIL_ACCOUNT_ID to import past calls and to listen to recordings."),
    );
  return card(
    "CallRail's API",
    connected ? GOOD : look(),
    el("p", {}, connected ? "Answers, and accepts the key." : error),
  );
}

function gap(calls) {
  if (calls === null) return card("Gap", UNKNOWN, hint("No webhook has told of a call yet."));
  return card(
    "Gap",
    calls ? look() : GOOD,
    el("p", { class: "figure" }, count(calls, "call")),
    hint("of the last 24 hours that no webhook has told of. They were imported all the same."),
  );
}

function subscription(told) {
  const { state, checked_at: checked, silent_since: silent } = told ?? {};
  if (!state && !silent) {
    return card(
      "Webhooks at CallRail",
      UNKNOWN,
      hint("Set CALLRAIL_COMPANY_ID to have CallRail asked for their state."),
    );
  }
  return card(
    "Webhooks at CallRail",
    state === "active" && !silent ? GOOD : look(),
    state
      ? el("p", {}, words(state), " ", checked ? el("span", { class: "muted" }, `asked ${ago(checked)}`) : null)
      : null,
    silent ? el("p", {}, "No webhook has told of a call since ", time(silent), ".") : null,
  );
}

function queues(depths) {
  if (!depths) return card("Queues", look("Away"), hint("The queue does not answer. Calls wait where they are."));
  const pairs = Object.entries(depths).map(([name, depth]) => [
    el("dt", {}, name),
    el("dd", {}, depth.toLocaleString()),
  ]);
  return card("Queues", GOOD, el("dl", {}, pairs), hint("Messages that wait. They grow while the database is away."));
}

function letters(waiting) {
  if (waiting === null) return card("Dead letters", look("Away"), hint("The database does not answer."));
  return card(
    "Dead letters",
    waiting ? look() : GOOD,
    el("p", { class: "figure" }, el("a", { href: "#/dead-letters" }, count(waiting, "letter"))),
    hint("that wait for somebody to look at them."),
  );
}

function budget(made) {
  if (!made) return card("Requests to CallRail", UNKNOWN, hint("The database does not answer."));
  const spans = [
    ["Last minute", made.last_minute, made.limit_per_minute],
    ["Last hour", made.last_hour + made.last_hour_by_others, made.limit_per_hour],
    ["Last day", made.last_day + made.last_day_by_others, made.limit_per_day],
  ];
  const meters = spans.map(([name, used, limit]) =>
    el(
      "div",
      { class: "meter" },
      el("span", {}, name),
      el("meter", { min: 0, max: limit, value: used, high: limit * 0.9, low: 0, optimum: 0, "aria-label": name }),
      el("span", { class: "muted" }, `${used.toLocaleString()} of ${limit.toLocaleString()}`),
    ),
  );
  const isFull = spans.some(([, used, limit]) => used >= limit);
  return card("Requests to CallRail", isFull ? look("Used up") : GOOD, meters);
}
