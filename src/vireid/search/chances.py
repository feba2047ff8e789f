"""Chances: what a calibration says of the hits of a search, and of pictures unlike its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from vireid.gallery import Filters, Gallery, Hit
from vireid.models.calibration import BEST, Calibration, Direction
from vireid.models.embedder import Embedder
from vireid.records import Modality
from vireid.types.arrays import Vectors

LOOKED_AT = 256
"""Number of pictures of a gallery that are compared with those of the calibration."""


@dataclass(frozen=True)
class Chances:
    """What a calibration says of one search."""

    hits: tuple[Hit, ...]
    """The hits, with their chances."""
    nobody: float | None = None
    """Chance that no picture searched shows the person, at even chances before."""
    cautions: tuple[str, ...] = ()
    """Reasons not to rely on these chances."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A search by one picture."""

    hits: tuple[Hit, ...]
    vector: Float[np.ndarray, "1 d"]
    """Vector that was searched with."""
    plain: Float[np.ndarray, "1 d"]
    """Vector of the picture before it was centred."""


@dataclass(frozen=True)
class Calibrated:
    """A gallery with what the similarities of its model are worth."""

    gallery: Gallery
    calibration: Calibration
    _unlike: dict[Modality, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, gallery: Gallery, embedder: Embedder) -> "Calibrated | None":
        """Return the calibration that a gallery is searched by; None where there is none.

        One that was made for the gallery comes first, then that of the model, then
        the copy that the gallery keeps.
        """
        kept = gallery.calibration
        found = kept if kept and kept.of_gallery else embedder.calibration or kept
        return cls(gallery, found) if found else None

    def judge(
        self,
        searches: Sequence[Judged],
        modality: Modality,
        filters: Filters,
        *,
        centred: bool = False,
        are_best: bool = False,
    ) -> list[Chances]:
        """Return the chances of the hits of searches, each by one picture.

        Args:
            searches: Searches with their hits.
            modality: Spectrum of the pictures that were searched with.
            filters: Filters of the searches.
            centred: Whether the searches were centred.
            are_best: Whether the hits are the most similar pictures, none left out.
        """
        searched = {
            m: self.gallery.count(filters=replace(filters, modality=m))
            for m in self._spectra(filters)
        }
        known = {m: self.calibration.of(modality, m, centred=centred) for m in searched}
        only = next(iter(known.values())) if len(searched) == 1 else None
        is_known = any(known.values())
        hits = [each.hits for each in searches]
        for spectrum, of in known.items():
            if of and searched[spectrum]:
                hits = _with_chances(hits, spectrum, of, searched[spectrum])
        nobody: list[float | None] = [None] * len(searches)
        if only and only.nobody:
            best = (
                self._best(each, filters, centred=centred, are_best=are_best) for each in searches
            )
            nobody = [only.nobody.probability(each, sum(searched.values())) for each in best]
        cautions = self._cautions(modality, filters, searches) if is_known else [()] * len(searches)
        return [Chances(*each) for each in zip(hits, nobody, cautions, strict=True)]

    def _best(
        self, search: Judged, filters: Filters, *, centred: bool, are_best: bool
    ) -> list[float]:
        """Return the highest similarities, as many as count, whatever is shown."""
        hits: Sequence[Hit] = search.hits
        if not are_best or len(hits) < BEST or filters.min_similarity is not None:
            every = replace(filters, min_similarity=None)
            (hits,) = self.gallery.search(search.vector, BEST, every, centred=centred)
        return [hit.similarity for hit in hits[:BEST]]

    def _spectra(self, filters: Filters) -> tuple[Modality, ...]:
        return (filters.modality,) if filters.modality else tuple(Modality)

    def _cautions(
        self, modality: Modality, filters: Filters, searches: Sequence[Judged]
    ) -> list[tuple[str, ...]]:
        likeness = self.calibration.likeness.get(modality)
        plain = np.concatenate([each.plain for each in searches])
        unlike = [False] * len(searches)
        if likeness and likeness.dim == plain.shape[1]:
            unlike = likeness.unlike(plain)
        whose = f"that the model was calibrated on ({self.calibration.learnt_from})"
        of_query = (
            f"the query is unlike the {modality} pictures {whose}: do not rely on the chances"
        )
        of_gallery = [
            f"the {spectrum} pictures of this gallery are unlike those {whose}: do not rely on the "
            "chances; calibrate on people of your own"
            for spectrum in self._spectra(filters)
            if self._holds_unlike(spectrum)
        ]
        return [(*([of_query] if each else []), *of_gallery) for each in unlike]

    def _holds_unlike(self, modality: Modality) -> bool:
        """Whether the gallery's pictures of a spectrum are unlike those of the calibration."""
        if modality not in self._unlike:
            self._unlike[modality] = self._is_unlike(modality)
        return self._unlike[modality]

    def _is_unlike(self, modality: Modality) -> bool:
        likeness = self.calibration.likeness.get(modality)
        page = next(iter(self.gallery.pages(Filters(modality))), None)
        if likeness is None or page is None:
            return False
        vectors: Vectors = page.read_vectors()
        some = np.linspace(0, len(vectors) - 1, min(LOOKED_AT, len(vectors))).astype(int)
        return likeness.dim == vectors.shape[1] and likeness.are_unlike(vectors[some])


def _with_chances(
    searches: Sequence[tuple[Hit, ...]], modality: Modality, of: Direction, searched: int
) -> list[tuple[Hit, ...]]:
    """Return the hits of searches, those of one spectrum with their chances."""
    similarities = [hit.similarity for hits in searches for hit in hits]
    chances = iter(of.curve.probabilities(similarities, of.prior(searched)))
    return [
        tuple(
            Hit(hit.rank, hit.similarity, hit.record, hit.frames, chance)
            if hit.record.modality is modality
            else hit
            for hit, chance in zip(hits, chances, strict=False)
        )
        for hits in searches
    ]
