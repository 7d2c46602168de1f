// Signing in: a token once, then the browser keeps the session.

import { signIn } from "./api.js";
import { el, field, title } from "./dom.js";

// `why` says why nobody is signed in any more.
export function show(main, done, why) {
  const input = el("input", {
    type: "password",
    name: "token",
    required: true,
    autocomplete: "off",
    spellcheck: "false",
  });
  const wrong = el("p", { class: "wrong", role: "alert" }, why);
  const button = el("button", { type: "submit", class: "primary" }, "Sign in");
  const onsubmit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    wrong.textContent = "";
    try {
      await signIn(input.value.trim());
      done();
    } catch (error) {
      wrong.textContent = error.message;
      input.select();
    } finally {
      button.disabled = false;
    }
  };
  main.replaceChildren(
    el(
      "div",
      { class: "sign-in" },
      title("Sign in to Trunkline"),
      el("form", { onsubmit }, field("Token", input), wrong, button),
      el(
        "p",
        { class: "muted" },
        "A token is made where Trunkline runs, by the command ",
        el("code", {}, "trunkline token"),
        ", or by your CRM. It needs JWT_SECRET to be set. The browser keeps it until it ends, and no script can read it.",
      ),
    ),
  );
  input.focus();
}
