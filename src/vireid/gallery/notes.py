"""Notes of a gallery: its sources, what was removed for good, and what was said of hits.

A store keeps notes as JSON under a kind and a key. Here they have types.
"""

import json
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from vireid.gallery.store import Entry
from vireid.records import Box, Key, Modality

SOURCE, REMOVED, JUDGEMENT, SETTING = "source", "removed", "judgement", "setting"
"""Kinds of notes."""
KINDS = (SOURCE, REMOVED, JUDGEMENT, SETTING)
Place = tuple[str, str]
"""Kind and key of a note."""


@dataclass(frozen=True, slots=True)
class Source:
    """A folder or a list of pictures that a gallery is kept in step with."""

    path: Path
    modality: Modality | None = None
    """Spectrum of all its pictures, where that was said when it was indexed."""
    camera: str | None = None
    """Camera of all its pictures, where that was said when it was indexed."""
    time_pattern: str | None = None
    """Pattern of the times in the names of its files, see `datasets._times`."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The word of somebody on a hit: it shows the person searched for, or another one."""

    query: Path
    """Picture that was searched with."""
    hit: Key
    """Picture of the gallery."""
    same: bool
    """Whether both show the same person."""
    time: datetime
    """Time when it was said."""


def content_key(entry: Entry) -> str:
    """Return what tells a cut-out by its bytes: the hash of the file, and the box."""
    return f"{entry.content} {entry.record.box or ''}".strip()


def source_note(source: Source) -> tuple[Place, Any]:
    """Return the note of a source."""
    about = {
        "modality": source.modality and source.modality.value,
        "camera": source.camera,
        "time_pattern": source.time_pattern,
    }
    return (SOURCE, str(source.path)), about


def source_from(key: str, value: Any) -> Source:
    """Return the source of a note."""
    modality = value.get("modality")
    spectrum = Modality(modality) if modality else None
    return Source(Path(key), spectrum, value.get("camera"), value.get("time_pattern"))


def judgement_note(judgement: Judgement) -> tuple[Place, Any]:
    """Return the note of a judgement."""
    path, box = judgement.hit
    key = json.dumps([str(judgement.query), str(path), str(box or "")])
    return (JUDGEMENT, key), {"same": judgement.same, "time": judgement.time.isoformat()}


def judgement_from(key: str, value: Any) -> Judgement:
    """Return the judgement of a note."""
    query, path, box = json.loads(key)
    hit = (Path(path), Box.from_text(box) if box else None)
    return Judgement(Path(query), hit, value["same"], datetime.fromisoformat(value["time"]))


def judged(judgements: Iterable[Judgement], gone: AbstractSet[Key]) -> list[Place]:
    """Return the notes to take away together with pictures: all that lead to the same people."""
    judgements = list(judgements)
    people = {
        judgement.query for judgement in judgements if judgement.same and judgement.hit in gone
    }
    people |= {path for path, _ in gone}
    return [
        judgement_note(judgement)[0]
        for judgement in judgements
        if judgement.hit in gone or judgement.query in people
    ]
