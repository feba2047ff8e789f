"""Anyone's own pictures: a folder, or a CSV file that lists them.

What is known of a picture is taken from the names of the folders it lies in; the innermost wins:

    visible  vis  rgb  color                  taken in visible light
    infrared  ir  nir  swir  lwir  thermal    taken in infrared
    cam3  camera_north  cam-2                 the camera's name
    0012                                      the person's identity, where such a folder of digits
                                              lies directly in one of the above
    cam3/0006/0001.jpg                        as in SYSU-MM01, where cameras 3 and 6 are infrared

    site/visible/cam1/0012/a.jpg              all of it

A CSV file has a column `path` (relative paths start at the CSV file) and may have

    modality, identity (an integer), camera       left blank, folder names say it
    time                                          when it was taken: 2026-11-22T20:15:00 (ISO 8601)
    tracklet                                      frames of one person that one camera saw in a row
    tags                                          labels to search by, separated by semicolons
    left, top, right, bottom                      the person's box, where a frame shows several:
                                                  pixels, the last two just outside; one line each
"""

import csv
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

from vireid.datasets import Dataset, _files, _sysu_layout
from vireid.errors import VireidError
from vireid.records import Box, ImageRecord, Modality

PICTURES = _files.PICTURES | {".avif", ".gif", ".jp2", ".pgm", ".pnm", ".ppm"}
MODALITIES = {
    **dict.fromkeys(["visible", "vis", "rgb", "color", "colour"], Modality.VISIBLE),
    **dict.fromkeys(["infrared", "ir", "nir", "swir", "lwir", "thermal"], Modality.INFRARED),
}
BOX = ("left", "top", "right", "bottom")
COLUMNS = ("path", "modality", "identity", "camera", "time", "tracklet", "tags")
CAMERA = re.compile(r"cam(era)?(\d+|[ _-].+)", re.IGNORECASE)
FOUR_DIGITS = re.compile(r"[0-9]{4}")
NO_MODALITY = (
    "nothing says its spectrum; put it into a folder named visible or infrared, "
    "or say so with --modality"
)


@dataclass(frozen=True)
class Unusable:
    """A picture, a folder or a line of a CSV file that gives no record."""

    where: str
    reason: str


@dataclass(frozen=True)
class Found:
    """The records of a folder or CSV file, and what gave none."""

    records: tuple[ImageRecord, ...]
    unusable: tuple[Unusable, ...]


@dataclass(frozen=True)
class Labels:
    """What the folders that a picture lies in, or a line of a CSV file, say about it."""

    modality: Modality | None = None
    identity: int | None = None
    camera: str | None = None
    tracklet: str | None = None
    """Only a CSV file says this, and what follows."""
    time: datetime | None = None
    box: Box | None = None
    tags: frozenset[str] = frozenset()


def find(source: Path | str, modality: Modality | None = None, camera: str | None = None) -> Found:
    """List the pictures of a folder, or of a CSV file.

    Args:
        source: Folders are searched to any depth, in the order of names.
        modality: The spectrum of all of them, whatever folders or columns say.
        camera: Likewise.

    Raises:
        VireidError: It is not there, may not be read, is no CSV file with the right columns, or
            not a single picture in it can be used.
    """
    source = Path(source)
    listed = _in_csv(source) if source.is_file() else _in_folder(source)
    records, unusable = [], []
    for path, labels in listed:
        if isinstance(labels, Unusable):
            unusable.append(labels)
        elif spectrum := modality or labels.modality:
            records.append(_record(path, labels, spectrum, camera or labels.camera))
        else:
            unusable.append(Unusable(str(path), NO_MODALITY))
    if not records:
        raise VireidError(f"{source}: {_why_nothing(unusable)}")
    return Found(tuple(records), tuple(unusable))


def _record(path: Path, labels: Labels, modality: Modality, camera: str | None) -> ImageRecord:
    return ImageRecord(
        path=path,
        modality=modality,
        identity=labels.identity,
        camera=camera,
        tracklet=labels.tracklet,
        time=labels.time,
        box=labels.box,
        tags=labels.tags,
    )


def read(root: Path | None = None) -> Dataset:
    """A folder, or a CSV file, as a data set to learn from or to score on.

    People in its folders `train` and `validation` are learnt from, all others scored on.
    Pictures of unknown people and those that `find` cannot use are left out, and told with every
    score.

    Raises:
        VireidError: No folder is given, `find` finds nothing in it, a listed picture is not there,
            or someone is both learnt from and scored on.
    """
    if root is None:
        raise VireidError("the data set 'folder' needs the folder of your pictures; give its root")
    found = find(root)
    listed = dict.fromkeys(record.path for record in found.records)
    missing = [path for path in listed if not path.is_file()]
    _files.refuse(root, "listed pictures are not there", missing, "correct their paths")
    splits: dict[str, list[ImageRecord]] = {"train": [], "validation": [], "test": []}
    for record in found.records:
        if record.identity is not None:
            splits[_split_of(record.path, root)].append(record)
    learnt, scored = splits["train"] + splits["validation"], splits["test"]
    _files.refuse_people_in_both(
        root,
        (record.identity for record in learnt),
        (record.identity for record in scored),
        "keep all pictures of a person in one of the folders train, validation and test",
    )
    return Dataset(
        name="folder",
        root=root if root.is_dir() else root.parent,
        train=tuple(splits["train"]),
        validation=tuple(splits["validation"]),
        test=tuple(splits["test"]),
        facts={"title": f"Pictures in {root}", "remarks": _left_out(found)},
    )


def _split_of(path: Path, root: Path) -> str:
    above = root if root.is_dir() else root.parent
    first = path.relative_to(above).parts[0] if path.is_relative_to(above) else ""
    return first if first in ("train", "validation") else "test"


def _left_out(found: Found) -> tuple[str, ...]:
    """What has to be told: a line for those that cannot be used, one for unknown people."""
    unknown = sum(record.identity is None for record in found.records)
    lines = [f"{unknown} pictures of unknown people are left out"] if unknown else []
    if found.unusable:
        first = found.unusable[0]
        lines.append(
            f"{len(found.unusable)} pictures or lines are left out; "
            f"the first, {first.where}: {first.reason}"
        )
    return tuple(lines)


def left_out(root: Path) -> list[str]:
    """List the pictures and lines that cannot be used, each with its reason."""
    return [f"{each.where}: {each.reason}" for each in find(root).unusable]


def labels_of(path: Path | str) -> Labels:
    """Return what the folders that a picture lies in say about it.

    >>> labels = labels_of("/site/visible/cam1/0012/a.jpg")
    >>> labels.modality, labels.identity, labels.camera
    (<Modality.VISIBLE: 'visible'>, 12, 'cam1')
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100  links keep the name they are known by
    folders = path.parts[-2::-1]  # the innermost first
    modality = next((MODALITIES[f.lower()] for f in folders if f.lower() in MODALITIES), None)
    camera = next((folder for folder in folders if CAMERA.fullmatch(folder)), None)
    if modality is None and _is_sysu(path, folders):
        modality = _sysu_layout.MODALITIES[folders[1]]
    return Labels(modality, _identity(folders), camera)


def _is_sysu(path: Path, folders: tuple[str, ...]) -> bool:
    return (
        len(folders) > 1
        and folders[1] in _sysu_layout.MODALITIES
        and all(FOUR_DIGITS.fullmatch(name) for name in (path.stem, folders[0]))
    )


def _identity(folders: tuple[str, ...]) -> int | None:
    for folder, parent in pairwise(folders):
        says_where = parent.lower() in MODALITIES or CAMERA.fullmatch(parent)
        if says_where and folder.isascii() and folder.isdigit():
            return int(folder)
    return None


Listed = Iterator[tuple[Path, Labels | Unusable]]


def _in_folder(root: Path) -> Listed:
    if not root.exists():
        raise VireidError(f"{root} is not there; give a folder of pictures, or a CSV file")
    refused: list[OSError] = []
    seen: set[str] = set()
    for folder, below, files in os.walk(root, onerror=refused.append, followlinks=True):
        below[:] = sorted(name for name in below if _is_new(Path(folder, name), seen))
        for name in sorted(files):
            path = Path(folder, name)
            if path.suffix.lower() in PICTURES and not name.startswith("."):
                yield path, labels_of(path) if _is_text(path) else _unnamable(path)
    for error in refused:
        reason = f"this folder cannot be read ({error.strerror})"
        yield Path(error.filename), Unusable(str(error.filename), reason)


def _is_new(folder: Path, seen: set[str]) -> bool:
    """Whether a folder is to be entered: not hidden, and not through a circle of links."""
    real = os.path.realpath(folder)
    if folder.name.startswith(".") or real in seen:
        return False
    seen.add(real)
    return True


def _is_text(path: Path) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in str(path))


def _unnamable(path: Path) -> Unusable:
    return Unusable(ascii(str(path)), "its name is not valid Unicode; rename it")


def _in_csv(path: Path) -> Listed:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, strict=True)
            _check_columns(path, rows.fieldnames or ())
            seen: dict[tuple[str, Box | str | None], int] = {}
            tracklets: dict[str, tuple[Labels, int]] = {}
            for row in rows:
                picture = path.parent / _cell(row, "path")
                labels = _labels_in(row, picture)
                first = seen.setdefault((os.path.abspath(picture), _box(row)), rows.line_num)  # noqa: PTH100
                if isinstance(labels, Labels) and first < rows.line_num:
                    labels = f"the same picture as in line {first}"
                elif isinstance(labels, Labels):
                    labels = _out_of_line(labels, tracklets, rows.line_num) or labels
                where = f"{path}, line {rows.line_num}"
                yield picture, Unusable(where, labels) if isinstance(labels, str) else labels
    except (csv.Error, UnicodeDecodeError) as error:
        raise VireidError(f"{path} is not a CSV file in UTF-8 ({error}); save it as one") from error


def _check_columns(path: Path, columns: Iterable[str]) -> None:
    columns = list(columns)
    for column in columns:
        meant = _meant(column)
        if meant and column != meant:
            raise VireidError(f"{path} has a column {column!r}; did you mean {meant!r}?")
    if "path" not in columns:
        wanted = ",".join(COLUMNS)
        raise VireidError(f"{path} has no column 'path'; its first line should read {wanted}")
    lacking = [side for side in BOX if side not in columns]
    if 0 < len(lacking) < len(BOX):
        lacks = " and ".join(map(repr, lacking))
        raise VireidError(f"{path} lacks {lacks}; a box has the columns {', '.join(BOX)}")


def _meant(column: str) -> str | None:
    """The column that one of this name was meant to be; None where it is some other."""
    name = column.strip().lower()
    if name in BOX:  # short words, like many others: no typing error is looked for
        return name
    near = get_close_matches(name, COLUMNS, 1, cutoff=0.8)
    return near[0] if near else None


Row = dict[str, str | None]


def _cell(row: Row, column: str) -> str:
    return (row.get(column) or "").strip()


def _labels_in(row: Row, picture: Path) -> Labels | str:
    """What a line says, and the folders where it is blank; or why it cannot be used."""
    modality, identity, time = (_cell(row, name) for name in ("modality", "identity", "time"))
    if None in row:
        return "it has more values than there are columns"
    if not _cell(row, "path"):
        return "it has no path"
    if modality and modality.lower() not in MODALITIES:
        return f"modality {modality!r} is neither visible nor infrared"
    if identity and not re.fullmatch(r"-?[0-9]+", identity):
        return f"identity {identity!r} is not an integer"
    if time and _time(time) is None:
        return f"time {time!r} is not a time such as 2026-11-22T20:15:00"
    box = _box(row)
    if isinstance(box, str):
        return box
    by_name = labels_of(picture)
    return Labels(
        modality=MODALITIES[modality.lower()] if modality else by_name.modality,
        identity=int(identity) if identity else by_name.identity,
        camera=_cell(row, "camera") or by_name.camera,
        tracklet=_cell(row, "tracklet") or None,
        time=_time(time),
        box=box,
        tags=frozenset(filter(None, map(str.strip, _cell(row, "tags").split(";")))),
    )


def _box(row: Row) -> Box | str | None:
    """The box that a line says, None if it says none, or what is wrong with it."""
    sides = [_cell(row, side) for side in BOX]
    if not any(sides):
        return None
    if not all(re.fullmatch(r"-?[0-9]+", side) for side in sides):
        return f"box {','.join(sides)!r} is not four integers: {', '.join(BOX)}, in pixels"
    try:
        return Box(*map(int, sides))
    except VireidError as error:
        return str(error)


def _out_of_line(labels: Labels, tracklets: dict[str, tuple[Labels, int]], line: int) -> str | None:
    """Remember a tracklet; say if it was that of another person, camera or spectrum before."""
    if labels.tracklet is None:
        return None
    first, where = tracklets.setdefault(labels.tracklet, (labels, line))
    for name in ("modality", "identity", "camera"):
        if getattr(first, name) != getattr(labels, name):
            return (
                f"tracklet {labels.tracklet!r} has another {name} in line {where}; a tracklet's "
                "name stands for one person before one camera"
            )
    return None


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _why_nothing(unusable: list[Unusable]) -> str:
    if not unusable:
        known = " ".join(sorted(PICTURES))
        return f"there is no picture in it; pictures are files that end in {known}"
    first = unusable[0]
    return f"none of {len(unusable)} can be used; the first: {first.where}: {first.reason}"
