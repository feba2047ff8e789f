"""The page in Debian's Chromium, before the real service on real galleries of rendered people."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from scripts.rendered_site import crowd, key, serving, site

from vireid.service.keys import Scope

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import (  # noqa: E402
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    sync_playwright,
)

PATIENCE = 20_000
"""Milliseconds to wait for what has to come: a busy machine is no fault of the page."""


@dataclass(frozen=True)
class Served:
    """The running service."""

    address: str
    keys: dict[Scope, str]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Served]:
    """The service with a small gallery, a large one, and one whose model tells where it looks.

    Nobody gets in without a key.
    """
    folder = tmp_path_factory.mktemp("page")
    data = folder / "data"
    keys: dict[Scope, str] = {scope: key(data, scope) for scope in ("read", "write")}
    parts = folder / "striped"
    parts.mkdir()
    striped = site(parts, people=2, model="stripes", name="striped")
    galleries = [site(folder, people=9), crowd(folder), striped]
    with serving(galleries, data, keys=True) as address:
        yield Served(address, keys)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


Opened = Callable[..., Page]


@pytest.fixture
def opened(served: Served, browser: Browser) -> Iterator[Opened]:
    """Opens the page: `opened("?gallery=crowd", scope="write", width=390, color_scheme="dark")`.

    Afterwards there may be no error of a script, no refusal by the policy of content, and no
    request to anywhere else.
    """
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def heard(said: ConsoleMessage) -> None:
        if re.search(r"content security policy|uncaught|violates", said.text, re.IGNORECASE):
            faults.append(said.text)

    def requested(asked: Request) -> None:
        if not asked.url.startswith((served.address, "blob:", "data:")):
            faults.append(asked.url)

    def open_(query: str = "?gallery=site", scope: Scope | None = "write", **looks: object) -> Page:
        size = {"width": looks.pop("width", 1024), "height": looks.pop("height", 640)}
        looks.setdefault("reduced_motion", "reduce")  # what moves costs time
        context = browser.new_context(viewport=size, **looks)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        if scope:
            said = {"data": {"key": served.keys[scope]}, "headers": {"X-Vireid": "page"}}
            assert context.request.post(f"{served.address}api/v1/session", **said).ok  # type: ignore[arg-type]
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", heard)
        page.on("request", requested)
        page.goto(f"{served.address}{query}")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture(scope="session")
def picture() -> Path:
    """A near-infrared picture of somebody whom the day cameras have seen: the first person."""
    from vireid import Modality, datasets

    records = datasets.read("nightwalk").test
    first = min(record.identity for record in records if record.identity is not None)
    dark = (r for r in records if r.identity == first and r.modality is Modality.INFRARED)
    return next(dark).path
