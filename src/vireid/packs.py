"""Pictures of a data set, resized once and kept in one memory-mapped file.

Decoding JPEG files anew in every epoch costs more than all augmentation. A pack is a folder
with `pictures.u8` (rows of uint8 [height, width, 3], nothing else) and `pack.json`; its name
says which pictures it holds, their sizes and times of change included, so a pack that no longer
fits is never opened.
"""

import hashlib
import json
import logging
import os
import shutil
import sys
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
from rich.progress import Progress

from vireid.errors import VireidError
from vireid.pictures import PictureError, Pixels, read_resized

FORMAT = 1
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

    def __init__(self, reasons: dict[str, str]) -> None:
        listed = [f"  {path}: {reason}" for path, reason in islice(reasons.items(), 20)]
        if len(reasons) > 20:
            listed.append(f"  and {len(reasons) - 20} more")
        super().__init__(
            f"{len(reasons)} pictures cannot be read; restore them, or train without them by "
            "setting data.unreadable to 'skip':\n" + "\n".join(listed)
        )


def cache_folder() -> Path:
    """Where packs are kept: `$VIREID_CACHE`, or the usual place of the platform."""
    if chosen := os.environ.get("VIREID_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ["LOCALAPPDATA"]) / "vireid" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "vireid"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vireid"


def open_pack(
    paths: Sequence[Path],
    height: int,
    width: int,
    *,
    cache: Path | None = None,
    skip_unreadable: bool = False,
    progress: bool = True,
) -> Pack:
    """The pictures at these paths in one size; read and resized the first time, then kept.

    Any number of processes may ask at once: one builds, the others wait.

    Args:
        paths: Pictures, in the order in which they are wanted.
        height: Rows of every picture.
        width: Columns.
        cache: Folder to keep packs in; `cache_folder()` if not given.
        skip_unreadable: Leave out pictures that cannot be read instead of raising.
        progress: Show a bar while building.

    Raises:
        UnreadablePicturesError: Pictures are missing or broken, and are not to be skipped.
        PackError: There is no room for the pack.
    """
    if not paths:
        raise PackError("there are no pictures to pack")
    folder = (cache or cache_folder()) / "packs"
    whose, state = _name(paths, height, width)
    pack = folder / f"{whose}-{state}"
    if not pack.exists():
        _build_once(paths, height, width, pack, progress)
    opened = _open(pack)
    if opened.unreadable and not skip_unreadable:
        reasons = {str(paths[i]): why for i, why in opened.unreadable.items()}
        shutil.rmtree(pack, ignore_errors=True)
        raise UnreadablePicturesError(reasons)
    return opened


def _name(paths: Sequence[Path], height: int, width: int) -> tuple[str, str]:
    """Two digests: of which pictures in which size, and of the state they are in."""
    # Paths below the folder that all share: a data set that was moved as a whole is not
    # packed again.
    root = os.path.commonpath([path.parent.absolute() for path in paths])
    names = [os.path.relpath(path.absolute(), root) for path in paths]
    states = [_state(path) for path in paths]
    return _digest([FORMAT, height, width, names]), _digest([names, states])


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _open(pack: Path) -> Pack:
    facts = json.loads((pack / "pack.json").read_text())
    shape = (facts["pictures"], facts["height"], facts["width"], 3)
    pictures = np.memmap(pack / "pictures.u8", dtype=np.uint8, mode="r", shape=shape)
    return Pack(np.asarray(pictures), {int(i): why for i, why in facts["unreadable"].items()})


def _build_once(paths: Sequence[Path], height: int, width: int, pack: Path, progress: bool) -> None:
    """Build a pack unless another process does so meanwhile."""
    pack.parent.mkdir(parents=True, exist_ok=True)
    whose = pack.name.split("-")[0]
    # Released by the system when its holder dies, however it dies.
    with FileLock(pack.parent / f"{whose}.lock"):
        if pack.exists():
            return
        _remove_leftovers(pack.parent, whose)
        _check_room(pack.parent, len(paths) * height * width * 3)
        with _new_folder(pack) as building:
            _build(paths, height, width, building, progress)
            if "-".join(_name(paths, height, width)) != pack.name:
                raise PackError("pictures changed while they were packed; start again")


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


def _build(paths: Sequence[Path], height: int, width: int, folder: Path, progress: bool) -> None:
    unreadable: dict[int, str] = {}
    with (folder / "pictures.u8").open("wb") as file:
        for i, picture in enumerate(_read_all(paths, height, width, progress)):
            if isinstance(picture, str):
                unreadable[i] = picture
            else:
                file.write(picture.data)
        _settle(file.fileno())
    facts = {
        "format": FORMAT,
        "pictures": len(paths) - len(unreadable),
        "height": height,
        "width": width,
        "unreadable": unreadable,
    }
    (folder / "pack.json").write_text(json.dumps(facts, indent=1))


def _settle(descriptor: int) -> None:
    """Have the disk take what was written, so that the rename does not overtake it."""
    os.fsync(descriptor)


def _read_all(
    paths: Sequence[Path], height: int, width: int, progress: bool
) -> Iterator[Pixels | str]:
    """Resized pictures in order, or why there is none; a few are held at a time."""

    def read(path: Path) -> Pixels | str:
        try:
            return np.ascontiguousarray(read_resized(path, height, width))
        except PictureError as error:
            return error.reason

    workers = os.cpu_count() or 1
    with Progress(disable=not progress) as bar, ThreadPoolExecutor(workers) as pool:
        task = bar.add_task("packing pictures", total=len(paths))
        for start in range(0, len(paths), 32 * workers):
            chunk = paths[start : start + 32 * workers]
            yield from pool.map(read, chunk)
            bar.advance(task, len(chunk))
