"""Labelling: what people say of the pictures of a gallery and of hits."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from vireid.gallery.filters import Filters
from vireid.gallery.gallery import Gallery, key_of
from vireid.gallery.notes import Judgement
from vireid.gallery.store import Entry, GalleryError
from vireid.records import ImageRecord, Modality


def name(
    gallery: Gallery, pictures: Sequence[Path], person: str | None, tags: Iterable[str] = ()
) -> int:
    """Say who is on pictures; it stays when their folders are indexed again.

    Args:
        gallery: Gallery that holds the pictures.
        pictures: Paths of the pictures; all boxes of a frame are meant.
        person: Name or number of the person, empty for nobody known; None leaves it as it is.
        tags: Tags to add.

    Returns:
        The number of pictures.

    Raises:
        GalleryError: A picture is not in the gallery.
    """
    tags, entries = frozenset(tags), _entries(gallery, pictures)
    gallery.change({entry.record.key: _named(entry, person, tags) for entry in entries})
    return len(entries)


def judge(gallery: Gallery, query: Path, pictures: Sequence[Path], *, same: bool) -> None:
    """Say of pictures whether they show the person of a query.

    Raises:
        GalleryError: A picture is not in the gallery.
    """
    now, path = datetime.now(UTC), key_of(ImageRecord(query, Modality.VISIBLE))[0]
    entries = _entries(gallery, pictures)
    gallery.judge(*(Judgement(path, entry.record.key, same, now) for entry in entries))


def _entries(gallery: Gallery, pictures: Sequence[Path]) -> list[Entry]:
    found = []
    for picture in pictures:
        path = key_of(ImageRecord(picture, Modality.VISIBLE))[0]
        here = [e for e in gallery.entries(Filters(below=path.parent)) if e.record.path == path]
        if not here:
            raise GalleryError(f"{gallery.address} does not hold {picture}; index it first")
        found += here
    return found


def _named(entry: Entry, person: str | None, tags: frozenset[str]) -> Entry:
    record = replace(entry.record, tags=entry.record.tags | tags)
    if person is None:
        return replace(entry, record=record)
    if person.strip().isdigit():
        record = replace(record, identity=int(person), person=None)
    else:
        record = replace(record, identity=None, person=person.strip() or None)
    return replace(entry, record=record, by_hand=True)
