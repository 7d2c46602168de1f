// Shows who calls, while it rings: to copy from.

import { settings } from "./settings.js";

// What each event means at a screen: docs/alerts.md tells all of them.
const EVENTS = {
  "incoming-call": ["ringing", "calls"],
  "call-routed": ["ringing", "is put through"],
  "call-answered": ["talking", "is talking"],
  "call-completed": ["over", "has called"],
  "call-missed": ["missed", "was missed"],
  "voicemail-received": ["missed", "left a message"],
  "new-lead": ["over", "is new"],
};

// The states in their order.
const STATES = ["ringing", "talking", "missed", "over"];

const headers = { Authorization: `Bearer ${settings.token}` };
const pops = document.getElementById("pops");
const known = new Set();
let cursor = null;

const pusher = new Pusher(settings.key, {
  ...settings.pusher,
  channelAuthorization: { endpoint: `${settings.trunkline}/api/pusher/auth`, transport: "ajax", headers },
});

// Everybody's calls, and those of one's own contacts, which stand out.
const channels = [listen("private-calls", false), listen(`private-user-${settings.user}`, true)];
pusher.connection.bind("state_change", tell);

function listen(name, isMine) {
  const channel = pusher.subscribe(name);
  // Pusher keeps nothing for those who were away. Trunkline does.
  channel.bind("pusher:subscription_succeeded", () => {
    tell();
    catchUp().catch((error) => console.warn("cannot ask for earlier alerts", error));
  });
  channel.bind("pusher:subscription_error", ({ error }) => console.warn(`may not listen to ${name}`, error));
  for (const event of Object.keys(EVENTS)) channel.bind(event, (alert) => show(alert, isMine));
  return channel;
}

function tell() {
  const joined = channels.filter((channel) => channel.subscribed).length;
  document.getElementById("connection").textContent = `${pusher.connection.state}, listening to ${joined} channels`;
}

async function catchUp() {
  const url = `${settings.trunkline}/api/alerts${cursor ? `?since=${cursor}` : ""}`;
  const response = await fetch(url, { headers });
  if (!response.ok) throw new Error((await response.json()).message);
  const told = await response.json();
  cursor = told.cursor;
  told.alerts.filter((alert) => alert.kind in EVENTS).forEach((alert) => show(alert, false));
}

function show(alert, isMine) {
  // An alert may come twice, and by two channels.
  const isKnown = known.has(alert.id);
  known.add(alert.id);
  const [state, words] = EVENTS[alert.kind];
  const pop =
    document.getElementById(alert.call_sid) ?? (isKnown ? null : pops.appendChild(document.createElement("article")));
  if (isMine) pop?.classList.add("mine");
  // A call never goes back. The same state may come again: with a name that could not be looked up at once.
  if (isKnown || STATES.indexOf(state) < STATES.indexOf(pop.dataset.state)) return;
  pop.id = alert.call_sid;
  pop.dataset.state = state;
  pop.className = ["pop", state, pop.classList.contains("mine") ? "mine" : ""].join(" ");
  // Always as text: a caller's name may hold anything.
  const who = document.createElement("h2");
  who.textContent = `${alert.contact?.name ?? alert.from ?? "A withheld number"} ${words}`;
  const what = document.createElement("p");
  what.textContent = [
    alert.contact ? `${alert.contact.kind} ${alert.contact.id}` : "not in the CRM",
    alert.from,
    alert.source,
  ]
    .filter(Boolean)
    .join(" · ");
  pop.replaceChildren(who, what);
  if (state === "over") setTimeout(() => pop.remove(), 10_000);
}
