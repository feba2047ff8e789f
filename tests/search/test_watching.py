"""Watching: folders in which pictures arrive, streams that are lost, kill -9, retention."""

import http.server
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from PIL import Image
from tests.full_disk import full_disk
from tests.onnx_model import person, write_model
from tests.video.clips import write_video
from tests.video.toy_detector import frame_with, write_detector
from tests.waiting import wait_for

from vireid import Embedder, Gallery
from vireid.errors import VireidError
from vireid.gallery.summary import Health
from vireid.records import Modality
from vireid.search import watching
from vireid.search.watching import Watch, _Lateness
from vireid.video.detector import Detector
from vireid.video.frames import Frame, Sampling
from vireid.video.people import Wishes

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "toy")


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_detector(tmp_path_factory.mktemp("toy"))


@contextmanager
def watch(
    root: Path, model: Path, detector: Path | None, seconds: float, rate: float = 25
) -> Iterator[tuple[Watch, list[str]]]:
    embedder, told = Embedder.open(model), list[str]()
    opened = Gallery.create(root / "g", embedder)
    modality = Modality.VISIBLE if detector else None
    wishes = Wishes(modality, "gate" if detector else None, Sampling(rate=rate))
    finder = Detector.open(detector) if detector else None
    with opened:
        yield (
            Watch(embedder, opened, root / "out", "gate", wishes, finder, told.append, seconds),
            told,
        )


def drop(picture: Image.Image, place: Path) -> None:
    """Put a picture into a folder as a recorder does: under another name first."""
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(".part")
    picture.save(partial, "PNG")
    partial.rename(place)


def test_cut_outs_are_indexed_as_they_arrive(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    incoming = tmp_path / "in" / "visible"
    drop(person(1), incoming / "0.png")
    with watch(tmp_path, model, None, seconds=300) as (at_work, told):
        sleep, known = at_work._sleep, list[int]()

        def counted_sleep(seconds: float) -> None:
            known.append(at_work.counts.pictures)
            sleep(seconds)

        monkeypatch.setattr(at_work, "_sleep", counted_sleep)
        thread = threading.Thread(target=at_work.folder, args=(tmp_path / "in",))
        thread.start()
        try:
            wait_for(lambda: at_work.counts.pictures == 1)
            drop(person(2), incoming / "1.png")
            looked = len(known)
            wait_for(lambda: at_work.counts.pictures == 2)
            assert known[looked:].count(1) <= 4  # looks at the folder until it was found
            (incoming / "2.png").write_bytes(b"half a picture")
            drop(person(3), incoming / "3.png")
            wait_for(lambda: at_work.counts.pictures == 3)
            assert at_work.counts.skipped == 0  # it may still be being written
            drop(person(4), incoming / "2.png")
            wait_for(lambda: at_work.counts.pictures == 4)
        finally:
            at_work.seconds = 0
            thread.join()
        assert len(at_work.gallery) == 4
        assert any("pictures: 1" in line for line in told)


def test_a_picture_that_stays_broken_is_told_once(model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "in" / "visible" / "0.png"
    drop(person(1), broken)
    broken.write_bytes(broken.read_bytes()[:200])
    long_ago = time.time() - 60
    os.utime(broken, (long_ago, long_ago))
    with watch(tmp_path, model, None, seconds=3) as (at_work, _):
        at_work.folder(tmp_path / "in")
        assert (at_work.counts.pictures, at_work.counts.skipped) == (0, 1)


def test_frames_that_arrive_are_cut_and_looked_at_once(
    model: Path, detector: Path, tmp_path: Path
) -> None:
    frame = frame_with({0: (10, 20, 40, 100), 1: (90, 30, 120, 110)})
    drop(Image.fromarray(frame), tmp_path / "in" / "a.png")
    drop(Image.fromarray(frame_with({})), tmp_path / "in" / "b.png")
    with watch(tmp_path, model, detector, seconds=2) as (at_work, told):
        at_work.folder(tmp_path / "in")
        assert (at_work.counts.frames, at_work.counts.people) == (2, 2)
        assert told == ["gate: people in a.png: 2"]
        assert at_work.gallery.tally("camera") == {"gate": 2}
    (tmp_path / "g").rename(tmp_path / "before")
    with watch(tmp_path, model, detector, seconds=1) as (again, _):
        again.folder(tmp_path / "in")
        assert again.counts.frames == 0


class Dying(http.server.BaseHTTPRequestHandler):
    """Serves parts of a video, one a request, and ends."""

    parts: tuple[bytes, ...]
    asked = 0

    def do_GET(self) -> None:
        kind = type(self)
        kind.asked += 1
        if kind.asked > len(kind.parts) or not kind.parts[kind.asked - 1]:
            self.send_error(503)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(kind.parts[kind.asked - 1])

    def log_message(self, *_: object) -> None:
        pass


def test_a_stream_that_is_lost_is_opened_again(
    monkeypatch: pytest.MonkeyPatch, model: Path, detector: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(watching, "FIRST_WAIT", 0.05)
    monkeypatch.setattr(watching, "LAG", math.inf)  # no frame is left out on a busy machine
    walk = [frame_with({0: (2 * t, 20, 2 * t + 30, 100)}) for t in range(40)]
    content = write_video(tmp_path / "a.ts", walk).read_bytes()
    Dying.parts, Dying.asked = (content, b"", b"", content[: len(content) // 2], content), 0
    server = http.server.ThreadingHTTPServer(("localhost", 0), Dying)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with watch(tmp_path, model, detector, seconds=300) as (at_work, told):
            place = f"http://localhost:{server.server_port}/gate.ts"
            thread = threading.Thread(target=at_work.stream, args=(place,))
            thread.start()
            wait_for(lambda: at_work.counts.lost >= 6)
            at_work.seconds = 0
            thread.join()
            tallied = Counter(entry.record.tracklet for entry in at_work.gallery.entries())
            assert at_work.counts.people == len(tallied) == 3
            assert sum(tallied.values()) == at_work.counts.pictures
            waits = [line.rpartition("again in ")[2] for line in told if "lost (" in line]
            assert len(waits) >= 6
            assert not list((tmp_path / "out").rglob("people.csv"))
    finally:
        server.shutdown()
        server.server_close()


def test_a_file_is_watched_to_its_end(
    run: Run, detector: Path, model: Path, tmp_path: Path
) -> None:
    walk = [frame_with({0: (2 * t, 20, 2 * t + 30, 100)}) for t in range(40)]
    video = write_video(tmp_path / "yard.mp4", walk)
    status, out, err = run(
        *("watch", video, "--detector", detector, "--modality", "visible"),
        *("--gallery", tmp_path / "g", "--out", tmp_path / "out", "--model", model),
    )
    assert status == 0, err
    assert "yard: yard-2" in out
    assert "people: 1" in out
    with Gallery.open(tmp_path / "g") as gallery:
        assert set(gallery.tally("camera")) == {"yard"}


def test_somebody_who_stays_is_indexed_before_leaving(
    monkeypatch: pytest.MonkeyPatch, model: Path, detector: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(watching, "LONGEST", 2.0)
    video = write_video(tmp_path / "a.mp4", [frame_with({0: (40, 20, 70, 100)})] * 125)
    with watch(tmp_path, model, detector, seconds=300, rate=5) as (at_work, told):
        at_work.stream(str(video))
        assert at_work.counts.people == 3
        assert len(told) == 3


def test_killed_while_watching_the_gallery_is_sound_and_work_goes_on(
    model: Path, detector: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "vireid", "watch", str(tmp_path / "in")]
    command += ["--gallery", str(tmp_path / "g"), "--out", str(tmp_path / "out")]
    command += ["--detector", str(detector), "--modality", "visible", "--model", str(model)]
    frame = Image.fromarray(frame_with({0: (10, 20, 40, 100)}))
    (tmp_path / "in").mkdir()
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    for number in range(6):
        drop(frame, tmp_path / "in" / f"{number}.png")
    seen = tmp_path / "out" / watching.SEEN
    wait_for(lambda: seen.exists() and seen.read_bytes().count(b"\n") >= 2)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    for number in range(6, 9):
        drop(frame, tmp_path / "in" / f"{number}.png")
    with Gallery.open(tmp_path / "g") as gallery:
        assert Health.of(gallery).is_sound
        assert 2 <= len(gallery) < 9
    done = subprocess.run([*command, "--seconds", "8"], check=True, capture_output=True)
    assert b"skipped" not in done.stdout
    with Gallery.open(tmp_path / "g") as gallery:
        assert len(gallery) == 9
        assert Health.of(gallery).is_sound


def test_a_full_disk_ends_the_watch_and_the_gallery_is_sound(
    model: Path, detector: Path, tmp_path: Path
) -> None:
    frame = Image.fromarray(frame_with({0: (10, 20, 40, 100)}))
    drop(frame, tmp_path / "in" / "a.png")
    with watch(tmp_path, model, detector, seconds=2) as (at_work, _):
        with full_disk(300), pytest.raises(VireidError, match="could not be written"):
            at_work.folder(tmp_path / "in")
        assert (len(at_work.gallery), Health.of(at_work.gallery).is_sound) == (0, True)
        at_work.folder(tmp_path / "in")
        assert len(at_work.gallery) == 1


def test_ctrl_c_says_what_was_done(model: Path, tmp_path: Path) -> None:
    drop(person(1), tmp_path / "in" / "visible" / "0.png")
    command = [sys.executable, "-m", "vireid", "watch", str(tmp_path / "in")]
    command += ["--gallery", str(tmp_path / "g"), "--model", str(model)]
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    assert started.stdout
    assert "pictures: 1" in started.stdout.readline()
    started.send_signal(signal.SIGINT)
    _, err = started.communicate()
    assert started.returncode == 130
    assert "stopped; people: 1, pictures: 1; the same command goes on" in err


def test_crops_go_when_the_gallery_no_longer_keeps_them(
    model: Path, detector: Path, tmp_path: Path
) -> None:
    frame = Image.fromarray(frame_with({0: (10, 20, 40, 100)}))
    for name in ("old.png", "new.png"):
        drop(frame, tmp_path / "in" / name)
    with watch(tmp_path, model, detector, seconds=1) as (at_work, _):
        at_work.folder(tmp_path / "in")
        crops = sorted((tmp_path / "out").rglob("*.jpg"))
        assert len(crops) == 2
        long_ago = time.time() - 40 * 86400
        os.utime(crops[1], (long_ago, long_ago))
        assert at_work.remove_old() == 0
        at_work.gallery.keep = timedelta(days=30)
        assert at_work.remove_old() == 1
        assert [crop.exists() for crop in crops] == [True, False]


def test_pictures_that_were_not_cut_here_are_never_removed(model: Path, tmp_path: Path) -> None:
    """Whoever watches a folder of cut-outs keeps them, wherever the crops of others would lie."""
    own = tmp_path / "out" / "visible" / "gate" / "1.jpg"
    own.parent.mkdir(parents=True)
    person(1).save(own)
    long_ago = time.time() - 40 * 86400
    os.utime(own, (long_ago, long_ago))
    with watch(tmp_path, model, None, seconds=1) as (at_work, _):
        at_work.gallery.keep = timedelta(days=30)
        assert at_work.remove_old() == 0
    assert own.exists()


def test_what_comes_too_fast_is_passed_over_and_a_slow_clock_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import numpy as np

    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    nothing = np.zeros((4, 4, 3), np.uint8)

    def lateness(clock: Callable[[float], float]) -> list[float]:
        late, found = _Lateness(), []
        for second in range(4000):
            now[0] = clock(float(second))
            found.append(late.of(Frame(second, float(second), nothing)))
        return found

    assert max(lateness(lambda s: s)) == 0
    assert max(lateness(lambda s: 5 + 1.005 * s)) < 0.01  # a clock that is slow by 0.5 %
    behind = lateness(lambda s: 1.5 * s)  # the detector needs half as long again
    assert behind[3] < watching.LAG < behind[10]


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (("nothing", "--gallery", "g"), 1, "nothing is not there"),
        (("{in}", "--gallery", "g", "--detector", "{toy}"), 2, "needs --out"),
        (("{video}", "--gallery", "g"), 1, "give a --detector"),
        (("{in}", "--gallery", "g", "--modality", "auto"), 2, "needs a --detector"),
        (("{in}", "--gallery", "g", "--detector", "{toy}", "--out", "o"), 1, "nothing says the"),
    ],
)
def test_what_cannot_be_watched_is_an_error(
    words: tuple[str, ...],
    status: int,
    reason: str,
    run: Run,
    detector: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    video = write_video(tmp_path / "a.mp4", [frame_with({})] * 3)
    places = {"in": "in", "toy": detector, "video": video}
    ended, _, err = run("watch", *(word.format(**places) for word in words))
    assert (ended, reason in err) == (status, True), err
    shutil.rmtree(tmp_path / "g", ignore_errors=True)
