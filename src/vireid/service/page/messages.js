// Headings, and what is said where there are no pictures to show.

import { h, icon } from "./dom.js";

const TITLES = {
  0: "No answer",
  403: "This key may not do that",
  404: "That is not here",
  413: "That is too large",
  422: "That does not fit",
  429: "One moment, please",
  503: "One moment, please",
};

/** A text that begins with a capital letter. */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** The heading of what is shown, with more beside it. */
export function heading(text, ...more) {
  return h("div", { class: "head" }, h("h1", {}, text), ...more);
}

/** A message with an icon; code among `more` belongs to its text. */
export function message(mark, title, text, ...more) {
  return h(
    "div",
    { class: "message" },
    icon(mark),
    h("h2", {}, title),
    h(
      "p",
      {},
      text,
      more.filter((each) => each && each.tagName === "CODE"),
    ),
    more.filter((each) => each && each.tagName !== "CODE"),
  );
}

/** What went wrong, and the way out. */
export function failure(error, again, anew) {
  const told = message(
    "warn",
    TITLES[error.status] ??
      (error.status >= 500 ? "The service has a fault" : "That does not work"),
    capital(error.message),
    error.request && h("p", { class: "hint" }, `Request ${error.request}`),
    h(
      "div",
      { class: "row" },
      h("button", { type: "button", class: "primary", onclick: () => again() }, "Try again"),
      h("button", { type: "button", onclick: () => anew() }, "Begin anew"),
    ),
  );
  told.setAttribute("role", "alert");
  return told;
}

/** The form that asks for a key; `enter(key)` gives what is wrong with it, or null. */
export function keyForm(problem, enter) {
  const wrong = h("p", { class: "wrong", role: "alert", id: "key-wrong" }, problem);
  const key = h("input", {
    type: "password",
    name: "key",
    autocomplete: "current-password",
    required: true,
    "aria-describedby": "key-wrong",
    spellcheck: "false",
  });
  const given = async (event) => {
    event.preventDefault();
    wrong.textContent = "";
    const told = await enter(key.value.trim());
    if (!told) return;
    wrong.textContent = told;
    key.setAttribute("aria-invalid", "true");
    key.select();
  };
  return h(
    "form",
    { class: "locked", onsubmit: given },
    h("img", { src: "page/mark.svg", alt: "", width: 56, height: 56 }),
    h("h1", {}, "A key, please"),
    h(
      "p",
      {},
      "This service opens with a key. Whoever runs it makes one with ",
      h("code", {}, "vireid keys"),
      ".",
    ),
    h("label", { class: "field" }, h("span", {}, "Key"), key),
    wrong,
    h("button", { class: "primary" }, "Open"),
  );
}
