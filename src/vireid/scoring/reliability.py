"""Reliability: whether chances come true, and how well similarities tell who is in a gallery.

All pictures of one spectrum are compared with all of the other, with what a calibration leaves out
left out too (`calibration.Search`).

* reliability curve: pairs by their chance, in 15 bins of equal width; in each the mean chance and
  the share that shows one person. ECE is the mean distance of the two, weighted by pairs (Guo et
  al., "On Calibration of Modern Neural Networks", ICML 2017). Pairs of one person weigh as much as
  all others together, as `verify` assumes. Hits and nobody have an ECE of their own: the ten best
  of each search, in galleries with and without the person.
* DET: share of pairs of one person that are missed (FNMR) against the share of others that match
  (FMR), over all thresholds (ISO/IEC 19795-1). TMR@FMR is 1 - FNMR at an FMR.
* DIR at a false-alarm rate: the threshold lets that share of the searches for people who are not in
  the gallery raise an alarm. DIR is the share of searches for people who are there whose first hit
  shows them and reaches it (Grother and Ngan, NIST IR 8009).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from rich import box
from rich.table import Table

from vireid.console import plain
from vireid.datasets import Dataset
from vireid.errors import VireidError
from vireid.models.calibration import BEST, Calibration, Direction, direction
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord, Modality, pictures_fingerprint
from vireid.scoring import named_protocols
from vireid.scoring.calibrating.pairs import CENTRES, Search
from vireid.scoring.scores import Group

BINS = 15
FALSE_MATCHES = (0.01, 0.001)
FALSE_ALARMS = (0.01, 0.1)
Ways = Mapping[str, float]


@dataclass(frozen=True)
class Curve:
    """A reliability curve; bins without weight are left out."""

    chance: tuple[float, ...]
    """Mean chance in each bin."""
    share: tuple[float, ...]
    """Share that came true."""
    weight: tuple[float, ...]
    """Share of the total weight."""

    @property
    def error(self) -> float:
        """Expected calibration error."""
        parts = zip(self.chance, self.share, self.weight, strict=True)
        return sum(weight * abs(chance - share) for chance, share, weight in parts)


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """What was measured of one direction, of all its cameras or of one."""

    direction: str
    camera: str | None
    """Camera of the queries; None for all."""
    queries: int
    same: int
    """Number of pairs of one person."""
    false_match: tuple[float, ...]
    """Share of the pairs of two people above a threshold, by rising threshold."""
    false_non_match: tuple[float, ...]
    """Share of the pairs of one person below it."""
    true_match_at: Mapping[str, float]
    """TMR by FMR."""
    identified_at: Mapping[str, Ways]
    """DIR by false-alarm rate: of a threshold on similarity, and of the chance of nobody."""
    pairs: Curve | None = None
    """None where the model is not calibrated."""
    hits: Curve | None = None
    nobody: Curve | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it for programs."""
        errors = {
            f"ece_{name}": curve and curve.error
            for name, curve in (("pairs", self.pairs), ("hits", self.hits), ("nobody", self.nobody))
        }
        return {**asdict(self), **errors}


def measure(
    embedder: Embedder, dataset: Dataset, group: Group = "test"
) -> tuple[list[Reliability], str | None]:
    """Measure both directions on a group of people, for all cameras and for each.

    Args:
        embedder: Model, calibrated or not.
        dataset: A data set.
        group: Group of people.

    Returns:
        What was measured, and a remark if the model was calibrated on these people: then no chance
        is judged by them.

    Raises:
        VireidError: A picture cannot be read, or nobody was seen in both spectra.
    """
    records = [record for record in dataset.groups[group] if record.identity is not None]
    calibration, remark = embedder.calibration, None
    if calibration and calibration.pictures == pictures_fingerprint(
        dataset.groups[group], dataset.root
    ):
        remark = "the model was calibrated on these very people, so they cannot judge its chances"
        calibration = None
    vectors = embedder.embed_records(records)
    rooms = {pair for p in named_protocols.choose(dataset) for pair in p.hidden_cameras}
    found = [
        of_queries
        for query in (Modality.INFRARED, Modality.VISIBLE)
        for of_queries in _of_direction(vectors, records, query, sorted(rooms), calibration)
    ]
    if not found:
        raise VireidError(f"nobody of {dataset.label} was seen in both spectra, by two cameras")
    return found, remark


def _of_direction(
    vectors: Float[np.ndarray, "n d"],
    records: Sequence[ImageRecord],
    query: Modality,
    rooms: Sequence[tuple[str, str]],
    calibration: Calibration | None,
) -> list[Reliability]:
    search = Search.among(vectors, records, query, query.other, rooms)
    known = calibration.of(query, query.other) if calibration else None
    cameras = np.array([record.camera or "" for record in records if record.modality is query])
    chosen: dict[str | None, Bool[np.ndarray, " q"]] = {None: np.ones(len(cameras), bool)}
    if len(names := np.unique(cameras)) > 1:
        chosen |= {str(name): cameras == name for name in names}
    found = (
        of_search(search.of(rows), direction(query, query.other), camera, known)
        for camera, rows in chosen.items()
    )
    return [each for each in found if each]


def of_search(
    search: Search, name: str, camera: str | None = None, known: Direction | None = None
) -> Reliability | None:
    """Measure one direction; None where no query has a match and somebody else to meet.

    Args:
        search: Queries and gallery.
        name: Name of the direction.
        camera: Camera of the queries, where they are those of one.
        known: What a calibration says of this direction.
    """
    pairs = search.pairs()
    same, different = pairs.counted()
    there, gone = _Best.of(search), _Best.of(search, without=True)
    if min(same.sum(), different.sum()) == 0 or not len(there.scores):
        return None
    false_match = np.cumsum(different[::-1])[::-1] / different.sum()
    missed = 1 - np.cumsum(same[::-1])[::-1] / same.sum()
    size = len(search.gallery_people)
    curves: dict[str, Curve] = {}
    scores = {"threshold": (there.scores[:, 0], gone.scores[:, 0])}
    if known:
        curves["pairs"] = _of_pairs(known, same, different)
        curves["hits"] = _of_hits(known, there, gone, size)
    if known and known.nobody:
        odds = tuple(known.nobody.log_odds(each.scores, size) for each in (there, gone))
        scores["nobody"] = odds[0], odds[1]
        curves["nobody"] = _of_nobody(*odds)
    return Reliability(
        direction=name,
        camera=camera,
        queries=len(there.scores),
        same=int(same.sum()),
        false_match=tuple(false_match.tolist()),
        false_non_match=tuple(missed.tolist()),
        true_match_at={f"{f:g}": _true_match_at(f, false_match, missed) for f in FALSE_MATCHES},
        identified_at={
            f"{rate:g}": {
                way: identified(rate, found, there.same[:, 0], others)
                for way, (found, others) in scores.items()
            }
            for rate in FALSE_ALARMS
        },
        **curves,
    )


@dataclass(frozen=True, eq=False)
class _Best:
    """The best hits of searches."""

    scores: Float[np.ndarray, "q k"]
    same: Bool[np.ndarray, "q k"]

    @classmethod
    def of(cls, search: Search, *, without: bool = False) -> "_Best":
        """Search for all queries that see a match and somebody else.

        Args:
            search: Queries and gallery.
            without: Search among everybody but the person.
        """
        same = search.query_people[:, None] == search.gallery_people
        shown = ~search.hidden
        valid = np.flatnonzero((shown & same).any(axis=1) & (shown & ~same).any(axis=1))
        k = min(BEST, len(search.gallery_people))
        scores, flags = np.zeros((len(valid), k), np.float32), np.zeros((len(valid), k), bool)
        for place, row in enumerate(valid):
            seen = shown[row] & ~same[row] if without else shown[row]
            found = np.where(seen, search.similarity(slice(row, row + 1))[0], -np.inf)
            order = np.argpartition(-found, k - 1)[:k]
            order = order[np.argsort(-found[order], kind="stable")]
            # Where fewer are seen than count, the last one stands for those that are missing.
            order = np.where(np.isfinite(found[order]), order, order[np.isfinite(found[order])][-1])
            scores[place], flags[place] = found[order], same[row, order]
        return cls(scores, flags)


def identified(
    rate: float,
    there: Float[np.ndarray, " q"],
    right: Bool[np.ndarray, " q"],
    gone: Float[np.ndarray, " others"],
) -> float:
    """Return DIR at a false-alarm rate.

    Args:
        rate: Share of the searches for people who are not there that may raise an alarm.
        there: Score of each search for somebody who is there.
        right: Whether its first hit shows the person.
        gone: Score of each search for somebody who is not there.
    """
    allowed = int(rate * len(gone))
    threshold = np.sort(gone)[::-1][allowed] if allowed < len(gone) else -np.inf
    return float((right & (there > threshold)).mean())


def reliability_curve(
    chances: Float[np.ndarray, " n"],
    true: Float[np.ndarray, " n"],
    weights: Float[np.ndarray, " n"],
) -> Curve:
    """Return the reliability curve of chances in 15 bins.

    Args:
        chances: Chances from 0 to 1.
        true: Share of each that came true; 0 or 1 for a single case.
        weights: Weight of each.
    """
    bins = np.minimum((chances * BINS).astype(int), BINS - 1)
    weight = np.bincount(bins, weights, BINS)
    used = weight > 0
    mean = np.bincount(bins, weights * chances, BINS)[used] / weight[used]
    share = np.bincount(bins, weights * true, BINS)[used] / weight[used]
    columns = (mean, share, weight[used] / weight.sum())
    return Curve(*(tuple(column.tolist()) for column in columns))


def _of_pairs(
    known: Direction, same: Float[np.ndarray, " bins"], different: Float[np.ndarray, " bins"]
) -> Curve:
    ones, others = same / same.sum(), different / different.sum()
    used = ones + others > 0
    chances = 1 / (1 + np.exp(-known.curve.log_ratio(CENTRES[used])))
    both = (ones + others)[used]
    return reliability_curve(chances, ones[used] / both, both)


def _of_hits(known: Direction, there: _Best, gone: _Best, size: int) -> Curve:
    prior = known.prior(size)
    scores = np.concatenate([there.scores.ravel(), gone.scores.ravel()])
    same = np.concatenate([there.same.ravel(), gone.same.ravel()]).astype(np.float64)
    odds = known.curve.log_ratio(scores) + np.log(prior) - np.log1p(-prior)
    return reliability_curve(1 / (1 + np.exp(-odds)), same, np.ones(len(scores)))


def _of_nobody(there: Float[np.ndarray, " q"], gone: Float[np.ndarray, " q"]) -> Curve:
    chances = 1 / (1 + np.exp(np.concatenate([there, gone]).astype(np.float64)))
    true = np.repeat([0.0, 1.0], [len(there), len(gone)])
    return reliability_curve(chances, true, np.ones(len(true)))


def _true_match_at(
    rate: float, false_match: Float[np.ndarray, " bins"], missed: Float[np.ndarray, " bins"]
) -> float:
    """Return the share of matches above the lowest threshold of at most a false-match rate."""
    allowed = np.flatnonzero(false_match <= rate)
    return float(1 - missed[allowed[0]]) if len(allowed) else 0.0


def table(found: Sequence[Reliability], remark: str | None = None) -> Table:
    """Return the table for people, in percent."""
    shown = Table(
        title=plain("How sure", style="table.title"),
        caption=plain(
            *filter(
                None,
                [
                    "percent; chance: by the chance of nobody, threshold: by the best threshold on "
                    "similarity",
                    "ECE, 15 bins: of pairs at even chances, of the ten best hits, of nobody",
                    remark,
                ],
            ),
            style="table.caption",
        ),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    shown.add_column("queries")
    heads = [f"TMR@{100 * rate:g}%" for rate in FALSE_MATCHES]
    for rate in FALSE_ALARMS:
        heads += [f"DIR@{100 * rate:g}% threshold", "chance"]
    for heading in (*heads, "ECE pairs", "hits", "nobody"):
        shown.add_column(heading, justify="right")
    for each in found:
        name = each.direction if each.camera is None else f"  {each.camera}"
        cells = [_percent(each.true_match_at[f"{rate:g}"]) for rate in FALSE_MATCHES]
        for rate in FALSE_ALARMS:
            ways = each.identified_at[f"{rate:g}"]
            cells += [_percent(ways["threshold"]), _percent(ways.get("nobody"))]
        cells += [_error(curve) for curve in (each.pairs, each.hits, each.nobody)]
        shown.add_row(plain(name), *cells)
    return shown


def _error(curve: Curve | None) -> str:
    return _percent(curve.error if curve is not None else None)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
