"""Files and folders written whole or not at all, with an error that says what to do."""

import glob
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
        path: File to write; folders above it are made.

    Raises:
        OSError: As the system tells it; what was there before is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(path)
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
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in _abandoned(path, "folder"):
        shutil.rmtree(left, ignore_errors=True)
    building = partial_of(path)
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


def partial_of(path: Path) -> Path:
    """Return a new name beside a file or folder, for what is not yet whole or about to go."""
    # Not by the process's number: another container may have a process of that number.
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")


def partials_of(path: Path) -> list[Path]:
    """Return what has such a name, because somebody is at work on it or was killed."""
    return list(path.parent.glob(f".{glob.escape(path.name)}.*{PARTIAL}"))


def _abandoned(path: Path, kind: Literal["file", "folder"]) -> list[Path]:
    """Return what killed processes have left of a file or a folder."""
    partials = partials_of(path)
    old = [left for left in partials if time.time() - left.stat().st_mtime > ABANDONED[kind]]
    return [left for left in old if left.is_dir() == (kind == "folder")]
