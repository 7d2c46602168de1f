// Past calls, brought in from CallRail.

import { cancelImport, imports, mayWrite, oneImport, startImport } from "./api.js";
import { act, badge, el, empty, field, notice, pages, title } from "./dom.js";
import { count, time } from "./format.js";

const EVERY = 1_000;

export async function show(main, _parameters, signal) {
  const list = el("ul", { class: "cards" });
  const nothing = empty("Nothing was imported yet.", "Choose how many days to bring in, above. No call comes twice.");
  nothing.hidden = true;
  main.replaceChildren(
    title("Imports"),
    form(() => refresh()),
    list,
    nothing,
  );
  const cards = new Map();
  const add = (runs, place) => {
    for (const run of runs) {
      if (!cards.has(run.id)) {
        cards.set(
          run.id,
          card(() => refresh()),
        );
        place(cards.get(run.id).element);
      }
      cards.get(run.id).draw(run);
    }
    nothing.hidden = cards.size > 0;
  };
  const load = async (before) => {
    const page = await imports({ before }, signal);
    return { items: page.imports, next: page.next };
  };
  const { holder, first } = pages(load, (runs) => add(runs, (element) => list.append(element)), "Earlier imports");
  main.append(holder);
  await first();

  const refresh = async () => {
    const { items } = await load(null).catch(() => ({ items: [] }));
    // Oldest first, so that each new one goes to the top.
    if (!signal.aborted) add(items.reverse(), (element) => list.prepend(element));
  };
  const isOpen = () => [...cards.values()].some((card) => card.isOpen());
  const ticks = setInterval(() => isOpen() && !document.hidden && refresh(), EVERY);
  signal.addEventListener("abort", () => clearInterval(ticks));
}

function form(started) {
  const days = el("input", { type: "number", name: "days", min: "1", max: "760", value: "30", required: true });
  const button = el("button", { type: "submit", class: "primary", disabled: !mayWrite() }, "Import");
  const onsubmit = async (event) => {
    event.preventDefault();
    const told = await act(button, () => startImport({ days_back: Number(days.value) }));
    if (!told) return;
    notice(told.message);
    await started();
  };
  const note = mayWrite()
    ? null
    : el("p", { class: "muted" }, "Your token may only read: importing needs the scope callrail:write.");
  return el(
    "form",
    { class: "search", onsubmit },
    field("Days back", days),
    el("div", { class: "buttons" }, button),
    note,
  );
}

function card(changed) {
  const element = el("li");
  let run = null;
  let failures = null;
  const cancel = el("button", { type: "button", disabled: !mayWrite() }, "Cancel");
  cancel.addEventListener("click", async () => {
    if (await act(cancel, () => cancelImport(run.id)))
      notice("Import cancelled. Calls on their way arrive nevertheless.");
    await changed();
  });
  const why = el("button", { type: "button" }, "Which failed?");
  why.addEventListener("click", () =>
    act(why, async () => {
      const { failed_calls: calls } = await oneImport(run.id);
      failures = el(
        "ul",
        { class: "changes" },
        calls.map((call) => el("li", {}, el("code", {}, call.call_sid), ` ${call.reason}`)),
      );
      draw(run);
    }),
  );
  const isOpen = () =>
    run.state === "waiting" || run.state === "running" || (run.state === "finished" && !run.complete);
  const draw = (now) => {
    run = now;
    const { total, stored, failed, matched, unmatched, ambiguous } = run.calls;
    const state = run.state === "finished" && !run.complete ? "running" : run.state;
    const known = document.activeElement;
    element.replaceChildren(
      el(
        "div",
        { class: "card-head" },
        el("strong", {}, time(run.start), " – ", time(run.end)),
        badge(state, state),
        isOpen() && run.state !== "finished" ? cancel : "",
      ),
      isOpen() ? progress(run) : "",
      el(
        "p",
        { class: "muted" },
        `${count(total, "call")} found, ${stored.toLocaleString()} stored (${matched} known, ${unmatched} unknown, ${ambiguous} of several), ${failed} failed · asked for `,
        time(run.created_at),
        ` by ${run.source}`,
      ),
      run.error ? el("p", { class: "wrong" }, run.error) : "",
      failed > 0 ? (failures ?? why) : "",
    );
    if (element.contains(known)) known.focus();
  };
  return { element, draw, isOpen };
}

// How many calls there will be is known only when all pages are read.
function progress(run) {
  const { total, stored, failed } = run.calls;
  const isRead = run.state === "finished";
  const bar = el("progress", { "aria-label": "Progress", max: Math.max(total, 1) });
  if (isRead || stored + failed > 0) bar.value = stored + failed;
  return el(
    "p",
    { class: "progress" },
    bar,
    isRead ? "Storing" : run.state === "waiting" ? "Waiting for an importer" : "Reading",
  );
}
