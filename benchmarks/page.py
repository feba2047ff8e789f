"""How fast the page is in Debian's Chromium: size, first hits after a drop, scroll of 1,000 hits.

Run: python -m benchmarks.page

A rendered site is indexed and served; times are those of one browser at the same machine. The
scroll goes through 1,000 hits, a step each frame; people see a frame that takes longer than 50 ms.
"""

import base64
import os
import shutil
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright
from scripts.rendered_site import crowd, serving, site

from vireid import Modality, datasets

REPEATS = 15
STEP = 120
"""Pixels of one frame of the scroll: some ten rows of hits in a second."""
SLOW = 50.0
"""Milliseconds from which a frame is one that people see."""

DROP = """([name, text]) => new Promise((resolve) => {
    const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    const held = new DataTransfer();
    held.items.add(new File([bytes], name, { type: "image/jpeg" }));
    const begin = performance.now();
    const before = document.querySelector(".grid");
    const seen = () => {
        const first = document.querySelector(".card .rank")?.closest(".card").querySelector("img");
        const isNew = first && first.closest(".grid") !== before;
        if (isNew && first.complete && first.naturalWidth) resolve(performance.now() - begin);
        else requestAnimationFrame(seen);
    };
    const about = { bubbles: true, cancelable: true, dataTransfer: held };
    document.body.dispatchEvent(new DragEvent("drop", about));
    seen();
})"""
SCROLL = """(step) => new Promise((resolve) => {
    const frames = [];
    let last = performance.now();
    const next = (now) => {
        frames.push(now - last);
        last = now;
        scrollBy(0, step);
        if (scrollY + innerHeight >= document.documentElement.scrollHeight - 2) resolve(frames);
        else requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
})"""
SIZES = """() => performance.getEntriesByType("resource").concat(
    performance.getEntriesByType("navigation")).map((each) => [each.name, each.transferSize])"""


def opened(browser: Browser, address: str) -> Page:
    page = browser.new_page(viewport={"width": 1360, "height": 850})
    page.goto(address)
    page.wait_for_selector(".card img")
    page.wait_for_load_state("networkidle")
    return page


def kilobytes(page: Page) -> float:
    sizes: list[tuple[str, float]] = page.evaluate(SIZES)
    return sum(size for url, size in sizes if "/thumbnail" not in url and "/image" not in url) / 1e3


def first_hits(browser: Browser, address: str) -> list[float]:
    dark = [r for r in datasets.read("nightwalk").test if r.modality is Modality.INFRARED]
    page = opened(browser, f"{address}?gallery=site")
    times = list[float]()
    for record in dark[:: len(dark) // (REPEATS + 1)][: REPEATS + 1]:
        content = base64.b64encode(record.path.read_bytes()).decode()
        times.append(float(page.evaluate(DROP, [record.path.name, content])))
    page.close()
    return times


def scroll(browser: Browser, address: str) -> tuple[list[float], float]:
    page = opened(browser, f"{address}?gallery=crowd")
    first = page.locator(".card").first.get_attribute("data-id")
    page.goto(f"{address}?gallery=crowd&picture={first}&among=both&top=1000")
    page.wait_for_function("() => document.querySelectorAll('.card[data-id]').length === 1000")
    page.wait_for_load_state("networkidle")
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = _cpu_seconds(session)
    frames = [float(each) for each in page.evaluate(SCROLL, STEP)]
    busy = 1000 * (_cpu_seconds(session) - before) / len(frames)
    page.close()
    return frames, busy


def _cpu_seconds(session: CDPSession) -> float:
    """Return the processor time of the page's main thread: what else runs does not add to it."""
    told = session.send("Performance.getMetrics")["metrics"]
    return next(float(each["value"]) for each in told if each["name"] == "TaskDuration")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        at = Path(folder)
        galleries = [site(at), crowd(at)]
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        with serving(galleries, at / "data") as address:
            page = opened(browser, f"{address}?gallery=site")
            size = kilobytes(page)
            page.close()
            cold, *times = first_hits(browser, address)
            frames, busy = scroll(browser, address)
        version = browser.version
        browser.close()
    slow = [frame for frame in frames if frame > SLOW]
    print(f"Chromium {version}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| what | measured |\n|---|---|")
    print(f"| sent before pictures, answers of the API too | {size:.0f} kB |")
    print(f"| drop to first hit painted, first drop | {cold:.0f} ms |")
    print(
        f"| drop to first hit painted, median of {len(times)} (most) "
        f"| {statistics.median(times):.0f} ms ({max(times):.0f} ms) |"
    )
    print(
        f"| 1,000 hits scrolled through: frames, median, 95 % "
        f"| {len(frames)}, {statistics.median(frames):.0f} ms, "
        f"{sorted(frames)[int(0.95 * len(frames))]:.0f} ms |"
    )
    print(f"| processor time of the main thread for a frame | {busy:.0f} ms |")
    print(f"| frames longer than {SLOW:.0f} ms (longest) | {len(slow)} ({max(frames):.0f} ms) |")


if __name__ == "__main__":
    main()
