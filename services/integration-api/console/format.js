// How times, numbers and names are written.

import { badge, el } from "./dom.js";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

// What carriers send in place of a number that the caller withholds.
const WITHHELD =
  /^(anonymous|restricted|blocked|unavailable|unknown|private|\+266696687|\+7378742833|\+2562533|\+8656696|\+86282452253|)$/i;

const OUTCOMES = { completed: "Talked", no_answer: "Missed", voicemail: "Voicemail" };

const METHODS = {
  only_one: "The only person with this number",
  customer_first: "A customer comes before a lead",
  most_recent: "The person whom the CRM changed last",
  human: "Decided by a person",
  no_contact: "Nobody in the CRM has this number",
  withheld: "The caller withholds the number",
  unreadable: "The number cannot be read",
  never_matched: "The number is one that belongs to nobody",
};

// The time of day today, else the day too; always the whole when pointed at.
export function time(text) {
  if (!text) return "–";
  const at = new Date(text);
  const isToday = at.toDateString() === new Date().toDateString();
  return el("time", { datetime: text, title: full.format(at) }, (isToday ? clock : day).format(at));
}

export function ago(text, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - Date.parse(text)) / 1000));
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  const rest = two(Math.floor(seconds % 60));
  return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

export function phone(number) {
  if (WITHHELD.test(number ?? "")) return "Number withheld";
  const american = /^\+1(\d{3})(\d{3})(\d{4})$/.exec(number);
  return american ? `(${american[1]}) ${american[2]}-${american[3]}` : number;
}

// The other side of a call in the database.
export function customerNumber(call) {
  return call.direction === "outbound" ? call.call_to_number : call.call_from_number;
}

// The name that the CRM has, else that of the line, else the number.
export function who(call) {
  return call.contact?.name || call.customer_name || phone(customerNumber(call));
}

export function person(contact) {
  return `${contact.name || "No name"} · ${reference(contact)}`;
}

// Kind and id; some CRMs say the kind in the id.
export function reference({ kind, id }) {
  return id.startsWith(kind) ? id : `${kind} ${id}`;
}

export function outcome(name) {
  return badge(OUTCOMES[name] ?? name, name);
}

export function method(name) {
  return METHODS[name] ?? words(name);
}

// A name of ours as words: call_duration_seconds.
export function words(name) {
  const text = name.replaceAll(/[_-]/g, " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString()} ${number === 1 ? one : many}`;
}
