// Pictures that are dropped anywhere on the page, or pasted.

import { toast } from "./changes.js";
import { $ } from "./dom.js";
import { searchWith } from "./query_panel.js";

/** Search with what is dropped or pasted, whenever `isReady()`. */
export function receive(isReady) {
  let dragged = 0;
  const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragenter", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    dragged += 1;
    $("landing").hidden = false;
  });
  addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  addEventListener("dragleave", () => {
    dragged = Math.max(0, dragged - 1);
    $("landing").hidden = dragged === 0;
  });
  addEventListener("drop", async (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    dragged = 0;
    $("landing").hidden = true;
    await take(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => {
    const { files } = event.clipboardData;
    if (files.length) {
      event.preventDefault();
      take(files);
    }
  });

  async function take(files) {
    if (!isReady()) return;
    document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close());
    if (!(await searchWith(files)))
      toast("That is no picture. JPEG, PNG, WebP, BMP and TIFF can be searched with.", {
        bad: true,
      });
  }
}
