"""What `vireid index` and `vireid search` do, and how they tell it."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from rich.console import Console
from rich.table import Table

from vireid.datasets import folder
from vireid.datasets.folder import Seen, Unusable
from vireid.errors import VireidError
from vireid.gallery import Gallery, Hit
from vireid.models.card import ModelCard, ModelError
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord, Modality, TextQuery
from vireid.search import indexing
from vireid.search.indexing import Indexed


@dataclass(frozen=True)
class IndexReport:
    """What is in a gallery now, and how it got there."""

    gallery: Path
    model: ModelCard
    pictures: dict[Modality, int]
    indexed: Indexed
    skipped: tuple[Unusable, ...]
    seen: Seen
    """Who and where is on the pictures of this time, and what says so."""
    notes: tuple[str, ...] = ()
    """What was passed over."""

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "gallery": str(self.gallery),
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
        """For people."""
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
    """The hits of one picture, or of one sentence, in one gallery."""

    query: ImageRecord | TextQuery
    hits: tuple[Hit, ...]
    gallery: Path
    model: ModelCard
    modality: Modality | None
    """The spectrum that was searched; None: both."""
    camera: str | None
    caveat: str | None = None
    """What has to be known of hits of a sentence."""

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            **_query_as_dict(self.query, self.caveat),
            "gallery": str(self.gallery),
            "model": _model_as_dict(self.model),
            "modality": self.modality and self.modality.value,
            "camera": self.camera,
            "hits": [
                {"rank": h.rank, "similarity": round(h.similarity, 6), **_record_as_dict(h.record)}
                for h in self.hits
            ],
        }

    def show(self) -> None:
        """Print the table; in a file its lines are as long as they need to be."""
        console = Console()
        if not console.is_terminal:
            console = Console(width=1000)
        console.print(self.as_table())

    def as_table(self) -> Table:
        """For people."""
        table = Table(title=self.title, title_justify="left")
        for heading in ("rank", "similarity", "identity"):
            table.add_column(heading, justify="right")
        for heading in ("camera", "spectrum", "picture"):
            table.add_column(heading, overflow="fold")
        for hit in self.hits:
            r = hit.record
            identity = "" if r.identity is None else str(r.identity)
            facts = (identity, r.camera or "", r.modality.value, _shown(r.path))
            table.add_row(str(hit.rank), f"{hit.similarity:.3f}", *facts)
        return table

    @property
    def title(self) -> str:
        """One line that says what was searched for, and where."""
        among = _searched_for(self.modality, self.camera)
        return f"{_named(self.query)} among {among} in {self.gallery.name}"


def index(
    source: Path,
    out: Path,
    model: str | None = None,
    modality: Modality | None = None,
    camera: str | None = None,
    *,
    trust_code: bool = False,
) -> IndexReport:
    """Bring a gallery up to date with the pictures of a folder or CSV file.

    Args:
        source: See `vireid.datasets.folder`.
        out: The gallery; made if it is not there.
        model: By default the one that filled the gallery, or `small`.
        modality: Of all pictures.
        camera: Of all pictures.
        trust_code: See `Embedder.open`.

    Raises:
        VireidError: No picture can be used, the gallery is another model's, or the disk is full.
    """
    found = folder.find(source, modality, camera)
    embedder, gallery = _open_or_create(out, model, trust_code)
    with gallery:
        try:
            indexed = indexing.index(found.records, embedder, gallery)
        except KeyboardInterrupt:
            safe = f"{len(gallery)} pictures are safe in {out}"
            raise VireidError(f"interrupted; {safe}, the same command goes on from there") from None
        counts = {m: gallery.count(m) for m in Modality}
    unread = (Unusable(str(bad.path), bad.reason) for bad in indexed.skipped)
    skipped = (*found.unusable, *unread)
    return IndexReport(out, embedder.card, counts, indexed, skipped, found.seen, found.notes)


def search(
    gallery: Path,
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
    """Find the person of a picture, or whoever a sentence describes.

    Args:
        gallery: Where to search.
        picture: Of one person.
        top: How many hits at most.
        text: In place of a picture: a sentence in English, if the gallery's model reads text.
        query_modality: Spectrum of the picture; by default what the folders it lies in say.
        identity: Of the person, if you know it; by default likewise.
        modality: Spectrum to search in, or `both`; by default the one that the picture is not of,
            and both for a sentence.
        camera: Search pictures of one camera only.
        model: By default the one that filled the gallery.
        trust_code: See `Embedder.open`.

    Raises:
        VireidError: Something is missing or does not fit; the message says what to do.
    """
    query = _query(picture, text, query_modality, identity)
    searched = _searched(query, modality)
    with Gallery.open(gallery) as opened:
        embedder = _embedder_of(opened, model, trust_code)
        opened.check(embedder)
        if not len(opened):
            way_out = f"fill it with `vireid index FOLDER --out {gallery}`"
            raise VireidError(f"{gallery} is empty; {way_out}")
        hits = opened.search(_embedded(query, embedder), top, searched, camera)[0]
        if not hits:
            raise VireidError(f"{gallery} has no {_searched_for(searched, camera)}; ask for others")
    caveat = embedder.text_caveat if isinstance(query, TextQuery) else None
    return Answer(query, tuple(hits), gallery, embedder.card, searched, camera, caveat)


def _query(
    picture: Path | None, text: str | None, modality: str | None, identity: int | None
) -> ImageRecord | TextQuery:
    if (picture is None) == (text is None):
        raise VireidError("say who is looked for: by a picture or by a sentence, not by both")
    if text is not None:
        if modality:
            raise VireidError("a sentence has no spectrum; leave the query's out")
        return TextQuery(text, identity)
    assert picture is not None
    return _shown_query(picture, modality, identity)


def _searched(query: ImageRecord | TextQuery, asked: str | None) -> Modality | None:
    """The spectrum to search in; None: both."""
    if asked:
        return None if asked == "both" else Modality(asked)
    return query.modality.other if isinstance(query, ImageRecord) else None


def _embedded(query: ImageRecord | TextQuery, embedder: Embedder) -> Float[np.ndarray, "1 d"]:
    if isinstance(query, TextQuery):
        return embedder.embed_text([query.text])
    return embedder.embed([query.path], query.modality)


def _shown_query(picture: Path, modality: str | None, identity: int | None) -> ImageRecord:
    by_name = folder.labels_of(picture)
    spectrum = modality or by_name.modality
    if spectrum is None:
        way_out = "give --query-modality visible or --query-modality infrared"
        raise VireidError(f"{picture}: no folder's name says its spectrum; {way_out}")
    known = by_name.identity if identity is None else identity
    return ImageRecord(picture, Modality(spectrum), known, by_name.camera)


def _open_or_create(path: Path, model: str | None, trust_code: bool) -> tuple[Embedder, Gallery]:
    if not path.exists():
        embedder = Embedder.open(model or "small", trust_code=trust_code)
        return embedder, Gallery.create(path, embedder)
    gallery = Gallery.open(path)
    return _embedder_of(gallery, model, trust_code), gallery


def _embedder_of(gallery: Gallery, model: str | None, trust_code: bool) -> Embedder:
    """The model that was asked for, or else the one that filled the gallery."""
    try:
        return Embedder.open(model or gallery.model.source, trust_code=trust_code)
    except ModelError as error:
        if model:
            raise
        name = f"{gallery.model.name} (fingerprint {gallery.model.fingerprint})"
        raise ModelError(
            f"{gallery.path} was filled by model {name}, which cannot be opened ({error}); "
            "say by --model where it is now"
        ) from error


def _searched_for(modality: Modality | None, camera: str | None) -> str:
    among = f"{modality} pictures" if modality else "pictures"
    return f"{among} of {camera}" if camera else among


def _named(query: ImageRecord | TextQuery) -> str:
    if isinstance(query, ImageRecord):
        return f"{query.modality} query"
    return f"“{query.text if len(query.text) <= 60 else query.text[:59] + '…'}”"


def _shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _model_as_dict(model: ModelCard) -> dict[str, str]:
    return {"name": model.name, "fingerprint": model.fingerprint, "precision": model.precision}


def _query_as_dict(query: ImageRecord | TextQuery, caveat: str | None) -> dict[str, Any]:
    if isinstance(query, ImageRecord):
        return {"query": _record_as_dict(query)}
    return {"query": asdict(query), "caveat": caveat}


def _record_as_dict(record: ImageRecord) -> dict[str, Any]:
    return {
        "path": os.path.abspath(record.path),  # noqa: PTH100  as the gallery names it
        "modality": record.modality.value,
        "identity": record.identity,
        "camera": record.camera,
    }
