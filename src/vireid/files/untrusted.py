"""Files of strangers are opened only if they are files: nobody waits for a pipe or drains a device.

What vireid did not write itself, or what somebody may have put in its place, is opened here:
pictures, cards of models and runs, weights.
"""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

MOST_OF_A_CARD = 2**24
"""Bytes of a file that describes something (model.json, run.json, scores.json)."""
NO_FILE = "it is no regular file but a pipe, a socket, a device or a folder"
FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


def is_file(path: Path) -> bool:
    """Whether a path leads to a regular file; one that is too long to be a path does not."""
    return os.path.isfile(path)  # noqa: PTH113  Path.is_file raises an error then


def is_there(path: Path) -> bool:
    """Whether a path leads anywhere; one that is too long to be a path does not."""
    return os.path.exists(path)  # noqa: PTH110  as above


def open_plain(path: Path) -> BufferedReader:
    """Open a regular file, or a link to one, for reading.

    Raises:
        OSError: It is not there, may not be read, or is no regular file (EINVAL).
    """
    return open(_descriptor(path), "rb")


def what_is_wrong(path: Path, error: OSError) -> str:
    """Say in words why a file cannot be opened: "is missing", ..."""
    if path.is_symlink() and not path.exists():
        fetch = "fetch that first, with git annex get, dvc pull or the like"
        return f"is a link to {path.readlink()}, which is not there ({fetch})"
    if isinstance(error, FileNotFoundError):
        return "is missing"
    return f"cannot be read ({error.strerror or error})"


def content_of(path: Path, most: int = MOST_OF_A_CARD) -> bytes:
    """Return all of a regular file, in five calls of the system.

    `Path.read_bytes` makes eight, and after each of them a thread waits for the interpreter.

    Args:
        path: File to read.
        most: Largest number of bytes that it may have.

    Raises:
        OSError: As for `open_plain`; or it has more bytes (EFBIG), or was cut off meanwhile (EIO).
    """
    file = _descriptor(path)
    try:
        size = os.fstat(file).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, more than {most:,}", str(path))
        content = os.read(file, size)
        if len(content) != size:
            raise OSError(errno.EIO, "it became shorter while it was read", str(path))
        return content
    finally:
        os.close(file)


def _descriptor(path: Path) -> int:
    _check(path, os.stat(path))  # noqa: PTH116  opening a device may do something already
    file = os.open(path, FLAGS)
    try:
        _check(path, os.fstat(file))  # something else may have come into its place
    except OSError:
        os.close(file)
        raise
    return file


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, NO_FILE, str(path))
