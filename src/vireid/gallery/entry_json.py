"""JSON of a gallery's pictures: what is known of one, in values that JSON can hold."""

from datetime import datetime
from pathlib import Path

import msgspec

from vireid.gallery.store import Entry, Stamp
from vireid.records import Box, ImageRecord, Modality


class EntryDocument(msgspec.Struct, frozen=True):
    """What a gallery knows of one picture."""

    path: str
    modality: Modality
    box: str
    """`left,top,right,bottom`; empty where the whole picture shows one person."""
    identity: int | None
    person: str | None
    camera: str | None
    tracklet: str | None
    time: str | None
    """As given, ISO 8601."""
    tags: list[str]
    stamp: tuple[int, int] | None
    content: str | None
    source: str | None
    by_hand: bool


def document_of(entry: Entry) -> EntryDocument:
    """Return the document of an entry."""
    record = entry.record
    return EntryDocument(
        path=str(record.path),
        modality=record.modality,
        box=str(record.box or ""),
        identity=record.identity,
        person=record.person,
        camera=record.camera,
        tracklet=record.tracklet,
        time=record.time.isoformat() if record.time else None,
        tags=sorted(record.tags),
        stamp=entry.stamp and (entry.stamp.size, entry.stamp.mtime_ns),
        content=entry.content,
        source=str(entry.source) if entry.source else None,
        by_hand=entry.by_hand,
    )


def entry_of(document: EntryDocument) -> Entry:
    """Return the entry of a document.

    Raises:
        ValueError: A time or a box is none.
    """
    stamp = Stamp(*document.stamp) if document.stamp else None
    source = Path(document.source) if document.source else None
    return Entry(record_of(document), stamp, document.content, source, document.by_hand)


def record_of(document: EntryDocument) -> ImageRecord:
    """Return the record of a document.

    Raises:
        ValueError: A time or a box is none.
    """
    return ImageRecord(
        path=Path(document.path),
        modality=document.modality,
        identity=document.identity,
        camera=document.camera,
        tracklet=document.tracklet,
        time=datetime.fromisoformat(document.time) if document.time else None,
        box=Box.from_text(document.box) if document.box else None,
        tags=frozenset(document.tags),
        person=document.person,
    )
