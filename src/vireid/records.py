"""Who was seen where, in which spectrum: the facts about pictures, without their pixels."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from vireid.errors import VireidError


class Modality(StrEnum):
    """The spectrum a picture was taken in; thermal counts as infrared."""

    VISIBLE = "visible"
    INFRARED = "infrared"

    @property
    def other(self) -> "Modality":
        """The spectrum to search in by default."""
        return Modality.INFRARED if self is Modality.VISIBLE else Modality.VISIBLE


@dataclass(frozen=True, slots=True)
class Box:
    """The part of a frame that shows one person.

    Whole pixels of the frame as it is looked at, that is, turned as its EXIF says. Columns
    `left` to `right` - 1 and rows `top` to `bottom` - 1 are inside, as Pillow and NumPy count.
    """

    left: int
    top: int
    right: int
    bottom: int

    def __post_init__(self) -> None:
        """Refuse boxes that hold no pixel or begin outside of every frame.

        Raises:
            VireidError: The box is such a one.
        """
        if self.left < 0 or self.top < 0:
            raise VireidError(f"box {self} begins outside of the frame; cut it at the frame's edge")
        if self.right <= self.left or self.bottom <= self.top:
            raise VireidError(
                f"box {self} is empty; give left, top, right, bottom in pixels, right more than "
                "left and bottom more than top"
            )

    def __str__(self) -> str:
        return ",".join(map(str, self.corners))

    @classmethod
    def from_text(cls, text: str) -> "Box":
        """Read a box from what `str` makes of one: `left,top,right,bottom`."""
        return cls(*map(int, text.split(",")))

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom


Key = tuple[Path, Box | None]
"""What names one person's cut-out among all: a file, and the box where it shows several people."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One picture of one person: where its pixels are and what is known about it."""

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
    box: Box | None = None
    """Which part of the frame shows the person; None where the picture shows one person whole."""
    tags: frozenset[str] = frozenset()
    """Labels in free text, to search by. No score depends on them."""

    @property
    def key(self) -> Key:
        """What names it: no two pictures of a gallery or of a data set have the same."""
        return self.path, self.box


@dataclass(frozen=True, slots=True)
class TextQuery:
    """Somebody who is looked for by a sentence."""

    text: str
    identity: int | None = None
    """Of whoever it describes, where that is known."""


@dataclass(frozen=True, slots=True)
class VectorQuery:
    """Somebody who is looked for by an embedding that was made before."""

    modality: Modality | None = None
    """Of the picture that it was made from, where that is known."""
    identity: int | None = None
    """Of whoever it stands for, where that is known."""


def fingerprint(records: Iterable[ImageRecord], root: Path) -> str:
    """16 hexadecimal digits that are the same for the same pictures, wherever they lie.

    Goes by path below the root, size of the file, modality, identity, camera, and the box where
    there is one.
    """
    lines = sorted(
        f"{os.path.relpath(r.path, root)} {r.path.stat().st_size} {r.modality} {r.identity} "
        f"{r.camera}{f' {r.box}' if r.box else ''}\n"
        for r in records
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]
