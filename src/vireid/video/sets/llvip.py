"""LLVIP: 15,488 visible and thermal street pictures at night, with boxes of people.

    visible/{train,test}/190001.jpg   infrared/{train,test}/190001.jpg   Annotations/190001.xml

The first two digits of a name are the place, whose camera stands still. One box serves both
spectra, and nobody is followed: a person of one picture is nobody of another.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vireid.datasets._files import Tree, Unusable
from vireid.records import Modality
from vireid.video.boxes import boxes_of
from vireid.video.sets import Group, Instant, Scene, inner_root, need, of_both, twins

FACTS = {
    "title": "LLVIP",
    "url": "https://github.com/bupt-ai-cz/LLVIP",
    "licence": "non-commercial, by its own terms",
    "terms": "its authors forbid to use it in any manner that identifies a person or invades "
    "anybody's privacy. Who a person is appears nowhere in it; pair the two spectra of one "
    "instant, as protocol folder/registered does, and nothing else. Weights learnt on it are not "
    "for commerce either",
    "obtain": "download LLVIP.zip from the addresses on its page; no form",
    "citation": "Jia, Zhu, Li, Tang, Zhou: LLVIP: A Visible-infrared Paired Dataset for Low-light "
    "Vision, ICCV Workshops 2021",
}
SPELLINGS = {
    Modality.VISIBLE: ("visible", "VIS", "vi", "RGB"),
    Modality.INFRARED: ("infrared", "IR", "thermal"),
}


def read(root: Path) -> Iterator[Scene]:
    """Read LLVIP, a scene for each place and group.

    Raises:
        VireidError: A folder is missing.
    """
    tree = inner_root(root, "Annotations")
    need(FACTS, tree, *SPELLINGS.values(), ("Annotations", "annotation"))
    annotations = tree.find("Annotations") or tree.find("annotation")
    assert annotations is not None
    groups: tuple[Group, Group] = ("train", "test")
    for group in groups:
        pictures = {modality: _pictures(tree, modality, group) for modality in Modality}
        for place in sorted(set().union(*pictures.values())):
            both = (pictures[modality].get(place, []) for modality in Modality)
            pairs, alone = twins(place, *both)
            yield _scene(place, group, pairs, alone, Tree(annotations))


def _pictures(tree: Tree, modality: Modality, group: str) -> dict[str, list[Path]]:
    """Return the pictures of one spectrum by their places; copies also have train/visible."""
    found = defaultdict[str, list[Path]](list)
    for name in SPELLINGS[modality]:
        for path in tree.pictures(name, group) or tree.pictures(group, name):
            found[path.stem[:2]].append(path)
        if found:
            break
    return found


def _scene(
    place: str, group: Group, pairs: list[tuple[Path, Path]], alone: list[Unusable], tree: Tree
) -> Scene:
    instants, unusable = list[Instant](), alone
    for number, (visible, infrared) in enumerate(pairs):
        listed = tree.find(f"{visible.stem}.xml")
        if listed is None:
            unusable.append(Unusable(str(visible), f"there is no {visible.stem}.xml"))
            continue
        boxes = boxes_of(listed)
        unusable += [each for each in boxes.unusable if "no person" not in each.reason]
        people = [
            replace(box.detection, track=f"{visible.stem}-{place}")
            for of_frame in boxes.by_frame.values()
            for place, box in enumerate(of_frame)
        ]
        pictures = {Modality.VISIBLE: visible, Modality.INFRARED: infrared}
        instants.append(Instant(number, None, pictures, of_both(people)))
    return Scene(
        f"{group}-{place}", place, group, instants, is_followed=False, unusable=tuple(unusable)
    )
