"""Centres: the mean embedding of each camera, and similarities to what is left without it.

With a camera's mean m, a picture g and a query q that was centred already, the similarity is
q · (g - m) / |g - m|. The numerator is q · g - q · m, so vectors are read as they are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from vireid.gallery.local.similarities import Readable, Rows
from vireid.gallery.store import Centre
from vireid.models.centring import LEAST_TO_CENTRE
from vireid.types.arrays import Queries, Vectors

AT_ONCE = 4096
"""Vectors that are read at once."""


@dataclass(frozen=True)
class Centres:
    """The centres of one spectrum's cameras."""

    means: Float[np.ndarray, "c d"]
    counts: Int[np.ndarray, " c"]
    names: tuple[str | None, ...]
    """Camera of each mean; the last mean, that of all pictures, has none."""
    mean_of: Int[np.ndarray, " n"]
    """Which mean each row of the vectors is less."""
    lengths: Float[np.ndarray, " n"]
    """Lengths of the vectors less these means."""

    @property
    def named(self) -> dict[str | None, Centre]:
        """The centres by camera, that of all pictures under None."""
        each = zip(self.names, self.counts.tolist(), self.means, strict=True)
        return {name: Centre(count, mean) for name, count, mean in each}

    def adjusted(
        self, scores: Float[np.ndarray, "q s"], queries: Queries, rows: Rows
    ) -> Float[np.ndarray, "q s"]:
        """Return the similarities of centred vectors, given the products of plain ones."""
        shares = (queries @ self.means.T)[:, self.mean_of[rows]]
        return np.asarray((scores - shares) / self.lengths[rows])


def centres_of(stored: Readable, rows: Rows, cameras: Sequence[str | None]) -> Centres:
    """Read all vectors once and find the centres.

    Args:
        stored: Vectors of one spectrum.
        rows: Rows that belong to pictures, rising.
        cameras: Camera of each of these pictures, None where it is unknown.
    """
    names = tuple(sorted({camera for camera in cameras if camera is not None}))
    places = {name: place for place, name in enumerate(names)}
    own = np.full(len(stored), len(names), np.int64)
    own[rows] = [len(names) if camera is None else places[camera] for camera in cameras]
    is_there = np.zeros(len(stored), bool)
    is_there[rows] = True
    counts = np.bincount(own[rows], minlength=len(names) + 1)
    sums = np.zeros((len(counts), stored.part(0, 0).shape[1]))
    for start in _starts(stored):
        part = stored.part(start, start + AT_ONCE).astype(np.float32)
        here, of = is_there[start : start + AT_ONCE], own[start : start + AT_ONCE]
        for place in np.unique(of[here]):
            sums[place] += part[here & (of == place)].sum(axis=0, dtype=np.float64)
    sums[-1], counts[-1] = sums.sum(axis=0), counts.sum()
    means = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
    own[counts[own] < LEAST_TO_CENTRE] = len(names)
    lengths = np.concatenate([_lengths(stored, start, means, own) for start in _starts(stored)])
    return Centres(means, counts, (*names, None), own, lengths)


def _starts(stored: Readable) -> range:
    return range(0, max(len(stored), 1), AT_ONCE)


def _lengths(
    stored: Readable, start: int, means: Float[np.ndarray, "c d"], own: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " s"]:
    part: Vectors = stored.part(start, start + AT_ONCE).astype(np.float32)
    left = part - means[own[start : start + len(part)]]
    return np.asarray(np.linalg.norm(left, axis=1).clip(min=1e-6))
