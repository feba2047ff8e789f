"""Frames and boxes of your own: CSV, COCO, MOT, YOLO or VOC.

    visible/gate/0001.png   infrared/gate/0001.png      the same name at the same instant
    boxes.csv                                           boxes of both pictures, or
    visible.csv   infrared.csv                          boxes of each spectrum

Each folder in visible/ is a scene; frames may also lie in visible/ itself. A list is any that
`vireid cut --boxes` reads: .csv, .json, .txt (MOT) or a folder called boxes. Frames are named by
their paths below visible/, or by their numbers. If boxes name tracks, those are people; if not,
nobody is followed, and boxes of the two spectra are one person where they overlap.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from vireid.datasets._files import Tree, Unusable
from vireid.datasets._listing import pictures_below
from vireid.errors import VireidError
from vireid.records import Modality
from vireid.video.boxes import BoxList, Detection, boxes_of, names_of
from vireid.video.frames import natural
from vireid.video.sets import Instant, Scene, paired_people, twins

FACTS = {
    "title": "Frames and boxes of your own",
    "url": "docs/data.md",
    "licence": "yours",
    "terms": "the people on them have to have agreed",
    "obtain": "put frames into visible/ and infrared/, and boxes.csv beside them",
    "citation": "",
}
SUFFIXES = ("csv", "tsv", "json", "txt", "xml")
RATE = 25.0
"""Frames a second, of which lists of numbered frames say nothing."""


def read(root: Path) -> Iterator[Scene]:
    """Read the frames, a scene for each folder of them.

    Raises:
        VireidError: A folder or the list of boxes is missing, or the list cannot be read.
    """
    tree = Tree(root)
    folders = {modality: tree.find(modality.value) for modality in Modality}
    for modality, folder in folders.items():
        if folder is None:
            raise VireidError(f"{root} has no folder {modality}; {FACTS['obtain']}")
    lists = _lists(tree)
    scenes = {m: _by_folder(folder) for m, folder in folders.items() if folder}
    for name in sorted(set().union(*scenes.values())):
        pairs, alone = twins(name, *(scenes[m].get(name, []) for m in Modality))
        yield _scene(name or root.name, pairs, alone, lists)
    left_out = list[Unusable]()
    for listed in {id(each): each for each in lists.values()}.values():
        left_out += listed.unusable
        if missed := listed.never_met():
            shown = ", ".join(map(str, missed[:3]))
            reason = f"{len(missed)} frames of its list of boxes are not there: {shown}, …"
            left_out.append(Unusable(str(root), reason))
    yield Scene("lists of boxes", "", "test", (), unusable=tuple(left_out))


def _lists(tree: Tree) -> Mapping[Modality, BoxList]:
    """Return the boxes of each spectrum; the same object where one list is that of both."""
    both = _list(tree, "boxes")
    each = {modality: _list(tree, modality.value) or both for modality in Modality}
    found = {modality: path for modality, path in each.items() if path}
    if len(found) < len(each):
        raise VireidError(
            f"{tree.root} has no boxes: neither boxes.csv nor visible.csv and infrared.csv "
            f"(nor one of {', '.join(SUFFIXES[1:])}); {FACTS['obtain']}"
        )
    read = {path: boxes_of(path) for path in dict.fromkeys(found.values())}
    return {modality: read[path] for modality, path in found.items()}


def _list(tree: Tree, name: str) -> Path | None:
    files = (tree.find(f"{name}.{suffix}") for suffix in SUFFIXES)
    return next(filter(None, files), tree.find(name) if name == "boxes" else None)


def _by_folder(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(pictures_below(folder).pictures, key=natural):
        found.setdefault(path.parent.relative_to(folder).as_posix(), []).append(path)
    return {("" if name == "." else name): paths for name, paths in found.items()}


def _scene(
    name: str,
    pairs: list[tuple[Path, Path]],
    alone: Sequence[Unusable],
    lists: Mapping[Modality, BoxList],
) -> Scene:
    own = len(set(map(id, lists.values()))) > 1
    instants, unusable, followed = list[Instant](), list(alone), True
    for number, both in enumerate(pairs):
        pictures = dict(zip(Modality, both, strict=True))
        boxes = {m: _boxes(path, number, lists[m], unusable) for m, path in pictures.items()}
        followed = followed and all(each.track for of in boxes.values() for each in of)
        instants.append(Instant(number, number / RATE, pictures, boxes))
    if not followed:
        instants = [_named(each, own=own) for each in instants]
    if not own:  # told once, not for each spectrum
        unusable = list(dict.fromkeys(unusable))
    return Scene(
        name,
        name,
        "test",
        instants,
        own_boxes=own,
        is_followed=followed,
        unusable=tuple(unusable),
    )


def _boxes(
    path: Path, number: int, listed: BoxList, unusable: list[Unusable]
) -> Sequence[Detection]:
    try:
        with Image.open(path) as opened:
            size = opened.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        unusable.append(Unusable(str(path), f"it cannot be read ({error})"))
        return ()
    found = listed.of(names_of(number, path), *size)
    unusable += found.unusable
    return found.people


def _named(instant: Instant, *, own: bool) -> Instant:
    """Return an instant whose people have a name of their own, as nobody is followed."""
    visible, infrared = (instant.people[modality] for modality in Modality)
    pairs = (
        paired_people(visible, infrared)
        if own
        else [(place, place) for place in range(min(len(visible), len(infrared)))]
    )
    named = {modality: list[Detection]() for modality in Modality}
    for place, ends in enumerate(pairs):
        for modality, end in zip(Modality, ends, strict=True):
            box = instant.people[modality][end]
            named[modality].append(replace(box, track=f"{instant.number}-{place}"))
    return replace(instant, seconds=None, people=named)
