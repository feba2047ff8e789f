"""Indexing: keeping a gallery in step with pictures on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from vireid.gallery import Filters, Gallery, Stamp
from vireid.gallery.gallery import key_of
from vireid.gallery.sources import Source
from vireid.gallery.store import Entry, content_key
from vireid.models.embedder import Embedder
from vireid.pictures import PictureError
from vireid.progress import counted
from vireid.records import ImageRecord, Key, moment
from vireid.search.indexing_work import InThisProcess, PictureWork

MOST_GONE = 0.5
"""Share of a source's pictures that may be gone at once; more looks like a drive that is not
mounted, and needs to be asked for."""
COMPACT_FROM = 0.25
"""Share of vectors that no longer count from which a gallery is compacted."""


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
    moved: int = 0
    """Records that were there under another path, and were not embedded again."""
    removed: int = 0
    """Pictures of the source that were there and are gone; they were removed."""
    missing: int = 0
    """Pictures of the source that are gone and were kept, because so many of them are."""
    kept_out: int = 0
    """Records that were removed from the gallery for good."""
    too_old: int = 0
    """Records and pictures that are older than the gallery keeps; they are not in it."""


def index(
    records: Sequence[ImageRecord],
    embedder: Embedder,
    gallery: Gallery,
    source: Source | None = None,
    *,
    prune: bool = False,
    work: PictureWork | None = None,
) -> Indexed:
    """Bring a gallery up to date with pictures, a batch at a time.

    New and changed pictures are embedded. A picture whose file was renamed or moved keeps its
    vector. With a source, its pictures that are gone are removed.

    Finished batches are safe. After an interruption the same call goes on where it stopped, because
    files that have not changed since they were indexed are not embedded again.

    Args:
        records: All pictures of the source.
        embedder: Model of the gallery.
        gallery: Gallery to change.
        source: Folder or list that the records are from, by its absolute path; without one,
            pictures are only added.
        prune: Remove what is gone even if that is more than half of the source.
        work: Whoever hashes and embeds the pictures; by default this process.

    Raises:
        GalleryError: The gallery is another model's, being written to, damaged, or the disk is
            full.
    """
    gallery.check(embedder)
    work = work or InThisProcess(embedder)
    if source:
        gallery.remember(source)
    plan = _Plan(gallery, source, gallery.spelt(records), work)
    if plan.changes:
        gallery.change(plan.changes)
    gone = plan.gone()
    too_many = len(gone) > MOST_GONE * plan.here and not prune
    removed = 0 if too_many else gallery.remove(gone)
    skipped = _add(plan.todo, work, gallery)
    gallery.remove(plan.broken(skipped))
    gallery.remove(plan.too_old())
    gallery.compact(COMPACT_FROM)
    return Indexed(
        added=len(plan.todo) - len(skipped),
        relabelled=plan.relabelled,
        unchanged=plan.unchanged,
        skipped=tuple(skipped),
        moved=plan.moved,
        removed=removed,
        missing=len(gone) if too_many else 0,
        kept_out=plan.kept_out,
        too_old=len(plan.aged),
    )


class _Plan:
    """The work to be done with each record, found out before anything is changed."""

    def __init__(
        self,
        gallery: Gallery,
        source: Source | None,
        records: Sequence[ImageRecord],
        work: PictureWork,
    ) -> None:
        self.gallery, self.source, self.work = gallery, source, work
        self.todo: list[Entry] = []
        """Pictures to embed."""
        self.changes: dict[Key, Entry] = {}
        """New entries of pictures that are here, by their present keys."""
        self.relabelled = self.moved = self.unchanged = self.kept_out = 0
        self.aged: set[Key] = set()
        """Keys of the pictures that are older than the gallery keeps."""
        self.here = 0
        """Number of pictures of the source that were here before and have not moved."""
        self._listed = {key_of(record) for record in records}
        self._living = {one.path for one in gallery.sources() if one.path.exists()}
        self._oldest = None if gallery.keep is None else datetime.now(UTC) - gallery.keep
        # Taken before reading: a file that changes in between is found to have changed next time.
        stamps = {record.path: Stamp.of(record.path) for record in records}
        path = source.path if source else None
        known = dict(zip(map(key_of, records), gallery.entries_of(records), strict=True))
        entries = [
            Entry(r, stamps[r.path], source=self._owner(known[key_of(r)], path)) for r in records
        ]
        fresh = [entry for entry in entries if self._has_to_be_read(entry, known)]
        self._look_for_the_same_files(self._with_contents(fresh), known)

    def _owner(self, before: Entry | None, source: Path | None) -> Path | None:
        """Return the source of a picture: the first one that it was found in, while that exists."""
        return before.source if before and before.source in self._living else source

    def _has_to_be_read(self, entry: Entry, known: Mapping[Key, Entry | None]) -> bool:
        """Note a picture whose file is as it was; say whether it is another one."""
        if self._oldest and _time_of(entry) < moment(self._oldest):
            self.aged.add(key_of(entry.record))
            return False
        before = known[key_of(entry.record)]
        if before is None or _has_changed(entry, before):
            return True
        self._keep(before, replace(entry, content=before.content))
        return False

    def _keep(self, before: Entry, now: Entry) -> None:
        """Note a picture that keeps its vector."""
        if before.by_hand:
            named = replace(
                now.record, identity=before.record.identity, person=before.record.person
            )
            now = replace(now, record=named, by_hand=True)
        if now.record.time is None:  # what the picture itself said when it was read
            now = replace(now, record=replace(now.record, time=before.record.time))
        if not now.record.tags:  # what somebody said in the gallery, where folders say nothing
            now = replace(now, record=replace(now.record, tags=before.record.tags))
        key = key_of(now.record)
        if key != before.record.key:
            self.moved += 1
        elif _labels(now.record) != _labels(before.record):
            self.relabelled += 1
        else:
            self.unchanged += 1
        placed = replace(now.record, path=key[0])
        if replace(now, record=placed) != before:
            self.changes[before.record.key] = now

    def _with_contents(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return entries with the hashes of their files, if they are compared with anything."""
        if self.work.wants_hashes or len(self.gallery) or self.gallery.removed():
            return self.work.hashed(entries)
        return list(entries)

    def _look_for_the_same_files(
        self, fresh: Sequence[Entry], known: Mapping[Key, Entry | None]
    ) -> None:
        """Find the files that were here already, under the same or another path."""
        removed = self.gallery.removed()
        now_at = {key_of(entry.record): entry.content for entry in fresh}
        free: dict[str, list[Entry]] = {}
        for before in self.gallery.with_content({e.content for e in fresh if e.content}):
            if self._is_elsewhere(before, now_at):
                free.setdefault(content_key(before), []).append(before)
        for entry in fresh:
            at_path = known[key_of(entry.record)]
            if at_path and entry.content and _is_same(entry, at_path):
                self._keep(at_path, entry)
            elif entry.content and content_key(entry) in removed:
                self.kept_out += 1
            elif match := _taken(free.get(content_key(entry), []), entry):
                self._keep(match, entry)
            else:
                self.todo.append(entry)

    def _is_elsewhere(self, before: Entry, now_at: Mapping[Key, str | None]) -> bool:
        """Whether what was here is no longer where it was."""
        key = before.record.key
        if key in now_at:
            return now_at[key] != before.content
        return key not in self._listed and not key[0].exists()

    def gone(self) -> list[ImageRecord]:
        """Return the records of pictures of the source that are no longer there."""
        if self.source is None:
            return []
        path, gone = self.source.path, []
        moved = {key for key, entry in self.changes.items() if key_of(entry.record) != key}
        for entry in self.gallery.entries(Filters(source=path)):
            if entry.record.key not in moved:
                self.here += 1
                if entry.record.key not in self._listed:
                    gone.append(entry.record)
        if path.is_dir():  # what was indexed from folders within, or before sources were known
            for entry in self.gallery.entries(Filters(below=path)):
                if entry.source == path or entry.record.key in moved:
                    continue
                self.here += 1
                if not entry.record.path.exists():
                    gone.append(entry.record)
        return gone

    def broken(self, errors: Sequence[PictureError]) -> list[ImageRecord]:
        """Return the records of pictures that are here, and whose files can no longer be read."""
        bad = {Path(error.path) for error in errors}
        return [entry.record for entry in self.todo if entry.record.path in bad]

    def too_old(self) -> list[ImageRecord]:
        """Return the records of pictures that are older than the gallery keeps them."""
        if self._oldest is None:
            return []
        oldest = moment(self._oldest)
        entries = list(self.gallery.entries())
        self.aged |= {entry.record.key for entry in entries if _time_of(entry) < oldest}
        return [entry.record for entry in entries if entry.record.key in self.aged]


def _add(todo: Sequence[Entry], work: PictureWork, gallery: Gallery) -> list[PictureError]:
    skipped: list[PictureError] = []
    batches = work.embedded(todo)
    for batch in counted(batches, "indexing pictures", len(todo), lambda batch: batch.read):
        gallery.put(batch.embeddings, batch.entries)
        skipped += batch.skipped
    return skipped


def _has_changed(entry: Entry, before: Entry) -> bool:
    is_other = entry.record.modality is not before.record.modality
    return entry.stamp is None or entry.stamp != before.stamp or is_other


def _is_same(entry: Entry, before: Entry) -> bool:
    """Whether a picture has the same vector as before: the same bytes, seen as one spectrum."""
    return entry.content == before.content and entry.record.modality is before.record.modality


def _taken(free: list[Entry], entry: Entry) -> Entry | None:
    """Take one of the pictures that are free, of the same spectrum."""
    match = next((before for before in free if _is_same(entry, before)), None)
    if match:
        free.remove(match)
    return match


def _labels(record: ImageRecord) -> tuple[object, ...]:
    names = ("identity", "person", "camera", "tracklet", "time", "tags")
    return tuple(getattr(record, name) for name in names)


def _time_of(entry: Entry) -> int:
    """Return the time of a picture in microseconds; by default that of its file's last change."""
    if entry.record.time is not None:
        return moment(entry.record.time)
    return entry.stamp.mtime_ns // 1000 if entry.stamp else moment(datetime.now(UTC))
