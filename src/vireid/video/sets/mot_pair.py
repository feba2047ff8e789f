"""VT-MOT and LasHeR: videos in both spectra with tracks of people.

    {train,test}/<video>/{visible,infrared}/0000001.jpg   <video>/gt/gt.txt   <video>/seqinfo.ini
    <video>/{visible,infrared}/v001.jpg, i001.jpg   <video>/{visible,infrared,init}.txt    LasHeR

A gt.txt of MOT has `frame,id,x,y,w,h,conf,class`; its boxes are those of both pictures. LasHeR and
RGBT234 have one target, and a line `x,y,w,h` for each frame and spectrum. LasHeR does not say what
the target is: videos whose name speaks of no person are left out.
"""

import re
from collections.abc import Iterator, Sequence
from configparser import ConfigParser, Error
from dataclasses import replace
from pathlib import Path

from vireid.datasets._files import Tree, Unusable
from vireid.errors import VireidError
from vireid.files.untrusted import content_of
from vireid.records import Modality
from vireid.video.boxes import MOST_OF_BOXES, Detection, boxes_of
from vireid.video.frames import natural
from vireid.video.sets import Group, Instant, Scene, of_both

FACTS = {
    "title": "VT-MOT or LasHeR",
    "url": "https://github.com/wqw123wqw/PFTrack, https://github.com/BUGPLEASEOUT/LasHeR",
    "licence": "none stated for the pictures of either",
    "terms": "nobody has said what may be done with them; ask the authors before anything but "
    "scoring",
    "obtain": "download them from the addresses on their pages; no form",
    "citation": "Zhu et al.: Visible-Thermal Multiple Object Tracking: Large-scale Video Dataset "
    "and Progressive Fusion Approach, 2024; Li et al.: LasHeR: A Large-scale High-diversity "
    "Benchmark for RGBT Tracking, IEEE TIP 2022",
}
SPELLINGS = {Modality.VISIBLE: ("visible", "rgb", "vis"), Modality.INFRARED: ("infrared", "ir")}
RATE = 25.0
"""Frames a second where no seqinfo.ini says it."""
PEOPLE = re.compile(
    r"person|people|\b(wo)?m[ae]n\b|boy|girl|lady|guy|child|kid|walk|pedestrian|student|runner",
    re.IGNORECASE,
)
"""What names of LasHeR's videos have where the target is a person."""


def read(root: Path) -> Iterator[Scene]:
    """Read videos one after the other.

    Raises:
        VireidError: There is no video in the root.
    """
    found = False
    for folder in _videos(root):
        found = True
        yield _scene(folder, root)
    if not found:
        raise VireidError(
            f"{root} holds no folder with visible/ and infrared/ in it, as VT-MOT and LasHeR have "
            f"them; how to get them: {FACTS['obtain']} ({FACTS['url']})"
        )


def _videos(folder: Path, depth: int = 4) -> Iterator[Path]:
    tree = Tree(folder)
    if all(any(map(tree.find, names)) for names in SPELLINGS.values()):
        yield folder
    elif depth:
        for inner in tree.folders():
            yield from _videos(inner, depth - 1)


def _scene(folder: Path, root: Path) -> Scene:
    name = folder.relative_to(root).as_posix() if folder != root else folder.name
    group: Group = "train" if "train" in name.lower().split("/") else "test"
    tree = Tree(folder)
    pictures = {modality: _frames(tree, names) for modality, names in SPELLINGS.items()}
    counts = {modality: len(paths) for modality, paths in pictures.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{count} {modality}" for modality, count in counts.items())
        reason = f"its frames are not equally many ({said}), so none has a sure twin"
        return Scene(name, name, group, (), unusable=(Unusable(str(folder), reason),))
    listed = tree.find("gt", "gt.txt")
    if listed is not None:
        return _of_tracks(name, group, pictures, listed, _rate(tree))
    return _of_target(name, group, pictures, tree)


def _frames(tree: Tree, names: Sequence[str]) -> list[Path]:
    found = next(filter(None, (tree.pictures(name) for name in names)), [])
    return sorted(found, key=natural)


def _rate(tree: Tree) -> float | None:
    """Return the frames a second that seqinfo.ini says."""
    path = tree.find("seqinfo.ini")
    if path is None:
        return None
    parser = ConfigParser(interpolation=None)
    try:
        parser.read_string(content_of(path).decode("utf-8-sig", "replace"))
        rate = parser.getfloat("Sequence", "frameRate")
    except (Error, ValueError):
        return None
    return rate if 0 < rate < 1000 else None


def _of_tracks(
    name: str,
    group: Group,
    pictures: dict[Modality, list[Path]],
    listed: Path,
    rate: float | None,
) -> Scene:
    """Return a video of VT-MOT."""
    boxes = boxes_of(listed)
    instants = list[Instant]()
    count = len(pictures[Modality.VISIBLE])
    meant = ("no pedestrian", "does not count")  # by the authors, so that nobody need be told
    unusable = [u for u in boxes.unusable if not any(words in u.reason for words in meant)]
    for frame in sorted(each for each in boxes.by_frame if isinstance(each, int)):
        if frame >= count:
            reason = f"there is no frame {frame + 1}; the video has {count}"
            unusable.append(Unusable(boxes.by_frame[frame][0].where, reason))
            continue
        people = [box.detection for box in boxes.by_frame[frame] if box.detection.track]
        instants.append(
            Instant(
                frame,
                frame / (rate or RATE),
                {modality: paths[frame] for modality, paths in pictures.items()},
                of_both(people),
            )
        )
    return Scene(name, name, group, instants, unusable=tuple(unusable), notes=_of_rate(rate))


def _of_rate(rate: float | None) -> tuple[str, ...]:
    return () if rate else (f"nothing tells its frames a second; {RATE:g} were taken",)


def _of_target(name: str, group: Group, pictures: dict[Modality, list[Path]], tree: Tree) -> Scene:
    """Return a video of LasHeR, which has one target."""
    if not PEOPLE.search(name.rpartition("/")[2].replace("_", " ")):
        return Scene(name, name, group, (), notes=("its name speaks of no person; left out",))
    lists = {modality: _target(tree, names) for modality, names in SPELLINGS.items()}
    shared = _target(tree, ("init",))
    own = all(lists.values())
    if not own and not shared:
        reason = "it has no gt/gt.txt, and no visible.txt, infrared.txt or init.txt"
        return Scene(name, name, group, (), unusable=(Unusable(str(tree.root), reason),))
    instants = list[Instant]()
    for frame in range(len(pictures[Modality.VISIBLE])):
        boxes = {m: lists[m].get(frame) if own else shared.get(frame) for m in Modality}
        people = {m: [box] if box else [] for m, box in boxes.items()}
        of_frame = {modality: paths[frame] for modality, paths in pictures.items()}
        instants.append(Instant(frame, frame / RATE, of_frame, people))
    return Scene(name, name, group, instants, own_boxes=own, notes=_of_rate(None))


def _target(tree: Tree, names: Sequence[str]) -> dict[int, Detection]:
    """Return the target's box by the number of the frame; frames without it are left out."""
    path = next(filter(None, (tree.find(f"{name}.txt") for name in names)), None)
    if path is None:
        return {}
    found = dict[int, Detection]()
    text = content_of(path, MOST_OF_BOXES).decode("utf-8-sig", "replace")
    for number, line in enumerate(text.splitlines()):
        try:
            left, top, width, height = map(float, re.split(r"[,\s]+", line.strip()))
        except ValueError:
            continue
        if width > 0 and height > 0:
            sides = left, top, left + width, top + height
            found[number] = replace(Detection(sides), track="target")
    return found
