"""Indexing and searching as `vireid index` and `vireid search` do it, with their reports."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vireid.datasets import folder
from vireid.datasets.folder import Seen, Unusable
from vireid.errors import VireidError
from vireid.gallery import Filters, Gallery, Hit
from vireid.gallery.addresses import Address, exists
from vireid.models.card import ModelCard, ModelError
from vireid.models.embedder import Embedder
from vireid.pictures import PictureQuery
from vireid.records import ImageRecord, Modality, TextQuery
from vireid.search import indexing
from vireid.search.indexing import Indexed
from vireid.search.queries import Asked, Query, embedded, understood


@dataclass(frozen=True)
class IndexReport:
    """The content of a gallery after indexing, and how it got there."""

    gallery: str
    """Address of the gallery."""
    model: ModelCard
    pictures: dict[Modality, int]
    indexed: Indexed
    skipped: tuple[Unusable, ...]
    seen: Seen
    """Summary of the people and cameras on the pictures, and of what names them."""
    notes: tuple[str, ...] = ()
    """Remarks on what was passed over."""

    def as_dict(self) -> dict[str, Any]:
        """Return the report for programs."""
        return {
            "gallery": self.gallery,
            "model": _model_as_dict(self.model),
            "pictures": {modality.value: count for modality, count in self.pictures.items()},
            "added": self.indexed.added,
            "relabelled": self.indexed.relabelled,
            "unchanged": self.indexed.unchanged,
            "skipped": [{"where": bad.where, "reason": bad.reason} for bad in self.skipped],
            "seen": self.seen.as_dict(),
            "notes": list(self.notes),
        }

    def as_text(self) -> str:
        """Return the report for people."""
        done = f"{self.indexed.added} pictures added, {self.indexed.unchanged} unchanged"
        if self.indexed.relabelled:
            done += f", {self.indexed.relabelled} relabelled"
        lines = [f"{self.gallery}: {done}, {len(self.skipped)} skipped"]
        lines += [f"  skipped {bad.where}: {bad.reason}" for bad in self.skipped]
        lines += [f"  {line}" for line in (*self.notes, *self.seen.lines())]
        held = ", ".join(f"{count} {modality}" for modality, count in self.pictures.items())
        return "\n".join([*lines, f"it holds {held} pictures, embedded by model {self.model.name}"])


@dataclass(frozen=True)
class Answer:
    """The hits of one query in one gallery."""

    query: Query
    hits: tuple[Hit, ...]
    gallery: str
    """Address of the gallery."""
    model: ModelCard
    filters: Filters
    """Conditions on the pictures that were searched."""
    caveat: str | None = None
    """Remark that a person needs to judge hits of a sentence."""

    def as_dict(self) -> dict[str, Any]:
        """Return the answer for programs."""
        modality, cameras = self.filters.modality, sorted(self.filters.cameras)
        return {
            **_query_as_dict(self.query, self.caveat),
            "gallery": self.gallery,
            "model": _model_as_dict(self.model),
            "modality": modality and modality.value,
            "camera": cameras[0] if len(cameras) == 1 else None,
            "filters": _filters_as_dict(self.filters),
            "hits": [
                {"rank": h.rank, "similarity": round(h.similarity, 6), **_record_as_dict(h.record)}
                for h in self.hits
            ],
        }

    def show(self) -> None:
        """Print the table; in a file, lines are not broken."""
        console = Console()
        if not console.is_terminal:
            console = Console(width=1000)
        console.print(self.as_table())

    def as_table(self) -> Table:
        """Return the table for people."""
        table = Table(title=Text(self.title, "table.title"), title_justify="left")
        for heading in ("rank", "similarity", "identity"):
            table.add_column(heading, justify="right")
        for heading in ("camera", "spectrum", "picture"):
            table.add_column(heading, overflow="fold")
        for hit in self.hits:
            r = hit.record
            identity = "" if r.identity is None else str(r.identity)
            facts = (identity, r.camera or "", r.modality.value, _shown(r))
            cells = (str(hit.rank), f"{hit.similarity:.3f}", *facts)
            table.add_row(*map(Text, cells))
        return table

    @property
    def title(self) -> str:
        """One line that says what was searched for, and where."""
        among = _searched_for(self.filters)
        return f"{_named(self.query)} among {among} in {Path(self.gallery).name}"


def index(
    source: Path,
    out: Address,
    model: str | None = None,
    modality: Modality | None = None,
    camera: str | None = None,
    *,
    trust_code: bool = False,
) -> IndexReport:
    """Bring a gallery up to date with the pictures of a folder or CSV file.

    Args:
        source: Folder or CSV file, see `vireid.datasets.folder`.
        out: Address of the gallery; it is made if it does not exist.
        model: Name of a model; by default the one that filled the gallery, or `small`.
        modality: Modality of all pictures.
        camera: Camera of all pictures.
        trust_code: See `Embedder.open`.

    Raises:
        VireidError: No picture can be used, the gallery is another model's, or the disk is full.
    """
    found = folder.find(source, modality, camera)
    embedder, gallery = _open_or_create(out, model, trust_code, found.records)
    with gallery:
        try:
            indexed = indexing.index(found.records, embedder, gallery)
        except KeyboardInterrupt:
            safe = f"{len(gallery)} pictures are safe in {out}"
            raise VireidError(f"interrupted; {safe}, the same command goes on from there") from None
        counts = {m: gallery.count(m) for m in Modality}
    unread = (Unusable(str(bad.path), bad.reason) for bad in indexed.skipped)
    skipped = (*found.unusable, *unread)
    seen = found.seen(without={Path(bad.path) for bad in indexed.skipped})
    return IndexReport(str(out), embedder.card, counts, indexed, skipped, seen, found.notes)


class Searcher:
    """A gallery and its model, opened once for many questions. Threads may share a Searcher."""

    def __init__(self, gallery: Gallery, embedder: Embedder) -> None:
        """Take a gallery and a model that are open already; see `open`.

        Raises:
            GalleryError: The gallery was filled by another model.
        """
        gallery.check(embedder)
        self.gallery, self.embedder = gallery, embedder

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def search(
        self,
        query: Asked,
        top: int = 10,
        filters: Filters | None = None,
        *,
        modality: Modality | str | None = None,
        query_modality: Modality | str | None = None,
        identity: int | None = None,
    ) -> Answer:
        """Find a person.

        Args:
            query: The path of a picture, a picture in memory (PIL or an array), a record (its box
                is cut out), a `TextQuery`, or a vector of the gallery's model.
            top: Largest number of hits.
            filters: Conditions on the pictures to search.
            modality: Spectrum to search in, or `both`. By default that of the filters, or else the
                one that the picture is not of; both for a sentence.
            query_modality: Spectrum of the picture; of a file, by default the one that its folders
                name.
            identity: Identity of the person, if you know it; of a file, by default the one that its
                folders name.

        Raises:
            VireidError: Something is missing or does not fit; the message says what to do.
        """
        known = understood(query, query_modality, identity)
        searched = _searched(known, filters or Filters(), modality)
        vector = embedded(known, query, self.embedder)
        hits = self.gallery.search(vector, top, searched)[0]
        if not hits:
            raise VireidError(self._why_nothing(searched))
        caveat = self.embedder.text_caveat if isinstance(known, TextQuery) else None
        address = self.gallery.address
        return Answer(known, tuple(hits), address, self.embedder.card, searched, caveat)

    def _why_nothing(self, filters: Filters) -> str:
        address = self.gallery.address
        if not len(self.gallery):
            return f"{address} is empty; fill it with `vireid index FOLDER --out {address}`"
        return f"{address} has no {_searched_for(filters)}; ask for others"


def search(
    gallery: Address,
    picture: Path | None = None,
    top: int = 10,
    *,
    text: str | None = None,
    query_modality: Modality | str | None = None,
    identity: int | None = None,
    modality: Modality | str | None = None,
    camera: str | None = None,
    model: str | None = None,
    trust_code: bool = False,
) -> Answer:
    """Find the person of a picture or of a sentence; opens gallery and model.

    Args:
        gallery: Address of the gallery.
        picture: Picture of one person.
        top: Largest number of hits.
        text: A sentence in English in place of a picture, if the gallery's model reads text.
        query_modality: Spectrum of the picture; see `Searcher.search`, also for the parameters
            below.
        identity: Identity of the person, if you know it.
        modality: Spectrum to search in, or `both`.
        camera: Camera whose pictures are searched.
        model: Name of a model; by default the one that filled the gallery.
        trust_code: See `Embedder.open`.

    Raises:
        VireidError: Something is missing or does not fit; the message says what to do.
    """
    asked = TextQuery(text) if text is not None else picture
    if asked is None or (picture is not None and text is not None):
        raise VireidError("say who is looked for: by a picture or by a sentence, not by both")
    # What is wrong with the query is told before a model is opened for nothing.
    understood(asked, query_modality, identity)
    filters = Filters(cameras=() if camera is None else (camera,))
    about = {"modality": modality, "query_modality": query_modality}
    with Searcher.open(gallery, model, trust_code=trust_code) as searcher:
        return searcher.search(asked, top, filters, identity=identity, **about)


def _searched(query: Query, filters: Filters, asked: Modality | str | None) -> Filters:
    """Return the filters with the spectrum to search in; None stands for both."""
    if asked:
        return replace(filters, modality=None if asked == "both" else Modality(asked))
    if filters.modality or not isinstance(query, ImageRecord | PictureQuery):
        return filters
    return replace(filters, modality=query.modality.other)


def _open_or_create(
    path: Address, model: str | None, trust_code: bool, records: Sequence[ImageRecord]
) -> tuple[Embedder, Gallery]:
    if not exists(path):
        embedder = Embedder.open(model or "small", trust_code=trust_code)
        # No empty gallery is left behind by a model that cannot embed.
        embedder.check({record.modality for record in records})
        return embedder, Gallery.create(path, embedder)
    gallery = Gallery.open(path)
    return _embedder_of(gallery, model, trust_code), gallery


def _embedder_of(gallery: Gallery, model: str | None, trust_code: bool) -> Embedder:
    """Return the model that was asked for, or else the one that filled the gallery."""
    try:
        return Embedder.open(model or gallery.model.source, trust_code=trust_code)
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
        among += f" of {' or '.join(sorted(filters.cameras))}"
    others = replace(filters, modality=None, cameras=())
    return among if others == Filters() else f"{among} that the filters let pass"


def _named(query: Query) -> str:
    if isinstance(query, TextQuery):
        return f"“{query.text if len(query.text) <= 60 else query.text[:59] + '…'}”"
    return f"{query.modality} query" if query.modality else "vector"


def _shown(record: ImageRecord) -> str:
    """Return a path as short as it can be said from here, with the box where there is one."""
    here, path = Path.cwd(), record.path
    shown = str(path.relative_to(here) if path.is_relative_to(here) else path)
    return f"{shown} box {record.box}" if record.box else shown


def _model_as_dict(model: ModelCard) -> dict[str, str]:
    return {"name": model.name, "fingerprint": model.fingerprint, "precision": model.precision}


def _query_as_dict(query: Query, caveat: str | None) -> dict[str, Any]:
    if isinstance(query, TextQuery):
        return {"query": asdict(query), "caveat": caveat}
    if isinstance(query, ImageRecord):
        return {"query": _record_as_dict(query)}
    modality = query.modality and query.modality.value
    return {"query": {"modality": modality, "identity": query.identity}}


def _record_as_dict(record: ImageRecord) -> dict[str, Any]:
    rest = {
        "tracklet": record.tracklet,
        "time": record.time and record.time.isoformat(),
        "box": record.box and list(record.box.corners),
        "tags": sorted(record.tags),
    }
    return {
        "path": os.path.abspath(record.path),  # noqa: PTH100  as the gallery names it
        "modality": record.modality.value,
        "identity": record.identity,
        "camera": record.camera,
        **{name: value for name, value in rest.items() if value},
    }


def _filters_as_dict(filters: Filters) -> dict[str, Any]:
    """Return the filters that are set."""
    every = {
        "modality": filters.modality and filters.modality.value,
        "cameras": sorted(filters.cameras),
        "since": filters.since and filters.since.isoformat(),
        "until": filters.until and filters.until.isoformat(),
        "tracklet": filters.tracklet,
        "tags": sorted(filters.tags),
        "identity": filters.identity,
    }
    return {name: value for name, value in every.items() if value not in (None, [])}
