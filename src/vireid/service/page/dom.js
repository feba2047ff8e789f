// Making elements. Text is always set as text: nothing that comes from a gallery is read as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** The element with an id. */
export const $ = (id) => document.getElementById(id);

/**
 * Make an element.
 *
 * Properties that begin with "on" are listeners, `class` and `data` are what they say; a value of
 * null, undefined or false is left out, true is an empty attribute, the rest are attributes.
 * Children are nodes, texts, or lists of those; null and false are left out.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(
    ...children
      .flat(Infinity)
      .filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/** An icon of the sprite; it says nothing to screen readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `page/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** A button with an icon and a text; `only` hides the text from sight. */
export function button(name, text, onclick, { only = false, ...properties } = {}) {
  return h(
    "button",
    { type: "button", title: only ? text : null, onclick, ...properties },
    icon(name),
    h("span", { class: only ? "unseen" : null }, text),
  );
}

/** Put other children in place of an element's. */
export const fill = (element, ...children) => {
  element.replaceChildren(
    ...children
      .flat(Infinity)
      .filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
};

/** Have screen readers say something. */
export function say(text) {
  $("said").textContent = text;
}

/** "1 picture", "12 pictures". */
export const count = (number, one, many = `${one}s`) =>
  `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

/** A setting that this browser remembers. */
export const remembered = {
  get(name) {
    try {
      return localStorage.getItem(`vireid.${name}`);
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(`vireid.${name}`, value);
    } catch {
      // Storage may be forbidden; then it is forgotten.
    }
  },
};

/** Name of a person for people: numbers say that they are of persons. */
export const whom = (person) =>
  person === null ? "not named" : /^\d+$/.test(person) ? `person ${person}` : String(person);

/** Time of a picture for people; its zone is the one that the gallery says, never this browser's. */
export function when(time, { short = false } = {}) {
  if (!time) return "";
  const [, year, month, day, clock] = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d:\d\d))?/.exec(time) ?? [];
  if (!year) return time;
  const names = [
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
  ];
  const shownYear = short && Number(year) === new Date().getFullYear() ? "" : ` ${year}`;
  return `${Number(day)} ${names[month - 1]}${shownYear}${clock ? `, ${clock}` : ""}`;
}
