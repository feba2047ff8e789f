"""NightWalk: rendered people under four visible and two infrared cameras, for anyone to use.

Besides its pictures, what is known about them: `people`, `truth` and `parts`.
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
"""The small edition that comes with vireid."""

FACTS = {
    "title": "NightWalk",
    "url": "made by `vireid render`",
    "licence": "CC0-1.0",
    "citation": "none needed",
}


@dataclass(frozen=True)
class PictureTruth:
    """What is known about a picture because it was rendered.

    Pixels count from its upper left corner; metres, radians.
    """

    path: Path
    identity: int
    camera: str
    spectrum: str
    """visible, near infrared or thermal"""
    keypoints: Mapping[str, tuple[float, float, bool]]
    """Column, row, and whether it is seen, by COCO's names: nose, left_eye, ... right_ankle."""
    box: Mapping[str, float]
    """How well the frame fits the person: shares that are cut off, looseness, share hidden."""
    pose: Mapping[str, float]
    view: Mapping[str, float]
    """Where the camera stands, seen from the person."""
    light: Mapping[str, float]
    """Of light and weather."""


def read(root: Path | None = None) -> Dataset:
    """Read NightWalk from a folder that `vireid render` has written, or the edition shipped."""
    return _sysu_layout.read_folder("nightwalk", MINI if root is None else root, FACTS)


def people(root: Path | None = None) -> dict[int, dict[str, Any]]:
    """Who is in the set: split, family, body, clothes, things carried, gait, by identity.

    People of one family may be alike in all but one to three things.

    Args:
        root: The folder of a NightWalk; by default the edition shipped.

    Raises:
        VireidError: It has no such file, or a damaged one.
    """
    known = _lines((MINI if root is None else root) / "people.jsonl")
    return {somebody.pop("identity"): somebody for somebody in known}


def truth(root: Path | None = None) -> Iterator[PictureTruth]:
    """What is known about every picture, person by person.

    Args:
        root: The folder of a NightWalk; by default the edition shipped.

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
    """Which part of whom each pixel of a picture shows; `part_names` says what numbers mean.

    Args:
        picture: Of a NightWalk that was rendered with masks.
        root: Its folder; by default the edition shipped, which has none.

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
    """What the numbers in masks mean: 0 is background.

    Raises:
        VireidError: The set was rendered without masks.
    """
    file = (MINI if root is None else root) / "parts" / "names.json"
    try:
        return {int(number): name for number, name in json.loads(file.read_bytes()).items()}
    except (OSError, ValueError) as error:
        raise _unreadable(file, error, "render with --masks") from error


def _lines(file: Path) -> list[dict[str, Any]]:
    """JSON, one object a line, perhaps packed."""
    try:
        content = file.read_bytes()
        text = gzip.decompress(content) if file.suffix == ".gz" else content
        return [json.loads(line) for line in text.splitlines()]
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _unreadable(file, error, "render the set again") from error


def _unreadable(file: Path, error: Exception, way_out: str) -> VireidError:
    reason = getattr(error, "strerror", None) or error
    return VireidError(f"{file} cannot be read ({reason}); {way_out}")
