"""Indexing and searching as `vireid index` and `vireid search` do it, with their reports."""

import os
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import EllipsisType
from typing import Any, cast

import numpy as np
from rich.table import Table

from vireid.bulk.cluster import Cluster
from vireid.console import plain, printable, shortened
from vireid.datasets import folder
from vireid.datasets._listing import pictures_below
from vireid.datasets._times import TimePattern
from vireid.datasets.folder import Seen, Unusable
from vireid.errors import Interrupted, VireidError
from vireid.gallery import Filters, Gallery, GalleryError, Hit
from vireid.gallery.addresses import exists
from vireid.gallery.sources import Source
from vireid.gallery.store import Address
from vireid.models import trusted
from vireid.models.calibration import in_percent
from vireid.models.card import ModelCard, ModelError
from vireid.models.embedder import Embedder
from vireid.models.engines import AS_USUAL, Running
from vireid.pictures import PictureQuery
from vireid.records import ImageRecord, Modality, TextQuery, VectorQuery
from vireid.search import bulk_indexing, indexing
from vireid.search.chances import Calibrated, Chances, Judged
from vireid.search.hits import Combination, Grouping, found, mean_of
from vireid.search.indexing import Indexed
from vireid.search.queries import Asked, Query, embedded, understood
from vireid.search.ranking import BY_SIMILARITY, Ranking
from vireid.search.tracklets import Tracklets, Weighing
from vireid.types.arrays import Queries
from vireid.video.doubts import doubts_about

DEFAULT_MODEL = "stripes_learnt"
"""Model of a new gallery: the one that finds most people on photographs."""
SCHEMA = 2
"""Version of the answer for programs. Later ones may add fields; a change of one counts as new."""


class NoPictureError(VireidError):
    """There is no picture to search: the gallery is empty, or the filters let none pass."""


@dataclass(frozen=True)
class IndexReport:
    """The content of a gallery after indexing, and how it got there."""

    gallery: str
    """Address of the gallery."""
    source: str
    """Folder or list that was indexed."""
    model: ModelCard
    pictures: dict[Modality, int]
    indexed: Indexed
    skipped: tuple[Unusable, ...]
    seen: Seen
    """Summary of the people and cameras on the pictures, and of what names them."""
    notes: tuple[str, ...] = ()
    """Remarks on what was passed over."""
    doubts: tuple[str, ...] = ()
    """Reasons to doubt that the pictures are cut-outs of people in the spectrum they are said to
    be of."""

    def as_dict(self) -> dict[str, Any]:
        """Return the report for programs."""
        return {
            "gallery": self.gallery,
            "source": self.source,
            "model": _model_as_dict(self.model),
            "pictures": {modality.value: count for modality, count in self.pictures.items()},
            "added": self.indexed.added,
            "relabelled": self.indexed.relabelled,
            "unchanged": self.indexed.unchanged,
            "moved": self.indexed.moved,
            "removed": self.indexed.removed,
            "missing": self.indexed.missing,
            "kept_out": self.indexed.kept_out,
            "too_old": self.indexed.too_old,
            "skipped": [{"where": bad.where, "reason": bad.reason} for bad in self.skipped],
            "seen": self.seen.as_dict(),
            "notes": list(self.notes),
            "doubts": list(self.doubts),
        }

    def as_text(self) -> str:
        """Return the report for people."""
        lines = [f"{self.gallery}: {self._done()}, {len(self.skipped)} skipped"]
        lines += [f"  skipped {bad.where}: {bad.reason}" for bad in self.skipped]
        lines += [f"  {line}" for line in (*self._told(), *self.notes, *self.seen.lines())]
        held = ", ".join(f"{count} {modality}" for modality, count in self.pictures.items())
        lines.append(f"it holds {held} pictures, embedded by model {self.model.name}")
        if self.model.caveat:
            lines.append(f"{self.model.name}: {self.model.caveat}")
        return "\n".join(map(printable, lines))

    def _done(self) -> str:
        indexed = self.indexed
        counts = {
            "relabelled": indexed.relabelled,
            "moved": indexed.moved,
            "removed, whose files are gone": indexed.removed,
        }
        more = "".join(f", {count} {what}" for what, count in counts.items() if count)
        return f"{indexed.added} pictures added, {indexed.unchanged} unchanged{more}"

    def _told(self) -> Iterator[str]:
        """Yield remarks on pictures that are in the gallery, or are not, against expectation."""
        if self.indexed.missing:
            yield (
                f"{self.indexed.missing} pictures of {self.source} are not there, more than half; "
                "they stay in the gallery. If they are gone for good, run it again with --prune"
            )
        if self.indexed.kept_out:
            yield (
                f"{self.indexed.kept_out} pictures were removed from this gallery and stay out; "
                "`vireid gallery readmit` lets them in again"
            )
        if self.indexed.too_old:
            yield f"{self.indexed.too_old} pictures are older than this gallery keeps"


@dataclass(frozen=True)
class Answer:
    """The hits of one question in one gallery."""

    queries: tuple[Query, ...]
    """What was searched with; several pictures of one person count together."""
    hits: tuple[Hit, ...]
    gallery: str
    """Address of the gallery."""
    model: ModelCard
    filters: Filters
    """Conditions on the pictures that were searched."""
    caveat: str | None = None
    """Remark that a person needs to judge hits of a sentence."""
    combined: Combination = "mean"
    """How several queries count together."""
    by: Grouping | None = None
    """Groups of pictures of which only the best hit is shown."""
    centred: bool = False
    """Whether the means of cameras were subtracted."""
    frames: Weighing | None = None
    """What counted of each tracklet, where tracklets were searched."""
    nobody: float | None = None
    """Chance that no picture searched shows the person; None where the model is not calibrated."""
    cautions: tuple[str, ...] = ()
    """Reasons not to rely on the chances."""
    ranking: Ranking = BY_SIMILARITY
    """How hits were ranked beyond similarity."""

    @property
    def caveats(self) -> list[str]:
        """What a person needs to know to judge the hits."""
        of_model = f"{self.model.name}: {self.model.caveat}" if self.model.caveat else None
        return [*(caveat for caveat in (self.caveat, of_model) if caveat), *self.cautions]

    @property
    def query(self) -> Query:
        """The first query."""
        return self.queries[0]

    def as_dict(self) -> dict[str, Any]:
        """Return the answer for programs."""
        modality, cameras = self.filters.modality, sorted(self.filters.cameras)
        several: dict[str, Any] = {}
        if len(self.queries) > 1:
            asked = [_query_as_dict(query, None)["query"] for query in self.queries]
            several = {"queries": asked, "combined": self.combined}
        return {
            "schema": SCHEMA,
            **_query_as_dict(self.query, self.caveat),
            **several,
            "gallery": self.gallery,
            "model": _model_as_dict(self.model),
            "modality": modality and modality.value,
            "camera": cameras[0] if len(cameras) == 1 else None,
            "filters": filters_as_dict(self.filters),
            "grouped_by": self.by,
            "frames_count_by": self.frames,
            "centred": self.centred,
            "ranking": str(self.ranking),
            "nobody": None if self.nobody is None else round(self.nobody, 6),
            "cautions": list(self.cautions),
            "hits": [
                {**_hit_as_dict(hit), "frames": [_hit_as_dict(each) for each in hit.frames]}
                if hit.frames
                else _hit_as_dict(hit)
                for hit in self.hits
            ],
        }

    def as_table(self) -> Table:
        """Return the table for people."""
        table = Table(title=plain(self.title, style="table.title"), title_justify="left")
        has_chances = any(hit.probability is not None for hit in self.hits)
        for heading in ("rank", "similarity", *(["chance"] if has_chances else []), "person"):
            table.add_column(heading, justify="right")
        has_times = any(hit.record.time for hit in self.hits)
        has_frames = any(hit.frames for hit in self.hits)
        if has_frames:
            table.add_column("frames", justify="right")
        what = "best frame" if has_frames else "picture"
        for heading in ("camera", "spectrum", *(["time"] if has_times else []), what):
            table.add_column(heading, overflow="fold")
        for hit in self.hits:
            r = hit.record
            time = [f"{r.time:%Y-%m-%d %H:%M:%S}" if r.time else ""] if has_times else []
            who = "" if r.who is None else str(r.who)
            about = (shortened(who), shortened(r.camera or ""), r.modality.value, *time, r.shown())
            frames = [str(len(hit.frames))] if has_frames else []
            chance = [_chance(hit)] if has_chances else []
            numbers = (str(hit.rank), f"{hit.similarity:.3f}", *chance)
            cells = (*numbers, about[0], *frames, *about[1:])
            table.add_row(*map(plain, cells))
        told = [] if self.hits else [f"nobody is {self.filters.min_similarity} similar or more"]
        told += [self.nobody_in_words] if self.nobody is not None else []
        if told:
            table.caption = plain(*told)
        return table

    @property
    def nobody_in_words(self) -> str:
        """One line on whether the person is there at all; empty where the chance is unknown."""
        if self.nobody is None:
            return ""
        return f"chance that nobody here is the person: {in_percent(self.nobody)}"

    @property
    def title(self) -> str:
        """One line that says what was searched for, and where."""
        among = _searched_for(self.filters)
        asked = _named(self.query)
        if len(self.queries) > 1:
            asked = f"{len(self.queries)} pictures of one person ({self.combined})"
        best = f", the best of each {self.by}" if self.by else ""
        if self.frames and self.frames != "best":
            best = f", tracklets by the {_WORDS[self.frames]} of their frames"
        ranked = "" if self.ranking == BY_SIMILARITY else f" ({self.ranking})"
        return f"{asked} among {among} in {Path(self.gallery).name}{best}{ranked}"


def index(
    source: Path,
    out: Address,
    model: str | None = None,
    modality: Modality | None = None,
    camera: str | None = None,
    *,
    time_pattern: str | None = None,
    keep: timedelta | EllipsisType | None = ...,
    prune: bool = False,
    running: Running = AS_USUAL,
    trust_code: bool = False,
    cluster: Cluster | None = None,
) -> IndexReport:
    """Bring a gallery up to date with the pictures of a folder or CSV file.

    Args:
        source: Folder or CSV file, see `vireid.datasets.folder`.
        out: Address of the gallery; it is made if it does not exist.
        model: Name of a model; by default the one that filled the gallery, or
            `stripes_learnt`.
        modality: Modality of all pictures.
        camera: Camera of all pictures.
        time_pattern: Pattern of the times in the names of files, see `datasets._times`; by default
            the one that was given for this source before. What a list says comes first, and what
            the pictures themselves tell (EXIF) last.
        keep: Age at which this and later calls remove pictures; None for never, by default as it
            was.
        prune: Remove what is gone even if that is more than half of the source.
        running: How to run the model.
        trust_code: See `Embedder.open`.
        cluster: Cluster whose workers embed the pictures; by default this process does.

    Raises:
        VireidError: No picture can be used, the gallery is another model's, the disk is full, or
            the cluster cannot be joined or used.
    """
    found = folder.find(source, modality, camera)
    spectra = {record.modality for record in found.records}
    here = bulk_indexing.opened_here(running) if cluster else running
    embedder, gallery = open_or_create(out, model, trust_code, spectra, here)
    with gallery, ExitStack() as stack:
        try:
            work = None
            if cluster:
                of_cluster = bulk_indexing.on_cluster(cluster, embedder, running, trust_code)
                work = stack.enter_context(of_cluster)
            if not isinstance(keep, EllipsisType):
                gallery.keep = keep
            _keep_calibration(gallery, embedder)
            path = Path(os.path.abspath(source))  # noqa: PTH100  links keep their names
            pattern = time_pattern or _pattern_of(gallery, path)
            about = Source(path, modality, camera, pattern)
            records = _with_times(found.records, pattern)
            indexed = indexing.index(records, embedder, gallery, about, prune=prune, work=work)
        except KeyboardInterrupt:
            safe = f"{len(gallery)} pictures are safe in {out}"
            raise Interrupted(f"interrupted; {safe}, the same command goes on from there") from None
        counts = {m: gallery.count(m) for m in Modality}
    unread = (Unusable(str(bad.path), bad.reason) for bad in indexed.skipped)
    skipped = (*found.unusable, *unread)
    seen = found.seen(without={Path(bad.path) for bad in indexed.skipped})
    doubts = doubts_about(found.records) if indexed.added else []
    return IndexReport(
        str(out),
        str(source),
        embedder.card,
        counts,
        indexed,
        skipped,
        seen,
        found.notes,
        tuple(doubts),
    )


def _keep_calibration(gallery: Gallery, embedder: Embedder) -> None:
    """Have a gallery keep its model's calibration, unless it has one of its own."""
    kept = gallery.calibration
    is_own = kept is not None and kept.of_gallery
    if embedder.calibration is not None and not is_own and kept != embedder.calibration:
        gallery.calibration = embedder.calibration


def _pattern_of(gallery: Gallery, source: Path) -> str | None:
    return next((s.time_pattern for s in gallery.sources() if s.path == source), None)


def _with_times(records: Sequence[ImageRecord], pattern: str | None) -> list[ImageRecord]:
    """Return records with the times that the names of their files tell, where nothing else does."""
    if pattern is None:
        return list(records)
    times = TimePattern(pattern)
    return [r if r.time else replace(r, time=times.read(r.path.stem)) for r in records]


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
            return cls(opened, _embedder_of(opened, model, trust_code))
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
        return f"{address} has no {_searched_for(filters)}; ask for others"


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


def open_or_create(
    path: Address,
    model: str | None = None,
    trust_code: bool = False,
    spectra: AbstractSet[Modality] = frozenset(Modality),
    running: Running = AS_USUAL,
) -> tuple[Embedder, Gallery]:
    """Open a gallery and its model, or make one.

    Args:
        path: Address of the gallery.
        model: Name of a model; by default the one that filled the gallery, or
            `stripes_learnt`.
        trust_code: See `Embedder.open`.
        spectra: Spectra that a new gallery's model has to embed.
        running: How to run the model.

    Raises:
        VireidError: The gallery is another model's, or the disk is full.
    """
    if not exists(path):
        embedder = _opened(model or DEFAULT_MODEL, running, trust_code)
        # No empty gallery is left behind by a model that cannot embed.
        embedder.check(spectra)
        try:
            return embedder, Gallery.create(path, embedder)
        except GalleryError:
            if not exists(path):
                raise  # otherwise another process was faster: what it made is opened
    gallery = Gallery.open(path)
    return _embedder_of(gallery, model, trust_code, running), gallery


def _opened(model: str, running: Running, trust_code: bool) -> Embedder:
    engine, threads, batch = running.engine, running.threads, running.batch
    return Embedder.open(model, threads, engine=engine, batch=batch, trust_code=trust_code)


def _embedder_of(
    gallery: Gallery, model: str | None, trust_code: bool, running: Running = AS_USUAL
) -> Embedder:
    """Return the model that was asked for, or else the one that filled the gallery."""
    source = gallery.model.source
    if not model and not trusted.is_known(source):
        raise ModelError(
            f"{gallery.address} names {source} as its model, which nobody has opened here before; "
            f"if you trust it, say --model {source}"
        )
    try:
        return _opened(model or source, running, trust_code)
    except ModelError as error:
        if model:
            raise
        name = f"{gallery.model.name} (fingerprint {gallery.model.fingerprint})"
        raise ModelError(
            f"{gallery.address} was filled by model {name}, which cannot be opened ({error}); "
            "say by --model where it is now"
        ) from error


def _searched_for(filters: Filters) -> str:
    """Return a description of the pictures that are searched."""
    among = f"{filters.modality} pictures" if filters.modality else "pictures"
    if filters.cameras:
        among += f" of {' or '.join(map(shortened, sorted(filters.cameras)))}"
    others = replace(filters, modality=None, cameras=(), min_similarity=None)
    return among if others == Filters() else f"{among} that the filters let pass"


def _named(query: Query) -> str:
    if isinstance(query, TextQuery):
        return f"“{shortened(query.text)}”"
    name = f" {query.path.name}" if isinstance(query, ImageRecord) else ""
    return f"{query.modality} query{name}" if query.modality else "vector"


_WORDS: dict[Weighing, str] = {"mean": "mean", "quality": "mean by quality", "best": "best"}


def _hit_as_dict(hit: Hit) -> dict[str, Any]:
    chance = None if hit.probability is None else round(hit.probability, 6)
    about = {"rank": hit.rank, "similarity": round(hit.similarity, 6), "probability": chance}
    return {**about, **hit.record.as_dict()}


def _chance(hit: Hit) -> str:
    return "" if hit.probability is None else in_percent(hit.probability)


def _model_as_dict(model: ModelCard) -> dict[str, str | None]:
    return {
        "name": model.name,
        "fingerprint": model.fingerprint,
        "precision": model.precision,
        "caveat": model.caveat,
    }


def _query_as_dict(query: Query, caveat: str | None) -> dict[str, Any]:
    if isinstance(query, TextQuery):
        return {"query": asdict(query), "caveat": caveat}
    if isinstance(query, ImageRecord):
        return {"query": query.as_dict()}
    modality = query.modality and query.modality.value
    return {"query": {"modality": modality, "identity": query.identity}}


def filters_as_dict(filters: Filters) -> dict[str, Any]:
    """Return the filters that are set."""
    every = {
        "modality": filters.modality and filters.modality.value,
        "cameras": sorted(filters.cameras),
        "since": filters.since and filters.since.isoformat(),
        "until": filters.until and filters.until.isoformat(),
        "tracklet": filters.tracklet,
        "tags": sorted(filters.tags),
        "identity": filters.identity,
        "person": filters.person,
        "source": filters.source and str(filters.source),
        "below": filters.below and str(filters.below),
        "min_similarity": filters.min_similarity,
    }
    return {name: value for name, value in every.items() if value not in (None, [])}
