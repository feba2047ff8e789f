// What stands around the hits of an answer: how many, how sure, grouped how, and that nobody is.

import { count, h, icon } from "./dom.js";
import { parts } from "./filters.js";
import { isChance, percent } from "./grid.js";
import { capital, heading, message } from "./messages.js";
import { change, state } from "./state.js";

const MOST_HITS = 1000;

/** The heading of an answer, with its grouping and the least similarity. */
export function hitsHeading(found) {
  const among = found.modality ? `${found.modality} pictures` : "all pictures";
  const what = {
    none: ["hit", "hits"],
    person: ["person", "people"],
    tracklet: ["tracklet", "tracklets"],
  }[found.group];
  const seconds =
    found.took_ms < 1000
      ? `${Math.max(1, Math.round(found.took_ms))} ms`
      : `${(found.took_ms / 1000).toFixed(1)} s`;
  return heading(
    found.hits.length
      ? `${count(found.hits.length, ...what)} among ${among}`
      : `Nobody among ${among}`,
    found.hits.length > 0 &&
      h(
        "p",
        { class: "hint" },
        found.hits.some(isChance)
          ? "Similarity, and probability of the same person"
          : "Similarity, no probability",
        ` · ${seconds}`,
      ),
    grouping(),
    threshold(),
  );
}

function grouping() {
  return h(
    "fieldset",
    { class: "segments compact" },
    h("legend", { class: "unseen" }, "Show the best of each"),
    h(
      "div",
      {},
      [
        ["none", "All", "search"],
        ["person", "People", "people"],
        ["tracklet", "Tracklets", "play"],
      ].map(([value, text, mark]) =>
        h(
          "label",
          {},
          h("input", {
            type: "radio",
            name: "group",
            value,
            checked: state.group === value,
            onchange: () => change({ group: value, top: 48 }),
          }),
          h("span", {}, icon(mark), text),
        ),
      ),
    ),
  );
}

function threshold() {
  const now = state.filters.map(parts).find(({ name }) => name === "similarity")?.value;
  const input = h("input", {
    type: "range",
    name: "similarity",
    min: 0,
    max: 0.9,
    step: 0.05,
    value: now ?? 0,
    "aria-valuetext": now ? `at least ${now}` : "any",
  });
  const shown = h("output", {}, now ? `≥ ${now}` : "any");
  input.addEventListener(
    "input",
    () => (shown.textContent = Number(input.value) ? `≥ ${input.value}` : "any"),
  );
  input.addEventListener("change", () => {
    const kept = state.filters.filter((word) => parts(word).name !== "similarity");
    change({ filters: Number(input.value) ? [...kept, `similarity:${input.value}`] : kept });
  });
  return h("label", { class: "threshold" }, "Similarity", input, shown);
}

/** A button for more hits, or a word that there are no more. */
export function moreHits(found) {
  const all = found.hits.length < state.top || state.top >= MOST_HITS;
  if (all)
    return h(
      "p",
      { class: "end hint" },
      found.hits.length < state.top
        ? "These are all."
        : `The first ${MOST_HITS.toLocaleString("en")}; filter to see others.`,
    );
  const next = Math.min(MOST_HITS, state.top < 200 ? 200 : MOST_HITS);
  return h(
    "div",
    { class: "end" },
    h(
      "button",
      { type: "button", name: "more", onclick: () => change({ top: next }, { replace: true }) },
      `Show ${next.toLocaleString("en")}`,
    ),
  );
}

/** How probable it is that the person is not here at all, where that is known. */
export function perhapsNobody({ hits, nobody_probability: chance }) {
  if (!hits.length || chance === null || chance === undefined) return null;
  const told =
    chance < 0.5
      ? [`Probability that nobody here is the person: `, h("b", {}, percent(chance)), "."]
      : [
          h("b", {}, `Probably nobody here is the person: ${percent(chance)}.`),
          " These are the most similar pictures all the same.",
        ];
  return h(
    "p",
    { class: chance < 0.5 ? "perhaps" : "perhaps nobody" },
    icon("nobody"),
    h("span", {}, told),
  );
}

/** The answer that nobody is similar enough. */
export function nobody(found) {
  const loosen = state.filters.some((word) => parts(word).name === "similarity");
  return message(
    "nobody",
    "Nobody here is similar enough",
    `${found.nobody?.reason ? `${capital(found.nobody.reason)}. ` : ""}That is an answer: the person may never have been seen by these cameras.`,
    loosen &&
      h(
        "div",
        { class: "row" },
        h(
          "button",
          {
            type: "button",
            onclick: () =>
              change({
                filters: state.filters.filter((word) => parts(word).name !== "similarity"),
              }),
          },
          "Show the most similar ones all the same",
        ),
      ),
  );
}
