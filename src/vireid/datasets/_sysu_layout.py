"""The folder layout of SYSU-MM01, which NightWalk uses as well.

    cam1 .. cam6/<identity, 4 digits>/<frame>.jpg     cameras 3 and 6 are infrared
    exp/train_id.txt  val_id.txt  test_id.txt         one line of integers with commas
    exp/rand_perm_cam.mat                             permutations that draw the official galleries

Source: README of https://github.com/wuancong/SYSU-MM01.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from vireid.datasets import Dataset
from vireid.datasets._files import PICTURES, identity_of, lines_of
from vireid.errors import VireidError
from vireid.records import ImageRecord, Modality

MODALITIES = {
    "cam1": Modality.VISIBLE,
    "cam2": Modality.VISIBLE,
    "cam3": Modality.INFRARED,
    "cam4": Modality.VISIBLE,
    "cam5": Modality.VISIBLE,
    "cam6": Modality.INFRARED,
}
ID_FILES = {"train": "train_id.txt", "validation": "val_id.txt", "test": "test_id.txt"}


def read_folder(name: str, root: Path, facts: Mapping[str, object]) -> Dataset:
    """List the pictures of all people named in `exp/`, by identity, then camera, then file name.

    Raises:
        VireidError: a camera folder, an id file or every folder of a person is missing, an id
            file cannot be understood or names a person of another, or there is no picture at all.
    """
    _check_folders(name, root)
    people = {group: _read_ids(root / "exp" / file) for group, file in ID_FILES.items()}
    _check_disjoint(root, people)
    groups = {group: tuple(_records(root, ids)) for group, ids in people.items()}
    if not any(groups.values()):
        raise VireidError(
            f"{root} has no pictures of the people in its exp/ folder; is it unpacked?"
        )
    _check_everyone_is_there(root, people, groups)
    return Dataset(
        name=name,
        root=root,
        train=groups["train"],
        validation=groups["validation"],
        test=groups["test"],
        facts=facts,
    )


def _check_folders(name: str, root: Path) -> None:
    wanted = [*MODALITIES, *(f"exp/{file}" for file in ID_FILES.values())]
    missing = [part for part in wanted if not (root / part).exists()]
    if missing:
        raise VireidError(
            f"{root} is not a {name} folder: {', '.join(missing)} not found; "
            "give the folder that holds cam1 .. cam6 and exp"
        )


def _read_ids(path: Path) -> list[int]:
    """Return the identities in a file such as `6,10,17`, in rising order."""
    words = [word for _, line in lines_of(path) for word in line.replace(",", " ").split()]
    return sorted({identity_of(word, str(path)) for word in words})


def _check_disjoint(root: Path, people: Mapping[str, list[int]]) -> None:
    seen: dict[int, str] = {}
    for group, ids in people.items():
        for identity in ids:
            if identity in seen:
                raise VireidError(
                    f"{root}/exp: identity {identity} is in {ID_FILES[seen[identity]]} and in "
                    f"{ID_FILES[group]}; nobody may be both learnt from and scored on"
                )
            seen[identity] = group


def _records(root: Path, identities: list[int]) -> Iterator[ImageRecord]:
    for identity in identities:
        for camera, modality in MODALITIES.items():
            folder = root / camera / f"{identity:04d}"
            for path in _pictures(folder) if folder.is_dir() else ():
                yield ImageRecord(path, modality, identity, camera)


def _pictures(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURES and not path.name.startswith(".")
    )


def _check_everyone_is_there(
    root: Path, people: Mapping[str, list[int]], groups: Mapping[str, tuple[ImageRecord, ...]]
) -> None:
    """Check that everyone in an id file is on a picture, in at least one spectrum."""
    for group, ids in people.items():
        missing = sorted(set(ids) - {record.identity for record in groups[group]})
        if missing:
            raise VireidError(
                f"{root}: {len(missing)} of the {len(ids)} people in exp/{ID_FILES[group]} have no "
                f"picture in any camera folder, first {missing[0]:04d}; unpack the data set again"
            )
