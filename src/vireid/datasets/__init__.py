"""Data sets: who is on which picture, who is learnt from and who is scored on; no pixels.

A data set is a module of this package with a function `read(root=None) -> Dataset`; its file name
is the data set's name. Modules whose name begins with an underscore are no data sets but what
several of them share.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from vireid.errors import VireidError
from vireid.records import ImageRecord


@dataclass(frozen=True)
class Dataset:
    """The pictures of three groups of people; nobody is in two of them.

    Learn from `train` and, unless a setting is chosen on it, `validation`; score on `test`.
    """

    name: str
    root: Path
    train: tuple[ImageRecord, ...]
    validation: tuple[ImageRecord, ...]
    test: tuple[ImageRecord, ...]
    facts: Mapping[str, object]
    """What was published about it: title, url, licence, citation; `test_pictures` by camera."""

    @property
    def splits(self) -> dict[str, tuple[ImageRecord, ...]]:
        """The three groups by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """People, and pictures by spectrum and camera, found on disk for every group."""
        return {name: _count(records) for name, records in self.splits.items()}

    @property
    def differences(self) -> tuple[str, ...]:
        """Where the test pictures on disk are not as many as were published."""
        published = self.facts.get("test_pictures")
        found = self.counts["test"]
        return tuple(
            f"{camera} has {found.get(camera, 0)} test pictures on disk, {count} were published"
            for camera, count in (published.items() if isinstance(published, Mapping) else ())
            if found.get(camera, 0) != count
        )


def available() -> list[str]:
    """The names that `read` knows."""
    return sorted(module.name for module in iter_modules(__path__) if module.name[0] != "_")


def read(name: str, root: Path | str | None = None) -> Dataset:
    """Find the pictures of a data set on disk.

    Args:
        name: one of `available()`.
        root: its folder; may be left out for data sets that come with vireid.

    Raises:
        VireidError: there is no such data set, or its folder is not as it should be.
    """
    name = name.lower().replace("-", "_")
    if name not in available():
        close = get_close_matches(name, available(), n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise VireidError(f"no data set '{name}'{hint} (there are: {', '.join(available())})")
    dataset: Dataset = import_module(f"{__name__}.{name}").read(
        None if root is None else Path(root)
    )
    return dataset


def _count(records: Sequence[ImageRecord]) -> dict[str, int]:
    by_modality = Counter(record.modality.value for record in records)
    by_camera = Counter(record.camera for record in records if record.camera is not None)
    people = len({record.identity for record in records})
    return {"identities": people, **dict(sorted((by_modality + by_camera).items()))}
