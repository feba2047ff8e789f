"""Pictures of a data set, resized once and kept in memory-mapped files.

Decoding JPEG files anew in every epoch costs more than all augmentation. A pack is a folder with
`pictures.u8` (rows of uint8 [height, width, 3], nothing else) and `pack.json`, which says whose
pictures they are: the folder of the data set, and the name, size and time of change of each file. A
picture whose file has changed since is not taken from the pack. Several people of one frame have a
row each. A row that is not what was written, by its checksum, is refused when it is first read.

Packs are found by their content: pictures that are asked for come from all packs in the cache that
have some of them, and those in no pack are packed then. A pack outside the cache (`vireid data pack
--out`) is found by a small file in the cache that says where it is.
"""

import hashlib
import json
import logging
import os
import shutil
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from filelock import FileLock
from jaxtyping import Bool, Int, UInt8

from vireid.datasets import Dataset
from vireid.errors import VireidError
from vireid.files import documents
from vireid.files.atomic import (
    PARTIAL,
    new_folder,
    partial_of,
    partials_of,
    remove_abandoned,
    write_whole,
)
from vireid.files.cache import CACHE_WAY_OUT, cache_folder
from vireid.files.documents import Count
from vireid.files.untrusted import content_of
from vireid.pictures import PictureError, read_resized
from vireid.records import Box, ImageRecord, Key
from vireid.threads import in_threads
from vireid.types.arrays import Pictures, Pixels

FORMAT = 3
PICTURES, CONTENTS = "pictures.u8", "pack.json"
MOST_CONTENTS = 2**30
"""Largest size in bytes of a `pack.json`; ten million pictures have less."""
PACKING = "packing pictures"
log = logging.getLogger(__name__)

State = tuple[int, int]
"""Size of a file in bytes, and the time it was last changed, in nanoseconds."""

RecordsOrPaths = Sequence[ImageRecord] | Sequence[Path]
"""Records, or files that each show one person whole."""

BOXED = "\0"
"""Separator of file and box in the name of a picture; no path holds it."""


class PackError(VireidError):
    """A pack cannot be built."""


class UnreadablePicturesError(VireidError):
    """Some pictures of a data set cannot be read."""

    def __init__(self, reasons: dict[Path, str]) -> None:
        listed = [f"{path}: {reason}" for path, reason in islice(reasons.items(), 20)]
        if len(reasons) > 20:
            listed.append(f"and {len(reasons) - 20} more")
        super().__init__(
            f"{len(reasons)} pictures cannot be read; restore them, or train without them by "
            "setting data.unreadable to 'skip':",
            listed=listed,
        )


@dataclass(frozen=True)
class PackedPictures:
    """Resized pictures in the order in which they were asked for, unreadable ones left out."""

    packs: tuple["Pack", ...]
    files: tuple[UInt8[np.ndarray, "_ h w 3"], ...]
    """Pixels of the packs, mapped from the disk: only what is looked at is read."""
    places: Int[np.ndarray, "n 2"]
    """File and row of every picture."""
    unreadable: dict[int, str]
    """Positions of the pictures that are left out, each with the reason."""
    unchecked: tuple[Bool[np.ndarray, "_"], ...]
    """Rows of each file that have not been compared with their checksums yet."""

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, number: int | np.integer) -> Pixels:
        """Return a picture.

        Raises:
            PackError: Its row is damaged.
        """
        file, row = self.places[number]
        picture: Pixels = self.files[file][row]
        if self.unchecked[file][row]:
            self.packs[file].check(row, picture)
            self.unchecked[file][row] = False
        return picture


@dataclass(frozen=True)
class Pack:
    """One pack on disk."""

    folder: Path
    height: int
    width: int
    root: str
    """Folder of the data set when it was packed."""
    states: dict[str, State]
    """Size and time of change of each file when it was packed, by the name of the picture, in the
    order of rows."""
    sums: Sequence[int] = ()
    """CRC-32 of each row; packs that were made before there were any have none."""

    def pictures(self) -> Pictures:
        """Map all pictures of the pack into memory."""
        shape = (len(self.states), self.height, self.width, 3)
        pictures = np.memmap(self.folder / PICTURES, np.uint8, mode="r", shape=shape)
        # A plain array on the same memory: numpy slices it several times faster.
        return np.asarray(pictures)

    def check(self, row: int | np.integer, picture: Pixels) -> None:
        """Compare a picture with its checksum.

        Raises:
            PackError: It is not the picture that was packed.
        """
        if zlib.crc32(picture.data) != self.sums[int(row)]:
            name = _shown(next(islice(self.states, int(row), None)))
            raise PackError(
                f"{self.folder / PICTURES} is damaged where {name} should be; remove the folder "
                f"{self.folder}, and its pictures are packed again when they are needed"
            )

    def is_sound(self) -> bool:
        """Whether all its pictures are those that were packed, as far as there are checksums."""
        pictures = self.pictures()
        return all(zlib.crc32(pictures[row].data) == found for row, found in enumerate(self.sums))


@dataclass(frozen=True)
class _Contents:
    """The content of `pack.json`."""

    format: int
    root: str
    height: Count
    width: Count
    files: list[tuple[str, int, int]]
    """Name, size and time of change of each picture, in the order of rows."""
    sums: list[int] = field(default_factory=list)
    """CRC-32 of each row."""


def open_packed(
    pictures: RecordsOrPaths,
    height: int,
    width: int,
    *,
    root: Path | None = None,
    skip_unreadable: bool = False,
) -> PackedPictures:
    """Return pictures in one size; they are read and resized once, then kept.

    Several processes may ask at once: one builds the pack and shows its progress, the others wait.

    Args:
        pictures: Records in the order in which they are wanted.
        height: Rows of every picture.
        width: Columns of every picture.
        root: Folder of the data set; by default the one that the pictures share. A data set that
            was moved as a whole is not packed again.
        skip_unreadable: Leave out pictures that cannot be read instead of raising.

    Raises:
        UnreadablePicturesError: Pictures are missing or damaged, and are not to be skipped.
        PackError: There are no pictures or no pixels in them, there is no room for them, or they
            change meanwhile.
    """
    wanted = _want(pictures, height, width, root)
    shelf = cache_folder() / "packs"
    unreadable: dict[str, str] = {}
    with _told(shelf, CACHE_WAY_OUT):
        found = _find(shelf, wanted)
        if wanted.without(found):
            with _alone_with_packs_of(wanted.root, shelf):
                _recover_elsewhere(shelf, wanted)
                found = _find(shelf, wanted)  # another process may have packed them meanwhile
                if missing := wanted.without(found):
                    unreadable = _add(shelf, missing)
                    found = _find(shelf, wanted)
    _refuse_unreadable(wanted, unreadable, skip_unreadable)
    return _in_order(wanted, found, unreadable)


def pack_group(
    dataset: Dataset,
    group: str,
    out: Path | None = None,
    *,
    height: int,
    width: int,
    skip_unreadable: bool = False,
) -> PackedPictures:
    """Pack the pictures of one group of people.

    Args:
        dataset: Data set that has the pictures.
        group: `train`, `validation` or `test`.
        out: Folder in which the pack's own folder is made; by default the cache.
        height: Rows of every picture.
        width: Columns of every picture.
        skip_unreadable: Leave out pictures that cannot be read instead of raising.

    Raises:
        VireidError: What `make_pack` raises.
    """
    name = f"{dataset.label.replace(' ', '-')}-{group}-{height}x{width}"
    return make_pack(
        dataset.groups[group],
        height,
        width,
        root=dataset.root,
        folder=out / name if out else None,
        skip_unreadable=skip_unreadable,
    )


def make_pack(
    pictures: RecordsOrPaths,
    height: int,
    width: int,
    *,
    root: Path,
    folder: Path | None = None,
    skip_unreadable: bool = False,
) -> PackedPictures:
    """Put exactly these pictures into one pack, unless there is one that still fits.

    Args:
        pictures: Records of a data set, or of a group of its people.
        height: Rows of every picture.
        width: Columns of every picture.
        root: Folder of the data set.
        folder: Folder of the pack; by default one in the cache. An old pack there is replaced when
            the new one is whole. `open_packed` will find it.
        skip_unreadable: Leave out pictures that cannot be read instead of raising.

    Raises:
        UnreadablePicturesError: Pictures are missing or damaged, and are not to be skipped.
        PackError: There are no pictures or no pixels in them, there is something else in `folder`,
            there is no room, or pictures change meanwhile.
    """
    wanted = _want(pictures, height, width, root)
    shelf = cache_folder() / "packs"
    place = folder.absolute() if folder else shelf / wanted.name
    with _told(shelf, CACHE_WAY_OUT), _alone_with_packs_of(wanted.root, shelf):
        with _told(place, "make room, or name another folder"):
            pack, unreadable = _renew(place, wanted)
        _refuse_unreadable(wanted, unreadable, skip_unreadable)
        if folder:
            write_whole(shelf / f"{wanted.name}.path", os.fsencode(place))
    return _in_order(wanted, [_Found(pack, _rows(pack, wanted))], unreadable)


@dataclass(frozen=True)
class _Wanted:
    """The pictures to find or to pack, and the state of their files."""

    root: str
    height: int
    width: int
    names: Sequence[str]
    """Names of the pictures: the file below the root, and the box if there is one; see `_named`.
    One may come twice."""
    states: dict[str, State]
    """States of the files that exist, by name of the picture."""

    @property
    def name(self) -> str:
        """The name of a pack of these pictures; it changes with any picture or its file."""
        return f"{self.prefix}-{_digest([FORMAT, list(self.states.items())])}"

    @property
    def prefix(self) -> str:
        """The beginning of the names of all packs of this size from this folder."""
        return f"{self.height}x{self.width}-{_digest(self.root)}"

    def only(self, names: Iterable[str]) -> "_Wanted":
        """Return some of the pictures, each once."""
        names = list(dict.fromkeys(names))
        states = {name: self.states[name] for name in names if name in self.states}
        return _Wanted(self.root, self.height, self.width, names, states)

    def without(self, found: Sequence["_Found"]) -> "_Wanted | None":
        """Return the pictures that are in no pack; None if there are none."""
        missing = [name for name in self.names if not any(name in f.rows for f in found)]
        return self.only(missing) if missing else None


@dataclass(frozen=True)
class _Found:
    """A pack that has some of the pictures wanted, in their present state."""

    pack: Pack
    rows: dict[str, int]
    """Row of each picture that is wanted, by name."""


def _want(pictures: RecordsOrPaths, height: int, width: int, root: Path | None) -> _Wanted:
    if not pictures:
        raise PackError("there are no pictures to pack")
    if height < 1 or width < 1:
        raise PackError(
            f"pictures of {height} rows and {width} columns have nothing in them; give 1 or more"
        )
    keys = [_key(picture) for picture in pictures]
    absolute = [os.path.abspath(path) for path, _ in keys]  # noqa: PTH100  links keep their names
    shared = root or os.path.commonpath([os.path.dirname(path) for path in absolute])  # noqa: PTH120
    folder = os.path.abspath(shared)  # noqa: PTH100
    files = [_from(folder, path) for path in absolute]
    names = [_named(file, box) for file, (_, box) in zip(files, keys, strict=True)]
    return _Wanted(folder, height, width, names, _states(folder, names))


def _key(picture: ImageRecord | Path) -> Key:
    return picture.key if isinstance(picture, ImageRecord) else (picture, None)


def _named(file: str, box: Box | None) -> str:
    return f"{file}{BOXED}{box}" if box else file


def _file_and_box(name: str) -> tuple[str, Box | None]:
    file, _, box = name.partition(BOXED)
    return file, Box.from_text(box) if box else None


def _from(folder: str, path: str) -> str:
    """Return a path relative to a folder, faster than `os.path.relpath`."""
    start = folder + os.sep
    return path[len(start) :] if path.startswith(start) else os.path.relpath(path, folder)


def _states(root: str, names: Iterable[str]) -> dict[str, State]:
    found = {}
    for name in names:
        try:
            file = os.stat(f"{root}/{name.partition(BOXED)[0]}")  # noqa: PTH116  half the time of a Path, of which there are many
        except OSError:
            continue
        found[name] = (file.st_size, file.st_mtime_ns)
    return found


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


@contextmanager
def _told(place: Path, way_out: str) -> Iterator[None]:
    """Turn errors of the operating system into a message with a way out."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise PackError(f"cannot keep resized pictures in {place} ({reason}); {way_out}") from error


@contextmanager
def _alone_with_packs_of(root: str, shelf: Path) -> Iterator[None]:
    """Let one process in at a time; the system frees the lock when its holder dies."""
    shelf.mkdir(parents=True, exist_ok=True)
    # One lock for each data set's folder: packs of other data sets are built at the same time.
    with FileLock(shelf / f"{_digest(root)}.lock"):
        yield


def _find(shelf: Path, wanted: _Wanted) -> list[_Found]:
    """Return the packs that have some of the pictures wanted."""
    found = []
    for entry in sorted(shelf.glob(f"{wanted.height}x{wanted.width}-*")):
        # A pack that was asked for in another folder leaves a file that says where it is.
        elsewhere = entry.suffix == ".path"
        pack = _read_pack(Path(os.fsdecode(entry.read_bytes())) if elsewhere else entry)
        if pack and (rows := _rows(pack, wanted)):
            found.append(_Found(pack, rows))
    return found


def _read_pack(folder: Path) -> Pack | None:
    """Return the pack in a folder; None if there is none, or its pictures were cut off."""
    try:
        # Names of files may be no Unicode, which only Python's own json takes as it is.
        told = json.loads(content_of(folder / CONTENTS, MOST_CONTENTS))
        contents = documents.typed(folder / CONTENTS, told, _Contents, "")
        size = (folder / PICTURES).stat().st_size
    except (VireidError, ValueError, RecursionError, FileNotFoundError, NotADirectoryError):
        return None
    states = {name: (bytes_, changed) for name, bytes_, changed in contents.files}
    sums = contents.sums
    pack = Pack(folder, contents.height, contents.width, contents.root, states, sums)
    whole = contents.format == FORMAT and size == len(states) * pack.height * pack.width * 3
    whole = whole and len(sums) in (0, len(states))
    return pack if whole else None


def _rows(pack: Pack, wanted: _Wanted) -> dict[str, int]:
    """Return the rows of a pack that are wanted pictures whose files have not changed."""
    there = enumerate(pack.states.items())
    rows = {name: row for row, (name, state) in there if wanted.states.get(name) == state}
    if pack.root == wanted.root:
        return rows
    # Names, sizes and even times may be those of another data set of the same layout by chance;
    # all of them are not.
    moved = not Path(pack.root).exists() and all(name in rows for name in wanted.names)
    return rows if moved else {}


def _in_order(
    wanted: _Wanted, found: Sequence[_Found], unreadable: dict[str, str]
) -> PackedPictures:
    place = {name: (i, row) for i, f in enumerate(found) for name, row in f.rows.items()}
    places = [place[name] for name in wanted.names if name not in unreadable]
    packs = tuple(f.pack for f in found)
    return PackedPictures(
        packs,
        tuple(pack.pictures() for pack in packs),
        np.array(places),
        {i: unreadable[name] for i, name in enumerate(wanted.names) if name in unreadable},
        tuple(np.full(len(pack.states), bool(pack.sums)) for pack in packs),
    )


def _refuse_unreadable(wanted: _Wanted, reasons: dict[str, str], skip: bool) -> None:
    if reasons and (not skip or len(reasons) == len(set(wanted.names))):
        raise UnreadablePicturesError(
            {Path(wanted.root, _shown(name)): why for name, why in reasons.items()}
        )


def _shown(name: str) -> str:
    """Return a picture's name as people read it."""
    return name.replace(BOXED, " box ")


def _add(shelf: Path, missing: _Wanted) -> dict[str, str]:
    """Pack the pictures that no pack has; return the unreadable ones with the reasons."""
    _remove_outdated(shelf, missing)
    _, unreadable = _build(shelf / missing.name, missing)
    return unreadable


def _remove_outdated(shelf: Path, missing: _Wanted) -> None:
    """Remove the remains of killed processes, and packs whose pictures have all changed."""
    _remove_parts(shelf, missing.prefix)
    for old in shelf.glob(f"{missing.prefix}-*"):
        pack = _read_pack(old)
        changed = [name for name in pack.states if name in missing.states] if pack else []
        if changed:
            log.info("%d pictures changed since they were packed; packing them again", len(changed))
        if pack and len(changed) == len(pack.states):
            shutil.rmtree(old, ignore_errors=True)


def _remove_parts(shelf: Path, prefix: str) -> None:
    remove_abandoned(shelf.glob(f".{prefix}*{PARTIAL}"))


def _renew(place: Path, wanted: _Wanted) -> tuple[Pack, dict[str, str]]:
    """Return the pack at a place, built unless it fits, and what is unreadable, with reasons."""
    _recover(place)
    if place.exists() and not (place / CONTENTS).exists() and any(place.iterdir()):
        raise PackError(f"{place} holds something else than a pack; name another folder")
    old = _read_pack(place)
    if old and (old.height, old.width) == (wanted.height, wanted.width):
        # Pictures that are not in the pack may have become readable since.
        unreadable = _read_in_vain(wanted.only(k for k in wanted.names if k not in old.states))
        fits = old.states == wanted.only(k for k in wanted.names if k not in unreadable).states
        if fits and old.is_sound():
            moved = replace(old, root=wanted.root)
            _write_contents(moved)
            return moved, unreadable
    return _build(place, wanted.only(wanted.names))


def _read_in_vain(wanted: _Wanted) -> dict[str, str]:
    read = in_threads(partial(_read, wanted), wanted.names, PACKING)
    named = zip(wanted.names, read, strict=True)
    return {name: picture for name, picture in named if isinstance(picture, str)}


def _build(place: Path, wanted: _Wanted) -> tuple[Pack, dict[str, str]]:
    """Build a pack, whole or not at all; return it and the unreadable pictures with reasons."""
    place.parent.mkdir(parents=True, exist_ok=True)
    _check_room(place.parent, len(wanted.names) * wanted.height * wanted.width * 3)
    with _set_aside(place) as set_aside, new_folder(place) as building:
        sums, unreadable = _write_pictures(building / PICTURES, wanted)
        # A picture that has changed meanwhile would be taken for the one before for ever.
        _refuse_changed(wanted)
        packed = wanted.only(name for name in wanted.names if name not in unreadable)
        pack = Pack(building, wanted.height, wanted.width, wanted.root, packed.states, sums)
        if packed.names:
            _write_contents(pack)
            # The old pack stays until the new one is whole, which needs its name.
            set_aside()
        else:
            (building / PICTURES).unlink()
    return replace(pack, folder=place), unreadable


@contextmanager
def _set_aside(place: Path) -> Iterator[Callable[[], None]]:
    """Yield a function that moves what is in a place out of the way of what is to replace it.

    It is removed at the end of the block, or put back if the block ended with an error. If the
    process is killed meanwhile, `_recover` finds it.
    """
    aside = partial_of(place)

    def set_aside() -> None:
        if place.exists():
            place.rename(aside)

    try:
        yield set_aside
    except BaseException:
        if aside.exists():
            aside.rename(place)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _recover(place: Path) -> None:
    """Put right what a killed process has left: where it had taken a pack's name, give it back."""
    whole = [left for left in partials_of(place) if _read_pack(left)]
    if whole and not place.exists():
        max(whole, key=lambda left: (left / CONTENTS).stat().st_mtime_ns).rename(place)
    _remove_parts(place.parent, f"{place.name}.")


def _recover_elsewhere(shelf: Path, wanted: _Wanted) -> None:
    for entry in shelf.glob(f"{wanted.prefix}-*.path"):
        _recover(Path(os.fsdecode(entry.read_bytes())))


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise PackError(
            f"the resized pictures need {needed / 1e9:.1f} GB in {folder}, where "
            f"{free / 1e9:.1f} GB are free; {CACHE_WAY_OUT}"
        )


def _write_pictures(path: Path, wanted: _Wanted) -> tuple[list[int], dict[str, str]]:
    """Write each picture to its own row, in the thread that made it.

    Returns:
        Checksums of the rows in order, and what failed and why.
    """
    size = wanted.height * wanted.width * 3
    alone = threading.Lock()

    def write(row: int) -> int | str:
        picture = _read(wanted, wanted.names[row])
        if isinstance(picture, str):
            return picture
        # Written by the thread that made it: the pixels are still in its processor's cache.
        with alone:
            file.seek(row * size)
            file.write(picture.data)
        return zlib.crc32(picture.data)

    with path.open("w+b") as file:
        written = list(in_threads(write, range(len(wanted.names)), PACKING))
        sums = [each for each in written if isinstance(each, int)]
        _close_gaps(file, size, [row for row, each in enumerate(written) if isinstance(each, int)])
        # The disk has everything before the folder gets its name.
        file.flush()
        os.fsync(file.fileno())
    named = zip(wanted.names, written, strict=True)
    return sums, {name: why for name, why in named if isinstance(why, str)}


def _close_gaps(file: BinaryIO, size: int, rows: Sequence[int]) -> None:
    """Move the rows that were written together, and cut off the rest of the file."""
    # Rows rise, so a row never moves onto one that has still to be moved.
    for place, row in enumerate(rows):
        if place != row:
            file.seek(row * size)
            picture = file.read(size)
            file.seek(place * size)
            file.write(picture)
    file.truncate(len(rows) * size)


def _refuse_changed(wanted: _Wanted) -> None:
    now = _states(wanted.root, wanted.names)
    changed = [name for name in wanted.names if now.get(name) != wanted.states.get(name)]
    if changed:
        named = ", ".join(str(Path(wanted.root, _shown(name))) for name in changed[:5])
        raise PackError(
            f"{len(changed)} pictures changed while they were packed ({named}); "
            "start again when nothing writes to them any more"
        )


def _write_contents(pack: Pack) -> None:
    files = [(name, *state) for name, state in pack.states.items()]
    contents = _Contents(FORMAT, pack.root, pack.height, pack.width, files, list(pack.sums))
    write_whole(pack.folder / CONTENTS, json.dumps(vars(contents)).encode())


def _read(wanted: _Wanted, name: str) -> Pixels | str:
    """Return a resized picture, or the reason why there is none."""
    file, box = _file_and_box(name)
    try:
        return read_resized(Path(wanted.root, file), wanted.height, wanted.width, box)
    except PictureError as error:
        return error.reason
