"""Filters: which pictures of a gallery are searched."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vireid.errors import VireidError
from vireid.records import ImageRecord, Modality

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


def moment(time: datetime) -> int:
    """Return the microseconds since 1970, by which times are compared.

    A time without a zone counts as UTC: give all times of a gallery a zone, or none.
    """
    zoned = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (zoned - EPOCH) // timedelta(microseconds=1)


def _spectrum(modality: Modality | str) -> Modality:
    try:
        return Modality(modality)
    except ValueError:
        known = " or ".join(Modality)
        raise VireidError(f"there is no modality {modality!r}; give {known}") from None
