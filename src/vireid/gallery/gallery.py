"""A gallery: embeddings, facts about the pictures they come from, and search among them."""

import os
import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import Float, Int

from vireid.gallery.local.facts import FILE, Facts, GalleryError, Known, Stamp, explained
from vireid.gallery.local.vectors import Rows, Storage, VectorFile, Vectors, best, ordered
from vireid.models.card import ModelCard
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord, Modality

PATIENCE = 10.0
"""Seconds to wait for another process that is writing."""
MODALITIES = tuple(Modality)


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer to a search."""

    rank: int
    """1 is the most similar."""
    similarity: float
    record: ImageRecord


@dataclass(frozen=True)
class _Snapshot:
    """What was committed at one time."""

    version: int
    stored: Mapping[Modality, Vectors]
    complete: Mapping[Modality, bool]
    """No vector belongs to a picture that was removed."""
    rows: dict[tuple[Modality, str | None], Rows] = field(default_factory=dict)
    """Filled as filters are asked for."""


class Gallery:
    """A folder that holds embeddings of one model, for all processes of one machine.

    `facts.sqlite` knows the pictures and says how many vectors are committed;
    `visible.float32` and `infrared.float32` (or `.float16`) hold the vectors, one spectrum each, so
    that a search in one spectrum reads nothing else. A writer that dies leaves no trace but
    vectors that do not count and are overwritten by the next. Threads may share a Gallery.
    """

    def __init__(self, path: Path | str, patience: float = PATIENCE) -> None:
        """See `open`, which also checks the model."""
        self.path = Path(path)
        if not (self.path / FILE).exists():
            free = f"make one with `vireid index FOLDER --out {self.path}`"
            way_out = "give another path" if self.path.exists() else free
            raise GalleryError(f"{self.path} is not a gallery; {way_out}")
        self._facts = Facts(self.path, patience)
        self.model, self.storage = self._facts.model, self._facts.storage
        self._files = _vector_files(self.path, self.model.embedding_dim, self.storage)
        self._snapshot: _Snapshot | None = None
        self._lock = threading.RLock()

    @classmethod
    def create(
        cls, path: Path | str, model: Embedder | ModelCard, storage: Storage = "float32"
    ) -> "Gallery":
        """Make an empty gallery for the embeddings of one model.

        Args:
            path: A folder that is not there yet. It is there once it is complete.
            model: Whose embeddings it is going to hold.
            storage: `float16` takes half the disk and memory; similarities change by about 1e-4.

        Raises:
            GalleryError: Something is there already, or the disk is full.
        """
        path = Path(path)
        if path.exists():
            raise GalleryError(f"{path} is there already; open it or choose another name")
        facts = _card_of(model)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        with explained(path):
            try:
                partial.mkdir(parents=True)
                for file in _vector_files(partial, facts.embedding_dim, storage).values():
                    file.path.touch()
                Facts.create(partial, facts, storage)
                _sync_folder(partial)
                partial.rename(path)
                _sync_folder(path.parent)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return cls(path)

    @classmethod
    def open(
        cls,
        path: Path | str,
        model: Embedder | ModelCard | None = None,
        patience: float = PATIENCE,
    ) -> "Gallery":
        """Open a gallery to search in it or to add to it.

        Args:
            path: Its folder.
            model: The model that you are going to embed with; refused unless it is the one
                whose embeddings are inside.
            patience: Seconds to wait for another process that is writing.

        Raises:
            GalleryError: It is not a gallery, damaged, or another model's.
        """
        gallery = cls(path, patience)
        if model is not None:
            try:
                gallery.check(model)
            except GalleryError:
                gallery.close()
                raise
        return gallery

    def check(self, model: Embedder | ModelCard) -> None:
        """Make sure that a model's embeddings can be compared with those in here.

        Raises:
            GalleryError: They cannot.
        """
        mine, other = self.model, _card_of(model)
        for name in ("fingerprint", "embedding_dim", "precision"):
            if getattr(mine, name) != getattr(other, name):
                raise GalleryError(
                    f"{self.path} was filled by model {mine.name} ({name} {getattr(mine, name)}), "
                    f"not by {other.name} ({name} {getattr(other, name)}); use that model "
                    f"(--model {mine.source}) or index the pictures into another gallery"
                )

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            self._snapshot = None
            self._facts.close()

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self.count()

    def count(self, modality: Modality | None = None) -> int:
        """Pictures in here, or those of one spectrum."""
        with self._lock, self._facts.reading():
            return self._facts.count(modality)

    def cameras(self) -> list[str]:
        """Names of the cameras, sorted."""
        with self._lock, self._facts.reading():
            return self._facts.cameras()

    def add(
        self,
        embeddings: Vectors,
        records: Sequence[ImageRecord],
        stamps: Sequence[Stamp | None] | None = None,
    ) -> None:
        """Add pictures; one that is here already (the same path) is replaced.

        All of them are added or, if anything goes wrong, none.

        Args:
            embeddings: Row i is the unit vector of record i.
            records: No path twice.
            stamps: Sizes and times of change that the files had when they were read, to tell later
                whether they have changed; by default those they have now.

        Raises:
            GalleryError: Vectors and records do not fit each other or this gallery, another
                process is writing, or the disk is full.
        """
        self._check_fit(embeddings, records)
        if not records:
            return
        stamps = stamps if stamps is not None else [stamp_of(record.path) for record in records]
        pictures = [
            (_key(record.path), record, stamp)
            for record, stamp in zip(records, stamps, strict=True)
        ]
        if len({path for path, _, _ in pictures}) < len(pictures):
            raise GalleryError("the same path is among the records twice; leave one of them out")
        with self._lock, self._facts.writing():
            self._facts.remove([path for path, _, _ in pictures])
            for modality, (count, _) in self._facts.rows().items():
                of_it = [i for i, record in enumerate(records) if record.modality is modality]
                if of_it:
                    self._files[modality].append(embeddings[of_it], count)
                    self._facts.insert(modality, count, [pictures[i] for i in of_it])
            self._facts.raise_version()

    def relabel(self, records: Iterable[ImageRecord]) -> None:
        """Change identity and camera of pictures that are here, without embedding them again."""
        with self._lock, self._facts.writing():
            for record in records:
                self._facts.relabel(_key(record.path), record.identity, record.camera)
            self._facts.raise_version()

    def known(self, records: Sequence[ImageRecord]) -> list[Known | None]:
        """What is here about the pictures of some records; None for those that are not."""
        keys = [_key(record.path) for record in records]
        with self._lock, self._facts.reading():
            found = self._facts.known(keys)
        return [found.get(key) for key in keys]

    def search(
        self,
        embeddings: Float[np.ndarray, "q d"],
        top: int = 10,
        modality: Modality | None = None,
        camera: str | None = None,
    ) -> list[list[Hit]]:
        """Find the most similar pictures by comparing with every one.

        Args:
            embeddings: Unit vectors of the model that filled this gallery, one for each query; or
                what its `embed_text` gives for sentences.
            top: How many hits a query gets at most.
            modality: Search in one spectrum only, for instance `query_modality.other`.
            camera: Search pictures of one camera only.

        Returns:
            For each query its hits, most similar first.

        Raises:
            GalleryError: The vectors are of another size, or there is no such camera.
        """
        self._check_vectors(embeddings)
        if top < 1:
            raise GalleryError(f"top is {top}; ask for at least one hit")
        searched = MODALITIES if modality is None else (modality,)
        queries = np.ascontiguousarray(embeddings, np.float32)
        with self._lock, self._facts.reading():
            self._check_camera(camera)
            snapshot = self._refreshed()
            found = [self._best(snapshot, queries, top, m, camera) for m in searched]
            scores, numbers = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
            return self._hits(*ordered(scores, numbers, top))

    def _best(
        self,
        snapshot: _Snapshot,
        queries: Float[np.ndarray, "q d"],
        top: int,
        modality: Modality,
        camera: str | None,
    ) -> tuple[Float[np.ndarray, "q k"], Int[np.ndarray, "q k"]]:
        """Similarities, and numbers that tell the row and the spectrum."""
        asked = (modality, camera)
        whole = camera is None and snapshot.complete[modality]
        if not whole and asked not in snapshot.rows:
            snapshot.rows[asked] = self._facts.rows_of(*asked)
        rows = None if whole else snapshot.rows[asked]
        scores, found = best(snapshot.stored[modality], queries, top, rows)
        return scores, found * len(MODALITIES) + MODALITIES.index(modality)

    def _hits(
        self, scores: Float[np.ndarray, "q k"], numbers: Int[np.ndarray, "q k"]
    ) -> list[list[Hit]]:
        records: dict[int, ImageRecord] = {}
        for index, modality in enumerate(MODALITIES):
            of_it = numbers[numbers % len(MODALITIES) == index] // len(MODALITIES)
            found = self._facts.records(modality, np.unique(of_it).tolist())
            records |= {row * len(MODALITIES) + index: record for row, record in found.items()}
        return [
            [
                Hit(rank, score, records[number])
                for rank, (score, number) in enumerate(zip(*pair, strict=True), 1)
            ]
            for pair in zip(scores.tolist(), numbers.tolist(), strict=True)
        ]

    def _refreshed(self) -> _Snapshot:
        """What is committed now; asked anew only if somebody has written since."""
        version = self._facts.version()
        if self._snapshot is None or self._snapshot.version != version:
            rows = self._facts.rows()
            try:
                stored = {m: self._files[m].mapped(count) for m, (count, _) in rows.items()}
            except (ValueError, OSError) as error:
                way_out = "index the pictures again into another gallery"
                raise GalleryError(f"{self.path} is damaged ({error}); {way_out}") from error
            complete = {m: gone == 0 for m, (_, gone) in rows.items()}
            self._snapshot = _Snapshot(version, stored, complete)
        return self._snapshot

    def _check_fit(self, embeddings: Vectors, records: Sequence[ImageRecord]) -> None:
        self._check_vectors(embeddings)
        if len(embeddings) != len(records):
            raise GalleryError(
                f"there are {len(embeddings)} embeddings for {len(records)} records; give one each"
            )
        off = np.abs(np.linalg.norm(embeddings, axis=1) - 1) > 1e-2
        if off.any() or not np.isfinite(embeddings).all():
            bad = records[int(np.argmax(off))].path
            raise GalleryError(f"the embedding of {bad} is not of length one; normalise it")

    def _check_vectors(self, embeddings: Vectors) -> None:
        if embeddings.ndim != 2 or embeddings.shape[1] != self.model.embedding_dim:
            raise GalleryError(
                f"{self.path} holds vectors of {self.model.embedding_dim} numbers, given was an "
                f"array of shape {embeddings.shape}; embed with model {self.model.name}"
            )

    def _check_camera(self, camera: str | None) -> None:
        if camera is None or self._facts.has_camera(camera):
            return
        cameras = self._facts.cameras()
        near = get_close_matches(camera, cameras, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(cameras) or 'none'}"
        raise GalleryError(f"{self.path} has no camera {camera!r}; {hint}")


def stamp_of(path: Path) -> Stamp | None:
    """Size and time of change of a file; None if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return Stamp(found.st_size, found.st_mtime_ns)


def _key(path: Path) -> str:
    """One name for one file, wherever it is asked for."""
    name = os.path.abspath(path)  # noqa: PTH100  resolve() would follow links, which may change
    if not name.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in name):
        raise GalleryError(f"{name!a} is not valid Unicode; rename the file")
    return name


def _card_of(model: Embedder | ModelCard) -> ModelCard:
    return model.card if isinstance(model, Embedder) else model


def _vector_files(folder: Path, dim: int, storage: Storage) -> dict[Modality, VectorFile]:
    return {m: VectorFile(folder / f"{m}.{storage}", dim, storage) for m in Modality}


def _sync_folder(folder: Path) -> None:
    """Make new names in a folder survive a power cut."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
