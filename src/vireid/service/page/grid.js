// The grid of pictures: hits of a search, or pictures of a gallery. Arrow keys go from one to the next.

import * as api from "./api.js";
import { button, h, icon, when, whom } from "./dom.js";
import { image, sized } from "./viewing.js";

const FIRST = 48;
const LATER = 60;
const FRAMES = 24;
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Grid {
  /**
   * `deeds` are functions of a picture: open, similar, judge (with same), name, select, remove, all.
   * `marks(id)` says whether it is selected, and how it was judged.
   */
  constructor({ label, deeds, marks, can, stacked = null, gallery }) {
    Object.assign(this, { deeds, marks, can, stacked, gallery });
    this.items = [];
    this.cards = new Map();
    this.tools = this.toolbar();
    this.element = h("ul", { class: stacked ? "grid stacked" : "grid", "aria-label": label });
    this.element.addEventListener("focusin", (event) => this.take(event.target.closest(".card")));
    this.element.addEventListener("pointerover", (event) => {
      if (event.pointerType === "mouse") this.equip(event.target.closest(".card"));
    });
    this.element.addEventListener("pointerleave", () =>
      this.equip(document.activeElement?.closest?.(".card")),
    );
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.element.addEventListener("click", (event) => {
      const shot = event.target.closest(".shot");
      if (shot) this.deeds.open(this.itemOf(shot.closest(".card")));
    });
  }

  /** Show pictures; those that are shown already stay as they are. */
  show(items) {
    const before = this.items;
    const grown = before.length && before.every((item, at) => item.id === items[at]?.id);
    this.items = items;
    if (!grown) {
      this.cards.clear();
      this.element.replaceChildren();
    }
    this.build(grown ? before.length : 0, FIRST);
  }

  build(from, number) {
    const until = Math.min(from + number, this.items.length);
    const made = document.createDocumentFragment();
    for (let at = from; at < until; at += 1) made.append(this.card(this.items[at], at));
    this.element.append(made);
    const items = this.items;
    if (until < items.length) setTimeout(() => this.items === items && this.build(until, LATER));
  }

  /** Show marks and words of pictures anew. */
  refresh(ids = this.cards.keys()) {
    for (const id of [...ids]) {
      const card = this.cards.get(id);
      if (card) this.mark(card, this.itemOf(card));
    }
  }

  /** Take pictures out; the focus goes to the next one. */
  drop(ids) {
    const gone = new Set(ids);
    const focused = document.activeElement?.closest?.(".card");
    const at =
      focused && gone.has(focused.dataset.id)
        ? this.items.findIndex((item) => item.id === focused.dataset.id)
        : -1;
    this.items = this.items.filter((item) => !gone.has(item.id));
    gone.forEach((id) => (this.cards.get(id)?.remove(), this.cards.delete(id)));
    if (at >= 0) this.focus(Math.min(at, this.items.length - 1));
    this.tabbable();
  }

  itemOf = (card) => this.items.find((item) => item.id === card.dataset.id);

  card(item, at) {
    const shot = h(
      "button",
      { type: "button", class: "shot", tabindex: at === 0 ? "0" : "-1" },
      image(item, { height: 240, eager: at < 12 }),
    );
    if (item.rank) shot.append(h("span", { class: "rank" }, String(item.rank)));
    shot.append(
      h("span", { class: `spectrum ${item.modality}` }, icon(item.modality)),
      h("span", { class: "verdict" }),
    );
    if (item.tracklet && this.stacked === "tracklet")
      shot.append(h("span", { class: "film" }, icon("play")));
    const card = h(
      "li",
      { class: "card", data: { id: item.id, modality: item.modality } },
      shot,
      h("div", { class: "about" }),
    );
    this.cards.set(item.id, card);
    this.mark(card, item);
    if (this.stacked === "tracklet" && item.tracklet) this.film(card, item);
    return card;
  }

  mark(card, item) {
    const { selected, same } = this.marks(item.id);
    card.classList.toggle("selected", selected);
    card.classList.toggle("same", same === true);
    card.classList.toggle("other", same === false);
    const shot = card.querySelector(".shot");
    shot.setAttribute("aria-label", spoken(item, selected, same));
    shot
      .querySelector(".verdict")
      .replaceChildren(...(same === undefined ? [] : [icon(same ? "same" : "close")]));
    const who =
      item.person === null
        ? h("span", { class: "unknown" }, whom(null))
        : h("span", {}, whom(item.person));
    card
      .querySelector(".about")
      .replaceChildren(
        ...(item.rank ? [likeness(item)] : []),
        h(
          "div",
          { class: "who" },
          who,
          ...item.tags.slice(0, 2).map((tag) => h("span", { class: "tag" }, tag)),
        ),
        h(
          "div",
          { class: "where" },
          [item.camera, when(item.time, { short: true })].filter(Boolean).join(" · ") ||
            item.modality,
        ),
      );
  }

  toolbar() {
    const of =
      (deed, ...more) =>
      () =>
        this.tools.parentElement &&
        this.deeds[deed](this.itemOf(this.tools.closest(".card")), ...more);
    const tool = (mark, text, deed, ...more) =>
      button(mark, text, of(deed, ...more), { only: true });
    return h(
      "div",
      { class: "tools", role: "group", "aria-label": "With this picture" },
      tool("similar", "Find similar (s)", "similar"),
      this.can.judge && tool("same", "Same person (y)", "judge", true),
      this.can.judge && tool("other", "Another person (n)", "judge", false),
      this.can.write && tool("name", "Name and tags (l)", "name"),
      tool("select", "Select (x)", "select"),
      this.can.write && tool("remove", "Remove (Delete)", "remove"),
      this.stacked &&
        tool(
          "people",
          this.stacked === "person"
            ? "All pictures of this person"
            : "All pictures of this tracklet",
          "all",
        ),
    );
  }

  equip(card) {
    if (!card) return this.tools.contains(document.activeElement) || this.tools.remove();
    if (this.tools.parentElement === card || this.tools.contains(document.activeElement)) return;
    this.tools.classList.toggle("without-group", this.itemOf(card)?.[this.stacked] === null);
    card.querySelector(".shot").after(this.tools);
  }

  take(card) {
    if (!card) return;
    this.equip(card);
    if (this.current === card) return;
    this.current?.querySelector(".shot")?.setAttribute("tabindex", "-1");
    card.querySelector(".shot").setAttribute("tabindex", "0");
    this.current = card;
  }

  tabbable() {
    if (this.element.querySelector('.shot[tabindex="0"]')) return;
    this.element.querySelector(".shot")?.setAttribute("tabindex", "0");
  }

  focus(at) {
    const item = this.items[at];
    if (!item) return;
    while (!this.cards.has(item.id) && this.cards.size < this.items.length)
      this.build(this.cards.size, LATER);
    this.cards.get(item.id).querySelector(".shot").focus();
  }

  /** Give a picture the focus, where it is shown. */
  focusOn(id) {
    this.cards.get(id)?.querySelector(".shot").focus({ preventScroll: true });
  }

  columns() {
    const [first, ...rest] = this.element.children;
    const next = rest.findIndex((card) => card.offsetTop > first.offsetTop);
    return next < 0 ? this.items.length : next + 1;
  }

  key(event) {
    const card = event.target.closest(".card");
    if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.items.findIndex((item) => item.id === card.dataset.id);
    const last = this.items.length - 1;
    const steps = {
      ArrowLeft: () => Math.max(0, at - 1),
      ArrowRight: () => Math.min(last, at + 1),
      ArrowUp: () => Math.max(0, at - this.columns()),
      ArrowDown: () => Math.min(last, at + this.columns()),
      Home: () => 0,
      End: () => last,
    };
    if (event.key in steps) {
      event.preventDefault();
      return this.focus(steps[event.key]());
    }
    const item = this.items[at];
    const deed = {
      s: () => this.deeds.similar(item),
      y: () => this.can.judge && this.deeds.judge(item, true),
      n: () => this.can.judge && this.deeds.judge(item, false),
      l: () => this.can.write && this.deeds.name(item),
      x: () => this.deeds.select(item),
      Delete: () => this.can.write && this.deeds.remove(item),
    }[event.key];
    if (deed && (event.key.length > 1 || this.can.letters())) {
      event.preventDefault();
      deed();
    }
  }

  /** Play the frames of a tracklet once, while it is pointed at or has the focus. */
  film(card, item) {
    const shot = card.querySelector(".shot");
    const picture = shot.querySelector("img");
    let timer = null;
    const stop = () => {
      clearInterval(timer);
      timer = null;
      if (item.frames) picture.src = sized(item.thumbnail, 240);
      card.classList.remove("playing");
    };
    const play = async () => {
      if (timer || still.matches) return;
      timer = setTimeout(() => {}, 0);
      item.frames ??= await framesOf(this.gallery, item);
      if (!timer || item.frames.length < 2) return;
      let frame = 0;
      card.classList.add("playing");
      timer = setInterval(() => {
        if (frame >= item.frames.length) return stop();
        picture.src = item.frames[frame].src;
        frame += 1;
      }, 180);
    };
    card.addEventListener("pointerenter", play);
    card.addEventListener("pointerleave", stop);
    shot.addEventListener("focus", play);
    shot.addEventListener("blur", stop);
  }
}

async function framesOf(gallery, item) {
  const frames = await tracklet(gallery, item);
  return Promise.all(
    frames.map(async (each) => {
      const loaded = new Image();
      loaded.src = sized(each.thumbnail, 240);
      await loaded.decode().catch(() => {});
      return loaded;
    }),
  );
}

/** The pictures of a hit's tracklet, by time. */
export async function tracklet(gallery, item) {
  try {
    const { pictures } = await api.pictures(gallery, [`tracklet:${item.tracklet}`], {
      limit: FRAMES,
    });
    return pictures.sort((one, other) =>
      (one.time ?? one.name) < (other.time ?? other.name) ? -1 : 1,
    );
  } catch {
    return [];
  }
}

/** How alike a hit is, as a bar and a number. */
export function likeness(hit) {
  const value = hit.probability ?? hit.similarity;
  const bar = h("progress", {
    max: 1,
    value: Math.max(0, Math.min(1, value)),
    "aria-hidden": "true",
  });
  return h(
    "div",
    { class: "likeness" },
    bar,
    isChance(hit) && h("span", {}, hit.similarity.toFixed(2)),
    h("b", {}, shownLikeness(hit)),
  );
}

/** Whether a hit has a probability. */
export const isChance = (hit) => hit.probability !== null && hit.probability !== undefined;

/** A probability for people; none is certain. */
export function percent(chance) {
  if (chance < 0.005) return "<1 %";
  return chance < 0.995 ? `${Math.round(100 * chance)} %` : ">99 %";
}

/** "82 %" where there is a probability, or else the similarity. */
export const shownLikeness = (hit) =>
  isChance(hit) ? percent(hit.probability) : hit.similarity.toFixed(2);

function spoken(item, selected, same) {
  const what = item.rank ? `${item.rank}. ` : "";
  const like = item.rank
    ? `${isChance(item) ? `probability ${percent(item.probability)}, ` : ""}similarity ${item.similarity.toFixed(2)}`
    : null;
  const who = whom(item.person);
  const told = [
    like,
    who,
    item.camera && `camera ${item.camera}`,
    item.modality,
    when(item.time),
    same === true && "same person",
    same === false && "another person",
    selected && "selected",
  ];
  return what + told.filter(Boolean).join(", ");
}
