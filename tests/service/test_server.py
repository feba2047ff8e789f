"""The process: how it starts, stops, and what is left when it is killed."""

import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.onnx_model import person, write_site
from tests.service.conftest import Live
from tests.waiting import wait_for

from vireid.gallery import Gallery
from vireid.gallery.summary import Health
from vireid.service.audit import check

Run = Callable[..., tuple[int, str, str]]


def log_of(data: Path) -> Path:
    """Where the service of a folder logs: into a pipe that nobody reads it would stand still."""
    return data.with_suffix(".log")


@contextmanager
def served(
    gallery: Path, data: Path, *more: object
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A service in a process of its own, and its address."""
    words = ("serve", gallery, "--data", data, "--port", 0, "--log-format", "json", *more)
    with log_of(data).open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "vireid", *map(str, words)], stderr=log)

    def address() -> str | None:
        found = re.search(r"running on (\S+) ", log_of(data).read_text())
        return found and found[1]

    try:
        wait_for(lambda: address() or process.poll() is not None)
        found = address()
        assert found, log_of(data).read_text()
        yield process, found
    finally:
        process.kill()
        process.wait()


def asked(address: str) -> Any:
    with urllib.request.urlopen(address) as answer:
        return json.load(answer)


def pictures(count: int, first: int) -> list[tuple[str, tuple[str, bytes]]]:
    files = []
    for i in range(count):
        file = io.BytesIO()
        person(first + i).save(file, "PNG")
        files.append(("images", (f"{i}.png", file.getvalue())))
    return files


def test_a_service_starts_answers_and_stops(gallery: Path, tmp_path: Path) -> None:
    with served(gallery, tmp_path / "data") as (process, address):
        assert asked(f"{address}/ready") == {"status": "ready", "galleries": 1}
        process.send_signal(signal.SIGTERM)
        assert process.wait() in (0, -signal.SIGTERM)
        lines = log_of(tmp_path / "data").read_text().splitlines()
        logged = [json.loads(line)["message"] for line in lines]
        assert "Application shutdown complete." in logged
    assert check(tmp_path / "data").wrong == ()


def test_two_services_do_not_share_a_folder(
    gallery: Path, tmp_path: Path, run: Run, live: Live
) -> None:
    with live():
        status, _, told = run("serve", gallery, "--data", tmp_path / "data")
        assert (status, "another service works in" in told) == (1, True)
    # Whatever is served later in this process does not log into what was standard error then.
    assert logging.getLogger("vireid.service").handlers == []


@pytest.mark.slow
def test_nothing_is_half_written_by_a_service_that_is_killed(gallery: Path, tmp_path: Path) -> None:
    """Killed while it writes: what was answered is there, and all of it is sound."""
    base, answered = "/api/v1/galleries/site", list[str]()
    photos = write_site(tmp_path / "photos", people=40, cameras=("cam5",))
    with served(gallery, tmp_path / "data", "--sources", photos) as (process, address):
        client = httpx2.Client(base_url=address, timeout=600)
        job = client.post("/api/v1/jobs", json={"gallery": "site", "source": "photos"}).json()["id"]
        killed = False
        for round_ in range(6):
            if round_ == 5:
                os.kill(process.pid, signal.SIGKILL)
                killed = True
            try:
                added = client.post(f"{base}/pictures", files=pictures(8, 100 + 10 * round_))
                answered += added.json()["ids"]
            except httpx2.HTTPError:
                assert killed
        client.close()
    with Gallery.open(gallery) as opened:
        assert Health.of(opened).is_sound
    with served(gallery, tmp_path / "data", "--sources", photos) as (_, address):
        for id_ in answered:
            assert asked(f"{address}{base}/pictures/{id_}")["id"] == id_
        with urllib.request.urlopen(f"{address}/api/v1/jobs/{job}/events") as events:
            events.read()  # they end with the job
        assert asked(f"{address}/api/v1/jobs/{job}")["state"] == "done"
        wait_for(lambda: asked(f"{address}{base}")["pictures"] >= 24 + 80 + len(answered))
        files = list((tmp_path / "data" / "galleries").rglob("*.png"))
        assert len(files) == asked(f"{address}{base}")["pictures"] - 104
    assert check(tmp_path / "data").wrong == ()
    with Gallery.open(gallery) as opened:
        assert Health.of(opened).is_sound


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "there is nothing to serve"),
        (("--host", "0.0.0.0"), "everybody needs a key, and there is none"),
        (("--settings", "wrong.toml"), "there is no setting prot; did you mean 'port'?"),
        (("--settings", "bad.toml"), "settings is damaged or something else"),
    ],
)
def test_what_cannot_be_served_is_told(
    run: Run,
    gallery: Path,
    tmp_path: Path,
    words: tuple[str, ...],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wrong.toml").write_text("prot = 8000\n")
    Path("bad.toml").write_text("port = -1\n")
    status, _, told = run("serve", *((gallery, *words) if words else ()))
    assert (status, why in told) == (1, True), told


def test_keys_have_one_name_each(run: Run, tmp_path: Path) -> None:
    words = ("keys", "add", "desk", "--data", tmp_path)
    assert run(*words)[0] == 0
    assert "take another name" in run(*words)[2]
    assert (
        "there is no key 'dusk'; did you mean 'desk'?"
        in run("keys", "revoke", "dusk", "--data", tmp_path)[2]
    )
    assert run("audit", "check", "--data", tmp_path / "none")[0] == 1
