"""Indexing: bringing a gallery up to date with pictures on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vireid.gallery import Gallery, Stamp
from vireid.gallery.store import Entry
from vireid.models.embedder import Embedder
from vireid.pictures import PictureError
from vireid.progress import counted
from vireid.records import ImageRecord


@dataclass(frozen=True)
class Indexed:
    """The result of indexing some records."""

    added: int
    """Records that were embedded and added; some may have replaced others."""
    relabelled: int
    """Records that were there, with another identity, camera, tracklet, time or other tags."""
    unchanged: int
    """Records that were there with the same file, size and time of change."""
    skipped: tuple[PictureError, ...]
    """Errors of pictures that cannot be used."""


def index(records: Sequence[ImageRecord], embedder: Embedder, gallery: Gallery) -> Indexed:
    """Embed pictures and put them into a gallery, a batch at a time.

    Finished batches are safe. After an interruption the same call goes on where it stopped, because
    files that have not changed since they were indexed are not embedded again.

    Raises:
        GalleryError: The gallery is another model's, being written to, or the disk is full.
    """
    gallery.check(embedder)
    records = gallery.spelt(records)
    # taken before reading: a file that changes in between is found to have changed next time
    stamps = {record.path: Stamp.of(record.path) for record in records}
    entries = gallery.entries_of(records)
    todo = [r for r, e in zip(records, entries, strict=True) if _has_changed(r, stamps[r.path], e)]
    relabelled = [
        r
        for r, e in zip(records, entries, strict=True)
        if e and not _has_changed(r, stamps[r.path], e) and _has_other_labels(r, e)
    ]
    if relabelled:
        gallery.relabel(relabelled)
    skipped = _add(todo, stamps, embedder, gallery)
    unchanged = len(records) - len(todo) - len(relabelled)
    return Indexed(len(todo) - len(skipped), len(relabelled), unchanged, tuple(skipped))


def _add(
    todo: Sequence[ImageRecord],
    stamps: dict[Path, Stamp | None],
    embedder: Embedder,
    gallery: Gallery,
) -> list[PictureError]:
    skipped: list[PictureError] = []
    batches = embedder.in_batches(todo)
    for batch in counted(batches, "indexing pictures", len(todo), lambda batch: batch.read):
        gallery.add(batch.embeddings, batch.records, [stamps[r.path] for r in batch.records])
        skipped += batch.skipped
    return skipped


def _has_changed(record: ImageRecord, stamp: Stamp | None, entry: Entry | None) -> bool:
    return (
        entry is None
        or stamp is None
        or stamp != entry.stamp
        or record.modality is not entry.record.modality
    )


def _has_other_labels(record: ImageRecord, entry: Entry) -> bool:
    names = ("identity", "camera", "tracklet", "time", "tags")
    return any(getattr(record, name) != getattr(entry.record, name) for name in names)
