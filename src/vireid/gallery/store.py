"""The contract of a store, where a gallery keeps embeddings and records of pictures.

`tests/gallery/test_store_contract.py` tests what every store must do, whatever it is made of.
"""

import hashlib
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from vireid.errors import VireidError
from vireid.gallery.filters import Filters
from vireid.gallery.milvus.address import MilvusAddress
from vireid.models.card import ModelCard
from vireid.records import ImageRecord, Key, Modality
from vireid.types.arrays import Queries, Vector, Vectors

Address = Path | str | MilvusAddress
"""Where a gallery is: a folder, or on a server; a text is read by `addresses.parsed`."""
Storage = Literal["float32", "float16"]
"""The number format in which vectors are kept."""
NO_FILTERS = Filters()
SOURCE, REMOVED, JUDGEMENT, SETTING = "source", "removed", "judgement", "setting"
"""Kinds of notes."""
NOTE_KINDS = (SOURCE, REMOVED, JUDGEMENT, SETTING)
NotePlace = tuple[str, str]
"""Kind and key of a note."""
NoteChanges = Mapping[NotePlace, Any]
"""Values of notes; None takes a note away."""
NO_NOTES: NoteChanges = {}
Scored = tuple[float, ImageRecord]
"""A similarity, and the picture that has it."""


IndexKind = Literal["flat", "hnsw", "ivf"]
Named = Literal["camera", "person"]
Counted = Literal["modality", "camera", "person", "identity", "day", "source", "tag"]


class GalleryError(VireidError):
    """A gallery cannot be opened, filled or searched; the message says what can be done."""


class Stamp(NamedTuple):
    """Size and time of change, by which a file is taken to be unchanged."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> "Stamp | None":
        """Return the size and the time of change of a file; None if it does not exist."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(found.st_size, found.st_mtime_ns)


def content_of(path: Path) -> str | None:
    """Return the hash of a file's bytes (BLAKE2b, 16 bytes, in hexadecimal digits).

    None where it cannot be read, or is no file whose bytes stay.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture as a gallery holds it."""

    record: ImageRecord
    """Record with an absolute path; a record that is read back is equal to it."""
    stamp: Stamp | None = None
    """Stamp of the file when it was read; None where there was no file."""
    content: str | None = None
    """Hash of the file's bytes, see `content_of`."""
    source: Path | None = None
    """Path of the source that it was found in; None where it was added by itself."""
    by_hand: bool = False
    """Whether somebody has named the person in the gallery, whatever folders or lists say."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some pictures of a gallery."""

    entries: tuple[Entry, ...]
    read_vectors: Callable[[], Vectors]
    """Reads their vectors, as float32; to be called before the next page is asked for."""


Place = tuple[Modality, int]
"""Spectrum and row of a vector; a row changes when the gallery is compacted."""


def with_contents(entries: Sequence[Entry]) -> list[Entry]:
    """Return entries with the hashes of their files' bytes, see `content_of`."""
    missing = {entry.record.path for entry in entries if entry.content is None}
    contents = {path: content_of(path) for path in missing}
    return [replace(e, content=e.content or contents[e.record.path]) for e in entries]


def content_key(entry: Entry) -> str:
    """Return what tells a cut-out by its bytes: the hash of the file, and the box."""
    return f"{entry.content} {entry.record.box or ''}".strip()


@dataclass(frozen=True, eq=False)
class Centre:
    """The mean vector of some pictures."""

    count: int
    mean: Vector


@dataclass(frozen=True)
class Size:
    """How large a gallery is, and how old."""

    bytes: int | None
    """Bytes that it takes; None where whoever keeps it does not say."""
    changed: datetime
    """Time of the last change."""


@runtime_checkable
class Store(Protocol):
    """Keeps one gallery.

    Threads share a store and processes share its content. Every change happens whole or not at all,
    and every answer is as of one change: nobody ever sees half of one. Errors are `GalleryError`s
    that say the way out.
    """

    @property
    def address(self) -> str:
        """Address as a person knows it."""

    @property
    def model(self) -> ModelCard:
        """Card of the model whose embeddings it holds."""

    @property
    def storage(self) -> Storage:
        """Number format in which the vectors are kept."""

    @property
    def name(self) -> str:
        """Name of the gallery, the last part of its address."""

    @property
    def beside(self) -> "Address":
        """Address of a gallery that belongs to this one, in which to gather new vectors."""

    def close(self) -> None:
        """Close files and connections."""

    def delete(self) -> None:
        """Delete the gallery with everything in it; what others have put beside it stays."""

    def size(self) -> Size:
        """Return how large it is, and when it was changed."""

    def version(self) -> int:
        """Return a number that is different after every change, whoever made it."""

    def count(self, filters: Filters = NO_FILTERS) -> int:
        """Return how many pictures the filters let pass; asked again, it does not count again."""

    def names(self, what: Named) -> list[str]:
        """Return the names of all cameras, or of all people who have one, sorted."""

    def entries_of(self, keys: Iterable[Key]) -> Mapping[Key, Entry]:
        """Return the entries of some keys, without those it does not hold."""

    def vectors_of(self, keys: Sequence[Key]) -> Vectors:
        """Return the vectors of pictures by their keys, as float32.

        Raises:
            GalleryError: It does not hold one of them.
        """

    def add(self, vectors: Vectors, entries: Sequence[Entry]) -> None:
        """Add pictures; one with a key that is there already is replaced.

        Args:
            vectors: Row i is the unit vector of entry i, as float32.
            entries: Entries of different keys.
        """

    def remove(self, keys: Iterable[Key], notes: NoteChanges = NO_NOTES) -> int:
        """Remove pictures, and return how many of them were there.

        Args:
            keys: Keys of the pictures.
            notes: Notes to change together with it.
        """

    def notes(self, kind: str) -> Mapping[str, Any]:
        """Return the notes of one kind, by their keys: values that JSON can hold."""

    def note(self, changes: NoteChanges) -> None:
        """Write notes, and take away those whose value is None."""

    def with_content(self, contents: Iterable[str]) -> list[Entry]:
        """Return the entries of all pictures whose bytes have one of some hashes."""

    def pages(self, filters: Filters = NO_FILTERS) -> Iterator[Page]:
        """Yield the pictures that the filters let pass, some at a time, ordered by spectrum.

        What is changed meanwhile may be missing or there, but no picture comes half changed.
        """

    def page(self, filters: Filters, after: Place | None, most: int) -> list[tuple[Place, Entry]]:
        """Return some of the pictures that the filters let pass, in the order of `pages`.

        Args:
            filters: Conditions on the pictures.
            after: Place of the picture before the first one; None to begin.
            most: Largest number of pictures.
        """

    def tally(self, what: Counted) -> dict[str, int]:
        """Return how many pictures there are of each camera, person and so on that is named."""

    def change(self, changes: Mapping[Key, Entry]) -> None:
        """Change what is known about pictures, even their path; their vectors stay.

        Args:
            changes: New entries of pictures that are there, by their present keys. The modality
                stays. Another picture that has a new key is replaced.
        """

    def compact(self, from_share: float = 0.0) -> None:
        """Take what no longer counts out of all files, so that nothing of it is left.

        Args:
            from_share: Share of a spectrum's vectors up to which what no longer counts may stay.
        """

    def adopt(self, other: "Store") -> None:
        """Take over the vectors and the model of another gallery of the same pictures, at once.

        What is known of the pictures stays as it is here.

        Args:
            other: A gallery `beside` this one, that nobody writes to.

        Raises:
            GalleryError: It does not hold exactly the same pictures.
        """

    def become(self, other: Path) -> None:
        """Become a copy of another gallery of the same model, at once.

        Args:
            other: Folder of a gallery that nobody writes to.
        """

    def backup(self, archive: Path) -> int:
        """Copy everything, as of one moment, into a file; return the number of pictures in it."""

    def damage(self) -> list[str]:
        """Read and compare everything, and return one line for each thing that is wrong."""

    def set_index(self, kind: IndexKind, effort: int) -> None:
        """Say how vectors are searched: exactly (`flat`), or faster and with misses.

        Args:
            kind: Kind of index.
            effort: How many candidates a search looks at; more is slower and misses less.

        Raises:
            GalleryError: It is always searched exactly.
        """

    def centres(self, modality: Modality) -> Mapping[str | None, Centre]:
        """Return the mean vector of each camera's pictures, and under None that of all."""

    def search(
        self, queries: Queries, top: int, filters: Filters, *, centred: bool = False
    ) -> list[list[Scored]]:
        """Find the most similar of the pictures that the filters let pass.

        Args:
            queries: Vectors as float32, one row for each query.
            top: Largest number of pictures for a query.
            filters: Conditions on the pictures; an unknown camera lets nothing pass.
            centred: Compare with each vector less its camera's mean, at length one. Of cameras with
                fewer than `LEAST_TO_CENTRE` pictures the spectrum's mean is taken.

        Returns:
            For each query the pictures found, most similar first.
        """
