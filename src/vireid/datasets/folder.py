"""Anyone's own pictures: a folder, or a CSV file that lists them.

What is known of a picture is taken from the names of the folders it lies in; the innermost wins:

    visible  vis  rgb  color                  taken in visible light
    infrared  ir  nir  swir  lwir  thermal    taken in infrared
    cam3  camera_north  cam-2                 the camera's name
    0012                                      the person's identity, where such a folder of digits
                                              lies directly in one of the above and is no date
    cam3/0006/0001.jpg                        as in SYSU-MM01, where cameras 3 and 6 are infrared

    site/visible/cam1/0012/a.jpg              all of it

Only the folder that is given and those in it count, never those above it. A CSV file has a column
`path` (relative paths start at the CSV file) and may have

    modality, identity, camera    where blank, folders say it; an identity is a number or a name,
                                  and -1 stands for people whom nobody has named
    time                          when it was taken: 2026-11-22T20:15:00 (ISO 8601)
    tracklet                      frames of one person that one camera saw in a row
    moment                        number of the instant: pictures of one camera that share it were
                                  taken at once
    tags                          labels to search by, separated by semicolons
    left, top, right, bottom      the person's box, where a frame shows several people: pixels, the
                                  last two just outside; a line for each person
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from vireid.console import shortened
from vireid.datasets import Dataset, _files
from vireid.datasets._csv import Beside, Row, read_table, whole_number
from vireid.datasets._files import Unusable as Unusable
from vireid.datasets._labels import (
    GROUPS,
    MODALITIES,
    FolderLabels,
    Labels,
    Names,
    Reader,
    dates_in,
    group_of,
    numbered_folders,
)
from vireid.datasets._listing import SUFFIXES, pictures_below
from vireid.datasets._summary import Origin
from vireid.datasets._summary import Seen as Seen
from vireid.errors import VireidError, closest
from vireid.records import MOST_IDENTITY, Box, ImageRecord, Modality, spelling_key

LABELS = ("modality", "identity", "camera")
BOX = ("left", "top", "right", "bottom")
COLUMNS = ("path", "modality", "identity", "camera", "time", "tracklet", "moment", "tags", *BOX)
NOTHING = Labels()
NO_MODALITY = (
    "nothing says its spectrum; put it into a folder named visible or infrared, "
    "or say so with --modality"
)


@dataclass(frozen=True)
class Found:
    """The records of a folder or CSV file, and what could not be used."""

    records: tuple[ImageRecord, ...]
    unusable: tuple[Unusable, ...]
    origins: tuple[Mapping[Origin, str], ...]
    """Origins of the labels of each record, with the option, column or folder."""
    notes: tuple[str, ...] = ()
    """Remarks on what was passed over, or read otherwise than it may have been meant."""

    def seen(self, without: AbstractSet[Path] = frozenset()) -> Seen:
        """Sum up the people and cameras, and what names them.

        Args:
            without: Paths of pictures that turned out not to be readable.
        """
        known = [
            pair
            for pair in zip(self.records, self.origins, strict=True)
            if pair[0].path not in without
        ]
        return Seen.of([record for record, _ in known], [origins for _, origins in known])


@dataclass(frozen=True)
class _Picture:
    """A picture whose folders have not been read yet."""

    path: Path
    names: Names
    """Names of the folders that count; the first is the source itself, whose name does not count
    where it is a list."""
    below: bool
    """Whether it lies in the source; otherwise the names are those of all its folders."""
    said: Labels = NOTHING
    """Labels in the columns of a list."""
    columns: AbstractSet[str] = frozenset()
    """Fields of the labels that have a cell, even one that says that nobody knows."""

    @property
    def top(self) -> str | None:
        """Name of the source's subfolder that it lies in; None if directly in it, or elsewhere."""
        return self.names[1] if self.below and len(self.names) > 1 else None

    @property
    def group(self) -> str | None:
        """Group of people that the folders name."""
        if self.below:
            return group_of(self.top or "")
        return next(filter(None, map(group_of, reversed(self.names))), None)

    def labels(self, asked: Labels, by_folders: Labels) -> Labels:
        """Return the labels: those asked for, else those of columns, else those of folders."""
        folders = {name: getattr(by_folders, name) for name in LABELS if name not in self.columns}
        options = {name: value for name in LABELS if (value := getattr(asked, name)) is not None}
        return replace(self.said, **(folders | options))


@dataclass(frozen=True)
class _Listed:
    """All pictures of a source, and what could not be used."""

    pictures: tuple[_Picture, ...]
    unusable: tuple[Unusable, ...]
    notes: tuple[str, ...]


def find(source: Path | str, modality: Modality | None = None, camera: str | None = None) -> Found:
    """List the pictures of a folder, or of a CSV file.

    Args:
        source: Folder or CSV file. Folders are searched to any depth, in the order of names.
        modality: Spectrum of all pictures, whatever folders or columns say.
        camera: Camera of all pictures, whatever folders or columns say.

    Raises:
        VireidError: It is not there, may not be read, is no CSV file with the right columns, or
            not a single picture in it can be used.
    """
    source = Path(source)
    return _found(source, _listed(source), Labels(modality, camera=camera))


def read(root: Path | None = None) -> Dataset:
    """Read a folder, or a CSV file, as a data set to learn from or to score on.

    People in its folders `train` and `validation`, in any of the usual spellings, are learnt from,
    all others scored on. People with names get numbers behind those that there are, in the order of
    the names. Pictures of unknown people and those that `find` cannot use are left out, and told
    with every score.

    Raises:
        VireidError: No folder is given, `find` finds nothing in it, a listed picture is not there,
            or someone is both learnt from and scored on.
    """
    if root is None:
        raise VireidError("the data set 'folder' needs the folder of your pictures; give its root")
    listed = _listed(root)
    found = _found(root, listed, NOTHING)
    paths = dict.fromkeys(record.path for record in found.records)
    missing = [path for path in paths if not os.path.isfile(path)]  # noqa: PTH113
    _files.refuse(root, "listed pictures are not there", missing, "correct their paths")
    groups = {picture.path: picture.group for picture in listed.pictures}
    splits: dict[str, list[ImageRecord]] = {"train": [], "validation": [], "test": []}
    for record in _numbered(found.records):
        if record.identity is not None:
            splits[groups[record.path] or "test"].append(record)
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
        facts={
            "title": f"Pictures in {root}",
            "remarks": (*_left_out(found), *_other_folders(listed.pictures), *found.notes),
        },
    )


def _numbered(records: Sequence[ImageRecord]) -> Iterator[ImageRecord]:
    """Yield records in which people with names have numbers too."""
    first = 1 + max((r.identity for r in records if r.identity is not None), default=-1)
    names = sorted({record.person for record in records if record.person is not None})
    numbers = {name: first + i for i, name in enumerate(names)}
    for record in records:
        name = record.person
        yield record if name is None else replace(record, identity=numbers[name])


def left_out(root: Path) -> list[str]:
    """List the pictures and lines that cannot be used, each with its reason."""
    return [f"{each.where}: {each.reason}" for each in find(root).unusable]


def labels_of(path: Path | str) -> Labels:
    """Return the labels that the folders of a single picture give.

    Below the working folder they count from there on. Elsewhere nothing says where they begin, so
    camera and person are read only from those that hang together up to the picture.

    >>> labels = labels_of("/site/visible/cam1/0012/a.jpg")
    >>> labels.modality, labels.identity, labels.camera
    (<Modality.VISIBLE: 'visible'>, 12, 'cam1')
    """
    here = Path.cwd()
    path = Path(os.path.abspath(path))  # noqa: PTH100  links keep the name they are known by
    below = path.is_relative_to(here)
    names = (here.name, *path.relative_to(here).parts[:-1]) if below else path.parts[1:-1]
    return Reader().read(names, path.stem, below=below).labels


def _listed(source: Path) -> _Listed:
    if not source.is_file():
        return _in_folder(source)
    if source.suffix.lower() in SUFFIXES:
        raise VireidError(f"{source} is a picture; give the folder it lies in, or a CSV file")
    return _in_csv(source)


@dataclass(frozen=True)
class Said:
    """What a line of a list says of a picture."""

    path: Path
    labels: Labels
    columns: frozenset[str]
    """Columns that are filled in, of those with labels."""


def labels_in(list_: Path) -> tuple[tuple[Said, ...], tuple[Unusable, ...]]:
    """Read what a list says of pictures, and nothing else; the pictures need not be there.

    Args:
        list_: CSV file, as `find` reads it.

    Returns:
        What its lines say, and the lines that cannot be used.

    Raises:
        VireidError: It is no such list.
    """
    listed = _in_csv(list_)
    said = (Said(p.path, p.said, frozenset(p.columns)) for p in listed.pictures)
    return tuple(said), listed.unusable


def _in_folder(root: Path) -> _Listed:
    listing = pictures_below(root)
    own = Path(os.path.abspath(root)).name  # noqa: PTH100
    level = len(root.parts)
    pictures = (_Picture(p, (own, *p.parts[level:-1]), True) for p in listing.pictures)
    return _Listed(tuple(pictures), listing.unusable, listing.notes)


def _in_csv(path: Path) -> _Listed:
    table, beside = read_table(path, COLUMNS), Beside(path)
    pictures, unusable = list[_Picture](), list[Unusable]()
    seen: dict[tuple[str, Box | None], str] = {}
    tracklets: dict[str, tuple[Labels, str]] = {}
    for row in table.rows:
        picture = row if isinstance(row, Unusable) else _in_row(row, beside)
        if isinstance(picture, _Picture) and isinstance(row, Row):
            key = beside.real(picture.path), picture.said.box
            first = seen.setdefault(key, row.where)
            if first != row.where:
                same = f"the same picture as in {first.rpartition(', ')[2]}"
                picture = Unusable(row.where, same)
            elif other := _other_tracklet(picture.said, tracklets, row.where):
                picture = Unusable(row.where, other)
        if isinstance(picture, Unusable):
            unusable.append(picture)
        else:
            pictures.append(picture)
    return _Listed(tuple(pictures), tuple(unusable), table.notes)


def _in_row(row: Row, beside: Beside) -> _Picture | Unusable:
    cell = row.cells.get("path")
    if cell is None:
        return Unusable(row.where, "it has no path")
    if "\0" in cell:
        return Unusable(row.where, "its path holds a NUL character; correct it")
    path = beside.find(cell)
    if path is None:
        way_out = f"write the path as it is here, or relative to {beside.list_.parent}"
        return Unusable(row.where, f"{cell!r} is a path of a Windows computer; {way_out}")
    said: dict[str, Any] = {}
    for column, read_cell in READ_CELL.items():
        if column in row.cells:
            try:
                said[column] = read_cell(row.cells[column])
            except ValueError:
                return Unusable(row.where, _wrong(column, row.cells[column]))
    if isinstance(name := said.get("identity"), str):
        said |= {"identity": None, "person": name}
    box = _box([row.cells.get(side, "") for side in BOX])
    if isinstance(box, str):
        return Unusable(row.where, box)
    if box:
        said["box"] = box
    names, below = beside.names_above(path)
    return _Picture(path, names, below, Labels(**said), said.keys())


def _box(sides: Sequence[str]) -> Box | str | None:
    """Return the box that a line says, None if it says none, or what is wrong with it."""
    if not any(sides):
        return None
    numbers = [whole_number(side) for side in sides]
    if None in numbers:
        said = ",".join(sides)
        return f"box {shortened(said)!r} is not four integers: {', '.join(BOX)}, in pixels"
    try:
        return Box(*(number or 0 for number in numbers))
    except VireidError as error:
        return str(error)


def _other_tracklet(
    said: Labels, tracklets: dict[str, tuple[Labels, str]], where: str
) -> str | None:
    """Remember a tracklet; say if it was that of another person, camera or spectrum before."""
    if said.tracklet is None:
        return None
    first, line = tracklets.setdefault(said.tracklet, (said, where))
    for name in (*LABELS, "person"):
        if getattr(first, name) != getattr(said, name):
            first_line = line.rpartition(", ")[2]
            return (
                f"tracklet {shortened(said.tracklet)!r} has another {name} in {first_line}; the "
                "name of a tracklet stands for one person before one camera"
            )
    return None


def _tags(cell: str) -> frozenset[str]:
    return frozenset(filter(None, map(str.strip, cell.split(";"))))


def _modality(cell: str) -> Modality:
    if cell.lower() not in MODALITIES:
        raise ValueError(cell)
    return MODALITIES[cell.lower()]


def _identity(cell: str) -> int | str | None:
    """Return a person's number or name; None for a negative number, which stands for nobody."""
    number = whole_number(cell)
    if number is not None:
        return number if number >= 0 else None
    if _is_number(cell):
        raise ValueError(cell)
    return cell


def _moment(cell: str) -> int:
    """Return the number of an instant."""
    number = whole_number(cell)
    if number is None or number < 0:
        raise ValueError(cell)
    return number


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


READ_CELL: dict[str, Callable[[str], object]] = {
    "modality": _modality,
    "identity": _identity,
    "camera": str,
    "time": datetime.fromisoformat,
    "tracklet": str,
    "moment": _moment,
    "tags": _tags,
}
"""Readers of cells, by column; each raises a ValueError for a cell without meaning."""
WANTED = {
    "modality": "is neither visible nor infrared",
    "identity": f"is not an integer of at most {MOST_IDENTITY}",
    "moment": "is not the number of an instant, 0 or more",
    "time": "is not a time such as 2026-11-22T20:15:00",
}


def _wrong(column: str, cell: str) -> str:
    return f"{column} {shortened(cell)!r} {WANTED[column]}"


def _found(source: Path, listed: _Listed, asked: Labels) -> Found:
    """Label every picture: by what was asked for, by columns, or else by folders."""
    places = {picture.names for picture in listed.pictures}
    reader = Reader(numbered_folders(places))
    cameras, people = _Spellings("camera"), _Spellings("person")
    records, unusable = list[ImageRecord](), list(listed.unusable)
    said = list[Mapping[Origin, str]]()
    for picture in listed.pictures:
        by_folders = reader.read(picture.names, picture.path.stem, below=picture.below)
        labels = picture.labels(asked, by_folders.labels)
        if labels.modality is None:
            unusable.append(Unusable(str(picture.path), NO_MODALITY))
            continue
        record = ImageRecord(
            picture.path,
            labels.modality,
            labels.identity,
            cameras.first(labels.camera),
            tracklet=labels.tracklet,
            time=labels.time,
            box=labels.box,
            tags=labels.tags,
            person=people.first(labels.person),
            moment=labels.moment,
        )
        records.append(record)
        said.append(dict(_origins(picture, record, by_folders, asked)))
    if not records:
        raise VireidError(f"{source}: {_why_nothing(unusable)}")
    notes = (*listed.notes, *_dates(places, reader), *cameras.told(), *people.told())
    return Found(tuple(records), tuple(unusable), tuple(said), notes)


class _Spellings:
    """Names of cameras or people, each spelt as it was first."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._met: dict[str, dict[str, None]] = {}

    def first(self, name: str | None) -> str | None:
        """Return the spelling that was met first."""
        if name is None:
            return None
        of_one = self._met.setdefault(spelling_key(name), {})
        of_one[name] = None
        return next(iter(of_one))

    def told(self) -> Iterator[str]:
        """Return a line for each name with several spellings."""
        for of_one in self._met.values():
            if len(of_one) > 1:
                named = f"{self._what} {shortened(next(iter(of_one)))}"
                yield f"{named} is spelt in {len(of_one)} ways, which are taken for one"


def _origins(
    picture: _Picture, record: ImageRecord, by_folders: FolderLabels, asked: Labels
) -> Iterator[tuple[Origin, str]]:
    """Return the origin of each label of a picture, with the option, column or folder."""
    for label in LABELS:
        if getattr(record, label) is None:
            continue
        if getattr(asked, label) is not None:
            yield Origin(label, "option"), f"--{label}"
        elif label in picture.columns:
            yield Origin(label, "column"), label
        else:
            place = by_folders.at[label]
            level = place if picture.below else None
            yield Origin(label, "folder", level), "/".join(picture.names[: place + 1]).lstrip("/")


def _dates(places: AbstractSet[Names], reader: Reader) -> Iterator[str]:
    """Return remarks on folders that lie where people do and are dates."""
    dates = sorted({names[: i + 1] for names in places for i in dates_in(names, reader.numbered)})
    if dates:
        shown = ", ".join("/".join(names).lstrip("/") for names in dates[: _files.SHOWN])
        more = f", and {len(dates) - _files.SHOWN} more" if len(dates) > _files.SHOWN else ""
        yield (
            f"{len(dates)} folders are called by a date, or a number of more than 64 bits, and "
            f"name no person: {shown}{more}; to name people so, list them in a CSV file"
        )


def _other_folders(pictures: Sequence[_Picture]) -> Iterator[str]:
    """Return remarks on folders that are no group, beside others that are or seem to be."""
    tops = sorted({picture.top or "the folder itself" for picture in pictures if picture.below})
    other = [top for top in tops if group_of(top) is None]
    deeper = any(group_of(name) for p in pictures if p.below for name in p.names[1:])
    if other and (deeper or any(closest(top.lower(), GROUPS, 0.75) for top in other)):
        yield (
            f"people in {', '.join(other)} are scored on, as these are none of the folders train, "
            "validation and test"
        )


def _left_out(found: Found) -> tuple[str, ...]:
    """Return remarks: a line for pictures that cannot be used, one for unknown people."""
    unknown = sum(record.who is None for record in found.records)
    lines = [f"{unknown} pictures of unknown people are left out"] if unknown else []
    if found.unusable:
        first = found.unusable[0]
        lines.append(
            f"{len(found.unusable)} pictures or lines are left out; "
            f"the first, {first.where}: {first.reason}"
        )
    return tuple(lines)


def _why_nothing(unusable: Sequence[Unusable]) -> str:
    if not unusable:
        known = " ".join(sorted(SUFFIXES))
        return f"there is no picture in it; pictures are files that end in {known}"
    first = unusable[0]
    return f"none of {len(unusable)} can be used; the first: {first.where}: {first.reason}"
