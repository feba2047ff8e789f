"""Files and folders written whole or not at all, with an error that says what to do.

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
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal

from vireid.errors import VireidError

WAY_OUT = "make room or choose another place, then try again"
PARTIAL = ".partial"
"""Suffix of files and folders that are not yet whole."""
ABANDONED = {"file": 60 * 60, "folder": 24 * 60 * 60}
"""Age in seconds at which the remains of a killed process may be removed."""


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
    partial = _partial(path)
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    for left in _abandoned(path, "file"):
        left.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to fill; it gets its name once the block has ended without an error.

    A folder that nothing was put into does not appear, and what a killed process left of an
    earlier try is removed after a day.

    Args:
        path: Path of the folder. There must be nothing, or an empty folder, at the end of the
            block.

    Raises:
        OSError: As the system tells it; then there is no folder.
    """
    path = _target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in _abandoned(path, "folder"):
        shutil.rmtree(left, ignore_errors=True)
    building = _partial(path)
    building.mkdir()
    try:
        yield building
        if any(building.iterdir()):
            sync_folder(building)
            building.rename(path)
            sync_folder(path.parent)
    finally:
        shutil.rmtree(building, ignore_errors=True)


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


def _partial(path: Path) -> Path:
    # Not by the process's number: another container may have a process of that number.
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")


def _abandoned(path: Path, kind: Literal["file", "folder"]) -> list[Path]:
    """Return what killed processes have left of a file or a folder."""
    partials = path.parent.glob(f".{glob.escape(path.name)}.*{PARTIAL}")
    old = [left for left in partials if time.time() - left.stat().st_mtime > ABANDONED[kind]]
    return [left for left in old if left.is_dir() == (kind == "folder")]
