"""Batching: what comes while a model works waits, and is then done together.

So nobody waits for company: what comes alone is done at once. Each model has one thread, which
decodes small pictures, embeds, and finishes what pictures were embedded for, such as a search:
passing a task on to another thread takes as long as decoding a small picture.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from vireid.models.embedder import Embedder
from vireid.records import Modality
from vireid.types.arrays import Pixels, Vector

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Decoded:
    """A picture as the model sees it."""

    pixels: Pixels
    modality: Modality
    guessed: bool
    """Whether the spectrum was told by the colours."""


@dataclass(frozen=True, eq=False)
class Task(Generic[T, R]):
    """Something for which a picture is embedded."""

    read: Callable[[], Decoded]
    """Returns the picture; called in the thread of the model, which it must not keep for long."""
    finish: "Finish[T, R]"
    """Returns the results of tasks that are alike; called in the same thread."""
    about: T
    """What `finish` needs to know of the task."""
    alike: Hashable = None
    """What the task has in common with those that are finished together with it."""


@dataclass(frozen=True, eq=False)
class Embedded(Generic[T]):
    """A picture that was embedded."""

    about: T
    picture: Decoded
    vector: Vector
    """Unit vector."""


Finish = Callable[[Sequence[Embedded[T]]], Sequence[R]]
_Waiting = tuple[Task[Any, Any], "asyncio.Future[Any]"]


class Batcher:
    """Does the tasks of one model, by one thread; pictures of one spectrum are embedded together.

    An error is that of the tasks that were done together when it came.
    """

    def __init__(self, embedder: Embedder, told: Callable[[int], None] = lambda _: None) -> None:
        """Start the thread.

        Args:
            embedder: Model.
            told: Called with the number of pictures of each batch.
        """
        self.embedder, self._told = embedder, told
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="vireid-batches", daemon=True)
        self._thread.start()

    def done(self, task: Task[T, R]) -> "asyncio.Future[R]":
        """Have a task done; to be called in the thread of an event loop."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._queue.put((task, future))
        return future

    def embedded(self, read: Callable[[], Decoded]) -> "asyncio.Future[Embedded[None]]":
        """Have a picture embedded, see `Task.read`; to be called as `done`."""
        return self.done(Task(read, list, None))

    def close(self) -> None:
        """Do what is waiting, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        is_over = False
        while not is_over:
            batch = self._next()
            is_over = batch[-1] is None
            waiting = [each for each in batch if each and not each[1].cancelled()]
            if waiting:
                tasks, futures = zip(*waiting, strict=True)
                told = list(zip(futures, self._results(tasks), strict=True))
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    futures[0].get_loop().call_soon_threadsafe(_tell, told)

    def _next(self) -> list[_Waiting | None]:
        """Return what is waiting, in the order in which it came; None is the end."""
        batch = [self._queue.get()]
        with suppress(queue.Empty):
            while batch[-1] is not None and len(batch) < self.embedder.batch:
                batch.append(self._queue.get_nowait())
        return batch

    def _results(self, tasks: Sequence[Task[Any, Any]]) -> list[Any]:
        """Return the result of each task, or the error by which it ended."""
        read = _step(tasks, id, lambda one: [(each, each.read()) for each in one])
        embedded = _step(read, lambda each: each[1].modality, self._embedded)
        return _step(embedded, _same_end, _finished)

    def _embedded(
        self, read: Sequence[tuple[Task[Any, Any], Decoded]]
    ) -> list[tuple[Task[Any, Any], Embedded[Any]]]:
        self._told(len(read))
        stacked = np.stack([picture.pixels for _, picture in read])
        vectors = self.embedder.embed_pixels(stacked, read[0][1].modality)
        pairs = zip(read, vectors, strict=True)
        return [(task, Embedded(task.about, picture, each)) for (task, picture), each in pairs]


def _step(
    items: Sequence[Any],
    alike: Callable[[Any], Hashable],
    do: Callable[[Sequence[Any]], Sequence[Any]],
) -> list[Any]:
    """Return what becomes of items in one step, which those that are alike take together.

    An error in place of an item stays; one that comes is that of all that are alike.
    """
    done, groups = list(items), dict[Hashable, list[int]]()
    for number, item in enumerate(items):
        if not isinstance(item, BaseException):
            groups.setdefault(alike(item), []).append(number)
    for numbers in groups.values():
        results: Sequence[Any]
        try:
            results = do([items[number] for number in numbers])
        except BaseException as error:
            results = [error] * len(numbers)
        for number, result in zip(numbers, results, strict=True):
            done[number] = result
    return done


def _same_end(embedded: tuple[Task[Any, Any], Embedded[Any]]) -> Hashable:
    task, found = embedded
    return task.finish, task.alike, found.picture.modality


def _finished(embedded: Sequence[tuple[Task[Any, Any], Embedded[Any]]]) -> Sequence[Any]:
    found: Sequence[Any] = embedded[0][0].finish([each for _, each in embedded])
    return found


def _tell(told: "list[tuple[asyncio.Future[Any], Any]]") -> None:
    """Tell all who wait what came out, in the thread of their event loop."""
    for future, result in told:
        if future.cancelled():
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
