"""Records: who was seen where, in which spectrum; no pixels."""

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from numbers import Real
from pathlib import Path
from typing import Any, SupportsIndex, TypeVar

from vireid.errors import VireidError

MOST_IDENTITY = 2**63 - 1
"""Largest identity that a gallery's catalogue holds."""
MOST_DIGITS = 18
"""Digits of numbers in lists: none of so many is too large to be kept."""
LEAST_ROWS = 48
"""Rows of a person below which clothes cannot be told apart."""

T = TypeVar("T")


class RecordError(VireidError, TypeError):
    """A field of a record has a wrong value."""

    def __init__(self, field: str, wanted: str, value: object) -> None:
        super().__init__(f"{field} of a record has to be {wanted}, but is {_shown(value)}")


class Modality(StrEnum):
    """The spectrum a picture was taken in; thermal counts as infrared."""

    VISIBLE = "visible"
    INFRARED = "infrared"

    @property
    def other(self) -> "Modality":
        """The spectrum to search in by default."""
        return Modality.INFRARED if self is Modality.VISIBLE else Modality.VISIBLE


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        """Corners of the box: left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom


Key = tuple[Path, Box | None]
"""The name of one person's cut-out: a file, and the box where it shows several people."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One picture of one person: where its pixels are and what is known about it.

    A field takes what equals a value of its kind for that value: a path as text, `"visible"`,
    NumPy's integers. A negative identity, by which data sets mark people that nobody has named,
    is unknown; one in words is the name of the person. Names are kept in Unicode's composed form.

    Raises:
        RecordError: A field is something else; it is a TypeError too.
    """

    path: Path
    modality: Modality
    identity: int | None = None
    """The person, as an integer; None where nobody has said who it is."""
    camera: str | None = None
    """Name of the camera, e.g. `cam3` or `north gate`; None where unknown."""
    tracklet: str | None = None
    """Name of the tracklet that it is a frame of, unique in a data set; None for a still."""
    time: datetime | None = None
    """Time when it was taken, where somebody has said it. No score depends on it."""
    box: Box | None = None
    """Part of the frame that shows the person; None where the whole picture shows one person."""
    tags: frozenset[str] = frozenset()
    """Tags in free text, to search by. No score depends on them."""
    person: str | None = None
    """Name of the person, where somebody has given one. No score depends on it."""
    moment: int | None = None
    """Number of the instant it was taken at, where a data set says so: pictures of a person that
    share one were taken side by side. No score depends on it."""

    @property
    def who(self) -> int | str | None:
        """The person's name, or else the identity; None where nobody has said either."""
        return self.identity if self.person is None else self.person

    def as_dict(self) -> dict[str, Any]:
        """Return the record for programs: what JSON can hold, with an absolute path."""
        rest = {
            "time": self.time and self.time.isoformat(),
            "tracklet": self.tracklet,
            "box": self.box and list(self.box.corners),
            "tags": sorted(self.tags),
        }
        return {
            "path": os.path.abspath(self.path),  # noqa: PTH100  as a gallery names it
            "modality": self.modality.value,
            "identity": self.who,
            "camera": self.camera,
            **{name: value for name, value in rest.items() if value},
        }

    def shown(self) -> str:
        """Return the path, as short as it can be said from here, and the box if there is one."""
        here, path = Path.cwd(), self.path
        shown = str(path.relative_to(here) if path.is_relative_to(here) else path)
        return f"{shown} box {self.box}" if self.box else shown

    @property
    def key(self) -> Key:
        """The key of the record: no two pictures of a gallery or of a data set have the same."""
        return self.path, self.box

    def __post_init__(self) -> None:
        # Records are made by the hundred thousand: what is right already costs a look at its type.
        identity, camera, tracklet = self.identity, self.camera, self.tracklet
        if isinstance(identity, str):
            identity = self._identity_in_words(identity)
        if type(self.modality) is not Modality:
            object.__setattr__(self, "modality", _modality(self.modality))
        if not isinstance(self.path, Path) or "\0" in str(self.path):
            object.__setattr__(self, "path", _path(self.path))
        if identity is not None and not (type(identity) is int and 0 <= identity <= MOST_IDENTITY):
            object.__setattr__(self, "identity", _identity(identity))
        if camera is not None and not (type(camera) is str and camera.isascii()):
            object.__setattr__(self, "camera", _name("camera", camera))
        if tracklet is not None and not (type(tracklet) is str and tracklet.isascii()):
            object.__setattr__(self, "tracklet", _name("tracklet", tracklet))
        if self.person is not None:
            object.__setattr__(self, "person", _name("person", self.person))
        if not (self.time is None or isinstance(self.time, datetime)):
            raise RecordError("time", "a datetime, or None where it is unknown", self.time)

    def _identity_in_words(self, words: str) -> int | None:
        """Return the number that words write, or take them for the name of the person."""
        text = words.strip()
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()):
            if not text or self.person not in (None, text):
                raise RecordError("identity", "a number, or the name of the person", words)
            object.__setattr__(self, "person", text)
            object.__setattr__(self, "identity", None)
            return None
        object.__setattr__(self, "identity", number := _in_digits(text))
        return number


@dataclass(frozen=True, slots=True)
class TextQuery:
    """A person searched for by a sentence, without a picture."""

    text: str
    identity: int | None = None
    """Identity of the person described, where that is known."""

    def __post_init__(self) -> None:
        if self.identity is not None:
            object.__setattr__(self, "identity", _identity(self.identity))


@dataclass(frozen=True, slots=True)
class VectorQuery:
    """A person searched for by an embedding that was made before."""

    modality: Modality | None = None
    """Spectrum of the picture that it was made from, where that is known."""
    identity: int | None = None
    """Identity of the person, where that is known."""


def spread(items: Sequence[T], count: int) -> list[T]:
    """Return so many items, evenly spaced from the first on; all where there are no more.

    >>> spread([1, 2, 3, 4, 5, 6], 3)
    [1, 3, 5]
    """
    count = min(count, len(items))
    return [items[place * len(items) // count] for place in range(count)]


def is_number(word: str) -> bool:
    """Return whether a word is the number of a person, a camera, a frame or a trial, in digits."""
    return word.isascii() and word.isdigit() and len(word) <= MOST_DIGITS


def spelling_key(name: str) -> str:
    """Return what all spellings of a name share: letter case and forms of Unicode do not count.

    >>> spelling_key("Cam SU\u0308D") == spelling_key("cam s\u00fcd")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def moment(time: datetime) -> int:
    """Return the microseconds since 1970, by which times are compared.

    A time without a zone counts as UTC: give all times of a gallery a zone, or none.
    """
    zoned = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (zoned - EPOCH) // timedelta(microseconds=1)


def pictures_fingerprint(records: Iterable[ImageRecord], root: Path) -> str:
    """Return 16 hexadecimal digits that are equal for the same pictures in any place.

    They depend on each picture's path below the root, file size, modality, identity and camera, and
    on the box where there is one.
    """
    lines = sorted(
        f"{os.path.relpath(r.path, root)} {r.path.stat().st_size} {r.modality} {r.identity} "
        f"{r.camera}{f' {r.box}' if r.box else ''}\n"
        for r in records
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def _shown(value: object) -> str:
    if isinstance(value, int) and abs(value) > MOST_IDENTITY:
        return "larger"  # Python refuses to print numbers of thousands of digits
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"


def _modality(value: object) -> Modality:
    if isinstance(value, str) and value in set(Modality):
        return Modality(value)
    raise RecordError("modality", "'visible' or 'infrared'", value)


def _path(value: object) -> Path:
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str):
        raise RecordError("path", "the path of a file", value)
    if "\0" in text:
        raise RecordError("path", "the path of a file, which holds no NUL character", value)
    return Path(text)


def _identity(value: object) -> int | None:
    """Return a person's number; None for negative ones, which stand for unknown people."""
    whole = value if type(value) is int else _whole(value)
    if whole is None:
        raise RecordError("identity", "a whole number, or None where nobody has said it", value)
    if whole > MOST_IDENTITY:
        raise RecordError("identity", f"at most {MOST_IDENTITY}", value)
    return whole if whole >= 0 else None


def _in_digits(text: str) -> int:
    """Return the number that digits write, as far as one is kept; Python reads no longer ones."""
    digits = text.lstrip("-0")
    number = int(digits or 0) if len(digits) <= len(str(MOST_IDENTITY)) else MOST_IDENTITY + 1
    return -number if text.startswith("-") else number


def _whole(value: object) -> int | None:
    """Return the whole number that a value equals, if it does; truth values are no numbers."""
    try:
        if isinstance(value, SupportsIndex) and not isinstance(value, bool):
            return value.__index__()
    except TypeError:  # arrays of several numbers
        return None
    if isinstance(value, Real) and not isinstance(value, bool) and float(value).is_integer():
        return int(float(value))
    return None


def _name(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise RecordError(field, "a text, or None where it is unknown", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RecordError(field, "valid Unicode", value) from None
    return unicodedata.normalize("NFC", str(value))
