"""Approximate search: another index, chosen with its recall on queries of one's own in view."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vireid.datasets._listing import pictures_below
from vireid.gallery import Filters, Gallery, GalleryError
from vireid.gallery.store import Address, IndexKind
from vireid.records import ImageRecord, Key, Modality
from vireid.search.queries import embedded, understood
from vireid.search.searcher import Searcher
from vireid.types.arrays import Vector

TOPS = (10, 50)
"""Numbers of hits of which the recall is told."""


@dataclass(frozen=True)
class Chosen:
    """What an index finds of what exact search finds, and how fast."""

    kind: IndexKind
    effort: int
    kept: bool
    """Whether the gallery has this index now; False where it found too little."""
    queries: int
    recall: dict[int, float]
    """Share of the exact hits that it finds, by the number of hits, in the other spectrum."""
    exact_ms: float
    """Median time of an exact search, in milliseconds."""
    ms: float
    """Median time of a search by this index."""

    def in_words(self) -> str:
        """Return what was measured, for people."""
        found = ", ".join(f"{share:.1%} of the best {top}" for top, share in self.recall.items())
        speed = f"{self.ms:.1f} ms a search, exact {self.exact_ms:.1f} ms"
        return f"{self.kind} (effort {self.effort}) finds {found}; {speed}; {self.queries} queries"


def choose_index(
    gallery: Address,
    kind: IndexKind,
    queries: Path,
    *,
    effort: int = 128,
    least: float = 0.95,
    query_modality: Modality | None = None,
) -> Chosen:
    """Give a gallery on a server another index, and keep it if it finds enough.

    Args:
        gallery: Address of the gallery.
        kind: Kind of index.
        queries: Folder of pictures such as the gallery is searched with.
        effort: How many candidates or cells a search looks at.
        least: Least share of the ten best exact hits that has to be found.
        query_modality: Spectrum of the queries; by default what their folders say.

    Raises:
        VireidError: The gallery is in a folder, or there are no queries.
    """
    with Searcher.open(gallery) as searcher:
        held = searcher.gallery
        asked = _asked(searcher, queries, query_modality)
        held.set_index("flat")
        exact, exact_ms = _answers(held, asked)
        if kind == "flat":
            return Chosen(
                kind, effort, True, len(asked), dict.fromkeys(TOPS, 1.0), exact_ms, exact_ms
            )
        held.set_index(kind, effort)
        found, ms = _answers(held, asked)
        recall = {top: _recall(exact, found, top) for top in TOPS}
        kept = recall[TOPS[0]] >= least
        if not kept:
            held.set_index("flat")
    return Chosen(kind, effort, kept, len(asked), recall, exact_ms, ms)


def _asked(
    searcher: Searcher, queries: Path, modality: Modality | None
) -> list[tuple[Modality, Vector]]:
    """Return the vectors of the queries, and the spectrum that each is searched in."""
    paths = pictures_below(queries).pictures
    if not paths:
        raise GalleryError(f"{queries} holds no picture; give a folder of pictures to search with")
    asked = []
    for path in paths:
        query = understood(path, modality)
        assert isinstance(query, ImageRecord)
        asked.append((query.modality.other, embedded(query, path, searcher.embedder)[0]))
    return asked


def _answers(
    gallery: Gallery, asked: Sequence[tuple[Modality, Vector]]
) -> tuple[list[list[Key]], float]:
    """Return the keys of the hits of each query, and the median time of a search."""
    answers, times = [], []
    for modality, vector in asked:
        started = time.perf_counter()
        (hits,) = gallery.search(vector[None], max(TOPS), Filters(modality))
        times.append(1000 * (time.perf_counter() - started))
        answers.append([hit.record.key for hit in hits])
    return answers, float(np.median(times))


def _recall(exact: Sequence[Sequence[Key]], found: Sequence[Sequence[Key]], top: int) -> float:
    """Return the share of the exact hits that were found, among so many of each query."""
    wanted = sum(len(hits[:top]) for hits in exact)
    same = sum(len({*a[:top]} & {*b[:top]}) for a, b in zip(exact, found, strict=True))
    return same / wanted if wanted else 1.0
