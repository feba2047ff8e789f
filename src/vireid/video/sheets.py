"""Sheets to look at: boxes drawn on a frame."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from vireid.arrays import Pixels
from vireid.files.whole import write_whole
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


def save(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as PNG, whole or not at all.

    Raises:
        VireidError: Disk full, no permission.
    """
    content = io.BytesIO()
    sheet.save(content, "PNG")
    write_whole(path, content.getvalue())
