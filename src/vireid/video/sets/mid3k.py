"""MID-3K and MID-1K: indoor pictures, visible and thermal, each spectrum with boxes of its own.

    MID-3K-rgb/images/000395_1715246208729896974.png   MID-3K-thermal/images/<the same name>
    dataset/{train,test}/{rgb,thermal}/images/[MMDDYYYY][HHMMSS]_N.png                        MID-1K

A YOLO list lies beside each picture, or in labels/ beside images/. A name holds the nanoseconds
since 1970. The authors score on 29 April and 8 May. People of the two spectra are told to be one by
overlap; faces are blurred in the visible pictures. Nobody is followed.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from PIL import Image

from vireid.datasets._files import Tree, Unusable
from vireid.errors import VireidError
from vireid.records import Modality
from vireid.video.boxes import BoxList, Detection, boxes_of
from vireid.video.sets import Group, Instant, Scene, paired_people, twins

FACTS = {
    "title": "MID-3K",
    "url": "https://github.com/kennedyk1/MID-3K-rgb, https://github.com/kennedyk1/MID-3K-thermal",
    "licence": "none stated",
    "terms": "nobody has said what may be done with it; ask the authors before anything but "
    "scoring. Faces are blurred in the visible pictures",
    "obtain": "git clone both into one folder; no form",
    "citation": "MID: Multispectral Indoor Dataset, https://github.com/kennedyk1",
}
SPELLINGS = {Modality.VISIBLE: ("rgb", "visible"), Modality.INFRARED: ("thermal", "infrared")}
TEST_DAYS = frozenset({(4, 29), (5, 8)})
"""Months and days of the pictures that its authors score on."""
NANOSECONDS = re.compile(r"_(\d{19})$")


def read(root: Path) -> Iterator[Scene]:
    """Read the pictures, a scene for each day.

    Raises:
        VireidError: The folders of one of the spectra are missing.
    """
    folders = {
        modality: sorted(each for name in names for each in _folders(root, name))
        for modality, names in SPELLINGS.items()
    }
    for modality, found in folders.items():
        if not found:
            raise VireidError(
                f"{root} is not a whole {FACTS['title']} folder: there are no {modality} images/ "
                f"in it; how to get it: {FACTS['obtain']} ({FACTS['url']})"
            )
    pictures = {m: [p for f in of for p in Tree(f).pictures()] for m, of in folders.items()}
    pairs, alone = twins("MID-3K", *pictures.values())
    by_day = defaultdict[tuple[date | None, Group], list[tuple[Path, Path]]](list)
    for pair in pairs:
        day = _day(pair[0])
        by_day[day, _group(pair[0].relative_to(root), day)].append(pair)
    lists = _Lists()
    for (day, group), of_day in sorted(by_day.items(), key=str):
        yield _scene(f"{group}-{day or 'undated'}", group, of_day, lists, alone)
        alone = []


def _folders(root: Path, word: str) -> Iterator[Path]:
    """Yield folders called images that lie in one whose name has a word in it."""
    for folder in [root, *root.rglob("*")]:
        last = re.split(r"[-_.]", folder.name.lower())[-1]
        if folder.is_dir() and word in (folder.name.lower(), last):
            images = Tree(folder).find("images")
            yield images or folder


def _day(path: Path) -> date | None:
    if found := NANOSECONDS.search(path.stem):
        try:
            return datetime.fromtimestamp(int(found[1]) / 1e9, UTC).date()
        except (ValueError, OverflowError, OSError):
            return None
    return None


def _group(path: Path, day: date | None) -> Group:
    folders = {part.lower() for part in path.parts}
    if "train" in folders:
        return "train"
    is_test = "test" in folders or (day is not None and (day.month, day.day) in TEST_DAYS)
    return "test" if is_test or day is None else "train"


class _Lists:
    """The lists of boxes of all pictures, a folder of lists at a time."""

    def __init__(self) -> None:
        self._read: dict[Path, BoxList] = {}
        self.unusable = list[Unusable]()

    def of(self, picture: Path) -> list[Detection]:
        """Return the people of a picture; sides in pixels."""
        folder = next((f for f in _places_of_lists(picture) if f.is_dir()), picture.parent)
        if folder not in self._read:
            self._read[folder] = boxes_of(folder)
            others = self._read[folder].unusable
            self.unusable += [each for each in others if "no person" not in each.reason]
        if Tree(folder).find(f"{picture.stem}.txt") is None:
            self.unusable.append(Unusable(str(picture), "it has no list of boxes (.txt)"))
            return []
        try:
            with Image.open(picture) as opened:
                size = opened.size
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            self.unusable.append(Unusable(str(picture), f"it cannot be read ({error})"))
            return []
        found = self._read[folder].of([picture.stem], *size)
        self.unusable += found.unusable
        return list(found.people)


def _places_of_lists(picture: Path) -> Iterator[Path]:
    """Yield where lists lie if not beside the pictures: in labels/ beside images/."""
    for names in (("labels",), ("Labels",), ("annotations",)):
        yield picture.parent.parent.joinpath(*names)


def _scene(
    name: str,
    group: Group,
    pairs: list[tuple[Path, Path]],
    lists: _Lists,
    alone: list[Unusable],
) -> Scene:
    instants, lonely = list[Instant](), 0
    lists.unusable = list(alone)
    for number, pair in enumerate(pairs):
        pictures = dict(zip(Modality, pair, strict=True))
        boxes = {modality: lists.of(path) for modality, path in pictures.items()}
        both = paired_people(boxes[Modality.VISIBLE], boxes[Modality.INFRARED])
        lonely += sum(map(len, boxes.values())) - 2 * len(both)
        people = {
            modality: [
                replace(boxes[modality][ends[side]], track=f"{number}-{place}")
                for place, ends in enumerate(both)
            ]
            for side, modality in enumerate(Modality)
        }
        instants.append(Instant(number, None, pictures, people))
    told = (f"{lonely} people are in one spectrum only, and were left out",) if lonely else ()
    return Scene(
        name,
        name,
        group,
        instants,
        own_boxes=True,
        is_followed=False,
        unusable=tuple(lists.unusable),
        notes=told,
    )
