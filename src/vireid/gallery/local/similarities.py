"""Exact search: the similarities of queries to every vector, and the highest of them."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from vireid.threads import processors
from vireid.types.arrays import Queries, Vectors

try:
    import simsimd
except ImportError:  # there is no wheel for this machine
    simsimd = None  # type: ignore[assignment]

Rows = Int[np.ndarray, " r"]

MOST_SCORES = 2**24
"""Largest number of similarities held at once, so that memory does not grow with queries x
gallery."""
HALF_ROWS = 1024
"""Number of rows of half precision converted at once, which stay in the processor's cache."""
SAMPLED = 16
"""Every so many scores one is looked at first."""
FEW_QUERIES = 4
"""Number of queries up to which SimSIMD, which reads the vectors once, is faster than a product of
matrices, which is made for many (benchmarks/gallery_search.py)."""
WORTH_A_THREAD = 2**24
"""Number of products for which a thread more pays. Threads of OpenMP and BLAS wait for one another
by turning round and round: with less to do, a busy machine takes ten times as long with two as with
one."""
OF_ONE_THREAD = 2**18
"""Number of products that OpenBLAS leaves to one thread."""

if simsimd:
    # This kernel adds up in half precision, at ten times the error; no other one does.
    simsimd.disable_capability("sapphire")


@runtime_checkable
class Readable(Protocol):
    """Vectors that can be read in part."""

    def __len__(self) -> int: ...

    def part(self, start: int, stop: int) -> Vectors:
        """Return consecutive rows."""

    def at(self, rows: Rows) -> Vectors:
        """Return some rows, given in rising order."""


Adjust = Callable[
    [Float[np.ndarray, "q s"], Queries, Rows],
    Float[np.ndarray, "q s"],
]
"""Makes other similarities of those to some rows."""


def best(
    stored: Readable,
    queries: Queries,
    top: int,
    rows: Rows | None = None,
    adjust: Adjust | None = None,
) -> tuple[Float[np.ndarray, "q k"], Int[np.ndarray, "q k"]]:
    """Return the most similar vectors, by comparing with every one of them.

    Args:
        stored: Vectors as float32 or float16.
        queries: Vectors as float32.
        top: Largest number of vectors, k; k is smaller if there are fewer.
        rows: Sorted rows to search; None: all.
        adjust: What is done to similarities before they are compared.

    Returns:
        Similarities, falling, and the rows they belong to.
    """
    step = max(HALF_ROWS, MOST_SCORES // max(len(queries), 1))
    found = []
    for start in range(0, len(stored), step):
        stop = min(start + step, len(stored))
        products, of = _scores(stored, queries, start, stop, rows)
        found.append(_best_of(adjust(products, queries, of) if adjust else products, of, top))
    scores = [np.zeros((len(queries), 0), np.float32), *(scores for scores, _ in found)]
    numbers = [np.zeros((len(queries), 0), np.int64), *(numbers for _, numbers in found)]
    return ordered(np.concatenate(scores, axis=1), np.concatenate(numbers, axis=1), top)


def ordered(
    scores: Float[np.ndarray, "q n"], numbers: Int[np.ndarray, "q n"], top: int
) -> tuple[Float[np.ndarray, "q k"], Int[np.ndarray, "q k"]]:
    """Return the highest scores, falling, with their numbers; equal ones by rising number."""
    order = np.lexsort((numbers, -scores), axis=1)[:, :top]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(numbers, order, axis=1)


def _best_of(
    scores: Float[np.ndarray, "q n"], numbers: Rows, top: int
) -> tuple[Float[np.ndarray, "q k"], Int[np.ndarray, "q k"]]:
    """Return the highest scores in any order."""
    if top < scores.shape[1]:
        # Only the few that are left are sorted, at the end.
        chosen = np.stack([_highest(row, top) for row in scores])
        return np.take_along_axis(scores, chosen, axis=1), numbers[chosen]
    return scores, np.broadcast_to(numbers, scores.shape)


def _highest(scores: Float[np.ndarray, " n"], top: int) -> Int[np.ndarray, " k"]:
    """Return where the highest scores are, in any order; of equal ones the first.

    Of every 16th score the highest tell below which value none of the highest of all can be; few
    scores are above it.
    """
    sample = scores[::SAMPLED]
    floor = np.partition(sample, -top)[-top] if top <= len(sample) else -np.inf
    candidates = np.flatnonzero(scores >= floor)
    found = scores[candidates]
    lowest = np.partition(found, -top)[-top]
    higher = candidates[found > lowest]
    return np.concatenate([higher, candidates[found == lowest][: top - len(higher)]])


def _scores(
    stored: Readable, queries: Queries, start: int, stop: int, rows: Rows | None
) -> tuple[Float[np.ndarray, "q s"], Int[np.ndarray, " s"]]:
    """Return similarities to a part of the stored vectors, and the rows of these."""
    if rows is None:
        return _products(stored.part(start, stop), queries), np.arange(start, stop)
    rows = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]
    if 4 * len(rows) < stop - start:  # fetching these few costs less than reading all
        return _products(stored.at(rows), queries), rows
    return _products(stored.part(start, stop), queries)[:, rows - start], rows


def _products(stored: Vectors, queries: Queries) -> Float[np.ndarray, "q n"]:
    each = max(1, len(queries) * stored.shape[1])
    work = each * len(stored)
    if simsimd and 0 < len(queries) <= FEW_QUERIES and len(stored):
        asked = np.ascontiguousarray(queries, stored.dtype)
        threads = min(processors(), 1 + work // WORTH_A_THREAD)
        found: Any = simsimd.cdist(asked, stored, "dot", threads=threads)
        return np.asarray(found, np.float32).reshape(len(queries), len(stored))
    is_little = work <= 4 * WORTH_A_THREAD
    if stored.dtype == np.float32 and not is_little:
        return np.asarray(queries @ stored.T)
    products = np.empty((len(queries), len(stored)), np.float32)
    step = max(1, OF_ONE_THREAD // each) if is_little else HALF_ROWS
    for start in range(0, len(stored), step):
        rows = stored[start : start + step]
        wide = rows if rows.dtype == np.float32 else _widened(rows)
        products[:, start : start + step] = queries @ wide.T
    return products


def _widened(half: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Convert float16 to float32, exactly, and five times faster than NumPy's `astype`.

    Sign, exponent and fraction are moved to where float32 has them; the two exponents count from
    different zeros, 112 apart, which a multiplication makes good, also for denormal numbers.
    Infinities and NaN, which unit vectors do not contain, come out wrong.
    """
    bits = half.view(np.int16).astype(np.int32)
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, np.int32(-0x70000001), out=bits)
    wide = bits.view(np.float32)
    return np.multiply(wide, np.float32(2.0**112), out=wide)
