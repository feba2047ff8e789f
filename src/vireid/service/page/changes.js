// Changes to a gallery: names and tags, judgements, removals and their undoing.

import * as api from "./api.js";
import { $, button, count, fill, h, icon, say } from "./dom.js";

/** A message at the foot of the page; `action` is a text and a function. It stays until closed. */
export function toast(text, { action = null, bad = false, lasting = false } = {}) {
  const place = $("toasts");
  const shown = h(
    "div",
    { class: bad ? "toast bad" : "toast" },
    bad && icon("warn"),
    h("span", {}, text),
  );
  const close = () => shown.remove();
  if (action)
    shown.append(button("undo", action[0], () => (close(), action[1]()), { class: "small" }));
  shown.append(button("close", "Close this message", close, { only: true, class: "quiet" }));
  place.append(shown);
  while (place.children.length > 3) place.firstChild.remove();
  if (!action && !bad && !lasting) setTimeout(close, 6000);
  return close;
}

/** Do something; what goes wrong is told. Whether it went well. */
export async function attempt(work) {
  try {
    await work();
    return true;
  } catch (error) {
    if (error.status !== 401) toast(error.message, { bad: true });
    return false;
  }
}

let latest = null;

/** Remove pictures of a gallery; the message offers to take it back. */
export async function remove(gallery, ids, changed) {
  await attempt(async () => {
    const removal = await api.remove(gallery, ids);
    const until = removal.undo_until
      ? new Date(removal.undo_until).toLocaleTimeString("en-GB", {
          hour: "2-digit",
          minute: "2-digit",
        })
      : null;
    const back = () =>
      attempt(async () => {
        latest = null;
        const { restored } = await api.undo(gallery, removal.id);
        toast(`${count(restored, "picture is", "pictures are")} back.`);
        changed();
      });
    const close = until
      ? toast(`Removed ${count(removal.removed, "picture")}. Until ${until} it can be undone.`, {
          action: ["Undo", back],
        })
      : toast(`Removed ${count(removal.removed, "picture")} for good.`, { lasting: true });
    latest = until ? () => (close(), back()) : null;
    changed(ids);
  });
}

/** Take the last removal back; whether there was one. */
export function undoLast() {
  if (!latest) return false;
  latest();
  return true;
}

/** Ask for the person and the tags of pictures, and set them. */
export function name(gallery, pictures, changed) {
  const dialog = $("naming");
  const [first] = pictures;
  const alone = pictures.length === 1;
  const same = pictures.every((each) => each.person === first.person);
  const person = h("input", {
    name: "person",
    list: "known-people",
    maxlength: 200,
    autocomplete: "off",
    value: same && first.person !== null ? String(first.person) : "",
  });
  const tags = h("input", {
    name: "tags",
    list: "known-tags",
    maxlength: 1000,
    autocomplete: "off",
    value: alone ? first.tags.join(", ") : "",
  });
  const save = async (event) => {
    event.preventDefault();
    const labels = labelled(pictures, person.value.trim(), listed(tags.value), { alone, same });
    const went = await attempt(async () => {
      for (const [picture, label] of labels)
        Object.assign(picture, await api.label(gallery.name, picture.id, label));
    });
    if (!went) return;
    dialog.close();
    toast(`Saved for ${count(pictures.length, "picture")}.`);
    changed(pictures);
  };
  fill(
    dialog,
    h(
      "header",
      {},
      h(
        "h2",
        { id: "naming-title" },
        alone ? "Name and tags" : `Name and tags of ${pictures.length} pictures`,
      ),
      button("close", "Close", () => dialog.close(), { only: true, class: "quiet" }),
    ),
    h(
      "form",
      { class: "fields", onsubmit: save },
      h(
        "label",
        { class: "field" },
        h("span", {}, "Person"),
        person,
        h("span", { class: "hint" }, "A name or a number. Empty: nobody knows."),
      ),
      h(
        "label",
        { class: "field" },
        h("span", {}, "Tags"),
        tags,
        h(
          "span",
          { class: "hint" },
          alone ? "With commas between them." : "They are added, with commas between them.",
        ),
      ),
      h(
        "datalist",
        { id: "known-people" },
        Object.keys(gallery.people).map((each) => h("option", { value: each })),
      ),
      h(
        "datalist",
        { id: "known-tags" },
        gallery.tags.map((each) => h("option", { value: each })),
      ),
      h(
        "div",
        { class: "row end" },
        h("button", { type: "button", class: "small", onclick: () => dialog.close() }, "Cancel"),
        h("button", { class: "primary" }, "Save"),
      ),
    ),
  );
  dialog.showModal();
  person.select();
}

function labelled(pictures, person, tags, { alone, same }) {
  return pictures.map((picture) => {
    const label = alone
      ? { tags }
      : tags.length
        ? { tags: [...new Set([...picture.tags, ...tags])] }
        : {};
    const before = picture.person === null ? "" : String(picture.person);
    if (person !== before && (person || same)) label.person = person;
    return [picture, label];
  });
}

const listed = (text) => [
  ...new Set(
    text
      .split(",")
      .map((each) => each.trim())
      .filter(Boolean),
  ),
];

/** Confirm or reject a hit. */
export const judge = (gallery, query, picture, same, changed) =>
  attempt(async () => {
    await api.judge(gallery, query, picture.id, same);
    say(same ? "Kept as the same person" : "Kept as another person");
    changed();
  });
