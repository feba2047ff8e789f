"""Files that are written whole or not at all, and what is said when they cannot be."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vireid.errors import VireidError

WAY_OUT = "make room or choose another place, then try again"


@contextmanager
def writing_to(path: Path, way_out: str = WAY_OUT) -> Iterator[None]:
    """Turn what the operating system says meanwhile into what can be done about it.

    Args:
        path: What is being written, as a person knows it.
        way_out: What to do if it cannot be.

    Raises:
        VireidError: In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise VireidError(f"{path} could not be written ({reason}); {way_out}") from error


def write_whole(path: Path, content: bytes, way_out: str = WAY_OUT) -> None:
    """Replace a file at once: whoever reads it finds the old one or the new one, never a part.

    Args:
        path: Folders above it are made.
        content: All of it.
        way_out: What to do if it cannot be written.

    Raises:
        VireidError: Disk full, no permission. What was there before is as it was.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with writing_to(path, way_out):
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
