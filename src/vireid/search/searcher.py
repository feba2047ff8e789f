"""The Searcher: a gallery and its model, opened once for many questions; and one search."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from vireid.datasets._listing import pictures_below
from vireid.errors import VireidError
from vireid.gallery import Filters, Gallery, Hit
from vireid.gallery.store import Address
from vireid.models.embedder import Embedder
from vireid.pictures import PictureQuery
from vireid.records import ImageRecord, Modality, TextQuery, VectorQuery
from vireid.search.answers import Answer, searched_for
from vireid.search.chances import Calibrated, Chances, Judged
from vireid.search.hits import Combination, Grouping, found, mean_of
from vireid.search.opening import embedder_of
from vireid.search.queries import Asked, Query, embedded, understood
from vireid.search.ranking import BY_SIMILARITY, Ranking
from vireid.search.tracklets import Tracklets, Weighing
from vireid.types.arrays import Queries


class NoPictureError(VireidError):
    """There is no picture to search: the gallery is empty, or the filters let none pass."""


class Searcher:
    """A gallery and its model, opened once for many questions. Threads may share a Searcher."""

    def __init__(self, gallery: Gallery, embedder: Embedder) -> None:
        """Take a gallery and a model that are open already; see `open`.

        Raises:
            GalleryError: The gallery was filled by another model.
        """
        gallery.check(embedder)
        self.gallery, self.embedder = gallery, embedder
        self._tracklets: tuple[object, Tracklets | None] = (None, None)
        self.calibrated = Calibrated.of(gallery, embedder)
        """What its similarities are worth; None where the model is not calibrated."""

    @classmethod
    def open(
        cls, gallery: Address, model: str | None = None, *, trust_code: bool = False
    ) -> "Searcher":
        """Open a gallery to search in it.

        Args:
            gallery: Address of the gallery.
            model: Name of a model; by default the one that filled the gallery.
            trust_code: See `Embedder.open`.

        Raises:
            VireidError: It is no gallery, or its model is not there or another one.
        """
        opened = Gallery.open(gallery)
        try:
            return cls(opened, embedder_of(opened, model, trust_code))
        except BaseException:
            opened.close()
            raise

    def close(self) -> None:
        """Close the gallery."""
        self.gallery.close()

    def __enter__(self) -> "Searcher":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def search(
        self,
        query: Asked | Sequence[Asked],
        top: int = 10,
        filters: Filters | None = None,
        *,
        modality: Modality | str | None = None,
        query_modality: Modality | str | None = None,
        identity: int | None = None,
        combined: Combination = "mean",
        by: Grouping | None = None,
        frames: Weighing = "mean",
        centred: bool = False,
        ranking: Ranking = BY_SIMILARITY,
    ) -> Answer:
        """Find a person.

        Args:
            query: The path of a picture, a picture in memory (PIL or an array), a record (its box
                is cut out), a `TextQuery`, or a vector of the gallery's model; or a list of those,
                all of one person.
            top: Largest number of hits.
            filters: Conditions on the pictures to search.
            modality: Spectrum to search in, or `both`. By default that of the filters, or else the
                one that the picture is not of; both for a sentence.
            query_modality: Spectrum of the picture; of a file, by default the one that its folders
                name.
            identity: Identity of the person, if you know it; of a file, by default the one that its
                folders name.
            combined: What counts of several queries: their `mean` vector, or for each picture of
                the gallery the `best` of its similarities.
            by: `person` shows only the best hit of each person, `tracklet` answers with tracklets
                and their frames; pictures of which nobody knows that stand for themselves.
            frames: What counts of a tracklet: the `mean` of its frames' embeddings, the same by
                their `quality` (score times sharpness, as `vireid cut` lists them), or the `best`
                frame.
            centred: Subtract from each vector the mean of its camera's pictures in the gallery;
                see `Gallery.centred`.
            ranking: How hits are ranked beyond similarity.

        Raises:
            NoPictureError: There is no picture to search.
            VireidError: Something is missing or does not fit; the message says what to do.
        """
        asked = cast(list[Asked], [*query] if isinstance(query, list | tuple) else [query])
        if not asked:
            raise VireidError("there is no query; give at least one picture")
        if centred and ranking != BY_SIMILARITY:
            raise VireidError(
                "vectors less their cameras' means are not ranked further; leave out "
                "centring, or expansion and re-ranking"
            )
        known = tuple(understood(each, query_modality, identity) for each in asked)
        searched = _searched(known[0], filters or Filters(), modality)
        plain_ones = [embedded(*pair, self.embedder) for pair in zip(known, asked, strict=True)]
        each = plain_ones
        if centred:
            each = [self._centred(*pair) for pair in zip(known, plain_ones, strict=True)]
        vectors = np.concatenate(each)
        how: Any = {"centred": centred, "ranking": ranking}
        hits = self._hits(vectors, top, searched, combined, by, frames, **how)
        self._refuse_nothing(hits, searched)
        is_text = isinstance(known[0], TextQuery)
        caveat = self.embedder.text_caveat if is_text else None
        about = (self.gallery.address, self.embedder.card, searched, caveat, combined, by, centred)
        weighing = frames if by == "tracklet" else None
        judged = Chances(hits)
        # Expansion, and means of frames, change what a similarity is worth.
        if not ranking.expanded and weighing in (None, "best"):
            how = {"centred": centred, "are_best": by is None and ranking == BY_SIMILARITY}
            search = Judged(hits, vectors[:1], plain_ones[0])
            (judged,) = self._judged(known, [search], searched, **how)
        return Answer(known, judged.hits, *about, weighing, judged.nobody, judged.cautions, ranking)

    def search_each(
        self,
        vectors: Queries,
        top: int = 10,
        filters: Filters | None = None,
        *,
        modality: Modality | str | None = None,
        query_modality: Modality | str,
        centred: bool = False,
    ) -> list[Answer]:
        """Find several people, each by one vector; the gallery is read once for all of them.

        Args:
            vectors: Vector of each person, from pictures of one spectrum.
            top: Largest number of hits of each.
            filters: See `search`, also for the parameters below.
            modality: Spectrum to search in.
            query_modality: Spectrum of the pictures that the vectors were made of.
            centred: Subtract the means of cameras.

        Raises:
            NoPictureError: There is no picture to search.
            VireidError: Something is missing or does not fit; the message says what to do.
        """
        known = VectorQuery(Modality(query_modality))
        searched = _searched(known, filters or Filters(), modality)
        asked = self._centred(known, vectors) if centred else vectors
        found = self.gallery.search(asked, top, searched, centred=centred)
        self._refuse_nothing(found[0], searched)
        searches = [
            Judged(tuple(hits), each[None], plain[None])
            for hits, each, plain in zip(found, asked, vectors, strict=True)
        ]
        judged = self._judged([known], searches, searched, centred=centred, are_best=True)
        about = (self.gallery.address, self.embedder.card, searched)
        return [
            Answer(
                (known,),
                chances.hits,
                *about,
                centred=centred,
                nobody=chances.nobody,
                cautions=chances.cautions,
            )
            for chances in judged
        ]

    def _refuse_nothing(self, hits: Sequence[Hit], searched: Filters) -> None:
        if not hits and searched.min_similarity is None:
            raise NoPictureError(self._why_nothing(searched))

    def _hits(
        self,
        vectors: Queries,
        top: int,
        filters: Filters,
        combined: Combination,
        by: Grouping | None,
        frames: Weighing,
        *,
        centred: bool,
        ranking: Ranking,
    ) -> tuple[Hit, ...]:
        if by != "tracklet" or frames == "best":
            how: Any = {"centred": centred, "ranking": ranking}
            return found(self.gallery, vectors, top, filters, combined, by, **how)
        if ranking != BY_SIMILARITY:
            raise VireidError(
                "means of tracklets are not ranked further; take the best of their frames, or "
                "leave out expansion and re-ranking"
            )
        queries = mean_of(vectors) if combined == "mean" else vectors
        tracklets = self._among(filters, frames, centred=centred)
        return tracklets.search(queries, top, filters.min_similarity)

    def _among(self, filters: Filters, frames: Weighing, *, centred: bool) -> Tracklets:
        """Return the tracklets to search among; those of the last question are remembered."""
        asked = (self.gallery.version, filters, frames, centred)
        key, known = self._tracklets
        if known is None or key != asked:
            known = Tracklets.of(self.gallery, filters, frames, centred=centred)
            self._tracklets = (asked, known)
        return known

    def _judged(
        self,
        known: Sequence[Query],
        searches: Sequence[Judged],
        filters: Filters,
        *,
        centred: bool,
        are_best: bool,
    ) -> list[Chances]:
        """Return hits with their chances, which are known of single pictures only."""
        modality = None if isinstance(known[0], TextQuery) else known[0].modality
        of_tracklets = any(hit.frames for search in searches for hit in search.hits)
        if self.calibrated is None or modality is None or len(known) > 1 or of_tracklets:
            return [Chances(search.hits) for search in searches]
        how = {"centred": centred, "are_best": are_best}
        return self.calibrated.judge(searches, modality, filters, **how)

    def _centred(self, query: Query, vector: Queries) -> Queries:
        """Return the vector of a query less the mean of its camera, or of its spectrum.

        Raises:
            VireidError: It has no spectrum, or the gallery has too few pictures of that.
        """
        modality = None if isinstance(query, TextQuery) else query.modality
        if modality is None:
            what = "a sentence" if isinstance(query, TextQuery) else "a vector"
            raise VireidError(f"{what} has no camera to be centred by; search without centring")
        camera = query.camera if isinstance(query, ImageRecord) else None
        return self.gallery.centred(vector, modality, camera)

    def _why_nothing(self, filters: Filters) -> str:
        address = self.gallery.address
        if not len(self.gallery):
            return f"{address} is empty; fill it with `vireid index FOLDER --out {address}`"
        return f"{address} has no {searched_for(filters)}; ask for others"


def search(
    gallery: Address,
    pictures: Path | Sequence[Path] = (),
    top: int = 10,
    *,
    text: str | None = None,
    query_modality: Modality | str | None = None,
    identity: int | None = None,
    modality: Modality | str | None = None,
    camera: str | None = None,
    filters: Filters | None = None,
    combined: Combination = "mean",
    by: Grouping | None = None,
    frames: Weighing = "mean",
    centred: bool = False,
    ranking: Ranking = BY_SIMILARITY,
    model: str | None = None,
    trust_code: bool = False,
) -> list[Answer]:
    """Find the person of pictures or of a sentence; opens gallery and model.

    Args:
        gallery: Address of the gallery.
        pictures: Pictures of one person; or one folder, each picture of which is a question of its
            own.
        top: Largest number of hits.
        text: A sentence in English in place of a picture, if the gallery's model reads text.
        query_modality: Spectrum of the picture; see `Searcher.search`, also for the parameters
            below.
        identity: Identity of the person, if you know it.
        modality: Spectrum to search in, or `both`.
        camera: Camera whose pictures are searched; short for a filter.
        filters: Conditions on the pictures to search.
        combined: What counts of several pictures.
        by: Show only the best hit of each person, or tracklets.
        frames: What counts of a tracklet.
        centred: Subtract the means of cameras.
        ranking: How hits are ranked beyond similarity.
        model: Name of a model; by default the one that filled the gallery.
        trust_code: See `Embedder.open`.

    Returns:
        One answer, or for a folder one for each picture in it.

    Raises:
        VireidError: Something is missing or does not fit; the message says what to do.
    """
    given = [pictures] if isinstance(pictures, Path) else list(pictures)
    if bool(given) == (text is not None):
        raise VireidError("say who is looked for: by pictures or by a sentence, not by both")
    questions = _questions([TextQuery(text)] if text is not None else given)
    # What is wrong with a query is told before a model is opened for nothing.
    for question in questions:
        for each in question:
            understood(each, query_modality, identity)
    filters = filters or Filters()
    if camera is not None:
        filters = replace(filters, cameras={*filters.cameras, camera})
    with Searcher.open(gallery, model, trust_code=trust_code) as searcher:
        return [
            searcher.search(
                question,
                top,
                filters,
                combined=combined,
                by=by,
                frames=frames,
                centred=centred,
                ranking=ranking,
                modality=modality,
                query_modality=query_modality,
                identity=identity,
            )
            for question in questions
        ]


def _questions(given: list[Any]) -> list[list[Asked]]:
    """Return the questions: pictures that count together, or each picture of a folder alone."""
    if len(given) != 1 or not isinstance(given[0], Path) or not given[0].is_dir():
        folders = [each for each in given if isinstance(each, Path) and each.is_dir()]
        if folders:
            raise VireidError(f"{folders[0]} is a folder; give one folder alone, or pictures")
        return [given]
    listed = pictures_below(given[0]).pictures
    if not listed:
        raise VireidError(f"{given[0]} holds no picture; give a folder of pictures")
    return [[path] for path in listed]


def _searched(query: Query, filters: Filters, asked: Modality | str | None) -> Filters:
    """Return the filters with the spectrum to search in; None stands for both."""
    if asked:
        return replace(filters, modality=None if asked == "both" else Modality(asked))
    if filters.modality or not isinstance(query, ImageRecord | PictureQuery):
        return filters
    return replace(filters, modality=query.modality.other)
