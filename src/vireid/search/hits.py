"""Hits: the answers of a gallery to several queries of one person, and the best of each group."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from vireid.gallery import Filters, Gallery, Hit
from vireid.records import ImageRecord
from vireid.search.ranking import BY_SIMILARITY, Ranking
from vireid.types.arrays import Queries

Combination = Literal["mean", "best"]
"""What counts of several queries: their mean vector, or the best of their similarities."""
Grouping = Literal["person", "tracklet"]
"""Groups of which only the best hit is shown."""


def found(
    gallery: Gallery,
    queries: Queries,
    top: int,
    filters: Filters,
    combined: Combination = "mean",
    by: Grouping | None = None,
    *,
    centred: bool = False,
    ranking: Ranking = BY_SIMILARITY,
) -> tuple[Hit, ...]:
    """Return the hits of queries that show one person.

    Args:
        gallery: Gallery to search in.
        queries: Unit vectors of the queries, one in a row.
        top: Largest number of hits.
        filters: Conditions on the pictures to search.
        combined: What counts of several queries.
        by: Groups of which only the best hit is shown.
        centred: Compare what is left of all vectors without their cameras' means; that of the
            queries is subtracted already.
        ranking: How hits are ranked beyond similarity.

    Raises:
        GalleryError: The vectors are of another size, or the filters name what is not there.
    """
    if combined == "mean":
        queries = mean_of(queries)
    queries = ranking.expand(gallery, queries, filters)
    wanted = max(top, ranking.re_ranked)
    while True:
        hits = _best(gallery.search(queries, wanted, filters, centred=centred))
        hits = ranking.re_rank(gallery, queries, hits) if ranking.re_ranked else hits
        shown = _first_of_each(hits, by)[:top]
        if by is None or len(shown) == top or len(hits) < wanted:
            return tuple(replace(hit, rank=rank) for rank, hit in enumerate(shown, 1))
        wanted *= 4


def mean_of(queries: Queries) -> Float[np.ndarray, "1 d"]:
    """Return the mean of queries of one person, at length one."""
    mean = queries.mean(axis=0, keepdims=True)
    length = np.linalg.norm(mean)
    # Vectors that cancel out have no mean direction; the first then stands for all.
    return np.asarray(mean / length if length > 1e-6 else queries[:1])


def _best(answers: Sequence[Sequence[Hit]]) -> list[Hit]:
    """Return each picture once, with the highest of its similarities, the most similar first."""
    best: dict[object, Hit] = {}
    for hit in (hit for hits in answers for hit in hits):
        key = hit.record.key
        if key not in best or hit.similarity > best[key].similarity:
            best[key] = hit
    return sorted(best.values(), key=lambda hit: -hit.similarity)


def _first_of_each(hits: Sequence[Hit], by: Grouping | None) -> list[Hit]:
    shown, seen = [], set()
    for hit in hits:
        group = _group(hit.record, by)
        if group is None or group not in seen:
            shown.append(hit)
            seen.add(group)
    return shown


def _group(record: ImageRecord, by: Grouping | None) -> object:
    if by is None:
        return None
    return record.who if by == "person" else record.tracklet
