"""Who was seen where, in which spectrum: the facts about pictures, without their pixels."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path


class Modality(StrEnum):
    """The spectrum a picture was taken in; thermal counts as infrared."""

    VISIBLE = "visible"
    INFRARED = "infrared"

    @property
    def other(self) -> "Modality":
        """The spectrum to search in by default."""
        return Modality.INFRARED if self is Modality.VISIBLE else Modality.VISIBLE


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One picture: where its file is and what is known about it."""

    path: Path
    modality: Modality
    identity: int | None = None
    """One person, as an integer; None where nobody has said who it is."""
    camera: str | None = None
    """Where it was taken, e.g. `cam3` or `north gate`; None where unknown."""
    tracklet: str | None = None
    """Names the stretch of video that it is a frame of, once in a data set; None for a still."""
    time: datetime | None = None
    """When it was taken, where somebody has said it. No score depends on it."""


@dataclass(frozen=True, slots=True)
class TextQuery:
    """Somebody who is looked for without a picture."""

    text: str
    identity: int | None = None
    """Of whoever it describes, where that is known."""


def fingerprint(records: Iterable[ImageRecord], root: Path) -> str:
    """16 hexadecimal digits that are the same for the same pictures, wherever they lie.

    Goes by path below the root, size of the file, modality, identity and camera.
    """
    lines = sorted(
        f"{os.path.relpath(r.path, root)} {r.path.stat().st_size} {r.modality} {r.identity} "
        f"{r.camera}\n"
        for r in records
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]
