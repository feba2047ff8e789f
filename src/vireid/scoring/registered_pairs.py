"""Pictures of one instant in both spectra, made harmless: for `folder/registered`.

Registered people are found by what is no person. One box in both spectra has one shape, which alone
finds everybody; native heights tell by their blur. So all pictures are brought to one height, and
where both spectra were cut by one box, each picture is trimmed at every side by a share of its own.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from vireid.errors import VireidError
from vireid.pictures import picture_of, size_of
from vireid.records import LEAST_ROWS, ImageRecord, Modality
from vireid.threads import in_threads

MOST_ROWS = 64
"""Rows that pictures are brought to, or fewer, where any is lower."""
MOST_TRIMMED = 0.12
"""Largest share that is cut off at each side, where both spectra have one box."""
ONE_BOX = 0.1
"""Share of pairs with equal sizes from which boxes count as shared."""
Pairs = Mapping[int, Sequence[Mapping[Modality, ImageRecord]]]
"""Pictures of one instant, by the person."""


def pairs_of(records: Sequence[ImageRecord]) -> Pairs:
    """Return the pictures of each person that show one instant, in both spectra.

    Raises:
        VireidError: There are none.
    """
    found = defaultdict[tuple[int, str | None, int], dict[Modality, ImageRecord]](dict)
    for record in records:
        if record.identity is not None and record.moment is not None:
            found[record.identity, record.camera, record.moment][record.modality] = record
    pairs = defaultdict[int, list[Mapping[Modality, ImageRecord]]](list)
    for (identity, *_), of_instant in sorted(found.items(), key=str):
        if len(of_instant) == len(Modality):
            pairs[identity].append(of_instant)
    if not pairs:
        raise VireidError(
            "folder/registered needs people with a visible and an infrared picture of one instant; "
            "give the list columns `moment` and `camera`, as `vireid data cut` writes them"
        )
    return pairs


def prepared(records: Sequence[ImageRecord], folder: Path) -> list[ImageRecord]:
    """Write pictures at one height, trimmed where spectra share a box; return their records.

    Args:
        records: Pictures of a trial.
        folder: Folder for the new ones, as PNG.

    Raises:
        PictureError: A picture cannot be read.
    """
    sizes = [size_of(record) for record in records]
    share = _trimmed(records, sizes)
    rows = min(MOST_ROWS, max(LEAST_ROWS, min(height for _, height in sizes)))
    places = {record: folder / f"{number}.png" for number, record in enumerate(records)}

    def write(record: ImageRecord) -> ImageRecord:
        picture = picture_of(record)
        box = _inner(picture.size, share, f"{record.path.name} {record.modality} {record.identity}")
        size = (rows // 2, rows)
        small = picture.resize(size, Image.Resampling.BOX, box=box)
        small.save(places[record])
        return replace(record, path=places[record], box=None)

    return list(in_threads(write, records, "bringing pictures to one height"))


def _trimmed(records: Sequence[ImageRecord], sizes: Sequence[tuple[int, int]]) -> float:
    """Return the share that may be cut off; 0 where each spectrum has boxes of its own."""
    by_instant = defaultdict[tuple[int | None, str | None, int | None], list[tuple[int, int]]](list)
    for record, size in zip(records, sizes, strict=True):
        by_instant[record.identity, record.camera, record.moment].append(size)
    pairs = [of for of in by_instant.values() if len(of) == 2]
    alike = sum(one == other for one, other in pairs)
    return MOST_TRIMMED if alike > ONE_BOX * len(pairs) else 0.0


def _inner(size: tuple[int, int], most: float, seed: str) -> tuple[float, float, float, float]:
    """Return a box inside of a picture, each side moved in by a share drawn from a seed."""
    numbers = random.Random(seed)
    left, top, right, bottom = (most * numbers.random() for _ in range(4))
    width, height = size
    return left * width, top * height, (1 - right) * width, (1 - bottom) * height
