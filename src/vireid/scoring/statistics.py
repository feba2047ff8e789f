"""How sure a mean over queries is, and a difference of two: bootstrap, permutations, Holm.

Queries of one person go together, so people are what is drawn. With weights w_q (the number of
trials in which query q has a match) a score is sum w_q v_q / sum w_q.

* interval: people are drawn with replacement, 10,000 times, and 2.5 % of the scores are cut off on
  either side. With few people that is too narrow: the share that is cut off is that of Hesterberg's
  expanded percentile interval, Phi(-sqrt(n / (n - 1)) t), with t of n - 1 degrees of freedom
  ("What Teachers Should Know About the Bootstrap", The American Statistician 2015).
* paired difference: the same people are drawn for both rows. Where a row has several seeds, they
  are drawn too.
* permutation test: if two rows do not differ, each query's difference could as well have the other
  sign. p = (1 + number of draws at least as far from 0) / (1 + draws). The test takes queries for
  independent; where those of one person go together, p is too small. So a difference is settled
  only if the interval over people says so too.
* many pairs: p-values are corrected by Holm's method (Scandinavian Journal of Statistics 1979).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from jaxtyping import Float, Int

RESAMPLES = 10_000
CONFIDENCE = 0.95
_AT_ONCE = 1 << 22
"""Numbers drawn at a time."""


@dataclass(frozen=True, eq=False)
class Sums:
    """Scores summed up by person."""

    totals: Float[np.ndarray, "p seeds"]
    """Sum of w v over a person's queries, for each seed."""
    weights: Float[np.ndarray, " p"]
    """Sum of w over a person's queries."""

    @property
    def means(self) -> Float[np.ndarray, " seeds"]:
        """Score of each seed."""
        found: Float[np.ndarray, " seeds"] = self.totals.sum(axis=0) / self.weights.sum()
        return found


def by_person(
    values: Sequence[Float[np.ndarray, " q"]],
    weights: Float[np.ndarray, " q"],
    people: Int[np.ndarray, " q"],
) -> Sums:
    """Sum up by person.

    Args:
        values: Values of all queries, for each seed.
        weights: Weights of the queries.
        people: Person of each query.
    """
    _, number = np.unique(people, return_inverse=True)
    totals = [np.bincount(number, weights * of_seed) for of_seed in values]
    return Sums(np.stack(totals, axis=1), np.bincount(number, weights))


def interval(sums: Sums, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean over people and seeds; None for one person."""
    if len(sums.weights) < 2:
        return None
    return _middle(_resampled(sums, resamples, seed), len(sums.weights))


def interval_of_difference(
    one: Sums, other: Sums, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float] | None:
    """Return the 95 % interval of a difference of two rows on the same queries.

    None for one person.
    """
    if len(one.weights) < 2:
        return None
    drawn = (_resampled(sums, resamples, seed, which) for which, sums in enumerate((one, other)))
    first, second = drawn
    return _middle(first - second, len(one.weights))


def _resampled(
    sums: Sums, resamples: int, seed: int, which: int = 0
) -> Float[np.ndarray, " resamples"]:
    """Return scores of people drawn with replacement; one seed draws the same people."""
    people, seeds = sums.totals.shape
    generator = np.random.default_rng(seed)
    found = []
    step = max(1, _AT_ONCE // people)
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = generator.multinomial(people, np.full(people, 1 / people), count)
        found.append((drawn @ sums.totals) / (drawn @ sums.weights)[:, None])
    scores = np.concatenate(found)
    if seeds > 1:
        own = np.random.default_rng((seed, 1 + which))
        shares = own.multinomial(seeds, np.full(seeds, 1 / seeds), resamples) / seeds
        return np.asarray((scores * shares).sum(axis=1))
    return np.asarray(scores[:, 0])


def _middle(scores: Float[np.ndarray, " resamples"], people: int) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    cut = NormalDist().cdf(-sqrt(people / (people - 1)) * student(1 - tail, people - 1))
    low, high = np.quantile(scores, (cut, 1 - cut))
    return float(low), float(high)


def student(probability: float, freedom: int) -> float:
    """Return a quantile of Student's t (Abramowitz and Stegun 26.7.5, good from 3 degrees on)."""
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    total: float = sum(term / float(freedom) ** power for power, term in enumerate(terms, 1))
    return z + total


def permutation_p(
    differences: Float[np.ndarray, " q"],
    weights: Float[np.ndarray, " q"] | None = None,
    draws: int = RESAMPLES,
    seed: int = 0,
) -> float:
    """Return the chance of a mean difference at least as large, if signs were drawn at random.

    Args:
        differences: Difference of two rows, for each query.
        weights: Weights of the queries; by default all alike.
        draws: Number of draws.
        seed: Seed of the draws.
    """
    values = differences if weights is None else differences * weights
    values = values[values != 0]  # whose sign changes nothing
    found = abs(float(values.sum()))
    generator = np.random.default_rng(seed)
    step = max(1, _AT_ONCE // max(1, len(values)))
    reached = 0
    for start in range(0, draws, step):
        count = min(step, draws - start)
        bits = generator.integers(0, 256, (count, -(-len(values) // 8)), np.uint8)
        signs = np.unpackbits(bits, axis=1, count=len(values)).astype(np.float32)
        totals = 2 * (signs @ values.astype(np.float32)) - float(values.sum())
        reached += int((np.abs(totals) >= found * (1 - 1e-6)).sum())
    return (1 + reached) / (1 + draws)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number."""
    corrected = [0.0] * len(p_values)
    so_far = 0.0
    for place, number in enumerate(np.argsort(p_values, kind="stable").tolist()):
        so_far = max(so_far, min(1.0, (len(p_values) - place) * p_values[number]))
        corrected[number] = so_far
    return corrected
