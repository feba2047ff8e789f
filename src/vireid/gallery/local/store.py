"""The store of one machine: a folder with a catalogue in SQLite and vectors in files."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from vireid.arrays import Queries, Vectors
from vireid.gallery.filters import Filters
from vireid.gallery.local.catalogue import FILE, Catalogue, explained
from vireid.gallery.local.vectors import Rows, VectorFile, best, ordered
from vireid.gallery.store import Entry, GalleryError, Scored, Storage
from vireid.models.card import ModelCard
from vireid.records import ImageRecord, Key, Modality
from vireid.whole_files import new_folder

MODALITIES = tuple(Modality)
MOST_FILTERS = 64
"""Number of filters whose rows are kept; those of 100,000 pictures take up to 0.8 MB each."""


@dataclass(frozen=True)
class _Snapshot:
    """The state of the gallery after one commit."""

    version: int
    stored: Mapping[Modality, Vectors]
    complete: Mapping[Modality, bool]
    """Whether every vector belongs to a picture."""
    rows: dict[tuple[Modality, Filters], Rows] = field(default_factory=dict)
    """Rows by filter, filled as filters are asked for, the latest last."""


class LocalStore:
    """Keeps a gallery in a folder, for all processes of one machine.

    `facts.sqlite` knows the pictures and says how many vectors are committed;
    `visible.float32` and `infrared.float32` (or `.float16`) hold the vectors, one spectrum each, so
    that a search in one spectrum reads nothing else. A writer that dies leaves no trace but
    vectors that do not count and are overwritten by the next.
    """

    def __init__(self, folder: Path, patience: float) -> None:
        if not (folder / FILE).exists():
            free = f"make one with `vireid index FOLDER --out {folder}`"
            way_out = "give another path" if folder.exists() else free
            raise GalleryError(f"{folder} is not a gallery; {way_out}")
        self._folder = folder
        self._catalogue = Catalogue(folder, patience)
        self._files = _vector_files(folder, self.model.embedding_dim, self._catalogue.storage)
        self._snapshot: _Snapshot | None = None
        self._cameras: tuple[int, list[str]] | None = None
        self._lock = threading.RLock()

    @classmethod
    def create(cls, folder: Path, model: ModelCard, storage: Storage) -> None:
        """Make an empty gallery, whole or not at all.

        Raises:
            GalleryError: Something is there already, or the disk is full.
        """
        if folder.exists():
            raise GalleryError(f"{folder} is there already; open it or choose another name")
        with explained(folder), new_folder(folder) as building:
            for file in _vector_files(building, model.embedding_dim, storage).values():
                file.path.touch()
            Catalogue.create(building, model, storage)

    @property
    def address(self) -> str:
        """Folder of the gallery."""
        return str(self._folder)

    @property
    def model(self) -> ModelCard:
        """Card of the model whose embeddings it holds."""
        return self._catalogue.model

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            self._snapshot = None
            self._catalogue.close()

    def version(self) -> int:
        """Return a number that is different after every change, whoever made it."""
        with self._lock, self._catalogue.reading():
            return self._catalogue.version()

    def count(self, modality: Modality | None = None) -> int:
        """Return how many pictures it holds, in all or of one spectrum."""
        with self._lock, self._catalogue.reading():
            return self._catalogue.count(modality)

    def cameras(self) -> list[str]:
        """Return the names of the cameras, sorted."""
        with self._lock, self._catalogue.reading():
            version = self._catalogue.version()
            if self._cameras is None or self._cameras[0] != version:
                self._cameras = (version, self._catalogue.cameras())
            return list(self._cameras[1])

    def known(self, keys: Iterable[Key]) -> Mapping[Key, Entry]:
        """Return the entries of those of some pictures that it holds."""
        with self._lock, self._catalogue.reading():
            return self._catalogue.known(keys)

    def add(self, vectors: Vectors, entries: Sequence[Entry]) -> None:
        """Add pictures; one with a key that is there already is replaced."""
        with self._lock, self._catalogue.writing():
            self._catalogue.remove(entry.record.key for entry in entries)
            for modality, (count, _) in self._catalogue.rows().items():
                of_it = [i for i, e in enumerate(entries) if e.record.modality is modality]
                if of_it:
                    self._files[modality].append(vectors[of_it], count)
                    self._catalogue.insert(modality, count, [entries[i] for i in of_it])
            self._catalogue.raise_version()

    def remove(self, keys: Iterable[Key]) -> int:
        """Remove pictures, and return how many of them were there."""
        with self._lock, self._catalogue.writing():
            removed = self._catalogue.remove(keys)
            self._catalogue.raise_version()
        return removed

    def relabel(self, records: Iterable[ImageRecord]) -> None:
        """Change identity, camera, tracklet, time and tags of the pictures that are there."""
        with self._lock, self._catalogue.writing():
            for record in records:
                self._catalogue.relabel(record)
            self._catalogue.raise_version()

    def search(self, queries: Queries, top: int, filters: Filters) -> list[list[Scored]]:
        """Find the most similar pictures by comparing with every one that the filters let pass."""
        searched = MODALITIES if filters.modality is None else (filters.modality,)
        others = replace(filters, modality=None)
        with self._lock, self._catalogue.reading():
            snapshot = self._refreshed()
            found = [self._best(snapshot, queries, top, m, others) for m in searched]
            scores, numbers = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
            return self._with_records(*ordered(scores, numbers, top))

    def _best(
        self, snapshot: _Snapshot, queries: Queries, top: int, modality: Modality, filters: Filters
    ) -> tuple[Float[np.ndarray, "q k"], Int[np.ndarray, "q k"]]:
        """Return similarities, and numbers that tell the row and the spectrum."""
        whole = filters == NO_FILTERS and snapshot.complete[modality]
        rows = None if whole else self._rows_of(snapshot, modality, filters)
        scores, found = best(snapshot.stored[modality], queries, top, rows)
        return scores, found * len(MODALITIES) + MODALITIES.index(modality)

    def _rows_of(self, snapshot: _Snapshot, modality: Modality, filters: Filters) -> Rows:
        """Return the rows that filters let pass, looked up once for each commit."""
        asked = (modality, filters)
        if asked not in snapshot.rows:
            if len(snapshot.rows) >= MOST_FILTERS:
                del snapshot.rows[next(iter(snapshot.rows))]
            snapshot.rows[asked] = self._catalogue.rows_of(modality, filters)
        return snapshot.rows[asked]

    def _with_records(
        self, scores: Float[np.ndarray, "q k"], numbers: Int[np.ndarray, "q k"]
    ) -> list[list[Scored]]:
        records: dict[int, ImageRecord] = {}
        for index, modality in enumerate(MODALITIES):
            of_it = numbers[numbers % len(MODALITIES) == index] // len(MODALITIES)
            found = self._catalogue.records(modality, np.unique(of_it).tolist())
            records |= {row * len(MODALITIES) + index: record for row, record in found.items()}
        return [
            [(score, records[number]) for score, number in zip(*pair, strict=True)]
            for pair in zip(scores.tolist(), numbers.tolist(), strict=True)
        ]

    def _refreshed(self) -> _Snapshot:
        """Return the present state, read again only if somebody has written since."""
        version = self._catalogue.version()
        if self._snapshot is None or self._snapshot.version != version:
            rows = self._catalogue.rows()
            try:
                stored = {m: self._files[m].mapped(count) for m, (count, _) in rows.items()}
            except (ValueError, OSError) as error:
                way_out = "index the pictures again into another gallery"
                raise GalleryError(f"{self._folder} is damaged ({error}); {way_out}") from error
            complete = {m: gone == 0 for m, (_, gone) in rows.items()}
            self._snapshot = _Snapshot(version, stored, complete)
        return self._snapshot


NO_FILTERS = Filters()


def _vector_files(folder: Path, dim: int, storage: Storage) -> dict[Modality, VectorFile]:
    return {m: VectorFile(folder / f"{m}.{storage}", dim, storage) for m in Modality}
