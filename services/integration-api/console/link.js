// Links a call with one of the CRM's people, whom somebody looks for by name or number.

import { contacts, link } from "./api.js";
import { act, el, field, notice } from "./dom.js";
import { person, phone, reference } from "./format.js";

const TYPING = 250;

// Decides whom a call is with; null: with nobody. Gives the call as it stands then.
export async function decide(button, call, contact) {
  const told = await act(button, () => link(call.id, contact && { kind: contact.kind, id: contact.id }));
  if (!told) return null;
  notice(contact ? `Linked with ${contact.name || reference(contact)}.` : "Linked with nobody.");
  return told.interaction;
}

// A search for people, each a button that links the call.
export function chooser(call, onLinked) {
  const input = el("input", { type: "search", name: "person", value: call.customer_name ?? "", autocomplete: "off" });
  const found = el("ul", { class: "people" });
  const told = el("p", { class: "muted", role: "status" });
  let asked = new AbortController();
  let typing = null;

  const search = async () => {
    asked.abort();
    asked = new AbortController();
    const { signal } = asked;
    try {
      const { contacts: people } = await contacts(input.value, signal);
      told.textContent = people.length
        ? ""
        : "Nobody fits. People come from your CRM: trunkline contacts import, or the API.";
      found.replaceChildren(...people.map((contact) => el("li", {}, choice(contact))));
    } catch (error) {
      if (!signal.aborted) told.textContent = error.message;
    }
  };
  const choice = (contact) => {
    const onclick = async () => {
      const linked = await decide(button, call, contact);
      if (linked) onLinked(linked);
    };
    const numbers = contact.phones.map(phone).join(", ");
    const button = el(
      "button",
      { type: "button", onclick },
      el("strong", {}, person(contact)),
      " ",
      el("span", { class: "muted" }, numbers),
    );
    return button;
  };
  input.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(search, TYPING);
  });
  search();
  const element = el("div", { class: "chooser" }, field("Find a person by name, number or id", input), told, found);
  return { element, focus: () => input.focus() };
}
