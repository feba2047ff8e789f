"""Indexing a folder or a list into a gallery, as `vireid index` does it, with its report."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import EllipsisType
from typing import Any

from vireid.bulk.cluster import Cluster
from vireid.console import printable
from vireid.datasets import folder
from vireid.datasets._times import TimePattern
from vireid.datasets.folder import Seen, Unusable
from vireid.errors import Interrupted
from vireid.gallery import Gallery
from vireid.gallery.sources import Source
from vireid.gallery.store import Address
from vireid.models.card import ModelCard
from vireid.models.embedder import Embedder
from vireid.models.engines import AS_USUAL, Running
from vireid.records import ImageRecord, Modality
from vireid.search import bulk_indexing, indexing
from vireid.search.indexing import Indexed
from vireid.search.opening import open_or_create
from vireid.video.doubts import doubts_about


@dataclass(frozen=True)
class IndexReport:
    """The content of a gallery after indexing, and how it got there."""

    gallery: str
    """Address of the gallery."""
    source: str
    """Folder or list that was indexed."""
    model: ModelCard
    pictures: dict[Modality, int]
    indexed: Indexed
    skipped: tuple[Unusable, ...]
    seen: Seen
    """Summary of the people and cameras on the pictures, and of what names them."""
    notes: tuple[str, ...] = ()
    """Remarks on what was passed over."""
    doubts: tuple[str, ...] = ()
    """Reasons to doubt that the pictures are cut-outs of people in the spectrum they are said to
    be of."""

    def as_dict(self) -> dict[str, Any]:
        """Return the report for programs."""
        return {
            "gallery": self.gallery,
            "source": self.source,
            "model": self.model.as_dict(),
            "pictures": {modality.value: count for modality, count in self.pictures.items()},
            "added": self.indexed.added,
            "relabelled": self.indexed.relabelled,
            "unchanged": self.indexed.unchanged,
            "moved": self.indexed.moved,
            "removed": self.indexed.removed,
            "missing": self.indexed.missing,
            "kept_out": self.indexed.kept_out,
            "too_old": self.indexed.too_old,
            "skipped": [{"where": bad.where, "reason": bad.reason} for bad in self.skipped],
            "seen": self.seen.as_dict(),
            "notes": list(self.notes),
            "doubts": list(self.doubts),
        }

    def as_text(self) -> str:
        """Return the report for people."""
        lines = [f"{self.gallery}: {self._done()}, {len(self.skipped)} skipped"]
        lines += [f"  skipped {bad.where}: {bad.reason}" for bad in self.skipped]
        lines += [f"  {line}" for line in (*self._told(), *self.notes, *self.seen.lines())]
        held = ", ".join(f"{count} {modality}" for modality, count in self.pictures.items())
        lines.append(f"it holds {held} pictures, embedded by model {self.model.name}")
        if self.model.caveat:
            lines.append(f"{self.model.name}: {self.model.caveat}")
        return "\n".join(map(printable, lines))

    def _done(self) -> str:
        indexed = self.indexed
        counts = {
            "relabelled": indexed.relabelled,
            "moved": indexed.moved,
            "removed, whose files are gone": indexed.removed,
        }
        more = "".join(f", {count} {what}" for what, count in counts.items() if count)
        return f"{indexed.added} pictures added, {indexed.unchanged} unchanged{more}"

    def _told(self) -> Iterator[str]:
        """Yield remarks on pictures that are in the gallery, or are not, against expectation."""
        if self.indexed.missing:
            yield (
                f"{self.indexed.missing} pictures of {self.source} are not there, more than half; "
                "they stay in the gallery. If they are gone for good, run it again with --prune"
            )
        if self.indexed.kept_out:
            yield (
                f"{self.indexed.kept_out} pictures were removed from this gallery and stay out; "
                "`vireid gallery readmit` lets them in again"
            )
        if self.indexed.too_old:
            yield f"{self.indexed.too_old} pictures are older than this gallery keeps"


def index(
    source: Path,
    out: Address,
    model: str | None = None,
    modality: Modality | None = None,
    camera: str | None = None,
    *,
    time_pattern: str | None = None,
    keep: timedelta | EllipsisType | None = ...,
    prune: bool = False,
    running: Running = AS_USUAL,
    trust_code: bool = False,
    cluster: Cluster | None = None,
) -> IndexReport:
    """Bring a gallery up to date with the pictures of a folder or CSV file.

    Args:
        source: Folder or CSV file, see `vireid.datasets.folder`.
        out: Address of the gallery; it is made if it does not exist.
        model: Name of a model; by default the one that filled the gallery, or `duo`.
        modality: Modality of all pictures.
        camera: Camera of all pictures.
        time_pattern: Pattern of the times in the names of files, see `datasets._times`; by default
            the one that was given for this source before. What a list says comes first, and what
            the pictures themselves tell (EXIF) last.
        keep: Age at which this and later calls remove pictures; None for never, by default as it
            was.
        prune: Remove what is gone even if that is more than half of the source.
        running: How to run the model.
        trust_code: See `Embedder.open`.
        cluster: Cluster whose workers embed the pictures; by default this process does.

    Raises:
        VireidError: No picture can be used, the gallery is another model's, the disk is full, or
            the cluster cannot be joined or used.
    """
    found = folder.find(source, modality, camera)
    spectra = {record.modality for record in found.records}
    here = bulk_indexing.opened_here(running) if cluster else running
    embedder, gallery = open_or_create(out, model, trust_code, spectra, here)
    with gallery, ExitStack() as stack:
        try:
            work = None
            if cluster:
                of_cluster = bulk_indexing.on_cluster(cluster, embedder, running, trust_code)
                work = stack.enter_context(of_cluster)
            if not isinstance(keep, EllipsisType):
                gallery.keep = keep
            _keep_calibration(gallery, embedder)
            path = Path(os.path.abspath(source))  # noqa: PTH100  links keep their names
            pattern = time_pattern or _pattern_of(gallery, path)
            about = Source(path, modality, camera, pattern)
            records = _with_times(found.records, pattern)
            indexed = indexing.index(records, embedder, gallery, about, prune=prune, work=work)
        except KeyboardInterrupt:
            safe = f"{len(gallery)} pictures are safe in {out}"
            raise Interrupted(f"interrupted; {safe}, the same command goes on from there") from None
        counts = {m: gallery.count(m) for m in Modality}
    unread = (Unusable(str(bad.path), bad.reason) for bad in indexed.skipped)
    skipped = (*found.unusable, *unread)
    seen = found.seen(without={Path(bad.path) for bad in indexed.skipped})
    doubts = doubts_about(found.records) if indexed.added else []
    return IndexReport(
        str(out),
        str(source),
        embedder.card,
        counts,
        indexed,
        skipped,
        seen,
        found.notes,
        tuple(doubts),
    )


def _keep_calibration(gallery: Gallery, embedder: Embedder) -> None:
    """Have a gallery keep its model's calibration, unless it has one of its own."""
    kept = gallery.calibration
    is_own = kept is not None and kept.of_gallery
    if embedder.calibration is not None and not is_own and kept != embedder.calibration:
        gallery.calibration = embedder.calibration


def _pattern_of(gallery: Gallery, source: Path) -> str | None:
    return next((s.time_pattern for s in gallery.sources() if s.path == source), None)


def _with_times(records: Sequence[ImageRecord], pattern: str | None) -> list[ImageRecord]:
    """Return records with the times that the names of their files tell, where nothing else does."""
    if pattern is None:
        return list(records)
    times = TimePattern(pattern)
    return [r if r.time else replace(r, time=times.read(r.path.stem)) for r in records]
