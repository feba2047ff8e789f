"""Galleries as they are served: open for many questions, with documents of what they hold."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from vireid.errors import suggestion
from vireid.gallery import Filters, Gallery
from vireid.gallery.addresses import parsed
from vireid.gallery.store import Address, Entry, Place
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord, Key, Modality
from vireid.search.searcher import Searcher
from vireid.service import messages, picture_ids
from vireid.service.batching import Batcher
from vireid.service.problems import Problem, not_found

T = TypeVar("T")
Roots = tuple[Path, ...]
API = "/api/v1"
MOST_DOCUMENTS = 2**14
"""Number of documents of pictures that are kept, in some 10 MB."""


@dataclass(frozen=True)
class Contents:
    """What a gallery holds, as of one version."""

    version: int
    roots: Roots
    """Folders that were indexed, and that of pictures that were sent."""
    pictures: int
    modalities: dict[str, int]
    cameras: dict[str, int]
    people: dict[str, int]
    identities: int
    days: dict[str, int]
    tags: tuple[str, ...]
    keep_days: float | None
    judged: dict[tuple[Path, Key], bool]
    """Whether a picture that was searched with, and a hit, show the same person, where somebody has
    said so."""
    documents: dict[int, tuple[ImageRecord, bytes]] = field(default_factory=dict)
    """Records of pictures, by which object they are, with the members of their documents; filled as
    they are asked for. A picture that is labelled anew gets another record."""


class Served:
    """One gallery under its name. Threads may share it."""

    def __init__(self, name: str, path: Address, batchers: "Batchers", uploads: Path) -> None:
        """Open a gallery and its model.

        Raises:
            VireidError: It is no gallery, or its model is not there.
        """
        self.name, self.path, self.uploads = name, path, uploads
        self.seal = picture_ids.seal_of(path)
        """Hides the paths of pictures that were found in no source."""
        self._batchers = batchers
        self._lock = threading.Lock()
        self._searcher = Searcher.open(path)
        self.batcher = batchers.of(self._searcher.embedder)
        """What embeds queries of this gallery."""
        self._checked = -1
        self._contents: Contents | None = None
        self._tallies: dict[object, tuple[int, object]] = {}

    @property
    def searcher(self) -> Searcher:
        """The gallery and its model; opened again where another model has filled it meanwhile.

        It reads the catalogue: not to be asked for in the thread of the event loop.
        """
        return self._now()[0]

    def _now(self) -> tuple[Searcher, int]:
        """Return the gallery and its model, and which version of the gallery is the latest."""
        with self._lock:
            version = self._searcher.gallery.version
            if version != self._checked and self._is_of_another_model():
                # The one before is closed once nobody searches in it any more.
                self._searcher = Searcher.open(self.path)
                self.batcher = self._batchers.of(self._searcher.embedder)
            self._checked = version
            return self._searcher, version

    def _is_of_another_model(self) -> bool:
        with Gallery.open(self.path) as now:
            return now.model != self._searcher.gallery.model

    @property
    def has_probabilities(self) -> bool:
        """Whether hits tell how probable it is that they show the person."""
        return self.searcher.calibrated is not None

    def close(self) -> None:
        """Close the gallery."""
        self._searcher.close()

    @property
    def contents(self) -> Contents:
        """What the gallery holds, counted once for each change."""
        searcher, version = self._now()
        gallery = searcher.gallery
        with self._lock:
            kept = self._contents
        if kept is None or kept.version != version:
            kept = Contents(
                version,
                tuple({*(source.path for source in gallery.sources()), self.uploads}),
                len(gallery),
                {modality.value: gallery.count(modality) for modality in Modality},
                gallery.tally("camera"),
                gallery.tally("person"),
                len(gallery.tally("identity")),
                gallery.tally("day"),
                tuple(gallery.tally("tag")),
                None if gallery.keep is None else gallery.keep.total_seconds() / 86_400,
                {(each.query, each.hit): each.same for each in gallery.judgements()},
            )
            with self._lock:
                self._contents = kept
        return kept

    def once_a_change(self, key: object, count: Callable[[], T]) -> T:
        """Return what was counted, counted anew after each change of the gallery."""
        _, version = self._now()
        with self._lock:
            before = self._tallies.get(key)
        if before and before[0] == version:
            return before[1]  # type: ignore[return-value]
        counted = count()
        with self._lock:
            if len(self._tallies) > 32:
                self._tallies.clear()
            self._tallies[key] = (version, counted)
        return counted

    def entry(self, id_: str) -> Entry:
        """Return the picture of an id.

        Raises:
            Problem: There is none.
        """
        (found,) = self.entries([id_])
        return found

    def entries(self, ids: Sequence[str]) -> list[Entry]:
        """Return the pictures of ids.

        Raises:
            Problem: One of them is not here.
        """
        roots = self.contents.roots
        keys = [picture_ids.key_of(id_, roots, self.seal) for id_ in ids]
        records = [ImageRecord(key[0], Modality.VISIBLE, box=key[1]) for key in keys if key]
        if len(records) < len(keys):
            raise not_found("such picture")
        found = self.searcher.gallery.entries_of(records)
        for id_, entry in zip(ids, found, strict=True):
            if entry is None or picture_ids.id_of(entry.record, roots, self.seal) != id_:
                raise not_found("such picture")
        return [entry for entry in found if entry is not None]

    def id_of(self, record: ImageRecord) -> str:
        """Return the id of a picture."""
        return picture_ids.id_of(record, self.contents.roots, self.seal)

    def picture(self, record: ImageRecord) -> messages.Picture:
        """Return the document of a picture."""
        return messages.Picture(**self._about(record, self.contents.roots))

    def members(self, record: ImageRecord, contents: Contents) -> bytes:
        """Return the members of a picture's document in JSON, with the bracket that ends it.

        Args:
            record: Picture of this gallery.
            contents: `contents`, asked for once for many pictures.
        """
        documents = contents.documents
        known = documents.get(id(record))
        if known is None:
            if len(documents) >= MOST_DOCUMENTS:
                documents.clear()
            members = msgspec.json.encode(self._about(record, contents.roots))[1:]
            documents[id(record)] = known = record, members
        return known[1]

    def _about(self, record: ImageRecord, roots: Roots) -> dict[str, Any]:
        id_ = picture_ids.id_of(record, roots, self.seal)
        base = f"{API}/galleries/{self.name}/pictures/{id_}"
        return {
            "id": id_,
            "name": picture_ids.shown(record.path, roots),
            "person": record.who,
            "camera": record.camera,
            "modality": record.modality.value,
            "time": record.time and record.time.isoformat(),
            "tracklet": record.tracklet,
            "tags": sorted(record.tags),
            "box": record.box and list(record.box.corners),
            "thumbnail": f"{base}/thumbnail",
            "image": f"{base}/image",
            "frame": f"{base}/frame" if record.box else None,
        }

    def model(self, searcher: Searcher) -> messages.Model:
        """Return the document of the model of `searcher`."""
        card = searcher.gallery.model
        return messages.Model(
            name=card.name,
            fingerprint=card.fingerprint,
            precision=card.precision,
            caveat=card.caveat,
            text=searcher.embedder.reads_text,
        )

    def filters(self, words: Iterable[str]) -> Filters:
        """Read filters in words; folders in them are named as in `Picture.name`.

        Raises:
            Problem: A folder is not one of this gallery's.
            VireidError: A word is no filter.
        """
        return Filters.from_words([self._placed(word) for word in words])

    def _placed(self, word: str) -> str:
        name, _, value = word.partition(":")
        if name not in ("in", "source") or not value:
            return word
        roots = {root.name: root for root in self.contents.roots}
        first, *rest = Path(value).parts or ("",)
        if first not in roots or ".." in rest:
            hint = suggestion(first, roots) if roots else "nothing was indexed from a folder"
            raise Problem(422, f"{word!r}: there is no source {first!r}; {hint}")
        return f"{name}:{roots[first].joinpath(*rest)}"

    def shown_filters(self, filters: dict[str, object], roots: Roots) -> dict[str, object]:
        """Return filters for programs without the folders of this machine."""
        shown = dict(filters)
        for name in ("source", "below"):
            if name in shown:
                path = Path(str(shown[name]))
                shown[name] = path.name if path in roots else picture_ids.shown(path, roots)
        return shown

    def page(
        self, filters: Filters, after: Place | None, most: int
    ) -> tuple[list[Entry], Place | None]:
        """Return some pictures, and the place to go on after; None at the end."""
        found = self.searcher.gallery.page(filters, after, most + 1)
        more = len(found) > most
        return [entry for _, entry in found[:most]], found[most - 1][0] if more else None


class Batchers:
    """The models of all galleries, each opened once."""

    def __init__(self, told: Callable[[int], None]) -> None:
        self._told = told
        self._lock = threading.Lock()
        self._of: dict[str, Batcher] = {}

    def of(self, embedder: Embedder) -> Batcher:
        """Return what embeds by a model; one that is open already is shared."""
        key = f"{embedder.fingerprint} {embedder.card.precision}"
        with self._lock:
            if key not in self._of:
                self._of[key] = Batcher(embedder, self._told)
            return self._of[key]

    def close(self) -> None:
        """Embed what is waiting, and end."""
        for batcher in self._of.values():
            batcher.close()


class AllServed:
    """All galleries by their names."""

    def __init__(self, galleries: dict[str, str], kept: Path, told: Callable[[int], None]) -> None:
        """Open them.

        Raises:
            VireidError: One cannot be opened.
        """
        self.batchers = Batchers(told)
        self._of = {
            name: Served(name, parsed(path), self.batchers, kept / name / "uploads")
            for name, path in sorted(galleries.items())
        }

    def warm_up(self) -> None:
        """Embed a picture of noise by each model, so that the first search does not wait."""
        seen = set()
        for served in self:
            embedder = served.batcher.embedder
            if embedder.fingerprint not in seen:
                embedder.check()
                seen.add(embedder.fingerprint)
            served.contents  # noqa: B018  counted once

    def __iter__(self) -> Iterator[Served]:
        return iter(self._of.values())

    def __len__(self) -> int:
        return len(self._of)

    def __getitem__(self, name: str) -> Served:
        if name not in self._of:
            hint = suggestion(name, self._of) if self._of else "there is none"
            raise Problem(404, f"there is no such gallery; {hint}")
        return self._of[name]

    def close(self) -> None:
        """Close all."""
        self.batchers.close()
        for served in self:
            served.close()
