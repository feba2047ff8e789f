"""Lists of pictures as RegDB and LLCM have them: a path and a label from 0 on every line.

Visible/1/female_back_v_00011_1.bmp 0
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vireid.datasets._files import Tree, identity_of, lines_of, number_of, parts_of, refuse
from vireid.errors import VireidError
from vireid.records import ImageRecord, Modality, is_number


@dataclass(frozen=True)
class Listed:
    """A line of a list whose picture exists."""

    record: ImageRecord
    label: int


def read_idx_list(tree: Tree, name: str, folder: str, modality: Modality) -> list[Listed]:
    """Return the pictures that a list names by `folder/<identity>/<file>`, in its order.

    Args:
        tree: Tree of the data set's root.
        name: Path of the list below the root.
        folder: Folder with which all paths of the list begin.
        modality: Modality of the pictures in that folder.

    Raises:
        VireidError: A line that is none, a path in another folder, twice, or without a file.
    """
    path = tree.find(*parts_of(name))
    if path is None:
        raise VireidError(f"{tree.root / name} is missing; unpack the data set again")
    listed, missing, again, seen = [], [], [], dict[tuple[str, ...], int]()
    for number, line in lines_of(path):
        where = f"{path}, line {number}"
        parts, label = _parsed(line, folder, where)
        first = seen.setdefault(tuple(part.casefold() for part in parts), number)
        if first < number:
            again.append(f"line {number}, as in line {first}: {line}")
        picture = tree.picture(*parts)
        if picture is None:
            missing.append(f"line {number}: {'/'.join(parts)}")
        else:
            identity = identity_of(parts[1], where)
            camera = _camera(parts)
            listed.append(Listed(ImageRecord(picture, modality, identity, camera), label))
    refuse(path, "pictures are listed twice", again, "take the published list")
    refuse(path, "listed pictures are not there", missing, "unpack the data set again")
    return listed


def refuse_mixed_labels(path: Path, listed: Iterable[Listed]) -> None:
    """Check that each label is one person, and each person one label, in both spectra.

    Raises:
        VireidError: They contradict; then a list belongs to another copy of the data set.
    """
    pairs = {(each.record.identity, each.label) for each in listed}
    by_identity: dict[int | None, set[int]] = {}
    by_label: dict[int, set[int | None]] = {}
    for identity, label in pairs:
        by_identity.setdefault(identity, set()).add(label)
        by_label.setdefault(label, set()).add(identity)
    mixed = [f"person {k} has labels {sorted(v)}" for k, v in by_identity.items() if len(v) > 1]
    mixed += [
        f"label {k} is persons {sorted(map(str, v))}" for k, v in by_label.items() if len(v) > 1
    ]
    refuse(path, "labels contradict the folders", sorted(mixed), "take the published lists")


def _parsed(line: str, folder: str, where: str) -> tuple[tuple[str, ...], int]:
    path, _, label = line.replace("\t", " ").rpartition(" ")
    parts = parts_of(path.strip())
    number = number_of(label)
    if number is None or len(parts) != 3:
        raise VireidError(
            f"{where}: '{line}' is not '{folder}/<identity>/<file> <label>'; "
            "take the published list"
        )
    if parts[0].casefold() != folder.casefold():
        raise VireidError(
            f"{where} names a picture in '{parts[0]}', but this list is of '{folder}'; "
            "take the published list"
        )
    return parts, number


def _camera(parts: tuple[str, ...]) -> str:
    """Return LLCM's camera from a file name, `0001_c3_s1_f1_vis.jpg`; for RegDB, the folder."""
    words = parts[-1].casefold().split("_")
    numbers = [word[1:] for word in words[1:] if word[:1] == "c" and is_number(word[1:])]
    return f"cam{int(numbers[0])}" if numbers else parts[0]
