"""Pairs: who is who in two videos of one scene, one visible and one infrared.

Two tracks are one person where their boxes overlap over time. The videos show the same at the same
pixels (registered), or a homography leads from one to the other; their clocks may differ by a
constant shift, which is estimated. One person may have several tracks in each spectrum, one after
the other; two tracks that are there at once in one spectrum are never one person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vireid.errors import VireidError
from vireid.files.untrusted import content_of, what_is_wrong
from vireid.video.box_overlap import overlaps_in_rows
from vireid.video.boxes import Sides

LEAST_OVERLAP = 0.5
"""Least mean overlap (IoU) of the boxes of one person in both spectra."""
LEAST_COMMON = 0.3
"""Seconds that two tracks have to be there together."""
GAP = 0.6
"""Seconds between two boxes of a track across which its place is interpolated."""
FARTHEST_SHIFT = 3.0
"""Largest shift of two clocks that is looked for, in seconds."""
BETTER = 1.03
"""Factor by which a shift has to fit better than none to be believed."""

Homography = Float[np.ndarray, "3 3"]
"""Leads from pixels of the visible frame to pixels of the infrared frame."""


@dataclass(frozen=True, eq=False)
class Course:
    """Where one track was, at which times."""

    seconds: Float[np.ndarray, " n"]
    boxes: Float[np.ndarray, "n 4"]

    @classmethod
    def of(cls, places: Sequence[tuple[float, Sides]]) -> "Course":
        """Make a course of times and boxes, in the order of times."""
        seconds = np.array([second for second, _ in places], float)
        boxes = np.array([sides for _, sides in places], float).reshape(-1, 4)
        return cls(seconds, boxes)

    def at(self, seconds: Float[np.ndarray, " m"]) -> Float[np.ndarray, "m 4"]:
        """Return the box at some times, NaN where it is not known."""
        places = np.searchsorted(self.seconds, seconds)
        after = np.clip(places, 0, len(self.seconds) - 1)
        before = np.clip(places - 1, 0, len(self.seconds) - 1)
        length = self.seconds[after] - self.seconds[before]
        share = np.where(length > 0, (seconds - self.seconds[before]) / np.maximum(length, 1e-9), 0)
        found = self.boxes[before] + share[:, None] * (self.boxes[after] - self.boxes[before])
        inside = (seconds >= self.seconds[0]) & (seconds <= self.seconds[-1]) & (length <= GAP)
        placed: Float[np.ndarray, "m 4"] = np.where(inside[:, None], found, np.nan)
        return placed

    def moved(self, homography: Homography) -> "Course":
        """Return the course in another picture; a box becomes the one around its moved corners."""
        left, top, right, bottom = self.boxes.T
        corners = np.stack([[left, top], [right, top], [right, bottom], [left, bottom]])
        whole = np.concatenate([corners, np.ones_like(corners[:, :1])], axis=1)
        moved = np.einsum("ij,cjn->cin", homography, whole)
        x, y = moved[:, 0] / moved[:, 2], moved[:, 1] / moved[:, 2]
        # Edges are those of a rectangle that the camera sees at a slant: their means, not extremes.
        boxes = np.stack(
            [(x[0] + x[3]) / 2, (y[0] + y[1]) / 2, (x[1] + x[2]) / 2, (y[2] + y[3]) / 2], axis=1
        )
        return Course(self.seconds, boxes)


@dataclass(frozen=True)
class Together:
    """Two tracks that may be one person."""

    visible: str
    infrared: str
    overlap: float
    """Mean overlap of their boxes while both are there."""
    seconds: float
    """How long both are there."""


@dataclass(frozen=True)
class Paired:
    """Who is who."""

    people: tuple[tuple[frozenset[str], frozenset[str]], ...]
    """Visible and infrared tracks of each person who was found in both spectra."""
    evidence: tuple[Together, ...]
    """Pairs of tracks that were believed."""
    shift: float
    """Seconds that the infrared clock is ahead."""
    is_told_by_motion: bool
    """Whether a shift fits better than its neighbours; if not, it is taken to be 0."""
    visible_alone: tuple[str, ...]
    infrared_alone: tuple[str, ...]


def paired(
    visible: Mapping[str, Course],
    infrared: Mapping[str, Course],
    homography: Homography | None = None,
    shift: float | None = None,
    least_overlap: float = LEAST_OVERLAP,
) -> Paired:
    """Find the tracks of the two spectra that are of one person.

    Args:
        visible: Tracks of the visible video, by their names.
        infrared: Tracks of the infrared video.
        homography: Leads from pixels of the visible frame to the infrared one; None where they are
            the same.
        shift: Seconds that the infrared clock is ahead; by default estimated.
        least_overlap: Least mean overlap of one person's boxes.
    """
    if homography is not None:
        visible = {name: path.moved(homography) for name, path in visible.items()}
    is_told = shift is not None
    if shift is None:
        shift, is_told = estimated_shift(list(visible.values()), list(infrared.values()))
    evidence = [
        each
        for each in _together(visible, infrared, shift)
        if each.overlap >= least_overlap and each.seconds >= LEAST_COMMON
    ]
    evidence.sort(key=lambda each: -each.overlap * each.seconds)
    groups, believed = _grouped(visible, infrared, evidence)
    known = {name for group in groups for tracks in group for name in tracks}
    return Paired(
        people=tuple(groups),
        evidence=tuple(believed),
        shift=shift,
        is_told_by_motion=is_told,
        visible_alone=tuple(sorted(set(visible) - known)),
        infrared_alone=tuple(sorted(set(infrared) - known)),
    )


def estimated_shift(visible: Sequence[Course], infrared: Sequence[Course]) -> tuple[float, bool]:
    """Return the shift at which boxes overlap most, and whether motion tells it.

    All shifts up to three seconds are tried, in steps of 0.1 s and then of 0.01 s. People who stand
    still overlap at any shift; then it is 0, and motion does not tell it.
    """
    if not visible or not infrared:
        return 0.0, False
    coarse = np.arange(-FARTHEST_SHIFT, FARTHEST_SHIFT + 0.05, 0.1)
    scores = _fits(visible, infrared, coarse)
    best = float(coarse[int(np.argmax(scores))])
    fine = best + np.arange(-0.1, 0.105, 0.01)
    fitting = _fits(visible, infrared, fine)
    most = float(fitting.max())
    none = float(_fits(visible, infrared, np.zeros(1))[0])
    is_told = most > BETTER * _middle(scores)
    if not is_told or most < BETTER * none:
        return 0.0, is_told
    return round(float(fine[int(np.argmax(fitting))]), 2), True


def _middle(scores: Float[np.ndarray, " s"]) -> float:
    """Return the median of the scores that say something."""
    return float(np.median(scores[scores > 0])) if scores.any() else 0.0


def _fits(
    visible: Sequence[Course], infrared: Sequence[Course], shifts: Float[np.ndarray, " s"]
) -> Float[np.ndarray, " s"]:
    """Return how well the boxes fit at some shifts.

    That is the mean, over infrared boxes at whose times anybody visible is known, of the largest
    overlap with a visible box. Where that is less than half of the boxes, nothing is said: 0.
    """
    sums, counts = np.zeros(len(shifts)), np.zeros(len(shifts))
    for place, shift in enumerate(shifts):
        for path in infrared:
            best = np.full(len(path.seconds), np.nan)
            for other in visible:
                best = np.fmax(best, overlaps_in_rows(other.at(path.seconds - shift), path.boxes))
            sums[place] += np.nansum(best)
            counts[place] += np.isfinite(best).sum()
    enough = counts >= 0.5 * sum(len(path.seconds) for path in infrared)
    fits: Float[np.ndarray, " s"] = np.where(enough, sums / np.maximum(counts, 1), 0.0)
    return fits


def _together(
    visible: Mapping[str, Course], infrared: Mapping[str, Course], shift: float
) -> list[Together]:
    found = list[Together]()
    for (name, path), (other, there) in product(visible.items(), infrared.items()):
        shared = overlaps_in_rows(path.at(there.seconds - shift), there.boxes)
        known = np.isfinite(shared)
        if known.sum() >= 2:
            times = there.seconds[known]
            found.append(
                Together(name, other, float(shared[known].mean()), float(times[-1] - times[0]))
            )
    return found


def _grouped(
    visible: Mapping[str, Course], infrared: Mapping[str, Course], evidence: Sequence[Together]
) -> tuple[list[tuple[frozenset[str], frozenset[str]]], list[Together]]:
    """Join tracks by the strongest evidence first, never two that are there at once."""
    groups = {("v", name): ({name}, set[str]()) for name in visible}
    groups |= {("i", name): (set[str](), {name}) for name in infrared}
    believed = list[Together]()
    for each in evidence:
        one, other = groups["v", each.visible], groups["i", each.infrared]
        if one is not other:
            if _clash(one[0], other[0], visible) or _clash(one[1], other[1], infrared):
                continue
            one[0].update(other[0])
            one[1].update(other[1])
            for name in other[0]:
                groups["v", name] = one
            for name in other[1]:
                groups["i", name] = one
        believed.append(each)
    whole = {id(group): group for group in groups.values() if group[0] and group[1]}
    people = [(frozenset(seen), frozenset(felt)) for seen, felt in whole.values()]
    return sorted(people, key=lambda person: min(person[0])), believed


def _clash(one: set[str], other: set[str], paths: Mapping[str, Course]) -> bool:
    """Whether a track of one group is there at the same time as one of the other."""
    return any(
        min(paths[a].seconds[-1], paths[b].seconds[-1])
        > max(paths[a].seconds[0], paths[b].seconds[0])
        for a, b in product(one - other, other - one)
    )


def read_homography(path: Path) -> Homography:
    """Read a homography: nine numbers, separated by commas, blanks or line ends, row by row.

    Raises:
        VireidError: It cannot be read, or is none.
    """
    way_out = "write nine numbers, row by row, that lead from visible pixels to infrared ones"
    try:
        text = content_of(path, 2**16).decode()
    except (OSError, UnicodeDecodeError) as error:
        told = what_is_wrong(path, error) if isinstance(error, OSError) else "is no text"
        raise VireidError(f"{path} {told}; {way_out}") from error
    try:
        numbers = np.array([float(word) for word in text.replace(",", " ").split()])
        found = numbers.reshape(3, 3)
    except ValueError as error:
        raise VireidError(f"{path} is no homography; {way_out}") from error
    if not np.isfinite(found).all() or abs(np.linalg.det(found)) < 1e-12:
        raise VireidError(f"{path} is a homography without a way back; {way_out}")
    return found
