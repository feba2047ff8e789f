// What is asked, and the address that says it: reload, back, forward and a shared link work.

import { lineOf, wordsOf } from "./filters.js";

const NOTHING = {
  /** Name of the gallery. */
  gallery: "",
  /** Ids of pictures of the gallery to search with. */
  pictures: [],
  /** Ids of pictures that were dropped here; the pictures stay in this browser (uploads.js). */
  uploads: [],
  /** A sentence to search with. */
  text: "",
  /** Filters in words. */
  filters: [],
  /** Spectrum of the query: auto, visible or infrared. */
  spectrum: "auto",
  /** Spectrum to search in: other, visible, infrared or both. */
  among: "other",
  /** Show the best hit of each: none, person or tracklet. */
  group: "none",
  /** How several pictures count together: mean or best. */
  several: "mean",
  /** Whether to subtract what all pictures of a camera share. */
  centre: false,
  /** Largest number of hits. */
  top: 48,
};

/** Names in the address, where they are others. */
const KEYS = { pictures: "picture", uploads: "upload", filters: "filter" };

const CHOICES = {
  spectrum: ["auto", "visible", "infrared"],
  among: ["other", "visible", "infrared", "both"],
  group: ["none", "person", "tracklet"],
  several: ["mean", "best"],
};

const listeners = [];

export const state = { ...NOTHING, ...said(location.search) };

/** Whether there is something to search with. */
export const isSearch = () =>
  state.pictures.length > 0 || state.uploads.length > 0 || state.text !== "";

/** Call a function whenever something else is asked. */
export const onChange = (listener) => listeners.push(listener);

/** Ask something else; the address says it. */
export function change(changes, { replace = false } = {}) {
  Object.assign(state, changes);
  const address = `${location.pathname}${words(state)}`;
  if (address !== `${location.pathname}${location.search}`) {
    history[replace ? "replaceState" : "pushState"](null, "", address);
  }
  listeners.forEach((listener) => listener());
}

/** Ask nothing: the state without a query, in the same gallery. */
export const nothing = () => ({ ...NOTHING, gallery: state.gallery });

addEventListener("popstate", () => {
  Object.assign(state, NOTHING, said(location.search));
  listeners.forEach((listener) => listener());
});

function said(search) {
  const given = new URLSearchParams(search);
  const found = {};
  for (const [name, usual] of Object.entries(NOTHING)) {
    const key = KEYS[name] ?? name;
    if (!given.has(key)) continue;
    if (name === "filters") found[name] = wordsOf(given.get(key));
    else if (Array.isArray(usual)) found[name] = given.getAll(key);
    else if (typeof usual === "boolean") found[name] = given.get(key) === "yes";
    else if (typeof usual === "number") found[name] = within(Number(given.get(key)), usual);
    else found[name] = given.get(key);
  }
  for (const [name, allowed] of Object.entries(CHOICES)) {
    if (name in found && !allowed.includes(found[name])) delete found[name];
  }
  return found;
}

function words(asked) {
  const told = new URLSearchParams();
  for (const [name, usual] of Object.entries(NOTHING)) {
    const value = asked[name];
    const key = KEYS[name] ?? name;
    if (name === "filters") value.length && told.set(key, lineOf(value));
    else if (Array.isArray(usual)) value.forEach((each) => told.append(key, each));
    else if (value !== usual) told.set(key, value === true ? "yes" : String(value));
  }
  const text = told.toString();
  return text ? `?${text}` : "";
}

function within(number, usual) {
  return Number.isInteger(number) && number > 0 ? Math.min(number, 1000) : usual;
}
