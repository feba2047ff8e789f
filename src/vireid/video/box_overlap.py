"""How far boxes overlap: the share of their union that two have in common."""

import numpy as np
from jaxtyping import Bool, Float, Int

Boxes = Float[np.ndarray, "n 4"]
"""Left, top, right and bottom of boxes, in pixels, one in a row."""


def overlaps(one: Boxes, other: Float[np.ndarray, "m 4"]) -> Float[np.ndarray, "n m"]:
    """Return intersection over union of each box with each other one, from 0 to 1.

    >>> overlaps(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [5, 5, 6, 6]])).round(2)
    array([[0.33, 0.  ]])
    """
    corner = np.maximum(one[:, None, :2], other[None, :, :2])
    opposite = np.minimum(one[:, None, 2:], other[None, :, 2:])
    common = np.prod(np.clip(opposite - corner, 0, None), axis=2)
    union = areas(one)[:, None] + areas(other)[None] - common
    shares: Float[np.ndarray, "n m"] = common / np.maximum(union, 1e-9)
    return shares


def overlaps_in_rows(one: Boxes, other: Boxes) -> Float[np.ndarray, " n"]:
    """Return intersection over union of each box with the one in the same row.

    NaN where one of the two is not known.

    >>> overlaps_in_rows(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2]])).round(2)
    array([0.33])
    """
    corner, opposite = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])
    common = np.prod(np.clip(opposite - corner, 0, None), axis=1)
    shares: Float[np.ndarray, " n"] = common / np.maximum(areas(one) + areas(other) - common, 1e-9)
    return shares


def areas(boxes: Boxes) -> Float[np.ndarray, " n"]:
    """Return the area of each box, in square pixels; 0 where a side is negative."""
    found: Float[np.ndarray, " n"] = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)
    return found


def without_repeats(
    boxes: Boxes, scores: Float[np.ndarray, " n"], most: float
) -> Int[np.ndarray, " k"]:
    """Return places of the boxes that remain once each has removed weaker ones it overlaps.

    This is greedy non-maximum suppression. The places are in order of falling score.

    Args:
        boxes: Boxes of one class.
        scores: Their scores.
        most: Largest overlap of two boxes that both remain.
    """
    left = np.argsort(-scores, kind="stable")
    kept = list[int]()
    while left.size:
        best, left = left[0], left[1:]
        kept.append(int(best))
        is_other: Bool[np.ndarray, " l"] = overlaps(boxes[[best]], boxes[left])[0] <= most
        left = left[is_other]
    return np.array(kept, dtype=int)
