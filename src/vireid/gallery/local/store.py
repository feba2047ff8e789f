"""The store of one machine: a folder with a catalogue in SQLite and vectors in files."""

import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vireid.files.atomic import new_folder, scratch_folder, whole_file, writing_to
from vireid.gallery.filters import Filters
from vireid.gallery.local.archive import damaged_archive, pack, unpack
from vireid.gallery.local.catalogue import COMMITS, FILE, Catalogue, Committed, damaged, explained
from vireid.gallery.local.centres import Centres, centres_of
from vireid.gallery.local.similarities import Rows, best, ordered
from vireid.gallery.local.vectors import (
    BLOCK,
    FILE_NAME,
    DamagedError,
    StoredVectors,
    VectorFile,
    changed,
    sums_of,
)
from vireid.gallery.store import (
    NO_FILTERS,
    NO_NOTES,
    Centre,
    Counted,
    Entry,
    GalleryError,
    IndexKind,
    Named,
    NoteChanges,
    Page,
    Place,
    Scored,
    Size,
    Storage,
    Store,
)
from vireid.models.card import ModelCard
from vireid.records import ImageRecord, Key, Modality
from vireid.types.arrays import Queries, Vectors

MODALITIES = tuple(Modality)
BESIDE = "reindex"
ROWS_TO_COPY = 8 * BLOCK
MOST_FILTERS = 64
"""Number of filters whose rows are kept; those of 100,000 pictures take up to 0.8 MB each."""
MOST_RECORDS = 2**14
"""Number of records of hits that are kept, in some 10 MB: the pictures of a camera, or of a crowd,
are hits of many queries."""


@dataclass(frozen=True)
class _Snapshot:
    """The state of the gallery after one commit."""

    version: int
    stored: Mapping[Modality, StoredVectors]
    complete: Mapping[Modality, bool]
    """Whether every vector belongs to a picture."""
    rows: dict[tuple[Modality, Filters], Rows] = field(default_factory=dict)
    """Rows by filter, filled as filters are asked for, the latest last."""
    centres: dict[Modality, Centres] = field(default_factory=dict)
    """Centres by spectrum, filled as they are asked for."""
    records: dict[int, ImageRecord] = field(default_factory=dict)
    """Records of hits by numbers that tell the row and the spectrum, filled as they are found."""


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
        self._opened_with = self.model
        self._snapshot: _Snapshot | None = None
        self._names: dict[Named, tuple[int, list[str]]] = {}
        self._counts: tuple[int, dict[Modality, int]] = (-1, {})
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
    def name(self) -> str:
        """Name of the folder."""
        return self._folder.name

    @property
    def beside(self) -> Path:
        """Folder within, in which another model's vectors are gathered."""
        return self._folder / BESIDE

    @property
    def model(self) -> ModelCard:
        """Card of the model whose embeddings it holds."""
        return self._catalogue.model

    @property
    def storage(self) -> Storage:
        """Number format in which the vectors are kept."""
        return self._catalogue.storage

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            self._snapshot = None
            self._catalogue.close()

    def delete(self) -> None:
        """Delete the files of the gallery, and the folder if nothing else is in it.

        Raises:
            GalleryError: Another process is writing.
        """
        with self._writing():  # nobody else writes now
            pass
        self.close()
        with explained(self._folder):
            for path in sorted(self._folder.iterdir()):
                if FILE_NAME.fullmatch(path.name) or path.name.startswith((FILE, COMMITS)):
                    path.unlink(missing_ok=True)
            shutil.rmtree(self.beside, ignore_errors=True)
            with suppress(OSError):
                self._folder.rmdir()

    def size(self) -> Size:
        """Return how many bytes its files take, and when one was last changed."""
        stats = [path.stat() for path in self._folder.rglob("*") if path.is_file()]
        changed = max(stat.st_mtime for stat in stats)
        return Size(sum(stat.st_size for stat in stats), datetime.fromtimestamp(changed, UTC))

    def version(self) -> int:
        """Return a number that is different after every change, whoever made it."""
        with self._lock, self._catalogue.reading():
            return self._catalogue.version()

    def count(self, filters: Filters = NO_FILTERS) -> int:
        """Return how many pictures the filters let pass, counted once for each commit."""
        others = replace(filters, modality=None)
        searched = MODALITIES if filters.modality is None else (filters.modality,)
        if others != NO_FILTERS:
            with self._lock, self._reading_vectors() as snapshot:
                return sum(len(self._rows_of(snapshot, m, others)) for m in searched)
        with self._lock, self._catalogue.reading():
            version = self._catalogue.version()
            if self._counts[0] != version:
                self._counts = version, {m: self._catalogue.count(m) for m in MODALITIES}
            return sum(self._counts[1][modality] for modality in searched)

    def names(self, what: Named) -> list[str]:
        """Return the names of all cameras, or of all people who have one, sorted."""
        with self._lock, self._catalogue.reading():
            version = self._catalogue.version()
            if self._names.get(what, (None,))[0] != version:
                self._names[what] = (version, sorted(self._catalogue.tally(what)))
            return list(self._names[what][1])

    def entries_of(self, keys: Iterable[Key]) -> Mapping[Key, Entry]:
        """Return the entries of some keys, without those it does not hold."""
        with self._lock, self._catalogue.reading():
            return self._catalogue.entries_of(keys)

    def vectors_of(self, keys: Sequence[Key]) -> Vectors:
        """Return the vectors of pictures by their keys, as float32."""
        with self._lock, self._reading_vectors() as snapshot:
            places = self._catalogue.places_of(keys)
            if missing := [key for key in keys if key not in places]:
                path, _ = missing[0]
                raise GalleryError(f"{self._folder} does not hold {path}; index it first")
            found = np.zeros((len(keys), self.model.embedding_dim), np.float32)
            for modality in MODALITIES:
                own = [number for number, key in enumerate(keys) if places[key][0] is modality]
                rows, back = np.unique([places[keys[n]][1] for n in own], return_inverse=True)
                if own:
                    found[own] = self._vectors(snapshot.stored[modality], rows)[back]
            return found

    def pages(self, filters: Filters = NO_FILTERS) -> Iterator[Page]:
        """Yield the pictures that the filters let pass, some thousand at a time."""
        others = replace(filters, modality=None)
        for modality in MODALITIES if filters.modality is None else (filters.modality,):
            after = -1
            while True:
                with self._lock, self._reading_vectors() as snapshot:
                    page = self._catalogue.page(modality, after, others)
                    stored = snapshot.stored[modality]
                if not page:
                    break
                rows = np.array([row for row, _ in page])
                read = partial(self._vectors, stored, rows)
                yield Page(tuple(entry for _, entry in page), read)
                after = page[-1][0]

    def page(self, filters: Filters, after: Place | None, most: int) -> list[tuple[Place, Entry]]:
        """Return some of the pictures that the filters let pass, in the order of `pages`."""
        others = replace(filters, modality=None)
        wanted = MODALITIES if filters.modality is None else (filters.modality,)
        found: list[tuple[Place, Entry]] = []
        with self._lock, self._catalogue.reading():
            for modality in wanted:
                if after and MODALITIES.index(modality) < MODALITIES.index(after[0]):
                    continue
                first = after[1] if after and after[0] is modality else -1
                left = most - len(found)
                page = self._catalogue.page(modality, first, others, left) if left else []
                found += [((modality, row), entry) for row, entry in page]
        return found

    def _vectors(self, stored: StoredVectors, rows: Rows) -> Vectors:
        try:
            return stored.at(rows).astype(np.float32)
        except DamagedError as error:
            raise damaged(self._folder, str(error)) from error

    def tally(self, what: Counted) -> dict[str, int]:
        """Return how many pictures there are of each camera, person and so on that is named."""
        with self._lock, self._catalogue.reading():
            return self._catalogue.tally(what)

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
        self._remove_old_files()
        with self._lock:
            self._catalogue.wipe()

    def _compact(self, modality: Modality, held: Committed) -> None:
        count = held.rows - held.gone
        living = self._catalogue.living(modality, 0)
        order = np.arange(count)
        moved = living[living >= count]
        gaps = np.setdiff1d(order, living[living < count], assume_unique=True)
        order[gaps] = moved
        stored = self._file(held).stored(held.rows, held.sums, None)
        new = replace(
            held, file=_next_file(held.file, self._catalogue.storage), rows=0, gone=0, sums={}
        )
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

    def adopt(self, other: Store) -> None:
        """Take over the vectors and the model of another gallery of the same pictures, at once."""
        if not isinstance(other, LocalStore):
            raise GalleryError(f"{other.address} is no folder; move it into one first")
        other.compact()
        with self._writing():
            self._adopt(other)
        with self._lock:
            self._snapshot = None
            self._catalogue.read_model()
            self._opened_with = self.model
        self._remove_old_files()

    def become(self, other: Path) -> None:
        """Become a copy of another gallery of the same model, at once; this one's address stays."""
        source = LocalStore(other, patience=1)
        try:
            source.compact()
            with self._writing():
                self._copy_vectors_of(source)
                placed = ((m, row, e) for m in Modality for row, e in source._catalogue.all_of(m))
                self._catalogue.replace_all(placed, self.model, source._catalogue.storage)
                self._catalogue.replace_notes(source._catalogue.all_notes())
        finally:
            source.close()
        with self._lock:
            self._snapshot = None
        self._remove_old_files()

    def _adopt(self, source: "LocalStore") -> None:
        mine = {e.record.key: e for m in Modality for _, e in self._catalogue.all_of(m)}
        placed = [(m, row, e) for m in Modality for row, e in source._catalogue.all_of(m)]
        theirs = {entry.record.key for _, _, entry in placed}
        if theirs != mine.keys():
            only = f"{len(mine.keys() - theirs)} and {len(theirs - mine.keys())} of them"
            raise GalleryError(
                f"{self._folder} and {source._folder} hold different pictures: {only} are in one "
                "alone; do it again"
            )
        self._copy_vectors_of(source)
        now = ((m, row, mine[entry.record.key]) for m, row, entry in placed)
        self._catalogue.replace_all(now, source.model, source._catalogue.storage)

    def _copy_vectors_of(self, source: "LocalStore") -> None:
        for modality, held in self._catalogue.committed().items():
            other = source._catalogue.committed()[modality]
            new = replace(other, file=_next_file(held.file, source._catalogue.storage))
            self._copy_vectors(source._folder / other.file, new.file)
            self._catalogue.commit(modality, new)

    def _copy_vectors(self, path: Path, name: str) -> None:
        shutil.copyfile(path, self._folder / name)
        with (self._folder / name).open("rb+") as file:
            os.fsync(file.fileno())

    def backup(self, archive: Path) -> int:
        """Copy everything, as of one moment, into a ZIP file; return the number of pictures."""
        with ExitStack() as stack, writing_to(archive):
            target = stack.enter_context(whole_file(archive))
            beside = stack.enter_context(scratch_folder(archive))
            members, stored = {}, []
            with self._lock, self._reading_vectors() as snapshot:
                pictures = self._catalogue.count(None)
                for modality, held in self._catalogue.committed().items():
                    file = self._file(held)
                    opened = stack.enter_context(file.path.open("rb"))
                    members[held.file] = (opened, file.size_of(held.rows))
                    stored.append(snapshot.stored[modality])
                copy = beside / FILE
                self._catalogue.copy(copy)
            for vectors in stored:
                if vectors.damaged():
                    raise damaged(self._folder, f"{vectors.path.name} has changed")
            members[FILE] = (stack.enter_context(copy.open("rb")), copy.stat().st_size)
            pack(target, pictures, members)
        return pictures

    @classmethod
    def restore(cls, archive: Path, folder: Path) -> None:
        """Make a gallery of an archive, whole or not at all.

        Raises:
            GalleryError: Something is there already, the archive is damaged or none of a gallery,
                or the disk is full.
        """
        if folder.exists():
            raise _is_there(folder)
        with explained(folder), new_folder(folder) as building:
            pictures = unpack(archive, building)
            store = cls(building, patience=1)
            try:
                wrong, found = store.damage(), store.count()
            except GalleryError as error:
                raise damaged_archive(archive, error) from error
            finally:
                store.close()
            if wrong or found != pictures:
                what = wrong[0] if wrong else f"it holds {found} of {pictures} pictures"
                raise damaged_archive(archive, what)

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

    def _remove_old_files(self) -> None:
        """Remove the files that a commit has made superfluous, as every writer does at first."""
        with self._lock:
            self._snapshot = None
            with self._writing():
                pass

    def _remove_strays(self) -> None:
        """Remove vector files that do not count, of writers that died."""
        files = {held.file for held in self._catalogue.committed().values()}
        for path in self._folder.iterdir():
            if FILE_NAME.fullmatch(path.name) and path.name not in files:
                with suppress(PermissionError):  # on Windows, while somebody has it open
                    path.unlink(missing_ok=True)

    def _file(self, held: Committed) -> VectorFile:
        path = self._folder / held.file
        return VectorFile(path, self.model.embedding_dim, self._catalogue.storage)

    def set_index(self, kind: IndexKind, effort: int) -> None:  # noqa: ARG002
        """Refuse anything but exact search."""
        if kind != "flat":
            raise GalleryError(
                f"{self._folder} is in a folder, which is always searched exactly; move it to a "
                "Milvus server first: vireid gallery move"
            )

    def centres(self, modality: Modality) -> Mapping[str | None, Centre]:
        """Return the mean vector of each camera's pictures, and under None that of all."""
        with self._lock, self._reading_vectors() as snapshot:
            return self._centres(snapshot, modality).named

    def _centres(self, snapshot: _Snapshot, modality: Modality) -> Centres:
        """Return the centres of a spectrum, found once for each commit."""
        if modality not in snapshot.centres:
            rows, cameras = self._catalogue.cameras_of(modality)
            snapshot.centres[modality] = centres_of(snapshot.stored[modality], rows, cameras)
        return snapshot.centres[modality]

    def search(
        self, queries: Queries, top: int, filters: Filters, *, centred: bool = False
    ) -> list[list[Scored]]:
        """Find the most similar pictures by comparing with every one that the filters let pass."""
        searched = MODALITIES if filters.modality is None else (filters.modality,)
        others = replace(filters, modality=None)
        with self._lock, self._reading_vectors() as snapshot:
            found = [
                self._best(snapshot, queries, top, m, others, centred=centred) for m in searched
            ]
            scores, numbers = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
            return self._with_records(snapshot, *ordered(scores, numbers, top))

    def _best(
        self,
        snapshot: _Snapshot,
        queries: Queries,
        top: int,
        modality: Modality,
        filters: Filters,
        *,
        centred: bool,
    ) -> tuple[Float[np.ndarray, "q k"], Int[np.ndarray, "q k"]]:
        """Return similarities, and numbers that tell the row and the spectrum."""
        whole = filters == NO_FILTERS and snapshot.complete[modality]
        rows = None if whole else self._rows_of(snapshot, modality, filters)
        adjust = self._centres(snapshot, modality).adjusted if centred else None
        scores, found = best(snapshot.stored[modality], queries, top, rows, adjust)
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
        self,
        snapshot: _Snapshot,
        scores: Float[np.ndarray, "q k"],
        numbers: Int[np.ndarray, "q k"],
    ) -> list[list[Scored]]:
        wanted = set(numbers.ravel().tolist())
        if len(snapshot.records) > MOST_RECORDS:
            snapshot.records.clear()
        missing = wanted - snapshot.records.keys()
        snapshot.records.update(self._records(missing))
        records = snapshot.records
        return [
            [(score, records[number]) for score, number in zip(*pair, strict=True)]
            for pair in zip(scores.tolist(), numbers.tolist(), strict=True)
        ]

    def _records(self, numbers: AbstractSet[int]) -> dict[int, ImageRecord]:
        """Return records by the numbers that tell their rows and spectra."""
        records: dict[int, ImageRecord] = {}
        for index, modality in enumerate(MODALITIES):
            rows = [n // len(MODALITIES) for n in numbers if n % len(MODALITIES) == index]
            found = self._catalogue.records(modality, rows)
            if len(found) < len(rows):
                raise damaged(self._folder, f"{FILE} does not say what some vectors show")
            records |= {row * len(MODALITIES) + index: record for row, record in found.items()}
        return records

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
            self._catalogue.read_model()
            if self.model != self._opened_with:
                raise GalleryError(
                    f"{self._folder} was embedded anew by model {self.model.name}, while it was "
                    "open; open it again"
                )
            committed = self._catalogue.committed()
            earlier = before.stored if before else {}
            stored = {
                modality: self._file(held).stored(held.rows, held.sums, earlier.get(modality))
                for modality, held in committed.items()
            }
            complete = {m: held.gone == 0 for m, held in committed.items()}
            self._snapshot = before = _Snapshot(version, stored, complete)
        return before


def _next_file(file: str, storage: Storage) -> str:
    """Return the name of the file that takes the place of one.

    >>> _next_file("visible.float32", "float32"), _next_file("visible.1.float32", "float16")
    ('visible.1.float32', 'visible.2.float16')
    """
    modality, *number, _ = file.split(".")
    return f"{modality}.{int(*number) + 1}.{storage}"


def _is_there(folder: Path) -> GalleryError:
    return GalleryError(f"{folder} is there already; open it or choose another name")
