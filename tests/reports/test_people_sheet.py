"""People by cameras: who is drawn where, and what is said of those who are not there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageFont
from tests import sysu_layout

from vireid.cli import main as cli
from vireid.datasets import read
from vireid.errors import VireidError
from vireid.gallery import Hit
from vireid.pictures import read_picture
from vireid.records import Box, ImageRecord, Modality, TextQuery
from vireid.reports.contact_sheet import (
    GAP,
    HEADING,
    MARGIN,
    NAMES,
    SMALL,
    compose,
    compose_people,
    some_people,
)

STEP = (SMALL[0] + GAP, SMALL[1] + 18 + GAP)


def middle(sheet: Image.Image, row: int, column: int) -> tuple[int, ...]:
    """The colour a little above the middle of a cell."""
    x = MARGIN + NAMES + column * STEP[0] + SMALL[0] // 2
    y = MARGIN + 30 + HEADING + row * STEP[1] + SMALL[1] // 4
    return tuple(np.asarray(sheet)[y, x].tolist())


def records(tmp_path: Path, seen: Sequence[tuple[int, str, Modality]]) -> list[ImageRecord]:
    """One picture for each, the more red the higher the person's number."""
    made = []
    for i, (identity, camera, modality) in enumerate(seen):
        path = tmp_path / f"{i}.png"
        Image.new("RGB", SMALL, (40 * identity, 0, 0)).save(path)
        made.append(ImageRecord(path, modality, identity, camera))
    return made


V, I = Modality.VISIBLE, Modality.INFRARED  # noqa: E741


def test_names_as_long_as_a_book_are_shortened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []
    measure = ImageFont.FreeTypeFont.getlength

    def counted(self: ImageFont.FreeTypeFont, text: str, *rest: Any) -> float:
        measured.append(text)
        return measure(self, text, *rest)

    monkeypatch.setattr(ImageFont.FreeTypeFont, "getlength", counted)
    names = ["c" * 3_000, "cam" + "9" * 5_000, "cam10", "cam9"]
    seen = records(tmp_path, [(1, name, V) for name in names])
    sheet = compose_people(seen, [1])
    assert sheet.width == 2 * MARGIN + NAMES + 4 * STEP[0] - GAP
    assert [middle(sheet, 0, i)[0] for i in range(4)] == [40] * 4
    hits = [Hit(i, 0.5, record) for i, record in enumerate(seen, 1)]
    for title in ("a title", "t" * 3_000):
        sheet = compose(TextQuery("word " * 3_000), hits, title)
        assert sheet.width < 2_000
    # Ten halvings find where a name has to end.
    assert max(map(len, measured)) <= 1_201
    assert len(measured) < 1_000


def test_a_sheet_larger_than_any_picture_is_refused(tmp_path: Path) -> None:
    seen = records(tmp_path, [(1, "cam1", V)])
    with pytest.raises(VireidError, match=r"pixels, 89,478,485 are the most; show fewer people"):
        compose_people(seen, [1] * 10_000)
    with pytest.raises(VireidError, match="show fewer people or hits"):
        compose(TextQuery("a person"), [Hit(1, 0.5, seen[0])] * 10_000)


def test_rows_are_people_and_columns_cameras_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    seen = [(1, "cam10", I), (1, "cam9", V), (2, "cam9", V), (3, "cam9", V), (3, "cam10", I)]
    sheet = compose_people(records(tmp_path, seen), [3, 1, 2])
    assert sheet.width == 2 * MARGIN + NAMES + 2 * STEP[0] - GAP
    assert [[middle(sheet, row, column)[0] for column in (0, 1)] for row in (0, 1, 2)] == [
        [120, 120],
        [40, 40],
        [80, 255],
    ]
    assert middle(sheet, 2, 1) == (255, 255, 255), "not seen there"


def test_a_camera_that_sees_both_spectra_has_two_columns(tmp_path: Path) -> None:
    seen = [(1, "cam1", V), (2, "cam1", I), (1, "cam2", V)]
    sheet = compose_people(records(tmp_path, seen), [1, 2])
    reds = [[middle(sheet, row, column)[0] for column in (0, 1, 2)] for row in (0, 1)]
    assert reds == [[40, 255, 40], [255, 80, 255]]


def test_a_picture_that_cannot_be_read_leaves_its_cell_grey(tmp_path: Path) -> None:
    made = records(tmp_path, [(1, "cam1", V), (1, "cam2", I)])
    made[0].path.write_bytes(b"no picture")
    made[1].path.unlink()
    sheet = compose_people(made, [1])
    assert middle(sheet, 0, 0) == middle(sheet, 0, 1) == (0xEC, 0xEC, 0xEC)


def test_people_are_spread_over_all(tmp_path: Path) -> None:
    made = records(tmp_path, [(k % 7, "cam1", V) for k in (5, 3, 1, 0, 2, 4, 6, 6)])
    assert some_people(made, 3) == [0, 2, 4]
    assert some_people(made, 50) == [0, 1, 2, 3, 4, 5, 6]


def test_who_is_not_there_is_named(tmp_path: Path) -> None:
    made = records(tmp_path, [(1, "cam1", V), (4, "cam1", V)])
    with pytest.raises(
        VireidError, match=r"person 2, 7 is not there; there are 2 people, from 1 to 4"
    ):
        compose_people(made, [1, 2, 7])
    with pytest.raises(VireidError, match="there is nobody to show; choose another group"):
        compose_people([], [])


def test_a_data_set_is_shown_from_the_command_line(tmp_path: Path) -> None:
    root = sysu_layout.write(tmp_path / "sysu")
    out = tmp_path / "sheets/people.png"
    arguments = ["data", "show", "nightwalk", str(root), "--out", str(out), "--group", "test"]
    answer = CliRunner().invoke(cli.vireid, [*arguments, "--identities", "6,12"])
    assert answer.exit_code == 0, answer.output
    first = read_picture(out)
    size = f"{first.width} x {first.height} pixels"
    assert answer.stdout == f"{out}: people of nightwalk, test; {size}\n"
    assert first.width == 2 * MARGIN + NAMES + 6 * STEP[0] - GAP
    # Person 6 was not seen by camera 1, person 12 not by camera 3.
    blank = [[middle(first, row, c) == (255, 255, 255) for c in range(6)] for row in (0, 1)]
    assert blank == [[c == 0 for c in range(6)], [c == 2 for c in range(6)]]
    CliRunner().invoke(cli.vireid, [*arguments, "--people", "3"])
    assert read_picture(out).height == first.height + STEP[1]
    everyone = {record.identity for record in read("nightwalk", root).test}
    assert everyone == {4, 6, 12}


@pytest.mark.parametrize(
    ("asked", "why"),
    [(["--identities", "1,x"], "'1,x' is not a list of numbers"), (["--trial", "2"], "no trial 2")],
)
def test_what_cannot_be_shown_is_said(asked: list[str], why: str, tmp_path: Path) -> None:
    arguments = ["data", "show", "nightwalk", "--out", str(tmp_path / "people.png"), *asked]
    answer = CliRunner().invoke(cli.vireid, arguments)
    assert why in str(answer.exception)
    assert list(tmp_path.iterdir()) == []


def test_somebody_in_a_frame_is_shown_alone(tmp_path: Path) -> None:
    frame = Image.new("RGB", (2 * SMALL[0], SMALL[1]), (40, 0, 0))
    frame.paste((80, 0, 0), (SMALL[0], 0, 2 * SMALL[0], SMALL[1]))
    frame.save(tmp_path / "frame.png")
    boxes = [Box(x, 0, x + SMALL[0], SMALL[1]) for x in (0, SMALL[0])]
    people = [
        ImageRecord(tmp_path / "frame.png", V, i, "cam1", box=box) for i, box in enumerate(boxes)
    ]
    sheet = compose_people(people, [0, 1])
    assert [middle(sheet, row, 0)[0] for row in (0, 1)] == [40, 80]
