"""Curves of ln LR by similarity, fitted to counted pairs.

Pairs of one person weigh as much as all others together, so a curve is a likelihood ratio. A
logistic curve (Platt, 1999) and an isotonic one (Zadrozny and Elkan, KDD 2002) are fitted by
scikit-learn. The interval of a curve is that of curves learnt from people drawn with replacement
(bootstrap). The log loss is that of people that a curve has not seen, in five folds; both pictures
of a pair are then of such people.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from vireid.models.calibration import Curve, Kind
from vireid.scoring.calibrating.pairs import CENTRES, Counts, Pairs

KNOTS = 65
"""Number of similarities at which a curve is kept."""
RESAMPLES = 200
STEPS = 4
"""Steps of Newton's method from the curve of all people to that of a resample, which is near."""
KINDS: tuple[Kind, ...] = ("logistic", "isotonic")


def curve_of(kind: Kind, pairs: Pairs, seed: int = 0) -> Curve:
    """Learn a curve from all pairs, with an interval by resampling people."""
    occupied = np.flatnonzero(sum(pairs.counted()))
    knots = np.linspace(CENTRES[occupied[0]], CENTRES[occupied[-1]], KNOTS)
    fitted = _fit(kind, *pairs.counted())(knots)
    generator = np.random.default_rng(seed)
    people = len(pairs.same)
    drawn = generator.multinomial(people, np.full(people, 1 / people), RESAMPLES).astype(float)
    same, different = (np.stack(of) for of in zip(*map(pairs.counted, drawn), strict=True))
    sound = (same.sum(axis=1) > 0) & (different.sum(axis=1) > 0)
    curves = _curves_of(kind, pairs.counted(), same[sound], different[sound], knots)
    low, high = np.percentile([*curves, fitted], (2.5, 97.5), axis=0)
    return Curve(
        kind=kind,
        similarities=tuple(knots.tolist()),
        log_ratios=tuple(np.maximum.accumulate(fitted).tolist()),
        low=tuple(np.minimum(low, fitted).tolist()),
        high=tuple(np.maximum(high, fitted).tolist()),
    )


def _curves_of(
    kind: Kind,
    whole: tuple[Counts, Counts],
    same: Float[np.ndarray, "b bins"],
    different: Float[np.ndarray, "b bins"],
    knots: Float[np.ndarray, " k"],
) -> Float[np.ndarray, "b k"]:
    """Return the curves of resampled pairs at some similarities."""
    if kind == "isotonic":
        return np.array([_fit(kind, *both)(knots) for both in zip(same, different, strict=True)])
    # Newton's steps from the curve of all pairs, for every resample at once.
    used = np.flatnonzero(sum(whole))
    inputs = np.column_stack([np.ones(len(used)), CENTRES[used]])
    start = _fit(kind, *whole)(np.array([0.0, 1.0]))
    found = np.tile([start[0], start[1] - start[0]], (len(same), 1))
    ones = same[:, used] / same.sum(axis=1, keepdims=True)
    both = ones + different[:, used] / different.sum(axis=1, keepdims=True)
    for _ in range(STEPS):
        chances = 1 / (1 + np.exp(-np.clip(found @ inputs.T, -50, 50)))
        slope = (ones - both * chances) @ inputs
        bend = np.einsum("bn,ni,nj->bij", both * chances * (1 - chances), inputs, inputs)
        found += np.linalg.solve(bend + 1e-9 * np.eye(2), slope[..., None])[..., 0]
    found[:, 1] = found[:, 1].clip(min=0)
    return np.asarray(found @ np.column_stack([np.ones(len(knots)), knots]).T)


def held_out_loss(kind: Kind, pairs: Pairs) -> float:
    """Return the mean log loss on people that a curve has not seen, at even chances."""
    losses = []
    for fold in range(pairs.different.shape[1]):
        learnt, (same, different) = pairs.learnt_andheld_out_loss(fold)
        if min(part.sum() for part in (*learnt, same, different)) > 0:
            ratios = _fit(kind, *learnt)(CENTRES)
            missed = np.logaddexp(0, -ratios) @ same / same.sum()
            raised = np.logaddexp(0, ratios) @ different / different.sum()
            losses.append((missed + raised) / 2)
    return float(np.mean(losses)) if losses else float(np.log(2))


def _fit(kind: Kind, same: Counts, different: Counts) -> Any:
    """Return a function that gives ln LR of similarities; it never falls."""
    used = np.flatnonzero(same + different)
    centres = CENTRES[used]
    ones, others = same[used] / same.sum(), different[used] / different.sum()
    if kind == "logistic":
        return _logistic(centres, ones, others)
    from sklearn.isotonic import IsotonicRegression

    # Laplace's rule: nothing is surer than so many pairs can show.
    least = 1 / (2 + min(same.sum(), different.sum()))
    steps = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
    steps.fit(centres, ones / (ones + others), ones + others)

    def ratios(similarity: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        share = steps.predict(similarity).astype(np.float64)
        return np.asarray(np.log(share) - np.log1p(-share))

    return ratios


def _logistic(centres: Counts, ones: Counts, others: Counts) -> Any:
    middle, spread = float(centres.mean()), float(centres.std()) or 1.0
    inputs = np.concatenate([centres, centres])[:, None]
    labels = np.repeat([1, 0], len(centres))
    slopes, intercept = regression(
        (inputs - middle) / spread, labels, np.concatenate([ones, others])
    )
    # A model whose similarities say the opposite of the truth is told nothing by them.
    slope = max(0.0, slopes[0])
    offset = intercept if slopes[0] > 0 else 0.0
    return lambda similarity: offset + slope * (similarity - middle) / spread


def regression(
    inputs: Float[np.ndarray, "n k"],
    labels: Int[np.ndarray, " n"],
    weights: Float[np.ndarray, " n"],
) -> tuple[list[float], float]:
    """Return slopes and intercept of a logistic regression, hardly regularised."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e4, solver="newton-cholesky", max_iter=100)
    model.fit(inputs, labels, weights * (len(labels) / weights.sum()))
    return model.coef_[0].tolist(), float(model.intercept_[0])
