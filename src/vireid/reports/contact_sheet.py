"""Contact sheets: a search with its hits framed by whether they are right; people by cameras."""

import io
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps, ImageStat

from vireid.console import printable, shortened
from vireid.datasets import Dataset
from vireid.errors import VireidError
from vireid.files.atomic import write_whole
from vireid.gallery import Hit
from vireid.models.calibration import in_percent
from vireid.pictures import MOST_PIXELS, PictureError, PictureQuery, as_rgb, picture_of
from vireid.records import ImageRecord, Modality, TextQuery, VectorQuery, spelling_key, spread

WIDEST_TITLE = 1200
"""Pixels of a title; a longer one is shortened, as it makes the sheet as wide."""
PICTURE = (112, 224)
"""Width and height into which every picture is fitted, in its own proportions."""
FRAME, GAP, MARGIN, CAPTION, IN_A_ROW = 5, 14, 28, 78, 10
PAPER, INK, PALE, BACKING = "#ffffff", "#1a1a1a", "#767676", "#ececec"
SAME, OTHER, UNKNOWN, QUERY = "#1a9850", "#d73027", "#b4b4b4", "#1a1a1a"
LEGEND = {SAME: "same person", OTHER: "another person", UNKNOWN: "identity unknown"}
LEGEND_WIDTH = 420
DARK = 60
"""Mean brightness, of 255, below which a picture is brightened."""
CELL = (PICTURE[0] + 2 * FRAME, PICTURE[1] + 2 * FRAME + CAPTION)
SPECTRUM = {Modality.VISIBLE: "#1f78b4", Modality.INFRARED: "#c2570c"}
SMALL, NAMES, HEADING, LINE = (84, 168), 104, 62, 18
"""Sizes of a sheet of people by cameras: of a picture, of names, of headings and of a line."""


@dataclass(frozen=True)
class Cell:
    """One picture with its frame, and lines of text below."""

    shown: ImageRecord | Image.Image
    colour: str
    title: str
    details: tuple[str, ...]


def compose(
    query: ImageRecord | PictureQuery | TextQuery | VectorQuery,
    hits: Sequence[Hit],
    title: str = "",
    note: str = "",
) -> Image.Image:
    """Compose a sheet of a query and its hits.

    A hit is framed green and ticked when it shows the person of the query, red and crossed when it
    shows another, and grey when the identity of either is unknown. Below it stand camera, spectrum,
    time and file. Dark pictures are brightened for the eye. A hit whose file is gone is left blank.
    A hit that is a tracklet has a row of its own: its best frame, then some of its frames in order.

    Args:
        query: A record, whose identity may be None, or a picture. A sentence, or the word vector,
            stands where else the picture does.
        hits: Hits in the order in which they are shown, ten in a row.
        title: Title above the sheet.
        note: Lines below it, for instance of which model the similarities are.

    Raises:
        PictureError: The query cannot be read.
    """
    if isinstance(query, ImageRecord):
        picture_of(query)
    title = _fitting(printable(title), WIDEST_TITLE, 17)
    notes = [_fitting(printable(line), WIDEST_TITLE, 12) for line in note.splitlines()]
    lines = [line for hit in hits for line in _strip(hit, query)]
    if not any(hit.frames for hit in hits):
        whole = [cell for line in lines for cell in line]
        lines = [whole[start : start + IN_A_ROW] for start in range(0, len(whole), IN_A_ROW)]
    columns, rows = max([1, *map(len, lines)]), max(1, len(lines))
    left, top = MARGIN + CELL[0] + 3 * GAP, MARGIN + 34
    width = left + columns * (CELL[0] + GAP) - GAP + MARGIN
    height = top + rows * (CELL[1] + GAP) - GAP + MARGIN + LINE * len(notes)
    least = 2 * MARGIN + round(_font(17).getlength(title)) + LEGEND_WIDTH
    least = max([least, *(2 * MARGIN + round(_font(12).getlength(line)) for line in notes)])
    sheet = _paper(max(width, least), height)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN - 8), title, INK, _font(17))
    for number, note in enumerate(reversed(notes)):
        pen.text((MARGIN, height - MARGIN - number * LINE), note, PALE, _font(12))
    colours = {cell.colour for line in lines for cell in line}
    _add_legend(pen, sheet.width - MARGIN, MARGIN - 6, colours & LEGEND.keys())
    if isinstance(query, ImageRecord):
        _add_cell(sheet, Cell(query, QUERY, "query", _details(query)), MARGIN, top)
    elif isinstance(query, PictureQuery):
        _add_cell(sheet, Cell(query.picture, QUERY, "query", (query.modality,)), MARGIN, top)
    else:
        _add_sentence(pen, _words(query), MARGIN, top)
    for row, line in enumerate(lines):
        for column, cell in enumerate(line):
            _add_cell(sheet, cell, left + column * (CELL[0] + GAP), top + row * (CELL[1] + GAP))
    return sheet


def _strip(
    hit: Hit, query: ImageRecord | PictureQuery | TextQuery | VectorQuery
) -> Iterator[list[Cell]]:
    """Yield the row of a hit: its cell, and if it is a tracklet, some of its frames in order."""
    shown = spread(hit.frames, IN_A_ROW - 1) if len(hit.frames) > 1 else []
    inside = (Cell(f.record, PAPER, f"{f.similarity:.3f}", _details(f.record)[-1:]) for f in shown)
    yield [_hit_cell(hit, query), *inside]


Column = tuple[str, Modality]
"""A camera and the spectrum that it sees there; some see both."""


def compose_group(
    dataset: Dataset, group: str, people: int = 8, identities: Sequence[int] | None = None
) -> Image.Image:
    """Compose a sheet of people of a data set by cameras.

    Args:
        dataset: Data set that has the people.
        group: `train`, `validation` or `test`.
        people: Number of people, spread evenly over the group.
        identities: Identities to show instead.

    Raises:
        VireidError: Someone is not in the group, or nobody is.
    """
    records = dataset.groups[group]
    title = f"{dataset.facts.get('title', dataset.label)}, {group}"
    return compose_people(records, identities or some_people(records, people), title)


def compose_people(
    records: Sequence[ImageRecord], identities: Sequence[int], title: str = ""
) -> Image.Image:
    """Compose a row for each person, a column for each camera, in each the middle picture.

    Args:
        records: Records of a data set or of a part of it; all their cameras get a column.
        identities: Identities to show, in this order.
        title: Title above the sheet.

    Raises:
        VireidError: Someone is on none of the records.
    """
    _refuse_absent(records, identities)
    title = _fitting(printable(title), WIDEST_TITLE, 17)
    columns = sorted({_column(record) for record in records}, key=_natural)
    step = (SMALL[0] + GAP, SMALL[1] + LINE + GAP)
    left, top = MARGIN + NAMES, MARGIN + 30 + HEADING
    width = left + len(columns) * step[0] - GAP + MARGIN
    least = 2 * MARGIN + round(_font(17).getlength(title))
    height = top + len(identities) * step[1] - GAP + MARGIN
    sheet = _paper(max(width, least), height)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN - 8), title, INK, _font(17))
    for i, column in enumerate(columns):
        _add_heading(pen, column, left + i * step[0], top)
    for j, identity in enumerate(identities):
        seen = _by_column(record for record in records if record.identity == identity)
        _add_person(sheet, identity, seen, columns, (left, top + j * step[1]))
    return sheet


def some_people(records: Iterable[ImageRecord], count: int) -> list[int]:
    """Return `count` identities, spread evenly over all."""
    known = sorted({r.identity for r in records if r.identity is not None})
    count = min(count, len(known))
    return [known[i * len(known) // count] for i in range(count)]


def save(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as PNG, whole or not at all."""
    written = io.BytesIO()
    sheet.save(written, "PNG", optimize=True)
    write_whole(path, written.getvalue())


def _paper(width: int, height: int) -> Image.Image:
    """Return an empty sheet.

    Raises:
        VireidError: It would be larger than any picture that is read.
    """
    if width * height > MOST_PIXELS:
        what = f"the sheet would have {width:,} x {height:,} pixels"
        raise VireidError(f"{what}, {MOST_PIXELS:,} are the most; show fewer people or hits")
    return Image.new("RGB", (width, height), PAPER)


def _hit_cell(hit: Hit, query: ImageRecord | PictureQuery | TextQuery | VectorQuery) -> Cell:
    colour = {None: UNKNOWN, True: SAME, False: OTHER}[_is_same(hit.record, query)]
    chance = "" if hit.probability is None else f"  {in_percent(hit.probability)}"
    title = f"{hit.rank}.  {hit.similarity:.3f}{chance}"
    return Cell(hit.record, colour, title, _details(hit.record))


def _is_same(
    record: ImageRecord, query: ImageRecord | PictureQuery | TextQuery | VectorQuery
) -> bool | None:
    """Whether a hit shows the person of the query; None where nobody knows."""
    if isinstance(query, ImageRecord) and query.person and record.person:
        return spelling_key(query.person) == spelling_key(record.person)
    if query.identity is None or record.identity is None:
        return None
    return query.identity == record.identity


def _words(query: TextQuery | VectorQuery) -> str:
    return query.text if isinstance(query, TextQuery) else "vector"


def _details(record: ImageRecord) -> tuple[str, ...]:
    where = "  ".join(filter(None, [record.camera, str(record.modality)]))
    time = f"{record.time:%Y-%m-%d %H:%M:%S}" if record.time else ""
    # The end of a file's name tells more than its beginning, and so do the folders above it.
    file = "/".join(record.path.parts[-2:])
    return tuple(printable(line) for line in (where, time, file) if line)


def _refuse_absent(records: Sequence[ImageRecord], identities: Sequence[int]) -> None:
    known = sorted({r.identity for r in records if r.identity is not None})
    absent = [str(identity) for identity in identities if identity not in known]
    if not known or not identities:
        raise VireidError("there is nobody to show; choose another group of people")
    if absent:
        there = f"there are {len(known)} people, from {known[0]} to {known[-1]}"
        raise VireidError(f"person {', '.join(absent)} is not there; {there}")


def _column(record: ImageRecord) -> Column:
    return record.camera or "", record.modality


def _natural(column: Column) -> tuple[list[tuple[int, str]], bool]:
    """Return a sorting key: camera 10 comes after camera 9, infrared after visible."""
    words = re.findall(r"\d+|\D+", column[0])
    numbers = {word: word.lstrip("0") for word in words if word.isdecimal()}
    parts = [(len(numbers[w]), numbers[w]) if w in numbers else (-1, w) for w in words]
    return parts, column[1] is Modality.INFRARED


def _by_column(records: Iterable[ImageRecord]) -> dict[Column, list[ImageRecord]]:
    seen: dict[Column, list[ImageRecord]] = {}
    for record in records:
        seen.setdefault(_column(record), []).append(record)
    return seen


def _add_heading(pen: ImageDraw.ImageDraw, column: Column, x: int, top: int) -> None:
    camera, modality = column
    shown = _fitting(printable(camera or str(modality)), SMALL[0], 15)
    pen.text((x, top - 52), shown, INK, _font(15))
    if camera:
        pen.text((x, top - 32), str(modality), SPECTRUM[modality], _font(12))
    pen.rectangle((x, top - 13, x + SMALL[0] - 1, top - 10), SPECTRUM[modality])


def _add_person(
    sheet: Image.Image,
    identity: int,
    seen: Mapping[Column, Sequence[ImageRecord]],
    columns: Sequence[Column],
    corner: tuple[int, int],
) -> None:
    pen = ImageDraw.Draw(sheet)
    left, top = corner
    count = sum(map(len, seen.values()))
    pen.text((MARGIN, top + SMALL[1] / 2 - 12), f"person {identity}", INK, _font(15), "lm")
    pen.text((MARGIN, top + SMALL[1] / 2 + 8), _counted(count), PALE, _font(12), "lm")
    for i, column in enumerate(columns):
        x = left + i * (SMALL[0] + GAP)
        pictures = seen.get(column, ())
        if pictures:
            _add_picture(sheet, pictures[len(pictures) // 2], (x, top), SMALL)
            pen.text((x, top + SMALL[1] + 3), _counted(len(pictures)), PALE, _font(12))
        else:
            pen.rectangle((x, top, x + SMALL[0] - 1, top + SMALL[1] - 1), None, BACKING)
            middle = (x + SMALL[0] / 2, top + SMALL[1] / 2)
            pen.text(middle, "not\nseen", UNKNOWN, _font(12), "mm", align="center")


def _counted(pictures: int) -> str:
    return "1 picture" if pictures == 1 else f"{pictures} pictures"


def _add_picture(
    sheet: Image.Image,
    shown: ImageRecord | Image.Image,
    corner: tuple[int, int],
    size: tuple[int, int],
) -> None:
    """Paste a picture in its own proportions into a box, or say that it cannot be read."""
    pen = ImageDraw.Draw(sheet)
    pen.rectangle((*corner, corner[0] + size[0] - 1, corner[1] + size[1] - 1), BACKING)
    try:
        if isinstance(shown, ImageRecord):
            picture = picture_of(shown, enough_for=size[::-1])
        else:
            picture = as_rgb(shown)
        picture = ImageOps.contain(_brightened(picture), size, Image.Resampling.LANCZOS)
        place = [(space - taken) // 2 for space, taken in zip(size, picture.size, strict=True)]
        sheet.paste(picture, (corner[0] + place[0], corner[1] + place[1]))
    except PictureError:
        middle = (corner[0] + size[0] / 2, corner[1] + size[1] / 2)
        gone = isinstance(shown, ImageRecord) and not shown.path.exists()
        why = "file is\ngone" if gone else "cannot\nbe read"
        pen.text(middle, why, PALE, _font(13), "mm", align="center")


def _brightened(picture: Image.Image) -> Image.Image:
    """Return a dark picture with its brightness spread over the whole range, for viewing only."""
    if ImageStat.Stat(picture.convert("L")).mean[0] >= DARK:
        return picture
    return ImageOps.autocontrast(picture, cutoff=1, preserve_tone=True)


def _add_cell(sheet: Image.Image, cell: Cell, x: int, y: int) -> None:
    pen = ImageDraw.Draw(sheet)
    frame = (x, y, x + PICTURE[0] + 2 * FRAME - 1, y + PICTURE[1] + 2 * FRAME - 1)
    pen.rectangle(frame, BACKING, cell.colour, FRAME)
    _add_picture(sheet, cell.shown, (x + FRAME, y + FRAME), PICTURE)
    below = y + PICTURE[1] + 2 * FRAME
    pen.text((x + 1, below + 6), cell.title, INK, _font(15))
    _add_sign(pen, cell.colour, (x + CELL[0] - 13, below + 10))
    for i, line in enumerate(cell.details):
        shown = _fitting(line, CELL[0], 12, from_end="/" in line)
        pen.text((x + 1, below + 25 + 16 * i), shown, PALE, _font(12))


def _add_sign(pen: ImageDraw.ImageDraw, colour: str, corner: tuple[int, int]) -> None:
    """Draw a tick or a cross, for eyes that do not tell green from red."""
    x, y = corner
    if colour == SAME:
        pen.line((x, y + 5, x + 4, y + 9, x + 11, y), colour, 2)
    if colour == OTHER:
        pen.line((x + 1, y, x + 10, y + 9), colour, 2)
        pen.line((x + 10, y, x + 1, y + 9), colour, 2)


def _add_sentence(pen: ImageDraw.ImageDraw, text: str, x: int, y: int) -> None:
    """Write as many words of a sentence as fit into a cell in place of a picture."""
    frame = (x, y, x + PICTURE[0] + 2 * FRAME - 1, y + PICTURE[1] + 2 * FRAME - 1)
    pen.rectangle(frame, BACKING, QUERY, FRAME)
    inner, step = PICTURE[0] - 2 * FRAME, 17
    lines = _lines(pen, shortened(text, 1000), inner, 13)
    most = (PICTURE[1] - 2 * FRAME) // step
    if len(lines) > most:
        lines = [*lines[: most - 1], "…"]
    for i, line in enumerate(lines):
        pen.text((x + 2 * FRAME, y + 2 * FRAME + i * step), line, INK, _font(13))
    pen.text((x + 1, y + PICTURE[1] + 2 * FRAME + 6), "query", INK, _font(15))


def _lines(pen: ImageDraw.ImageDraw, text: str, width: int, size: int) -> list[str]:
    lines: list[str] = []
    for word in map(printable, text.split()):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and pen.textlength(longer, _font(size)) <= width:
            lines[-1] = longer
        else:
            lines.append(_fitting(word, width, size))
    return lines


def _add_legend(pen: ImageDraw.ImageDraw, right: int, y: int, colours: set[str]) -> None:
    for colour, text in reversed([(c, t) for c, t in LEGEND.items() if c in colours]):
        right -= round(pen.textlength(text, _font(13)))
        pen.text((right, y), text, PALE, _font(13))
        pen.rectangle((right - 19, y + 2, right - 8, y + 13), None, colour, 3)
        right -= 36


def _fitting(text: str, width: int, size: int, *, from_end: bool = False) -> str:
    """Return as much of a printable text as fits: its beginning, or its end.

    A letter takes a pixel at least.
    """
    if from_end:
        return _fitting(text[::-1], width, size)[::-1]

    def is_too_wide(shown: str) -> bool:
        return len(shown) > width or _font(size).getlength(shown) > width

    if not is_too_wide(text):
        return text
    kept = bisect_left(range(1, width), True, key=lambda count: is_too_wide(f"{text[:count]}…"))
    return f"{text[:kept]}…"


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
