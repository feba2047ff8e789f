"""k-reciprocal re-ranking: pictures are close if each is among the other's neighbours.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017
(https://openaccess.thecvf.com/content_cvpr_2017/html/Zhong_Re-Ranking_Person_Re-Identification_CVPR_2017_paper.html).
**It uses all queries at once**: those that others ask decide what an answer is worth. A search
with one picture cannot do so, and numbers with and without it do not compare.

Let the n pictures be all queries and the gallery, d(i, j) the squared distance of two of them
divided by the largest one that i has, and N(i, k) the picture i and its k nearest.

* R(i, k) = those j of N(i, k) that have i in N(j, k)
* R*(i) = R(i, k1), and R(j, k1/2) of those j in it of which more than two thirds are in R(i, k1)
* V(i, j) = exp(-d(i, j)) for j in R*(i), else 0; divided by the sum over j
* W(i) = the mean of V over i and its k2 - 1 nearest (no mean if k2 is 1)
* J(i, j) = 1 - sum_l min(W(i, l), W(j, l)) / sum_l max(W(i, l), W(j, l)), Jaccard's distance
* result = (1 - weight) J + weight d, for every query i and gallery picture j

This is the authors' code (https://github.com/zhunzhong07/person-re-ranking); their paper takes
over R(j, k1/2) at two thirds already, and leaves out the division by the sum. A picture is always
the first of its own neighbours, equal distances keep the order of the pictures, and k1/2 is rounded
as Python does. W has few entries in a row, so that nothing here is as large as n x n.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

from vireid.errors import VireidError
from vireid.types.arrays import Queries, Vectors

Neighbours = Int[np.ndarray, "n k"]
Squares = Float[np.ndarray, " n"]

_CELLS_AT_A_TIME = 1 << 18
"""Cells of a matrix, or pairs of pictures, computed at a time: two megabytes of sorting keys."""


@dataclass(frozen=True)
class KReciprocal:
    """The parameters of re-ranking; defaults are those of the paper."""

    k1: int = 20
    """Number of neighbours that are checked for having the picture as a neighbour too."""
    k2: int = 6
    """Number of pictures, itself among them, over which neighbourhoods are averaged; 1: none."""
    weight: float = 0.3
    """Weight of the original distance (the paper's lambda): 1 ranks as without re-ranking."""
    name: str = "k-reciprocal"

    def __post_init__(self) -> None:
        if self.k1 < 1 or self.k2 < 1 or not 0 <= self.weight <= 1:
            raise VireidError(f"{self}: k1 and k2 are 1 or more, lambda is from 0 to 1")

    def __str__(self) -> str:
        return f"{self.name} k1={self.k1} k2={self.k2} lambda={self.weight:g}"


def re_rank(
    queries: Queries,
    gallery: Float[np.ndarray, "g d"],
    hidden: Bool[np.ndarray, "q g"] | None = None,
    parameters: KReciprocal = KReciprocal(),
) -> Float[np.ndarray, "q g"]:
    """Return similarities for `metrics.score_ranking`: 1 minus the result defined above.

    Args:
        queries: Embeddings of all queries: every query influences the answers to the others.
        gallery: Embeddings of the gallery, of the same model; distances are Euclidean.
        hidden: True where a gallery picture is hidden from a query, which is then re-ranked as if
            the gallery did not hold it. The time grows with the number of different rows, so give
            what depends on cameras, not what depends on identities.
        parameters: Parameters of the method.

    Returns:
        Float32; minus infinity where hidden.

    Raises:
        VireidError: An embedding is not a number.
    """
    if not (np.isfinite(queries).all() and np.isfinite(gallery).all()):
        raise VireidError(
            "embeddings to re-rank are not numbers (NaN); look at the losses of the run"
        )
    similarity = np.full((len(queries), len(gallery)), -np.inf, np.float32)
    for rows, seen in _seeing_the_same(hidden, len(queries), len(gallery)):
        pictures = np.concatenate([queries, gallery[seen]]).astype(np.float32, copy=False)
        distance = _distances(pictures, len(queries), rows, parameters)
        similarity[np.ix_(rows, seen)] = 1 - distance
    return similarity


def _seeing_the_same(
    hidden: Bool[np.ndarray, "q g"] | None, queries: int, pictures: int
) -> Iterator[tuple[Int[np.ndarray, " some"], Int[np.ndarray, " seen"]]]:
    """Yield queries from which the same is hidden, and the gallery pictures that they see."""
    if hidden is None:
        hidden = np.zeros((queries, pictures), bool)
    _, first, group = np.unique(
        np.packbits(hidden, axis=1), axis=0, return_index=True, return_inverse=True
    )
    for number, example in enumerate(first):
        yield np.flatnonzero(group.ravel() == number), np.flatnonzero(~hidden[example])


def _distances(
    pictures: Vectors, queries: int, rows: Int[np.ndarray, " some"], parameters: KReciprocal
) -> Float[np.ndarray, "some g"]:
    """Return the module's distance of some of the queries to the gallery."""
    squares: Squares = np.einsum("nd,nd->n", pictures, pictures)
    nearest, largest = _nearest(pictures, squares, max(parameters.k1 + 1, parameters.k2))
    encoded = _encode(pictures, squares, nearest, largest, parameters.k1)
    if parameters.k2 > 1:
        encoded = _averaged(encoded, nearest[:, : parameters.k2])
    distance = _jaccard(encoded, rows, queries)
    distance *= 1 - parameters.weight
    for part in _chunks(len(rows), len(pictures)):
        original = _squared_distances(pictures, squares, rows[part], slice(queries, None))
        original *= parameters.weight / largest[rows[part], None]
        distance[part] += original
    return distance


@dataclass(frozen=True)
class _Sparse:
    """A sparse matrix: entry i lies in column `columns[i]`, row r has `counts[r]` entries."""

    counts: Int[np.ndarray, " rows"]
    columns: Int[np.ndarray, " entries"]
    values: Float[np.ndarray, " entries"]

    @property
    def rows(self) -> Int[np.ndarray, " entries"]:
        """Row of every entry, in rising order."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


def _chunks(rows: int, columns: int) -> Iterator[slice]:
    return _slices(0, rows, max(1, _CELLS_AT_A_TIME // max(1, columns)))


def _slices(start: int, stop: int, step: int) -> Iterator[slice]:
    return (slice(begin, min(begin + step, stop)) for begin in range(start, stop, step))


def _squared_distances(
    pictures: Vectors,
    squares: Squares,
    rows: slice | Int[np.ndarray, " some"],
    columns: slice,
) -> Float[np.ndarray, "rows columns"]:
    distance: Float[np.ndarray, "rows columns"] = pictures[rows] @ pictures[columns].T
    distance *= -2
    distance += squares[columns]
    distance += squares[rows, None]
    np.maximum(distance, 0, out=distance)
    return distance


def _nearest(pictures: Vectors, squares: Squares, k: int) -> tuple[Neighbours, Squares]:
    """Return each picture's k nearest, itself first, and its largest squared distance.

    Neighbours are sorted by distance, then by position; all are returned if there are fewer than k.
    Every block of distances serves its rows and its columns.
    """
    n = len(pictures)
    best = np.full((n, min(k, n)), np.iinfo(np.uint64).max, np.uint64)
    largest = np.full(n, np.finfo(np.float32).tiny, np.float32)
    side = math.isqrt(_CELLS_AT_A_TIME)
    for rows in _slices(0, n, side):
        for columns in _slices(rows.start, n, side):
            distance = _squared_distances(pictures, squares, rows, columns)
            _take_nearer(best, largest, distance, rows, columns)
            if columns != rows:
                _take_nearer(best, largest, distance.T, columns, rows)
    best.sort(axis=1)
    return (best & np.uint64(0xFFFFFFFF)).astype(np.int32), largest


def _take_nearer(
    best: UInt64[np.ndarray, "n k"],
    largest: Squares,
    distance: Float[np.ndarray, "rows columns"],
    rows: slice,
    columns: slice,
) -> None:
    """Update the nearest of some rows by their distances to some columns.

    There is one integer for each pair: the bits of a float that is not negative, which rise with
    it, then the position.
    """
    largest[rows] = np.maximum(largest[rows], distance.max(axis=1))
    keys = distance.view(np.uint32).astype(np.uint64)
    keys += 1
    keys <<= np.uint64(32)
    keys |= np.arange(columns.start, columns.stop, dtype=np.uint64)
    if rows == columns:
        np.fill_diagonal(keys, np.arange(rows.start, rows.stop))
    k = best.shape[1]
    both = np.concatenate([best[rows], keys], axis=1)
    best[rows] = np.partition(both, k - 1, axis=1)[:, :k]


def _encode(
    pictures: Vectors, squares: Squares, nearest: Neighbours, largest: Squares, k1: int
) -> _Sparse:
    """Return V of the module's docstring."""
    n = len(pictures)
    near, half = nearest[:, : k1 + 1], nearest[:, : round(k1 / 2) + 1]
    mutual, mutual_half = _mutual(near), _mutual(half)
    parts = []
    for rows in _chunks(n, max(n, near.shape[1] * half.shape[1])):
        row, column = np.nonzero(_expanded(near[rows], mutual[rows], half, mutual_half))
        distance = _of_pairs(pictures, squares, row + rows.start, column)
        weights = np.exp(-distance / largest[row + rows.start])
        sums = np.bincount(row, weights)
        values = (weights / sums[row]).astype(np.float32)
        parts.append(_Sparse(np.bincount(row), column.astype(np.int32), values))
    return _joined(parts)


def _of_pairs(
    pictures: Vectors,
    squares: Squares,
    row: Int[np.ndarray, " pairs"],
    column: Int[np.ndarray, " pairs"],
) -> Float[np.ndarray, " pairs"]:
    """Return the squared distance of each pair."""
    distance: Float[np.ndarray, " pairs"] = squares[row] + squares[column]
    for some in _chunks(len(row), 2 * pictures.shape[1]):
        inner = np.einsum("pd,pd->p", pictures[row[some]], pictures[column[some]])
        distance[some] -= 2 * inner
    np.maximum(distance, 0, out=distance)
    return distance


def _mutual(near: Neighbours) -> Bool[np.ndarray, "n k"]:
    """Return whether each picture is among the neighbours of each of its neighbours."""
    mutual = np.empty(near.shape, bool)
    for rows in _chunks(len(near), near.shape[1] ** 2):
        own = np.arange(rows.start, rows.stop, dtype=np.int32)
        mutual[rows] = (near[near[rows]] == own[:, None, None]).any(axis=2)
    return mutual


def _expanded(
    near: Int[np.ndarray, "rows k"],
    mutual: Bool[np.ndarray, "rows k"],
    half: Int[np.ndarray, "n h"],
    mutual_half: Bool[np.ndarray, "n h"],
) -> Bool[np.ndarray, "rows n"]:
    """Return which pictures are in R* of some pictures."""
    members = np.zeros((len(near), len(half)), bool)
    row, place = np.nonzero(mutual)
    candidate = near[row, place]
    members[row, candidate] = True
    theirs, real = half[candidate], mutual_half[candidate]
    shared = (members[row[:, None], theirs] & real).sum(axis=1)
    real &= (3 * shared > 2 * real.sum(axis=1))[:, None]
    members[np.broadcast_to(row[:, None], theirs.shape)[real], theirs[real]] = True
    return members


def _averaged(encoded: _Sparse, nearest: Int[np.ndarray, "n k2"]) -> _Sparse:
    """Return rows that are the means of the rows of each picture's nearest."""
    n, k2 = nearest.shape
    parts = []
    for rows in _chunks(n, n):
        count = rows.stop - rows.start
        sources = _some_rows(encoded, nearest[rows].ravel())
        cells = sources.rows // k2 * n + sources.columns
        sums = np.bincount(cells, sources.values, count * n).reshape(count, n)
        row, column = np.nonzero(sums)
        values = (sums[row, column] / k2).astype(np.float32)
        parts.append(_Sparse(np.bincount(row, minlength=count), column.astype(np.int32), values))
    return _joined(parts)


def _jaccard(
    encoded: _Sparse, wanted: Int[np.ndarray, " some"], queries: int
) -> Float[np.ndarray, "some g"]:
    """Return Jaccard's distance of some queries to the gallery.

    Only columns in which both have an entry count, so each entry of a query meets the entries of
    the gallery in its column. Rows sum to 1, so the sum of the maxima is 2 minus that of the
    minima.
    """
    n = len(encoded.counts)
    mine, theirs = _some_rows(encoded, wanted), _some_rows(encoded, np.arange(queries, n))
    order = np.argsort(theirs.columns, kind="stable")
    their_rows, their_values = theirs.rows[order], theirs.values[order]
    in_column = np.bincount(theirs.columns, minlength=n)
    starts = np.cumsum(in_column) - in_column
    shared = np.empty((len(wanted), n - queries), np.float32)
    for rows, entries in _rows_at_a_time(mine, in_column, n - queries):
        column, row = mine.columns[entries], mine.rows[entries] - rows.start
        pairs, met = in_column[column], _ranges(starts[column], in_column[column])
        minima = np.minimum(np.repeat(mine.values[entries], pairs), their_values[met])
        cells = np.repeat(row, pairs) * (n - queries) + their_rows[met]
        part = shared[rows]
        part[:] = np.bincount(cells, minima, part.size).reshape(part.shape)
    shared /= 2 - shared
    np.subtract(1, shared, out=shared)
    return shared


def _rows_at_a_time(
    mine: _Sparse, in_column: Int[np.ndarray, " n"], pictures: int
) -> Iterator[tuple[slice, slice]]:
    """Yield rows, and their entries, with few enough pairs to be compared at once."""
    begins = np.concatenate([[0], np.cumsum(mine.counts)])
    pairs = np.concatenate([[0], np.cumsum(in_column[mine.columns])])[begins]
    work = pairs + np.arange(len(begins)) * pictures
    start = 0
    while start < len(mine.counts):
        reached = int(np.searchsorted(work, work[start] + _CELLS_AT_A_TIME, side="right")) - 1
        stop = max(start + 1, reached)
        yield slice(start, stop), slice(begins[start], begins[stop])
        start = stop


def _some_rows(matrix: _Sparse, rows: Int[np.ndarray, " some"]) -> _Sparse:
    starts = np.cumsum(matrix.counts) - matrix.counts
    entries = _ranges(starts[rows], matrix.counts[rows])
    return _Sparse(matrix.counts[rows], matrix.columns[entries], matrix.values[entries])


def _joined(parts: list[_Sparse]) -> _Sparse:
    """Return matrices stacked one below the other."""
    return _Sparse(
        np.concatenate([part.counts for part in parts]),
        np.concatenate([part.columns for part in parts]),
        np.concatenate([part.values for part in parts]),
    )


def _ranges(
    starts: Int[np.ndarray, " some"], lengths: Int[np.ndarray, " some"]
) -> Int[np.ndarray, " total"]:
    """Return all integers of some ranges, one range after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    ranges: Int[np.ndarray, " total"] = np.repeat(starts - (ends - lengths), lengths)
    ranges += np.arange(total)
    return ranges
