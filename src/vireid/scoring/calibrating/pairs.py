"""Pairs of labelled pictures, counted by similarity: the evidence that a calibration rests on.

They are counted in bins of 1/512, person by person. Left out are pairs of one person under one
camera, and pairs of cameras that stand in one room.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from vireid.records import ImageRecord, Modality
from vireid.types.arrays import Vectors

FOLDS = 5
BINS = 1024
EDGES = np.linspace(-1, 1, BINS + 1)
CENTRES: Float[np.ndarray, " bins"] = (EDGES[1:] + EDGES[:-1]) / 2
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

    def learnt_andheld_out_loss(
        self, fold: int
    ) -> tuple[tuple[Counts, Counts], tuple[Counts, Counts]]:
        """Return the pairs among all other people, and those within a fold."""
        own = self.folds == fold
        others = np.arange(self.different.shape[1]) != fold
        learnt = self.same[~own].sum(axis=0), self.different[~own][:, others].sum(axis=(0, 1))
        return learnt, (self.same[own].sum(axis=0), self.different[own, fold].sum(axis=0))


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
