"""Batching: what comes while a thread works waits, and what is alike is then done together.

So nobody waits for company: what comes alone is done at once. Pictures of queries go through the
model together, and searches that ask alike read the vectors together.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from vireid.models.embedder import Embedder
from vireid.records import Modality
from vireid.types.arrays import Pixels, Vector

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class _Waiting(Generic[T, R]):
    item: T
    result: "asyncio.Future[R]"


class Together(Generic[T, R]):
    """Does work for many coroutines by one thread, several pieces at a time."""

    def __init__(
        self,
        do: Callable[[list[T]], Sequence[R]],
        alike: Callable[[T], Hashable],
        most: int,
        name: str,
    ) -> None:
        """Start the thread.

        Args:
            do: Does pieces that are alike, and returns the result of each. An error is that of all.
            alike: Returns what pieces that are done together have in common.
            most: Largest number of pieces at a time.
            name: Name of the thread.
        """
        self._do, self._alike, self._most = do, alike, most
        self._queue: queue.SimpleQueue[_Waiting[T, R] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> "asyncio.Future[R]":
        """Have something done; to be called in the thread of an event loop."""
        waiting = _Waiting[T, R](item, asyncio.get_running_loop().create_future())
        self._queue.put(waiting)
        return waiting.result

    def close(self) -> None:
        """Do what is waiting, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        is_over = False
        while not is_over:
            batch = self._next()
            is_over = batch[-1] is None
            groups: dict[Hashable, list[_Waiting[T, R]]] = {}
            for each in batch:
                if each and not each.result.cancelled():
                    groups.setdefault(self._alike(each.item), []).append(each)
            for group in groups.values():
                self._done(group)

    def _next(self) -> "list[_Waiting[T, R] | None]":
        """Return what is waiting, in the order in which it came; None is the end."""
        batch = [self._queue.get()]
        with suppress(queue.Empty):
            while batch[-1] is not None and len(batch) < self._most:
                batch.append(self._queue.get_nowait())
        return batch

    def _done(self, group: "list[_Waiting[T, R]]") -> None:
        results: Sequence[R | BaseException]
        try:
            results = self._do([each.item for each in group])
        except BaseException as error:
            results = [error] * len(group)
        told = [(each.result, result) for each, result in zip(group, results, strict=True)]
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            group[0].result.get_loop().call_soon_threadsafe(_tell, told)


def _tell(told: "list[tuple[asyncio.Future[R], R | BaseException]]") -> None:
    """Tell all who wait what came out, in the thread of their event loop."""
    for future, result in told:
        if future.cancelled():
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)


class Batcher(Together[tuple[Pixels, Modality], Vector]):
    """Embeds pictures of a model's size; those of one spectrum go through the model together."""

    def __init__(self, embedder: Embedder, told: Callable[[int], None] = lambda _: None) -> None:
        """Start the thread.

        Args:
            embedder: Model.
            told: Called with the number of pictures of each batch.
        """
        self.embedder, self._told = embedder, told
        super().__init__(self._embedded, lambda each: each[1], embedder.batch, "vireid-batches")

    def _embedded(self, pictures: list[tuple[Pixels, Modality]]) -> Sequence[Vector]:
        """Return the unit vectors of pictures of one spectrum."""
        self._told(len(pictures))
        stacked = np.stack([pixels for pixels, _ in pictures])
        return list(self.embedder.embed_pixels(stacked, pictures[0][1]))
