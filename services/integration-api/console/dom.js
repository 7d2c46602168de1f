// Makes elements. Texts become text nodes, whatever they hold: nothing that came from outside is ever read as HTML.

export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

// The view's title, which a screen reader hears and the keyboard starts from.
export function title(text, ...beside) {
  return el("div", { class: "title" }, el("h1", { tabIndex: -1 }, text), ...beside);
}

// What there is to say when there is nothing to show: what it means, and what to do next.
export function empty(text, ...hint) {
  return el("div", { class: "empty" }, el("p", {}, text), hint.length ? el("p", { class: "muted" }, ...hint) : null);
}

// What went wrong, with a way to try again.
export function problem(error, again) {
  return el(
    "div",
    { class: "problem", role: "alert" },
    el("p", {}, error.message),
    again ? el("button", { type: "button", onclick: again }, "Try again") : null,
  );
}

export function badge(text, kind) {
  return el("span", { class: `badge ${kind}` }, text);
}

export function field(label, input) {
  return el("label", {}, el("span", {}, label), input);
}

export function select(name, options, value) {
  const made = el(
    "select",
    { name },
    options.map(([key, text]) => el("option", { value: key }, text)),
  );
  made.value = value ?? "";
  return made;
}

// A choice that stands in the address.
export function filter(name, options, value, path) {
  const made = select(name, options, value);
  made.addEventListener("change", () => (location.hash = made.value ? `${path}?${name}=${made.value}` : path));
  return made;
}

// A table that becomes a list of cards on a narrow screen: every cell knows its heading.
export function table(caption, headings, rows) {
  const head = headings.map((heading) => el("th", { scope: "col" }, heading));
  return el(
    "table",
    {},
    el("caption", { class: "unseen" }, caption),
    el("thead", {}, el("tr", {}, head)),
    el("tbody", {}, rows),
  );
}

export function row(headings, cells, properties = {}) {
  const made = cells.map((cell, index) => el("td", { "data-label": headings[index] }, el("div", {}, cell)));
  return el("tr", properties, made);
}

// A list that goes on page by page. `load` gets the cursor and gives {items, next}; `add` shows the items.
export function pages(load, add, text = "Show more") {
  const holder = el("div", { class: "more" });
  const go = async (cursor) => {
    const { items, next } = await load(cursor);
    add(items);
    if (!next) return holder.replaceChildren();
    const onclick = async () => {
      button.disabled = true;
      try {
        await go(next);
      } catch (error) {
        holder.replaceChildren(problem(error, onclick));
      }
    };
    const button = el("button", { type: "button", onclick }, text);
    holder.replaceChildren(button);
  };
  return { holder, first: () => go(null) };
}

// A list that people work off. `card` makes what stands for an item and gets `done`, which takes that away and goes on to
// the next one; `nothing` shows when all is done.
export function worklist(main, load, card, nothing, text) {
  const list = el("ul", { class: "cards" });
  const look = () => (nothing.hidden = list.children.length > 0);
  const done = (item) => {
    const next = item.nextElementSibling ?? item.previousElementSibling;
    item.remove();
    look();
    (next?.querySelector("button") ?? main.querySelector("h1")).focus();
  };
  const add = (items) => {
    list.append(...items.map((item) => card(item, done)));
    look();
  };
  nothing.hidden = true;
  const { holder, first } = pages(load, add, text);
  return { parts: [list, nothing, holder], first };
}

// Says in passing what was done.
export function notice(text) {
  const place = document.getElementById("notice");
  place.textContent = text;
  clearTimeout(notice.timer);
  notice.timer = setTimeout(() => (place.textContent = ""), 6000);
}

// Runs what a button stands for: not twice at once, and with a word when it fails.
export async function act(button, work) {
  button.disabled = true;
  try {
    return await work();
  } catch (error) {
    notice(error.message);
    return undefined;
  } finally {
    button.disabled = false;
  }
}
