// Side by side: the query, a hit, and what can be said of it.

import * as api from "./api.js";
import { $, button, count, fill, h, icon, when, whom } from "./dom.js";
import { isChance, shownLikeness, tracklet } from "./grid.js";
import { inWords, light } from "./matched.js";
import { state } from "./state.js";
import { upload } from "./uploads.js";
import { drawn, image, sized } from "./viewing.js";

/** Open the dialog at a picture of a grid; `deeds` as in the grid, `search` is the id of the search. */
export function compare(grid, item, { gallery, deeds, can, search }) {
  const dialog = $("compare");
  let now = item;
  let lit = false;

  async function shine() {
    const shown = now;
    const place = dialog.querySelector(".matched-place");
    if (!lit || !now.rank) return fill(place);
    const told = await api
      .comparison(gallery.name, search, now.id)
      .catch((error) => ({ how: null, reason: error.message }));
    if (shown !== now || !lit || !dialog.open) return;
    fill(place, inWords(told));
    const [query, hit] = dialog.querySelectorAll(".pair .stage");
    light(query, told.query);
    light(hit, told.hit);
  }

  const toggle = () => {
    lit = !lit;
    draw();
  };

  const step = (by) => {
    const at = grid.items.findIndex((each) => each.id === now.id) + by;
    if (!grid.items[at]) return;
    now = grid.items[at];
    draw();
  };

  const leaving = (deed) => () => {
    dialog.close();
    deed();
  };

  function draw() {
    const at = grid.items.findIndex((each) => each.id === now.id);
    const focused = document.activeElement?.dataset?.role;
    const { same, selected } = grid.marks(now.id);
    fill(
      dialog,
      h(
        "header",
        {},
        h(
          "h2",
          { id: "compare-title" },
          now.rank ? `Hit ${now.rank}` : "Picture",
          h("span", {}, ` of ${grid.items.length.toLocaleString("en")}`),
        ),
        button("prev", "Previous (←)", () => step(-1), {
          only: true,
          class: "quiet",
          disabled: at <= 0,
          "data-role": "prev",
        }),
        button("next", "Next (→)", () => step(1), {
          only: true,
          class: "quiet",
          disabled: at >= grid.items.length - 1,
          "data-role": "next",
        }),
        button("close", "Close", () => dialog.close(), {
          only: true,
          class: "quiet",
          "data-role": "close",
        }),
      ),
      h(
        "div",
        { class: "pair" },
        now.rank && asked(gallery),
        h(
          "figure",
          { class: same === undefined ? "" : same ? "same" : "other" },
          h("div", { class: "stage" }, image(now, { height: null, eager: true })),
          h(
            "figcaption",
            {},
            now.rank ? verdict(now) : "In the gallery",
            same !== undefined &&
              h(
                "span",
                { class: "judged" },
                icon(same ? "same" : "other"),
                same ? "same person" : "another person",
              ),
          ),
        ),
      ),
      h("div", { class: "matched-place" }),
      now.tracklet && strip(gallery, now),
      h(
        "div",
        { class: "row deeds" },
        can.judge &&
          button("same", "Same person", () => deeds.judge(now, true).then(draw), {
            class: "yes",
            "aria-pressed": String(same === true),
            "data-role": "yes",
          }),
        can.judge &&
          button("other", "Another person", () => deeds.judge(now, false).then(draw), {
            class: "no",
            "aria-pressed": String(same === false),
            "data-role": "no",
          }),
        now.rank &&
          search &&
          button("light", "What matched", toggle, {
            "aria-pressed": String(lit),
            "data-role": "light",
          }),
        button(
          "similar",
          "Find similar",
          leaving(() => deeds.similar(now)),
          { "data-role": "similar" },
        ),
        can.write &&
          button("name", "Name and tags", () => deeds.name(now, draw), { "data-role": "name" }),
        button("select", selected ? "Unselect" : "Select", () => (deeds.select(now), draw()), {
          "aria-pressed": String(selected),
          "data-role": "select",
        }),
        now.frame && frame(now),
        can.write &&
          button(
            "remove",
            "Remove",
            leaving(() => deeds.remove(now)),
            { class: "danger", "data-role": "remove" },
          ),
      ),
      facts(now),
    );
    shine();
    if (focused)
      (
        dialog.querySelector(`[data-role="${focused}"]:not(:disabled)`) ??
        dialog.querySelector('[data-role="close"]')
      ).focus();
  }

  dialog.onkeydown = (event) => {
    if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey)
      return;
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else if (can.letters() && can.judge && (event.key === "y" || event.key === "n"))
      deeds.judge(now, event.key === "y").then(draw);
    else if (can.letters() && event.key === "s") leaving(() => deeds.similar(now))();
    else return;
    event.preventDefault();
  };
  dialog.onclose = () => {
    const at = grid.items.findIndex((each) => each.id === now.id);
    if (at >= 0) grid.focus(at);
  };
  draw();
  dialog.showModal();
  dialog.querySelector('[data-role="close"]').focus();
}

function asked(gallery) {
  const stage = h("div", { class: "stage" });
  const number = state.uploads.length + state.pictures.length;
  if (state.text && !number)
    stage.append(h("blockquote", { class: "sentence" }, `“${state.text}”`));
  else if (state.uploads.length)
    upload(state.uploads[0]).then((file) =>
      file ? stage.append(drawn(file, 720)) : stage.classList.add("gone"),
    );
  else {
    const base = `${new URL(".", location.href).pathname}api/v1/galleries/${encodeURIComponent(gallery.name)}/pictures/${encodeURIComponent(state.pictures[0])}`;
    stage.append(image({ image: `${base}/image` }, { height: null, eager: true }));
  }
  return h(
    "figure",
    {},
    stage,
    h(
      "figcaption",
      {},
      number > 1 ? `The query, the first of ${count(number, "picture")}` : "The query",
    ),
  );
}

const verdict = (hit) =>
  isChance(hit)
    ? h(
        "span",
        {},
        "same person: ",
        h("b", {}, shownLikeness(hit)),
        `, similarity ${hit.similarity.toFixed(2)}`,
      )
    : h("span", {}, "similarity ", h("b", {}, shownLikeness(hit)));

function frame(item) {
  const details = h("details", { class: "frame" }, h("summary", {}, icon("frame"), "Whole frame"));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(framed(item));
  });
  return details;
}

/** The whole frame with its box. */
function framed(item) {
  const canvas = h("canvas", {
    class: "drawn",
    role: "img",
    "aria-label": "The whole frame, with a box around the person",
  });
  const picture = new Image();
  picture.onload = () => {
    canvas.width = picture.naturalWidth;
    canvas.height = picture.naturalHeight;
    const context = canvas.getContext("2d");
    context.drawImage(picture, 0, 0);
    const [left, top, right, bottom] = item.box;
    context.lineWidth = Math.max(2, canvas.width / 300);
    context.strokeStyle = "#fbbf24";
    context.strokeRect(left, top, right - left, bottom - top);
  };
  picture.src = item.frame;
  return canvas;
}

function strip(gallery, item) {
  const list = h("ul", {
    class: "strip",
    "aria-label": `Tracklet ${item.tracklet}`,
    tabindex: "0",
  });
  tracklet(gallery.name, item).then((frames) => {
    fill(
      list,
      frames.map((each) =>
        h(
          "li",
          { class: each.id === item.id ? "here" : "" },
          h("img", {
            src: sized(each.thumbnail, 96),
            alt: when(each.time) || "frame",
            loading: "lazy",
          }),
        ),
      ),
    );
  });
  return list;
}

function facts(item) {
  const rows = [
    ["Person", whom(item.person)],
    ["Camera", item.camera],
    ["Time", when(item.time)],
    ["Spectrum", item.modality],
    ["Tags", item.tags.join(", ")],
    ["Tracklet", item.tracklet],
    ["File", item.name],
  ];
  return h(
    "dl",
    { class: "facts" },
    rows
      .filter(([, value]) => value !== null && value !== "")
      .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value)))),
  );
}
