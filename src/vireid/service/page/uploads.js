// Pictures that were dropped on the page. They go to the service to be searched with, and are kept
// in this tab alone, so that going back and reloading work; closing the tab forgets them.

const MOST_KEPT = 3_000_000; // characters; browsers give a tab some five million
const held = new Map();

/** Keep a picture; its id. */
export async function keep(file) {
  const id = [...crypto.getRandomValues(new Uint8Array(5))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
  held.set(id, file);
  try {
    const text = await textOf(file);
    if (text.length <= MOST_KEPT)
      sessionStorage.setItem(`vireid.upload.${id}`, JSON.stringify({ name: file.name, text }));
  } catch {
    // It is too large, or storage is forbidden: it lasts until the page is left.
  }
  return id;
}

/** The picture of an id, or null where this tab has forgotten it or never had it. */
export async function upload(id) {
  if (held.has(id)) return held.get(id);
  let kept;
  try {
    kept = JSON.parse(sessionStorage.getItem(`vireid.upload.${id}`));
  } catch {
    return null;
  }
  if (!kept) return null;
  const file = fileOf(kept);
  held.set(id, file);
  return file;
}

function textOf(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

function fileOf({ name, text }) {
  const [head, body] = text.split(",", 2);
  const bytes = Uint8Array.from(atob(body), (sign) => sign.charCodeAt(0));
  return new File([bytes], name, { type: /^data:([^;]*)/.exec(head)?.[1] ?? "" });
}
