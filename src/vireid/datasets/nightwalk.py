"""NightWalk: rendered people under four visible and two infrared cameras, for anyone to use.

Besides the pictures it has `people` (what they look like), `truth` (about each picture) and `parts`
(masks).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from vireid.datasets import Dataset, _sysu_layout
from vireid.errors import VireidError
from vireid.files import documents

MINI = Path(__file__).with_name("nightwalk_mini")
"""Folder of the small edition that comes with vireid."""

FACTS = {
    "title": "NightWalk",
    "url": "made by `vireid render`",
    "licence": "CC0-1.0",
    "citation": "none needed",
}


WAY_OUT = "render the set again"
_OTHERS = 254
"""Number in masks from which what is seen is no part of the person: passers-by and things."""


@dataclass(frozen=True)
class PictureTruth:
    """The ground truth of a picture, known because it was rendered.

    Pixels count from the picture's upper left corner; lengths are in metres, angles in radians.
    """

    path: Path
    identity: int
    camera: str
    spectrum: str
    """Name of the spectrum: visible, near infrared or thermal."""
    keypoints: Mapping[str, tuple[float, float, bool]]
    """Column, row, and whether it is visible, by COCO's names: nose, left_eye, ... right_ankle."""
    box: Mapping[str, float]
    """Fit of the frame to the person: shares that are cut off, looseness, share hidden."""
    pose: Mapping[str, float]
    view: Mapping[str, float]
    """Position of the camera, seen from the person."""
    light: Mapping[str, float]
    """Figures of light and weather."""


@dataclass(frozen=True)
class _Somebody:
    """What a line of `people.jsonl` begins with."""

    identity: int


@dataclass(frozen=True)
class _Line:
    """A line of a file in the folder `truth`."""

    picture: str
    identity: int
    camera: str
    spectrum: str
    keypoints: Mapping[str, tuple[float, float, int]]
    box: Mapping[str, float]
    pose: Mapping[str, float]
    view: Mapping[str, float]
    light: Mapping[str, float]


def read(root: Path | None = None) -> Dataset:
    """Read NightWalk from a folder that `vireid render` wrote; by default the mini edition."""
    return _sysu_layout.read_folder("nightwalk", MINI if root is None else root, FACTS)


def people(root: Path | None = None) -> dict[int, dict[str, Any]]:
    """Return what is known of each person, by identity.

    Keys are group, family, body, clothes, things carried and gait. People of one family may be
    alike in all but one to three things.

    Args:
        root: Folder of a NightWalk; by default the edition that comes with vireid.

    Raises:
        VireidError: It has no such file, or a damaged one.
    """
    file = (MINI if root is None else root) / "people.jsonl"
    numbers = documents.read_lines(file, _Somebody, WAY_OUT)
    known = documents.read_lines(file, dict[str, int | float | str], WAY_OUT)
    return {
        somebody.identity: _with_group(
            {name: value for name, value in facts.items() if name != "identity"}
        )
        for somebody, facts in zip(numbers, known, strict=True)
    }


def _with_group(somebody: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a person, in whose group `split` stood in former files."""
    if "split" not in somebody:
        return somebody
    group = "validation" if somebody["split"] == "val" else somebody["split"]
    return {"group": group} | {key: value for key, value in somebody.items() if key != "split"}


def truth(root: Path | None = None) -> Iterator[PictureTruth]:
    """Yield the ground truth of every picture, person by person.

    Args:
        root: Folder of a NightWalk; by default the edition that comes with vireid.

    Raises:
        VireidError: It has no such files, or damaged ones.
    """
    root = MINI if root is None else root
    files = sorted((root / "truth").glob("*.jsonl.gz"))
    if not files:
        raise VireidError(f"{root} has no folder truth; was it written by `vireid render`?")
    for file in files:
        for line in documents.read_lines(file, _Line, WAY_OUT):
            yield PictureTruth(
                path=root / line.picture,
                identity=line.identity,
                camera=line.camera,
                spectrum=line.spectrum,
                keypoints={n: (x, y, bool(seen)) for n, (x, y, seen) in line.keypoints.items()},
                box=line.box,
                pose=line.pose,
                view=line.view,
                light=line.light,
            )


def parts(picture: Path, root: Path | None = None) -> UInt8[np.ndarray, "h w"]:
    """Return which part of whom each pixel of a picture shows, as numbers of `part_names`.

    Args:
        picture: File of a NightWalk that was rendered with masks.
        root: Folder of that NightWalk; by default the edition that comes with vireid, which has no
            masks.

    Raises:
        VireidError: There is no mask of this picture, or a damaged one.
    """
    from PIL import Image

    root = MINI if root is None else root
    if not picture.is_relative_to(root):
        raise VireidError(f"{picture} is not in {root}; give the folder of its set")
    mask = root / "parts" / picture.relative_to(root).with_suffix(".png")
    try:
        with Image.open(mask) as opened:
            return np.asarray(opened, np.uint8)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VireidError(f"{mask} cannot be read ({reason}); render with --masks") from error


def person_mask(picture: Path, root: Path) -> Bool[np.ndarray, "h w"] | None:
    """Return where a picture shows its person; None where the set has no masks.

    Args:
        picture: File of a NightWalk in any layout.
        root: Folder of that NightWalk.

    Raises:
        VireidError: The mask is damaged.
    """
    if not (root / "parts" / "names.json").is_file():
        return None
    found = parts(picture, root)
    return (found > 0) & (found < _OTHERS)


def part_names(root: Path | None = None) -> dict[int, str]:
    """Return what the numbers in masks mean; 0 is background.

    Raises:
        VireidError: The set was rendered without masks.
    """
    file = (MINI if root is None else root) / "parts" / "names.json"
    return documents.read_json(file, dict[int, str], "render with --masks")
