"""Judgements: what somebody has said of hits, as notes of a gallery."""

import json
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from vireid.gallery.store import JUDGEMENT, NotePlace
from vireid.records import Box, Key


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


def judgement_note(judgement: Judgement) -> tuple[NotePlace, Any]:
    """Return the note of a judgement."""
    path, box = judgement.hit
    key = json.dumps([str(judgement.query), str(path), str(box or "")])
    return (JUDGEMENT, key), {"same": judgement.same, "time": judgement.time.isoformat()}


def judgement_from(key: str, value: Any) -> Judgement:
    """Return the judgement of a note."""
    query, path, box = json.loads(key)
    hit = (Path(path), Box.from_text(box) if box else None)
    return Judgement(Path(query), hit, value["same"], datetime.fromisoformat(value["time"]))


def judged(judgements: Iterable[Judgement], gone: AbstractSet[Key]) -> list[NotePlace]:
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
