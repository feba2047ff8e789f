"""Files and folders written whole or not at all, with an error that says what to do.

What is not yet whole has a name of its own beside its final place, and whoever writes it holds a
lock on it, which the system frees when the process ends, however it ends. So whoever comes to the
same place next can tell what a killed process has left, and removes it before it takes room.

A link stays a link: what it leads to is replaced, or made. What is no file is never replaced: a
pipe or a character device such as `/dev/stdout` gets the content, anything else is refused.
"""

import errno
import glob
import io
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vireid.errors import VireidError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

WAY_OUT = "make room or choose another place, then try again"
PARTIAL = ".partial"
"""Suffix of files and folders that are not yet whole."""
ABANDONED = 24 * 60 * 60
"""Age in seconds at which remains are removed where the file system, or Windows, has no locks."""


@contextmanager
def writing_to(path: Path, way_out: str = WAY_OUT) -> Iterator[None]:
    """Turn errors of the operating system into one with a way out.

    Args:
        path: File or folder being written, as a person knows it.
        way_out: What to do if it cannot be written.

    Raises:
        VireidError: In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise VireidError(f"{path} could not be written ({reason}); {way_out}") from error


def check_is_new(path: Path, error: type[VireidError] = VireidError) -> None:
    """Refuse to write over what is there.

    Args:
        path: File or folder that is to be made.
        error: Class of the error.

    Raises:
        VireidError: There is something.
    """
    if path.exists():
        raise error(f"{path} exists; remove it or choose another folder by --out")


def write_whole(path: Path, content: bytes, way_out: str = WAY_OUT) -> None:
    """Replace a file at once: a reader finds the old one or the new one, never a part.

    Args:
        path: File to write; folders above it are made.
        content: Whole content of the file.
        way_out: What to do if it cannot be written.

    Raises:
        VireidError: Disk full, no permission. What was there before is as it was.
    """
    with writing_to(path, way_out), whole_file(path) as file:
        file.write(content)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces the one at a path once the block has ended without an error.

    Args:
        path: File to write; folders above it are made. A pipe or a character device is written to
            at the end of the block.

    Raises:
        OSError: As the system tells it; what was there before is as it was.
    """
    if _is_stream(path):
        content = io.BytesIO()
        yield content
        with os.fdopen(_stream(path), "wb") as stream:
            stream.write(content.getvalue())
        return
    path = _target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(partials_of(path))
    with _held(path, lambda partial: partial.touch(exist_ok=False)) as partial:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to fill; it gets its name once the block has ended without an error.

    A folder that nothing was put into does not appear, and what a killed process left of an
    earlier try is removed.

    Args:
        path: Path of the folder. There must be nothing, or an empty folder, at the end of the
            block.

    Raises:
        OSError: As the system tells it; then there is no folder.
    """
    path = _target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(partials_of(path))
    with _held(path, Path.mkdir) as building:
        yield building
        if any(building.iterdir()):
            sync_folder(building)
            building.rename(path)
            sync_folder(path.parent)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside a path for what its making needs meanwhile; at the end it is gone.

    What killed processes have left of such folders is removed.

    Args:
        path: File or folder that is being made. A pipe or a character device has nothing beside
            it: the folder is then one for temporary files.

    Raises:
        OSError: As the system tells it.
    """
    if path.exists() and not path.is_dir() and _is_stream(path):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    path = _target(path)
    remove_abandoned(partials_of(path))
    with _held(path, Path.mkdir) as folder:
        yield folder


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _target(path: Path) -> Path:
    """Return the place of a file or a folder behind all links, where it does not exist too."""
    return Path(os.path.realpath(path))


def _is_stream(path: Path) -> bool:
    """Whether a path is written to as it is; False for a file, or where there is nothing.

    Raises:
        OSError: It is a folder, a socket or a disk, or links lead round in a circle.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    if stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode):
        return True
    if _standard_stream(found) is not None:
        return True
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return False


def _stream(path: Path) -> int:
    """Open what is written to as it is."""
    own = _standard_stream(path.stat())
    return os.open(path, os.O_WRONLY) if own is None else os.dup(own)


def _standard_stream(found: os.stat_result) -> int | None:
    """Return the number of the standard stream that something is, if it is one.

    `/dev/stdout` leads to the file that output was sent to, where what was printed has to stay.
    """
    for number in (1, 2):
        with suppress(OSError):  # it is closed
            if os.path.samestat(found, os.fstat(number)):
                return number
    return None


def partial_of(path: Path) -> Path:
    """Return a new name beside a file or folder, for what is not yet whole or about to go."""
    # Not by the process's number: another container may have a process of that number.
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")


def partials_of(path: Path) -> list[Path]:
    """Return what has such a name, because somebody is at work on it or was killed."""
    return list(path.parent.glob(f".{glob.escape(path.name)}.*{PARTIAL}"))


def remove_abandoned(partials: Iterable[Path]) -> None:
    """Remove those of some files and folders with such names that nobody is at work on."""
    for left in partials:
        with suppress(OSError):  # somebody else may have removed it
            descriptor = _opened(left)
            try:
                if _is_abandoned(left, descriptor):
                    _remove(left)
            finally:
                _close(descriptor)


@contextmanager
def _held(path: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """Make a file or folder beside a path and hold a lock on it; at the end it is gone."""
    partial, descriptor = _made(path, make)
    try:
        yield partial
    finally:
        _remove(partial)
        _close(descriptor)


def _made(path: Path, make: Callable[[Path], None]) -> tuple[Path, int | None]:
    while True:
        partial = partial_of(path)
        make(partial)
        descriptor = None
        try:
            descriptor = _opened(partial)
            if descriptor is not None:
                with suppress(OSError):  # there are no locks
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            partial.stat()
        except FileNotFoundError:  # it was taken for abandoned before the lock was held
            _close(descriptor)
            continue
        return partial, descriptor


def _is_abandoned(left: Path, descriptor: int | None) -> bool:
    if descriptor is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # there are no locks
            pass
        else:
            return True
    return time.time() - left.stat().st_mtime > ABANDONED


def _opened(partial: Path) -> int | None:
    """Open a file or folder to lock it; None on Windows, where what is open cannot be renamed."""
    return None if fcntl is None else os.open(partial, os.O_RDONLY | os.O_NONBLOCK)


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
