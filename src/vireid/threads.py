"""Many pictures at a time: decoders let go of the interpreter, so threads are enough."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

T = TypeVar("T")
R = TypeVar("R")

IN_ONE_GO = 16
"""Items that a thread takes at once: handing over each alone costs as much as reading a header."""


def in_threads(do: Callable[[T], R], items: Sequence[T], doing: str) -> Iterator[R]:
    """What comes of each item, in order; a few are held at a time, and a bar says how far it is.

    Args:
        do: Called in as many threads as there are processors for this process.
        items: All of them.
        doing: For the bar, e.g. `packing pictures`.
    """

    def do_some(start: int) -> list[R]:
        return [do(item) for item in items[start : start + IN_ONE_GO]]

    threads = processors()
    ahead: deque[Future[list[R]]] = deque()
    starts = range(0, len(items), IN_ONE_GO)
    if not items:
        return
    with Progress(console=Console(stderr=True)) as bar, ThreadPoolExecutor(threads) as pool:
        task = bar.add_task(doing, total=len(items))
        for start in starts:
            ahead.append(pool.submit(do_some, start))
            while len(ahead) > (2 * threads if start < starts[-1] else 0):
                done = ahead.popleft().result()
                yield from done
                bar.advance(task, len(done))


def processors() -> int:
    """Those that this process may use, which in a container are not all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
