"""Boxes of people in frames, found by others: CSV, COCO, MOT, YOLO, Pascal VOC, Frigate's events.

All of them become `Detection`s. What is no box of a person that can be cut out (not a number,
empty, outside of the frame, given twice) is left out and told with its reason; the order of lines
does not count. How each format names frames and counts pixels:

    CSV      a line a box: frame,left,top,right,bottom and, if known, score,track,class,camera,time;
             a frame is a number from 0 or a picture's name
    COCO     a JSON file of annotations (with `images`) or of results (`image_id`, `score`)
    MOT      gt.txt or det.txt: frame from 1, track, left, top, width, height, confidence, class;
             confidence 0 in a gt.txt means "not to be counted", class 1 is a pedestrian
    YOLO     a folder with a .txt for each picture: class, then centre and size as shares of it,
             then perhaps confidence and track; class 0 is a person. Files called VIDEO_12.txt are
             of the 12th frame of a video
    VOC      an .xml for each picture, or a folder of them
    Frigate  the answer of /api/events, for snapshots called CAMERA-ID.jpg or CAMERA-ID-clean.png
"""

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from vireid.console import shortened
from vireid.datasets._csv import Row, read_table, whole_number
from vireid.datasets._files import PICTURES, Unusable
from vireid.errors import VireidError
from vireid.files.documents import read_json
from vireid.files.untrusted import content_of, is_file, what_is_wrong

Sides = tuple[float, float, float, float]
"""Left, top, right and bottom of a box."""
FrameName = int | str
"""A frame's number, from 0, or its path without a suffix, as long as the list knows it."""

PEOPLE = frozenset({"person", "people", "pedestrian", "persons", "human"})
"""Classes of people by name, in lower case."""
MOT_PERSON, MOT_UNKNOWN = 1, -1
COCO_PERSON, YOLO_PERSON = 1, 0
FORMATS = "CSV, COCO, MOT, YOLO, VOC or Frigate's events"
WAY_OUT = f"give boxes as {FORMATS}"
MOST_OF_BOXES = 2**26
"""Largest size in bytes of a list of boxes: a million lines and more."""
CSV_COLUMNS = (
    *("frame", "left", "top", "right", "bottom"),
    *("score", "track", "class", "camera", "time"),
)


@dataclass(frozen=True, slots=True)
class Detection:
    """One person seen in one frame."""

    sides: Sides
    """Left, top, right and bottom in pixels of the frame."""
    score: float = 1.0
    """Confidence of whoever found the person, from 0 to 1."""
    track: str | None = None
    """Name that the person has in all frames of one source, where somebody follows people."""
    camera: str | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListedBox:
    """A box as a list gives it, before the size of its frame is known."""

    where: str
    """Name of the list and number of the line, for messages."""
    frame: FrameName
    detection: Detection
    in_shares: bool = False
    """Whether the sides are shares of the frame's width and height."""


@dataclass(frozen=True)
class BoxList:
    """The boxes of a list, by their frames."""

    by_frame: Mapping[FrameName, tuple[ListedBox, ...]]
    unusable: tuple[Unusable, ...] = ()
    """Boxes that are left out whatever their frame is like."""
    met: set[FrameName] = field(default_factory=set)
    """Frames that have been asked for."""

    def of(self, names: Iterable[FrameName], width: int, height: int) -> "FrameBoxes":
        """Return the boxes in one frame, cut at its edges.

        Args:
            names: All that the frame may be called: its number, its path and the ends of that.
            width: Columns of the frame.
            height: Rows of the frame.
        """
        name = next((name for name in names if name in self.by_frame), None)
        if name is None:
            return FrameBoxes()
        self.met.add(name)
        people, unusable = list[Detection](), list[Unusable]()
        for box in self.by_frame[name]:
            sides = _clipped(_in_pixels(box, width, height), width, height)
            if sides is None:
                reason = f"its box lies outside of the frame of {width} x {height} pixels"
                unusable.append(Unusable(box.where, reason))
            else:
                people.append(replace(box.detection, sides=sides))
        return FrameBoxes(tuple(people), tuple(unusable))

    @cached_property
    def last_frames(self) -> Mapping[str, int]:
        """Number of the frame in which each track is seen last, where frames have numbers."""
        found = dict[str, int]()
        for frame, listed in self.by_frame.items():
            if not isinstance(frame, int):
                return {}
            for box in listed:
                if (track := box.detection.track) is not None:
                    found[track] = max(frame, found.get(track, 0))
        return found

    def never_met(self) -> list[FrameName]:
        """Return the frames that the list names and nobody has asked for."""
        return [name for name in self.by_frame if name not in self.met]


@dataclass(frozen=True, slots=True)
class FrameBoxes:
    """The people in one frame, and the boxes that are left out."""

    people: tuple[Detection, ...] = ()
    unusable: tuple[Unusable, ...] = ()


def read(path: Path) -> BoxList:
    """Read boxes in any of the formats, which the file itself tells.

    Raises:
        VireidError: It is not there, is of no such format, or holds no box of a person.
    """
    found = boxes_of(path)
    if not found.by_frame:
        unusable = found.unusable
        first = f"; the first, {unusable[0].where}: {unusable[0].reason}" if unusable else ""
        raise VireidError(f"{path} holds no box of a person that can be used{first}; {WAY_OUT}")
    return found


def boxes_of(path: Path) -> BoxList:
    """Read boxes as `read` does; there may be none of a person.

    Raises:
        VireidError: It is not there, or is of no such format.
    """
    try:
        return _checked(_of_folder(path) if path.is_dir() else _of_file(path))
    except OSError as error:
        raise VireidError(f"{path} {what_is_wrong(path, error)}; {WAY_OUT}") from error


def names_of(number: int, path: Path | None, video: Path | None = None) -> Iterator[FrameName]:
    """Yield all that a frame may be called, the most exact first.

    Args:
        number: Its number, from 0.
        path: Its own file, where it has one.
        video: The video that it is from.

    >>> list(names_of(3, Path("day/0004-clean.jpg")))
    ['day/0004', '0004', 3]
    """
    if path is not None:
        parts = (*path.parts[:-1], path.stem.removesuffix("-clean"))
        yield from ("/".join(parts[start:]) for start in range(len(parts)))
    if video is not None:
        yield f"{video.stem}_{number + 1}"
    yield number


def _of_file(path: Path) -> Iterator[ListedBox | Unusable]:
    match path.suffix.lower():
        case ".json":
            return _in_json(path)
        case ".xml":
            return _in_xml(path, path.parent)
        case ".txt":
            return _in_mot(path)
        case ".csv" | ".tsv":
            return _in_csv(path)
    if not is_file(path):
        raise VireidError(f"{path} is no file and no folder; {WAY_OUT}")
    raise VireidError(f"{path} is not {FORMATS}, as its suffix tells; {WAY_OUT}")


def _of_folder(path: Path) -> Iterator[ListedBox | Unusable]:
    files = sorted(each for each in path.rglob("*") if each.is_file())
    if found := [each for each in files if each.suffix.lower() == ".xml"]:
        return (box for each in found for box in _in_xml(each, path))
    found = [each for each in files if each.suffix.lower() == ".txt" and each.stem != "classes"]
    if not found:
        raise VireidError(f"{path} holds no .txt (YOLO) and no .xml (VOC); {WAY_OUT}")
    return (box for each in found for box in _in_yolo(each, path))


def _checked(boxes: Iterable[ListedBox | Unusable]) -> BoxList:
    """Group boxes by frame; what cannot be used is told."""
    by_frame: dict[FrameName, list[ListedBox]] = {}
    unusable = list[Unusable]()
    for box in boxes:
        if isinstance(box, Unusable):
            unusable.append(box)
            continue
        others = by_frame.get(box.frame, [])
        if reason := _what_is_wrong_with(box, others):
            unusable.append(Unusable(box.where, reason))
        else:
            by_frame.setdefault(box.frame, []).append(box)
    return BoxList({name: tuple(by_frame[name]) for name in by_frame}, tuple(unusable))


def _what_is_wrong_with(box: ListedBox, others: Sequence[ListedBox]) -> str | None:
    left, top, right, bottom = box.detection.sides
    track = box.detection.track
    if not all(map(math.isfinite, (*box.detection.sides, box.detection.score))):
        return "its box or score is not a number"
    if isinstance(box.frame, int) and box.frame < 0:
        return "its frame has a number before the first one"
    if right <= left or bottom <= top:
        return "its box is empty: right has to be more than left, and bottom more than top"
    if any(box.detection.sides == other.detection.sides for other in others):
        return "the same box is there twice in one frame"
    if track is not None and any(track == other.detection.track for other in others):
        return f"track {shortened(track)!r} is there twice in one frame"
    return None


def _in_pixels(box: ListedBox, width: int, height: int) -> Sides:
    left, top, right, bottom = box.detection.sides
    if not box.in_shares:
        return left, top, right, bottom
    return left * width, top * height, right * width, bottom * height


def _clipped(sides: Sides, width: int, height: int) -> Sides | None:
    """Return a box cut at the frame's edges; None if less than a pixel of it is inside."""
    left, top, right, bottom = sides
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    return (left, top, right, bottom) if right - left >= 1 and bottom - top >= 1 else None


def _corner_and_size(numbers: Sequence[float]) -> Sides:
    left, top, width, height = numbers
    return left, top, left + width, top + height


def _without_suffix(path: str) -> str:
    """Return the name of a frame from the path of its picture."""
    path = path.replace("\\", "/").removeprefix("/")
    stem, dot, suffix = path.rpartition(".")
    return stem if f"{dot}{suffix.lower()}" in PICTURES else path


# CSV


def _in_csv(path: Path) -> Iterator[ListedBox | Unusable]:
    for row in read_table(path, CSV_COLUMNS).rows:
        yield row if isinstance(row, Unusable) else _in_row(row)


def _in_row(row: Row) -> ListedBox | Unusable:
    cells = row.cells
    frame = cells.get("frame")
    if frame is None:
        return Unusable(row.where, "it names no frame")
    kind = cells.get("class")
    if kind is not None and kind.lower() not in PEOPLE:
        return Unusable(row.where, f"it is a {shortened(kind)}, no person")
    try:
        left, top, right, bottom = (_number(cells.get(side)) for side in CSV_COLUMNS[1:5])
        score = _number(cells.get("score", "1"))
        time = datetime.fromisoformat(cells["time"]) if "time" in cells else None
    except ValueError:
        return Unusable(row.where, "one of left, top, right, bottom, score, time cannot be read")
    number, track = whole_number(frame), cells.get("track")
    if track is not None and (number_of_track := whole_number(track)) is not None:
        track = str(number_of_track)  # pandas writes 3.0 for 3
    return ListedBox(
        row.where,
        _without_suffix(frame) if number is None else number,
        Detection((left, top, right, bottom), score, track, cells.get("camera"), time),
    )


def _number(cell: str | None) -> float:
    """Return the number in a cell; a blank one, as NaN leaves it, is not a number."""
    return math.nan if cell is None else float(cell.replace(",", "."))


# MOT and YOLO


def _lines(path: Path, separators: str) -> Iterator[tuple[str, list[float] | None]]:
    """Yield where each line stands, and its numbers; None where something is no number."""
    text = content_of(path, MOST_OF_BOXES).decode("utf-8-sig", "replace")
    for number, line in enumerate(text.splitlines(), start=1):
        words = re.split(separators, line.strip())
        if line.strip():
            try:
                yield f"{path}, line {number}", list(map(float, filter(None, words)))
            except ValueError:
                yield f"{path}, line {number}", None


def _in_mot(path: Path) -> Iterator[ListedBox | Unusable]:
    for where, numbers in _lines(path, r"[,\s]+"):
        if numbers is None or len(numbers) < 6:
            yield Unusable(where, "it is not frame,track,left,top,width,height,… as in MOT")
            continue
        frame, track, *sides = numbers[:6]
        score = numbers[6] if len(numbers) > 6 else 1.0
        kind = numbers[7] if len(numbers) > 7 else MOT_UNKNOWN
        if kind not in (MOT_PERSON, MOT_UNKNOWN):
            yield Unusable(where, f"it is of class {kind:g}, no pedestrian (1)")
        elif not frame.is_integer() or not track.is_integer():
            yield Unusable(where, "its frame or track is not a whole number")
        elif score == 0:
            yield Unusable(where, "its confidence is 0, which means that it does not count")
        else:
            name = None if track < 0 else f"{track:.0f}"
            found = Detection(_corner_and_size(sides), score, name)
            yield ListedBox(where, int(frame) - 1, found)


def _in_yolo(path: Path, root: Path) -> Iterator[ListedBox | Unusable]:
    frame = path.relative_to(root).with_suffix("").as_posix()
    for where, numbers in _lines(path, r"\s+"):
        if numbers is None or not 5 <= len(numbers) <= 7:
            yield Unusable(where, "it is not class, centre, size and perhaps score as in YOLO")
            continue
        kind, across, down, width, height, *rest = numbers
        if kind != YOLO_PERSON:
            yield Unusable(where, f"it is of class {kind:g}, no person ({YOLO_PERSON})")
            continue
        sides = _corner_and_size((across - width / 2, down - height / 2, width, height))
        score = rest[0] if rest else 1.0
        track = f"{rest[1]:.0f}" if len(rest) > 1 and math.isfinite(rest[1]) else None
        yield ListedBox(where, frame, Detection(sides, score, track), in_shares=True)


# VOC


def _in_xml(path: Path, root: Path) -> Iterator[ListedBox | Unusable]:
    content = content_of(path)
    # Python's parser follows what a DOCTYPE defines, however much that grows.
    if re.search(rb"<!\s*(DOCTYPE|ENTITY)", content.replace(b"\0", b""), re.IGNORECASE):
        yield Unusable(str(path), "it defines entities, which no list of boxes needs")
        return
    try:
        tree = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        yield Unusable(str(path), f"it is not XML ({error})")
        return
    frame = path.relative_to(root).with_suffix("").as_posix()
    for number, found in enumerate(tree.iter("object"), start=1):
        where, kind = f"{path}, object {number}", (found.findtext("name") or "").strip()
        if kind.lower() not in PEOPLE:
            yield Unusable(where, f"it is a {shortened(kind) or 'thing without a name'}, no person")
            continue
        sides = [found.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
        try:
            left, top, right, bottom = map(_number, sides)
        except ValueError:
            yield Unusable(where, "a side of its box is not a number")
        else:
            yield ListedBox(where, frame, Detection((left, top, right, bottom)))


# COCO and Frigate


@dataclass(frozen=True)
class _CocoImage:
    id: int | str
    file_name: str


@dataclass(frozen=True)
class _CocoCategory:
    id: int
    name: str


@dataclass(frozen=True)
class _FrigateData:
    box: list[float] | None = None
    score: float | None = None
    top_score: float | None = None


@dataclass(frozen=True)
class _Entry:
    """An annotation or a result of COCO, or an event of Frigate."""

    id: int | str | None = None
    image_id: int | str | None = None
    category_id: int = COCO_PERSON
    bbox: list[float] | None = None
    score: float | None = None
    track_id: int | str | None = None
    iscrowd: int = 0
    camera: str | None = None
    label: str | None = None
    start_time: float | None = None
    data: _FrigateData | None = None


@dataclass(frozen=True)
class _Coco:
    images: list[_CocoImage]
    annotations: list[_Entry]
    categories: list[_CocoCategory] = field(default_factory=list)


def _in_json(path: Path) -> Iterator[ListedBox | Unusable]:
    content: _Coco | list[_Entry] = read_json(
        path, _Coco | list[_Entry], WAY_OUT, most=MOST_OF_BOXES
    )
    if isinstance(content, _Coco):
        people = {c.id for c in content.categories if c.name.lower() in PEOPLE}
        people = people if content.categories else {COCO_PERSON}
        frames: dict[int | str, str] = {
            image.id: _without_suffix(image.file_name) for image in content.images
        }
        entries = content.annotations
    else:
        people, frames, entries = {COCO_PERSON}, {}, content
    for number, entry in enumerate(entries, start=1):
        where = f"{path}, box {number}"
        if entry.label is not None and entry.camera is not None:
            yield _of_event(entry, f"{path}, event {entry.id}")
        elif entry.category_id not in people:
            yield Unusable(where, f"it is of category {entry.category_id}, no person")
        elif entry.iscrowd:
            yield Unusable(where, "it is a crowd, not one person")
        elif isinstance(content, _Coco) and entry.image_id not in frames:
            yield Unusable(where, f"there is no image {entry.image_id}")
        else:
            yield _of_entry(entry, where, frames.get(entry.image_id or 0, entry.image_id))


def _of_entry(entry: _Entry, where: str, frame: FrameName | None) -> ListedBox | Unusable:
    if entry.bbox is None or len(entry.bbox) != 4 or frame is None:
        return Unusable(where, "it has no image_id or no bbox of four numbers")
    track = None if entry.track_id is None else str(entry.track_id)
    score = 1.0 if entry.score is None else entry.score
    name = _without_suffix(frame) if isinstance(frame, str) else frame
    return ListedBox(where, name, Detection(_corner_and_size(entry.bbox), score, track))


def _of_event(entry: _Entry, where: str) -> ListedBox | Unusable:
    if (entry.label or "").lower() not in PEOPLE:
        return Unusable(where, f"it is a {shortened(entry.label or '')}, no person")
    data = entry.data or _FrigateData()
    if data.box is None or len(data.box) != 4:
        return Unusable(where, "it has no box, as Frigate kept no snapshot of it")
    score = data.score if data.score is not None else data.top_score
    try:
        time = None if entry.start_time is None else datetime.fromtimestamp(entry.start_time, UTC)
    except (ValueError, OverflowError, OSError):
        return Unusable(where, "its start_time is no time")
    found = Detection(
        _corner_and_size(data.box),
        1.0 if score is None else score,
        track=str(entry.id),
        camera=entry.camera,
        time=time,
    )
    return ListedBox(where, f"{entry.camera}-{entry.id}", found, in_shares=True)
