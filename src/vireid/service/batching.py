"""Micro-batching: pictures of queries that come at the same time go through the model together.

While the network works on some pictures, those that come meanwhile wait, and go together next. So
nobody waits for company: a picture that comes alone is embedded at once.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from vireid.models.embedder import Embedder
from vireid.records import Modality
from vireid.types.arrays import Pixels, Vector


@dataclass(frozen=True)
class _Waiting:
    pixels: Pixels
    modality: Modality
    vector: "Future[Vector]" = field(default_factory=Future)


class Batcher:
    """Embeds pictures for many threads by one, several at a time."""

    def __init__(self, embedder: Embedder, told: Callable[[int], None] = lambda _: None) -> None:
        """Start the thread.

        Args:
            embedder: Model.
            told: Called with the number of pictures of each batch.
        """
        self.embedder = embedder
        self._told = told
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="vireid-batches", daemon=True)
        self._thread.start()

    def embed(self, pixels: Pixels, modality: Modality) -> "Future[Vector]":
        """Have a picture of the model's size embedded.

        Returns:
            A future that holds the unit vector, or the error.
        """
        waiting = _Waiting(pixels, modality)
        self._queue.put(waiting)
        return waiting.vector

    def close(self) -> None:
        """Embed what is waiting, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, is_over = [first], False
            while len(batch) < self.embedder.batch:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    is_over = True
                    break
                batch.append(following)
            for modality in Modality:
                self._embed([each for each in batch if each.modality is modality], modality)
            if is_over:
                return

    def _embed(self, batch: list[_Waiting], modality: Modality) -> None:
        wanted = [each for each in batch if each.vector.set_running_or_notify_cancel()]
        if not wanted:
            return
        self._told(len(wanted))
        try:
            pictures = np.stack([each.pixels for each in wanted])
            vectors = self.embedder.embed_pixels(pictures, modality)
        except BaseException as error:
            for each in wanted:
                each.vector.set_exception(error)
            return
        for each, vector in zip(wanted, vectors, strict=True):
            each.vector.set_result(vector)
