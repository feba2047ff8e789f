// The switches at the top, the dialogs that only tell, and the keys that work everywhere.

import { undoLast } from "./changes.js";
import { $, fill, h, remembered, say } from "./dom.js";
import { FILTERS } from "./filters.js";
import { brighten, isBrightened } from "./viewing.js";

/** Whether single letters are shortcuts. */
export const letters = () => remembered.get("letters") !== "no";

const THEMES = { auto: "as the system", light: "light", dark: "dark" };

function showTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  $("theme").title = `Colours: ${THEMES[theme]}`;
  $("theme").querySelector("span").textContent = `Colours: ${THEMES[theme]}`;
}

function showBrightened() {
  $("brighten").setAttribute("aria-pressed", String(isBrightened()));
}

function toggleBrightened() {
  brighten(!isBrightened());
  showBrightened();
  say(isBrightened() ? "Dark pictures are brightened" : "Pictures are shown as they are");
}

let theme = remembered.get("theme") ?? "auto";
if (!(theme in THEMES)) theme = "auto";
showTheme(theme);
$("theme").addEventListener("click", () => {
  const all = Object.keys(THEMES);
  theme = all[(all.indexOf(theme) + 1) % all.length];
  remembered.set("theme", theme);
  showTheme(theme);
  say(`Colours: ${THEMES[theme]}`);
});
brighten(remembered.get("brighten") !== "no");
showBrightened();
$("brighten").addEventListener("click", toggleBrightened);
$("help").addEventListener("click", () => $("help-dialog").showModal());
$("responsible").addEventListener("click", () => $("use-dialog").showModal());

$("letters").checked = letters();
$("letters").addEventListener("change", (event) =>
  remembered.set("letters", event.target.checked ? "yes" : "no"),
);
fill(
  $("filter-help"),
  Object.entries(FILTERS).map(([, { help, example }]) => [
    h("dt", {}, h("code", {}, example)),
    h("dd", {}, help),
  ]),
);
document
  .querySelectorAll("dialog")
  .forEach((dialog) =>
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()),
  );

addEventListener("keydown", (event) => {
  if (
    (event.ctrlKey || event.metaKey) &&
    event.key === "z" &&
    !event.target.matches("input, textarea")
  ) {
    if (undoLast()) event.preventDefault();
    return;
  }
  if (
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    event.target.matches("input:not([type=radio], [type=checkbox], [type=range]), textarea, select")
  )
    return;
  if (document.querySelector("dialog[open]") || !letters()) return;
  const deed = {
    "/": () => $("words").focus(),
    u: () => ($("choose-more") ?? $("choose"))?.click(),
    b: toggleBrightened,
    "?": () => $("help-dialog").showModal(),
  }[event.key];
  if (deed) {
    event.preventDefault();
    deed();
  }
});
