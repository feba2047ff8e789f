"""Filters: which pictures of a gallery are searched, listed or removed.

In words, as the command line takes them, a filter is a name, a colon and a value:

    camera:gate          taken by this camera; given twice, by either
    person:anna          the person of this name, or with digits of this identity
    modality:visible     in this spectrum (or infrared)
    after:2026-11-01     not before this day, or time: 2026-11-01T18:30
    before:2026-12-01    before this day, or time
    on:2026-11-24        on this day
    tag:backpack         with this tag; given twice, with both
    tracklet:t7          of this tracklet
    source:photos        found in this source
    in:photos/gate       lying in this folder
    similarity:0.4       at least so similar to the query (search only)
"""

import math
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from vireid.errors import VireidError, closest, suggestion
from vireid.records import ImageRecord, Modality, moment


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions on the pictures to search; a filter that is left out lets all pass."""

    modality: Modality | None = None
    """Spectrum to search in."""
    cameras: Collection[str] = frozenset()
    """Cameras, any of which may have taken the picture."""
    since: datetime | None = None
    """Earliest time. Pictures without a time pass neither this filter nor the next."""
    until: datetime | None = None
    """First time that is too late."""
    tracklet: str | None = None
    tags: Collection[str] = frozenset()
    """Tags, all of which the picture has to have."""
    identity: int | None = None
    person: str | None = None
    """Name of the person."""
    source: Path | None = None
    """Source that the pictures were found in."""
    below: Path | None = None
    """Folder that the pictures lie in, at any depth."""
    min_similarity: float | None = None
    """Smallest similarity of a hit; not a condition on pictures."""

    def __post_init__(self) -> None:
        """Turn names into values that can be compared and kept.

        Raises:
            VireidError: There is no such modality, or no time is within the two.
        """
        for name in ("cameras", "tags"):
            given = getattr(self, name)
            if isinstance(given, str):
                raise TypeError(f"{name} takes several names; put the one into a list")
            object.__setattr__(self, name, frozenset(given))
        if self.modality is not None:
            object.__setattr__(self, "modality", _spectrum(self.modality))
        if self.since and self.until and moment(self.since) >= moment(self.until):
            raise VireidError(f"no time is from {self.since} until {self.until}; turn them round")

    @classmethod
    def from_words(cls, words: Iterable[str]) -> "Filters":
        """Read filters in words, such as `camera:gate` and `after:2026-11-01`.

        Raises:
            VireidError: A word is no filter, has no such value, or says twice what can be one.
        """
        said: dict[str, Any] = {}
        for word in words:
            name, colon, value = word.partition(":")
            if not colon or name not in READERS:
                hint = suggestion(
                    name, READERS, f"filters are {', '.join(f'{n}:' for n in READERS)}"
                )
                raise VireidError(f"{word!r} is no filter; {hint}")
            if not value.strip():
                raise VireidError(f"{word!r} says nothing; write {name}:VALUE")
            for field, read in READERS[name](value.strip()).items():
                if field in ("cameras", "tags"):
                    said[field] = {*said.get(field, ()), read}
                elif said.setdefault(field, read) != read:
                    raise VireidError(f"{word!r} contradicts another filter; leave one of them out")
        return cls(**said)

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return self != Filters()

    def let_pass(self, record: ImageRecord, source: Path | None = None) -> bool:
        """Whether a picture, found in a source or in none, is to be searched."""
        return (
            self.modality in (None, record.modality)
            and self.source in (None, source)
            and (self.below is None or self.below in record.path.parents)
            and (not self.cameras or record.camera in self.cameras)
            and self._let_time_pass(record.time)
            and self.tracklet in (None, record.tracklet)
            and set(self.tags) <= record.tags
            and self.identity in (None, record.identity)
            and self.person in (None, record.person)
        )

    def _let_time_pass(self, time: datetime | None) -> bool:
        if time is None:
            return self.since is None and self.until is None
        early = self.since is not None and moment(time) < moment(self.since)
        late = self.until is not None and moment(time) >= moment(self.until)
        return not (early or late)


def is_filter(word: str) -> bool:
    """Whether a word is meant as a filter: it begins with the name of one, or with a like one."""
    name, colon, _ = word.partition(":")
    return bool(colon) and closest(name, READERS) is not None


def _time(word: str) -> datetime:
    try:
        return datetime.fromisoformat(word)
    except ValueError:
        raise VireidError(f"{word!r} is no time; write 2026-11-30 or 2026-11-30T18:30") from None


def _day(word: str) -> dict[str, object]:
    day = _time(word)
    if day != day.replace(hour=0, minute=0, second=0, microsecond=0) or "T" in word:
        raise VireidError(f"{word!r} is no day; write on:2026-11-30, or after: and before: a time")
    return {"since": day, "until": day + timedelta(days=1)}


def _person(word: str) -> dict[str, object]:
    is_number = word.isascii() and word.isdigit()
    return {"identity": int(word)} if is_number else {"person": word}


def _similarity(word: str) -> dict[str, object]:
    try:
        least = float(word.lstrip(">=").strip())
    except ValueError:
        least = math.nan
    if not -1 <= least <= 1:
        raise VireidError(f"{word!r} is no similarity; write a number from -1 to 1, such as 0.4")
    return {"min_similarity": least}


def _path(word: str) -> Path:
    # Links keep their names, and unknown homes stay as they are.
    return Path(os.path.abspath(os.path.expanduser(word)))  # noqa: PTH100, PTH111


READERS: dict[str, Callable[[str], dict[str, object]]] = {
    "camera": lambda word: {"cameras": word},
    "person": _person,
    "modality": lambda word: {"modality": _spectrum(word)},
    "after": lambda word: {"since": _time(word)},
    "before": lambda word: {"until": _time(word)},
    "on": _day,
    "tag": lambda word: {"tags": word},
    "tracklet": lambda word: {"tracklet": word},
    "source": lambda word: {"source": _path(word)},
    "in": lambda word: {"below": _path(word)},
    "similarity": _similarity,
}
"""What the words of each filter say: values of the fields of `Filters`."""


def _spectrum(modality: Modality | str) -> Modality:
    try:
        return Modality(modality)
    except ValueError:
        known = " or ".join(Modality)
        raise VireidError(f"there is no modality {modality!r}; give {known}") from None
