"""Labelling: what people say of the pictures of a gallery and of hits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from vireid.datasets.folder import Unusable, labels_in
from vireid.gallery.filters import Filters
from vireid.gallery.gallery import Gallery, key_of
from vireid.gallery.judgements import Judgement
from vireid.gallery.store import Entry, GalleryError
from vireid.records import ImageRecord, Key, Modality


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
    gallery.change({entry.record.key: named(entry, person, tags) for entry in entries})
    return len(entries)


def judge(gallery: Gallery, query: Path, pictures: Sequence[Path], *, same: bool) -> None:
    """Say of pictures whether they show the person of a query.

    Raises:
        GalleryError: A picture is not in the gallery.
    """
    now, path = datetime.now(UTC), _path(query)
    entries = _entries(gallery, pictures)
    gallery.judge(*(Judgement(path, entry.record.key, same, now) for entry in entries))


@dataclass(frozen=True)
class Labelled:
    """What a list of labels has done."""

    pictures: int
    unusable: tuple[Unusable, ...]
    """Lines that say nothing, or of pictures that are not in the gallery."""


def name_by_list(gallery: Gallery, list_: Path) -> Labelled:
    """Say who is on pictures by a list; it stays when their folders are indexed again.

    Args:
        gallery: Gallery that holds the pictures.
        list_: CSV file with the columns path, and identity (a name or a number) or tags; also
            left, top, right and bottom, where one person of a frame is meant. What
            `vireid gallery export` writes is such a list.

    Raises:
        VireidError: It is no such list.
    """
    said, unusable = labels_in(list_)
    here = _by_path(gallery, [each.path for each in said])
    changes: dict[Key, Entry] = {}
    for each in said:
        box, where = each.labels.box, f"{list_}: {each.path}"
        entries = here.get(_path(each.path), [])
        entries = [e for e in entries if box is None or e.record.box == box]
        if not entries:
            unusable += (Unusable(where, "the gallery does not hold it"),)
            continue
        if not each.columns & {"identity", "tags"}:
            unusable += (Unusable(where, "neither identity nor tags are said"),)
            continue
        who = each.labels.person or each.labels.identity
        person = None if "identity" not in each.columns else "" if who is None else str(who)
        for entry in entries:
            key = entry.record.key
            changes[key] = named(changes.get(key, entry), person, each.labels.tags)
    gallery.change(changes)
    return Labelled(len(changes), unusable)


def _entries(gallery: Gallery, pictures: Sequence[Path]) -> list[Entry]:
    here = _by_path(gallery, pictures)
    for picture in pictures:
        if _path(picture) not in here:
            raise GalleryError(f"{gallery.address} does not hold {picture}; index it first")
    return [entry for path in dict.fromkeys(map(_path, pictures)) for entry in here[path]]


def _by_path(gallery: Gallery, pictures: Sequence[Path]) -> dict[Path, list[Entry]]:
    """Return the entries of pictures; frames have one for each person."""
    wanted = set(map(_path, pictures))
    found: dict[Path, list[Entry]] = {}
    for folder in sorted({path.parent for path in wanted}):
        for entry in gallery.entries(Filters(below=folder)):
            # Those below other folders come again with these.
            if entry.record.path in wanted and entry.record.path.parent == folder:
                found.setdefault(entry.record.path, []).append(entry)
    return found


def _path(picture: Path) -> Path:
    return key_of(ImageRecord(picture, Modality.VISIBLE))[0]


def named(entry: Entry, person: str | None, tags: frozenset[str] = frozenset()) -> Entry:
    """Return an entry after somebody has said who is on its picture.

    Args:
        entry: Picture of a gallery.
        person: Name or number of the person, empty for nobody known; None leaves it as it is.
        tags: Tags to add.

    Raises:
        RecordError: The number is too large.
    """
    record = replace(entry.record, tags=entry.record.tags | tags)
    if person is None:
        return replace(entry, record=record)
    text = person.strip()
    if text.isascii() and text.isdigit():
        number = int(text.lstrip("0")[:20] or 0)  # longer ones are refused as too large
        record = replace(record, identity=number, person=None)
    else:
        record = replace(record, identity=None, person=text or None)
    return replace(entry, record=record, by_hand=True)
