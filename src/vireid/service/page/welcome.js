// What is shown where nothing is asked yet: how to begin, and who has a name here.

import * as api from "./api.js";
import { count, h, icon } from "./dom.js";
import { having } from "./filters.js";
import { choosers } from "./query_panel.js";
import { change, state } from "./state.js";
import { image } from "./viewing.js";

const PEOPLE = 14;

/** How to begin, and how much there is. */
export function hero(gallery) {
  const night = gallery.modalities.infrared ?? 0;
  const day = gallery.modalities.visible ?? 0;
  return h(
    "section",
    { class: "hero", "aria-label": "Search with a picture" },
    h("h1", {}, "Find somebody again, by day and by night"),
    h(
      "p",
      {},
      "Drop a picture of one person here, head to feet, or paste it. Several of the same person count together.",
    ),
    h("div", { class: "row" }, choosers()),
    h(
      "p",
      { class: "counts" },
      [
        ["visible", count(day, "visible picture")],
        ["infrared", count(night, "infrared picture")],
        ["camera", count(Object.keys(gallery.cameras).length, "camera")],
        [
          "people",
          count(Object.keys(gallery.people).length + gallery.identities, "person", "people"),
        ],
      ].map(([mark, text]) => h("span", {}, icon(mark), text)),
    ),
  );
}

/** The people who have most pictures; null where nobody has a name. */
export function people(gallery, signal) {
  const named = Object.entries(gallery.people).sort(([, one], [, other]) => other - one);
  if (!named.length) return null;
  const list = h(
    "ul",
    { class: "people" },
    named.slice(0, PEOPLE).map(([who, number]) => {
      const face = h("span", { class: "face shot" });
      api.pictures(gallery.name, [`person:${who}`], { limit: 1, signal }).then(
        ({ pictures: [first] }) => first && face.append(image(first, { height: 128 })),
        () => {},
      );
      return h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            onclick: () => change({ filters: having(state.filters, `person:${who}`) }),
          },
          face,
          h("span", { class: "who" }, who),
          h("span", { class: "hint" }, String(number)),
        ),
      );
    }),
  );
  return h("section", { "aria-label": "People" }, h("h2", {}, "People"), list);
}
