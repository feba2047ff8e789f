"""Labels from the names of folders: a picture's spectrum, its camera, the person.

The innermost folder that says something wins. A folder of digits is a person only where it lies
directly in a folder that names a spectrum or a camera, and is no date. Recorders write folders of
days, and whoever takes these for people scores strangers as one person. Some names are dates
whatever lies beside them, such as 20260131 or 2026/01/31. Others may be people's numbers as well,
such as 2026: these are dates unless a folder beside them is called by a number that is none.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, datetime

from vireid.datasets import _sysu_layout
from vireid.records import MOST_IDENTITY, Box, Modality

MODALITIES = {
    **dict.fromkeys(["visible", "vis", "rgb", "color", "colour"], Modality.VISIBLE),
    **dict.fromkeys(["infrared", "ir", "nir", "swir", "lwir", "thermal"], Modality.INFRARED),
}
GROUPS = {
    **dict.fromkeys(["train", "training", "trn"], "train"),
    **dict.fromkeys(["val", "valid", "validate", "validating", "validation", "dev"], "validation"),
    **dict.fromkeys(["test", "tests", "testing", "tst", "query", "gallery"], "test"),
}
"""Groups of people, by the names of their folders."""
GROUP_AFFIXES = re.compile(r"^boundingbox|(set|sets|data|people|images|pictures|split)$")

CAMERA = re.compile(r"cam(era)?(\d+|[ _-].+)", re.IGNORECASE)
DAY = r"(?:19|20)\d\d([-_. ]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])"
DATE = re.compile(rf"{DAY}(?!\d).*")
"""Pattern of a name that begins with a day, as in 2026-01-31 or 20260131_2359."""
DATE_AT_END = re.compile(rf"[ _-]*(?<!\d){DAY}(?:[ T_.-]?\d\d(?:[-_:h.]?\d\d)*)?$")
FOUR_DIGITS = re.compile(r"[0-9]{4}")

YEARS = range(1990, 2100)
EPOCH = (946_684_800, 2_208_988_800)
"""Seconds since 1970 that are taken for a time: from the year 2000 to 2040."""

Names = tuple[str, ...]
"""Names of folders, the outermost first."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a picture; each is None where nothing says it."""

    modality: Modality | None = None
    identity: int | None = None
    camera: str | None = None
    time: datetime | None = None
    """Time of the picture; only a list says this and the fields below."""
    tracklet: str | None = None
    box: Box | None = None
    tags: frozenset[str] = frozenset()
    person: str | None = None
    """Name of the person, where the identity is given in words."""
    moment: int | None = None
    """Number of the instant, which pictures taken side by side share."""


@dataclass(frozen=True, slots=True)
class FolderLabels:
    """Labels that folders give, and the folder that gives each."""

    labels: Labels
    at: Mapping[str, int]
    """Position of the folder that gives a label, by the label's field."""


@dataclass(frozen=True)
class Reader:
    """Reads the names of folders, the same names only once.

    Args:
        numbered: The folders in which a number may be a person even where it may be a date; see
            `numbered_folders`.
    """

    numbered: AbstractSet[Names] = frozenset()
    _known: dict[tuple[Names, bool, bool], FolderLabels] = field(default_factory=dict)

    def read(self, names: Names, stem: str, *, below: bool = True) -> FolderLabels:
        """Return the labels that the folders of a picture give.

        Args:
            names: Names of the folders, the outermost first.
            stem: Name of the picture, without its suffix.
            below: Whether the outermost is the folder that was asked for. Otherwise camera and
                person are read only from folders that hang together up to the picture: what lies
                above them says where somebody keeps his files.
        """
        asked = (names, FOUR_DIGITS.fullmatch(stem) is not None, below)
        if asked not in self._known:
            self._known[asked] = self._read(*asked)
        return self._known[asked]

    def _read(self, names: Names, is_frame: bool, below: bool) -> FolderLabels:
        first = 0 if below else _first_that_hangs_together(names)
        people = (i for i in _numbers(names, first) if _is_person(names, i, self.numbered))
        at = {
            "modality": _last(names, 0, lambda name: name.lower() in MODALITIES),
            "camera": _last(names, first, lambda name: camera_of(name) is not None),
            "identity": next(people, -1),
        }
        if at["modality"] < 0 and is_frame and _is_sysu(names):
            at["modality"] = len(names) - 2
        found = {label: place for label, place in at.items() if place >= 0}
        return FolderLabels(_labels(names, found), found)


def numbered_folders(places: AbstractSet[Names]) -> set[Names]:
    """Return the folders in which a number that is no year and no hour stands for a person.

    Args:
        places: Names of the folders of each picture.
    """
    return {
        names[:i]
        for names in places
        for i in _numbers(names, 0)
        if not (is_date(names, i) or _may_be_date(names, i))
    }


def dates_in(names: Names, numbered: AbstractSet[Names]) -> Iterator[int]:
    """Say which folders lie where people do, and are called by a date or too large a number."""
    return (i for i in _numbers(names, 0) if not _is_person(names, i, numbered))


def camera_of(name: str) -> str | None:
    """Return the camera that a folder is called by, without a date behind it."""
    bare = DATE_AT_END.sub("", name)
    return bare if CAMERA.fullmatch(bare) else None


def group_of(name: str) -> str | None:
    """Return train, validation or test, however a folder spells it; None for other names.

    >>> group_of("Val"), group_of("training_set"), group_of("north")
    ('validation', 'train', None)
    """
    letters = "".join(letter for letter in name.casefold() if letter.isalpha())
    return GROUPS.get(letters) or GROUPS.get(GROUP_AFFIXES.sub("", letters))


def is_date(names: Names, place: int) -> bool:
    """Whether a folder is a day or a time, alone or with those in it, as 2026/01/31 is."""
    name = names[place]
    if DATE.fullmatch(name) or (_is_number(name) and _is_time(name)):
        return True
    three = names[place : place + 3]
    if len(three) < 3 or not all(map(_is_number, three)) or max(map(len, three)) > 4:
        return False
    first, second, third = map(int, three)
    return _is_day(first, second, third) or _is_day_in_any_order(third, first, second)


def _labels(names: Names, at: Mapping[str, int]) -> Labels:
    said = {label: names[place] for label, place in at.items()}
    modality = said.get("modality", "").lower()
    return Labels(
        MODALITIES.get(modality) or _sysu_layout.MODALITIES.get(modality),
        int(said["identity"].lstrip("0") or "0") if "identity" in said else None,
        camera_of(said["camera"]) if "camera" in said else None,
    )


def _last(names: Names, first: int, is_it: Callable[[str], bool]) -> int:
    """Return the innermost position, from a first one on, that passes a test; -1 if none does."""
    return next((i for i in range(len(names) - 1, first - 1, -1) if is_it(names[i])), -1)


def _first_that_hangs_together(names: Names) -> int:
    """Return the outermost of the positions that all say something, up to the innermost."""
    silent = (i for i in range(len(names) - 1, -1, -1) if not _says_something(names, i))
    return next(silent, -1) + 1


def _says_something(names: Names, place: int) -> bool:
    name = names[place]
    return bool(_says_where(name) or _is_number(name) or DATE.fullmatch(name) or group_of(name))


def _says_where(name: str) -> bool:
    return name.lower() in MODALITIES or camera_of(name) is not None


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _numbers(names: Names, first: int) -> Iterator[int]:
    """Return the positions of number folders that lie where people do, the innermost first."""
    for i in range(len(names) - 1, first, -1):
        if _is_number(names[i]) and _says_where(names[i - 1]):
            yield i


def _is_person(names: Names, place: int, numbered: AbstractSet[Names]) -> bool:
    name = names[place].lstrip("0")
    if len(name) > len(str(MOST_IDENTITY)) or int(name or "0") > MOST_IDENTITY:
        return False
    if is_date(names, place):
        return False
    return names[:place] in numbered or not _may_be_date(names, place)


def _may_be_date(names: Names, place: int) -> bool:
    """Whether a number is a year, a month of one, or an hour in the folder of a day."""
    digits = names[place]
    if len(digits) == 4:
        return int(digits) in YEARS
    if len(digits) == 6:
        return int(digits[:4]) in YEARS and 1 <= int(digits[4:]) <= 12
    in_a_day = any(is_date(names, i) for i in range(place))
    return len(digits) == 2 and int(digits) < 24 and in_a_day


def _is_time(digits: str) -> bool:
    """Whether digits are a day (eight), or a time to the hour, minute, second or less."""
    if len(digits) < 8:
        return False
    year_first = _is_day(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    if len(digits) == 8:
        parts = (int(digits[4:]), int(digits[:2]), int(digits[2:4]))
        return year_first or _is_day_in_any_order(*parts)
    if len(digits) in (10, 13, 16, 19):
        since_1970 = int(digits) / 10 ** (len(digits) - 10)
        if EPOCH[0] <= since_1970 < EPOCH[1]:
            return True
    return len(digits) >= 10 and year_first and int(digits[8:10]) < 24


def _is_day_in_any_order(year: int, one: int, other: int) -> bool:
    return _is_day(year, one, other) or _is_day(year, other, one)


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        return date(year, month, day).year in range(1970, 2100)
    except ValueError:
        return False


def _is_sysu(names: Names) -> bool:
    """Whether the last two folders are called as those of SYSU-MM01, cam3/0006."""
    return (
        len(names) > 1
        and names[-2] in _sysu_layout.MODALITIES
        and FOUR_DIGITS.fullmatch(names[-1]) is not None
    )
