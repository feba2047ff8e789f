"""The store of one machine: a folder with a catalogue in SQLite and vectors in files."""

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vireid.arrays import Queries, Vectors
from vireid.gallery.filters import Filters
from vireid.gallery.local.catalogue import FILE, Catalogue, Committed, damaged, explained
from vireid.gallery.local.similarities import Rows, best, ordered
from vireid.gallery.local.vectors import (
    BLOCK,
    DamagedError,
    StoredVectors,
    VectorFile,
    changed,
    sums_of,
)
from vireid.gallery.store import (
    NO_FILTERS,
    NO_NOTES,
    Entry,
    GalleryError,
    NoteChanges,
    Scored,
    Storage,
)
from vireid.models.card import ModelCard
from vireid.records import ImageRecord, Key, Modality
from vireid.whole_files import new_folder

MODALITIES = tuple(Modality)
ROWS_TO_COPY = 8 * BLOCK
MOST_FILTERS = 64
"""Number of filters whose rows are kept; those of 100,000 pictures take up to 0.8 MB each."""


@dataclass(frozen=True)
class _Snapshot:
    """The state of the gallery after one commit."""

    version: int
    stored: Mapping[Modality, StoredVectors]
    complete: Mapping[Modality, bool]
    """Whether every vector belongs to a picture."""
    rows: dict[tuple[Modality, Filters], Rows] = field(default_factory=dict)
    """Rows by filter, filled as filters are asked for, the latest last."""


class LocalStore:
    """Keeps a gallery in a folder, for all processes of one machine.

    `facts.sqlite` knows the pictures and says how many vectors are committed, and in which files:
    `visible.float32` and `infrared.float32` (or `.float16`), one spectrum each, so that a search in
    one spectrum reads nothing else. Compacting writes new files, `visible.1.float32`, and removes
    the old ones. A writer that dies leaves no trace but vectors and files that do not count; the
    next one overwrites or removes them.
    """

    def __init__(self, folder: Path, patience: float) -> None:
        if not (folder / FILE).exists():
            free = f"make one with `vireid index FOLDER --out {folder}`"
            way_out = "give another path" if folder.exists() else free
            raise GalleryError(f"{folder} is not a gallery; {way_out}")
        self._folder = folder
        self._catalogue = Catalogue(folder, patience)
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
            raise _is_there(folder)
        with explained(folder):
            try:
                with new_folder(folder) as building:
                    for modality in Modality:
                        VectorFile(
                            building / f"{modality}.{storage}", model.embedding_dim, storage
                        ).create()
                    Catalogue.create(building, model, storage)
            except (FileExistsError, OSError) as error:
                if folder.exists():  # another process was faster
                    raise _is_there(folder) from error
                raise

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

    def entries_of(self, keys: Iterable[Key]) -> Mapping[Key, Entry]:
        """Return the entries of some keys, without those it does not hold."""
        with self._lock, self._catalogue.reading():
            return self._catalogue.entries_of(keys)

    def entries(self, filters: Filters = NO_FILTERS) -> Iterator[Entry]:
        """Yield the pictures that the filters let pass, some thousand at a time."""
        others = replace(filters, modality=None)
        for modality in MODALITIES if filters.modality is None else (filters.modality,):
            after = -1
            while True:
                with self._lock, self._catalogue.reading():
                    page = self._catalogue.page(modality, after, others)
                if not page:
                    break
                yield from (entry for _, entry in page)
                after = page[-1][0]

    def with_content(self, contents: Iterable[str]) -> list[Entry]:
        """Return the entries of all pictures whose bytes have one of some hashes."""
        with self._lock, self._catalogue.reading():
            return self._catalogue.with_content(contents)

    def notes(self, kind: str) -> Mapping[str, Any]:
        """Return the notes of one kind, by their keys."""
        with self._lock, self._catalogue.reading():
            return self._catalogue.notes(kind)

    def note(self, changes: NoteChanges) -> None:
        """Write notes, and take away those whose value is None."""
        with self._writing():
            self._catalogue.note(changes)

    def add(self, vectors: Vectors, entries: Sequence[Entry]) -> None:
        """Add pictures; one with a key that is there already is replaced."""
        with self._writing():
            self._catalogue.remove(entry.record.key for entry in entries)
            for modality, held in self._catalogue.committed().items():
                of_it = [i for i, e in enumerate(entries) if e.record.modality is modality]
                if of_it:
                    sums = self._file(held).append(vectors[of_it], held.rows, held.sums)
                    self._catalogue.insert(modality, held.rows, [entries[i] for i in of_it])
                    rows = held.rows + len(of_it)
                    grown = replace(held, rows=rows, sums={**held.sums, **sums})
                    self._catalogue.commit(modality, grown)

    def remove(self, keys: Iterable[Key], notes: NoteChanges = NO_NOTES) -> int:
        """Remove pictures, and return how many of them were there."""
        with self._writing():
            self._catalogue.note(notes)
            return self._catalogue.remove(keys)

    def change(self, changes: Mapping[Key, Entry]) -> None:
        """Change what is known about pictures, even their path; their vectors stay."""
        with self._writing():
            self._catalogue.change(changes)

    def compact(self, from_share: float = 0.0) -> None:
        """Take what no longer counts out of all files.

        Vectors are written to new files, in which the last of them fill the gaps; the old files go
        once that is committed.
        """
        with self._writing():
            many = {m: h for m, h in self._catalogue.committed().items() if h.gone > 0}
            many = {m: held for m, held in many.items() if held.gone > from_share * held.rows}
            for modality, held in many.items():
                self._compact(modality, held)
        if from_share and not many:
            return
        with self._lock:
            self._snapshot = None
            with self._writing():
                """Removes the old files, which no longer count."""
            self._catalogue.wipe()

    def _compact(self, modality: Modality, held: Committed) -> None:
        count = held.rows - held.gone
        living = self._catalogue.living(modality, 0)
        order = np.arange(count)
        moved = living[living >= count]
        gaps = np.setdiff1d(order, living[living < count], assume_unique=True)
        order[gaps] = moved
        stored = self._file(held).stored(held.rows, held.sums, None)
        new = replace(held, file=_next_file(held.file), rows=0, gone=0, sums={})
        file = self._file(new)
        file.create()
        sums: dict[int, int] = {}
        for start in range(0, count, ROWS_TO_COPY):
            rows = order[start : start + ROWS_TO_COPY]
            by_row = np.argsort(rows)
            block = np.empty((len(rows), file.dim), file.dtype)
            block[by_row] = stored.at(rows[by_row])
            sums |= file.append(block, start, sums)
        self._catalogue.move(modality, zip(moved.tolist(), gaps.tolist(), strict=True))
        self._catalogue.commit(modality, replace(new, rows=count, sums=sums))

    def damage(self) -> list[str]:
        """Read and compare everything, and return one line for each thing that is wrong."""
        with self._lock, self._catalogue.reading():
            wrong = self._catalogue.damage()
            for held in self._catalogue.committed().values():
                try:
                    blocks = self._file(held).stored(held.rows, held.sums, None).damaged()
                except DamagedError as error:
                    wrong.append(str(error))
                    continue
                wrong += [f"{held.file}: {changed(block, held.rows)}" for block in blocks]
        return wrong

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Change things together or not at all, in a gallery whose files are all there."""
        with self._lock, self._catalogue.writing() as sums_are_missing:
            try:
                self._remove_strays()
                for modality, held in self._catalogue.committed().items():
                    file = self._file(held)
                    file.check_size(held.rows)
                    if sums_are_missing:
                        sums = sums_of(file.stored(held.rows, {}, None).part(0, held.rows))
                        self._catalogue.commit(modality, replace(held, sums=sums))
                yield
            except DamagedError as error:
                raise damaged(self._folder, str(error)) from error

    def _remove_strays(self) -> None:
        """Remove vector files that do not count, of writers that died."""
        files = {held.file for held in self._catalogue.committed().values()}
        for path in self._folder.iterdir():
            if VECTOR_FILE.fullmatch(path.name) and path.name not in files:
                with suppress(PermissionError):  # on Windows, while somebody has it open
                    path.unlink(missing_ok=True)

    def _file(self, held: Committed) -> VectorFile:
        path = self._folder / held.file
        return VectorFile(path, self.model.embedding_dim, self._catalogue.storage)

    def search(self, queries: Queries, top: int, filters: Filters) -> list[list[Scored]]:
        """Find the most similar pictures by comparing with every one that the filters let pass."""
        searched = MODALITIES if filters.modality is None else (filters.modality,)
        others = replace(filters, modality=None)
        with self._lock, self._reading_vectors() as snapshot:
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
            if len(found) < len(np.unique(of_it)):
                raise damaged(self._folder, f"{FILE} does not say what some vectors show")
            records |= {row * len(MODALITIES) + index: record for row, record in found.items()}
        return [
            [(score, records[number]) for score, number in zip(*pair, strict=True)]
            for pair in zip(scores.tolist(), numbers.tolist(), strict=True)
        ]

    @contextmanager
    def _reading_vectors(self) -> Iterator[_Snapshot]:
        """Answer as of one commit, read again only if somebody has written since."""
        try:
            with self._catalogue.reading():
                try:
                    snapshot = self._refreshed()
                except DamagedError:
                    # Another process may have compacted just now: its next commit names new files.
                    snapshot = None
                if snapshot is not None:
                    yield snapshot
                    return
            with self._catalogue.reading():
                yield self._refreshed()
        except DamagedError as error:
            raise damaged(self._folder, str(error)) from error

    def _refreshed(self) -> _Snapshot:
        version = self._catalogue.version()
        before = self._snapshot
        if before is None or before.version != version:
            committed = self._catalogue.committed()
            earlier = before.stored if before else {}
            stored = {
                modality: self._file(held).stored(held.rows, held.sums, earlier.get(modality))
                for modality, held in committed.items()
            }
            complete = {m: held.gone == 0 for m, held in committed.items()}
            self._snapshot = before = _Snapshot(version, stored, complete)
        return before


VECTOR_FILE = re.compile(r"(?:visible|infrared)(?:\.\d+)?\.float(?:32|16)")
"""Pattern of the names of vector files."""


def _next_file(file: str) -> str:
    """Return the name of the file that takes the place of one.

    >>> _next_file("visible.float32"), _next_file("visible.1.float32")
    ('visible.1.float32', 'visible.2.float32')
    """
    modality, *number, storage = file.split(".")
    return f"{modality}.{int(*number) + 1}.{storage}"


def _is_there(folder: Path) -> GalleryError:
    return GalleryError(f"{folder} is there already; open it or choose another name")
