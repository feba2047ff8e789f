"""Sheets to look at: boxes drawn on a frame."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from vireid.files.atomic import write_whole
from vireid.records import spread
from vireid.types.arrays import Pixels
from vireid.video.boxes import Detection

LINE = (60, 220, 60)


def drawn(frame: Pixels, people: Sequence[Detection]) -> Image.Image:
    """Return a frame with the box and the score of each person."""
    sheet = Image.fromarray(frame)
    pen = ImageDraw.Draw(sheet)
    for each in people:
        left, top, right, bottom = map(round, each.sides)
        pen.rectangle(
            (left, top, max(left, right - 1), max(top, bottom - 1)), outline=LINE, width=2
        )
        said = f"{each.score:.2f}" if each.track is None else f"{each.track}  {each.score:.2f}"
        place = (left + 3, top + 2)
        pen.rectangle(pen.textbbox(place, said), fill="black")
        pen.text(place, said, fill="white")
    return sheet


TILE = (56, 112)
"""Columns and rows into which a crop is fitted on a sheet of pairs."""
LEGEND, GAP, IN_A_ROW = 150, 8, 8


@dataclass(frozen=True)
class Pairing:
    """A person on a sheet of pairs."""

    title: str
    visible: Sequence[Path]
    """Crops of the visible spectrum."""
    infrared: Sequence[Path]


def pairs(people: Sequence[Pairing]) -> Image.Image:
    """Return a sheet on which each person has a row of visible and a row of infrared crops.

    Whoever looks at it sees at once whom the two rows do not show alike.
    """
    row = TILE[1] + 2
    height = max(1, len(people)) * (2 * row + GAP)
    sheet = Image.new("RGB", (LEGEND + IN_A_ROW * (TILE[0] + 2), height), "white")
    pen = ImageDraw.Draw(sheet)
    for number, person in enumerate(people):
        top = number * (2 * row + GAP)
        pen.multiline_text((4, top + 4), printable_lines(person.title), fill="black")
        for line, crops in enumerate((person.visible, person.infrared)):
            for place, path in enumerate(spread(crops, IN_A_ROW)):
                with Image.open(path) as opened:
                    crop = opened.convert("RGB")
                crop.thumbnail(TILE)
                sheet.paste(crop, (LEGEND + place * (TILE[0] + 2), top + line * row))
        pen.line((0, top + 2 * row + 2, sheet.width, top + 2 * row + 2), fill=(200, 200, 200))
    return sheet


def printable_lines(text: str) -> str:
    """Return lines of a text that the font of a sheet can write."""
    return text.encode("latin-1", "replace").decode("latin-1")


def save(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as PNG, whole or not at all.

    Raises:
        VireidError: Disk full, no permission.
    """
    content = io.BytesIO()
    sheet.save(content, "PNG")
    write_whole(path, content.getvalue())
