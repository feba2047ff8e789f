"""What learns nothing: what each baseline looks at, and where it stands beside a model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tests.onnx_model import write_model, write_site

from vireid.records import Box, ImageRecord, Modality
from vireid.scoring import baselines
from vireid.scoring.baselines import Baseline

Run = Callable[..., tuple[int, str, str]]


def saved(path: Path, picture: Image.Image) -> ImageRecord:
    picture.save(path)
    return ImageRecord(path, Modality.VISIBLE)


def person(
    path: Path, *, shirt: int = 200, wall: int = 60, lines: str = "upright", hat: bool = False
) -> ImageRecord:
    """A body before a wall with lines, which only reach to the picture's edges."""
    picture = Image.new("L", (64, 128), wall)
    draw = ImageDraw.Draw(picture)
    for at in range(0, 128, 6):
        draw.line((at, 0, at, 128) if lines == "upright" else (0, at, 64, at), 255 - wall)
    draw.ellipse((8, 4, 56, 124), shirt)
    if hat:
        draw.rectangle((24, 30, 40, 90), 255 - shirt)
    return saved(path, picture.convert("RGB"))


def similarity(baseline: Baseline, one: ImageRecord, other: ImageRecord) -> float:
    vectors = baseline.embed_records([one, other])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    return float(vectors[0] @ vectors[1])


@pytest.mark.parametrize("baseline", [baselines.edges(), baselines.edges_of_background()])
def test_edges_are_the_same_in_a_negative_and_at_another_contrast(
    baseline: Baseline, tmp_path: Path
) -> None:
    one = person(tmp_path / "one.png")
    negative = saved(
        tmp_path / "negative.png", Image.eval(Image.open(one.path), lambda value: 255 - value // 2)
    )
    other = person(tmp_path / "other.png", lines="level")
    assert similarity(baseline, one, negative) > similarity(baseline, one, other) + 0.2


def test_edges_of_background_do_not_see_the_person(tmp_path: Path) -> None:
    plain, hat = person(tmp_path / "a.png"), person(tmp_path / "b.png", hat=True)
    assert similarity(baselines.edges_of_background(), plain, hat) == pytest.approx(1, abs=1e-6)
    assert similarity(baselines.edges(), plain, hat) < 0.99


def test_a_picture_without_edges_has_a_vector(tmp_path: Path) -> None:
    blank = saved(tmp_path / "blank.png", Image.new("RGB", (64, 128)))
    assert np.isfinite(baselines.edges().embed_records([blank])).all()


def test_edges_find_the_directions_that_are_there(tmp_path: Path) -> None:
    picture = Image.new("L", (64, 128))
    ImageDraw.Draw(picture).rectangle((0, 64, 64, 128), 255)
    record = saved(tmp_path / "step.png", picture.convert("RGB"))
    vector = baselines.edges().embed(record).reshape(15, 7, 4, 9)
    assert vector.sum(axis=(0, 1, 2)).argmax() == 4  # a level edge: the gradient points down
    assert not vector[:6].any()


@pytest.mark.parametrize("height", [48, 300])
def test_box_shape_falls_with_the_difference_of_shapes_and_heights(
    height: int, tmp_path: Path
) -> None:
    frame = saved(tmp_path / "frame.png", Image.new("RGB", (900, 900)))

    def cut(width: int, height: int) -> ImageRecord:
        return ImageRecord(frame.path, Modality.VISIBLE, box=Box(3, 4, 3 + width, 4 + height))

    one = cut(height // 3, height)
    found = [
        similarity(baselines.box_shape(), one, other)
        for other in (one, cut(height // 2, height), cut(height, height))
    ]
    assert found[0] == pytest.approx(1)
    assert found == sorted(found, reverse=True)
    taller = similarity(baselines.box_shape(), one, cut(2 * height // 3, 2 * height))
    assert taller < found[0] - 0.01


def test_box_shape_takes_pictures_as_they_stand(tmp_path: Path) -> None:
    upright = saved(tmp_path / "upright.png", Image.new("RGB", (30, 90)))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (90, 30)).save(tmp_path / "lies.jpg", exif=exif)
    lies = ImageRecord(tmp_path / "lies.jpg", Modality.VISIBLE)
    assert similarity(baselines.box_shape(), upright, lies) == pytest.approx(1)


def test_controls_stand_below_scores_and_are_left_out_when_asked(tmp_path: Path, run: Run) -> None:
    model, site = write_model(tmp_path / "toy"), write_site(tmp_path / "site")
    words = ("evaluate", model, "--dataset", "folder", "--root", site)
    status, shown, told = run(*words)
    assert (status, told) == (0, "")
    for control in baselines.controls():
        assert control.name in shown
    assert "learns nothing" not in run(*words, "--no-controls")[1]


def test_a_model_that_finds_no_more_than_a_control_is_told_so(tmp_path: Path, run: Run) -> None:
    """The toy model sees coarse colours; where only the background is the same, edges find more."""
    site = tmp_path / "site"
    for camera in ("cam1", "cam3"):
        for identity in range(1, 9):
            folder = site / camera / f"{identity:04d}"
            folder.mkdir(parents=True)
            lines = Image.new("L", (64, 128), 100)
            draw = ImageDraw.Draw(lines)
            for at in range(-128, 256, 5 + identity):
                draw.line((at, 0, at + 16 * identity, 128), 110 if camera == "cam1" else 90)
            lines.convert("RGB").save(folder / "0001.png")
    model = write_model(tmp_path / "toy")
    status, shown, _ = run("evaluate", model, "--dataset", "folder", "--root", site)
    assert status == 0
    assert "toy is not above edges" in " ".join(shown.split())
