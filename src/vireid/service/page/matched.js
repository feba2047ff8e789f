// What matched: how much of a similarity comes from each part of the picture, shown on both.

import { h } from "./dom.js";

const PARTS = ["head", "shoulders", "waist", "hips", "knees", "feet"];
const DIM = 0.75;
/** Parts of the largest share that the least may lack before the dimming is at its strongest. */
const LACK = 0.5;

/** Dim the parts of a stage's picture that made it less alike; the brightest made it most. */
export async function light(stage, shares) {
  const picture = await ready(stage);
  stage.querySelector(".shares")?.remove();
  if (!picture || !shares) return;
  const { width, height } = sizeOf(picture);
  const cells = h("canvas", { width: shares[0].length, height: shares.length });
  const most = Math.max(...shares.flat(), 1e-9);
  const least = Math.max(0, Math.min(...shares.flat()));
  const range = Math.max(most - least, LACK * most);
  const pixels = new ImageData(cells.width, cells.height);
  shares.flat().forEach((share, at) => {
    pixels.data[4 * at + 3] = Math.round((255 * DIM * (most - Math.max(0, share))) / range);
  });
  cells.getContext("2d").putImageData(pixels, 0, 0);
  const shade = h("canvas", { class: "shares", width, height, "aria-hidden": "true" });
  const context = shade.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(cells, 0, 0, width, height);
  stage.append(shade);
}

/** The same in words, for everybody: parts by what they add, the most first. */
export function inWords({ similarity, shares, reason }) {
  if (!shares) return h("p", { class: "matched", role: "status" }, reason);
  const sum = shares.flat().reduce((all, each) => all + Math.max(0, each), 0) || 1;
  const of = (some) =>
    `${Math.round((100 * some.reduce((all, each) => all + Math.max(0, each), 0)) / sum)} %`;
  const rows = shares
    .map((row, at) => [PARTS.length === shares.length ? PARTS[at] : `part ${at + 1}`, row])
    .sort(([, one], [, other]) => total(other) - total(one));
  const sides =
    shares[0].length === 2 &&
    `; left half ${of(shares.map(([left]) => left))}, right half ${of(shares.map(([, right]) => right))}`;
  return h(
    "p",
    { class: "matched", role: "status" },
    h("b", {}, "Brighter parts made the two more alike. "),
    `Of the similarity ${similarity.toFixed(2)}, band by band, the most first: `,
    rows.map(([name, row]) => `${name} ${of(row)}`).join(", "),
    sides || "",
    ". It says which parts of the pictures the model found alike, not that they show one person.",
  );
}

const sizeOf = (picture) => ({
  width: picture.naturalWidth ?? picture.width,
  height: picture.naturalHeight ?? picture.height,
});

/** The picture of a stage, once it is there; null if it does not come. */
async function ready(stage) {
  for (let frame = 0; frame < 300 && stage.isConnected; frame += 1) {
    const picture = stage.querySelector("img, canvas:not(.shares)");
    if (picture && sizeOf(picture).width > 1) return picture;
    await new Promise(requestAnimationFrame);
  }
  return null;
}

const total = (row) => row.reduce((all, each) => all + each, 0);
