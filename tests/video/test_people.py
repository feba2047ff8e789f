"""Cutting people out: tracklets, the list, boxes of others, interruptions, a full disk."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.full_disk import full_disk
from tests.video.clips import write_video
from tests.video.toy_detector import COLOURS, GREYS, frame_with, write_detector
from tests.waiting import wait_for

from vireid.datasets import folder
from vireid.errors import VireidError
from vireid.files.atomic import PARTIAL
from vireid.files.locks import locked
from vireid.pictures import read_picture
from vireid.records import Box, Modality
from vireid.video import boxes, cut_list, people
from vireid.video.crops import BestCrops, Crop, cut_out, sharpness
from vireid.video.detector import Detector
from vireid.video.frames import Frame, Sampling, Video, open_sources
from vireid.video.people import Wishes

Run = Callable[..., tuple[int, str, str]]
WISHES = Wishes(Modality.VISIBLE)


def walk(
    frames: int = 50, colours: tuple[tuple[int, int, int], ...] = COLOURS
) -> Iterator[np.ndarray]:
    """Two people who walk towards each other and pass; the first is there from frame 5 on."""
    for t in range(frames):
        there = {1: (120 - 2 * t, 40, 145 - 2 * t, 110)}
        if t >= 5:
            there[0] = (2 * t, 20, 2 * t + 20, 80)
        yield frame_with(there, colours=colours)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_detector(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clips") / "gate.mp4", walk(), rate=25)


def rows_of(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "people.csv").read_text().splitlines()))


def whose(out: Path, row: dict[str, str]) -> int:
    """The person of a crop, by the colour of its middle."""
    crop = np.asarray(read_picture(out / row["path"])).astype(int)
    middle = crop[crop.shape[0] // 2, crop.shape[1] // 2]
    return int(np.abs(np.array(COLOURS) - middle).sum(axis=1).argmin())


# Crops


def crop(seconds: float, worth: float) -> Crop:
    nothing = np.zeros((8, 4, 3), np.uint8)
    return Crop(nothing, Box(0, 0, 4, 8), int(seconds * 100), seconds, 1.0, worth)


def test_best_crops_are_spread_in_time() -> None:
    best = BestCrops(8)
    for t in range(1000):
        best.add(crop(t / 25, worth=1 + (t % 7 == 3)))
    times = [each.seconds for each in best]
    assert 4 <= len(best) <= 8
    assert all(each.worth == 2 for each in best)
    assert max(np.diff([0, *times, 40])) < 12
    assert times == sorted(times)


def test_few_crops_are_all_kept_and_no_more_are_ever_held() -> None:
    best = BestCrops(4)
    for t in range(3):
        best.add(crop(t, worth=1))
    assert len(best) == 3
    for t in range(3, 10_000):
        best.add(crop(t, worth=1))
        assert len(best) <= 4


def test_sharpness_falls_with_blur_and_not_with_contrast() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (96, 48), np.uint8)
    sharp = np.repeat(noise[..., None], 3, axis=2)
    smooth = np.asarray(Image.fromarray(sharp).resize((12, 24)).resize((48, 96)))
    assert sharpness(smooth) < 0.5 * sharpness(sharp)
    faint = (sharp // 2 + 60).astype(np.uint8)
    assert sharpness(faint) == pytest.approx(sharpness(sharp), rel=0.05)
    assert sharpness(np.zeros((20, 10, 3), np.uint8)) == 0


def test_a_crop_is_what_the_frame_shows_in_whole_pixels() -> None:
    pixels = np.arange(40 * 30 * 3, dtype=np.uint8).reshape(40, 30, 3)
    frame = Frame(7, 0.5, pixels)
    found = cut_out(frame, (-3.0, 2.2, 9.1, 20.0), 0.8)
    assert found is not None
    assert (found.box, found.height, found.frame) == (Box(0, 2, 10, 20), 18, 7)
    assert (found.pixels == pixels[2:20, 0:10]).all()
    assert cut_out(frame, (30, 2, 40, 20), 0.8) is None


# Cutting


def test_people_become_tracklets(clip: Path, detector: Path, tmp_path: Path) -> None:
    out = tmp_path / "people"
    done = people.cut(Video(str(clip)), Detector.open(detector), out, WISHES)
    assert (done.tracklets, done.frames, done.again) == (2, 50, 0)
    assert done.seconds == pytest.approx(49 / 25)
    rows = rows_of(out)
    by_track: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_track.setdefault(row["tracklet"], []).append(row)
    assert sorted(by_track) == ["gate-0001", "gate-0002"]
    for of_track in by_track.values():
        assert 4 <= len(of_track) <= 8
        assert len({whose(out, row) for row in of_track}) == 1
        seconds = [float(row["seconds"]) for row in of_track]
        assert seconds == sorted(seconds)
        assert seconds[-1] - seconds[0] > 1
    assert {whose(out, of_track[0]) for of_track in by_track.values()} == {0, 1}
    row = next(row for row in rows if whose(out, row) == 0)
    t = int(row["frame"])
    box = Box.from_text(row["box"])
    assert np.abs(np.array(box.corners) - [2 * t, 20, 2 * t + 20, 80]).max() <= 1
    assert int(row["height"]) == box.bottom - box.top
    assert (row["camera"], row["modality"], row["source"]) == ("gate", "visible", str(clip))
    assert float(row["score"]) == pytest.approx(0.9)
    with Image.open(out / row["path"]) as picture:
        size = picture.size
    assert size == (box.right - box.left, box.bottom - box.top)


def test_the_list_is_read_as_any_list(clip: Path, detector: Path, tmp_path: Path) -> None:
    noon = datetime(2026, 11, 24, 12)
    people.cut(Video(str(clip), start=noon), Detector.open(detector), tmp_path, WISHES)
    found = folder.find(tmp_path / "people.csv")
    assert found.unusable == ()
    assert {record.tracklet for record in found.records} == {"gate-0001", "gate-0002"}
    assert {record.camera for record in found.records} == {"gate"}
    assert all(record.identity is None and record.box is None for record in found.records)
    assert all(record.time and record.time >= noon for record in found.records)
    assert len(found.records) == len(rows_of(tmp_path))


def test_cutting_again_looks_at_nothing_twice(clip: Path, detector: Path, tmp_path: Path) -> None:
    opened = Detector.open(detector)
    first = people.cut(Video(str(clip)), opened, tmp_path, WISHES)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.jpg")}
    second = people.cut(Video(str(clip)), opened, tmp_path, WISHES)
    assert (second.again, second.rows) == (50, first.rows)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.jpg")} == files


@pytest.mark.parametrize("changed", ["video", "card", "sampling"])
def test_what_was_found_under_other_terms_does_not_count(
    changed: str, clip: Path, detector: Path, tmp_path: Path
) -> None:
    own, source = write_detector(tmp_path / "toy"), tmp_path / "gate.mp4"
    source.write_bytes(clip.read_bytes())
    people.cut(Video(str(source)), Detector.open(own), tmp_path / "out", WISHES)
    wishes = WISHES
    if changed == "video":
        write_video(source, walk(40))
    elif changed == "card":
        card = own.with_suffix(".toml")
        card.write_text(card.read_text().replace("[thresholds]", "[thresholds]\nvisible = 0.3"))
    else:
        wishes = Wishes(Modality.VISIBLE, sampling=Sampling(every=2))
    again = people.cut(Video(str(source)), Detector.open(own), tmp_path / "out", wishes)
    assert again.again == 0


def test_people_who_are_gone_from_a_source_go_from_the_folder(
    clip: Path, detector: Path, tmp_path: Path
) -> None:
    opened, other = Detector.open(detector), write_video(tmp_path / "yard.mp4", walk(20))
    out = tmp_path / "out"
    people.cut(Video(str(clip)), opened, out, WISHES)
    people.cut(Video(str(other)), opened, out, WISHES)
    tall = Wishes(Modality.VISIBLE, least_height=65)  # only the second person is so tall
    found = people.cut(Video(str(clip)), opened, out, tall)
    assert (found.tracklets, found.small > 30) == (1, True)
    listed = {row["path"] for row in rows_of(out)}
    assert {str(path.relative_to(out)) for path in out.rglob("*.jpg")} == listed
    assert {row["source"] for row in rows_of(out)} == {str(clip), str(other)}


def test_infrared_frames_are_cut_alike(detector: Path, tmp_path: Path) -> None:
    grey = write_video(
        tmp_path / "gate.mkv",
        [frame[..., 0] for frame in walk(30, GREYS)],
        codec="ffv1",
        pixels="gray",
        given="gray",
    )
    wishes = Wishes(Modality.INFRARED, camera="north gate")
    found = people.cut(Video(str(grey)), Detector.open(detector), tmp_path / "out", wishes)
    assert found.tracklets == 2
    assert all(row.path.startswith("infrared/north_gate/gate-000") for row in found.rows)
    assert {row.camera for row in found.rows} == {"north gate"}


# Boxes of others


def boxes_in_mot(path: Path, frames: int, *, with_tracks: bool) -> Path:
    lines = []
    for t in range(frames):
        lines.append(f"{t + 1},{8 if with_tracks else -1},{120 - 2 * t},40,25,70,0.3")
        if t >= 5:
            lines.append(f"{t + 1},{5 if with_tracks else -1},{2 * t},20,20,60,0.4")
    path.write_text("\n".join([*lines, "3,9,nan,1,1,1,1", "4,9,5000,1,9,9,1"]))
    return path


@pytest.mark.parametrize("with_tracks", [True, False])
def test_boxes_of_others_take_the_place_of_a_detector(
    with_tracks: bool, clip: Path, tmp_path: Path
) -> None:
    listed = boxes.read(boxes_in_mot(tmp_path / "gt.txt", 50, with_tracks=with_tracks))
    found = people.cut(Video(str(clip)), listed, tmp_path / "out", WISHES)
    assert found.tracklets == 2
    assert {whose(tmp_path / "out", {"path": row.path}) for row in found.rows} == {0, 1}
    reasons = sorted(each.reason for each in found.unusable)
    assert reasons[0] == "its box lies outside of the frame of 160 x 120 pixels"
    assert reasons[1] == "its box or score is not a number"
    assert not list((tmp_path / "out").rglob("*.jsonl"))


def test_a_track_of_others_that_comes_back_is_one_tracklet(clip: Path, tmp_path: Path) -> None:
    lines = [f"{t + 1},7,{2 * t},20,20,60,1" for t in (*range(5, 15), *range(40, 50))]
    lines += [f"{t + 1},8,{120 - 2 * t},40,25,70,1" for t in range(20)]
    (tmp_path / "gt.txt").write_text("\n".join(lines))
    listed = boxes.read(tmp_path / "gt.txt")
    assert listed.last_frames == {"7": 49, "8": 19}
    found = people.cut(Video(str(clip)), listed, tmp_path / "out", WISHES)
    frames = {row.tracklet: list[int]() for row in found.rows}
    for row in found.rows:
        frames[row.tracklet].append(row.frame)
    short, long = sorted(frames.values(), key=max)
    assert (len(frames), max(short) < 20, min(long) < 15, max(long) >= 40) == (2, True, True, True)


def test_frigates_snapshots_keep_camera_time_and_track(tmp_path: Path) -> None:
    events = []
    (tmp_path / "clips").mkdir()
    for number, camera in enumerate(("gate", "yard")):
        event = {"id": f"{number}.5-abc", "camera": camera, "label": "person"}
        data = {"box": [0.25, 0.25, 0.25, 0.5], "score": 0.9}
        events.append({**event, "start_time": 100.0 + number, "data": data})
        frame = frame_with({number: (40, 30, 80, 90)})
        Image.fromarray(frame).save(tmp_path / "clips" / f"{camera}-{number}.5-abc-clean.png")
    (tmp_path / "events.json").write_text(json.dumps(events))
    (source,) = open_sources(str(tmp_path / "clips"))
    found = people.cut(source, boxes.read(tmp_path / "events.json"), tmp_path / "out", WISHES)
    assert [(row.camera, row.height) for row in found.rows] == [("gate", 60), ("yard", 60)]
    assert [row.time and row.time.timestamp() for row in found.rows] == [100, 101]
    assert found.tracklets == 2


def test_frames_that_boxes_name_and_nobody_met_are_told(clip: Path, tmp_path: Path) -> None:
    listed = boxes.read(boxes_in_mot(tmp_path / "gt.txt", 70, with_tracks=True))
    found = people.cut(Video(str(clip)), listed, tmp_path / "out", WISHES)
    assert any("20 frames of the list of boxes were not met" in note for note in found.notes), (
        found.notes
    )


# The command


def test_the_command_cuts_and_index_and_search_read_it(
    run: Run, clip: Path, detector: Path, tmp_path: Path
) -> None:
    out, gallery = tmp_path / "people", tmp_path / "site.gallery"
    status, told, _ = run(
        "cut", clip, "--detector", detector, "--modality", "visible", "--out", out
    )
    assert status == 0
    assert "2 people" in told
    assert f"vireid index {out / 'people.csv'}" in told
    assert run("index", out / "people.csv", "--out", gallery)[0] == 0
    picture = out / rows_of(out)[0]["path"]
    status, told, _ = run(
        *("search", gallery, picture, "--query-modality", "visible", "--modality", "visible"),
        *("--by", "tracklet", "--json"),
    )
    hits = json.loads(told)["hits"]
    assert [hit["tracklet"] for hit in hits] == [rows_of(out)[0]["tracklet"], "gate-0002"][:2]


def test_folders_say_spectrum_and_camera(run: Run, detector: Path, tmp_path: Path) -> None:
    for place in ("visible/cam1", "infrared/cam2"):
        (tmp_path / place).mkdir(parents=True)
        colours = COLOURS if place.startswith("visible") else GREYS
        for number, frame in enumerate(walk(12, colours)):
            Image.fromarray(frame).save(tmp_path / place / f"{number:04d}.png")
    out = tmp_path / "people"
    words = ("cut", tmp_path / "visible", tmp_path / "infrared", "--detector", detector)
    status, told, err = run(*words, "--out", out, "--json")
    assert status == 0, err
    assert [each["people"] for each in json.loads(told)["sources"]] == [2, 2]
    assert {(row["modality"], row["camera"]) for row in rows_of(out)} == {
        ("visible", "cam1"),
        ("infrared", "cam2"),
    }


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (["--modality", "visible"], 2, "--detector, or --boxes"),
        (["--detector", "{toy}"], 1, "nothing says the spectrum of"),
        (["--detector", "{toy}", "--every", "2", "--rate", "2"], 2, "one of them"),
        (["--detector", "{toy}", "--modality", "visible", "--start", "noon"], 1, "is no time"),
        (["--detector", "nothing.onnx", "--modality", "visible"], 1, "nothing.onnx is missing"),
        (["--boxes", "{clip}", "--modality", "visible"], 1, "as its suffix tells"),
        (["--detector", "{toy}", "--modality", "visible", "--min-height", "500"], 1, "nobody was"),
    ],
)
def test_what_cannot_be_cut_is_an_error(
    words: list[str],
    status: int,
    reason: str,
    run: Run,
    clip: Path,
    detector: Path,
    tmp_path: Path,
) -> None:
    asked = [word.format(toy=detector, clip=clip) for word in words]
    ended, _, err = run("cut", clip, "--out", tmp_path / "out", *asked)
    assert (ended, reason in err) == (status, True), err


def test_two_sources_of_one_name_do_not_mix(
    run: Run, clip: Path, detector: Path, tmp_path: Path
) -> None:
    other = tmp_path / "gate.mp4"
    other.write_bytes(clip.read_bytes())
    words = ("--detector", detector, "--modality", "visible", "--out", tmp_path / "out")
    assert run("cut", clip, other, *words)[0] == 0
    tracklets = {row["tracklet"] for row in rows_of(tmp_path / "out")}
    assert tracklets == {"gate-0001", "gate-0002", "gate-2-0001", "gate-2-0002"}


def test_a_second_source_of_a_name_does_not_take_the_place_of_the_first(
    run: Run,
    clip: Path,
    detector: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = tmp_path / "gate.mp4"
    other.write_bytes(clip.read_bytes())
    words = ("--detector", detector, "--modality", "visible", "--out", tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    for source in (clip, other, "gate.mp4", clip):  # the third is the second, as typed otherwise
        assert run("cut", source, *words)[0] == 0
        listed = [row["path"] for row in rows_of(tmp_path / "out")]
        assert len(set(listed)) == len(listed)
    named = {row["tracklet"]: row["source"] for row in rows_of(tmp_path / "out")}
    assert {name.rpartition("-")[0]: place for name, place in named.items()} == {
        "gate": str(clip),
        "gate-2": str(other),
    }
    assert all((tmp_path / "out" / path).exists() for path in listed)


@pytest.mark.slow
def test_killed_while_cutting_nothing_is_half_and_work_goes_on(
    detector: Path, tmp_path: Path
) -> None:
    long = write_video(tmp_path / "gate.mp4", (f for _ in range(12) for f in walk(50)))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "vireid", "cut", str(long), "--detector", str(detector)]
    command += ["--modality", "visible", "--out", str(out)]
    journal = out / "journal" / "gate.jsonl"
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_for(lambda: journal.exists() and journal.read_bytes().count(b"\n") > 40)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    seen = journal.read_bytes().count(b"\n")
    assert 40 < seen < 600
    for path in out.rglob("*.jpg"):
        read_picture(path)
    journal.write_bytes(journal.read_bytes() + b'{"frame": 99')  # killed in the middle of a line
    done = people.cut(Video(str(long)), Detector.open(detector), out, WISHES)
    assert done.again == seen
    assert not list(out.rglob(f"*{PARTIAL}"))
    unbroken = people.cut(Video(str(long)), Detector.open(detector), tmp_path / "other", WISHES)
    assert done.rows == unbroken.rows
    for row in done.rows:
        assert (out / row.path).read_bytes() == (tmp_path / "other" / row.path).read_bytes()


def test_a_full_disk_is_told_and_the_list_stays_whole(
    clip: Path, detector: Path, tmp_path: Path
) -> None:
    opened = Detector.open(detector)
    with full_disk(600), pytest.raises(VireidError, match="could not be written"):
        people.cut(Video(str(clip)), opened, tmp_path, WISHES)
    assert not (tmp_path / "people.csv").exists()
    assert people.cut(Video(str(clip)), opened, tmp_path, WISHES).tracklets == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"path,modality\na.jpg,visible\n", "no list that"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"", "no list that"),
    ],
)
def test_a_list_that_is_another_one_is_not_touched(
    content: bytes, reason: str, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "people.csv").write_bytes(content)
    listed = boxes.read(boxes_in_mot(tmp_path / "gt.txt", 50, with_tracks=True))
    with pytest.raises(VireidError, match=reason):
        people.cut(Video(str(clip)), listed, tmp_path, WISHES)
    assert (tmp_path / "people.csv").read_bytes() == content


def test_an_edited_list_removes_nothing_that_is_not_ours(clip: Path, tmp_path: Path) -> None:
    out, mine = tmp_path / "out", [tmp_path / "mine.jpg", tmp_path / "out" / "note.txt"]
    listed = boxes.read(boxes_in_mot(tmp_path / "gt.txt", 50, with_tracks=True))
    people.cut(Video(str(clip)), listed, out, WISHES)
    rows = rows_of(out)
    for path, row in zip(("../mine.jpg", "note.txt", str(mine[0])), rows, strict=False):
        row["path"] = path
    cut_list.write_rows(out, rows)
    for own in mine:
        own.write_text("mine")
    people.cut(Video(str(clip)), listed, out, WISHES)
    assert all(own.read_text() == "mine" for own in mine)


def test_two_processes_do_not_cut_one_source_at_once(
    clip: Path, detector: Path, tmp_path: Path
) -> None:
    opened = Detector.open(detector)
    taken = tmp_path / "journal" / ".gate.lock"
    with locked(taken), pytest.raises(VireidError, match=r"is being cut into .* by another"):
        people.cut(Video(str(clip)), opened, tmp_path, WISHES)
    assert people.cut(Video(str(clip)), opened, tmp_path, WISHES).tracklets == 2


def test_two_processes_fill_one_folder(detector: Path, tmp_path: Path) -> None:
    words = ["--detector", str(detector), "--modality", "visible", "--out", str(tmp_path / "out")]
    started = []
    for name in ("north.mp4", "south.mp4"):
        video = write_video(tmp_path / name, walk(50))
        command = [sys.executable, "-m", "vireid", "cut", str(video), *words]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
    assert [each.wait() for each in started] == [0, 0]
    found = {row["tracklet"] for row in rows_of(tmp_path / "out")}
    assert found == {"north-0001", "north-0002", "south-0001", "south-0002"}


def test_nobody_anywhere_is_no_error_of_the_library(detector: Path, tmp_path: Path) -> None:
    empty = write_video(tmp_path / "a.mp4", [frame_with({})] * 5)
    found = people.cut(Video(str(empty)), Detector.open(detector), tmp_path / "out", WISHES)
    assert (found.rows, found.tracklets) == ((), 0)
    assert rows_of(tmp_path / "out") == []


def test_a_broken_video_leaves_nothing_behind(detector: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    words = ("--detector", detector, "--modality", "visible", "--out", tmp_path / "out")
    status, _, said = run("cut", tmp_path / "broken.mp4", *words)
    assert status == 1
    assert "cannot be opened" in said
    assert not (tmp_path / "out").exists()


def test_spectra_of_a_pair_are_not_said_twice(
    detector: Path, clip: Path, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "cameras.toml").write_text('gate = "infrared"')
    words = ("--pair", "--spectra", tmp_path / "cameras.toml", "--detector", detector)
    status, _, said = run("cut", clip, clip, *words, "--out", tmp_path / "out")
    assert status == 2
    assert "leave out --spectra" in said


def test_numbered_boxes_are_of_one_source(clip: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "gt.txt").write_text("1,1,10,20,20,60,1\n")
    other = tmp_path / "other.mp4"
    other.write_bytes(clip.read_bytes())
    words = ("--boxes", tmp_path / "gt.txt", "--modality", "visible", "--out", tmp_path / "out")
    status, _, said = run("cut", clip, other, *words)
    assert status == 2
    assert "2 SOURCEs have frames of these numbers" in " ".join(said.split())
    assert run("cut", clip, *words)[0] == 0
