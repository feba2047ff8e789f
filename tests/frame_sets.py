"""Little trees in the exact layouts of published sets of frames, with drawn people on them."""

import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from vireid.video.boxes import Sides

WIDTH, HEIGHT = 200, 160
PERSON: Sides = (40.0, 30.0, 70.0, 110.0)
OTHER: Sides = (120.0, 40.0, 150.0, 120.0)


def write_pair(
    pair: Iterable[Path],
    place: int = 0,
    shift: int = 0,
    people: Iterable[Sides] = (PERSON, OTHER),
) -> None:
    """Write two pictures of one instant; those of one place have the same background.

    The infrared one is inverted, and moved by some pixels.
    """
    visible, infrared = pair
    numbers = np.random.default_rng(place)
    picture = np.full((HEIGHT, WIDTH), 120, np.uint8)
    for _ in range(40):
        x, y = numbers.integers(0, WIDTH), numbers.integers(0, HEIGHT)
        w, h = numbers.integers(5, 40, 2)
        picture[y : y + h, x : x + w] = numbers.integers(0, 255)
    for number, (left, top, right, bottom) in enumerate(people):
        clothes = np.random.default_rng(hash_of(visible) + number).integers(0, 60, (8, 3))
        clothes = clothes.repeat(10, axis=0).repeat(10, axis=1)
        picture[int(top) : int(bottom), int(left) : int(right)] = 20 + 170 * number + clothes
    tinted = np.stack([picture, picture // 2, 255 - picture // 3], axis=2)
    for path, pixels in ((visible, tinted), (infrared, np.roll(255 - picture, shift, axis=1))):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=90)


def hash_of(path: Path) -> int:
    """Return a number that tells one picture from another."""
    return zlib.crc32("/".join(path.parts[-4:]).encode())


def voc(*people: Sides, others: tuple[str, ...] = ()) -> str:
    """Return an XML file of LLVIP."""
    names = [*(("person", sides) for sides in people), *((name, OTHER) for name in others)]
    objects = "".join(
        f"<object><name>{name}</name><pose>Unspecified</pose><truncated>0</truncated>"
        f"<difficult>0</difficult><bndbox><xmin>{sides[0]:g}</xmin><ymin>{sides[1]:g}</ymin>"
        f"<xmax>{sides[2]:g}</xmax><ymax>{sides[3]:g}</ymax></bndbox></object>"
        for name, sides in names
    )
    return (
        "<annotation><folder>JPEGImages</folder><filename>190001.jpg</filename><size><width>200"
        f"</width><height>160</height><depth>1</depth></size>{objects}</annotation>"
    )


def llvip(root: Path) -> None:
    """Write two places: 01 to learn from, 19 to score on, three pictures each."""
    (root / "Annotations").mkdir(parents=True)
    for group, place in (("train", "01"), ("test", "19")):
        for number in range(1, 4):
            name = f"{place}{number:04d}"
            pair = (root / spectrum / group / f"{name}.jpg" for spectrum in ("visible", "infrared"))
            write_pair(pair, place=int(place))
            (root / "Annotations" / f"{name}.xml").write_text(voc(PERSON, OTHER))


def vbb(path: Path, frames: list[list[tuple[int, Sides]]], labels: list[str]) -> None:
    """Write a list of tracks as Piotr Dollar's toolbox does, positions from 1."""
    kinds = [(name, "O") for name in ("id", "pos", "occl", "lock", "posv")]
    lists = np.empty((1, len(frames)), object)
    for number, people in enumerate(frames):
        objects = np.empty((1, len(people)), kinds)
        for place, (track, (left, top, right, bottom)) in enumerate(people):
            position = np.array([[left + 1, top + 1, right - left, bottom - top]])
            zero = np.zeros((1, 1))
            objects[0, place] = (np.array([[track]]), position, zero, zero, np.zeros((1, 4)))
        lists[0, number] = objects if people else np.empty((0, 0))
    names = np.empty((1, len(labels)), object)
    names[0, :] = labels
    whole = {
        "nFrame": len(frames),
        "objLists": lists,
        "maxObj": len(labels),
        "objInit": np.ones((1, len(labels))),
        "objLbl": names,
        "objStr": np.ones((1, len(labels))),
        "objEnd": np.full((1, len(labels)), len(frames)),
        "objHide": np.zeros((1, len(labels))),
        "altered": 0,
        "log": np.zeros((1, 1)),
        "logLen": 1,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        savemat(file, {"A": whole, "vbb": 1.4})


def kaist(root: Path, *, paired: bool = True) -> None:
    """Write two videos of five frames; track 1 is a person, 2 are people, 3 another person."""
    for of_set, place in (("set00", 1), ("set06", 2)):
        for number in range(5):
            frame = root / "images" / of_set / "V000"
            name = f"I{number:05d}"
            pair = (frame / spectrum / f"{name}.jpg" for spectrum in ("visible", "lwir"))
            write_pair(pair, place=place)
            for spectrum, right in (("visible", 0), ("lwir", 2)) if paired else ():
                listed = root / "annotations_paired" / of_set / "V000" / spectrum / f"{name}.txt"
                listed.parent.mkdir(parents=True, exist_ok=True)
                lines = (
                    f"person {s[0] + 1 + right:.0f} {s[1] + 1:.0f} {s[2] - s[0]:.0f} "
                    f"{s[3] - s[1]:.0f} 0 0 0 0 0 0 0"
                    for s in (PERSON, OTHER)
                )
                listed.write_text("\n".join(("% bbGt version=3", *lines)) + "\n")
        crowd: Sides = (0.0, 0.0, 90.0, 150.0)
        frames = [[(1, PERSON), (2, crowd), (3, OTHER)]] * 4 + [[]]
        vbb(root / "annotations-vbb" / of_set / "V000.vbb", frames, ["person", "people", "person"])


def vt_mot(root: Path) -> None:
    """Write two videos of six frames; the same number of a track is another person in each."""
    for video, place in (("train/LasHeR-001", 3), ("test/photo-0310-40", 4)):
        for number in range(1, 7):
            folder = root / video
            pair = (folder / spectrum / f"{number:07d}.jpg" for spectrum in Modalities)
            write_pair(pair, place=place)
        (folder / "gt").mkdir()
        lines = [
            f"{frame},{track},{s[0]:g},{s[1]:g},{s[2] - s[0]:g},{s[3] - s[1]:g},1,1\n"
            for frame in range(1, 7)
            for track, s in ((1, PERSON), (2, OTHER))
        ]
        lines.append("1,9,5,5,40,30,1,2\n")  # a car
        lines.append("2,8,5,5,40,30,0,1\n")  # not to be counted
        (folder / "gt" / "gt.txt").write_text("".join(lines))
        (folder / "seqinfo.ini").write_text("[Sequence]\nname=a\nframeRate=10\nseqLength=6\n")


Modalities = ("visible", "infrared")


def lasher(root: Path) -> None:
    """Write two videos of four frames, one of a person, one of a car."""
    for video, place in (("testingset/boyinsnow", 5), ("trainingset/redcar", 6)):
        folder = root / video
        for number in range(1, 5):
            visible = folder / "visible" / f"v{number:03d}.jpg"
            write_pair((visible, folder / "infrared" / f"i{number:03d}.jpg"), place)
        left, top, right, bottom = PERSON
        for spectrum, moved in (("visible", 0), ("infrared", 1)):
            line = f"{left + moved:g},{top:g},{right - left:g},{bottom - top:g}\n"
            (folder / f"{spectrum}.txt").write_text(line * 4)


def mid3k(root: Path) -> None:
    """Write a day to learn from (15 May 2024) and one to score on (8 May), two clones."""
    for day in ("1715246208", "1715776208", "1715176208"):
        for number in range(3):
            name = f"{number:06d}_{int(day) + number}{'729896974'}"
            pair = [root / f"MID-3K-{s}" / "images" / f"{name}.png" for s in ("rgb", "thermal")]
            write_pair(pair, place=int(day) % 100)
            for picture, moved in zip(pair, (0, 3), strict=True):
                lists = picture.parent.parent / "labels"
                lists.mkdir(exist_ok=True)
                lines = [_yolo(sides, moved) for sides in (PERSON, OTHER)]
                if moved:
                    lines.append("1 0.5 0.5 0.2 0.2")  # another class
                (lists / f"{name}.txt").write_text("\n".join(lines) + "\n")


def _yolo(sides: Sides, moved: float) -> str:
    left, top, right, bottom = sides
    across, down = (left + right) / 2 + moved, (top + bottom) / 2
    shares = across / WIDTH, down / HEIGHT, (right - left) / WIDTH, (bottom - top) / HEIGHT
    return " ".join(("0", *(f"{share:.6f}" for share in shares)))


def boxes(root: Path) -> None:
    """Write two folders of frames, and one list of boxes that names tracks."""
    lines = ["frame,left,top,right,bottom,track"]
    for gate, place in (("gate", 7), ("yard", 8)):
        for number in range(5):
            pair = (root / spectrum / gate / f"{number:04d}.png" for spectrum in Modalities)
            write_pair(pair, place=place)
            for track, sides in (("a", PERSON), ("b", OTHER)):
                cells = ",".join(f"{side:g}" for side in sides)
                lines.append(f"{gate}/{number:04d}.png,{cells},{track}")
    (root / "boxes.csv").write_text("\n".join(lines))


WRITERS: dict[str, Callable[[Path], None]] = {
    "llvip": llvip,
    "kaist": kaist,
    "mot_pair": vt_mot,
    "mid3k": mid3k,
    "boxes": boxes,
}
