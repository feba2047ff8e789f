"""Removals that can be undone: pictures leave a gallery at once, and can come back for a while.

What is needed to bring them back is kept outside of the gallery, by whoever removes them, and has
to be thrown away when the gallery is compacted: until then it is a trace of the people.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vireid.files.documents import read_json, write_json
from vireid.files.packed_arrays import packed, unpacked
from vireid.gallery.entry_json import EntryDocument, document_of, entry_of
from vireid.gallery.gallery import Gallery
from vireid.gallery.judgements import Judgement, judged, judgement_note
from vireid.gallery.store import Entry, GalleryError, content_key
from vireid.records import Box
from vireid.types.arrays import Vectors

WAY_OUT = "these pictures cannot be brought back; index their folder again"


@dataclass(frozen=True, eq=False)
class Removed:
    """Pictures that were removed, with all that the gallery knew of them."""

    entries: tuple[Entry, ...]
    vectors: Vectors
    """Row i is the vector of entry i."""
    judgements: tuple[Judgement, ...]
    """What was said of them, which went with them."""


def remove(gallery: Gallery, entries: Sequence[Entry]) -> Removed:
    """Remove pictures for good, but so that it can be undone.

    Raises:
        GalleryError: A picture is not here, another process is writing, or the disk is full.
    """
    records = [entry.record for entry in entries]
    vectors = gallery.vectors_of(records)
    said = gallery.judgements()
    going = set(judged(said, {record.key for record in records}))
    gone = tuple(each for each in said if judgement_note(each)[0] in going)
    gallery.remove(records, for_good=True)
    return Removed(tuple(entries), vectors, gone)


def undo(gallery: Gallery, removed: Removed) -> int:
    """Bring removed pictures back; return how many came.

    Pictures that are here again meanwhile stay as they are.

    Raises:
        GalleryError: Another model has filled the gallery meanwhile, another process is writing,
            or the disk is full.
    """
    here = gallery.entries_of([entry.record for entry in removed.entries])
    rows = [row for row, entry in enumerate(here) if entry is None]
    entries = [removed.entries[row] for row in rows]
    gallery.readmit({content_key(entry) for entry in removed.entries})
    gallery.put(removed.vectors[rows], entries)
    gallery.judge(*removed.judgements)
    return len(entries)


@dataclass(frozen=True)
class _Said:
    query: str
    path: str
    box: str
    same: bool
    time: str


@dataclass(frozen=True)
class _Kept:
    format: int
    numbers: int
    """Numbers of a vector."""
    pictures: list[EntryDocument]
    vectors: str
    """All vectors, packed as float32."""
    judgements: list[_Said]


def write(removed: Removed, path: Path) -> None:
    """Write a removal into a file.

    Raises:
        VireidError: The disk is full.
    """
    kept = _Kept(
        format=1,
        numbers=removed.vectors.shape[1],
        pictures=[document_of(entry) for entry in removed.entries],
        vectors=packed(removed.vectors, "float32"),
        judgements=[
            _Said(str(j.query), str(j.hit[0]), str(j.hit[1] or ""), j.same, j.time.isoformat())
            for j in removed.judgements
        ],
    )
    write_json(path, kept)


def read(path: Path) -> Removed:
    """Read what `write` has written.

    Raises:
        GalleryError: It is gone, or damaged.
    """
    kept = read_json(path, _Kept, WAY_OUT, GalleryError, formats={1}, most=2**33)
    try:
        vectors = unpacked(kept.vectors, "float32", (len(kept.pictures), kept.numbers))
    except ValueError as error:
        raise GalleryError(f"{path} is damaged; {WAY_OUT}") from error
    judgements = (
        Judgement(
            Path(said.query),
            (Path(said.path), _box(said.box)),
            said.same,
            datetime.fromisoformat(said.time),
        )
        for said in kept.judgements
    )
    return Removed(tuple(map(entry_of, kept.pictures)), vectors, tuple(judgements))


def _box(text: str) -> Box | None:
    return Box.from_text(text) if text else None
