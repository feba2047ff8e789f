"""Data sets: who is on which picture, who is learnt from and who is scored on; no pixels.

A data set is a module of this package with a function `read(root=None) -> Dataset`; its file name
is the data set's name. A module may have more:

* `TRIALS`: the numbers of its splits, if it was published with several; then one can be read by
  `read(root=None, trial=1)`
* `people(root)`: what people look like, by identity
* `left_out(root)`: files in the folder that are not used

Modules whose names begin with an underscore hold what several data sets share. A data set can also
live in a file of one's own or in another package: see `vireid.files.user_code`.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, TypedDict, cast

from vireid.errors import VireidError, suggestion
from vireid.files import user_code
from vireid.records import ImageRecord, Modality


class Counts(TypedDict, total=False):
    """Counts of one group; those that authors publish may leave some out."""

    identities: int
    tracklets: int
    spectra: dict[str, int]
    """Pictures by spectrum."""
    cameras: dict[str, int]
    """Pictures by camera."""


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
    """Facts published about it: title, url, licence, how to obtain it, citation; `counts`, the
    `Counts` of each group; `remarks`, lines to tell with every score."""
    trial: int | None = None
    """Number of the split, of several published ones (RegDB: 1 to 10); None where there is one."""
    test_queries: tuple[ImageRecord, ...] | None = None
    """Test records to search with, where the authors list them; None: all."""
    test_gallery: tuple[ImageRecord, ...] | None = None
    """Test records to search in, where the authors list them; None: all."""

    @property
    def groups(self) -> dict[str, tuple[ImageRecord, ...]]:
        """The records of the three groups, by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def splits(self) -> dict[str, tuple[ImageRecord, ...]]:
        """The former name of `groups`."""
        warnings.warn("Dataset.splits is called Dataset.groups now", DeprecationWarning, 2)
        return self.groups

    @property
    def label(self) -> str:
        """The name, with the split where there are several: equal for the same people."""
        return self.name if self.trial is None else f"{self.name} trial {self.trial}"

    @property
    def counts(self) -> dict[str, Counts]:
        """The counts of every group on disk, by its name."""
        return {name: _count(records) for name, records in self.groups.items()}

    @property
    def differences(self) -> tuple[str, ...]:
        """Lines to tell with every score: where the copy differs, and what was left out."""
        found = {group: in_one_table(counts) for group, counts in self.counts.items()}
        remarks = cast("Sequence[str]", self.facts.get("remarks", ()))
        return *remarks, *(
            _difference(group, what, found[group].get(what, 0), count)
            for group, counts in self._published.items()
            for what, count in in_one_table(counts).items()
            if found[group].get(what, 0) != count
        )

    @property
    def _published(self) -> Mapping[str, Mapping[str, Any]]:
        return cast("Mapping[str, Mapping[str, Any]]", self.facts.get("counts", {}))


def in_one_table(counts: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    """Return `Counts` by table and name: ("people", "identities"), ("cameras", "cam1").

    Spectra and cameras may also be given without their tables, as all once were.
    """
    found = dict[tuple[str, str], int]()
    for name, count in counts.items():
        if isinstance(count, Mapping):
            found |= {(name, each): of_each for each, of_each in count.items()}
        elif name in ("identities", "tracklets"):
            found["people", name] = count
        else:
            found["spectra" if name in set(Modality) else "cameras", name] = count
    return found


def available() -> list[str]:
    """Return the names that `read` knows."""
    return sorted(module.name for module in iter_modules(__path__) if module.name[0] != "_")


def read(name: str, root: Path | str | None = None, trial: int | None = None) -> Dataset:
    """Find the pictures of a data set on disk.

    Args:
        name: One of `available()`, or user code, which is run.
        root: Folder of the data set; not needed for data sets that come with vireid.
        trial: Number of the split, for data sets that were published with several; by default the
            first.

    Raises:
        VireidError: there is no such data set or split, or its folder is not as it should be.
    """
    module = _module(name)
    if trial is not None:
        check_trial(name, trial)
    place = None if root is None else Path(root)
    read = _reader(name, module)
    dataset = read(place) if trial is None else read(place, trial)
    _check_read(name, dataset)
    return dataset


def name_of(asked: str) -> str:
    """Return the name of a data set, whichever way it is asked for.

    A data set of one's own has the name of its file or module; of its function, if that is another
    than `read`.

    >>> name_of("SYSU-MM01"), name_of("sets/corridor.py"), name_of("lab.sets:corridor")
    ('sysu_mm01', 'corridor', 'corridor')
    """
    code = user_code.parse(asked)
    if code is None:
        return asked.lower().replace("-", "_")
    if code.thing and code.thing != "read":
        return code.thing
    return code.file.stem if code.file else str(code.module).rpartition(".")[2]


def facts(name: str) -> Mapping[str, object]:
    """Return the facts published about a data set, on disk or not; none for `folder`.

    Raises:
        VireidError: there is no such data set.
    """
    found: Mapping[str, object] = getattr(_module(name), "FACTS", {})
    return found


def description(name: str) -> str:
    """Return the first line of the documentation of a data set.

    Raises:
        VireidError: there is no such data set.
    """
    return (_module(name).__doc__ or "").strip().partition("\n")[0]


def check_trial(name: str, trial: int) -> None:
    """Check that a data set has a split of this number.

    Raises:
        VireidError: It has none.
    """
    splits = trials(name)
    if trial not in splits:
        there = f"trials {splits[0]} to {splits[-1]}" if splits else "one split, without a number"
        raise VireidError(f"there is no trial {trial} of {name}; it has {there}")


def trials(name: str) -> Sequence[int]:
    """Return the numbers of a data set's published splits; none where there is only one.

    Raises:
        VireidError: there is no such data set.
    """
    found: Sequence[int] = getattr(_module(name), "TRIALS", ())
    return found


def people(name: str, root: Path) -> Mapping[int, Mapping[str, Any]]:
    """Return what a data set tells about its people, by identity; nothing where it tells none.

    Args:
        name: Name that `read` takes.
        root: Folder of the data set.

    Raises:
        VireidError: the file that tells is missing or damaged.
    """
    tell = getattr(_module(name), "people", None)
    known: Mapping[int, Mapping[str, Any]] = tell(root) if tell else {}
    return known


def left_out(name: str, root: Path) -> Sequence[str]:
    """Return the files or lines of a data set's folder that are not used, each with its reason.

    Raises:
        VireidError: There is no such data set.
    """
    tell = getattr(_module(name), "left_out", None)
    told: Sequence[str] = tell(root) if tell else ()
    return told


def _reader(name: str, module: ModuleType) -> Callable[..., Dataset]:
    code = user_code.parse(name)
    function = (code.thing if code else None) or "read"
    found: Callable[..., Dataset] | None = getattr(module, function, None)
    if not callable(found):
        raise VireidError(f"{name} is no data set: it has no function {function}(root)")
    return found


def _check_read(name: str, dataset: object) -> None:
    """Check that a data set of one's own has the name it is asked for by, which no other has."""
    if not isinstance(dataset, Dataset):
        raise VireidError(f"{name} has to return a Dataset, but returned {type(dataset).__name__}")
    if dataset.name != name_of(name):
        raise VireidError(
            f"{name} calls its data set '{dataset.name}'; call it '{name_of(name)}', or rename the "
            "file or the function"
        )
    if user_code.parse(name) and dataset.name in available():
        raise VireidError(f"{name}: vireid has a data set '{dataset.name}'; give yours a new name")


def _module(name: str) -> ModuleType:
    code = user_code.parse(name)
    if code:
        return user_code.load(code)
    name = name_of(name)
    if name not in available():
        raise VireidError(f"there is no data set '{name}'; {suggestion(name, available())}")
    return import_module(f"{__name__}.{name}")


def _difference(group: str, what: tuple[str, str], found: int, published: int) -> str:
    table, name = what
    if table == "people":
        counted = f"{found} {group} {name}"
    elif table == "spectra":
        counted = f"{found} {name} {group} pictures"
    else:
        counted = f"{name} has {found} {group} pictures"
    return f"{counted} on disk, {published} were published"


def _count(records: Sequence[ImageRecord]) -> Counts:
    spectra = Counter(record.modality.value for record in records)
    cameras = Counter(record.camera for record in records if record.camera is not None)
    tracklets = {record.tracklet for record in records} - {None}
    counts = Counts(identities=len({record.identity for record in records}))
    if tracklets:
        counts["tracklets"] = len(tracklets)
    counts["spectra"] = dict(sorted(spectra.items()))
    counts["cameras"] = dict(sorted(cameras.items()))
    return counts
