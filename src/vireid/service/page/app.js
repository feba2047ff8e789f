// The page: what is asked (state.js) leads to what is shown.

import * as api from "./api.js";
import * as changes from "./changes.js";
import { compare } from "./compare.js";
import { $, button, count, fill, h, icon, remembered, say } from "./dom.js";
import { FILTERS, having, lineOf, parts } from "./filters.js";
import { Grid, isChance, percent } from "./grid.js";
import { choosers, panel, searchWith, tellSpectrum } from "./query_panel.js";
import { searchBar } from "./search_bar.js";
import { change, isSearch, nothing, onChange, state } from "./state.js";
import { timeline } from "./timeline.js";
import { upload } from "./uploads.js";
import { brighten, image, isBrightened } from "./viewing.js";

const MOST_HITS = 1000;
const PEOPLE = 14;
const isPhone = matchMedia("(max-width: 899px)");

let session = null;
let galleries = [];
let gallery = null;
let answer = null;
let grid = null;
let running = new AbortController();
let bins = [];
let shownFor = null;
const selected = new Map();
const judged = new Map();

const showBar = searchBar($("omni"), () => gallery);
const can = {
  get write() {
    return Boolean(gallery?.can_write);
  },
  get judge() {
    return this.write && state.uploads.length + state.pictures.length > 0;
  },
  letters: () => remembered.get("letters") !== "no",
};

const deeds = {
  open: (item) => compare(grid, item, { gallery, deeds, can }),
  similar: (item) => change({ ...nothing(), filters: withoutPlace(), pictures: [item.id], among: state.among, group: state.group }),
  judge: (item, same) => changes.judge(gallery.name, answer.search, item, same, () => (judged.set(item.id, same), grid.refresh([item.id]))),
  name: (item, then = () => {}) => changes.name(gallery, [item], () => (renamed([item]), then())),
  select: (item) => {
    if (!selected.delete(item.id)) selected.set(item.id, item);
    grid.refresh([item.id]);
    showSelection();
  },
  remove: (item) => changes.remove(gallery.name, [item.id], removed),
  all: (item) => {
    const word = state.group === "tracklet" ? item.tracklet && `tracklet:${item.tracklet}` : item.person !== null && `person:${item.person}`;
    if (word) change({ group: "none", filters: having(state.filters, word) });
  },
};

const withoutPlace = () => state.filters.filter((word) => !["similarity", "person", "tracklet", "modality"].includes(parts(word).name));

function renamed(items) {
  grid?.refresh(items.map((item) => item.id));
  refreshGallery();
}

function removed(ids) {
  ids?.forEach((id) => selected.delete(id));
  showSelection();
  refreshGallery();
  if (ids && grid) {
    grid.drop(ids);
    if (!grid.items.length) show();
  } else show();
}

async function refreshGallery() {
  try {
    gallery = await api.gallery(gallery.name);
    galleries = galleries.map((each) => (each.name === gallery.name ? gallery : each));
    showBins(await api.timeline(gallery.name, wideFilters()));
  } catch {
    // The next request tells it.
  }
}

// -- Starting ---------------------------------------------------------------------------------

async function start() {
  try {
    session = await api.session();
    $("leave").hidden = !(session.key_required && session.authenticated);
    if (session.key_required && !session.authenticated) return showLocked();
    galleries = await api.galleries();
    document.body.classList.remove("closed");
  } catch (error) {
    return error.status === 401 ? showLocked() : showError(error, start);
  }
  fill($("gallery"), galleries.map((each) => h("option", { value: each.name }, each.name)));
  $("gallery").closest("label").classList.toggle("single", galleries.length < 2);
  if (!galleries.length) return showMessage("search", "There is no gallery", "Start the service with one: ", h("code", {}, "vireid serve site.gallery"));
  show();
}

onChange(show);

async function show() {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  if (!galleries.length) return start();
  const last = galleries.find((each) => each.name === remembered.get("gallery")) ?? galleries[0];
  const asked = state.gallery || last.name;
  gallery = galleries.find((each) => each.name === asked) ?? null;
  if (!gallery) {
    const known = galleries.map((each) => each.name);
    return showMessage("search", `There is no gallery ${asked}`, `It may have another name now, or your key does not open it. There is: ${known.join(", ")}.`);
  }
  state.gallery = gallery.name;
  $("gallery").value = gallery.name;
  remembered.set("gallery", gallery.name);
  showCaveats(gallery.model.caveat ? [`${gallery.model.name}: ${gallery.model.caveat}`] : []);
  document.body.classList.toggle("searching", isSearch());
  document.title = `${isSearch() ? "Search" : "Pictures"} – ${gallery.name} – vireid`;
  showBar();
  const search = lineOf([...state.uploads, ...state.pictures, state.text]);
  if (search !== shownFor) {
    judged.clear();
    selected.clear();
    showSelection();
    shownFor = search;
  }
  try {
    await (isSearch() ? showSearch(signal) : showPictures(signal));
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.status === 401) showLocked();
    else showError(error, show);
  }
}

function showCaveats(caveats) {
  const told = caveats.map((each) => `${capital(each)}.`).join(" ");
  $("caveat").textContent = told;
  $("model-caveat").textContent = told;
}

// -- What is shown ----------------------------------------------------------------------------

function layout(...results) {
  const main = $("main");
  const focused = main.contains(document.activeElement) ? document.activeElement : null;
  const name = focused?.name;
  const value = focused?.type === "radio" ? focused.value : null;
  const aside = isSearch() ? panel(gallery) : null;
  const place = h("section", { id: "results", tabindex: "-1", "aria-label": isSearch() ? "Hits" : "Pictures" }, results);
  fill(main, aside, place);
  if (name) main.querySelector(`[name="${CSS.escape(name)}"]${value ? `[value="${value}"]` : ""}`)?.focus();
  return place;
}

function newGrid(label, stacked = null) {
  grid = new Grid({
    label,
    deeds,
    can,
    stacked,
    gallery: gallery.name,
    marks: (id) => ({ selected: selected.has(id), same: judged.get(id) }),
  });
  return grid.element;
}

const skeleton = () =>
  h("ul", { class: "grid", "aria-hidden": "true" }, Array.from({ length: 18 }, () => h("li", { class: "card waiting" }, h("div", { class: "shot" }), h("div", { class: "about" }))));

async function showSearch(signal) {
  const images = await Promise.all(state.uploads.map(upload));
  if (images.includes(null)) {
    layout(h("h1", { class: "unseen" }, "Search"), message("upload", "This picture stayed in the browser that it was dropped in", "An address does not carry pictures. Drop it here again to search with it.", h("div", { class: "row" }, choosers())));
    return;
  }
  const more = answer?.asked === shownFor && grid?.items.length ? window.scrollY : null;
  if (more === null || answer.group !== state.group) layout(heading("Searching …"), timelinePlace(), skeleton());
  $("results").setAttribute("aria-busy", "true");
  const [found] = await Promise.all([api.search(state, images, signal), loadBins(signal)]);
  if (signal.aborted) return;
  const before = answer;
  answer = { ...found, asked: shownFor };
  showCaveats(found.caveats);
  const again = before?.asked === shownFor && before.group === found.group && grid?.element.isConnected;
  const old = grid;
  const place = layout(hitsHeading(found), perhapsNobody(found), timelinePlace(), found.hits.length ? (again ? old.element : newGrid("Hits", found.group === "none" ? null : found.group)) : nobody(found));
  if (found.hits.length) {
    grid = again ? old : grid;
    grid.show(found.hits);
    place.append(moreHits(found));
  } else grid = null;
  showBins(bins);
  tellSpectrum(found.query);
  place.removeAttribute("aria-busy");
  say(found.hits.length ? `${count(found.hits.length, "hit")}` : "Nobody here is similar enough");
  if (more !== null && again) scrollTo(0, more);
}

function heading(text, ...more) {
  return h("div", { class: "head" }, h("h1", {}, text), ...more);
}

function hitsHeading(found) {
  const among = found.modality ? `${found.modality} pictures` : "all pictures";
  const what = { none: ["hit", "hits"], person: ["person", "people"], tracklet: ["tracklet", "tracklets"] }[found.group];
  const seconds = found.took_ms < 1000 ? `${Math.max(1, Math.round(found.took_ms))} ms` : `${(found.took_ms / 1000).toFixed(1)} s`;
  return heading(
    found.hits.length ? `${count(found.hits.length, ...what)} among ${among}` : `Nobody among ${among}`,
    found.hits.length > 0 && h("p", { class: "hint" }, found.hits.some(isChance) ? "Similarity, and probability of the same person" : "Similarity, no probability", ` · ${seconds}`),
    grouping(),
    threshold(found),
  );
}

function grouping() {
  return h(
    "fieldset",
    { class: "segments compact" },
    h("legend", { class: "unseen" }, "Show the best of each"),
    h("div", {}, [["none", "All", "search"], ["person", "People", "people"], ["tracklet", "Tracklets", "play"]].map(([value, text, mark]) =>
      h("label", {}, h("input", { type: "radio", name: "group", value, checked: state.group === value, onchange: () => change({ group: value, top: 48 }) }), h("span", {}, icon(mark), text)),
    )),
  );
}

function threshold(found) {
  const now = state.filters.map(parts).find(({ name }) => name === "similarity")?.value;
  const input = h("input", { type: "range", name: "similarity", min: 0, max: 0.9, step: 0.05, value: now ?? 0, "aria-valuetext": now ? `at least ${now}` : "any" });
  const shown = h("output", {}, now ? `≥ ${now}` : "any");
  input.addEventListener("input", () => (shown.textContent = Number(input.value) ? `≥ ${input.value}` : "any"));
  input.addEventListener("change", () => {
    const kept = state.filters.filter((word) => parts(word).name !== "similarity");
    change({ filters: Number(input.value) ? [...kept, `similarity:${input.value}`] : kept });
  });
  return h("label", { class: "threshold" }, "Similarity", input, shown);
}

function moreHits(found) {
  const all = found.hits.length < state.top || state.top >= MOST_HITS;
  if (all) return h("p", { class: "end hint" }, found.hits.length < state.top ? "These are all." : `The first ${MOST_HITS.toLocaleString("en")}; filter to see others.`);
  const next = Math.min(MOST_HITS, state.top < 200 ? 200 : MOST_HITS);
  return h("div", { class: "end" }, h("button", { type: "button", name: "more", onclick: () => change({ top: next }, { replace: true }) }, `Show ${next.toLocaleString("en")}`));
}

/** How probable it is that the person is not here at all, where that is known. */
function perhapsNobody({ hits, nobody_probability: chance }) {
  if (!hits.length || chance === null || chance === undefined) return null;
  const told =
    chance < 0.5
      ? [`Probability that nobody here is the person: `, h("b", {}, percent(chance)), "."]
      : [h("b", {}, `Probably nobody here is the person: ${percent(chance)}.`), " These are the most similar pictures all the same."];
  return h("p", { class: chance < 0.5 ? "perhaps" : "perhaps nobody" }, icon("nobody"), h("span", {}, told));
}

function nobody(found) {
  const loosen = state.filters.some((word) => parts(word).name === "similarity");
  return message(
    "nobody",
    "Nobody here is similar enough",
    `${found.nobody?.reason ? `${capital(found.nobody.reason)}. ` : ""}That is an answer: the person may never have been seen by these cameras.`,
    loosen && h("div", { class: "row" }, h("button", { type: "button", onclick: () => change({ filters: state.filters.filter((word) => parts(word).name !== "similarity") }) }, "Show the most similar ones all the same")),
  );
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

async function showPictures(signal) {
  answer = null;
  const listed = newGrid("Pictures");
  const rest = h("div", { class: "end" });
  layout(state.filters.length ? null : hero(), timelinePlace(), state.filters.length ? null : people(signal), heading(state.filters.length ? "Pictures" : "All pictures", state.filters.length > 0 && h("p", { class: "hint" }, "Find similar ones with any of them, or drop a picture to search among these.")), listed, rest);
  if (!gallery.pictures) {
    showBins([]);
    fill(rest, message("upload", "This gallery is empty", "Fill it: ", h("code", {}, `vireid index FOLDER --out ${gallery.name}.gallery`)));
    return;
  }
  await Promise.all([listFrom(null, rest, signal), loadBins(signal).then(showBins)]);
}

async function listFrom(after, rest, signal) {
  fill(rest, h("p", { class: "hint" }, "Loading …"));
  const { pictures, next } = await api.pictures(gallery.name, state.filters, { after, signal });
  if (signal.aborted) return;
  grid.show([...grid.items, ...pictures]);
  if (!grid.items.length) return fill(rest, message("search", "No picture is like that", "Leave a filter out."));
  if (!next) return fill(rest, h("p", { class: "hint" }, "These are all."));
  const more = h("button", { type: "button", onclick: () => changes.attempt(() => listFrom(next, rest, signal)) }, "Show more");
  fill(rest, more);
  new IntersectionObserver((seen, watch) => {
    if (!seen.some((each) => each.isIntersecting)) return;
    watch.disconnect();
    if (more.isConnected) listFrom(next, rest, signal).catch(() => fill(rest, more));
  }, { rootMargin: "600px" }).observe(more);
}

function hero() {
  const night = gallery.modalities.infrared ?? 0;
  const day = gallery.modalities.visible ?? 0;
  return h(
    "section",
    { class: "hero", "aria-label": "Search with a picture" },
    h("h1", {}, "Find somebody again, by day and by night"),
    h("p", {}, "Drop a picture of one person here, head to feet, or paste it. Several of the same person count together."),
    h("div", { class: "row" }, choosers()),
    h("p", { class: "counts" }, [
      ["visible", count(day, "visible picture")],
      ["infrared", count(night, "infrared picture")],
      ["camera", count(Object.keys(gallery.cameras).length, "camera")],
      ["people", count(Object.keys(gallery.people).length + gallery.identities, "person", "people")],
    ].map(([mark, text]) => h("span", {}, icon(mark), text))),
  );
}

function people(signal) {
  const named = Object.entries(gallery.people).sort(([, one], [, other]) => other - one);
  if (!named.length) return null;
  const list = h("ul", { class: "people" }, named.slice(0, PEOPLE).map(([who, number]) => {
    const face = h("span", { class: "face shot" });
    api.pictures(gallery.name, [`person:${who}`], { limit: 1, signal }).then(({ pictures: [first] }) => first && face.append(image(first, { height: 128 })), () => {});
    return h("li", {}, h("button", { type: "button", onclick: () => change({ filters: having(state.filters, `person:${who}`) }) }, face, h("span", { class: "who" }, who), h("span", { class: "hint" }, String(number))));
  }));
  return h("section", { "aria-label": "People" }, h("h2", {}, "People"), list);
}

// -- Timeline ---------------------------------------------------------------------------------

const wideFilters = () => state.filters.filter((word) => !["on", "after", "before", "camera", "similarity"].includes(parts(word).name));

async function loadBins(signal) {
  bins = await api.timeline(gallery.name, wideFilters(), signal);
  return bins;
}

const timelinePlace = () =>
  h("details", { class: "when", open: (remembered.get("timeline") ?? (isPhone.matches ? "no" : "yes")) !== "no", ontoggle: (event) => remembered.set("timeline", event.target.open ? "yes" : "no") }, h("summary", {}, icon("down"), "Cameras and times"), h("div", { id: "timeline" }));

function showBins(now) {
  const place = $("timeline");
  if (!place) return;
  const focused = place.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent : null;
  place.closest("details").hidden = !now.length;
  if (!now.length) return;
  fill(place, timeline(now, answer?.hits ?? [], state.filters, (filters) => change({ filters }), place.clientWidth || 900));
  if (focused) [...place.querySelectorAll("button")].find((each) => (each.getAttribute("aria-label") ?? each.textContent) === focused)?.focus();
}

// -- Selection --------------------------------------------------------------------------------

function showSelection() {
  const place = $("selection");
  place.hidden = selected.size === 0;
  if (!selected.size) return;
  const items = [...selected.values()];
  fill(
    place,
    h("strong", {}, `${selected.size.toLocaleString("en")} selected`),
    button("similar", "Search with these", () => change({ ...nothing(), filters: withoutPlace(), pictures: items.slice(0, 16).map((item) => item.id) }), { class: "small" }),
    can.write && button("name", "Name and tags", () => changes.name(gallery, items, () => renamed(items)), { class: "small" }),
    can.write && button("remove", "Remove", () => changes.remove(gallery.name, items.map((item) => item.id), removed), { class: "small danger" }),
    button("close", "Unselect all", () => {
      const ids = [...selected.keys()];
      selected.clear();
      grid?.refresh(ids);
      showSelection();
    }, { only: true, class: "quiet" }),
  );
}

const TITLES = {
  0: "No answer",
  403: "This key may not do that",
  404: "That is not here",
  413: "That is too large",
  422: "That does not fit",
  429: "One moment, please",
  503: "One moment, please",
};

// -- Messages ---------------------------------------------------------------------------------

function message(mark, title, text, ...more) {
  return h("div", { class: "message" }, icon(mark), h("h2", {}, title), h("p", {}, text, more.filter((each) => each && each.tagName === "CODE")), more.filter((each) => each && each.tagName !== "CODE"));
}

function showMessage(...told) {
  document.body.classList.remove("searching");
  fill($("main"), h("section", { id: "results", tabindex: "-1", "aria-label": "Message" }, h("h1", { class: "unseen" }, "vireid"), message(...told)));
}

function showError(error, again) {
  const told = message(
    "warn",
    TITLES[error.status] ?? (error.status >= 500 ? "The service has a fault" : "That does not work"),
    capital(error.message),
    error.request && h("p", { class: "hint" }, `Request ${error.request}`),
    h("div", { class: "row" }, h("button", { type: "button", class: "primary", onclick: () => again() }, "Try again"), h("button", { type: "button", onclick: () => change(nothing()) }, "Begin anew")),
  );
  told.setAttribute("role", "alert");
  if (gallery) layout(h("h1", { class: "unseen" }, "Error"), told);
  else fill($("main"), h("section", { id: "results", tabindex: "-1", "aria-label": "Error" }, h("h1", { class: "unseen" }, "vireid"), told));
}

function showLocked(problem = null) {
  document.body.classList.remove("searching");
  document.body.classList.add("closed");
  $("leave").hidden = true;
  galleries = [];
  gallery = null;
  const wrong = h("p", { class: "wrong", role: "alert", id: "key-wrong" }, problem);
  const key = h("input", { type: "password", name: "key", autocomplete: "current-password", required: true, "aria-describedby": "key-wrong", spellcheck: "false" });
  const enter = async (event) => {
    event.preventDefault();
    wrong.textContent = "";
    try {
      await api.enter(key.value.trim());
      await start();
    } catch (error) {
      wrong.textContent = error.status === 401 || error.status === 403 ? "This key opens nothing here. It may have been revoked, or have expired." : error.message;
      key.setAttribute("aria-invalid", "true");
      key.select();
    }
  };
  fill(
    $("main"),
    h(
      "section",
      { id: "results", tabindex: "-1", "aria-label": "Key" },
      h(
        "form",
        { class: "locked", onsubmit: enter },
        h("img", { src: "page/mark.svg", alt: "", width: 56, height: 56 }),
        h("h1", {}, "A key, please"),
        h("p", {}, "This service opens with a key. Whoever runs it makes one with ", h("code", {}, "vireid keys"), "."),
        h("label", { class: "field" }, h("span", {}, "Key"), key),
        wrong,
        h("button", { class: "primary" }, "Open"),
      ),
    ),
  );
  key.focus();
}

addEventListener("vireid:locked", () => {
  if (session?.key_required && !document.querySelector(".locked")) {
    document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close());
    showLocked(session.authenticated ? "The session has ended; give the key again." : null);
  }
});

// -- Pictures from outside ----------------------------------------------------------------------

let dragged = 0;
const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
addEventListener("dragenter", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  dragged += 1;
  $("landing").hidden = false;
});
addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
addEventListener("dragleave", () => {
  dragged = Math.max(0, dragged - 1);
  $("landing").hidden = dragged === 0;
});
addEventListener("drop", async (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  dragged = 0;
  $("landing").hidden = true;
  await take(event.dataTransfer.files);
});
addEventListener("paste", (event) => {
  const { files } = event.clipboardData;
  if (files.length) {
    event.preventDefault();
    take(files);
  }
});

async function take(files) {
  if (!gallery) return;
  document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close());
  if (!(await searchWith(files))) changes.toast("That is no picture. JPEG, PNG, WebP, BMP and TIFF can be searched with.", { bad: true });
}

// -- Switches and keys --------------------------------------------------------------------------

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
$("leave").addEventListener("click", () => changes.attempt(async () => {
  await api.leave();
  showLocked();
}));
$("gallery").addEventListener("change", (event) => change({ ...nothing(), gallery: event.target.value }));
$("home").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  change(nothing());
  scrollTo(0, 0);
});
$("letters").checked = can.letters();
$("letters").addEventListener("change", (event) => remembered.set("letters", event.target.checked ? "yes" : "no"));
fill($("filter-help"), Object.entries(FILTERS).map(([, { help, example }]) => [h("dt", {}, h("code", {}, example)), h("dd", {}, help)]));
document.querySelectorAll("dialog").forEach((dialog) => dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()));

addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "z" && !event.target.matches("input, textarea")) {
    if (changes.undoLast()) event.preventDefault();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=radio], [type=checkbox], [type=range]), textarea, select")) return;
  if (document.querySelector("dialog[open]") || !can.letters()) return;
  const deed = {
    "/": () => $("words").focus(),
    u: () => $("choose-more")?.click() ?? $("choose")?.click(),
    b: toggleBrightened,
    "?": () => $("help-dialog").showModal(),
  }[event.key];
  if (deed) {
    event.preventDefault();
    deed();
  }
});

start();
