// The filters' words: the same as on the command line (vireid.gallery.filters).

/** Each filter: what it says, an example, and whether it may be given several times. */
export const FILTERS = {
  camera: {
    help: "taken by this camera; given twice, by either",
    example: "camera:gate",
    many: true,
  },
  person: { help: "of the person of this name or number", example: "person:anna" },
  modality: { help: "in this spectrum: visible or infrared", example: "modality:visible" },
  after: { help: "not before this day or time", example: "after:2026-11-01T18:30" },
  before: { help: "before this day or time", example: "before:2026-12-01" },
  on: { help: "on this day", example: "on:2026-11-24" },
  tag: { help: "with this tag; given twice, with both", example: "tag:backpack", many: true },
  tracklet: { help: "of this tracklet", example: "tracklet:t7" },
  in: { help: "lying in this folder", example: "in:photos/gate" },
  source: { help: "found in this source", example: "source:photos" },
  similarity: { help: "at least so similar to the query", example: "similarity:0.4" },
};

/** Words of a line; a value in quotes may hold spaces. */
export function wordsOf(line) {
  const words = [];
  let word = "";
  let quote = null;
  let open = false;
  for (let at = 0; at < line.length; at += 1) {
    const sign = line[at];
    if (sign === "\\" && quote !== "'" && at + 1 < line.length) {
      word += line[(at += 1)];
      open = true;
    } else if (quote) {
      if (sign === quote) quote = null;
      else word += sign;
    } else if (sign === '"' || (sign === "'" && (word === "" || word.endsWith(":")))) {
      quote = sign;
      open = true;
    } else if (/\s/.test(sign)) {
      if (word || open) words.push(word);
      word = "";
      open = false;
    } else {
      word += sign;
    }
  }
  if (word || open) words.push(word);
  return words;
}

/** The line that says these words. */
export const lineOf = (words) => words.map(quoted).join(" ");

function quoted(word) {
  if (!/[\s"'\\]/.test(word)) return word;
  const { name, value } = parts(word);
  const safe = `"${value.replace(/(["\\])/g, "\\$1")}"`;
  return name ? `${name}:${safe}` : safe;
}

/** Name and value of a word; without a colon it has no name. */
export function parts(word) {
  const colon = word.indexOf(":");
  return colon < 0
    ? { name: "", value: word }
    : { name: word.slice(0, colon), value: word.slice(colon + 1) };
}

/** Whether a word is a filter. */
export const isFilter = (word) => {
  const { name, value } = parts(word);
  return name in FILTERS && value.trim() !== "";
};

/** Words with one more; of a filter that can be given once, the new value counts. */
export function having(words, word) {
  const { name } = parts(word);
  const excluded = {
    on: ["on", "after", "before"],
    after: ["on", "after"],
    before: ["on", "before"],
  }[name] ?? [name];
  const kept = FILTERS[name]?.many
    ? words
    : words.filter((each) => !excluded.includes(parts(each).name));
  return kept.includes(word) ? kept : [...kept, word];
}

/** Words without one. */
export const without = (words, word) => words.filter((each) => each !== word);

/** The value of the last word of a name, or null. */
export const valueOf = (words, name) => {
  const found = words.filter((word) => parts(word).name === name).at(-1);
  return found === undefined ? null : parts(found).value;
};
