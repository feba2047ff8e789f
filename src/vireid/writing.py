"""Files that are written whole or not at all, and what is said when they cannot be."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vireid.errors import VireidError


class WriteError(VireidError):
    """Something that could not be written: no room, no permission, a file where a folder is."""


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turn what the operating system says meanwhile into what can be done about it.

    Raises:
        WriteError: Instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        way_out = "make room or choose another place, then try again"
        raise WriteError(f"{path} could not be written ({reason}); {way_out}") from error


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file at once: whoever reads it finds the old one or the new one, never a part.

    Args:
        path: Folders above it are made.
        content: All of it.

    Raises:
        WriteError: Disk full, no permission. What was there before is as it was.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
