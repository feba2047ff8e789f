"""A gallery: embeddings with records of their pictures, and search among them."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float

from vireid.console import shortened
from vireid.errors import suggestion
from vireid.files import documents
from vireid.gallery.addresses import create_store, open_store, parsed, restore_store
from vireid.gallery.filters import Filters
from vireid.gallery.judgements import Judgement, judged, judgement_from, judgement_note
from vireid.gallery.sources import Source, source_from, source_note
from vireid.gallery.store import (
    JUDGEMENT,
    REMOVED,
    SETTING,
    SOURCE,
    Address,
    Counted,
    Entry,
    GalleryError,
    IndexKind,
    Named,
    Page,
    Place,
    Size,
    Stamp,
    Storage,
    Store,
    content_key,
    with_contents,
)
from vireid.models.calibration import Calibration, belonging
from vireid.models.card import ModelCard
from vireid.models.centring import LEAST_TO_CENTRE
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord, Key, Modality, spelling_key
from vireid.types.arrays import Queries, Vectors

PATIENCE = 10.0
"""Seconds to wait for another process that is writing."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer to a search."""

    rank: int
    """Rank among the hits; 1 is the most similar."""
    similarity: float
    record: ImageRecord
    frames: "tuple[Hit, ...]" = ()
    """Frames of the tracklet that is the answer, in their order, each with its own similarity; none
    where the answer is a picture."""
    probability: float | None = None
    """Chance that it shows the person searched for; None where the model is not calibrated."""


class Gallery:
    """Embeddings of one model, with what is known about their pictures.

    A gallery checks its input and queries, and ranks what its store finds. Threads may share it.
    """

    def __init__(self, store: Store) -> None:
        """Take a store that is open already; see `open` and `create`."""
        self._store = store
        self.address = store.address
        self.name = store.name
        self._spelt: dict[Named, dict[str, str]] = {"camera": {}, "person": {}}

    @property
    def path(self) -> Path:
        """Folder of the gallery.

        Raises:
            GalleryError: It is on a server.
        """
        place = parsed(self.address)
        if not isinstance(place, Path):
            raise GalleryError(f"{self.address} is in no folder; move it into one")
        return place

    @property
    def model(self) -> ModelCard:
        """Card of the model whose embeddings are inside."""
        return self._store.model

    @property
    def storage(self) -> Storage:
        """Number format in which the vectors are kept."""
        return self._store.storage

    @property
    def version(self) -> int:
        """A number that is different after every change, whoever made it."""
        return self._store.version()

    @classmethod
    def create(
        cls, path: Address, model: Embedder | ModelCard, storage: Storage = "float32"
    ) -> "Gallery":
        """Make an empty gallery for the embeddings of one model.

        Args:
            path: Folder that does not exist yet, or `milvus://host:port/name` where no gallery is.
                It appears once the gallery is complete.
            model: Card of the model whose embeddings it will hold.
            storage: `float16` takes half the disk and memory; similarities change by about 1e-4.

        Raises:
            GalleryError: Something is there already, or the disk is full.
        """
        create_store(path, _card_of(model), storage)
        return cls.open(path)

    @classmethod
    def open(
        cls,
        path: Address,
        model: Embedder | ModelCard | None = None,
        patience: float = PATIENCE,
    ) -> "Gallery":
        """Open a gallery to search in it or to add to it.

        Args:
            path: Folder of the gallery, or `milvus://host:port/name`.
            model: Card of the model that you will embed with; refused unless its embeddings are
                inside.
            patience: Seconds to wait for another process that is writing.

        Raises:
            GalleryError: It is not a gallery, damaged, or another model's.
        """
        gallery = cls(open_store(path, patience))
        if model is not None:
            try:
                gallery.check(model)
            except GalleryError:
                gallery.close()
                raise
        return gallery

    @classmethod
    def restore(cls, archive: Path | str, path: Address) -> "Gallery":
        """Make the gallery that `backup` has copied into an archive.

        Args:
            archive: File that `backup` has written.
            path: Folder that does not exist yet, or `milvus://host:port/name` where no gallery is.
                It appears once the gallery is complete.

        Raises:
            GalleryError: Something is there already, the archive is damaged or none of a gallery,
                or the disk is full.
        """
        restore_store(Path(archive), path)
        return cls.open(path)

    def check(self, model: Embedder | ModelCard) -> None:
        """Refuse a model whose embeddings cannot be compared with those in here.

        Raises:
            GalleryError: They cannot.
        """
        mine, other = self.model, _card_of(model)
        for name in ("fingerprint", "embedding_dim", "precision"):
            if getattr(mine, name) != getattr(other, name):
                raise GalleryError(
                    f"{self.address} was filled by model {mine.name} "
                    f"({name} {getattr(mine, name)}), "
                    f"not by {other.name} ({name} {getattr(other, name)}); "
                    f"{self._way_to_agree(other)}"
                )

    def _way_to_agree(self, other: ModelCard) -> str:
        """Return what helps where another model than the gallery's was given."""
        source = self.model.source
        if other.source != source:
            return f"use that model (--model {source}) or index the pictures into another gallery"
        return (
            f"{source} has changed since: give a copy of it as it was (--model FOLDER), or embed "
            f"all pictures anew: vireid gallery reindex {self.address} --model {source}"
        )

    def close(self) -> None:
        """Close the files."""
        self._store.close()

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.count()

    def count(self, modality: Modality | None = None, filters: Filters | None = None) -> int:
        """Return how many pictures are in here, or those among them that filters let pass.

        Args:
            modality: Spectrum of the pictures; short for a filter.
            filters: Conditions on the pictures; a smallest similarity counts for nothing.

        Raises:
            GalleryError: There is no such camera or person, or filters are given twice.
        """
        return self._store.count(self._spelt_filters(_filters(filters, modality, None)))

    def cameras(self) -> list[str]:
        """Return the names of the cameras, sorted."""
        return self._store.names("camera")

    def people(self) -> list[str]:
        """Return the names of the people who have one, sorted."""
        return self._store.names("person")

    def tally(self, what: Counted) -> dict[str, int]:
        """Return how many pictures there are of each camera, person and so on that is named."""
        return self._store.tally(what)

    def spelt(self, records: Sequence[ImageRecord]) -> list[ImageRecord]:
        """Return records whose cameras and people are spelt as in here, or as first among them.

        One name is often spelt in two ways: in letter case, and in the form of Unicode.
        """
        cameras = self._spellings("camera", [record.camera for record in records])
        people = self._spellings("person", [record.person for record in records])
        return [
            r
            if r.camera == cameras[r.camera] and r.person == people[r.person]
            else replace(r, camera=cameras[r.camera], person=people[r.person])
            for r in records
        ]

    def _spellings(self, what: Named, names: Iterable[str | None]) -> dict[str | None, str | None]:
        """Return how names are spelt here, by their spellings in some records."""
        met = list(dict.fromkeys(name for name in names if name is not None))
        spelt = self._spelt[what]
        if not spelt.keys() >= {spelling_key(name) for name in met}:
            known = [*self._store.names(what), *spelt.values(), *met]
            spelt.update({spelling_key(name): name for name in reversed(known)})
        return {None: None, **{name: spelt[spelling_key(name)] for name in met}}

    def add(
        self,
        embeddings: Vectors,
        records: Sequence[ImageRecord],
        stamps: Sequence[Stamp | None] | None = None,
    ) -> None:
        """Add pictures; one that is here already (the same path and box) is replaced.

        All of them are added or, if anything goes wrong, none. A hash of each file's bytes is
        stored too, by which a picture is recognised in any place. Cameras are stored as `spelt`.

        Args:
            embeddings: Row i is the unit vector of record i.
            records: Records of different keys: a path may come twice only with different boxes.
            stamps: Sizes and times of change of the files when they were read, to tell later
                whether they have changed; by default the present ones.

        Raises:
            GalleryError: Vectors and records do not fit each other or this gallery, another
                process is writing, or the disk is full.
        """
        self.put(embeddings, new_entries(records, stamps))

    def put(self, embeddings: Vectors, entries: Sequence[Entry]) -> None:
        """Add pictures of which everything is known; see `add`.

        Args:
            embeddings: Row i is the unit vector of entry i.
            entries: Entries of different keys.

        Raises:
            GalleryError: As for `add`.
        """
        self._check_fit(embeddings, [entry.record for entry in entries])
        if not entries:
            return
        if len({entry.record.key for entry in entries}) < len(entries):
            raise GalleryError(
                "the same path (and box) is among the records twice; leave one of them out"
            )
        self._store.add(embeddings, self._placed(entries))

    def change(self, changes: Mapping[Key, Entry]) -> None:
        """Change what is known about pictures that are here, even their path, without embedding.

        Args:
            changes: New entries by the keys under which the pictures are here. Their modality
                stays; another picture that is here under a new key is replaced.

        Raises:
            GalleryError: Another process is writing, or the disk is full.
        """
        entries = dict(zip(changes, self._placed(list(changes.values())), strict=True))
        self._store.change(entries)

    def relabel(self, records: Iterable[ImageRecord]) -> None:
        """Change what is said about pictures that are here, without embedding them again.

        Identity, name, camera, tracklet, time and tags become what the records say.

        Raises:
            GalleryError: Another process is writing, or the disk is full.
        """
        records = list(records)
        pairs = zip(records, self.entries_of(records), strict=True)
        self.change({k.record.key: replace(k, record=record) for record, k in pairs if k})

    def remove(self, records: Iterable[ImageRecord], *, for_good: bool = False) -> int:
        """Remove pictures, and return how many of them were here.

        Their vectors are no longer found; `compact` takes them out of the files.

        Args:
            records: Records of the pictures.
            for_good: Keep them out when their folder is indexed again. Only the hash of each
                file's bytes is remembered.

        Raises:
            GalleryError: Another process is writing, or the disk is full.
        """
        known = [entry for entry in self.entries_of(list(records)) if entry]
        if not known:
            return 0
        keys = [entry.record.key for entry in known]
        notes: dict[tuple[str, str], Any] = dict.fromkeys(judged(self.judgements(), set(keys)))
        if for_good:
            notes |= {(REMOVED, content_key(entry)): True for entry in known if entry.content}
        return self._store.remove(keys, notes)

    def removed(self) -> set[str]:
        """Return the content keys of the pictures that were removed for good."""
        return set(self._store.notes(REMOVED))

    def readmit(self, contents: Iterable[str] | None = None) -> None:
        """Forget what was removed for good, so that indexing adds it again.

        Args:
            contents: Content keys of the pictures; by default of all.
        """
        keys = self.removed() if contents is None else contents
        self._store.note({(REMOVED, key): None for key in keys})

    def compact(self, from_share: float = 0.0) -> None:
        """Take what was removed or replaced out of all files, so that no byte of it is left.

        Args:
            from_share: Share of a spectrum's vectors up to which nothing is done.

        Raises:
            GalleryError: Another process is writing, or the disk is full.
        """
        self._store.compact(from_share)

    @property
    def beside(self) -> Address:
        """Address of a gallery that belongs to this one, in which to gather new vectors."""
        return self._store.beside

    def adopt(self, other: "Gallery") -> None:
        """Take over vectors and model of another gallery of the same pictures, all at once.

        Args:
            other: The gallery `beside` this one, that nobody writes to.

        Raises:
            GalleryError: It does not hold exactly the same pictures, or the disk is full.
        """
        self._store.adopt(other._store)

    def delete(self) -> None:
        """Delete the gallery with everything in it; files of pictures stay.

        Raises:
            GalleryError: Another process is writing, or the server does not answer.
        """
        self._store.delete()

    def set_index(self, kind: IndexKind, effort: int = 128) -> None:
        """Say how vectors are searched: exactly (`flat`), or faster and with misses.

        Nobody can search while a server builds an index. Measure what it misses on queries of your
        own: see `vireid.search.approximate`.

        Args:
            kind: `flat`, or on a Milvus server `hnsw` (a graph) or `ivf` (cells).
            effort: How many candidates (hnsw) or cells (ivf) a search looks at.

        Raises:
            GalleryError: The gallery is in a folder, which is always searched exactly.
        """
        self._store.set_index(kind, effort)

    def size(self) -> Size:
        """Return how many bytes it takes, and when it was changed."""
        return self._store.size()

    def become(self, other: Path) -> None:
        """Become a copy of another gallery, all at once, while others search in this one.

        Args:
            other: Folder of a gallery that nobody writes to, such as one that was restored.

        Raises:
            GalleryError: It was filled by another model, another process is writing, or the disk is
                full. Nothing has changed then.
        """
        with Gallery.open(other) as source:
            mine, theirs = self.model, source.model
        if (mine.fingerprint, mine.precision) != (theirs.fingerprint, theirs.precision):
            raise GalleryError(
                f"{other.name} was filled by model {theirs.name} ({theirs.fingerprint}), "
                f"{self.address} by {mine.name} ({mine.fingerprint}); make another gallery of it"
            )
        self._store.become(other)

    def migrate(self) -> None:
        """Bring the gallery into today's format, as its next change would.

        Raises:
            GalleryError: Another process is writing, or the disk is full.
        """
        self._store.note({})

    def backup(self, archive: Path | str) -> int:
        """Copy the gallery, as of one moment, into an archive, while others may write to it.

        Args:
            archive: File to write, a ZIP archive; a file that is there is replaced.

        Returns:
            The number of pictures in it.

        Raises:
            VireidError: The gallery is damaged, or the disk is full. Nothing is left then.
        """
        return self._store.backup(Path(archive))

    def damage(self) -> list[str]:
        """Compare everything with its checksums; return one line for each thing that is wrong.

        Raises:
            GalleryError: The damage is such that it cannot be read at all.
        """
        return self._store.damage()

    def entries(self, filters: Filters | None = None) -> Iterator[Entry]:
        """Yield what is known about the pictures that filters let pass.

        Raises:
            GalleryError: There is no such camera or person.
        """
        for page in self.pages(filters):
            yield from page.entries

    def pages(self, filters: Filters | None = None) -> Iterator[Page]:
        """Yield the pictures that filters let pass, some thousand at a time, with their vectors.

        Raises:
            GalleryError: There is no such camera or person, or the filters ask for a similarity.
        """
        return self._store.pages(self._listing_filters(filters))

    def with_content(self, contents: Iterable[str]) -> list[Entry]:
        """Return the entries of all pictures whose files have one of some hashes."""
        return self._store.with_content(contents)

    def page(
        self, filters: Filters | None = None, after: Place | None = None, most: int = 100
    ) -> list[tuple[Place, Entry]]:
        """Return some of the pictures that filters let pass, each with its place.

        Args:
            filters: Conditions on the pictures.
            after: Place of the last picture of the page before; None to begin.
            most: Largest number of pictures.

        Raises:
            GalleryError: There is no such camera or person, or the filters ask for a similarity.
        """
        return self._store.page(self._listing_filters(filters), after, most)

    def entries_of(self, records: Sequence[ImageRecord]) -> list[Entry | None]:
        """Return what is known here about the pictures of some records; None for missing ones."""
        keys = [key_of(record) for record in records]
        found = self._store.entries_of(keys)
        return [found.get(key) for key in keys]

    def vectors_of(self, records: Sequence[ImageRecord]) -> Vectors:
        """Return the vectors of pictures that are here, one in a row for each record.

        Raises:
            GalleryError: One of them is not here.
        """
        return self._store.vectors_of([key_of(record) for record in records])

    def sources(self) -> list[Source]:
        """Return the folders and lists that were indexed, in the order of their paths."""
        return [source_from(*note) for note in sorted(self._store.notes(SOURCE).items())]

    def remember(self, *sources: Source) -> None:
        """Remember folders and lists that are indexed, and what is said of all their pictures."""
        self._store.note(dict(map(source_note, sources)))

    def forget(self, *sources: Path) -> None:
        """Forget folders and lists; their pictures stay."""
        self._store.note({(SOURCE, str(path)): None for path in sources})

    def judge(self, *judgements: Judgement) -> None:
        """Remember what somebody says of hits; a later judgement replaces an earlier one."""
        self._store.note(dict(map(judgement_note, judgements)))

    def judgements(self) -> list[Judgement]:
        """Return what was said of hits, the earliest first."""
        found = [judgement_from(*note) for note in self._store.notes(JUDGEMENT).items()]
        return sorted(found, key=lambda judgement: judgement.time)

    @property
    def calibration(self) -> Calibration | None:
        """What the similarities of its model are worth, as known here; None where nothing is."""
        kept = self._store.notes(SETTING).get("calibration")
        if kept is None:
            return None
        way_out = "make it again with `vireid calibrate`"
        found = documents.typed(self.address, kept, Calibration, way_out, GalleryError)
        return belonging(found, self.model.fingerprint, self.address)

    @calibration.setter
    def calibration(self, found: Calibration | None) -> None:
        kept = None if found is None else msgspec.to_builtins(found)
        self._store.note({(SETTING, "calibration"): kept})

    @property
    def keep(self) -> timedelta | None:
        """The age at which indexing removes pictures; None if they stay."""
        seconds = self._store.notes(SETTING).get("keep")
        return None if seconds is None else timedelta(seconds=seconds)

    @keep.setter
    def keep(self, age: timedelta | None) -> None:
        self._store.note({(SETTING, "keep"): None if age is None else age.total_seconds()})

    def search(
        self,
        embeddings: Queries,
        top: int = 10,
        filters: Filters | None = None,
        *,
        modality: Modality | None = None,
        camera: str | None = None,
        centred: bool = False,
    ) -> list[list[Hit]]:
        """Find the most similar pictures by comparing with every one.

        Args:
            embeddings: Unit vectors of the model that filled this gallery, one for each query; or
                vectors of sentences by its `embed_text`.
            top: Largest number of hits of a query.
            filters: Conditions on the pictures to search.
            modality: Spectrum to search in, for instance `query_modality.other`; short for a
                filter.
            camera: Camera whose pictures are searched, in any spelling; short for a filter.
            centred: Compare with vectors less the means of their cameras; the queries are such as
                `centred` gives.

        Returns:
            For each query its hits, most similar first.

        Raises:
            GalleryError: The vectors are of another size, there is no such camera, or both filters
                and a short form are given.
        """
        self._check_vectors(embeddings)
        if top < 1:
            raise GalleryError(f"top is {top}; ask for at least one hit")
        filters = _filters(filters, modality, camera)
        least = -np.inf if filters.min_similarity is None else filters.min_similarity
        queries = np.ascontiguousarray(embeddings, np.float32)
        found = self._store.search(queries, top, self._spelt_filters(filters), centred=centred)
        return [
            [Hit(rank, *scored) for rank, scored in enumerate(of_query, 1) if scored[0] >= least]
            for of_query in found
        ]

    def centred(
        self, embeddings: Queries, modality: Modality, camera: str | None = None
    ) -> Float[np.ndarray, "q d"]:
        """Return embeddings less the mean of their camera's pictures in here, at length one.

        What all pictures of a camera share, its light and its spectrum, is no person.

        Args:
            embeddings: Unit vectors of pictures of one spectrum.
            modality: Spectrum of these pictures.
            camera: Camera of these pictures, in any spelling. Where it is unknown, or has fewer
                than 20 pictures in here, the mean of all pictures of the spectrum is taken.

        Raises:
            GalleryError: There are fewer than 20 pictures of that spectrum in here.
        """
        self._check_vectors(embeddings)
        centres = self._store.centres(modality)
        named = {spelling_key(name): centre for name, centre in centres.items() if name is not None}
        own = named.get(spelling_key(camera)) if camera is not None else None
        whole = centres[None]
        if own is None or own.count < LEAST_TO_CENTRE:
            own = whole
        if own.count < LEAST_TO_CENTRE:
            raise GalleryError(
                f"{self.address} holds {own.count} {modality} pictures, and a mean that says what "
                f"they share needs {LEAST_TO_CENTRE}; index more of the query's camera, or search "
                "without centring"
            )
        left = np.asarray(embeddings, np.float32) - own.mean
        return np.asarray(left / np.linalg.norm(left, axis=1, keepdims=True).clip(min=1e-6))

    def _placed(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return entries as they are kept: absolute paths, and cameras as they are spelt here."""
        records = self.spelt([entry.record for entry in entries])
        return [
            replace(entry, record=replace(record, path=_absolute(record.path)))
            for entry, record in zip(entries, records, strict=True)
        ]

    def _check_fit(self, embeddings: Vectors, records: Sequence[ImageRecord]) -> None:
        self._check_vectors(embeddings)
        if len(embeddings) != len(records):
            raise GalleryError(
                f"there are {len(embeddings)} embeddings for {len(records)} records; give one each"
            )
        off = ~(np.abs(np.linalg.norm(embeddings, axis=1) - 1) <= 1e-2)
        if off.any():
            bad = records[int(np.argmax(off))].path
            raise GalleryError(f"the embedding of {bad} is not of length one; normalise it")

    def _check_vectors(self, embeddings: Vectors) -> None:
        if embeddings.ndim != 2 or embeddings.shape[1] != self.model.embedding_dim:
            raise GalleryError(
                f"{self.address} holds vectors of {self.model.embedding_dim} numbers, given was an "
                f"array of shape {embeddings.shape}; embed with model {self.model.name}"
            )

    def _listing_filters(self, filters: Filters | None) -> Filters:
        """Return filters of pictures that nothing is compared with, as they are spelt here."""
        filters = filters or Filters()
        if filters.min_similarity is not None:
            raise GalleryError("similarity: is a filter of a search; leave it out here")
        return self._spelt_filters(filters)

    def _spelt_filters(self, filters: Filters) -> Filters:
        """Return filters that name cameras and people as they are spelt here."""
        spelt = replace(filters, min_similarity=None)
        if filters.cameras:
            cameras = [
                camera for asked in filters.cameras for camera in self._named("camera", asked)
            ]
            spelt = replace(spelt, cameras=cameras)
        if filters.person is not None:
            spelt = replace(spelt, person=self._named("person", filters.person)[0])
        return spelt

    def _named(self, what: Named, asked: str) -> list[str]:
        """Return the spellings that a camera or a person has here.

        Raises:
            GalleryError: There is none of this name.
        """
        here = self._store.names(what)
        found = [name for name in here if spelling_key(name) == spelling_key(asked)]
        if not found:
            some = ", ".join(map(shortened, here[:20])) or "none"
            hint = suggestion(asked, here, f"it has {some}")
            raise GalleryError(f"{self.address} has no {what} {shortened(asked)!r}; {hint}")
        return [asked] if asked in found and what == "person" else found


def _filters(filters: Filters | None, modality: Modality | None, camera: str | None) -> Filters:
    if filters is None:
        return Filters(modality, () if camera is None else (camera,))
    if modality is not None or camera is not None:
        raise GalleryError("filters are given twice; put modality and camera into filters")
    return filters


def new_entries(
    records: Sequence[ImageRecord], stamps: Sequence[Stamp | None] | None = None
) -> list[Entry]:
    """Return the entries of pictures, with the hashes of their files.

    Args:
        records: Records of the pictures.
        stamps: Stamps of the files when they were read; by default the present ones.
    """
    if stamps is None:
        stamps = [Stamp.of(record.path) for record in records]
    return with_contents([Entry(*pair) for pair in zip(records, stamps, strict=True)])


def key_of(record: ImageRecord) -> Key:
    """Return the key under which a gallery keeps a picture: its absolute path, and its box."""
    return _absolute(record.path), record.box


def _absolute(path: Path) -> Path:
    """Return the absolute path: one name for one file, wherever it is asked for."""
    name = os.path.abspath(path)  # noqa: PTH100  resolve() would follow links, which may change
    if not name.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in name):
        raise GalleryError(f"{name!a} is not valid Unicode; rename the file")
    return path if name == str(path) else Path(name)


def _card_of(model: Embedder | ModelCard) -> ModelCard:
    return model.card if isinstance(model, Embedder) else model
