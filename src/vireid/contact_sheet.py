"""A search to look at: the query, then its hits, framed by whether they are right."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from vireid.gallery import Hit
from vireid.pictures import PictureError, read_picture
from vireid.records import ImageRecord
from vireid.writing import write_whole

PICTURE = (112, 224)
"""Width and height within which every picture is shown, in its own proportions."""
FRAME, GAP, MARGIN, CAPTION, IN_A_ROW = 5, 14, 28, 44, 10
PAPER, INK, PALE, BACKING = "#ffffff", "#1a1a1a", "#767676", "#ececec"
SAME, OTHER, UNKNOWN, QUERY = "#1a9850", "#d73027", "#b4b4b4", "#1a1a1a"
LEGEND = {SAME: "same person", OTHER: "another person", UNKNOWN: "identity unknown"}
LEGEND_WIDTH = 420
CELL = (PICTURE[0] + 2 * FRAME, PICTURE[1] + 2 * FRAME + CAPTION)


@dataclass(frozen=True)
class Cell:
    """One picture with its frame and two lines below."""

    path: Path
    colour: str
    title: str
    detail: str


def draw(query: ImageRecord, hits: Sequence[Hit], title: str = "") -> Image.Image:
    """Draw a query and its hits.

    A hit is framed green when it shows the person of the query, red when it shows another, and
    grey when the identity of either is unknown. A hit whose file is gone is left blank.

    Args:
        query: Its identity may be None.
        hits: In the order in which they are shown, ten in a row.
        title: Shown above.

    Raises:
        PictureError: The query cannot be read.
    """
    read_picture(query.path)
    cells = [_hit_cell(hit, query.identity) for hit in hits]
    columns = max(1, min(len(cells), IN_A_ROW))
    rows = max(1, -(-len(cells) // IN_A_ROW))
    left, top = MARGIN + CELL[0] + 3 * GAP, MARGIN + 34
    width = left + columns * (CELL[0] + GAP) - GAP + MARGIN
    height = top + rows * (CELL[1] + GAP) - GAP + MARGIN
    least = 2 * MARGIN + round(_font(17).getlength(title)) + LEGEND_WIDTH
    sheet = Image.new("RGB", (max(width, least), height), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN - 8), title, INK, _font(17))
    _draw_legend(pen, sheet.width - MARGIN, MARGIN - 6, {cell.colour for cell in cells})
    _draw_cell(sheet, Cell(query.path, QUERY, "query", _detail(query)), MARGIN, top)
    for i, cell in enumerate(cells):
        row, column = divmod(i, IN_A_ROW)
        _draw_cell(sheet, cell, left + column * (CELL[0] + GAP), top + row * (CELL[1] + GAP))
    return sheet


def save(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as PNG; on a full disk nothing half-written is left."""
    written = io.BytesIO()
    sheet.save(written, "PNG", optimize=True)
    write_whole(path, written.getvalue())


def _hit_cell(hit: Hit, identity: int | None) -> Cell:
    record = hit.record
    if identity is None or record.identity is None:
        colour = UNKNOWN
    else:
        colour = SAME if record.identity == identity else OTHER
    return Cell(record.path, colour, f"{hit.rank}.  {hit.similarity:.3f}", _detail(record))


def _detail(record: ImageRecord) -> str:
    return "  ".join(filter(None, [record.camera, str(record.modality)]))


def _draw_cell(sheet: Image.Image, cell: Cell, x: int, y: int) -> None:
    pen = ImageDraw.Draw(sheet)
    frame = (x, y, x + PICTURE[0] + 2 * FRAME - 1, y + PICTURE[1] + 2 * FRAME - 1)
    pen.rectangle(frame, BACKING, cell.colour, FRAME)
    try:
        picture = read_picture(cell.path, enough_for=PICTURE[::-1])
        picture = ImageOps.contain(picture, PICTURE, Image.Resampling.LANCZOS)
        place = [(space - size) // 2 for space, size in zip(PICTURE, picture.size, strict=True)]
        sheet.paste(picture, (x + FRAME + place[0], y + FRAME + place[1]))
    except PictureError:
        middle = (x + CELL[0] / 2, y + FRAME + PICTURE[1] / 2)
        pen.text(middle, "file is\ngone", PALE, _font(13), "mm", align="center")
    below = y + PICTURE[1] + 2 * FRAME
    pen.text((x + 1, below + 6), cell.title, INK, _font(15))
    pen.text((x + 1, below + 25), _shortened(pen, cell.detail), PALE, _font(12))


def _draw_legend(pen: ImageDraw.ImageDraw, right: int, y: int, colours: set[str]) -> None:
    for colour, text in reversed([(c, t) for c, t in LEGEND.items() if c in colours]):
        right -= round(pen.textlength(text, _font(13)))
        pen.text((right, y), text, PALE, _font(13))
        pen.rectangle((right - 19, y + 2, right - 8, y + 13), None, colour, 3)
        right -= 36


def _shortened(pen: ImageDraw.ImageDraw, text: str) -> str:
    """As much of a text as fits below a picture."""
    kept = text
    while pen.textlength(kept, _font(12)) > CELL[0] and len(kept) > 1:
        kept = kept.removesuffix("…")[:-1] + "…"
    return kept


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
