"""Data sets: who is on which picture, who is learnt from and who is scored on; no pixels.

A data set is a module of this package with a function `read(root=None) -> Dataset`; its file name
is the data set's name. One that was published with several splits names them in `TRIALS` and takes
the number of one, `read(root=None, trial=1)`. One that knows what people look like has a function
`people(root)` that tells it by identity, and one that leaves files out a function `left_out(root)`
that lists them. Modules whose name begins with an underscore are no data
sets but what several of them share.

A data set can also live in a file of one's own or in another package: see `vireid.user_code`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, cast

from vireid import user_code
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
    """What was published about it: title, url, licence, how to obtain it, citation; `counts`, of
    the form of the property of this name. `remarks`: lines to tell with every
    score."""
    trial: int | None = None
    """Which of several published splits this is (RegDB: 1 to 10); None where there is one."""
    test_queries: tuple[ImageRecord, ...] | None = None
    """Test pictures to search with, where the authors list them; None: all."""
    test_gallery: tuple[ImageRecord, ...] | None = None
    """Test pictures to search in, likewise."""

    @property
    def splits(self) -> dict[str, tuple[ImageRecord, ...]]:
        """The three groups by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def label(self) -> str:
        """The name, and the split where there are several: equal for the same people."""
        return self.name if self.trial is None else f"{self.name} trial {self.trial}"

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """People, pictures by spectrum and camera, tracklets, found on disk for every group."""
        return {name: _count(records) for name, records in self.splits.items()}

    @property
    def differences(self) -> tuple[str, ...]:
        """What to tell with every score: where copies differ, and what was left out."""
        found = self.counts
        remarks = cast("Sequence[str]", self.facts.get("remarks", ()))
        return *remarks, *(
            _difference(group, what, found[group].get(what, 0), count)
            for group, counts in self._published.items()
            for what, count in counts.items()
            if found[group].get(what, 0) != count
        )

    @property
    def _published(self) -> Mapping[str, Mapping[str, int]]:
        return cast("Mapping[str, Mapping[str, int]]", self.facts.get("counts", {}))


def available() -> list[str]:
    """The names that `read` knows."""
    return sorted(module.name for module in iter_modules(__path__) if module.name[0] != "_")


def read(name: str, root: Path | str | None = None, trial: int | None = None) -> Dataset:
    """Find the pictures of a data set on disk.

    Args:
        name: one of `available()`; or user code, which this runs.
        root: its folder; may be left out for data sets that come with vireid.
        trial: which split, for data sets that were published with several; by default the first.

    Raises:
        VireidError: there is no such data set or split, or its folder is not as it should be.
    """
    module = _module(name)
    splits = trials(name)
    if trial is not None and trial not in splits:
        there = f"trials {splits[0]} to {splits[-1]}" if splits else "one split, without a number"
        raise VireidError(f"there is no trial {trial} of {name}; it has {there}")
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
    """What was published about a data set, whether or not it is on disk; nothing about `folder`.

    Raises:
        VireidError: there is no such data set.
    """
    found: Mapping[str, object] = getattr(_module(name), "FACTS", {})
    return found


def description(name: str) -> str:
    """Return the first line that the file of a data set says about it.

    Raises:
        VireidError: there is no such data set.
    """
    return (_module(name).__doc__ or "").strip().partition("\n")[0]


def trials(name: str) -> Sequence[int]:
    """The numbers of the splits that a data set was published with; empty where there is one.

    Raises:
        VireidError: there is no such data set.
    """
    found: Sequence[int] = getattr(_module(name), "TRIALS", ())
    return found


def people(name: str, root: Path) -> Mapping[int, Mapping[str, Any]]:
    """What is known about the people of a data set, by identity; empty where it does not tell.

    Args:
        name: what `read` takes.
        root: the folder of the data set.

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
    """A data set of one's own is called what it is asked for by, and nothing else is called so."""
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
        close = get_close_matches(name, available(), n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise VireidError(f"no data set '{name}'{hint} (there are: {', '.join(available())})")
    return import_module(f"{__name__}.{name}")


def _difference(group: str, what: str, found: int, published: int) -> str:
    if what in ("identities", "tracklets"):
        return f"{found} {group} {what} on disk, {published} were published"
    return f"{what} has {found} {group} pictures on disk, {published} were published"


def _count(records: Sequence[ImageRecord]) -> dict[str, int]:
    modalities = Counter(record.modality.value for record in records)
    cameras = Counter(record.camera for record in records if record.camera is not None)
    tracklets = {record.tracklet for record in records} - {None}
    return {
        "identities": len({record.identity for record in records}),
        **({"tracklets": len(tracklets)} if tracklets else {}),
        **dict(sorted({**cameras, **modalities}.items())),
    }
