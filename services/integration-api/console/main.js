// Signs in, and shows the view that the address names: #/calls?outcome=voicemail.

import { current, resume, signIn, signOut } from "./api.js";
import { el, notice, problem, title } from "./dom.js";
import * as signInView from "./sign-in.js";
import * as live from "./live.js";
import * as calls from "./calls.js";
import * as call from "./call.js";
import * as review from "./review.js";
import * as callbacks from "./callbacks.js";
import * as imports from "./imports.js";
import * as deadLetters from "./dead-letters.js";
import * as health from "./health.js";

const VIEWS = [
  ["live", "Live", live],
  ["calls", "Calls", calls],
  ["review", "Review", review],
  ["callbacks", "Call back", callbacks],
  ["imports", "Imports", imports],
  ["dead-letters", "Dead letters", deadLetters],
  ["health", "Health", health],
];

const main = document.getElementById("main");
const header = document.getElementById("header");
let shown = new AbortController();
let shownKey = null;

async function start() {
  let why = "";
  try {
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    if (token) {
      // Out of the address before anything else, so that it stands in no history.
      history.replaceState(null, "", location.pathname);
      await signIn(token);
    } else {
      await resume();
    }
  } catch (error) {
    if (error.status !== 401) return main.replaceChildren(title("Trunkline"), problem(error, start));
    why = error.message;
  }
  route(why);
}

async function route(why = "") {
  // A link to a place on the page.
  if (location.hash && !location.hash.startsWith("#/")) return;
  shown.abort();
  shown = new AbortController();
  const { signal } = shown;
  header.hidden = !current();
  if (!current()) return signInView.show(main, () => route(), why);

  const [path, search] = location.hash.slice(2).split("?");
  const [name, id] = path.split("/").map(decodeURIComponent);
  const [key, , view] = VIEWS.find(([key]) => key === name) ?? VIEWS[0];
  drawHeader(key);
  // Whoever changes a filter goes on there.
  const field = key === shownKey ? document.activeElement?.name : null;
  shownKey = key;
  const parameters = Object.fromEntries(new URLSearchParams(search));
  const wanted =
    key === "calls" && id ? call.show(main, { ...parameters, id }, signal) : view.show(main, parameters, signal);
  if (field) main.querySelector(`[name="${CSS.escape(field)}"]`)?.focus();
  else focusTitle();
  try {
    await wanted;
  } catch (error) {
    if (!signal.aborted && error.status !== 401) main.append(problem(error, () => route()));
  }
}

// Where a person reads on after a click: at the new view's title, not somewhere in the old one.
function focusTitle() {
  const isFirst = document.activeElement === document.body && !focusTitle.done;
  focusTitle.done = true;
  if (!isFirst) main.querySelector("h1")?.focus({ preventScroll: true });
  scrollTo(0, 0);
}

function drawHeader(wanted) {
  const links = VIEWS.map(([key, text]) =>
    el("a", { href: `#/${key}`, "aria-current": key === wanted ? "page" : null }, text),
  );
  document.getElementById("nav").replaceChildren(...links);
  // On a phone they do not all fit.
  links.find((link) => link.hasAttribute("aria-current")).scrollIntoView({ block: "nearest", inline: "center" });
  document.getElementById("user").textContent = current().user ?? "";
}

document.getElementById("sign-out").addEventListener("click", async () => {
  try {
    await signOut();
    route();
  } catch (error) {
    notice(error.message);
  }
});
addEventListener("hashchange", () => route());
addEventListener("signed-out", () => route("Your session has ended: sign in once more."));
start();
