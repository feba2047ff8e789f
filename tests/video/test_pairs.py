"""Pairs: who is who in a visible and an infrared video of one scene."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.video.clips import write_video
from tests.video.toy_detector import COLOURS, GREYS, frame_with, write_detector

from vireid import datasets
from vireid.datasets import folder
from vireid.errors import VireidError
from vireid.video import pairs
from vireid.video.pairs import Course, estimated_shift, paired

Run = Callable[..., tuple[int, str, str]]
TIMES = np.arange(0, 6, 0.1)


def course(
    start: float, speed: float, times: np.ndarray = TIMES, shift: float = 0.0, wobble: float = 8.0
) -> Course:
    """Somebody who walks, 30 pixels wide, seen by a clock that is ahead by `shift`."""
    left = start + speed * times + wobble * np.sin(2 * times)
    boxes = np.stack([left, np.full_like(left, 50.0), left + 30, np.full_like(left, 130.0)], 1)
    return Course(times + shift, boxes)


def scene(shift: float = 0.0) -> tuple[dict[str, Course], dict[str, Course]]:
    visible = {"v1": course(0, 40), "v2": course(300, -25)}
    infrared = {
        "i1": course(300, -25, TIMES[:25], shift),
        "i2": course(300, -25, TIMES[35:], shift),
        "i3": course(0, 40, TIMES[:50], shift),
        "i4": course(500, 5, shift=shift),
    }
    return visible, infrared


@pytest.mark.parametrize("shift", [0.0, 0.42, -1.3])
def test_tracks_that_overlap_over_time_are_one_person(shift: float) -> None:
    found = paired(*scene(shift))
    assert found.shift == pytest.approx(shift, abs=0.03)
    assert found.is_told_by_motion
    assert [(sorted(seen), sorted(felt)) for seen, felt in found.people] == [
        (["v1"], ["i3"]),
        (["v2"], ["i1", "i2"]),
    ]
    assert (found.visible_alone, found.infrared_alone) == ((), ("i4",))
    assert all(each.overlap > 0.9 for each in found.evidence)


def test_a_shift_that_is_given_is_not_estimated() -> None:
    found = paired(*scene(0.4), shift=-3.0)
    assert (found.shift, found.people) == (-3.0, ())


def test_people_who_stand_still_tell_no_shift() -> None:
    still = {"v": course(100, 0, wobble=0)}
    assert estimated_shift(list(still.values()), [course(100, 0, wobble=0)]) == (0.0, False)
    assert estimated_shift([], [course(100, 0)]) == (0.0, False)
    found = paired(still, {"i": course(100, 0, wobble=0)})
    assert [(sorted(seen), sorted(felt)) for seen, felt in found.people] == [(["v"], ["i"])]


def test_two_who_are_there_at_once_are_never_one_person() -> None:
    # Two infrared boxes lie on one visible person: the closer one is believed.
    visible = {"v": course(0, 40)}
    near = Course(TIMES, course(0, 40).boxes + np.array([6, 0, 6, 0]))
    found = paired(visible, {"i1": near, "i2": course(0, 40)}, shift=0.0)
    assert [(sorted(seen), sorted(felt)) for seen, felt in found.people] == [(["v"], ["i2"])]
    assert found.infrared_alone == ("i1",)


def test_a_homography_leads_from_one_picture_to_the_other() -> None:
    visible, infrared = scene()
    turned = np.array([[0.5, 0, 20], [0, 0.5, 10], [0, 0, 1]])
    half = {
        name: Course(each.seconds, each.boxes / 2 + np.array([20, 10, 20, 10]))
        for name, each in infrared.items()
    }
    assert paired(visible, half).people == ()
    assert len(paired(visible, half, turned).people) == 2
    slant = np.array([[1, 0, 0], [0, 1, 0], [0.001, 0, 1.0]])
    moved = course(0, 0, wobble=0).moved(slant).boxes[0]
    assert moved == pytest.approx([0, (50 + 50 / 1.03) / 2, 30 / 1.03, (130 + 130 / 1.03) / 2])


def test_places_are_known_between_boxes_and_not_across_gaps() -> None:
    path = Course(np.array([0.0, 0.5, 3.0]), np.array([[0.0] * 4, [10.0] * 4, [60.0] * 4]))
    at = path.at(np.array([-0.1, 0.0, 0.25, 0.5, 1.0, 3.0, 3.1]))[:, 0]
    assert np.isnan(at[[0, 4, 6]]).all()
    assert at[[1, 2, 3]].tolist() == [0, 5, 10]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 0 0", "no homography"),
        ("1 0 0 0 1 0 0 0 x", "no homography"),
        ("1 0 0 1 0 0 0 0 1", "without a way back"),
        ("nan 0 0 0 1 0 0 0 1", "without a way back"),
    ],
)
def test_a_homography_that_is_none_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "h.txt"
    path.write_text(text)
    with pytest.raises(VireidError, match=reason):
        pairs.read_homography(path)
    path.write_text("1,0,5\n0,1,2\n0,0,1\n")
    assert pairs.read_homography(path).tolist() == [[1, 0, 5], [0, 1, 2], [0, 0, 1]]
    with pytest.raises(VireidError, match="is missing"):
        pairs.read_homography(tmp_path / "nothing")


# The command


def walk(frames: int, colours: tuple[tuple[int, int, int], ...], late: int = 0) -> list[np.ndarray]:
    """Two people who pass; a third that only visible light shows."""
    found = []
    for number in range(frames):
        t = number - late
        there = {1: (125 - 2 * t, 40, 150 - 2 * t, 115), 0: (2 * t, 20, 2 * t + 20, 80)}
        if colours == COLOURS:
            there[2] = (70, 85, 95, 119)
        found.append(frame_with(there, colours=colours))
    return found


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Detector, visible and infrared video; the infrared one begins 0.4 s earlier."""
    root = tmp_path_factory.mktemp("pair")
    visible = write_video(root / "day.mp4", walk(50, COLOURS))
    grey = [frame[..., 0] for frame in walk(60, GREYS, late=10)]
    infrared = write_video(root / "night.mkv", grey, codec="ffv1", pixels="gray", given="gray")
    return write_detector(root), visible, infrared


def test_a_pair_becomes_a_data_set(run: Run, pair: tuple[Path, Path, Path], tmp_path: Path) -> None:
    detector, visible, infrared = pair
    out = tmp_path / "site"
    words = ("cut", visible, infrared, "--pair", "--detector", detector, "--out", out)
    status, told, err = run(*words, "--min-height", 30, "--json")
    assert status == 0, err
    answer = json.loads(told)["pairs"]
    assert answer["shift"] == pytest.approx(0.4, abs=0.05)
    assert len(answer["people"]) == 2
    found = folder.find(out / "people.csv")
    who: dict[tuple[int | None, str], Counter[int]] = {}
    for record in found.records:
        crop = np.asarray(Image.open(record.path).convert("RGB"), int)
        colours = COLOURS if record.modality == "visible" else GREYS
        middle = crop[crop.shape[0] // 2, crop.shape[1] // 2]
        person = int(np.abs(np.array(colours) - middle).sum(axis=1).argmin())
        who.setdefault((record.identity, record.modality.value), Counter())[person] += 1
    # Where people pass one another, the middle of a crop may show whoever is nearer.
    shown = {key: people.most_common(1)[0][0] for key, people in who.items()}
    assert shown[None, "visible"] == 2
    assert {shown[identity, "visible"] for identity in (1, 2)} == {0, 1}
    for identity in (1, 2):
        assert shown[identity, "visible"] == shown[identity, "infrared"]
        assert who[identity, "visible"].most_common(1)[0][1] >= 4
    dataset = datasets.read("folder", out / "people.csv")
    assert {record.identity for record in dataset.test} == {1, 2}
    with Image.open(out / "pairs.png") as sheet:
        assert sheet.height > 400
    status, told, _ = run("data", "check", "folder", out / "people.csv")
    assert status == 0, told


def test_pairs_of_several_videos_do_not_share_people(
    run: Run, pair: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    detector, visible, infrared = pair
    again = [tmp_path / name for name in ("dawn.mp4", "dusk.mkv")]
    for source, copy in zip((visible, infrared), again, strict=True):
        copy.write_bytes(source.read_bytes())
    out = tmp_path / "site"
    rest = ("--pair", "--detector", detector, "--out", out)
    assert run("cut", visible, infrared, *rest, "--group", "train")[0] == 0
    status, told, _ = run("cut", *again, *rest)
    assert status == 0
    assert "2 people are in both spectra" in told
    dataset = datasets.read("folder", out / "people.csv")
    assert {record.identity for record in dataset.train} == {1, 2}
    assert {record.identity for record in dataset.test} == {3, 4}
    assert run("cut", visible, infrared, *rest, "--group", "train")[0] == 0
    again_read = datasets.read("folder", out / "people.csv")
    assert len({record.identity for record in again_read.train + again_read.test}) == 4


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("{v}", "--pair"), "takes two SOURCEs"),
        (("{v}", "{i}", "--pair", "--modality", "visible"), "no --modality"),
        (("{v}", "--modality", "visible", "--group", "train"), "belong to --pair"),
    ],
)
def test_pairs_that_are_none_are_refused(
    words: tuple[str, ...], reason: str, run: Run, pair: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    detector, visible, infrared = pair
    asked = [word.format(v=visible, i=infrared) for word in words]
    status, _, err = run("cut", *asked, "--detector", detector, "--out", tmp_path / "out")
    assert (status, reason in err) == (2, True), err
