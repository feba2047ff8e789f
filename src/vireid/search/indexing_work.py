"""Work that indexing hands out: the files of pictures are hashed, and the pictures embedded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from vireid.gallery.store import Entry, with_contents
from vireid.models.embedder import Embedder
from vireid.pictures import PictureError, taken_at
from vireid.threads import one_ahead
from vireid.types.arrays import Vectors


@dataclass(frozen=True)
class EmbeddedEntries:
    """Pictures with their embeddings, ready for a gallery, and the errors of the others."""

    embeddings: Vectors
    entries: tuple[Entry, ...]
    """Pictures in the order of the embeddings' rows, with the hashes of their files."""
    skipped: tuple[PictureError, ...]

    @property
    def read(self) -> int:
        """Number of pictures that were read."""
        return len(self.entries) + len(self.skipped)


@runtime_checkable
class PictureWork(Protocol):
    """Whoever works with the pictures."""

    wants_hashes: bool
    """Whether pictures are to be hashed before they are embedded, also where no other needs it."""

    def hashed(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return entries with the hashes of their files, see `with_contents`."""

    def embedded(self, entries: Sequence[Entry]) -> Iterator[EmbeddedEntries]:
        """Embed pictures, some at a time, in their order."""


class InThisProcess:
    """Work with pictures in this process."""

    wants_hashes = False

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def hashed(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return entries with the hashes of their files."""
        return with_contents(entries)

    def embedded(self, entries: Sequence[Entry]) -> Iterator[EmbeddedEntries]:
        """Embed pictures, a batch at a time."""
        by_key = {entry.record.key: entry for entry in entries}
        # What was embedded is hashed and written while the network works on what comes next.
        for batch in one_ahead(self._embedder.in_batches([entry.record for entry in entries])):
            read = with_contents([_with_time(by_key[r.key]) for r in batch.records])
            yield EmbeddedEntries(batch.embeddings, tuple(read), batch.skipped)


def _with_time(entry: Entry) -> Entry:
    """Return an entry with the time that the picture itself tells, where nothing else does."""
    if entry.record.time is not None:
        return entry
    return replace(entry, record=replace(entry.record, time=taken_at(entry.record.path)))
