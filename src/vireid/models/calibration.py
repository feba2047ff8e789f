"""Calibration: what a similarity of one model is worth, kept beside the model.

Let LR(s) be how many times more often two pictures of one person are as similar as s than pictures
of two people are. With a prior p that a pair shows one person, Bayes gives the posterior

    P(same | s) = LR(s) p / (LR(s) p + 1 - p)

so one curve serves any prior (Brümmer and du Preez, "Application-independent evaluation of speaker
detection", Computer Speech and Language 2006). `verify` takes p = 1/2. A search takes
p = m / (2 n): the person is in the gallery as likely as not, and then has m of its n pictures,
where m is what the people of the calibration had.

The chance that nobody in a gallery is the person rests on the best similarities of a search:

    P(nobody) = 1 / (1 + exp(a + b s1 + c mean(s1 .. s10) + d ln n))

The largest of n similarities of strangers grows like ln n where their tail falls exponentially
(Gumbel's law), so a model that has seen galleries of several sizes speaks about others.

`scoring.calibrating` learns all of it. This module reads, writes and applies it.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from jaxtyping import Float

from vireid.errors import VireidError
from vireid.files import documents
from vireid.files.documents import Count
from vireid.files.packed_arrays import unpacked
from vireid.records import Modality
from vireid.types.arrays import Queries

log = logging.getLogger(__name__)
FILE = "calibration.json"
FORMAT = 1
BEST = 10
"""Number of best similarities that the chance of nobody rests on."""
UNLIKE = 0.01
"""Share of pictures like those of the calibration that are called unlike them."""

LARGE = 0.2
"""Least difference of two distributions of distances that matters."""

Kind = Literal["logistic", "isotonic"]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class CalibrationError(VireidError):
    """A calibration cannot be made, or cannot be read."""


def direction(query: Modality, gallery: Modality, *, centred: bool = False) -> str:
    """Return the name of a direction: `infrared-to-visible`, or with `, centred`."""
    return f"{query}-to-{gallery}" + (", centred" if centred else "")


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The logarithm of LR(s), linear between some similarities and level beyond them."""

    kind: Kind
    similarities: Annotated[tuple[float, ...], msgspec.Meta(min_length=2, max_length=10_000)]
    log_ratios: tuple[float, ...]
    low: tuple[float, ...]
    """Lower end of the 95 % interval, by resampling people."""
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse a curve that is none, or falls."""
        columns = (self.similarities, self.log_ratios, self.low, self.high)
        if len({len(column) for column in columns}) > 1:
            raise ValueError("the columns of a curve differ in length")
        if not all(math.isfinite(value) for column in columns for value in column):
            raise ValueError("a curve holds what is no number")
        if np.any(np.diff(self.similarities) <= 0) or np.any(np.diff(self.log_ratios) < 0):
            raise ValueError("a curve falls")

    @cached_property
    def _points(self) -> Float[np.ndarray, "2 p"]:
        return np.array([self.similarities, self.log_ratios], np.float64)

    def log_ratio(self, similarity: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Return ln LR(s) of similarities."""
        return np.asarray(np.interp(similarity, *self._points))

    def probability(self, similarity: float, prior: float) -> float:
        """Return the chance that a pair of this similarity shows one person."""
        (found,) = self.probabilities([similarity], prior)
        return found

    def probabilities(self, similarities: Sequence[float], prior: float) -> list[float]:
        """Return the chances that pairs of these similarities show one person."""
        ratios = self.log_ratio(np.array(similarities, np.float64))
        odds = ratios + (math.log(prior) - math.log1p(-prior))
        found: list[float] = (1 / (1 + np.exp(-odds.clip(-700, 700)))).tolist()
        return found

    def interval(self, similarity: float, prior: float) -> tuple[float, float]:
        """Return the 95 % interval of that chance, which says how few people it rests on."""
        ends = (float(np.interp(similarity, self.similarities, c)) for c in (self.low, self.high))
        low, high = (_posterior(end, prior) for end in ends)
        return low, high


@dataclass(frozen=True, kw_only=True)
class Nobody:
    """The chance that the person searched for is not in the gallery, from its best similarities."""

    intercept: float
    top: float
    """Weight of the best similarity."""
    mean: float
    """Weight of the mean of the ten best."""
    log_size: float
    """Weight of the logarithm of the number of pictures searched."""

    def log_odds(self, best: Float[np.ndarray, "*q k"], searched: int) -> Float[np.ndarray, "*q"]:
        """Return the log-odds that the person is there, at even chances before.

        Args:
            best: Highest similarities of searches, falling; at most ten count.
            searched: Number of pictures searched.
        """
        mean = best[..., :BEST].mean(axis=-1)
        found = (
            self.intercept
            + self.top * best[..., 0]
            + self.mean * mean
            + self.log_size * math.log(max(searched, 1))
        )
        return np.asarray(found)

    def probability(self, best: Sequence[float], searched: int) -> float:
        """Return the chance that none of the pictures searched shows the person; see `log_odds`."""
        if not best:
            return 1.0
        return _posterior(-float(self.log_odds(np.array(best, np.float64), searched)), 0.5)


@dataclass(frozen=True, kw_only=True)
class Direction:
    """What was learnt about queries of one spectrum in galleries of one spectrum."""

    curve: Curve
    people: Count
    """Number of people, or of queries where hits were judged."""
    same: Count
    """Number of pairs of one person."""
    different: Count
    """Number of pairs of two people."""
    pictures_each: Annotated[float, msgspec.Meta(gt=0)]
    """Mean number of a person's pictures in the gallery."""
    log_loss: Mapping[Kind, float]
    """Held-out log loss of each kind of curve, by folds of people, at even chances; in nats."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Similarity that a share of the pairs of two people reach, by that share."""
    nobody: Nobody | None = None

    def prior(self, searched: int) -> float:
        """Return the prior chance that a picture of a search shows the person."""
        return min(0.5, self.pictures_each / (2 * max(searched, 1)))


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How far pictures of one spectrum lie from those of the calibration.

    The distance is Mahalanobis' in the directions of largest variance and, as one more coordinate,
    the length of what is left.
    """

    dim: Annotated[int, msgspec.Meta(ge=1, le=2**20)]
    axes: Annotated[int, msgspec.Meta(ge=0, le=1024)]
    basis: str
    """Mean vector, then the directions, as packed float16."""
    scales: tuple[float, ...]
    """Standard deviation along each direction, and mean and deviation of the length left."""
    people: Annotated[int, msgspec.Meta(ge=1)]
    """Number of people on the pictures; those of one person go together."""
    distances: Annotated[tuple[float, ...], msgspec.Meta(min_length=2)]
    """Quantiles of the distances of pictures whose people took no part in the above, rising."""

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if len(self.scales) != self.axes + 2 or min(self.scales) <= 0:
            raise ValueError("the scales of a likeness do not fit its axes")

    @cached_property
    def _unpacked(self) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "a d"]]:
        """Mean vector, and directions."""
        rows = unpacked(self.basis, "float16", (self.axes + 1, self.dim)).astype(np.float64)
        return rows[0], rows[1:]

    @cached_property
    def _ladder(self) -> Float[np.ndarray, " s"]:
        return np.array(self.distances, np.float64)

    def distance(self, vectors: Queries) -> Float[np.ndarray, " q"]:
        """Return how far pictures are from those of the calibration."""
        mean, basis = self._unpacked
        off = vectors - mean
        along = off @ basis.T
        left = np.sqrt(np.maximum((off**2).sum(axis=1) - (along**2).sum(axis=1), 0))
        *scales, usual, spread = self.scales
        parts = np.column_stack([along / np.array(scales), (left - usual) / spread])
        found: Float[np.ndarray, " q"] = np.sqrt((parts**2).sum(axis=1))
        return found

    def p_values(self, vectors: Queries) -> Float[np.ndarray, " q"]:
        """Return for each picture the share of the calibration's that are at least as far off."""
        ranks = np.searchsorted(self._ladder, self.distance(vectors))
        return np.asarray(1 - ranks / (len(self.distances) + 1))

    def unlike(self, vectors: Queries) -> list[bool]:
        """Return of each picture whether `are_unlike` holds for it alone."""
        found: list[bool] = (self.p_values(vectors) <= UNLIKE).tolist()
        return found

    def are_unlike(self, vectors: Queries) -> bool:
        """Whether pictures are unlike those of the calibration, wrong in one case of a hundred.

        One picture is compared with the quantiles of the distances; several by the two-sample test
        of Kolmogorov and Smirnov (asymptotic critical value) on their distances. Among many any
        difference is certain, so it has to be a large one too.
        """
        p = np.sort(self.p_values(vectors))
        n = len(p)
        if n < 5:
            return bool(p.min() <= UNLIKE / n)
        steps = np.arange(n + 1) / n
        gap = max(float(np.max(steps[1:] - p)), float(np.max(p - steps[:-1])))
        m = self.people
        critical = math.sqrt(-math.log(UNLIKE / 2) / 2) * math.sqrt((n + m) / (n * m))
        return bool(gap > max(critical, LARGE))


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What the similarities of one model are worth."""

    format: int = FORMAT
    vireid: str
    """Version of vireid that made it."""
    model: str
    """Fingerprint of the model."""
    learnt_from: str
    """People that it was learnt from, in words."""
    pictures: str | None = None
    """Fingerprint of their pictures."""
    of_gallery: bool = False
    """Whether it was made for one gallery, where it comes before that of the model."""
    directions: Mapping[str, Direction]
    """By the name that `direction` gives."""
    likeness: Mapping[Modality, Likeness] = field(default_factory=dict)

    def of(self, query: Modality, gallery: Modality, *, centred: bool = False) -> Direction | None:
        """Return what is known of a direction; None where nothing is."""
        return self.directions.get(direction(query, gallery, centred=centred))


def read(path: Path, fingerprint: str) -> Calibration | None:
    """Return the calibration of a model; None where there is none, or it is another model's.

    Args:
        path: File that holds it.
        fingerprint: Fingerprint of the model.

    Raises:
        CalibrationError: It is damaged, or of another version.
    """
    if not path.exists():
        return None
    way_out = "remove it, and make it again with `vireid calibrate`"
    found = documents.read_json(path, Calibration, way_out, CalibrationError, formats=[FORMAT])
    return belonging(found, fingerprint, str(path))


def write(path: Path, found: Calibration) -> None:
    """Write a calibration to a file; the whole file is written, or nothing."""
    documents.write_json(path, found)


def belonging(found: Calibration, fingerprint: str, place: str) -> Calibration | None:
    """Return a calibration if it is a model's own; else say that it is not, and return None."""
    if found.model == fingerprint:
        return found
    log.warning(
        "%s was made for the model of fingerprint %s, and this one is %s, perhaps because it was "
        "trained further; no chances are given before `vireid calibrate` is run again",
        *(place, found.model, fingerprint),
    )
    return None


def in_percent(chance: float) -> str:
    """Return a chance for people; none is certain."""
    if 0.005 <= chance < 0.995:
        return f"{100 * chance:.0f} %"
    return "<1 %" if chance < 0.5 else ">99 %"


def _posterior(log_ratio: float, prior: float) -> float:
    """Return the posterior chance, from ln LR and the prior one."""
    odds = log_ratio + math.log(prior) - math.log1p(-prior)
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, odds))))
