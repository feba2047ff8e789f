"""RGBNT201: 201 people at four places, each instant in visible, near-infrared and thermal pictures.

    {train_171,test}/{RGB,NI,TI}/000258_cam1_0_00.jpg     the same name in the three folders
    idx/{train,test}_{R,N,T}.txt                          a path and a label on every line

Both NI and TI are infrared; their cameras are called `cam1 near` and `cam1 thermal`. The lists are
those of the cross-spectrum split; without them, all pictures of the two folders are taken. Pictures
of one name show one instant (`moment`), so a gallery holds the query's own: the protocols of this
set hide it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

from vireid.datasets import Dataset
from vireid.datasets._files import (
    Tree,
    identity_of,
    lines_of,
    need,
    need_root,
    number_of,
    parts_of,
    refuse,
    refuse_people_in_both,
)
from vireid.datasets._idx_lists import Listed, refuse_mixed_labels
from vireid.errors import VireidError
from vireid.records import ImageRecord, Modality

HALVES = {"train": "train_171", "test": "test"}
SPECTRA = {
    "R": ("RGB", Modality.VISIBLE, ""),
    "N": ("NI", Modality.INFRARED, " near"),
    "T": ("TI", Modality.INFRARED, " thermal"),
}
"""Letter in the lists' names: folder, spectrum, and what is added to a camera's name."""
NAME = re.compile(r"(\d{6})_cam(\d)_", re.ASCII | re.IGNORECASE)
FACTS = {
    "title": "RGBNT201",
    "url": "https://github.com/ziwang1121/IEEE",
    "licence": "none stated",
    "terms": "nobody has said what may be done with it; ask its authors first",
    "obtain": "download it from the address in issue 3 of its page, and the cross-spectrum lists "
    "(idx) from that in issue 4; no form",
    "citation": "Zheng, Wang, Chen, Li, Tang: Robust Multi-Modality Person Re-identification, "
    "AAAI 2021",
    "counts": {"train": {"identities": 171}, "test": {"identities": 30}},
}


def read(root: Path | None = None) -> Dataset:
    """Read RGBNT201: 171 people to learn from, 30 to score on.

    Raises:
        VireidError: A folder or a picture is missing, also if only in one spectrum, a name tells
            no person, a list contradicts itself, or someone is in both halves.
    """
    root = need_root("rgbnt201", root, FACTS)
    tree = Tree(root)
    folders = [f"{half}/{folder}" for half in HALVES.values() for folder, *_ in SPECTRA.values()]
    need("RGBNT201", tree, folders, "train_171 and test")
    train, test = (tuple(_half(tree, half)) for half in HALVES)
    refuse_people_in_both(root, (r.identity for r in train), (r.identity for r in test))
    return Dataset("rgbnt201", root, train=train, validation=(), test=test, facts=FACTS)


def _half(tree: Tree, half: str) -> Iterator[ImageRecord]:
    """Yield the pictures of one half, by spectrum."""
    lists = {letter: tree.find("idx", f"{half}_{letter}.txt") for letter in SPECTRA}
    if absent := [f"idx/{half}_{letter}.txt" for letter, path in lists.items() if not path]:
        if len(absent) < len(lists):
            raise VireidError(
                f"{tree.root} is not a whole RGBNT201 folder: {', '.join(absent)} not found; "
                "take all lists of the split, or none"
            )
        yield from _whole_half(tree, half)
        return
    found = {letter: list(_listed(tree, half, letter, p)) for letter, p in lists.items() if p}
    refuse_mixed_labels(tree.root / "idx", [each for of in found.values() for each in of])
    for of_one in found.values():
        yield from (each.record for each in of_one)


def _whole_half(tree: Tree, half: str) -> Iterator[ImageRecord]:
    names = {
        letter: {path.stem.casefold(): path for path in tree.pictures(HALVES[half], folder)}
        for letter, (folder, *_) in SPECTRA.items()
    }
    everything = sorted(set().union(*names.values()))
    missing = [
        f"{HALVES[half]}/{SPECTRA[letter][0]}/{name}"
        for letter, of_one in names.items()
        for name in everything
        if name not in of_one
    ]
    place = tree.root / HALVES[half]
    refuse(
        place,
        "pictures are there in another spectrum only and so are not there",
        missing,
        "unpack the data set again",
    )
    for letter, of_one in names.items():
        yield from (_record(of_one[name], letter, str(of_one[name])) for name in everything)


def _listed(tree: Tree, half: str, letter: str, path: Path) -> Iterator[Listed]:
    """Yield the pictures that a list names, whatever folders it writes before their names."""
    missing, again, seen = list[str](), list[str](), dict[str, int]()
    for number, line in lines_of(path):
        name, _, label = line.replace("\t", " ").rpartition(" ")
        where = f"{path}, line {number}"
        if not name.strip() or number_of(label) is None:
            raise VireidError(f"{where}: '{line}' is not '<path> <label>'; take the published list")
        name = parts_of(name.strip())[-1]
        first = seen.setdefault(name.casefold(), number)
        if first < number:
            again.append(f"line {number}, as in line {first}: {line}")
        picture = tree.picture(HALVES[half], SPECTRA[letter][0], name)
        if picture is None:
            missing.append(f"line {number}: {HALVES[half]}/{SPECTRA[letter][0]}/{name}")
        else:
            yield Listed(_record(picture, letter, where), int(label))
    refuse(path, "pictures are listed twice", again, "take the published list")
    refuse(path, "listed pictures are not there", missing, "unpack the data set again")


def _record(path: Path, letter: str, where: str) -> ImageRecord:
    """Return what the name of a picture tells.

    Raises:
        VireidError: It tells no person and no camera.
    """
    told = NAME.match(path.name)
    if told is None:
        raise VireidError(
            f"{where}: {path.name} is not 000258_cam1_….jpg; unpack the data set again"
        )
    _, modality, suffix = SPECTRA[letter]
    camera = f"cam{told[2]}{suffix}"
    # Equal for the three pictures of a name, and no other.
    moment = crc32(path.stem.casefold().encode())
    return ImageRecord(path, modality, identity_of(told[1], where), camera, moment=moment)
