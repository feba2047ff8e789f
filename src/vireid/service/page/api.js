// Talking with the service (docs/service.md). Nobody else is talked with.

import { lineOf } from "./filters.js";

const BASE = new URL("api/v1/", new URL(".", location.href));

/** An answer that is an error: what is wrong, and the way out (RFC 9457). */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || document.title || `the service answered ${status}`);
    this.status = status;
    this.title = document.title ?? "";
    this.request = document.request_id ?? null;
  }
}

async function ask(method, path, { query = [], json, form, signal } = {}) {
  const address = new URL(path, BASE);
  for (const [name, value] of query) address.searchParams.append(name, value);
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-Vireid"] = "page";
  if (json !== undefined) headers["Content-Type"] = "application/json";
  const body = json === undefined ? form : JSON.stringify(json);
  let answer;
  try {
    answer = await fetch(address, { method, headers, body, signal, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, {
      title: "No answer",
      detail: "The service does not answer. Is it running, and are you connected?",
    });
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  let said = {};
  try {
    said = await answer.json();
  } catch {
    // A proxy may answer with something else.
  }
  if (answer.status === 429) {
    const wait = Number(answer.headers.get("Retry-After"));
    said = {
      ...said,
      detail: `${said.detail ?? "Too many requests"}. Try again ${wait > 0 ? `in ${wait} s` : "soon"}.`,
    };
  }
  const problem = new Problem(answer.status, said);
  if (answer.status === 401) dispatchEvent(new CustomEvent("vireid:locked", { detail: problem }));
  throw problem;
}

const of = (gallery, rest = "") => `galleries/${encodeURIComponent(gallery)}${rest}`;
const picture = (gallery, id, rest = "") =>
  of(gallery, `/pictures/${encodeURIComponent(id)}${rest}`);
const words = (filters) => filters.map((word) => ["filter", lineOf([word])]);

export const session = () => ask("GET", "session");
export const enter = (key) => ask("POST", "session", { json: { key } });
export const leave = () => ask("DELETE", "session");
export const galleries = async () => (await ask("GET", "galleries")).galleries;
export const gallery = (name) => ask("GET", of(name));

/** Search; `images` are files, the rest is what `state` says. */
export function search(asked, images, signal) {
  const form = new FormData();
  images.forEach((image) => form.append("images", image, image.name || "picture"));
  asked.pictures.forEach((id) => form.append("pictures", id));
  if (asked.text) form.append("text", asked.text);
  form.append("modality", asked.spectrum);
  if (asked.among !== "other") form.append("among", asked.among);
  asked.filters.forEach((word) => form.append("filter", lineOf([word])));
  form.append("top", asked.top);
  form.append("group", asked.group);
  form.append("several", asked.several);
  if (asked.centre) form.append("centre", "true");
  return ask("POST", of(asked.gallery, "/search"), { form, signal });
}

export const pictures = (name, filters, { after, limit = 48, signal } = {}) =>
  ask("GET", of(name, "/pictures"), {
    query: [...words(filters), ["limit", limit], ...(after ? [["after", after]] : [])],
    signal,
  });
export const one = (name, id) => ask("GET", picture(name, id));
export const timeline = async (name, filters, signal) =>
  (await ask("GET", of(name, "/timeline"), { query: words(filters), signal })).bins;
export const label = (name, id, changes) => ask("PATCH", picture(name, id), { json: changes });
export const judge = (name, query, id, same) =>
  ask("POST", of(name, "/judgements"), { json: { query, picture: id, same } });
export const comparison = (name, search, id) =>
  ask("POST", of(name, "/comparisons"), { json: { search, picture: id } });
export const remove = (name, ids) =>
  ask("POST", of(name, "/removals"), { json: { ids, expect: ids.length } });
export const undo = (name, removal) =>
  ask("DELETE", of(name, `/removals/${encodeURIComponent(removal)}`));
