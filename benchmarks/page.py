"""How fast the page is in Debian's Chromium: size, first hits after a drop, scroll of 1,000 hits.

    python -m benchmarks.page --write

A rendered site is indexed and served; times are those of one browser at the same machine. The
scroll goes through 1,000 hits, a step each frame; people see a frame that takes longer than 50 ms.
"""

import argparse
import base64
import os
import shutil
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright
from scripts.rendered_site import crowd, serving, site

from vireid import Modality, datasets

RESULTS = Path(__file__).parent / "results" / "page.md"
HEADER = """# The page

Size, first hits after a drop, and a scroll of 1,000 hits in Debian's Chromium.

    python -m benchmarks.page --write

A site of 1,044 rendered pictures is indexed with `small` and served; the browser runs at the same
machine, without a GPU. A drop is a near-infrared picture that the service has not seen; time runs
until the first hit's picture is painted. The scroll goes 120 pixels each frame, 7,200 a second:
first through hits whose pictures load meanwhile, then again. Processor time is that of the page's
main thread, which does not grow with what else the machine does as much as the times do.
"""
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


@dataclass(frozen=True)
class Pass:
    """One scroll through all hits."""

    frames: list[float]
    """Milliseconds of each frame."""
    busy: float
    """Milliseconds of processor time of the page's main thread for a frame."""


def scrolls(browser: Browser, address: str) -> list[Pass]:
    """Scroll through 1,000 hits, first while their pictures load, then again."""
    page = opened(browser, f"{address}?gallery=crowd")
    first = page.locator(".card").first.get_attribute("data-id")
    page.goto(f"{address}?gallery=crowd&picture={first}&among=both&top=1000")
    page.wait_for_function("() => document.querySelectorAll('.card[data-id]').length === 1000")
    page.wait_for_load_state("networkidle")
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    passes = []
    for _ in range(2):
        page.evaluate("scrollTo(0, 0)")
        before = _cpu_seconds(session)
        frames = [float(each) for each in page.evaluate(SCROLL, STEP)]
        passes.append(Pass(frames, 1000 * (_cpu_seconds(session) - before) / len(frames)))
    page.close()
    return passes


def _cpu_seconds(session: CDPSession) -> float:
    """Return the processor time of the page's main thread: what else runs does not add to it."""
    told = session.send("Performance.getMetrics")["metrics"]
    return next(float(each["value"]) for each in told if each["name"] == "TaskDuration")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS}")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        at = Path(folder)
        galleries = [site(at), crowd(at)]
        load = os.getloadavg()[0]
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        with serving(galleries, at / "data") as address:
            page = opened(browser, f"{address}?gallery=site")
            size = kilobytes(page)
            page.close()
            times = first_hits(browser, address)
            passes = scrolls(browser, address)
        about = f"Chromium {browser.version}, {os.cpu_count()} processors"
        browser.close()
    about = f"{about}, load average at the start {load:.1f}."
    text = "\n".join([HEADER, about, "", *table(size, times, passes)]) + "\n"
    print(text)
    if asked.write:
        RESULTS.write_text(text)


def table(size: float, times: list[float], passes: list[Pass]) -> list[str]:
    cold, *warm = times
    rows = [
        ("sent before pictures, answers of the API too", f"{size:.0f} kB", "<= 150 kB"),
        ("drop to first hit painted, first drop", f"{cold:.0f} ms", "<= 1,000 ms"),
        (
            f"drop to first hit painted, median of {len(warm)} (most)",
            f"{statistics.median(warm):.0f} ms ({max(warm):.0f} ms)",
            "<= 1,000 ms",
        ),
    ]
    for name, found in zip(("pictures load meanwhile", "pictures are there"), passes, strict=True):
        frames = found.frames
        slow = sum(frame > SLOW for frame in frames)
        rows += [
            (
                f"1,000 hits, {name}: frames, median, 95 %, longest",
                f"{len(frames)}, {statistics.median(frames):.0f} ms, "
                f"{np.quantile(frames, 0.95):.0f} ms, {max(frames):.0f} ms",
                "",
            ),
            (f"1,000 hits, {name}: frames longer than {SLOW:.0f} ms", f"{slow}", "0"),
            (
                f"1,000 hits, {name}: processor time of the main thread for a frame",
                f"{found.busy:.1f} ms",
                "<= 16 ms",
            ),
        ]
    head = ["| what | measured | has to be |", "|---|---|---|"]
    return head + [f"| {' | '.join(row)} |" for row in rows]


if __name__ == "__main__":
    main()
