"""Sets of frames in two spectra, with boxes of people: what `vireid data cut` reads.

A set is a module of this package with

* `FACTS`: what its authors say of it: title, url, licence, terms (what may be done with it), how to
  obtain it, citation
* `read(root) -> Iterator[Scene]`: the videos of a set, or its places, one after the other

Nothing of a picture is read here but its name; `vireid.video.set_cutting` cuts people out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Literal

import numpy as np

from vireid.datasets._files import Tree, Unusable
from vireid.errors import VireidError, suggestion
from vireid.records import Modality
from vireid.video.box_overlap import overlaps
from vireid.video.boxes import Detection

Group = Literal["train", "validation", "test"]
LEAST_OVERLAP = 0.3
"""Least overlap (IoU) of one person's boxes in the two spectra, where each has its own."""


@dataclass(frozen=True)
class Instant:
    """Two pictures of one instant, one in each spectrum, and the people on them."""

    number: int
    """Place among the frames of its scene, from 0."""
    seconds: float | None
    """Time since the first frame of the scene; None where nothing tells it."""
    pictures: Mapping[Modality, Path]
    people: Mapping[Modality, Sequence[Detection]]
    """People in each picture. `Detection.track` names the person: the same in both spectra."""


@dataclass(frozen=True)
class Scene:
    """A video, or the pictures that one camera took at one place."""

    name: str
    """Name, unique in the set: `set00/V000`."""
    place: str
    """Name of the place, which several videos may share."""
    group: Group
    instants: Sequence[Instant]
    own_boxes: bool = False
    """Whether each spectrum has boxes of its own; otherwise one box is that of both pictures."""
    is_followed: bool = True
    """Whether people keep their names from one instant to the next."""
    unusable: Sequence[Unusable] = field(default=())
    notes: Sequence[str] = field(default=())


def available() -> list[str]:
    """Return the names of the sets."""
    return sorted(module.name for module in iter_modules(__path__) if module.name[0] != "_")


def facts(name: str) -> Mapping[str, str]:
    """Return what the authors of a set say of it.

    Raises:
        VireidError: There is no such set.
    """
    found: Mapping[str, str] = _module(name).FACTS
    return found


def description(name: str) -> str:
    """Return the first line of the documentation of a set.

    Raises:
        VireidError: There is no such set.
    """
    return (_module(name).__doc__ or "").strip().partition("\n")[0]


def read(name: str, root: Path) -> Iterator[Scene]:
    """Read the scenes of a set, one after the other.

    Args:
        name: Name of the set.
        root: Its folder.

    Raises:
        VireidError: There is no such set, or the folder is not laid out as it is.
    """
    module = _module(name)
    if not root.is_dir():
        raise VireidError(f"{root} is no folder; unpack {module.FACTS['title']} and give its root")
    scenes: Iterator[Scene] = module.read(root)
    return scenes


def _module(name: str) -> ModuleType:
    name = name.lower().replace("-", "_")
    if name not in available():
        raise VireidError(
            f"there is no set of frames '{name}'; {suggestion(name, available())} (pictures "
            "that are cut out already need no cutting: --dataset folder reads them)"
        )
    return import_module(f"{__name__}.{name}")


def inner_root(root: Path, *wanted: str) -> Tree:
    """Return the folder that holds some folders: the root, or the one folder in it that does.

    Archives are unpacked with and without the folder that they were made of.
    """
    places = [root, *(path for path in sorted(root.iterdir()) if path.is_dir())]
    trees = map(Tree, places)
    return next((tree for tree in trees if all(tree.find(name) for name in wanted)), Tree(root))


def need(facts: Mapping[str, str], tree: Tree, *wanted: Sequence[str]) -> None:
    """Check that a set has its folders, each in one of several spellings.

    Raises:
        VireidError: One is missing, as when a download was cut off.
    """
    missing = [names[0] for names in wanted if not any(map(tree.find, names))]
    if missing:
        raise VireidError(
            f"{tree.root} is not a whole {facts['title']} folder: {', '.join(missing)} not found; "
            f"how to get it: {facts['obtain']} ({facts['url']})"
        )


def twins(
    scene: str, visible: Sequence[Path], infrared: Sequence[Path]
) -> tuple[list[tuple[Path, Path]], list[Unusable]]:
    """Return the pictures of the same name in both spectra, and those without their twin."""
    by_name = [{path.stem.casefold(): path for path in paths} for paths in (visible, infrared)]
    both = sorted(by_name[0].keys() & by_name[1].keys())
    alone = [
        Unusable(str(path), f"frame of {scene} without its twin in the other spectrum")
        for one, other in (by_name, by_name[::-1])
        for name, path in sorted(one.items())
        if name not in other
    ]
    return [(by_name[0][name], by_name[1][name]) for name in both], alone


def paired_people(
    visible: Sequence[Detection], infrared: Sequence[Detection], least: float = LEAST_OVERLAP
) -> list[tuple[int, int]]:
    """Return the places of boxes in two lists that show one person: those that overlap most."""
    if not visible or not infrared:
        return []
    one, other = (np.array([each.sides for each in of]) for of in (visible, infrared))
    shares = overlaps(one, other)
    pairs = list[tuple[int, int]]()
    while shares.max() >= least:
        row, column = np.unravel_index(int(shares.argmax()), shares.shape)
        pairs.append((int(row), int(column)))
        shares[row], shares[:, column] = -1, -1
    return pairs


def of_both(people: Sequence[Detection]) -> dict[Modality, Sequence[Detection]]:
    """Return boxes that are those of both pictures."""
    return dict.fromkeys(Modality, people)
