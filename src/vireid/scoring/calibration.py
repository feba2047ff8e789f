"""Calibration from labelled pictures: what the similarities of a model are worth.

`models.calibration` says what is learnt, and by which formulas it is applied. Here,

* pairs are counted by similarity, in bins of 1/512, person by person. Left out are pairs of one
  person under one camera, and pairs of cameras that stand in one room;
* pairs of one person weigh as much as all others together, so a curve is a likelihood ratio;
* a logistic curve (Platt, 1999) and an isotonic one (Zadrozny and Elkan, KDD 2002), both by
  scikit-learn, are compared by log loss on people that they have not seen, in five folds; both
  pictures of a pair are then of such people. The better one is learnt again from everybody;
* its interval is that of curves learnt from people drawn with replacement (bootstrap);
* the chance of nobody is a logistic regression on galleries of several sizes, each with and
  without the person.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from vireid import __version__
from vireid.files.packed_arrays import packed
from vireid.models.calibration import (
    BEST,
    Calibration,
    CalibrationError,
    Curve,
    Direction,
    Kind,
    Likeness,
    Nobody,
    direction,
)
from vireid.models.centring import Means
from vireid.progress import counted
from vireid.records import ImageRecord, Modality
from vireid.types.arrays import Vectors

NEEDED = 20
"""Number of people, seen in both spectra, from which a calibration is made."""
NEEDED_PAIRS = 10
"""Number of confirmed and of rejected hits from which a calibration is made."""
FOLDS = 5
BINS = 1024
EDGES = np.linspace(-1, 1, BINS + 1)
CENTRES: Float[np.ndarray, " bins"] = (EDGES[1:] + EDGES[:-1]) / 2
KNOTS = 65
"""Number of similarities at which a curve is kept."""
RESAMPLES = 200
STEPS = 4
"""Steps of Newton's method from the curve of all people to that of a resample, which is near."""
SHARES = (0.1, 0.01, 0.001)
"""Shares of the pairs of two people for which thresholds are kept."""
GALLERIES = tuple(product((0.1, 0.3, 1.0), (1, 3, None)))
"""Galleries by which the chance of nobody is learnt: share of the people, and pictures of each."""
MOST_QUERIES = 1500
MOST_TO_DESCRIBE = 800
"""Pictures of a spectrum among which the directions of largest variance are found."""
AXES = 8
"""Directions of variance along which pictures are compared with those of the calibration."""
QUANTILES = 1000
KINDS: tuple[Kind, ...] = ("logistic", "isotonic")

Counts = Float[np.ndarray, " bins"]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of a direction, counted by similarity."""

    same: Float[np.ndarray, "p bins"]
    """Pairs of one person, by person."""
    different: Float[np.ndarray, "p folds bins"]
    """Pairs of two people, by the person of the query and the fold of the other."""
    folds: Int[np.ndarray, " p"]
    """Fold of each person."""
    pictures_each: float

    @property
    def people(self) -> int:
        """Number of people of whom there is a pair."""
        return int((self.same.sum(axis=1) > 0).sum())

    def counted(self, weights: Float[np.ndarray, " p"] | None = None) -> tuple[Counts, Counts]:
        """Return pairs of one and of two people by bin; people may count several times."""
        count = np.ones(len(self.same)) if weights is None else weights
        return count @ self.same, count @ self.different.sum(axis=1)

    def learnt_and_held_out(self, fold: int) -> tuple[tuple[Counts, Counts], tuple[Counts, Counts]]:
        """Return the pairs among all other people, and those within a fold."""
        own = self.folds == fold
        others = np.arange(self.different.shape[1]) != fold
        learnt = self.same[~own].sum(axis=0), self.different[~own][:, others].sum(axis=(0, 1))
        return learnt, (self.same[own].sum(axis=0), self.different[own, fold].sum(axis=0))


def calibrate(
    embeddings: Vectors,
    records: Sequence[ImageRecord],
    fingerprint: str,
    learnt_from: str,
    *,
    rooms: Sequence[tuple[str, str]] = (),
    pictures: str | None = None,
    seed: int = 0,
) -> Calibration:
    """Learn what similarities are worth from pictures of people whom a model has not learnt from.

    Args:
        embeddings: Unit vectors, one in a row for each record.
        records: Pictures with identities.
        fingerprint: Fingerprint of the model.
        learnt_from: The people in words, for the record.
        rooms: Pairs of cameras that stand in one room.
        pictures: Fingerprint of the pictures, for the record.
        seed: Seed of folds, resamples and galleries.

    Raises:
        CalibrationError: There are too few people, or all similarities are the same.
    """
    _check_people(records)
    known = np.array([record.identity is not None for record in records])
    kept = [record for record in records if record.identity is not None]
    vectors = np.asarray(embeddings[known], np.float32)
    each = list(_directions(vectors, kept, rooms, seed))
    if not each:
        raise CalibrationError(
            "all similarities of these pictures are the same, so nothing can be learnt from them; "
            "the model embeds every picture alike: train it anew"
        )
    likeness = {m: _likeness(vectors, kept, m, seed) for m in Modality}
    return Calibration(
        vireid=__version__,
        model=fingerprint,
        learnt_from=learnt_from,
        pictures=pictures,
        directions=dict(each),
        likeness=likeness,
    )


def _check_people(records: Sequence[ImageRecord]) -> None:
    seen: dict[int, set[Modality]] = {}
    for record in records:
        if record.identity is not None:
            seen.setdefault(record.identity, set()).add(record.modality)
    both = sum(len(spectra) == 2 for spectra in seen.values())
    if both < NEEDED:
        raise CalibrationError(
            f"{both} people were seen in both spectra, and a calibration needs {NEEDED} of them; "
            "give more people by --data"
        )


def _directions(
    vectors: Vectors, records: Sequence[ImageRecord], rooms: Sequence[tuple[str, str]], seed: int
) -> Iterator[tuple[str, Direction]]:
    ways = list(product((False, True), Modality, Modality))
    centred = Means.of(vectors, records).less(vectors, records)
    for is_centred, query, gallery in counted(iter(ways), "calibrating directions", len(ways)):
        search = Search.among(centred if is_centred else vectors, records, query, gallery, rooms)
        pairs = search.pairs(seed)
        if pairs.people >= NEEDED and _vary(pairs):
            name = direction(query, gallery, centred=is_centred)
            yield name, learn_direction(pairs, search, seed)


def _vary(pairs: Pairs) -> bool:
    return bool(np.count_nonzero(sum(pairs.counted())) > 1)


@dataclass(frozen=True, eq=False)
class Search:
    """The queries of one spectrum and the pictures of one spectrum that they are compared with."""

    queries: Float[np.ndarray, "q d"]
    gallery: Float[np.ndarray, "g d"]
    query_people: Int[np.ndarray, " q"]
    gallery_people: Int[np.ndarray, " g"]
    hidden: Bool[np.ndarray, "q g"]
    """True where a pair does not count."""

    @classmethod
    def among(
        cls,
        vectors: Vectors,
        records: Sequence[ImageRecord],
        query: Modality,
        gallery: Modality,
        rooms: Sequence[tuple[str, str]] = (),
    ) -> "Search":
        """Return the search of a direction among labelled pictures."""
        asked, searched = ([r.modality is m for r in records] for m in (query, gallery))
        people = np.array([r.identity for r in records])
        cameras = np.array([r.camera or "" for r in records])
        a, b = np.flatnonzero(asked), np.flatnonzero(searched)
        same = people[a][:, None] == people[b]
        same_camera = (cameras[a][:, None] == cameras[b]) & (cameras[a][:, None] != "")
        hidden = (same & same_camera) | (a[:, None] == b)
        for one, other in rooms:
            hidden |= (cameras[a][:, None] == one) & (cameras[b] == other)
            hidden |= (cameras[a][:, None] == other) & (cameras[b] == one)
        return cls(vectors[a], vectors[b], people[a], people[b], hidden)

    def of(self, rows: Bool[np.ndarray, " q"]) -> "Search":
        """Return the search of some of the queries."""
        chosen = self.queries[rows], self.gallery, self.query_people[rows], self.gallery_people
        return Search(*chosen, self.hidden[rows])

    def similarity(self, rows: Any = slice(None)) -> Float[np.ndarray, "_ g"]:
        """Return similarities of some queries to the gallery."""
        found: Float[np.ndarray, "_ g"] = self.queries[rows] @ self.gallery.T
        return found

    def pairs(self, seed: int = 0) -> Pairs:
        """Count the pairs by similarity."""
        people = np.unique(np.concatenate([self.query_people, self.gallery_people]))
        folds = np.random.default_rng(seed).permutation(len(people)) % FOLDS
        fold_of = folds[np.searchsorted(people, self.gallery_people)]
        same = np.zeros((len(people), BINS), np.float32)
        different = np.zeros((len(people), FOLDS, BINS), np.float32)
        for number, person in enumerate(people):
            rows = np.flatnonzero(self.query_people == person)
            bins = np.clip(np.digitize(self.similarity(rows), EDGES) - 1, 0, BINS - 1)
            seen, own = ~self.hidden[rows], self.gallery_people == person
            same[number] = np.bincount(bins[:, own][seen[:, own]], minlength=BINS)
            others = seen & ~own
            cells = (bins + BINS * fold_of)[others]
            different[number] = np.bincount(cells, minlength=FOLDS * BINS).reshape(FOLDS, BINS)
        matches = (~self.hidden & (self.query_people[:, None] == self.gallery_people)).sum(axis=1)
        valid = matches[matches > 0]
        return Pairs(same, different, folds, float(valid.mean()) if len(valid) else 0.0)


def learn_direction(pairs: Pairs, search: Search | None = None, seed: int = 0) -> Direction:
    """Learn the curve of a direction and, of a search, the chance of nobody.

    Args:
        pairs: Pairs of at least two similarities.
        search: The search that they are from.
        seed: Seed of resamples and galleries.
    """
    losses = {kind: _held_out(kind, pairs) for kind in KINDS}
    best = min(KINDS, key=lambda kind: losses[kind])
    same, different = pairs.counted()
    rising = np.cumsum(different[::-1])[::-1]
    return Direction(
        curve=curve_of(best, pairs, seed),
        people=pairs.people,
        same=int(same.sum()),
        different=int(different.sum()),
        pictures_each=pairs.pictures_each,
        log_loss=losses,
        thresholds={
            f"{share:g}": float(EDGES[:-1][rising <= share * different.sum()].min(initial=1.0))
            for share in SHARES
        },
        nobody=None if search is None else _nobody(search, seed),
    )


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


def _held_out(kind: Kind, pairs: Pairs) -> float:
    """Return the mean log loss on people that a curve has not seen, at even chances."""
    losses = []
    for fold in range(pairs.different.shape[1]):
        learnt, (same, different) = pairs.learnt_and_held_out(fold)
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
    slopes, intercept = _regression(
        (inputs - middle) / spread, labels, np.concatenate([ones, others])
    )
    # A model whose similarities say the opposite of the truth is told nothing by them.
    slope = max(0.0, slopes[0])
    offset = intercept if slopes[0] > 0 else 0.0
    return lambda similarity: offset + slope * (similarity - middle) / spread


def _regression(
    inputs: Float[np.ndarray, "n k"],
    labels: Int[np.ndarray, " n"],
    weights: Float[np.ndarray, " n"],
) -> tuple[list[float], float]:
    """Return slopes and intercept of a logistic regression, hardly regularised."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e4, solver="newton-cholesky", max_iter=100)
    model.fit(inputs, labels, weights * (len(labels) / weights.sum()))
    return model.coef_[0].tolist(), float(model.intercept_[0])


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


def _nobody(search: Search, seed: int) -> Nobody | None:
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
    slopes, intercept = _regression((x - middle) / spread, y, np.ones(len(y)))
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


def _likeness(
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


def from_judgements(
    judged: Mapping[str, Sequence[tuple[float, bool, str]]],
    fingerprint: str,
    learnt_from: str,
    usual: Calibration | None = None,
    seed: int = 0,
) -> Calibration:
    """Learn what similarities are worth from hits that somebody has confirmed or rejected.

    Such pairs are the hardest of their gallery, as only hits were looked at, so the chances are
    rather too low than too high.

    Args:
        judged: For each direction, similarity, whether both show one person, and the query, by
            which pairs are resampled.
        fingerprint: Fingerprint of the model.
        learnt_from: The pairs in words, for the record.
        usual: Calibration that other directions, and the chance of nobody, are taken from.
        seed: Seed of folds and resamples.

    Raises:
        CalibrationError: In no direction are there enough pairs.
    """
    learnt: dict[str, Direction] = {}
    told = []
    for name, hits in judged.items():
        same = sum(is_same for _, is_same, _ in hits)
        told.append(f"{name}: {same} confirmed and {len(hits) - same} rejected")
        if min(same, len(hits) - same) >= NEEDED_PAIRS:
            before = usual.directions.get(name) if usual else None
            learnt[name] = _of_hits(hits, before, seed)
    if not learnt:
        raise CalibrationError(
            f"a calibration needs {NEEDED_PAIRS} confirmed and {NEEDED_PAIRS} rejected hits of one "
            f"direction ({'; '.join(told) or 'there are none'}); judge more with "
            "`vireid gallery label GALLERY HIT --query PICTURE --same` (or `--different`)"
        )
    return Calibration(
        vireid=__version__,
        model=fingerprint,
        learnt_from=learnt_from,
        of_gallery=True,
        directions={**(usual.directions if usual else {}), **learnt},
        likeness=usual.likeness if usual else {},
    )


def _of_hits(
    hits: Sequence[tuple[float, bool, str]], before: Direction | None, seed: int
) -> Direction:
    queries = sorted({query for *_, query in hits})
    folds = np.random.default_rng(seed).permutation(len(queries)) % FOLDS
    same = np.zeros((len(queries), BINS), np.float32)
    different = np.zeros((len(queries), FOLDS, BINS), np.float32)
    for similarity, is_same, query in hits:
        place = queries.index(query)
        which = int(np.clip(np.digitize(similarity, EDGES) - 1, 0, BINS - 1))
        if is_same:
            same[place, which] += 1
        else:
            different[place, folds[place], which] += 1
    each = before.pictures_each if before else 1.0
    found = learn_direction(Pairs(same, different, folds, each), None, seed)
    return replace(found, nobody=before.nobody) if before else found
