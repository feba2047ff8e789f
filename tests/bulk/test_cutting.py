"""Workers of a cluster cut the same people out as one process, into the same list."""

import csv
import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.bulk.conftest import TwoNodes
from tests.bulk.fragile import POISON, FragileCuttingWorker
from tests.video.clips import write_video
from tests.video.toy_detector import COLOURS, GREYS, frame_with, write_detector

from vireid.video import bulk_cutting, cut_list
from vireid.video.bulk_cutting import CuttingWorker
from vireid.video.detector_journal import Journal, last_frame
from vireid.video.people import Cut, Job

Run = Callable[..., tuple[int, str, str]]


def walk(frames: int, speed: int, colours: Sequence[tuple[int, int, int]]) -> list[np.ndarray]:
    """Two people who pass one another."""
    found = []
    for t in range(frames):
        there = {
            1: (120 - speed * t, 40, 145 - speed * t, 110),
            0: (speed * t, 20, speed * t + 20, 80),
        }
        found.append(frame_with(there, colours=tuple(colours)))
    return found


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_detector(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("videos")
    return [
        write_video(folder / name, walk(40 - 10 * speed, speed, COLOURS))
        for speed, name in ((1, "gate.mp4"), (2, "yard.mp4"), (3, "door.mp4"))
    ]


@pytest.fixture
def cut(run: Run, detector: Path) -> Run:
    """Types `vireid cut ...` with the toy detector, of visible people."""

    def typed(*words: object) -> tuple[int, str, str]:
        return run("cut", *words, "--detector", detector, "--modality", "visible")

    return typed


@pytest.fixture
def cut_by_ray(cut: Run, two_nodes: TwoNodes, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Types the same for workers of a class on the cluster."""

    def typed(*words: object, worker: type[CuttingWorker] = CuttingWorker) -> tuple[int, str, str]:
        monkeypatch.setattr(bulk_cutting, "CuttingWorker", worker)
        return cut(*words, "--ray", two_nodes.asked.address)

    return typed


def tree(out: Path) -> dict[str, bytes]:
    """All files of a folder, without the locks and the time that took."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.suffix != ".lock" and path.name != ".lock"
    }


def of(told: str) -> list[dict[str, object]]:
    """What is said of each source, without how long it took."""
    left_out = ("took", "times_real_time")
    sources = json.loads(told)["sources"]
    return [{k: v for k, v in each.items() if k not in left_out} for each in sources]


def test_workers_cut_what_one_process_cuts(
    cut: Run, cut_by_ray: Run, videos: list[Path], tmp_path: Path
) -> None:
    status, alone, _ = cut(*videos, "--json", "--out", tmp_path / "one")
    assert status == 0
    out = tmp_path / "two"
    status, told, _ = cut_by_ray(*videos, "--json", "--out", out)
    assert status == 0
    assert of(told) == of(alone)
    assert tree(out) == tree(tmp_path / "one")
    status, told, _ = cut(*videos, "--json", "--out", out)
    assert [each["frames_known"] == each["frames"] for each in of(told)] == [True] * 3
    assert tree(out) == tree(tmp_path / "one")


class DiesOnce(CuttingWorker):
    """Dies of the first source that it gets, twelve frames after its beginning."""

    def cut(self, jobs: Sequence[Job]) -> Cut:
        note, dead = Journal.note, self._terms.out / "dead"
        before = last_frame(self._terms.out / "journal", jobs[0].name)

        def note_or_die(self: Journal, frame: int, found: Sequence[object]) -> None:
            note(self, frame, found)  # type: ignore[arg-type]
            if frame == 11 and not dead.exists():
                dead.touch()
                os.kill(os.getpid(), signal.SIGKILL)

        Journal.note = note_or_die  # type: ignore[method-assign,assignment]
        assert before in (None, 11)
        return super().cut(jobs)


def test_a_worker_that_dies_leaves_its_frames_to_the_next(
    cut: Run, cut_by_ray: Run, videos: list[Path], tmp_path: Path
) -> None:
    assert cut(videos[0], "--out", tmp_path / "one")[0] == 0
    words, out = ("--json", "--workers", 1), tmp_path / "two"
    status, told, _ = cut_by_ray(videos[0], "--out", out, *words, worker=DiesOnce)
    assert status == 0
    assert [each["frames_known"] for each in of(told)] == [12]
    (out / "dead").unlink()
    assert tree(out) == tree(tmp_path / "one")


def test_the_video_that_kills_its_workers_is_named(
    cut_by_ray: Run, videos: list[Path], tmp_path: Path
) -> None:
    bad, out = tmp_path / f"{POISON}.mp4", tmp_path / "two"
    bad.write_bytes(videos[0].read_bytes())
    words = ("--out", out, "--workers", 1)
    status, _, told = cut_by_ray(bad, videos[1], *words, worker=FragileCuttingWorker)
    assert status == 1
    assert "1 sources were cut, 1 were given up" in told
    assert f"{bad}: 3 workers died of it" in told
    rows = csv.DictReader((out / cut_list.LIST).read_text().splitlines())
    assert {row["source"] for row in rows} == {str(videos[1])}


def test_a_pair_is_cut_by_two_workers(
    run: Run, two_nodes: TwoNodes, videos: list[Path], detector: Path, tmp_path: Path
) -> None:
    grey = [frame[..., 0] for frame in walk(30, 1, GREYS)]
    infrared = write_video(tmp_path / "n.mkv", grey, codec="ffv1", pixels="gray", given="gray")
    words = ("cut", videos[0], infrared, "--pair", "--detector", detector)
    assert run(*words, "--out", tmp_path / "one")[0] == 0
    ray = ("--ray", two_nodes.asked.address)
    status, told, _ = run(*words, "--out", tmp_path / "two", *ray)
    assert (status, "2 people are in both spectra" in told) == (0, True)
    assert tree(tmp_path / "two") == tree(tmp_path / "one")


def test_a_broken_video_is_told_as_by_one_process(
    cut: Run, cut_by_ray: Run, videos: list[Path], tmp_path: Path
) -> None:
    bad = tmp_path / "broken.mp4"
    bad.write_bytes(b"no video")
    alone = cut(videos[0], bad, "--out", tmp_path / "one")
    by_ray = cut_by_ray(videos[0], bad, "--out", tmp_path / "two", "--workers", 1)
    assert alone[0] == 1
    assert by_ray == alone
    assert tree(tmp_path / "two") == tree(tmp_path / "one")


def test_boxes_of_others_need_no_cluster(run: Run, videos: list[Path], tmp_path: Path) -> None:
    boxes = tmp_path / "gt.txt"
    boxes.write_text("1,1,10,10,20,60,1,-1,-1,-1\n")
    words = ("cut", videos[0], "--boxes", boxes, "--modality", "visible", "--out", tmp_path / "o")
    status, _, told = run(*words, "--ray")
    assert (status, "--ray belongs to --detector" in told) == (2, True)
