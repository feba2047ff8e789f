// The page: what is asked (state.js) leads to what is shown.

import { hitsHeading, moreHits, nobody, perhapsNobody } from "./answer.js";
import * as api from "./api.js";
import * as changes from "./changes.js";
import { compare } from "./compare.js";
import { $, button, count, fill, h, icon, remembered, say } from "./dom.js";
import { having, lineOf, parts } from "./filters.js";
import { Grid } from "./grid.js";
import { failure, heading, keyForm, message } from "./messages.js";
import { choosers, panel, tellSpectrum } from "./query_panel.js";
import { receive } from "./receiving.js";
import { searchBar } from "./search_bar.js";
import { change, isSearch, nothing, onChange, state } from "./state.js";
import { letters } from "./switches.js";
import { timeline } from "./timeline.js";
import { upload } from "./uploads.js";
import { hero, people } from "./welcome.js";

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
let focusedCard = null;

const showBar = searchBar($("omni"), () => gallery);
const can = {
  get write() {
    return Boolean(gallery?.can_write);
  },
  get judge() {
    return this.write && state.uploads.length + state.pictures.length > 0;
  },
  letters,
};

const deeds = {
  open: (item) => compare(grid, item, { gallery, deeds, can, search: answer?.search }),
  similar: (item) =>
    change({
      ...nothing(),
      filters: withoutPlace(),
      pictures: [item.id],
      among: state.among,
      group: state.group,
    }),
  judge: (item, same) =>
    changes.judge(
      gallery.name,
      answer.search,
      item,
      same,
      () => (judged.set(item.id, same), grid.refresh([item.id])),
    ),
  name: (item, then = () => {}) => changes.name(gallery, [item], () => (renamed([item]), then())),
  select: (item) => {
    if (!selected.delete(item.id)) selected.set(item.id, item);
    grid.refresh([item.id]);
    showSelection();
  },
  remove: (item) => changes.remove(gallery.name, [item.id], removed),
  all: (item) => {
    const word =
      state.group === "tracklet"
        ? item.tracklet && `tracklet:${item.tracklet}`
        : item.person !== null && `person:${item.person}`;
    if (word) change({ group: "none", filters: having(state.filters, word) });
  },
};

const withoutPlace = () =>
  state.filters.filter(
    (word) => !["similarity", "person", "tracklet", "modality"].includes(parts(word).name),
  );

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
  fill(
    $("gallery"),
    galleries.map((each) => h("option", { value: each.name }, each.name)),
  );
  $("gallery")
    .closest("label")
    .classList.toggle("single", galleries.length < 2);
  if (!galleries.length)
    return showMessage(
      "search",
      "There is no gallery",
      "Start the service with one: ",
      h("code", {}, "vireid serve site.gallery"),
    );
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
    return showMessage(
      "search",
      `There is no gallery ${asked}`,
      `It may have another name now, or your key does not open it. There is: ${known.join(", ")}.`,
    );
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
  const told = caveats.map((each) => `${each}.`).join(" ");
  $("caveat").textContent = told;
  $("model-caveat").textContent = told;
}

// -- What is shown ----------------------------------------------------------------------------

function layout(...results) {
  const main = $("main");
  const focused = main.contains(document.activeElement) ? document.activeElement : null;
  const name = focused?.name;
  const value = focused?.type === "radio" ? focused.value : null;
  focusedCard = focused?.closest(".card")?.dataset.id ?? null;
  const aside = isSearch() ? panel(gallery) : null;
  const place = h(
    "section",
    { id: "results", tabindex: "-1", "aria-label": isSearch() ? "Hits" : "Pictures" },
    results,
  );
  fill(main, aside, place);
  if (name)
    main.querySelector(`[name="${CSS.escape(name)}"]${value ? `[value="${value}"]` : ""}`)?.focus();
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
  h(
    "ul",
    { class: "grid", "aria-hidden": "true" },
    Array.from({ length: 18 }, () =>
      h("li", { class: "card waiting" }, h("div", { class: "shot" }), h("div", { class: "about" })),
    ),
  );

async function showSearch(signal) {
  const images = await Promise.all(state.uploads.map(upload));
  if (images.includes(null)) {
    layout(
      h("h1", { class: "unseen" }, "Search"),
      message(
        "upload",
        "This picture stayed in the browser that it was dropped in",
        "An address does not carry pictures. Drop it here again to search with it.",
        h("div", { class: "row" }, choosers()),
      ),
    );
    return;
  }
  const more = answer?.asked === shownFor && grid?.items.length ? window.scrollY : null;
  if (more === null || answer.group !== state.group)
    layout(heading("Searching …"), timelinePlace(), skeleton());
  $("results").setAttribute("aria-busy", "true");
  const [found] = await Promise.all([api.search(state, images, signal), loadBins(signal)]);
  if (signal.aborted) return;
  const before = answer;
  answer = { ...found, asked: shownFor };
  for (const { id, same } of found.hits) if (same !== null) judged.set(id, same);
  showCaveats(found.caveats);
  const again =
    before?.asked === shownFor && before.group === found.group && grid?.element.isConnected;
  const old = grid;
  const place = layout(
    hitsHeading(found),
    perhapsNobody(found),
    timelinePlace(),
    found.hits.length
      ? again
        ? old.element
        : newGrid("Hits", found.group === "none" ? null : found.group)
      : nobody(found),
  );
  if (found.hits.length) {
    grid = again ? old : grid;
    grid.show(found.hits);
    grid.focusOn(focusedCard);
    place.append(moreHits(found));
  } else grid = null;
  showBins(bins);
  tellSpectrum(found.query);
  place.removeAttribute("aria-busy");
  say(found.hits.length ? `${count(found.hits.length, "hit")}` : "Nobody here is similar enough");
  if (more !== null && again) scrollTo(0, more);
}

async function showPictures(signal) {
  answer = null;
  const listed = newGrid("Pictures");
  const rest = h("div", { class: "end" });
  layout(
    state.filters.length ? null : hero(gallery),
    timelinePlace(),
    state.filters.length ? null : people(gallery, signal),
    heading(
      state.filters.length ? "Pictures" : "All pictures",
      state.filters.length > 0 &&
        h(
          "p",
          { class: "hint" },
          "Find similar ones with any of them, or drop a picture to search among these.",
        ),
    ),
    listed,
    rest,
  );
  if (!gallery.pictures) {
    showBins([]);
    fill(
      rest,
      message(
        "upload",
        "This gallery is empty",
        "Fill it: ",
        h("code", {}, `vireid index FOLDER --out ${gallery.name}.gallery`),
      ),
    );
    return;
  }
  await Promise.all([listFrom(null, rest, signal), loadBins(signal).then(showBins)]);
}

async function listFrom(after, rest, signal) {
  fill(rest, h("p", { class: "hint" }, "Loading …"));
  const { pictures, next } = await api.pictures(gallery.name, state.filters, { after, signal });
  if (signal.aborted) return;
  grid.show([...grid.items, ...pictures]);
  if (!after) grid.focusOn(focusedCard);
  if (!grid.items.length)
    return fill(rest, message("search", "No picture is like that", "Leave a filter out."));
  if (!next) return fill(rest, h("p", { class: "hint" }, "These are all."));
  const more = h(
    "button",
    { type: "button", onclick: () => changes.attempt(() => listFrom(next, rest, signal)) },
    "Show more",
  );
  fill(rest, more);
  new IntersectionObserver(
    (seen, watch) => {
      if (!seen.some((each) => each.isIntersecting)) return;
      watch.disconnect();
      if (more.isConnected) listFrom(next, rest, signal).catch(() => fill(rest, more));
    },
    { rootMargin: "600px" },
  ).observe(more);
}

// -- Timeline ---------------------------------------------------------------------------------

const wideFilters = () =>
  state.filters.filter(
    (word) => !["on", "after", "before", "camera", "similarity"].includes(parts(word).name),
  );

async function loadBins(signal) {
  bins = await api.timeline(gallery.name, wideFilters(), signal);
  return bins;
}

const timelinePlace = () =>
  h(
    "details",
    {
      class: "when",
      open: (remembered.get("timeline") ?? (isPhone.matches ? "no" : "yes")) !== "no",
      ontoggle: (event) => remembered.set("timeline", event.target.open ? "yes" : "no"),
    },
    h("summary", {}, icon("down"), "Cameras and times"),
    h("div", { id: "timeline" }),
  );

function showBins(now) {
  const place = $("timeline");
  if (!place) return;
  const focused = place.contains(document.activeElement)
    ? (document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent)
    : null;
  place.closest("details").hidden = !now.length;
  if (!now.length) return;
  fill(
    place,
    timeline(
      now,
      answer?.hits ?? [],
      state.filters,
      (filters) => change({ filters }),
      place.clientWidth || 900,
    ),
  );
  if (focused)
    [...place.querySelectorAll("button")]
      .find((each) => (each.getAttribute("aria-label") ?? each.textContent) === focused)
      ?.focus();
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
    button(
      "similar",
      "Search with these",
      () =>
        change({
          ...nothing(),
          filters: withoutPlace(),
          pictures: items.slice(0, 16).map((item) => item.id),
        }),
      { class: "small" },
    ),
    can.write &&
      button("name", "Name and tags", () => changes.name(gallery, items, () => renamed(items)), {
        class: "small",
      }),
    can.write &&
      button(
        "remove",
        "Remove",
        () =>
          changes.remove(
            gallery.name,
            items.map((item) => item.id),
            removed,
          ),
        { class: "small danger" },
      ),
    button(
      "close",
      "Unselect all",
      () => {
        const ids = [...selected.keys()];
        selected.clear();
        grid?.refresh(ids);
        showSelection();
      },
      { only: true, class: "quiet" },
    ),
  );
}

// -- Messages ---------------------------------------------------------------------------------

const alone = (label, ...children) =>
  h("section", { id: "results", tabindex: "-1", "aria-label": label }, children);

function showMessage(...told) {
  document.body.classList.remove("searching");
  fill($("main"), alone("Message", h("h1", { class: "unseen" }, "vireid"), message(...told)));
}

function showError(error, again) {
  const told = failure(error, again, () => change(nothing()));
  if (gallery) layout(h("h1", { class: "unseen" }, "Error"), told);
  else fill($("main"), alone("Error", h("h1", { class: "unseen" }, "vireid"), told));
}

function showLocked(problem = null) {
  document.body.classList.remove("searching");
  document.body.classList.add("closed");
  $("leave").hidden = true;
  galleries = [];
  gallery = null;
  const enter = async (key) => {
    try {
      await api.enter(key);
      await start();
      return null;
    } catch (error) {
      const isRefused = error.status === 401 || error.status === 403;
      return isRefused
        ? "This key opens nothing here. It may have been revoked, or have expired."
        : error.message;
    }
  };
  fill($("main"), alone("Key", keyForm(problem, enter)));
  $("main").querySelector("[name=key]").focus();
}

addEventListener("vireid:locked", () => {
  if (session?.key_required && !document.querySelector(".locked")) {
    document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close());
    showLocked(session.authenticated ? "The session has ended; give the key again." : null);
  }
});

$("leave").addEventListener("click", () =>
  changes.attempt(async () => {
    await api.leave();
    showLocked();
  }),
);
$("gallery").addEventListener("change", (event) =>
  change({ ...nothing(), gallery: event.target.value }),
);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("results")?.focus();
});
$("home").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  change(nothing());
  scrollTo(0, 0);
});
receive(() => gallery !== null);
start();
