"""Work on many pictures in threads; decoders release Python's lock, so processes are not needed."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from vireid.progress import counted

T = TypeVar("T")
R = TypeVar("R")

IN_ONE_GO = 16
"""Items that a thread takes at once: passing on each alone costs as much as reading a header."""


def in_threads(do: Callable[[T], R], items: Sequence[T], doing: str) -> Iterator[R]:
    """Return the result of each item, in order; only a few results are held at a time.

    Args:
        do: Called with each item, in as many threads as this process has processors.
        items: All of them.
        doing: The work, for whoever is told of progress, e.g. `packing pictures`.
    """
    if items:
        for done in counted(_some_at_a_time(do, items), doing, len(items), len):
            yield from done


def _some_at_a_time(do: Callable[[T], R], items: Sequence[T]) -> Iterator[list[R]]:
    def do_some(start: int) -> list[R]:
        return [do(item) for item in items[start : start + IN_ONE_GO]]

    threads = processors()
    ahead: deque[Future[list[R]]] = deque()
    starts = range(0, len(items), IN_ONE_GO)
    with ThreadPoolExecutor(threads) as pool:
        for start in starts:
            ahead.append(pool.submit(do_some, start))
            while len(ahead) > (2 * threads if start < starts[-1] else 0):
                yield ahead.popleft().result()


def one_ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """Yield items while a thread makes the next one.

    Args:
        items: Generator whose work releases Python's lock; only that thread runs it.
    """
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


_most: int | None = None


def processors() -> int:
    """Return the number of processors that this process may use; a container may limit it."""
    if _most is not None:
        return _most
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def limit_processors(most: int) -> None:
    """Have this process use no more than so many processors, as one of several that share them."""
    global _most
    _most = most
