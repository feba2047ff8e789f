"""The likeness of pictures to those of a calibration, described by directions of variance."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from vireid.files.packed_arrays import packed
from vireid.models.calibration import Likeness
from vireid.records import ImageRecord, Modality
from vireid.scoring.calibrating.pairs import FOLDS
from vireid.types.arrays import Vectors

MOST_TO_DESCRIBE = 800
"""Pictures of a spectrum among which the directions of largest variance are found."""
AXES = 8
"""Directions of variance along which pictures are compared with those of the calibration."""
QUANTILES = 1000


def likeness_of(
    vectors: Vectors, records: Sequence[ImageRecord], modality: Modality, seed: int
) -> Likeness:
    """Describe the pictures of a spectrum; distances are those of people left out."""
    own = np.array([record.modality is modality for record in records])
    people = np.array([record.identity for record in records])[own]
    rows = vectors[own].astype(np.float64)
    names = np.unique(people)
    folds = np.random.default_rng(seed).permutation(len(names)) % FOLDS
    fold_of = folds[np.searchsorted(names, people)]
    distances = [
        _described(rows[fold_of != fold], len(names), np.zeros(2)).distance(rows[fold_of == fold])
        for fold in range(FOLDS)
    ]
    return _described(rows, len(names), np.concatenate(distances))


def _described(
    rows: Float[np.ndarray, "n d"], people: int, distances: Float[np.ndarray, " m"]
) -> Likeness:
    mean = rows.mean(axis=0)
    axes = min(AXES, len(rows) - 1, rows.shape[1])
    some = rows[np.random.default_rng(0).permutation(len(rows))[:MOST_TO_DESCRIBE]] - mean
    # The directions of largest variance, by the inner products of pictures, of which there are few.
    variances, weights = np.linalg.eigh(some @ some.T)
    lengths = np.sqrt(np.maximum(variances[::-1][:axes], 1e-12))
    directions = (some.T @ weights[:, ::-1][:, :axes] / lengths).T
    basis = np.vstack([mean, directions]).astype(np.float16).astype(np.float64)
    off = rows - basis[0]
    along = off @ basis[1:].T
    left = np.sqrt(np.maximum((off**2).sum(axis=1) - (along**2).sum(axis=1), 0))
    scales = [*along.std(axis=0), left.mean(), left.std()]
    ranks = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return Likeness(
        dim=rows.shape[1],
        axes=axes,
        people=people,
        basis=packed(basis, "float16"),
        scales=tuple(max(float(scale), 1e-6) for scale in scales),
        distances=tuple(np.quantile(distances, ranks).round(4).tolist()),
    )
