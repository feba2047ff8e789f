// One line for filters and sentences: words become chips, and suggestions say what there is.

import { button, count, fill, h, icon, say } from "./dom.js";
import { FILTERS, having, isFilter, lineOf, parts, without, wordsOf } from "./filters.js";
import { change, state } from "./state.js";

const MOST = 8;

/** Set the bar up in an element; it returns a function that shows the state anew. */
export function searchBar(place, galleryNow) {
  let shown = [];
  let active = -1;
  const chips = h("ul", { class: "chips", "aria-label": "Filters" });
  const input = h("input", {
    id: "words",
    type: "text",
    role: "combobox",
    autocomplete: "off",
    spellcheck: "false",
    enterkeyhint: "search",
    "aria-label": "Filter the pictures, or describe a person",
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": "suggestions",
    "aria-describedby": "words-wrong",
  });
  const list = h("ul", {
    class: "suggestions",
    id: "suggestions",
    role: "listbox",
    "aria-label": "Suggestions",
    hidden: true,
  });
  const wrong = h("p", { class: "wrong", id: "words-wrong", role: "alert" });
  place.append(h("div", { class: "line" }, icon("search"), chips, input), list, wrong);

  const tell = (text) => {
    fill(wrong, text);
    input.setAttribute("aria-invalid", text ? "true" : "false");
  };

  const close = () => {
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };

  const mark = (to) => {
    active = to;
    [...list.children].forEach((option, at) =>
      option.setAttribute("aria-selected", String(at === active)),
    );
    if (active < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", `suggestion-${active}`);
    list.children[active].scrollIntoView({ block: "nearest" });
  };

  const suggest = () => {
    shown = suggestions(input.value, galleryNow());
    fill(
      list,
      shown.map(({ word, about }, at) =>
        h(
          "li",
          {
            role: "option",
            id: `suggestion-${at}`,
            "aria-selected": "false",
            onpointerdown: (event) => (event.preventDefault(), take(at)),
          },
          h("code", {}, word),
          h("span", {}, about),
        ),
      ),
    );
    list.hidden = shown.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
    mark(-1);
  };

  const take = (at) => {
    const { word } = shown[at];
    const before = wordsOf(input.value).slice(0, /\s$/.test(input.value) ? undefined : -1);
    if (word.endsWith(":")) {
      input.value = [lineOf(before), word].filter(Boolean).join(" ");
      suggest();
    } else {
      input.value = "";
      close();
      enter([...before, word]);
    }
    input.focus();
  };

  const enter = (given) => {
    const filters = given.filter(isFilter);
    const rest = given.filter((word) => !isFilter(word));
    const like = rest.find((word) => word.includes(":"));
    if (like) {
      const { name } = parts(like);
      tell(
        name in FILTERS
          ? `${like} says nothing; write ${FILTERS[name].example}.`
          : `There is no filter ${name}:. Filters are ${Object.keys(FILTERS).join(", ")}.`,
      );
      input.value = lineOf(given);
      return;
    }
    const model = galleryNow()?.model;
    if (rest.length && !model?.text) {
      tell(
        `The model ${model?.name ?? ""} reads no sentences. Drop a picture, or write filters such as camera:gate.`,
      );
      input.value = lineOf(given);
      return;
    }
    tell("");
    const asked = { filters: filters.reduce(having, state.filters) };
    change(
      rest.length ? { ...asked, text: rest.join(" "), uploads: [], pictures: [], top: 48 } : asked,
    );
  };

  input.addEventListener("input", () => (tell(""), suggest()));
  input.addEventListener("focus", suggest);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) suggest();
      const number = shown.length;
      if (number)
        mark(event.key === "ArrowDown" ? (active + 1) % number : (active - 1 + number) % number);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (active >= 0) return take(active);
      const words = wordsOf(input.value);
      if (!words.length) return;
      input.value = "";
      close();
      enter(words);
    } else if (event.key === "Escape" && !list.hidden) {
      event.stopPropagation();
      close();
    } else if (event.key === "Backspace" && input.value === "" && state.filters.length) {
      say(`${state.filters.at(-1)} left out`);
      change({ filters: state.filters.slice(0, -1) });
    }
  });

  return () => {
    fill(
      chips,
      state.filters.map((word) => {
        const { name, value } = parts(word);
        return h(
          "li",
          { class: "chip" },
          h("span", {}, h("b", {}, `${name}:`), value),
          button(
            "close",
            `Leave out ${word}`,
            () => (change({ filters: without(state.filters, word) }), input.focus()),
            { only: true },
          ),
        );
      }),
    );
    input.placeholder = state.filters.length
      ? "and …"
      : galleryNow()?.model.text
        ? "Describe a person, or filter: camera:gate"
        : "Filter: camera:gate after:2026-11-24";
    tell("");
    // Who typed before the gallery was known has waited for this.
    if (input.value && document.activeElement === input && list.hidden) suggest();
  };
}

function suggestions(line, gallery) {
  if (!gallery) return [];
  const word = /\s$/.test(line) ? "" : (wordsOf(line).at(-1) ?? "");
  const { name, value } = parts(word);
  if (!name || !(name in FILTERS)) {
    return Object.entries(FILTERS)
      .filter(([each]) => each.startsWith(word.toLowerCase()))
      .map(([each, { help }]) => ({ word: `${each}:`, about: help }));
  }
  const begun = value.toLowerCase();
  return known(name, gallery)
    .filter(([each]) => each.toLowerCase().includes(begun))
    .slice(0, MOST)
    .map(([each, number]) => ({
      word: `${name}:${each}`,
      about: number === null ? "" : count(number, "picture"),
    }));
}

function known(name, gallery) {
  const days = () => Object.entries(gallery.days).sort(([one], [other]) => (one < other ? 1 : -1));
  const values = {
    camera: () => Object.entries(gallery.cameras),
    person: () => Object.entries(gallery.people),
    modality: () => Object.entries(gallery.modalities),
    tag: () => gallery.tags.map((tag) => [tag, null]),
    in: () => gallery.sources.map((source) => [source, null]),
    source: () => gallery.sources.map((source) => [source, null]),
    on: days,
    after: days,
    before: days,
  };
  return values[name]?.() ?? [];
}
