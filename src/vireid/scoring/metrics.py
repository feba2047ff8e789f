"""Metrics of a ranking: CMC, mean average precision, mean inverse negative penalty.

Let a query rank the gallery by falling similarity (equal similarities keep gallery order), leave
out what is hidden from it, and call the rest g_1 .. g_n. Let m_j = 1 if g_j shows the query's
identity, else 0, and M = m_1 + .. + m_n. A query is *valid* if M > 0; the others are counted, and
left out of every mean.

* plain rank r = min {j : m_j = 1}
* identity rank r = number of distinct identities among g_1 .. g_(plain rank), which is the rank
  among people rather than pictures (SYSU-MM01's official evaluation: github.com/wuancong/SYSU-MM01)
* CMC(k) = share of valid queries with r <= k
* AP = 1/M * sum over j with m_j = 1 of (m_1 + .. + m_j) / j; mAP is the mean over valid queries
* INP = M / max {j : m_j = 1}; mINP is the mean over valid queries (Ye et al., "Deep Learning for
  Person Re-identification: A Survey and Outlook", TPAMI 2021, eq. 4)

AP and INP are always taken on pictures, whichever rank the CMC counts.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, UInt32, UInt64

from vireid.errors import VireidError

CmcVariant = Literal["identity", "plain"]

_KEYS_AT_A_TIME = 1 << 17
"""Sorting keys at a time, a megabyte: about what a core's own cache holds."""
_HIDDEN = np.uint64(2**64 - 2)
"""Key of a hidden picture: behind everything else, and no match (its lowest bit is 0)."""


@dataclass(frozen=True)
class RankingScores:
    """Metrics of a set of rankings, each a fraction of 1."""

    cmc: Float64[np.ndarray, " ranks"]
    """CMC(1), CMC(2), ... up to the number of gallery identities (or pictures, if plain)."""
    mean_ap: float
    mean_inp: float
    queries: int
    valid_queries: int
    """Queries with at least one match that is not hidden from them; the means are over these."""
    valid: Int[np.ndarray, " v"]
    """Places of the valid queries among all."""
    ranks: Int[np.ndarray, " v"]
    """Rank of each valid query."""
    average_precisions: Float64[np.ndarray, " v"]
    inverse_penalties: Float64[np.ndarray, " v"]

    def rank(self, k: int) -> float:
        """Return CMC(k), which is 1 beyond the end of the curve."""
        return float(self.cmc[min(k, len(self.cmc)) - 1])


def score_ranking(
    similarity: Float[np.ndarray, "q g"],
    query_identities: Int[np.ndarray, " q"],
    gallery_identities: Int[np.ndarray, " g"],
    hidden: Bool[np.ndarray, "q g"] | None = None,
    cmc: CmcVariant = "identity",
) -> RankingScores:
    """Score the ranking of a gallery by every query; the module's docstring has the formulas.

    Args:
        similarity: Similarities, higher is more alike; compared as float32.
        query_identities: Identity of each query.
        gallery_identities: Identity of each gallery picture.
        hidden: True where a gallery picture is left out of a query's ranking.
        cmc: Whether ranks count people ("identity") or pictures ("plain").

    Raises:
        VireidError: a similarity is not a number, or no query has a match.

    Example: one query of person 7 and a gallery of four pictures. Person 5 comes first, twice, then
    person 7, then person 5 again; as people, person 7 is second, as pictures third.

    >>> similarity = np.array([[0.9, 0.8, 0.3, 0.1]], dtype=np.float32)
    >>> gallery = np.array([5, 5, 7, 5])
    >>> scores = score_ranking(similarity, np.array([7]), gallery)
    >>> scores.cmc.tolist(), round(scores.mean_ap, 3), round(scores.mean_inp, 3)
    ([0.0, 1.0], 0.333, 0.333)
    >>> score_ranking(similarity, np.array([7]), gallery, cmc="plain").cmc.tolist()
    [0.0, 0.0, 1.0, 1.0]

    Were the best picture hidden, as that of a camera in the query's own room is:

    >>> hidden = np.array([[True, False, False, False]])
    >>> score_ranking(similarity, np.array([7]), gallery, hidden).mean_ap
    0.5
    """
    if not len(query_identities) or not len(gallery_identities):
        missing = "gallery pictures" if len(query_identities) else "queries"
        raise VireidError(f"there are no {missing} to rank; check the data set and the protocol")
    people, person_of_picture = np.unique(gallery_identities, return_inverse=True)
    order = np.argsort(person_of_picture, kind="stable")
    columns = _Columns(positions=order, people=person_of_picture[order])
    person_of_query = _index_in(people, query_identities)
    parts = _chunks(*similarity.shape)
    chunks = [
        _score_queries(
            np.take(similarity[rows], order, axis=1),
            None if hidden is None else np.take(hidden[rows], order, axis=1),
            columns,
            person_of_query[rows],
            cmc,
        )
        for rows in parts
    ]
    places, ranks, average_precisions, inverse_penalties = map(
        np.concatenate, zip(*chunks, strict=True)
    )
    starts = np.repeat([rows.start for rows in parts], [len(chunk[0]) for chunk in chunks])
    if not len(ranks):
        raise VireidError(
            f"none of the {len(query_identities)} queries has a match among the "
            f"{len(gallery_identities)} gallery pictures that it may see; do both number the same "
            "people the same way?"
        )
    length = len(people) if cmc == "identity" else len(gallery_identities)
    return RankingScores(
        cmc=np.cumsum(np.bincount(ranks - 1, minlength=length)) / len(ranks),
        mean_ap=float(average_precisions.mean()),
        mean_inp=float(inverse_penalties.mean()),
        queries=len(query_identities),
        valid_queries=len(ranks),
        valid=places + starts,
        ranks=ranks,
        average_precisions=average_precisions,
        inverse_penalties=inverse_penalties,
    )


@dataclass(frozen=True)
class _Columns:
    """The gallery with each person's pictures side by side: people are ranges of columns."""

    positions: Int[np.ndarray, " g"]
    """Position of each picture in the gallery."""
    people: Int[np.ndarray, " g"]
    """Person on each picture, numbered 0, 1, ...; rises from left to right."""


_Scored = tuple[
    Int[np.ndarray, " v"],
    Int[np.ndarray, " v"],
    Float64[np.ndarray, " v"],
    Float64[np.ndarray, " v"],
]
"""Place, rank, AP and INP of the valid queries."""


def _chunks(queries: int, pictures: int) -> list[slice]:
    """Return ranges of queries whose keys fit the cache."""
    step = max(1, _KEYS_AT_A_TIME // pictures)
    return [slice(start, start + step) for start in range(0, queries, step)]


def _index_in(
    people: Int[np.ndarray, " people"], identities: Int[np.ndarray, " q"]
) -> Int[np.ndarray, " q"]:
    """Return the position of each identity in the sorted `people`; -1 for strangers."""
    index = np.minimum(np.searchsorted(people, identities), len(people) - 1)
    return np.where(people[index] == identities, index, -1)


def _score_queries(
    similarity: Float[np.ndarray, "q g"],
    hidden: Bool[np.ndarray, "q g"] | None,
    columns: _Columns,
    own: Int[np.ndarray, " q"],
    cmc: CmcVariant,
) -> _Scored:
    keys = _sorting_keys(similarity, own[:, None] == columns.people, columns.positions)
    if hidden is not None:
        np.putmask(keys, hidden, _HIDDEN)
    identity_ranks = _identity_ranks(keys, columns.people, own) if cmc == "identity" else None
    # One sort of integers gives the order, and in the lowest bit of each key whether it matches.
    keys.sort(axis=1)
    return _score_sorted(keys, identity_ranks)


def _sorting_keys(
    similarity: Float[np.ndarray, "q g"],
    match: Bool[np.ndarray, "q g"],
    positions: Int[np.ndarray, " g"],
) -> UInt64[np.ndarray, "q g"]:
    """Return one integer for each pair; the smaller it is, the earlier the picture comes.

    From the highest bit: falling similarity (32 bits), gallery position (31), match (1). Positions
    differ, so the match decides no order: it only travels to its rank with the key.
    """
    keys = _falling(similarity).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= positions.astype(np.uint64) << np.uint64(1)
    keys |= match
    return keys


def _falling(similarity: Float[np.ndarray, "q g"]) -> UInt32[np.ndarray, "q g"]:
    """Return unsigned integers that order float32 numbers the other way round.

    The bits of negative floats, read as integers, already rise as the number falls; those of
    positive ones do after all but the sign are inverted. Adding 0 turns -0 into 0: they are equal.
    """
    numbers = similarity.astype(np.float32) + np.float32(0)
    if np.isnan(numbers).any():
        raise VireidError(
            f"{np.isnan(numbers).sum()} similarities are not numbers (NaN); look for NaN in the "
            "embeddings and in the losses of the run that made them"
        )
    inverted = np.where(np.signbit(numbers), np.uint32(0), np.uint32(0x7FFFFFFF))
    return np.bitwise_xor(numbers.view(np.uint32), inverted)


def _identity_ranks(
    keys: UInt64[np.ndarray, "q g"], people: Int[np.ndarray, " g"], own: Int[np.ndarray, " q"]
) -> Int[np.ndarray, " q"]:
    """Return how many people have a picture no later than the first one of the query's person."""
    starts = np.flatnonzero(np.diff(people, prepend=-1))
    best = np.minimum.reduceat(keys, starts, axis=1)
    own_best = best[np.arange(len(own)), own, None]
    ranks: Int[np.ndarray, " q"] = (best <= own_best).sum(axis=1)
    return ranks


def _score_sorted(
    keys: UInt64[np.ndarray, "q g"], identity_ranks: Int[np.ndarray, " q"] | None
) -> _Scored:
    """Return place, rank, AP and INP of the valid queries, from sorted keys."""
    # One entry for each match, by query, then by rank; queries without a match have none.
    query, column = np.divmod(np.flatnonzero((keys & np.uint64(1)).astype(bool)), keys.shape[1])
    valid, first, matches = np.unique(query, return_index=True, return_counts=True)
    place = column + 1
    nth_match = np.arange(len(query)) - np.repeat(first, matches) + 1
    return (
        valid,
        place[first] if identity_ranks is None else identity_ranks[valid],
        np.bincount(query, nth_match / place, minlength=len(keys))[valid] / matches,
        matches / place[first + matches - 1],
    )
