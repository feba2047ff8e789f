"""Ranking beyond similarity: what the best hits of a search say about it. Off unless asked for.

Query expansion (Radenovic, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human
Annotation", TPAMI 2019): the query becomes the sum of itself and its k best hits, each times its
similarity to the power of alpha, at length one; then it is searched for again. It helps where the
best hits are right, and leads astray where they are not.

k-reciprocal re-ranking of the best hits alone: `scoring.re_ranking` has the formulas. The only
query is this one, and its gallery are the best hits. Similarities stay; only the order changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vireid.errors import VireidError
from vireid.gallery import Filters, Gallery, Hit
from vireid.scoring.re_ranking import KReciprocal, re_rank
from vireid.types.arrays import Queries

MOST_RE_RANKED = 2000
PAPER = KReciprocal()


@dataclass(frozen=True)
class Ranking:
    """How hits are ranked, beyond similarity."""

    expanded: int = 0
    """Number of best hits that the query is expanded by; 0: not at all."""
    alpha: float = 3.0
    re_ranked: int = 0
    """Number of best hits that are re-ranked; 0: none."""
    k_reciprocal: KReciprocal = PAPER

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense.

        Raises:
            VireidError: One of them does not.
        """
        if not 0 <= self.expanded <= 100 or self.alpha < 0:
            raise VireidError("a query is expanded by 0 to 100 hits, and alpha is 0 or more")
        if not 0 <= self.re_ranked <= MOST_RE_RANKED:
            raise VireidError(f"0 to {MOST_RE_RANKED} hits can be re-ranked")

    def __str__(self) -> str:
        said = []
        if self.expanded:
            said.append(f"query expanded by {self.expanded} hits, alpha={self.alpha:g}")
        if self.re_ranked:
            said.append(f"best {self.re_ranked} re-ranked, {self.k_reciprocal}")
        return "; ".join(said) or "similarity"

    def expand(self, gallery: Gallery, queries: Queries, filters: Filters) -> Queries:
        """Return queries expanded by their best hits."""
        if not self.expanded:
            return queries
        every = replace(filters, min_similarity=None)
        found = gallery.search(queries, self.expanded, every)
        return np.concatenate(
            [
                self._expanded(gallery, query, hits)
                for query, hits in zip(queries, found, strict=True)
            ]
        )

    def _expanded(self, gallery: Gallery, query: np.ndarray, hits: Sequence[Hit]) -> Queries:
        if not hits:
            return query[None]
        vectors = gallery.vectors_of([hit.record for hit in hits])
        weights = np.array([max(hit.similarity, 0.0) ** self.alpha for hit in hits], np.float32)
        total = query + weights @ vectors
        return np.asarray(total / max(float(np.linalg.norm(total)), 1e-12), np.float32)[None]

    def re_rank(self, gallery: Gallery, queries: Queries, hits: Sequence[Hit]) -> list[Hit]:
        """Return the best hits in another order, the others behind them; ranks are counted anew."""
        best, rest = list(hits[: self.re_ranked]), hits[self.re_ranked :]
        if len(best) > 1:
            vectors = gallery.vectors_of([hit.record for hit in best])
            query = queries.mean(axis=0, keepdims=True)
            (score,) = re_rank(query, vectors, None, self.k_reciprocal)
            best = [best[place] for place in np.argsort(-score, kind="stable")]
        return [replace(hit, rank=rank) for rank, hit in enumerate([*best, *rest], 1)]


BY_SIMILARITY = Ranking()
"""The usual ranking: by similarity alone."""
