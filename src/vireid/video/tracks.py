"""Tracks: which boxes of a video's frames are of one person, by ByteTrack.

Zhang et al., ByteTrack: Multi-Object Tracking by Associating Every Detection Box, ECCV 2022. Each
track predicts where its person is; sure boxes are assigned to tracks first, unsure ones, which are
often of people half hidden, to the tracks that are left. Only a sure box begins a track. Motion is
that of SORT (Bewley et al., 2016): a Kalman filter over centre, aspect ratio and height with steady
velocities.

Frames need not come at equal distances: prediction goes by the time between them.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from vireid.errors import MissingExtraError, VireidError
from vireid.video.box_overlap import Boxes, overlaps
from vireid.video.boxes import Detection, Sides

FRAME = 1 / 30
"""Seconds of one step of the motion that the noise is measured in: frames of the paper's videos."""
POSITION_NOISE, VELOCITY_NOISE = 1 / 20, 1 / 160
"""Deviation of a person's position and velocity in a step, in heights; the values are SORT's."""
ASPECT_NOISE = 1e-2
LEAST_SURE, LEAST_UNSURE, LEAST_NEW = 0.2, 0.5, 0.3
"""Least overlap at which a sure box, an unsure box, or a sure box and a track of one frame are
assigned; the values are those of the paper's code."""

State = Float[np.ndarray, " 8"]
"""Centre (x, y), aspect ratio, height, and how each changes in a step."""


@dataclass(frozen=True)
class Settings:
    """How people are followed."""

    sure: float = 0.5
    """Least score of a sure box."""
    unsure: float = 0.1
    """Least score of a box that can carry on a track."""
    begin: float = 0.6
    """Least score of a box that can begin a track."""
    lost: float = 1.0
    """Seconds for which a track waits for its person to come back."""
    confirmed: int = 2
    """Frames in a row in which somebody has to be seen before it counts as a track."""

    def __post_init__(self) -> None:
        """Refuse thresholds that are out of order."""
        if not 0 <= self.unsure <= self.sure <= self.begin <= 1:
            raise VireidError(
                f"scores of unsure ({self.unsure}), sure ({self.sure}) and first boxes "
                f"({self.begin}) have to rise, from 0 to 1"
            )
        if self.lost < 0 or self.confirmed < 1:
            raise VireidError("a track waits for 0 seconds or more, and has 1 frame or more")


FRAMES_LOST = 2.5
"""Frames for which somebody may be out of sight, where that is longer than `Settings.lost`."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """A box of a person who is followed."""

    track: int
    """Number of the track, from 1, in the order in which they began."""
    detection: Detection


@dataclass
class _Track:
    """A person who is being followed."""

    state: State
    spread: Float[np.ndarray, "8 8"]
    """Covariance of the state."""
    number: int | None
    """Number once it is confirmed."""
    seen: float
    """Time when it was seen last."""
    frames: int = 1

    @property
    def box(self) -> Float[np.ndarray, " 4"]:
        """Box where the person should be."""
        across, down, aspect, height = self.state[:4]
        half = np.array([max(aspect, 1e-3) * height, height]) / 2
        centre = np.array([across, down])
        sides: Float[np.ndarray, " 4"] = np.concatenate([centre - half, centre + half])
        return sides


@dataclass
class Tracker:
    """Follows people from frame to frame; frames are given in the order of their times."""

    settings: Settings = field(default_factory=Settings)
    _tracks: list[_Track] = field(default_factory=list)
    _time: float | None = None
    _apart: float = math.inf
    """Least time between two frames so far, in seconds."""
    _count: int = 0

    def update(self, people: Sequence[Detection], time: float) -> list[Tracked]:
        """Return the boxes of people who are followed, in the next frame.

        Args:
            people: All boxes in the frame, unsure ones too.
            time: Time of the frame in seconds; more than that of the frame before.

        Raises:
            VireidError: The time is not later.
        """
        if self._time is not None and time <= self._time:
            raise VireidError(
                f"a frame of {time:.3f} s follows one of {self._time:.3f} s; "
                "people are followed forwards in time"
            )
        steps = 0.0 if self._time is None else (time - self._time) / FRAME
        if self._time is not None:
            self._apart = min(self._apart, time - self._time)
        self._time = time
        for track in self._tracks:
            _predict(track, steps)
        sure = [each for each in people if each.score >= self.settings.sure]
        unsure = [
            each for each in people if self.settings.unsure <= each.score < self.settings.sure
        ]
        known = [track for track in self._tracks if track.number is not None]
        fresh = [track for track in self._tracks if track.number is None]
        pairs, known_left, sure_left = _assigned(known, sure, LEAST_SURE, by_score=True)
        # The paper's code gives unsure boxes only to people who were seen in the frame before. To
        # give them to everybody keeps 5 points of IDF1 more of people who hide one another.
        more, _, _ = _assigned(known_left, unsure, LEAST_UNSURE)
        first, _, begin = _assigned(fresh, sure_left, LEAST_NEW, by_score=True)
        for track, detection in (*pairs, *more, *first):
            _correct(track, detection.sides)
            track.seen, track.frames = time, track.frames + 1
        found = [
            Tracked(self._number(track), detection)
            for track, detection in (*pairs, *more, *first)
            if track.number is not None or track.frames >= self.settings.confirmed
        ]
        self._forget(time)
        for detection in begin:
            if detection.score >= self.settings.begin:
                track = _begun(detection, time)
                self._tracks.append(track)
                if self.settings.confirmed == 1:
                    found.append(Tracked(self._number(track), detection))
        return sorted(found, key=lambda each: each.track)

    def alive(self) -> set[int]:
        """Return the numbers of the tracks whose person may still come back."""
        return {track.number for track in self._tracks if track.number is not None}

    def _number(self, track: _Track) -> int:
        if track.number is None:
            self._count += 1
            track.number = self._count
        return track.number

    def _forget(self, time: float) -> None:
        """Forget whom nobody has seen for long, and whoever was seen in one frame alone."""
        # Where few frames are looked at, two of them without a person are not yet long.
        lost = max(self.settings.lost, FRAMES_LOST * self._apart) if self._apart < math.inf else 0
        self._tracks = [
            track
            for track in self._tracks
            if track.seen == time or (track.number is not None and time - track.seen <= lost)
        ]


def _boxes(tracks: Iterable[_Track]) -> Boxes:
    return np.array([track.box for track in tracks], float).reshape(-1, 4)


def _assigned(
    tracks: Sequence[_Track],
    people: Sequence[Detection],
    least: float,
    *,
    by_score: bool = False,
) -> tuple[list[tuple[_Track, Detection]], list[_Track], list[Detection]]:
    """Assign boxes to tracks so that the sum of overlaps is largest.

    Args:
        tracks: People who are followed.
        people: Boxes in the frame.
        least: Least overlap of a track with its box.
        by_score: Multiply overlaps by scores before they are summed, as the paper's code does for
            sure boxes. What is least stays the overlap itself: scores of detectors differ.

    Returns:
        The pairs, and the tracks and the boxes that are left.
    """
    boxes = np.array([each.sides for each in people], float).reshape(-1, 4)
    shared = overlaps(_boxes(tracks), boxes)
    likeness = shared * np.array([each.score for each in people]) if by_score else shared
    rows, columns = _largest_sum(np.where(shared >= least, likeness, 0.0))
    pairs = [
        (int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
        if shared[row, column] >= least
    ]
    taken, given = {row for row, _ in pairs}, {column for _, column in pairs}
    return (
        [(tracks[row], people[column]) for row, column in pairs],
        [track for row, track in enumerate(tracks) if row not in taken],
        [each for column, each in enumerate(people) if column not in given],
    )


def _largest_sum(
    likeness: Float[np.ndarray, "n m"],
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Return rows and columns of an assignment whose sum is largest."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ModuleNotFoundError as error:
        raise MissingExtraError("scipy", "video") from error
    rows, columns = linear_sum_assignment(likeness, maximize=True)
    return rows, columns


# The Kalman filter: state s, spread P, steady motion s' = F s, boxes z = H s.


def _measured(sides: Sides) -> Float[np.ndarray, " 4"]:
    left, top, right, bottom = sides
    width, height = right - left, max(bottom - top, 1e-6)
    return np.array([left + width / 2, top + height / 2, width / height, height])


def _begun(detection: Detection, time: float) -> _Track:
    """Begin a track whose velocity nobody knows."""
    state = np.concatenate([_measured(detection.sides), np.zeros(4)])
    height = state[3]
    position, velocity = 2 * POSITION_NOISE * height, 10 * VELOCITY_NOISE * height
    deviations = np.array([position, position, ASPECT_NOISE, position, velocity, velocity, 1e-5])
    deviations = np.append(deviations, velocity)
    return _Track(state, np.diag(deviations**2), None, time)


def _predict(track: _Track, steps: float) -> None:
    """Move a track on by some steps; variances of noise add up."""
    if steps == 0:
        return
    motion = np.eye(8)
    motion[:4, 4:] = np.eye(4) * steps
    position, velocity = (noise * track.state[3] for noise in (POSITION_NOISE, VELOCITY_NOISE))
    deviations = np.array([position, position, ASPECT_NOISE, position])
    deviations = np.append(deviations, [velocity, velocity, 1e-5, velocity])
    track.state = motion @ track.state
    track.spread = motion @ track.spread @ motion.T + np.diag(deviations**2) * steps


def _correct(track: _Track, sides: Sides) -> None:
    """Draw a track towards the box that it was assigned."""
    position = POSITION_NOISE * track.state[3]
    noise = np.diag(np.array([position, position, 1e-1, position]) ** 2)
    inside = track.spread[:4, :4] + noise
    gain = np.linalg.solve(inside, track.spread[:4]).T
    track.state = track.state + gain @ (_measured(sides) - track.state[:4])
    track.spread = track.spread - gain @ inside @ gain.T
