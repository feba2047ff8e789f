"""RegDB: 412 people, ten visible and ten thermal pictures each, in ten splits into halves.

    Visible/<identity>/*.bmp   Thermal/<identity>/*.bmp
    idx/{train,test}_{visible,thermal}_{1..10}.txt      a path and a label on every line

Each trial is another split *and needs a model of its own*: a model trained on split 1 and scored on
split 2 would be scored on people it has learnt from. The splits come with the copy that the AGW
authors hand out.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from vireid.datasets import Dataset
from vireid.datasets._files import Tree, need, need_root, refuse, refuse_people_in_both
from vireid.datasets._idx_lists import Listed, read_idx_list, refuse_mixed_labels
from vireid.records import ImageRecord, Modality

TRIALS = range(1, 11)
FOLDERS = {Modality.VISIBLE: "Visible", Modality.INFRARED: "Thermal"}
NUMBERED = re.compile(r"_[vt]_(\d{1,18})_", re.ASCII)
"""Number of a picture in its name: the visible and the thermal one that share it show a moment."""
HALF = {"identities": 206, "spectra": {"visible": 2060, "infrared": 2060}}
FACTS = {
    "title": "RegDB",
    "url": "http://dm.dongguk.edu/link.html",
    "licence": "academic use, by signed agreement with its authors",
    "obtain": "ask for DBPerson-Recog-DB1 on its page; the ten splits come with the copy that "
    "https://github.com/mangye16/Cross-Modal-Re-ID-baseline tells how to ask for",
    "citation": "Nguyen, Hong, Kim, Park: Person Recognition System Based on a Combination of Body "
    "Images from Visible Light and Thermal Cameras, Sensors 17 (3) 605, 2017",
    "counts": {"train": HALF, "test": HALF},
}


def read(root: Path | None = None, trial: int = 1) -> Dataset:
    """Read one split of RegDB: 206 people to train, 206 to test.

    Raises:
        VireidError: A list or a picture is missing, a list names a picture twice or in the wrong
            spectrum, people have unequal numbers of pictures, or someone is in both halves.
    """
    root = need_root("regdb", root, FACTS)
    tree = Tree(root)
    names = {
        (half, modality): f"idx/{half}_{folder.lower()}_{trial}.txt"
        for half in ("train", "test")
        for modality, folder in FOLDERS.items()
    }
    need("RegDB", tree, [*FOLDERS.values(), *names.values()], "Visible, Thermal and idx")
    halves = {
        half: _half(tree, {modality: names[half, modality] for modality in FOLDERS})
        for half in ("train", "test")
    }
    train, test = halves["train"], halves["test"]
    refuse_people_in_both(root, (r.identity for r in train), (r.identity for r in test))
    return Dataset(
        name="regdb", root=root, train=train, validation=(), test=test, facts=FACTS, trial=trial
    )


def _half(tree: Tree, names: Mapping[Modality, str]) -> tuple[ImageRecord, ...]:
    """Return the records of one half of a split, in both spectra."""
    listed: list[Listed] = []
    for modality, name in names.items():
        listed += read_idx_list(tree, name, FOLDERS[modality], modality)
    first = tree.root / names[Modality.VISIBLE]
    refuse_mixed_labels(first, listed)
    records = tuple(replace(r, moment=_moment_of(r.path)) for r in (e.record for e in listed))
    _refuse_unequal(first, records)
    return records


def _moment_of(path: Path) -> int | None:
    numbered = NUMBERED.search(path.name.casefold())
    return int(numbered[1]) if numbered else None


def _refuse_unequal(path: Path, records: tuple[ImageRecord, ...]) -> None:
    """Check that all people have equally many pictures in each spectrum (published: 10)."""
    counts = Counter((record.identity, record.modality) for record in records)
    usual = Counter(counts.values()).most_common(1)[0][0] if counts else 0
    unequal = [
        f"person {identity}: {counts[identity, modality]} {modality}, others have {usual}"
        for identity in sorted({identity or 0 for identity, _ in counts})
        for modality in Modality
        if counts[identity, modality] != usual
    ]
    refuse(path, "people have too few or too many pictures", unequal, "take the published lists")
