"""Tracklets: the frames of one person under one camera, and the vector that stands for them."""

from collections.abc import Iterable, Sequence

import numpy as np

from vireid.records import ImageRecord, spread
from vireid.types.arrays import Vector


def frames_of_tracklets(
    records: Iterable[ImageRecord], count: int | None
) -> dict[ImageRecord, tuple[ImageRecord, ...]]:
    """Return the frames to embed of every tracklet, by its first frame.

    A still picture is its own only frame.

    Args:
        records: Pictures, the frames of a tracklet in their order.
        count: How many frames of a tracklet, evenly spaced from its first on; None: all.
    """
    tracklets: dict[str | ImageRecord, list[ImageRecord]] = {}
    for record in dict.fromkeys(records):
        tracklets.setdefault(record.tracklet or record, []).append(record)
    return {frames[0]: _spaced(frames, count) for frames in tracklets.values()}


def _spaced(frames: Sequence[ImageRecord], count: int | None) -> tuple[ImageRecord, ...]:
    if count is None or count >= len(frames):
        return tuple(frames)
    return tuple(spread(frames, count))


def mean_vector(vectors: Sequence[Vector]) -> Vector:
    """Return the mean of the frames' unit vectors, of unit length again."""
    if len(vectors) == 1:
        return vectors[0]
    mean = np.mean(vectors, axis=0)
    unit: Vector = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return unit
