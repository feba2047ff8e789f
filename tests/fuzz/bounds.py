"""Bounds of one example: processor time, memory, and the kind of error."""

import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from vireid.errors import VireidError

SECONDS = 5.0
"""Most processor time of an example; none in the corpus takes a tenth."""
MEMORY = 2**30
"""Most bytes that an example may ask for beyond what the process has."""


class TooSlowError(BaseException):
    """An example takes more processor time than it may; no reader catches it."""


def check(read: Callable[[bytes], object], content: bytes, seconds: float = SECONDS) -> None:
    """Read bytes as a stranger's file.

    Args:
        read: Reads them.
        content: The bytes.
        seconds: Most processor time that it may take.

    Raises:
        BaseException: Whatever is raised but a VireidError of one line; or the example has taken
            too much time or memory.
    """
    with _bounded(seconds):
        begin = time.process_time()
        try:
            read(content)
        except VireidError as error:
            _check_error(error)
        took = time.process_time() - begin
    assert took < seconds, f"it took {took:.1f} s"


def _check_error(error: VireidError) -> None:
    # Lists of what is missing stand on lines of their own; a culprit stands on the first.
    assert str(error).strip()
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    out_of_memory = [each for each in causes if isinstance(each, MemoryError)]
    if out_of_memory:
        raise AssertionError("it asked for too much memory") from out_of_memory[0]


@contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    if sys.platform != "linux":
        yield
        return
    limits = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGPROF, _stop)
    resource.setrlimit(resource.RLIMIT_AS, (_size() + MEMORY, limits[1]))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGPROF, handler)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise TooSlowError


def _size() -> int:
    """Return how many bytes of addresses the process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
