"""Summaries of a gallery: what it holds, where that is from, and whether it is sound."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from vireid.console import shortened
from vireid.gallery.gallery import Gallery
from vireid.gallery.sources import Source
from vireid.gallery.store import Counted, Stamp
from vireid.models.card import ModelCard
from vireid.progress import counted
from vireid.records import Modality

COUNTED: tuple[Counted, ...] = ("camera", "person", "identity", "day")


@dataclass(frozen=True)
class Summary:
    """What a gallery holds."""

    gallery: str
    """Address of the gallery."""
    model: ModelCard
    pictures: dict[Modality, int]
    sources: tuple[tuple[Source, int], ...]
    """Folders and lists that were indexed, with the number of their pictures."""
    counts: dict[Counted, dict[str, int]]
    """Number of pictures by camera, person, identity and day."""
    bytes: int | None
    """Size on disk; None where a server keeps it."""
    changed: datetime
    """Time of the last change."""
    keep: timedelta | None
    """Age at which indexing removes pictures."""
    judgements: int
    removed: int
    """Number of pictures that were removed for good."""

    @classmethod
    def of(cls, gallery: Gallery) -> "Summary":
        """Sum up an open gallery."""
        by_source = gallery.tally("source")
        size = gallery.size()
        return cls(
            gallery=gallery.address,
            model=gallery.model,
            pictures={modality: gallery.count(modality) for modality in Modality},
            sources=tuple((s, by_source.get(str(s.path), 0)) for s in gallery.sources()),
            counts={what: gallery.tally(what) for what in COUNTED},
            bytes=size.bytes,
            changed=size.changed,
            keep=gallery.keep,
            judgements=len(gallery.judgements()),
            removed=len(gallery.removed()),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the summary for programs."""
        return {
            "gallery": self.gallery,
            "model": {"name": self.model.name, "fingerprint": self.model.fingerprint},
            "pictures": {modality.value: count for modality, count in self.pictures.items()},
            "sources": [
                {
                    "path": str(source.path),
                    "modality": source.modality,
                    "camera": source.camera,
                    "pictures": count,
                    "is_there": source.path.exists(),
                }
                for source, count in self.sources
            ],
            **{f"by_{what}": counts for what, counts in self.counts.items()},
            "bytes": self.bytes,
            "changed": self.changed.isoformat(),
            "keep_days": self.keep and self.keep / timedelta(days=1),
            "judgements": self.judgements,
            "removed_for_good": self.removed,
        }

    def lines(self) -> Iterator[str]:
        """Yield the summary for people."""
        held = ", ".join(f"{count:,} {modality}" for modality, count in self.pictures.items())
        yield f"{self.gallery}: {held} pictures, embedded by model {self.model.name}"
        place = "on a server" if self.bytes is None else f"{self.bytes / 1e6:,.1f} MB on disk"
        yield f"  {place}, last change {self.changed:%Y-%m-%d %H:%M} UTC"
        for source, count in self.sources:
            absent = "" if source.path.exists() else "   (not there now)"
            yield f"  source {source.path}: {count:,} pictures{absent}"
        yield from (line for what in COUNTED if (line := self._most(what)))
        if self.keep:
            yield f"  pictures older than {self.keep.days} days are removed by `vireid index`"
        if self.judgements:
            yield f"  {self.judgements} judgements of hits"
        if self.removed:
            yield f"  {self.removed} pictures were removed for good"

    def _most(self, what: Counted) -> str:
        counts = sorted(self.counts[what].items(), key=lambda pair: -pair[1])
        shown = ", ".join(f"{shortened(str(name))} ({count:,})" for name, count in counts[:8])
        more = f" and {len(counts) - 8:,} more" if len(counts) > 8 else ""
        plural = {"person": "named people", "identity": "identities"}.get(what, f"{what}s")
        return f"  {len(counts):,} {plural}: {shown}{more}" if counts else ""


@dataclass(frozen=True)
class Health:
    """What is wrong with a gallery and with its files."""

    damage: tuple[str, ...]
    """What is not as it was written."""
    missing: tuple[Path, ...] = ()
    """Files of pictures that are not there."""
    changed: tuple[Path, ...] = ()
    """Files of pictures that have changed since they were indexed."""

    @classmethod
    def of(cls, gallery: Gallery, *, files: bool = True) -> "Health":
        """Compare everything with its checksums, and look at the files of all pictures.

        Args:
            gallery: Gallery to check.
            files: Whether to look at the files of the pictures.

        Raises:
            GalleryError: The damage is such that the gallery cannot be read.
        """
        damage = tuple(gallery.damage())
        if damage or not files:
            return cls(damage)
        missing, changed = set[Path](), set[Path]()
        for entry in counted(gallery.entries(), "looking at files", len(gallery)):
            now = Stamp.of(entry.record.path)
            if now is None:
                missing.add(entry.record.path)
            elif entry.stamp and now != entry.stamp:
                changed.add(entry.record.path)
        return cls((), tuple(sorted(missing)), tuple(sorted(changed)))

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.damage or self.missing or self.changed)

    def as_dict(self) -> dict[str, Any]:
        """Return the findings for programs."""
        return {
            "is_sound": self.is_sound,
            "damage": list(self.damage),
            "missing": list(map(str, self.missing)),
            "changed": list(map(str, self.changed)),
        }

    def lines(self, most: int = 20) -> Iterator[str]:
        """Yield the findings for people, at most so many of a kind."""
        kinds: list[tuple[str, tuple[object, ...]]] = [
            ("damaged", self.damage),
            ("missing", self.missing),
            ("changed since it was indexed", self.changed),
        ]
        for what, found in kinds:
            yield from (f"{what}: {each}" for each in found[:most])
            if len(found) > most:
                yield f"{what}: {len(found) - most} more (--json lists all)"
