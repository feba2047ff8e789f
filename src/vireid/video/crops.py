"""Crops: what a frame shows inside a box, and the best few of a track, spread in time."""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from jaxtyping import Float
from PIL import Image

from vireid.records import Box
from vireid.types.arrays import Pixels
from vireid.video.boxes import Sides
from vireid.video.frames import Frame

LOOKED_AT = (48, 96)
"""Columns and rows that crops are brought to before their sharpness is compared."""
QUALITY = 95
"""JPEG quality of crops; at 95 nothing of a person is lost that a network sees."""


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """One person, cut out of one frame."""

    pixels: Pixels
    box: Box
    """Where it was in the frame."""
    frame: int
    """Number of the frame, from 0."""
    seconds: float
    """Time since the first frame of the source."""
    score: float
    """Confidence of whoever found the person."""
    sharpness: float
    """Mean slope of brightness, in standard deviations a pixel."""
    time: datetime | None = None

    @property
    def height(self) -> int:
        """Rows of the person in the frame itself."""
        return self.box.bottom - self.box.top

    @property
    def worth(self) -> float:
        """Score times sharpness, by which the best crops are chosen."""
        return self.score * self.sharpness

    def as_jpeg(self) -> bytes:
        """Return the file of the crop."""
        content = io.BytesIO()
        Image.fromarray(self.pixels).save(content, "JPEG", quality=QUALITY, subsampling=0)
        return content.getvalue()


def cut_out(frame: Frame, sides: Sides, score: float, time: datetime | None = None) -> Crop | None:
    """Cut a person out of a frame; None if not a pixel of the box is inside.

    Args:
        frame: The frame.
        sides: Box of the person, in pixels; parts of pixels count whole.
        score: Confidence of whoever found the person.
        time: Time of day; by default the frame's.
    """
    rows, columns = frame.pixels.shape[:2]
    left, top = max(0, math.floor(sides[0])), max(0, math.floor(sides[1]))
    right, bottom = min(columns, math.ceil(sides[2])), min(rows, math.ceil(sides[3]))
    if right <= left or bottom <= top:
        return None
    pixels = frame.pixels[top:bottom, left:right].copy()  # the frame need not be kept
    box = Box(left, top, right, bottom)
    sharp = sharpness(pixels)
    return Crop(pixels, box, frame.number, frame.seconds, score, sharp, time or frame.time)


def sharpness(pixels: Pixels) -> float:
    """Return the mean slope of brightness at one size, relative to its deviation.

    Blur lowers it; contrast and size do not count.
    """
    grey = Image.fromarray(pixels).convert("L").resize(LOOKED_AT, Image.Resampling.BILINEAR)
    values: Float[np.ndarray, "h w"] = np.asarray(grey, np.float32)
    down, across = np.gradient(values)
    return float(np.hypot(down, across).mean() / (values.std() + 1.0))


@dataclass
class BestCrops:
    """The best crops of a track, spread over its time, while it is not known how long it will last.

    The time is divided into spans of equal length, each of which keeps its best crop. When there
    are more spans than crops are wanted, their length doubles. So between half and all of the crops
    that are wanted are kept, and no more are ever held.
    """

    most: int = 8
    """Largest number of crops."""
    span: float = 0.1
    """Length of a span in seconds, to begin with."""
    _first: float | None = None
    _best: dict[int, Crop] = field(default_factory=dict)

    def add(self, crop: Crop) -> None:
        """Consider a crop; crops come in the order of their times."""
        if self._first is None:
            self._first = crop.seconds
        self._keep(self._best, crop)
        while len(self._best) > self.most:
            self.span *= 2
            crops, self._best = list(self._best.values()), {}
            for each in crops:
                self._keep(self._best, each)

    def _keep(self, best: dict[int, Crop], crop: Crop) -> None:
        place = int((crop.seconds - (self._first or 0.0)) / self.span)
        if place not in best or crop.worth > best[place].worth:
            best[place] = crop

    @property
    def first(self) -> float:
        """Time of the first crop that was considered, in seconds."""
        return self._first or 0.0

    def __iter__(self) -> Iterator[Crop]:
        """Yield the crops in the order of their times."""
        return iter(sorted(self._best.values(), key=lambda crop: crop.frame))

    def __len__(self) -> int:
        return len(self._best)
