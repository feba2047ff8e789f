"""The spectrum of frames by their colours, and doubts about pictures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.video.clips import write_video
from tests.video.toy_detector import COLOURS, GREYS, frame_with, write_detector

from vireid import datasets
from vireid.errors import VireidError
from vireid.pictures import picture_of
from vireid.records import ImageRecord, Modality
from vireid.video import cut_list, source_labels
from vireid.video.doubts import doubts_about
from vireid.video.frames import Frame
from vireid.video.spectrum import COLOURED, GREY, SpectrumSense, colourfulness

Run = Callable[..., tuple[int, str, str]]


def mixed(share: float) -> np.ndarray:
    """A grey frame, of whose area a share is red."""
    frame = np.full((48, 64, 3), 90, np.uint8)
    frame[:, : round(64 * share)] = (160, 40, 40)
    return frame


def test_rendered_pictures_of_either_spectrum_are_told_apart() -> None:
    records = datasets.read("nightwalk").test[::3]
    found = {modality: list[float]() for modality in Modality}
    for record in records:
        found[record.modality].append(colourfulness(np.asarray(picture_of(record))))
    assert min(map(len, found.values())) > 50
    assert max(found[Modality.INFRARED]) < GREY
    right = [each > (GREY + COLOURED) / 2 for each in found[Modality.VISIBLE]]
    assert np.mean(right) > 0.99


def test_a_tint_and_an_inscription_do_not_count() -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 200, (48, 64, 1)).repeat(3, axis=2).astype(np.uint8)
    tinted = (grey + np.array([30, 0, 45])).astype(np.uint8)
    written = grey.copy()
    written[2:5, 2:30] = (250, 40, 40)
    for frame in (grey, tinted, written):
        assert colourfulness(frame) < GREY
    assert colourfulness(mixed(0.1)) > COLOURED


def spectra(shares: list[float], rate: float = 10) -> list[str]:
    sense = SpectrumSense()
    frames = (Frame(n, n / rate, mixed(share)) for n, share in enumerate(shares))
    return [sense.of(frame).value[0] for frame in frames]


def test_the_spectrum_changes_when_frames_are_steadily_other() -> None:
    night = [0.0] * 30
    assert spectra([0.3] * 20 + night) == ["v"] * 30 + ["i"] * 20
    assert spectra(night + [0.3] * 20) == ["i"] * 40 + ["v"] * 10


def test_a_flash_or_a_grey_lorry_changes_nothing() -> None:
    assert set(spectra([0.0] * 20 + [0.3] * 5 + [0.0] * 20)) == {"i"}
    assert set(spectra([0.3] * 20 + [0.0] * 5 + [0.3] * 20)) == {"v"}


def test_between_the_thresholds_nothing_changes() -> None:
    frame = np.full((48, 64, 3), 90, np.uint8)
    frame[:, :30, 0] += 7
    assert GREY < colourfulness(frame) < COLOURED
    for first in Modality:
        sense = SpectrumSense(first)
        assert {sense.of(Frame(n, n / 10, frame)) for n in range(50)} == {first}


def test_a_camera_that_switches_at_night_is_cut_in_both_spectra(run: Run, tmp_path: Path) -> None:
    there = [{0: (t, 20, t + 20, 80)} for t in range(120)]
    day = [frame_with(each, colours=COLOURS) for each in there[:60]]
    night = [frame_with(each, colours=GREYS) for each in there[60:]]
    video = write_video(tmp_path / "gate.mp4", day + night, rate=25)
    out, detector = tmp_path / "out", write_detector(tmp_path)
    words = ("cut", video, "--detector", detector, "--out", out)
    assert run(*words, "--modality", "auto")[0] == 0
    rows = cut_list.read_rows(out)
    found = {row["tracklet"]: row["modality"] for row in rows}
    assert sorted(found.values()) == ["infrared", "visible"]
    first = next(row for row in rows if row["modality"] == "infrared")
    assert 60 + 25 <= int(first["frame"]) <= 60 + 30
    assert first["path"].startswith("infrared/gate/")
    # A file that knows the camera stands above.
    (tmp_path / "cameras.toml").write_text('gate = "infrared"\n')
    assert run(*words, "--modality", "auto", "--spectra", tmp_path / "cameras.toml")[0] == 0
    assert {row["modality"] for row in cut_list.read_rows(out)} == {"infrared"}
    (tmp_path / "cameras.toml").write_text('gate = "thermal"\n')
    status, _, err = run(*words, "--spectra", tmp_path / "cameras.toml")
    assert (status, "there are visible, infrared and auto" in err) == (1, True)


def test_grey_frames_that_are_called_visible_are_doubted(run: Run, tmp_path: Path) -> None:
    frames = [frame_with({0: (40, 20, 60, 80)}, colours=GREYS)] * 30
    video = write_video(tmp_path / "gate.mp4", frames)
    words = ("--detector", write_detector(tmp_path), "--modality", "visible")
    status, told, _ = run("cut", video, *words, "--out", tmp_path / "out")
    assert (status, "have no colour: is it infrared?" in told) == (0, True)
    video = write_video(tmp_path / "yard.mp4", [mixed_frame() for _ in range(30)])
    status, told, _ = run("cut", video, *words, "--out", tmp_path / "out")
    assert (status, "no colour" in told, "3 frames show nobody" in told) == (0, False, False)


def mixed_frame() -> np.ndarray:
    frame = frame_with({0: (40, 20, 60, 80)})
    frame[:20, 80:] = (60, 130, 230)
    return frame


def test_frames_without_people_are_counted(run: Run, tmp_path: Path) -> None:
    frames = [mixed_frame()] * 10 + [frame_with({})] * 7
    video = write_video(tmp_path / "gate.mp4", frames)
    words = ("--detector", write_detector(tmp_path), "--modality", "visible")
    status, told, _ = run("cut", video, *words, "--out", tmp_path / "out")
    assert (status, "7 frames show nobody" in told) == (0, True)


# Doubts


def pictures(
    folder: Path, size: tuple[int, int], colour: tuple[int, int, int]
) -> list[ImageRecord]:
    folder.mkdir(parents=True)
    records = []
    for number in range(5):
        picture = Image.new("RGB", size, "gray")
        picture.paste(colour, (0, 0, size[0] // 2, size[1] // 2))
        picture.save(folder / f"{number}.png")
        records.append(ImageRecord(folder / f"{number}.png", Modality.VISIBLE))
    return records


@pytest.mark.parametrize(
    ("size", "colour", "doubt"),
    [
        ((64, 128), (250, 0, 0), None),
        ((640, 480), (250, 0, 0), "are wider than tall; if they are frames"),
        ((20, 40), (250, 0, 0), "are fewer than 48 pixels high"),
        ((64, 128), (200, 200, 200), "are called visible and have no colour"),
    ],
)
def test_pictures_that_are_no_cut_outs_are_doubted(
    size: tuple[int, int],
    colour: tuple[int, int, int],
    doubt: str | None,
    run: Run,
    tmp_path: Path,
) -> None:
    records = pictures(tmp_path / "visible", size, colour)
    told = doubts_about(records)
    assert [doubt in each for each in told] == [True] if doubt else told == []
    status, _, err = run("index", tmp_path / "visible", "--out", tmp_path / "g")
    assert status == 0
    assert (doubt or "") in err
    assert run("index", tmp_path / "visible", "--out", tmp_path / "g")[2] == ""


def test_a_few_odd_pictures_are_no_reason_to_doubt(tmp_path: Path) -> None:
    good = pictures(tmp_path / "a", (64, 128), (250, 0, 0))
    wide = pictures(tmp_path / "b", (640, 480), (250, 0, 0))
    assert doubts_about(good * 3 + wide) == []
    assert "5 of 5 pictures" in doubts_about(wide)[0]
    assert doubts_about([]) == []
    broken = ImageRecord(tmp_path / "nothing.png", Modality.VISIBLE)
    assert doubts_about([broken]) == []


def test_spectra_of_cameras_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    path.write_text('gate = "infrared"\n"north yard" = "auto"\n')
    assert source_labels.read_spectra(path) == {"gate": "infrared", "north yard": "auto"}
    path.write_text("gate = 3\n")
    with pytest.raises(VireidError, match="write lines such as"):
        source_labels.read_spectra(path)
