// What matched: how much of a similarity comes from each part of the picture, shown on both.

import { h } from "./dom.js";

const PARTS = ["head", "shoulders", "waist", "hips", "knees", "feet"];
const THIRDS = ["upper third", "middle third", "lower third"];
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

/** The same in words, for everybody: bands by what they count, the most first. */
export function inWords({ how, similarity, query, hit, reason }) {
  if (!how) return h("p", { class: "matched", role: "status" }, reason);
  const told =
    how === "parts"
      ? [
          h("b", {}, "Brighter parts made the two more alike. "),
          `Of the similarity ${similarity.toFixed(2)}, band by band, the most first: ${bands(hit)}. `,
        ]
      : [
          h("b", {}, "With a brighter place covered, the two would be less alike. "),
          `What counts in the query, band by band, the most first: ${bands(query)}. `,
          `In the hit: ${bands(hit)}. `,
        ];
  return h(
    "p",
    { class: "matched", role: "status" },
    told,
    "This is what the model found alike; it does not say that both show one person.",
  );
}

/** "head 20 %, feet 18 %": the share of each band of a picture. */
function bands(places) {
  const names = places.length === PARTS.length ? PARTS : THIRDS;
  const sums = names.map(() => 0);
  places.forEach((row, at) => {
    sums[Math.floor((at * names.length) / places.length)] += row.reduce(
      (all, each) => all + Math.max(0, each),
      0,
    );
  });
  const whole = sums.reduce((all, each) => all + each, 0) || 1;
  return names
    .map((name, at) => [name, Math.round((100 * sums[at]) / whole)])
    .sort(([, one], [, other]) => other - one)
    .map(([name, share]) => `${name} ${share} %`)
    .join(", ");
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
