"""The chance of nobody: a logistic regression on galleries with the person, and without.

The galleries are of several sizes, drawn from labelled pictures.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float

from vireid.models.calibration import BEST, Nobody
from vireid.scoring.calibrating.curves import regression
from vireid.scoring.calibrating.pairs import Search

GALLERIES = tuple(product((0.1, 0.3, 1.0), (1, 3, None)))
"""Galleries by which the chance of nobody is learnt: share of the people, and pictures of each."""
MOST_QUERIES = 1500


def nobody_in(search: Search, seed: int) -> Nobody | None:
    """Learn the chance of nobody from galleries of several sizes; None where nobody is found."""
    inputs, labels = [], []
    for best, size, is_there in _searches(search, seed):
        sizes = np.full(len(best), np.log(max(size, 1)))
        inputs.append(np.column_stack([best[:, 0], best[:, :BEST].mean(axis=1), sizes]))
        labels.append(np.full(len(best), int(is_there)))
    x, y = np.concatenate(inputs), np.concatenate(labels)
    if len(np.unique(y)) < 2:
        return None
    middle, spread = x.mean(axis=0), x.std(axis=0).clip(min=1e-9)
    slopes, intercept = regression((x - middle) / spread, y, np.ones(len(y)))
    top, mean, size = np.array(slopes) / spread
    offset = intercept - float(np.array([top, mean, size]) @ middle)
    return Nobody(intercept=offset, top=float(top), mean=float(mean), log_size=float(size))


def _searches(search: Search, seed: int) -> Iterator[tuple[Float[np.ndarray, "q k"], int, bool]]:
    """Yield the best similarities of searches, the size of the gallery, and who is in it."""
    generator = np.random.default_rng(seed)
    people = np.unique(search.gallery_people)
    every = generator.permutation(len(search.query_people))[:MOST_QUERIES]
    similarity = search.similarity(every)
    for share, each in GALLERIES:
        count = max(2, round(share * len(people)))
        chosen = generator.choice(people, count, replace=False)
        drawn = np.isin(search.gallery_people, chosen) & _some_of_each(search, each, generator)
        places = np.flatnonzero(np.isin(search.query_people[every], chosen))
        rows = every[places]
        shown = drawn & ~search.hidden[rows]
        same = search.query_people[rows, None] == search.gallery_people
        there, gone = ask(similarity[places], shown, same)
        yield there.best, int(drawn.sum()), True
        yield gone.best, int(drawn.sum()), False


def _some_of_each(
    search: Search, each: int | None, generator: np.random.Generator
) -> Bool[np.ndarray, " g"]:
    """Return which pictures are drawn, of every person so many."""
    if each is None:
        return np.ones(len(search.gallery_people), bool)
    order = generator.permutation(len(search.gallery_people))
    ranks = np.zeros(len(order), int)
    seen: dict[int, int] = {}
    for place in order:
        person = int(search.gallery_people[place])
        ranks[place] = seen.get(person, 0)
        seen[person] = ranks[place] + 1
    return np.asarray(ranks < each)


@dataclass(frozen=True, eq=False)
class Asked:
    """Searches in galleries with the person, and in the same without."""

    best: Float[np.ndarray, "q k"]
    """Highest similarities, falling."""
    right: Bool[np.ndarray, " q"]
    """Whether the best hit shows the person."""


def ask(
    similarity: Float[np.ndarray, "q g"],
    shown: Bool[np.ndarray, "q g"],
    same: Bool[np.ndarray, "q g"],
) -> tuple[Asked, Asked]:
    """Search for everybody in a gallery with their pictures, and in it without them.

    Args:
        similarity: Similarities.
        shown: Whether a query sees a picture.
        same: Whether both show one person.

    Returns:
        The searches with the person, of queries that see a picture of theirs; and those without.
    """
    valid = (shown & same).any(axis=1) & (shown & ~same).any(axis=1)
    similarity, shown, same = similarity[valid], shown[valid], same[valid]
    return _asked(similarity, shown, same), _asked(similarity, shown & ~same, same)


def _asked(
    similarity: Float[np.ndarray, "q g"],
    shown: Bool[np.ndarray, "q g"],
    same: Bool[np.ndarray, "q g"],
) -> Asked:
    scores = np.where(shown, similarity, -np.inf)
    k = min(BEST, scores.shape[1])
    found = -np.sort(-np.partition(scores, -k, axis=1)[:, -k:], axis=1)
    # Where fewer pictures are seen than count, the last of them counts for those that are missing.
    best = np.where(np.isfinite(found), found, np.nan)
    lowest = np.nanmin(best, axis=1, keepdims=True) if len(best) else best
    first = scores.argmax(axis=1) if len(scores) else np.zeros(0, int)
    return Asked(np.where(np.isnan(best), lowest, best), same[np.arange(len(first)), first])
