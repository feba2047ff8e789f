"""Photograph the page in its states, to be looked at: python -m scripts.page_pictures OUT [--docs].

A rendered site (scripts/rendered_site.py) is indexed and served, and Debian's Chromium takes the
pictures. `--docs` makes those of docs/page.md anew. Nobody on them exists.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from scripts.rendered_site import crowd, key, serving, site
from vireid import Gallery
from vireid.files.atomic import write_whole

PROJECT = Path(__file__).resolve().parent.parent
NIGHT = PROJECT / "src/vireid/datasets/nightwalk_mini/cam3/0020/0002.jpg"
"""A near-infrared picture of somebody whom the day cameras have seen."""
DESKTOP, PHONE = (1360, 850), (390, 844)
MOST_KB = 150
"""Size of a picture in the documents."""


def search(page: Page) -> None:
    """Search with a picture of the night."""
    page.set_input_files("#choose", NIGHT)
    page.wait_for_selector(".rank")


def pick(page: Page, group: str) -> None:
    """Search, and show the best of each group."""
    search(page)
    page.get_by_label(group, exact=True).check()
    page.wait_for_selector(".grid.stacked")


def side_by_side(page: Page) -> None:
    """Search, and compare the second hit with the query."""
    search(page)
    page.locator(".card .shot").nth(1).click()
    page.wait_for_selector("#compare[open]")


def matched(page: Page) -> None:
    """Compare the hit of another camera with a query, part by part."""
    ask("gallery=striped&filter=person:Dana+modality:infrared")(page)
    page.wait_for_selector(".card img")
    first = page.locator(".card[data-id]").first.get_attribute("data-id")
    ask(f"gallery=striped&picture={first}&among=both&centre=1")(page)
    page.wait_for_selector(".rank")
    page.locator(".card .shot").nth(1).click()
    page.get_by_role("button", name="What matched").click()
    page.wait_for_selector(".shares")


def judge(page: Page) -> None:
    """Search, confirm and reject hits, select some, and remove one."""
    search(page)
    page.locator(".card .shot").first.focus()
    for stroke in ("y", "ArrowRight", "y", "End", "n", "ArrowLeft", "Delete", "Home"):
        page.keyboard.press(stroke)
        page.wait_for_timeout(150)
    for stroke in ("ArrowRight", "ArrowRight", "x", "ArrowRight", "x"):
        page.keyboard.press(stroke)


def name(page: Page) -> None:
    """Open the form of names."""
    search(page)
    page.locator(".card .shot").first.focus()
    page.keyboard.press("l")


def suggest(page: Page) -> None:
    """Begin to write a filter."""
    page.keyboard.press("/")
    page.keyboard.type("camera:")


def ask(query: str) -> Callable[[Page], object]:
    """Return what opens an address."""
    return lambda page: page.goto(f"{page.url.partition('?')[0]}?{query}")


def nobody(page: Page) -> None:
    """Search for somebody who is not similar enough."""
    search(page)
    page.goto(f"{page.url}&filter=similarity:0.85")


def hall(page: Page) -> None:
    """Search in two cameras on one day."""
    search(page)
    page.goto(f"{page.url}&filter=camera:gate+camera:street+on:2026-11-25")


STATES: dict[str, Callable[[Page], object]] = {
    "home": Page.bring_to_front,
    "hits": search,
    "filtered": hall,
    "people": lambda page: pick(page, "People"),
    "tracklets": lambda page: pick(page, "Tracklets"),
    "compare": side_by_side,
    "matched": matched,
    "judged": judge,
    "naming": name,
    "suggestions": suggest,
    "listed": ask("gallery=site&filter=camera:gate+person:Anna"),
    "nobody": nobody,
    "error": ask("gallery=site&filter=camera:gaet"),
    "lost": ask("gallery=site&upload=0123456789"),
    "empty": ask("gallery=empty"),
    "crowd": ask("gallery=crowd"),
    "help": lambda page: page.keyboard.press("?"),
    "use": lambda page: page.click("#responsible"),
}


def photograph(
    browser: Browser, address: str, state: str, size: tuple[int, int] = DESKTOP, *, dark: bool
) -> bytes:
    """Return a picture (PNG) of the page in a state."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        has_touch=size == PHONE,
        device_scale_factor=2 if size == PHONE else 1,
    )
    page = context.new_page()
    page.on("pageerror", lambda error: print(f"{state}: {error}", file=sys.stderr))
    page.goto(f"{address}?gallery=site")
    page.wait_for_load_state("networkidle")
    if state in STATES:
        STATES[state](page)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(400)
    taken = page.screenshot()
    context.close()
    return taken


def for_documents(picture: bytes, out: Path) -> None:
    """Write a picture as WebP, small enough to be kept with the code."""
    with Image.open(BytesIO(picture)) as opened:
        for quality in range(90, 40, -5):
            file = BytesIO()
            opened.convert("RGB").save(file, "WEBP", quality=quality, method=6)
            if file.tell() <= MOST_KB * 1000:
                return write_whole(out, file.getvalue())
    raise SystemExit(f"{out} is too large, whatever its quality")


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--docs", action="store_true", help="make those of docs/page.md anew")
    parser.add_argument("--only", default=",".join([*STATES, "key"]), help="states, with commas")
    parser.add_argument("--site", type=Path, help="folder of scripts.rendered_site, made before")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        at = Path(folder)
        if asked.site:
            shutil.copytree(asked.site, at, dirs_exist_ok=True)
        else:
            site(at)
            crowd(at)
            (at / "parts").mkdir()
            striped = site(at / "parts", people=9, model="stripes", name="striped")
            striped.rename(at / "striped.gallery")
        Gallery.create(at / "empty.gallery", Gallery.open(at / "crowd.gallery").model).close()
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        galleries = [at / f"{name}.gallery" for name in ("site", "crowd", "empty", "striped")]
        states = asked.only.split(",")
        with serving(galleries, at / "data") as address:
            for state in states:
                if state == "key":
                    continue
                for look, size, dark in LOOKS:
                    taken = photograph(browser, address, state, size, dark=dark)
                    (asked.out / f"{state}-{look}.png").write_bytes(taken)
            if asked.docs:
                for name, (state, size, dark) in DOCUMENTS.items():
                    taken = photograph(browser, address, state, size, dark=dark)
                    for_documents(taken, PROJECT / "docs" / name)
        if "key" in states:
            key(at / "locked", "read")
            with serving(galleries, at / "locked", keys=True) as address:
                for look, size, dark in LOOKS:
                    taken = photograph(browser, address, "key", size, dark=dark)
                    (asked.out / f"key-{look}.png").write_bytes(taken)
        browser.close()


LOOKS = (("light", DESKTOP, False), ("dark", DESKTOP, True), ("phone", PHONE, False))
DOCUMENTS = {
    "page_hits.webp": ("hits", DESKTOP, False),
    "page_compare.webp": ("compare", DESKTOP, True),
    "page_matched.webp": ("matched", DESKTOP, False),
    "page_phone.webp": ("people", PHONE, False),
}

if __name__ == "__main__":
    main()
