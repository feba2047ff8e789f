"""KAIST: 95,000 visible and thermal pictures from a car, with people followed through each video.

    images/set00/V000/{visible,lwir}/I00000.jpg           sets 00 to 05 to learn from, 06 to 11 test
    annotations-vbb/set00/V000.vbb                        boxes of both pictures, with tracks
    annotations_paired/set00/V000/{visible,lwir}/I00000.txt    boxes of each spectrum, no tracks

Where a frame has both, people keep the name of their track and each spectrum its own box. Only
objects called `person` are people: `people` are several, `person?` may be none.
"""

import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vireid.datasets._files import Tree, Unusable, lines_of
from vireid.errors import MissingExtraError, VireidError
from vireid.files.untrusted import content_of
from vireid.records import Modality
from vireid.video.boxes import MOST_OF_BOXES, Detection, Sides
from vireid.video.sets import Group, Instant, Scene, inner_root, need, of_both, paired_people, twins

FACTS = {
    "title": "KAIST Multispectral Pedestrian",
    "url": "https://github.com/SoonminHwang/rgbt-ped-detection",
    "licence": "CC BY-NC-SA 4.0",
    "terms": "not for commerce; share alike, with the authors' names. Weights learnt on it are not "
    "for commerce either",
    "obtain": "its own links are dead since 2025; its licence allows the mirrors that its issues "
    "name. Tracks are in annotations-vbb, boxes of each spectrum in annotations_paired",
    "citation": "Hwang, Park, Kim, Choi, Kweon: Multispectral Pedestrian Detection: Benchmark "
    "Dataset and Baseline, CVPR 2015",
}
RATE = 20.0
"""Frames a second."""
SPELLINGS = {
    Modality.VISIBLE: ("visible", "rgb", "vis"),
    Modality.INFRARED: ("lwir", "infrared", "thermal"),
}
TRACKS = ("annotations-vbb", "annotations_vbb", "annotations")
BOXES = ("annotations_paired", "annotations-paired")
PERSON = "person"
TEST_FROM = 6
"""First set of the test group."""


def read(root: Path) -> Iterator[Scene]:
    """Read videos one after the other.

    Raises:
        VireidError: A folder is missing, or there is no set00/V000 in it.
    """
    tree = inner_root(root, "images")
    need(FACTS, tree, ("images",), (*TRACKS, *BOXES))
    found = False
    for of_set in tree.folders("images"):
        if re.fullmatch(r"set\d\d", of_set.name, re.IGNORECASE):
            for video in tree.folders("images", of_set.name):
                found = True
                yield _scene(tree, of_set.name, video.name)
    if not found:
        raise VireidError(f"{tree.root}/images holds no set00/V000, as KAIST has them")


def _scene(tree: Tree, of_set: str, video: str) -> Scene:
    group: Group = "test" if int(of_set[3:]) >= TEST_FROM else "train"
    pictures = {
        modality: next(
            filter(None, (tree.pictures("images", of_set, video, name) for name in names)), []
        )
        for modality, names in SPELLINGS.items()
    }
    pairs, alone = twins(f"{of_set}/{video}", *pictures.values())
    unusable = list(alone)
    listed = next(filter(None, (tree.find(n, of_set, f"{video}.vbb") for n in TRACKS)), None)
    tracks = _tracks(listed, unusable) if listed else {}
    instants, own = list[Instant](), False
    for visible, infrared in pairs:
        number = int(digits[0]) if (digits := re.findall(r"\d+$", visible.stem)) else -1
        if number < 0:
            unusable.append(Unusable(str(visible), "its name has no number, such as I00000"))
            continue
        boxes = _boxes(tree, of_set, video, visible.stem, unusable)
        people = _people(tracks.get(number, []), boxes, number, followed=listed is not None)
        own = own or boxes is not None
        both = {Modality.VISIBLE: visible, Modality.INFRARED: infrared}
        instants.append(Instant(number, number / RATE, both, people))
    return Scene(
        f"{of_set}/{video}",
        of_set,
        group,
        instants,
        own_boxes=own,
        is_followed=listed is not None,
        unusable=tuple(unusable),
    )


def _people(
    tracked: list[Detection],
    boxes: Mapping[Modality, list[Detection]] | None,
    number: int,
    *,
    followed: bool,
) -> Mapping[Modality, list[Detection]]:
    """Return the people of a frame: named by tracks, with each spectrum's own boxes if known."""
    if boxes is None:
        return {modality: list(people) for modality, people in of_both(tracked).items()}
    if not followed:
        return {
            modality: [replace(box, track=f"{number}-{line}") for line, box in enumerate(of)]
            for modality, of in boxes.items()
        }
    found: dict[Modality, list[Detection]] = {modality: [] for modality in Modality}
    for track, line in paired_people(tracked, boxes[Modality.INFRARED], 0.5):
        for modality in Modality:
            found[modality].append(replace(boxes[modality][line], track=tracked[track].track))
    return found


def _boxes(
    tree: Tree, of_set: str, video: str, stem: str, unusable: list[Unusable]
) -> dict[Modality, list[Detection]] | None:
    """Return the boxes of each spectrum, the same people in the same places; None if unknown."""
    found = dict[Modality, list[Detection | None]]()
    for modality, names in SPELLINGS.items():
        places = (tree.find(n, of_set, video, s, f"{stem}.txt") for n in BOXES for s in names)
        path = next(filter(None, places), None)
        if path is None:
            return None
        found[modality] = [_line(line) for _, line in lines_of(path) if not line.startswith("%")]
    visible, infrared = found.values()
    if len(visible) != len(infrared):
        where = f"{of_set}/{video}/{stem}"
        counts = f"{len(visible)} visible and {len(infrared)} infrared"
        unusable.append(Unusable(where, f"its lists have {counts} lines, so none has a twin"))
        return None
    both = [pair for pair in zip(visible, infrared, strict=True) if None not in pair]
    return {m: [p[place] for p in both if p[place]] for place, m in enumerate(found)}  # type: ignore[misc]


def _line(line: str) -> Detection | None:
    """Return the box of a line `person x y w h occ …`, which counts from 1; None for no person."""
    kind, *numbers = line.split()
    try:
        sides = _sides([float(number) for number in numbers[:4]])
    except ValueError:
        return None
    return Detection(sides) if kind == PERSON and sides else None


def _sides(position: list[float]) -> Sides | None:
    """Return a box from its corner, counted from 1, and its size; None if it is none."""
    if len(position) != 4 or not all(map(math.isfinite, position)) or min(position[2:]) <= 0:
        return None
    left, top, width, height = position
    return left - 1, top - 1, left - 1 + width, top - 1 + height


def _tracks(path: Path, unusable: list[Unusable]) -> dict[int, list[Detection]]:
    """Return the people of each frame from a list of Piotr Dollar's toolbox (.vbb)."""
    try:
        from scipy.io import loadmat
    except ModuleNotFoundError as error:
        raise MissingExtraError("scipy", "video") from error
    try:
        whole = loadmat(io.BytesIO(content_of(path, MOST_OF_BOXES)))["A"][0][0]
        labels = [str(_first(label)) for label in whole[4][0]]
        return dict(_of_frames(whole[1][0], labels))
    except Exception as error:  # SciPy raises almost anything on a damaged file
        unusable.append(Unusable(str(path), f"it is no list of tracks ({shown(error)})"))
        return {}


def shown(error: Exception) -> str:
    """Return what an error says, in one line."""
    return (str(error) or type(error).__name__).partition("\n")[0][:100]


def _of_frames(frames: Any, labels: list[str]) -> Iterator[tuple[int, list[Detection]]]:
    for number, objects in enumerate(frames):
        people = list[Detection]()
        for each in objects.ravel() if objects.size else ():
            track = int(_first(each["id"]))
            sides = _sides([float(side) for side in each["pos"].ravel()])
            if labels[track - 1] == PERSON and sides:
                people.append(Detection(sides, track=str(track)))
        yield number, people


def _first(cell: Any) -> Any:
    """Return the only value in a nest of arrays, as MATLAB saves each number and text."""
    while hasattr(cell, "ravel") and getattr(cell, "size", False):
        flat = cell.ravel()
        if flat.dtype != object and flat.size == 1:
            return flat[0]
        cell = flat[0]
    return cell
