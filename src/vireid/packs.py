"""Pictures of a data set, resized once and kept in one memory-mapped file.

Decoding JPEG files anew in every epoch costs more than all augmentation. A pack is a folder
with `pictures.u8` (rows of uint8 [height, width, 3], nothing else) and `pack.json`; its name
says which pictures it holds, their sizes and times of change included, so a pack that no longer
fits is never opened.
"""

import hashlib
import json
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from filelock import FileLock
from jaxtyping import UInt8
from rich.console import Console
from rich.progress import Progress

from vireid.caches import CACHE_WAY_OUT, cache_folder
from vireid.errors import VireidError
from vireid.pictures import PictureError, Pixels, read_resized

FORMAT = 1
PICTURES, FACTS = "pictures.u8", "pack.json"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pack:
    """Resized pictures, in the order in which their paths were given."""

    pictures: UInt8[np.ndarray, "n h w 3"]
    """Mapped from the file: only what is looked at is read."""
    unreadable: dict[int, str]
    """Positions of the paths that are missing from `pictures`, and why."""


class PackError(VireidError):
    """A pack cannot be built."""


class UnreadablePicturesError(VireidError):
    """Some pictures of a data set cannot be read."""

    def __init__(self, paths: Sequence[Path], reasons: dict[int, str]) -> None:
        listed = [f"  {paths[i]}: {reason}" for i, reason in islice(reasons.items(), 20)]
        if len(reasons) > 20:
            listed.append(f"  and {len(reasons) - 20} more")
        super().__init__(
            f"{len(reasons)} pictures cannot be read; restore them, or train without them by "
            "setting data.unreadable to 'skip':\n" + "\n".join(listed)
        )


def open_pack(
    paths: Sequence[Path], height: int, width: int, *, skip_unreadable: bool = False
) -> Pack:
    """The pictures at these paths in one size; read and resized the first time, then kept.

    Any number of processes may ask at once: one builds and shows how far it is, the others wait.

    Args:
        paths: Pictures, in the order in which they are wanted.
        height: Rows of every picture.
        width: Columns.
        skip_unreadable: Leave out pictures that cannot be read instead of raising.

    Raises:
        UnreadablePicturesError: Pictures are missing or damaged, and are not to be skipped.
        PackError: There are no pictures, there is no room for them, or they change meanwhile.
    """
    if not paths:
        raise PackError("there are no pictures to pack")
    wanted = _Wanted(paths, height, width, _states(paths))
    pack = cache_folder() / "packs" / wanted.name
    try:
        if not _is_whole(pack):
            _build_once(wanted, pack)
    except OSError as error:
        raise PackError(
            f"cannot keep resized pictures in {pack.parent} ({error.strerror or error}); "
            f"{CACHE_WAY_OUT}"
        ) from error
    opened = _open(pack)
    if opened.unreadable and not skip_unreadable:
        # Whatever was wrong may be mended without a trace in the files: look again next time.
        shutil.rmtree(pack, ignore_errors=True)
        raise UnreadablePicturesError(paths, opened.unreadable)
    return opened


@dataclass(frozen=True)
class _Wanted:
    """Which pictures to pack, and what was known about their files."""

    paths: Sequence[Path]
    height: int
    width: int
    states: list[tuple[int, int] | None]

    @property
    def whose(self) -> str:
        """Digest of which pictures in which size."""
        # Paths from the folder that all share: a data set moved as a whole is not packed again.
        absolute = [path.absolute() for path in self.paths]
        root = os.path.commonpath([path.parent for path in absolute])
        names = [os.path.relpath(path, root) for path in absolute]
        return _digest([FORMAT, self.height, self.width, names])

    @property
    def name(self) -> str:
        """Name of the pack, different when any file is."""
        return f"{self.whose}-{_digest(self.states)}"


def _states(paths: Sequence[Path]) -> list[tuple[int, int] | None]:
    """Size and time of change of each file; None where there is no file."""

    def state(path: Path) -> tuple[int, int] | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns

    return [state(path) for path in paths]


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _open(pack: Path) -> Pack:
    facts = json.loads((pack / FACTS).read_text())
    pictures = np.memmap(pack / PICTURES, np.uint8, mode="r", shape=tuple(facts["shape"]))
    # A plain array on the same memory: numpy slices it several times faster.
    return Pack(np.asarray(pictures), {int(i): why for i, why in facts["unreadable"].items()})


def _is_whole(pack: Path) -> bool:
    """Whether there is a pack, and nothing has cut off its pictures since."""
    if not (pack / FACTS).exists():
        return False
    shape = json.loads((pack / FACTS).read_text())["shape"]
    return (pack / PICTURES).stat().st_size == int(math.prod(shape))


def _build_once(wanted: _Wanted, pack: Path) -> None:
    """Build a pack unless another process does so meanwhile."""
    pack.parent.mkdir(parents=True, exist_ok=True)
    # Released by the system when its holder dies, however it dies.
    with FileLock(pack.parent / f"{wanted.whose}.lock"):
        if _is_whole(pack):
            return
        _remove_leftovers(pack.parent, wanted.whose)
        _check_room(pack.parent, len(wanted.paths) * wanted.height * wanted.width * 3)
        with _new_folder(pack) as building:
            _build(wanted, building)


def _remove_leftovers(folder: Path, whose: str) -> None:
    """Remove what a killed process left, and packs of these pictures in a former state."""
    for old in folder.glob(f"{whose}-*"):
        if not old.name.endswith(".part"):
            log.info("pictures have changed since %s was packed; packing them again", old)
        shutil.rmtree(old, ignore_errors=True)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise PackError(
            f"the resized pictures need {needed / 1e9:.1f} GB in {folder}, where "
            f"{free / 1e9:.1f} GB are free; set VIREID_CACHE to a folder with more room"
        )


@contextmanager
def _new_folder(final: Path) -> Iterator[Path]:
    """A folder that gets its final name when everything in it is written, or else vanishes."""
    building = Path(tempfile.mkdtemp(prefix=f"{final.name}.", suffix=".part", dir=final.parent))
    try:
        yield building
        building.rename(final)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _build(wanted: _Wanted, folder: Path) -> None:
    unreadable: dict[int, str] = {}
    with (folder / PICTURES).open("wb") as file:
        for i, picture in enumerate(_read_all(wanted)):
            if isinstance(picture, str):
                unreadable[i] = picture
            else:
                file.write(picture.data)
        # The disk has everything before the folder gets its name.
        file.flush()
        os.fsync(file.fileno())
    _refuse_changed(wanted)
    if len(unreadable) == len(wanted.paths):
        raise UnreadablePicturesError(wanted.paths, unreadable)
    shape = (len(wanted.paths) - len(unreadable), wanted.height, wanted.width, 3)
    (folder / FACTS).write_text(json.dumps({"shape": shape, "unreadable": unreadable}))


def _refuse_changed(wanted: _Wanted) -> None:
    now = _states(wanted.paths)
    both = zip(wanted.paths, wanted.states, now, strict=True)
    changed = [str(path) for path, before, after in both if before != after]
    if changed:
        raise PackError(
            f"{len(changed)} pictures changed while they were packed ({', '.join(changed[:5])}); "
            "start again when nothing writes to them any more"
        )


def _read_all(wanted: _Wanted) -> Iterator[Pixels | str]:
    """Resized pictures in order, or why there is none; a few are held at a time."""

    def read(path: Path) -> Pixels | str:
        try:
            return np.ascontiguousarray(read_resized(path, wanted.height, wanted.width))
        except PictureError as error:
            return error.reason

    workers = os.cpu_count() or 1
    with Progress(console=Console(stderr=True)) as bar, ThreadPoolExecutor(workers) as pool:
        task = bar.add_task("packing pictures", total=len(wanted.paths))
        for start in range(0, len(wanted.paths), 32 * workers):
            chunk = wanted.paths[start : start + 32 * workers]
            yield from pool.map(read, chunk)
            bar.advance(task, len(chunk))
