// What is searched with: pictures that are dropped, pasted, chosen or photographed.

import { button, fill, h, icon } from "./dom.js";
import { change, state } from "./state.js";
import { keep, upload } from "./uploads.js";
import { drawn, image } from "./viewing.js";

const MOST = 16;
const canvases = new Map();

/** Search with files, in place of what is asked or together with it. */
export async function searchWith(files, { together = false } = {}) {
  const pictures = [...files].filter(
    (file) => file.type.startsWith("image/") || /\.(jpe?g|png|webp|bmp|tiff?)$/i.test(file.name),
  );
  if (!pictures.length) return false;
  const ids = await Promise.all(pictures.slice(0, MOST).map(keep));
  const before = together ? state.uploads : [];
  change({
    uploads: [...before, ...ids].slice(-MOST),
    pictures: together ? state.pictures : [],
    text: "",
    spectrum: "auto",
    top: 48,
  });
  return true;
}

/** A button that chooses pictures; on phones a second one takes them. */
export function choosers({ together = false, quiet = false } = {}) {
  const choose = (properties) => {
    const input = h("input", {
      type: "file",
      accept: "image/*",
      class: "unseen",
      tabindex: "-1",
      "aria-hidden": "true",
      ...properties,
    });
    input.addEventListener("change", () => {
      searchWith(input.files, { together });
      input.value = "";
    });
    return input;
  };
  const several = choose({ multiple: true, id: together ? "choose-more" : "choose" });
  const photo = choose({ capture: "environment", id: together ? "photo-more" : "photo" });
  const kind = quiet ? "small" : "primary";
  return [
    button("upload", together ? "Add pictures" : "Choose pictures", () => several.click(), {
      class: kind,
    }),
    button("camera", "Take a photo", () => photo.click(), {
      class: quiet ? "small touch" : "touch",
    }),
    several,
    photo,
  ];
}

/** The panel: query pictures, their spectrum, and how to search. */
export function panel(gallery) {
  const shots = h("ul", { class: "queries", "aria-label": "Searching with" });
  state.uploads.forEach((id) => shots.append(uploaded(id)));
  state.pictures.forEach((id) => shots.append(known(id, gallery)));
  const number = state.uploads.length + state.pictures.length;
  return h(
    "section",
    { class: "panel", "aria-label": "The query" },
    number > 0 && shots,
    state.text && sentence(),
    number > 0 && h("div", { class: "row" }, choosers({ together: true, quiet: true })),
    h(
      "details",
      { class: "settings", open: matchMedia("(min-width: 900px)").matches },
      h("summary", {}, icon("down"), "How to search"),
      h(
        "div",
        { class: "fields" },
        state.uploads.length > 0 && spectrum(),
        choice("among", "Search in", [
          ["other", number > 0 ? "the other spectrum" : "both spectra"],
          ["visible", "visible pictures"],
          ["infrared", "infrared pictures"],
          ...(number > 0 ? [["both", "both spectra"]] : []),
        ]),
        state.among === "both" &&
          number > 0 &&
          h(
            "p",
            { class: "hint" },
            "Pictures of one spectrum look alike even when they show different people.",
          ),
        number > 1 &&
          choice("several", "Several pictures count by", [
            ["mean", "their mean"],
            ["best", "the best of them"],
          ]),
        number > 0 &&
          tick(
            "centre",
            "Subtract what each camera’s pictures share",
            "Needs 20 pictures of the query’s spectrum; helps on photographs.",
          ),
      ),
    ),
  );
}

/** Show the spectrum that the service guessed. */
export function tellSpectrum(query) {
  const hint = document.getElementById("guessed");
  if (!hint || !query?.modality) return;
  fill(
    hint,
    query.guessed
      ? [icon(query.modality), `Looks ${query.modality}. If that is wrong, say so above.`]
      : [icon(query.modality), `Searched as ${query.modality}.`],
  );
}

function spectrum() {
  const options = [
    ["auto", "Guess", "search"],
    ["visible", "Visible", "visible"],
    ["infrared", "Infrared", "infrared"],
  ];
  return h(
    "fieldset",
    { class: "segments" },
    h("legend", {}, "Spectrum of the query"),
    h(
      "div",
      {},
      options.map(([value, text, mark]) =>
        h(
          "label",
          {},
          h("input", {
            type: "radio",
            name: "spectrum",
            value: value,
            checked: state.spectrum === value,
            onchange: () => change({ spectrum: value }),
          }),
          h("span", {}, icon(mark), text),
        ),
      ),
    ),
    h("p", { class: "hint", id: "guessed" }),
  );
}

function choice(name, text, options) {
  return h(
    "label",
    { class: "field" },
    h("span", {}, text),
    h(
      "select",
      { onchange: (event) => change({ [name]: event.target.value }), name },
      options.map(([value, said]) => h("option", { value, selected: state[name] === value }, said)),
    ),
  );
}

function tick(name, text, hint) {
  return h(
    "div",
    { class: "field" },
    h(
      "label",
      { class: "switch" },
      h("input", {
        type: "checkbox",
        name,
        checked: state[name],
        onchange: (event) => change({ [name]: event.target.checked }),
      }),
      text,
    ),
    h("p", { class: "hint" }, hint),
  );
}

function uploaded(id) {
  const stage = h("div", { class: "shot" });
  const name = h("span", { class: "unseen" }, "your picture");
  if (canvases.has(id)) stage.append(canvases.get(id), name);
  else {
    upload(id).then((file) => {
      if (!file) return stage.classList.add("gone");
      canvases.set(id, drawn(file, 320));
      fill(stage, canvases.get(id), name);
    });
  }
  return h("li", {}, stage, dismiss("uploads", id));
}

function known(id, gallery) {
  const base = new URL(
    `api/v1/galleries/${encodeURIComponent(gallery.name)}/pictures/${encodeURIComponent(id)}`,
    new URL(".", location.href),
  );
  const stage = h(
    "div",
    { class: "shot" },
    image({ thumbnail: `${base.pathname}/thumbnail` }, { height: 320, eager: true }),
  );
  return h("li", {}, stage, dismiss("pictures", id));
}

function dismiss(list, id) {
  const without = () => change({ [list]: state[list].filter((each) => each !== id), top: 48 });
  return button("close", "Search without this picture", without, { only: true, class: "dismiss" });
}

function sentence() {
  return h(
    "blockquote",
    { class: "sentence" },
    `“${state.text}”`,
    button("close", "Search without this sentence", () => change({ text: "" }), {
      only: true,
      class: "quiet",
    }),
  );
}
