// How pictures are looked at: small ones that load late, and dark ones brightened for the eye.

import { h, remembered } from "./dom.js";

const DARK = [
  [38, "lift3"],
  [72, "lift2"],
  [112, "lift1"],
];

/** Whether dark pictures are brightened. */
export const isBrightened = () => document.documentElement.classList.contains("brightened");

/** Brighten dark pictures, or show them as they are. */
export function brighten(yes) {
  document.documentElement.classList.toggle("brightened", yes);
  remembered.set("brighten", yes ? "yes" : "no");
}

/** A picture of a gallery, at a height in CSS pixels (null: whole). */
export function image(picture, { height = 240, eager = false } = {}) {
  const image = h("img", { alt: "", decoding: "async", loading: eager ? "eager" : "lazy" });
  image.addEventListener("load", () => looked(image, image.naturalWidth, image.naturalHeight));
  image.addEventListener("error", () => image.closest(".shot, .stage")?.classList.add("gone"));
  image.src = height ? sized(picture.thumbnail, height) : picture.image;
  return image;
}

/** Address of a thumbnail that is sharp on this screen. */
export function sized(address, height) {
  const wanted = Math.min(768, Math.ceil((height * Math.min(devicePixelRatio, 2)) / 32) * 32);
  return `${address}?height=${wanted}`;
}

/** A picture that is in this browser only, drawn; the policy of this page allows no other way. */
export function drawn(file, height = 480) {
  const canvas = h("canvas", { class: "drawn", width: 1, height: 1 });
  createImageBitmap(file, { imageOrientation: "from-image" }).then(
    (bitmap) => {
      const scale = Math.min(1, (height * Math.min(devicePixelRatio, 2)) / bitmap.height);
      canvas.width = Math.max(1, Math.round(bitmap.width * scale));
      canvas.height = Math.max(1, Math.round(bitmap.height * scale));
      const context = canvas.getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      bitmap.close();
      looked(canvas, canvas.width, canvas.height);
    },
    () => canvas.closest(".shot, .stage")?.classList.add("gone"),
  );
  return canvas;
}

const SIDE = 12;
const sample = h("canvas", { width: SIDE, height: SIDE }).getContext("2d", {
  willReadFrequently: true,
});

function looked(element, width, height) {
  const share = width / height;
  element.classList.toggle("wide", share > 0.72 || share < 0.3);
  try {
    sample.drawImage(element, 0, 0, SIDE, SIDE);
    const { data } = sample.getImageData(0, 0, SIDE, SIDE);
    let sum = 0;
    for (let at = 0; at < data.length; at += 4)
      sum += 0.3 * data[at] + 0.59 * data[at + 1] + 0.11 * data[at + 2];
    const mean = sum / (SIDE * SIDE);
    const lift = DARK.find(([below]) => mean < below);
    element.classList.remove("lift1", "lift2", "lift3");
    if (lift) element.classList.add(lift[1]);
  } catch {
    // It cannot be measured; it is shown as it is.
  }
}
