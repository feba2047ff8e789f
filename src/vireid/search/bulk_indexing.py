"""Bulk indexing: the workers of a cluster hash and embed pictures, and one process writes.

A shard is a few batches of pictures, in the order in which one process embeds them, so that vectors
and gallery are the same. Each picture carries the hash of its bytes: what has it in the gallery is
not done again, and no bytes but those are embedded. Every node has to see the pictures under the
paths under which this process sees them; one that does not is named before anything is embedded.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vireid.bulk.cluster import Cluster, joined
from vireid.bulk.workers import Done, GivenUp, Workers, shards_of
from vireid.errors import VireidError
from vireid.gallery.store import Entry, Stamp, content_of
from vireid.models.card import ModelCard
from vireid.models.embedder import Embedder
from vireid.models.engines import VARIABLE, Running
from vireid.pictures import PictureError
from vireid.progress import counted
from vireid.search.indexing_work import EmbeddedEntries, InThisProcess

BATCHES = 4
"""Batches of a shard: while a worker embeds one, it decodes the next."""
FILES = 512
"""Files that a worker hashes in one go."""


@dataclass(frozen=True)
class Opening:
    """How a worker opens the model."""

    model: str
    running: Running
    trust_code: bool
    engine: str | None
    """Engine that the environment of whoever asks names."""


class PictureWorker:
    """Hashes and embeds pictures in the process of a worker."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    def open(self) -> ModelCard:
        """Open the model, and return its card."""
        how, running = self._opening, self._opening.running
        if how.engine is not None:
            os.environ[VARIABLE] = how.engine
        self._embedder = Embedder.open(
            how.model,
            running.threads,
            engine=running.engine,
            batch=running.batch,
            trust_code=how.trust_code,
        )
        self._work = InThisProcess(self._embedder)
        return self._embedder.card

    def hash(self, paths: Sequence[Path]) -> list[str | None]:
        """Return the hash of each file; None where it cannot be read."""
        return list(map(content_of, paths))

    def embed(self, entries: Sequence[Entry]) -> EmbeddedEntries:
        """Embed pictures; one whose bytes are no longer those that were hashed is left out."""
        expected = {entry.record.key: entry.content for entry in entries}
        blank = [replace(entry, content=None) for entry in entries]
        embeddings = [np.zeros((0, self._embedder.embedding_dim), np.float32)]
        kept, skipped = list[Entry](), list[PictureError]()
        for batch in self._work.embedded(blank):
            is_same = [expected[e.record.key] in (None, e.content) for e in batch.entries]
            embeddings.append(batch.embeddings[is_same])
            for entry, same in zip(batch.entries, is_same, strict=True):
                if same:
                    kept.append(entry)
                else:
                    skipped.append(_changed(entry.record.path))
            skipped += batch.skipped
        return EmbeddedEntries(np.concatenate(embeddings), tuple(kept), tuple(skipped))


def _changed(path: Path) -> PictureError:
    return PictureError(path, "it changed while it was being indexed", "run the same again")


class OnCluster:
    """Work with pictures by the workers of a cluster."""

    wants_hashes = True

    def __init__(self, workers: Workers[Any], batch: int, numbers: int) -> None:
        self.workers, self._shard = workers, BATCHES * batch
        self._none = np.zeros((0, numbers), np.float32)

    def hashed(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return entries with the hashes of their files, as the nodes see them.

        Raises:
            VireidError: A node does not see a file, or sees another one.
        """
        unread = {entry.record.path: entry for entry in entries if entry.content is None}
        if not unread:
            return list(entries)
        contents: dict[Path, str | None] = {}
        answers = self.workers.done("hash", shards_of(list(unread), FILES))
        for answer in counted(answers, "hashing pictures", len(unread), _size):
            if isinstance(answer, Done):
                found = dict(zip(answer.shard.items, answer.result, strict=True))
                _check_seen(found, unread, answer.node)
                contents |= found
        return [replace(e, content=e.content or contents.get(e.record.path)) for e in entries]

    def embedded(self, entries: Sequence[Entry]) -> Iterator[EmbeddedEntries]:
        """Embed pictures, a shard at a time."""
        if not entries:
            return
        for answer in self.workers.done("embed", shards_of(entries, self._shard)):
            if isinstance(answer, Done):
                yield answer.result
            else:
                yield EmbeddedEntries(self._none, (), (_given_up(answer),))


def _size(answer: Done[Any] | GivenUp[Any]) -> int:
    return len(answer.shard.items)


def _check_seen(found: Mapping[Path, str | None], entries: Mapping[Path, Entry], node: str) -> None:
    """Refuse a node that does not see what this process sees; one of the sound files is compared.

    Raises:
        VireidError: It does not.
    """
    for path in [next(iter(found)), *(path for path, content in found.items() if content is None)]:
        here = content_of(path)
        if here in (None, found[path]) or Stamp.of(path) != entries[path].stamp:
            continue
        does = "cannot read" if found[path] is None else "sees another file at"
        raise VireidError(
            f"node {node} {does} {path}; --ray needs pictures that every node sees under the same "
            "path, such as a folder that all of them mount"
        )


def _given_up(answer: GivenUp[Entry]) -> PictureError:
    (entry,) = answer.shard.items
    reason = f"{answer.deaths} workers died of it, one after the other ({answer.why})"
    return PictureError(entry.record.path, reason)


@contextmanager
def on_cluster(
    cluster: Cluster, embedder: Embedder, running: Running, trust_code: bool = False
) -> Iterator[OnCluster]:
    """Have the workers of a cluster work with pictures in this block.

    Args:
        cluster: The cluster, which is joined or begun.
        embedder: The model, as this process has opened it.
        running: How workers run the model; `threads` is the cluster's.
        trust_code: See `Embedder.open`.

    Raises:
        VireidError: The cluster cannot be joined.
    """

    def check(card: ModelCard, node: str) -> None:
        mine = embedder.card
        for name in ("fingerprint", "precision"):
            if getattr(card, name) != getattr(mine, name):
                raise VireidError(
                    f"node {node} has another model at {mine.source}: its {name} is "
                    f"{getattr(card, name)}, here it is {getattr(mine, name)}; put the same model "
                    "and the same vireid onto every node"
                )

    running = replace(running, threads=cluster.threads)
    opening = Opening(embedder.card.source, running, trust_code, os.environ.get(VARIABLE))
    with (
        joined(cluster.address),
        Workers[Any](PictureWorker, (opening,), cluster, check) as workers,
    ):
        yield OnCluster(workers, running.batch, embedder.embedding_dim)


def opened_here(running: Running) -> Running:
    """Return how the process that writes opens a model that workers run: it needs no GPU."""
    return replace(running, engine="cpu") if running.engine in ("cuda", "tensorrt") else running
