"""Locks between processes: who holds a file's lock works alone, however the holder ends.

The system frees a lock when its process ends. Where there are no locks (Windows, some network
drives) nobody waits.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vireid.errors import VireidError
from vireid.files.atomic import writing_to

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(path: Path, taken: str | None = None) -> Iterator[None]:
    """Hold a lock in this block.

    Args:
        path: File that is locked; it is made, and stays.
        taken: Sentence of the error if somebody else holds it; by default it is waited for.

    Raises:
        VireidError: Somebody else holds it, or the file cannot be made.
    """
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    with file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if taken else 0))
            except BlockingIOError:
                raise VireidError(taken) from None
            except OSError:  # there are no locks here
                pass
        try:
            yield
        finally:
            if fcntl is not None:
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_UN)
