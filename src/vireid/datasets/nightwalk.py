"""NightWalk: rendered people under four visible and two infrared cameras, for anyone to use.

Besides the pictures it has `people` (what they look like), `truth` (about each picture) and `parts`
(masks).
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vireid.datasets import Dataset, _sysu_layout
from vireid.errors import VireidError

MINI = Path(__file__).with_name("nightwalk_mini")
"""Folder of the small edition that comes with vireid."""

FACTS = {
    "title": "NightWalk",
    "url": "made by `vireid render`",
    "licence": "CC0-1.0",
    "citation": "none needed",
}


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
    known = _lines((MINI if root is None else root) / "people.jsonl")
    return {somebody.pop("identity"): _with_group(somebody) for somebody in known}


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
        for line in _lines(file):
            points = {name: (x, y, bool(seen)) for name, (x, y, seen) in line["keypoints"].items()}
            line |= {"keypoints": points, "path": root / line.pop("picture")}
            yield PictureTruth(**line)


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
    except OSError as error:
        raise _unreadable(mask, error, "render with --masks") from error


def part_names(root: Path | None = None) -> dict[int, str]:
    """Return what the numbers in masks mean; 0 is background.

    Raises:
        VireidError: The set was rendered without masks.
    """
    file = (MINI if root is None else root) / "parts" / "names.json"
    try:
        return {int(number): name for number, name in json.loads(file.read_bytes()).items()}
    except (OSError, ValueError) as error:
        raise _unreadable(file, error, "render with --masks") from error


def _lines(file: Path) -> list[dict[str, Any]]:
    """Return the JSON objects of a file, one a line, perhaps compressed."""
    try:
        content = file.read_bytes()
        text = gzip.decompress(content) if file.suffix == ".gz" else content
        return [json.loads(line) for line in text.splitlines()]
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _unreadable(file, error, "render the set again") from error


def _unreadable(file: Path, error: Exception, way_out: str) -> VireidError:
    reason = getattr(error, "strerror", None) or error
    return VireidError(f"{file} cannot be read ({reason}); {way_out}")
