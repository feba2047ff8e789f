"""Answers: what a search has found, as a table for people and as a document for programs."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from vireid.console import plain, shortened
from vireid.gallery import Filters, Hit
from vireid.models.calibration import in_percent
from vireid.models.card import ModelCard
from vireid.records import ImageRecord, TextQuery
from vireid.search.hits import Combination, Grouping
from vireid.search.queries import Query
from vireid.search.ranking import BY_SIMILARITY, Ranking
from vireid.search.tracklets import Weighing

SCHEMA = 2
"""Version of the answer for programs. Later ones may add fields; a change of one counts as new."""
_WORDS: dict[Weighing, str] = {"mean": "mean", "quality": "mean by quality", "best": "best"}


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
            "model": self.model.as_dict(),
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
        among = searched_for(self.filters)
        asked = _named(self.query)
        if len(self.queries) > 1:
            asked = f"{len(self.queries)} pictures of one person ({self.combined})"
        best = f", the best of each {self.by}" if self.by else ""
        if self.frames and self.frames != "best":
            best = f", tracklets by the {_WORDS[self.frames]} of their frames"
        ranked = "" if self.ranking == BY_SIMILARITY else f" ({self.ranking})"
        return f"{asked} among {among} in {Path(self.gallery).name}{best}{ranked}"


def searched_for(filters: Filters) -> str:
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


def _hit_as_dict(hit: Hit) -> dict[str, Any]:
    chance = None if hit.probability is None else round(hit.probability, 6)
    about = {"rank": hit.rank, "similarity": round(hit.similarity, 6), "probability": chance}
    return {**about, **hit.record.as_dict()}


def _chance(hit: Hit) -> str:
    return "" if hit.probability is None else in_percent(hit.probability)


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
