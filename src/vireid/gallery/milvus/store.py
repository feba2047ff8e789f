"""The store of many machines: a gallery on a Milvus server.

Pictures lie in one collection, a partition for each spectrum; notes and counts in another. Rows are
only ever added, under ids that begin with the number of their change, and hidden by the document of
the last change that counts, until a sweep deletes what is hidden. So readers see whole changes:
see `state` for how a change begins to count.
"""

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec
import numpy as np

from vireid.gallery.copying import copy_all
from vireid.gallery.filters import Filters
from vireid.gallery.local.centres import Centres, centres_of
from vireid.gallery.local.similarities import best
from vireid.gallery.local.store import LocalStore
from vireid.gallery.milvus import collections
from vireid.gallery.milvus.access import Access
from vireid.gallery.milvus.address import MilvusAddress
from vireid.gallery.milvus.change_documents import (
    HEAD,
    Document,
    View,
    document_rows,
    read_document,
    write_document,
)
from vireid.gallery.milvus.id_ranges import Range, ids_in, joined, ranges_of, size_of
from vireid.gallery.milvus.rows import (
    MOST_ROWS,
    ROW_BYTES,
    SHOWN,
    Row,
    condition_of,
    counted,
    entry_from,
    fact_from,
    fact_row,
    first_id,
    in_parts,
    is_sound,
    number_of,
    number_of_key,
    one_of,
    picture_row,
    record_from,
)
from vireid.gallery.milvus.server import MissingError, Server
from vireid.gallery.milvus.state import FREE, State, States, Turn, token
from vireid.gallery.milvus.vectors_in_memory import InMemory
from vireid.gallery.store import (
    NO_FILTERS,
    NO_NOTES,
    NOTE_KINDS,
    Centre,
    Counted,
    Entry,
    GalleryError,
    IndexKind,
    Named,
    NoteChanges,
    Page,
    Place,
    Scored,
    Size,
    Storage,
    Store,
)
from vireid.models.card import ModelCard
from vireid.progress import counted as shown
from vireid.records import Key, Modality
from vireid.types.arrays import Queries, Vectors

T = TypeVar("T")

MODALITIES = tuple(Modality)
MOST_FILTERS = 64
"""Number of filters of which it is remembered how many pictures they let pass."""
MOST_HITS = 16_384
"""Largest number of hits that Milvus gives."""
HITS_AT_ONCE = 50_000
"""Hits of one answer, so that it stays below what a server sends."""
PAGE = 1_000
"""Pictures of a page."""
MOST_HIDDEN = 256
"""Ranges of rows that are hidden before they are deleted."""
MOST_LATE = 64
"""Ranges of changes that came to nothing which stay hidden after a sweep has deleted their rows."""
MOST_CENTRED = 200_000
"""Pictures of a spectrum up to which they are read for a centred search."""
INDICES: dict[IndexKind, tuple[str, dict[str, int], str]] = {
    "flat": ("FLAT", {}, ""),
    "hnsw": ("HNSW", {"M": 16, "efConstruction": 200}, "ef"),
    "ivf": ("IVF_FLAT", {"nlist": 1024}, "nprobe"),
}
"""Name of each kind of index, by what numbers it is built, and by which one it is searched."""
GRACE = 0.5
"""Seconds before hidden rows are deleted: an answer that took less has missed none of them."""
TRIES = 25
"""How often a question is asked again when what it was about was deleted meanwhile."""


@dataclass
class _Change:
    """A change that is being made."""

    turn: Turn
    view: View
    gone: dict[str, set[int]] = field(default_factory=lambda: {"pictures": set(), "facts": set()})
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    notes: dict[tuple[str, str], Any] = field(default_factory=dict)
    given: dict[str, int] = field(default_factory=lambda: {"pictures": 0, "facts": 0})
    """How many ids were given."""


class MilvusStore:
    """Keeps a gallery on a Milvus server, for all processes of many machines."""

    def __init__(self, address: MilvusAddress, patience: float) -> None:
        self._address, self._patience = address, patience
        self._server = Server(address, Access.read())
        self._prefix = f"vireid_{address.name}"
        self._states = States(self._server, self._prefix)
        self._lock = threading.RLock()
        self._seen: View | None = None
        self._tallies: dict[tuple[str, int, str], dict[str, int]] = {}
        self._counts: tuple[tuple[str, int], dict[Filters, int]] = (("", -1), {})
        self._facts: tuple[int, dict[int, tuple[int, Any]]] = (-1, {})
        self._centred: dict[tuple[str, int, Modality], tuple[InMemory, Centres]] = {}
        self._opened_with: ModelCard | None = None
        try:
            if self._states.now() is None:
                raise GalleryError(f"{address} is not a gallery; {self._way_in()}")
            self._opened_with = self._view().document.model
        except BaseException:
            self._server.close()
            raise

    def _way_in(self) -> str:
        made = f"make one with `vireid index FOLDER --out {self._address}`"
        names = self._server.call("list_collections")
        if self._address.name in names:
            return f"the collection {self._address.name} there is not vireid's and stays; {made}"
        return made

    @staticmethod
    def exists(address: MilvusAddress) -> bool:
        """Whether something is at an address."""
        server = Server(address, Access.read())
        try:
            return States(server, f"vireid_{address.name}").now() is not None
        finally:
            server.close()

    @classmethod
    def create(cls, address: MilvusAddress, model: ModelCard, storage: Storage) -> None:
        """Make an empty gallery, whole or not at all.

        Raises:
            GalleryError: Something is there already, or it should be of half precision.
        """
        if storage != "float32":
            raise GalleryError(
                f"{address}: galleries on Milvus keep float32; leave float16 out, or take a folder"
            )
        server, prefix = Server(address, Access.read()), f"vireid_{address.name}"
        is_there = GalleryError(f"{address} is there already; open it or choose another name")
        try:
            states, generation = States(server, prefix), token()
            if states.now() is not None:
                raise is_there
            try:
                collections.create(server, prefix, generation, model.embedding_dim)
                document = Document(model, datetime.now(UTC).isoformat())
                facts = collections.facts_name(prefix, generation)
                written = write_document(server, facts, 0, document)
                name = State(generation, 0, 0, 0, written, FREE, 0).name(prefix)
                collections.create_state(server, prefix, name)
            except GalleryError as error:
                now = states.now()
                if now is None or now.generation != generation:
                    own = collections.all_of(server, prefix)
                    collections.drop(server, [n for n in own if generation in n])
                    if now is not None:  # another process was faster
                        raise is_there from error
                    raise
        finally:
            server.close()

    @classmethod
    def restore(cls, archive: Path, address: MilvusAddress) -> None:
        """Make the gallery that was backed up into an archive, whole or not at all.

        Raises:
            GalleryError: Something is there already, or the archive is none of a gallery.
        """
        with tempfile.TemporaryDirectory(prefix="vireid-") as folder:
            LocalStore.restore(archive, Path(folder) / "gallery")
            source = LocalStore(Path(folder) / "gallery", 1)
            try:
                cls.create(address, source.model, "float32")
                target = cls(address, 10)
                try:
                    copy_all(source, target, f"restoring {address}")
                except BaseException:
                    target.delete()
                    raise
                finally:
                    target.close()
            finally:
                source.close()

    def delete(self) -> None:
        """Delete the gallery with everything in it, from the server."""
        with suppress(MissingError):
            self._server.call("drop_alias", self._prefix)
        collections.drop(self._server, collections.all_of(self._server, self._prefix))

    @property
    def address(self) -> str:
        """Address of the gallery, without user and password."""
        return str(self._address)

    @property
    def name(self) -> str:
        """Name of the gallery."""
        return self._address.name

    @property
    def model(self) -> ModelCard:
        """Card of the model whose embeddings it holds."""
        return self._opened_with or self._view().document.model

    @property
    def storage(self) -> Storage:
        """Number format in which the vectors are kept."""
        return "float32"

    @property
    def server_version(self) -> str:
        """Version of the server."""
        return self._server.version

    @property
    def beside(self) -> MilvusAddress:
        """Address of the gallery in which another model's vectors are gathered."""
        return replace(self._address, name=f"{self._address.name}__reindex")

    def close(self) -> None:
        """Close the connection."""
        self._server.close()

    def size(self) -> Size:
        """Return the time of the last change; a server does not say how many bytes it takes."""
        return Size(None, datetime.fromisoformat(self._view().document.changed))

    def version(self) -> int:
        """Return a number that is different after every change, whoever made it."""
        return self._now().version

    # What counts

    def _now(self) -> State:
        state = self._states.now()
        if state is None:
            raise GalleryError(f"{self._address} is no longer a gallery; {self._way_in()}")
        return state

    def _view(self, state: State | None = None) -> View:
        """Return what counts now, read again only if somebody has written since."""
        for _ in range(TRIES):
            now = state or self._now()
            seen = self._seen
            if seen and (seen.state.generation, seen.state.version) == (
                now.generation,
                now.version,
            ):
                return msgspec.structs.replace(seen, state=now)
            facts = collections.facts_name(self._prefix, now.generation)
            try:
                document = read_document(self._server, facts, now)
            except MissingError:
                document = None
            if document is not None:
                pictures = collections.pictures_name(self._prefix, now.generation)
                view = View(now, document, pictures, facts)
                self._check_model(document.model)
                with self._lock:
                    self._seen = view
                return view
        raise GalleryError(
            f"{self._address} is damaged (what its last change says is missing); restore a backup"
        )

    def _check_model(self, model: ModelCard) -> None:
        if self._opened_with is not None and model != self._opened_with:
            raise GalleryError(
                f"{self._address} was embedded anew by model {model.name}, while it was open; open "
                "it again"
            )

    def _read(self, ask: Callable[[View], T]) -> T:
        """Answer as of one change: again, if rows of it were deleted while they were read."""
        for _ in range(TRIES):
            started = time.monotonic()
            view = self._view()
            try:
                answer = ask(view)
            except MissingError:
                if self._now().generation == view.state.generation:
                    raise
                continue
            if time.monotonic() - started < GRACE or self._now().swept <= view.state.version:
                return answer
        raise GalleryError(f"{self._address} is being changed all the time; ask again later")

    def _pictures(
        self,
        view: View,
        conditions: Iterable[str] = (),
        modality: Modality | None = None,
        wanted: Sequence[str] = SHOWN,
        after: int = -1,
        most: int | None = None,
    ) -> Iterator[Row]:
        """Yield the rows of pictures that count."""
        searched = _partitions(modality)
        condition = " and ".join([*view.conditions("pictures"), *conditions])
        return self._server.rows(
            view.pictures, searched, condition, wanted, view.state.timestamp, after, most
        )

    def _facts_of(self, view: View, condition: str) -> Iterator[Row]:
        every = " and ".join([*view.conditions("facts"), condition])
        fields = ("kind", "key", "value")
        searched = (collections.DEFAULT,)
        return self._server.rows(view.facts, searched, every, fields, view.state.timestamp)

    def _by(
        self, view: View, field_: str, numbers: Iterable[int], wanted: Sequence[str] = SHOWN
    ) -> Iterator[Row]:
        """Yield the rows of pictures whose field has one of some numbers."""
        for some in in_parts(sorted(set(numbers))):
            yield from self._pictures(view, [one_of(field_, some)], wanted=wanted)

    # Questions

    def count(self, filters: Filters = NO_FILTERS) -> int:
        """Return how many pictures the filters let pass, counted once for each change."""
        if filters != Filters(filters.modality):
            return self._read(partial(self._count, filters))
        held = self.tally("modality")
        return sum(held.values()) if filters.modality is None else held.get(filters.modality, 0)

    def _count(self, filters: Filters, view: View) -> int:
        asked = (view.state.generation, view.state.version)
        with self._lock:
            if self._counts[0] != asked or len(self._counts[1]) >= MOST_FILTERS:
                self._counts = asked, {}
            counts = self._counts[1]
        if filters not in counts:
            counts[filters] = self._server.count(
                view.pictures,
                _partitions(filters.modality),
                " and ".join([*view.conditions("pictures"), *condition_of(filters)]),
                view.state.timestamp,
            )
        return counts[filters]

    def names(self, what: Named) -> list[str]:
        """Return the names of all cameras, or of all people who have one, sorted."""
        return list(self.tally(what))

    def tally(self, what: Counted) -> dict[str, int]:
        """Return how many pictures there are of each camera, person and so on that is named."""
        return dict(self._read(partial(self._tally, what)))

    def _tally(self, what: Counted, view: View) -> dict[str, int]:
        asked = (view.state.generation, view.state.version, what)
        with self._lock:
            kept = self._tallies.get(asked)
        if kept is None:
            rows = self._facts_of(view, f"kind == {number_of('kind', f'count {what}')}")
            kept = dict(sorted(map(fact_from, rows)))
            with self._lock:
                if any(other[1] != view.state.version for other in self._tallies):
                    self._tallies.clear()
                self._tallies[asked] = kept
        return kept

    def entries_of(self, keys: Iterable[Key]) -> Mapping[Key, Entry]:
        """Return the entries of some keys, without those it does not hold."""
        wanted = set(keys)
        rows = self._read(lambda v: list(self._by(v, "key", map(number_of_key, wanted))))
        found = (entry_from(row, self._address) for row in rows)
        return {entry.record.key: entry for entry in found if entry.record.key in wanted}

    def with_content(self, contents: Iterable[str]) -> list[Entry]:
        """Return the entries of all pictures whose bytes have one of some hashes."""
        wanted = set(contents)
        numbers = [number_of("content", content) for content in wanted]
        rows = self._read(lambda view: list(self._by(view, "content", numbers)))
        found = [entry_from(row, self._address) for row in rows]
        return [entry for entry in found if entry.content in wanted]

    def vectors_of(self, keys: Sequence[Key]) -> Vectors:
        """Return the vectors of pictures by their keys, as float32."""
        numbers, fields = [number_of_key(key) for key in keys], (*SHOWN, "vector")
        rows = self._read(lambda view: list(self._by(view, "key", numbers, fields)))
        found = {entry_from(row, self._address).record.key: row["vector"] for row in rows}
        if missing := [key for key in keys if key not in found]:
            raise GalleryError(f"{self._address} does not hold {missing[0][0]}; index it first")
        dim = self.model.embedding_dim
        return np.array([found[key] for key in keys], np.float32).reshape(len(keys), dim)

    def notes(self, kind: str) -> Mapping[str, Any]:
        """Return the notes of one kind, by their keys."""
        return self._read(partial(self._notes, kind))

    def _notes(self, kind: str, view: View) -> dict[str, Any]:
        asked = f"kind == {number_of('kind', f'note {kind}')}"
        return dict(map(fact_from, self._facts_of(view, asked)))

    def pages(self, filters: Filters = NO_FILTERS) -> Iterator[Page]:
        """Yield the pictures that the filters let pass, some at a time, as of one moment.

        What is deleted meanwhile may be missing.
        """
        view = self._view()
        for modality in MODALITIES if filters.modality is None else (filters.modality,):
            after = -1
            while True:
                conditions = condition_of(filters)
                rows = list(self._pictures(view, conditions, modality, after=after, most=PAGE))
                if not rows:
                    break
                entries = tuple(entry_from(row, self._address) for row in rows)
                yield Page(entries, partial(self._vectors, view, rows, entries))
                after = rows[-1]["id"]

    def _vectors(self, view: View, rows: Sequence[Row], entries: Sequence[Entry]) -> Vectors:
        """Return the vectors of rows that were read before."""
        found: dict[int, Any] = {}
        for some in in_parts([row["id"] for row in rows]):
            for row in self._pictures(view, [one_of("id", some)], wanted=("vector",)):
                found[row["id"]] = row["vector"]
        if len(found) < len(rows):  # changed and swept since: they have other ids now
            return self.vectors_of([entry.record.key for entry in entries])
        return np.array([found[row["id"]] for row in rows], np.float32)

    def page(self, filters: Filters, after: Place | None, most: int) -> list[tuple[Place, Entry]]:
        """Return some of the pictures that the filters let pass, in the order of `pages`."""
        return self._read(partial(self._page, filters, after, most))

    def _page(
        self, filters: Filters, after: Place | None, most: int, view: View
    ) -> list[tuple[Place, Entry]]:
        conditions, found = condition_of(filters), list[tuple[Place, Entry]]()
        for modality in MODALITIES if filters.modality is None else (filters.modality,):
            if after and MODALITIES.index(modality) < MODALITIES.index(after[0]):
                continue
            first = after[1] if after and after[0] is modality else -1
            left = most - len(found)
            for row in self._pictures(view, conditions, modality, after=first, most=left):
                found.append(((modality, row["id"]), entry_from(row, self._address)))
        return found

    # Searches

    def search(
        self, queries: Queries, top: int, filters: Filters, *, centred: bool = False
    ) -> list[list[Scored]]:
        """Find the most similar pictures, exactly unless another index was chosen."""
        if not len(queries):
            return []
        if top > MOST_HITS:
            top = min(top, max(self.count(Filters(filters.modality)), 1))
        if top > MOST_HITS and not centred:
            raise GalleryError(
                f"Milvus gives at most {MOST_HITS:,} hits, {top:,} were asked for; ask for fewer, "
                "narrow the search by filters, or move the gallery into a folder"
            )
        ask = partial(self._centred_search if centred else self._search, queries, top, filters)
        return self._read(ask)

    def _search(
        self, queries: Queries, top: int, filters: Filters, view: View
    ) -> list[list[Scored]]:
        condition = " and ".join([*view.conditions("pictures"), *condition_of(filters)])
        searched = filters.modality
        numbers = dict(view.document.search)
        if "ef" in numbers:
            numbers["ef"] = max(numbers["ef"], top)
        step = max(1, HITS_AT_ONCE // top)
        answers: list[list[Scored]] = []
        for start in range(0, len(queries), step):
            some = [
                np.ascontiguousarray(query, np.float32) for query in queries[start : start + step]
            ]
            found = self._server.call(
                "search",
                view.pictures,
                some,
                condition,
                limit=top,
                output_fields=list(SHOWN),
                search_params={"metric_type": "IP", "params": numbers},
                partition_names=[searched.value] if searched else list(collections.PARTITIONS),
                consistency_level="Customized",
                guarantee_timestamp=view.state.timestamp,
            )
            answers += [self._scored(hits) for hits in found]
        return answers

    def _scored(self, hits: Iterable[Any]) -> list[Scored]:
        ordered = sorted(hits, key=lambda hit: (-hit["distance"], hit["id"]))
        return [
            (float(hit["distance"]), record_from(hit["entity"], self._address)) for hit in ordered
        ]

    def centres(self, modality: Modality) -> Mapping[str | None, Centre]:
        """Return the mean vector of each camera's pictures, and under None that of all."""
        return self._read(lambda view: self._centring(view, modality)[1].named)

    def _centring(self, view: View, modality: Modality) -> tuple[InMemory, Centres]:
        """Return the vectors of a spectrum and its centres, read once for each change."""
        asked = (view.state.generation, view.state.version, modality)
        with self._lock:
            kept = self._centred.get(asked)
        if kept is None:
            count = self._tally("modality", view).get(modality.value, 0)
            if count > MOST_CENTRED:
                raise GalleryError(
                    f"{self._address} holds {count:,} {modality} pictures, and centring reads them "
                    f"all from the server: at most {MOST_CENTRED:,}; search without centring, or "
                    "move the gallery into a folder"
                )
            rows = self._pictures(view, (), modality, (*SHOWN, "vector"))
            stored = InMemory.of(rows, self.model.embedding_dim, self._address)
            kept = stored, centres_of(stored, np.arange(len(stored)), stored.cameras)
            with self._lock:
                if any(other[:2] != asked[:2] for other in self._centred):
                    self._centred.clear()
                self._centred[asked] = kept
        return kept

    def _centred_search(
        self, queries: Queries, top: int, filters: Filters, view: View
    ) -> list[list[Scored]]:
        found: list[list[tuple[float, int]]] = [[] for _ in queries]
        asked = np.ascontiguousarray(queries, np.float32)
        for modality in MODALITIES if filters.modality is None else (filters.modality,):
            stored, centres = self._centring(view, modality)
            rows = None
            if conditions := condition_of(filters):
                passing = self._pictures(view, conditions, modality, wanted=())
                ids = np.fromiter((row["id"] for row in passing), np.int64)
                rows = np.searchsorted(stored.ids, ids)
            scores, numbers = best(stored, asked, top, rows, centres.adjusted)
            for of_query, *pair in zip(found, scores.tolist(), numbers, strict=True):
                of_query += zip(pair[0], stored.ids[pair[1]].tolist(), strict=True)
        chosen = [sorted(each, key=lambda hit: (-hit[0], hit[1]))[:top] for each in found]
        wanted = {id_ for each in chosen for _, id_ in each}
        records = {
            row["id"]: record_from(row, self._address) for row in self._by(view, "id", wanted)
        }
        return [[(score, records[id_]) for score, id_ in each] for each in chosen]

    # Changes

    @contextmanager
    def _changing(self) -> Iterator[_Change]:
        """Make a change that counts as a whole, or not at all."""
        with self._lock:
            turn = self._states.begin(self._patience)
            try:
                change = _Change(turn, self._view(turn.state))
                yield change
                self._commit(change)
            except BaseException:
                with suppress(GalleryError):  # whoever writes next finds it out
                    turn.end(None)
                raise

    def _commit(self, change: _Change) -> None:
        """Have a change count."""
        self._write_facts(change)
        before = change.view.document
        gone = {
            which: joined(before.gone[which], ranges_of(ids)) for which, ids in change.gone.items()
        }
        lost = self._lost(change)
        self._finish(change, msgspec.structs.replace(before, gone=gone, lost=lost))
        if max(map(len, (*gone.values(), lost))) > MOST_HIDDEN:
            with suppress(GalleryError):  # the change counts already; the next one sweeps
                self._sweep()

    def _lost(self, change: _Change) -> list[Range]:
        """Return the ids of all changes that came to nothing, also of those before this one."""
        between = range(change.view.state.version + 1, change.turn.number)
        return joined(
            change.view.document.lost,
            ((first_id(number), first_id(number + 1) - 1) for number in between),
        )

    def _finish(self, change: _Change, document: Document) -> None:
        """Write the document of a change, and end the turn."""
        view, number = change.view, change.turn.number
        document = msgspec.structs.replace(document, changed=datetime.now(UTC).isoformat())
        written = write_document(self._server, view.facts, number, document)
        change.turn.end(number, timestamp=written)
        ended = replace(change.turn.state)
        with self._lock:
            self._seen = View(ended, document, view.pictures, view.facts)
        before = document_rows(view.state.version, view.document)
        with suppress(GalleryError):  # what an earlier change said is of no use, and no harm
            self._server.delete(view.facts, [row["id"] for row in before])

    def _give(self, change: _Change, which: str, rows: Sequence[Row]) -> list[Row]:
        """Give rows their ids."""
        first = first_id(change.turn.number) + change.given[which]
        change.given[which] += len(rows)
        if change.given[which] > MOST_ROWS:
            raise GalleryError(
                f"{self._address}: more than {MOST_ROWS:,} rows cannot be written at once; "
                "do it in parts"
            )
        return [{"id": first + number, **row} for number, row in enumerate(rows)]

    def _write_pictures(
        self, change: _Change, rows: Sequence[tuple[Modality, Row]], entries: Iterable[Entry]
    ) -> None:
        bytes_ = ROW_BYTES + 4 * self.model.embedding_dim
        given = self._give(change, "pictures", [row for _, row in rows])
        for modality in MODALITIES:
            own = [row for row, (m, _) in zip(given, rows, strict=True) if m is modality]
            if own:
                self._server.write(change.view.pictures, modality.value, own, bytes_)
        for entry in entries:
            change.counts.update(counted(entry))

    def _write_facts(self, change: _Change) -> None:
        """Write the counts and notes that have changed, and hide those before."""
        wanted: dict[tuple[str, str], Any] = {
            (f"note {kind}", key): value for (kind, key), value in change.notes.items()
        }
        deltas = {(f"count {what}", name): n for (what, name), n in change.counts.items() if n}
        known = self._known_facts(change.view, {*wanted, *deltas})
        for place, delta in deltas.items():
            count = (known[place][1] if place in known else 0) + delta
            wanted[place] = count or None
        change.gone["facts"] |= {known[place][0] for place in wanted if place in known}
        new = [(place, value) for place, value in wanted.items() if value is not None]
        rows = self._give(change, "facts", [fact_row(*place, value) for place, value in new])
        if rows:
            self._server.write(change.view.facts, collections.DEFAULT, rows, ROW_BYTES)

    def _known_facts(
        self, view: View, places: Iterable[tuple[str, str]]
    ) -> dict[tuple[str, str], tuple[int, Any]]:
        """Return ids and values of facts, by kind and key."""
        numbers = {number_of(*place): place for place in places}
        found: dict[tuple[str, str], tuple[int, Any]] = {}
        for some in in_parts(sorted(numbers)):
            for row in self._facts_of(view, one_of("key", some)):
                found[numbers[row["key"]]] = row["id"], fact_from(row)[1]
        return found

    def _take_away(self, change: _Change, keys: Iterable[Key]) -> int:
        """Hide the pictures of some keys; return how many there were."""
        wanted = set(keys)
        if not wanted or not self._tally("modality", change.view):
            return 0
        count = 0
        for row in list(self._by(change.view, "key", map(number_of_key, wanted))):
            entry = entry_from(row, self._address)
            if entry.record.key in wanted:
                change.gone["pictures"].add(row["id"])
                change.counts.subtract(counted(entry))
                count += 1
        return count

    def add(self, vectors: Vectors, entries: Sequence[Entry]) -> None:
        """Add pictures; one with a key that is there already is replaced."""
        rows = [
            (entry.record.modality, picture_row(entry, vector))
            for entry, vector in zip(entries, vectors, strict=True)
        ]
        with self._changing() as change:
            self._take_away(change, (entry.record.key for entry in entries))
            self._write_pictures(change, rows, entries)

    def remove(self, keys: Iterable[Key], notes: NoteChanges = NO_NOTES) -> int:
        """Remove pictures, and return how many of them were there."""
        with self._changing() as change:
            change.notes.update(notes)
            return self._take_away(change, keys)

    def note(self, changes: NoteChanges) -> None:
        """Write notes, and take away those whose value is None."""
        with self._changing() as change:
            change.notes.update(changes)

    def change(self, changes: Mapping[Key, Entry]) -> None:
        """Change what is known about pictures, even their path.

        Milvus changes rows by writing them anew: their vectors are read and written, too.
        """
        with self._changing() as change:
            found = self._by(change.view, "key", map(number_of_key, changes), (*SHOWN, "vector"))
            rows: list[tuple[Modality, Row]] = []
            entries: dict[Key, Entry] = {}
            for row in list(found):
                before = entry_from(row, self._address)
                if before.record.key not in changes:
                    continue
                new = changes[before.record.key]
                modality = before.record.modality
                new = replace(new, record=replace(new.record, modality=modality))
                if entries.setdefault(new.record.key, new) is not new:
                    raise GalleryError(
                        f"{new.record.path} would be two pictures; give one of them another path"
                    )
                change.gone["pictures"].add(row["id"])
                change.counts.subtract(counted(before))
                rows.append((modality, picture_row(new, np.array(row["vector"], np.float32))))
            others = set(entries) - set(changes)
            self._take_away(change, others)
            self._write_pictures(change, rows, entries.values())

    def compact(self, from_share: float = 0.0) -> None:
        """Delete what no longer counts, and ask the server to take it out of its files.

        When the server's files are without it, its settings say (`dataCoord.gc`).
        """
        hidden = size_of(self._view().document.gone["pictures"])
        if hidden <= from_share * (self.count() + hidden) and from_share:
            return
        with self._lock:
            self._sweep()
        view = self._view()
        for name in (view.pictures, view.facts):
            self._server.call("flush", name)
            self._server.call("compact", name)

    def set_index(self, kind: IndexKind, effort: int) -> None:
        """Say how vectors are searched; nobody can search while an index is built."""
        name, built, searched = INDICES[kind]
        with self._lock:
            turn = self._states.begin(self._patience)
            try:
                change = _Change(turn, self._view(turn.state))
                document = change.view.document
                asked = {searched: effort} if searched else {}
                if name != document.index:
                    collections.change_index(self._server, change.view.pictures, name, built)
                self._finish(change, msgspec.structs.replace(document, index=name, search=asked))
            except BaseException:
                with suppress(GalleryError):
                    turn.end(None)
                raise

    def _sweep(self) -> None:
        """Delete the rows that are hidden."""
        turn = self._states.begin(self._patience)
        try:
            change = _Change(turn, self._view(turn.state))
            document = change.view.document
            # Who reads as of an earlier change finds out that rows may be missing, or has finished.
            turn.say(lambda state: replace(state, swept=state.version))
            time.sleep(GRACE)
            lost = self._lost(change)
            for which, name in (("pictures", change.view.pictures), ("facts", change.view.facts)):
                self._server.delete(name, list(ids_in(document.gone[which])))
                for first, last in lost:
                    self._server.delete_between(name, first, last)
            empty: dict[str, list[Range]] = {"pictures": [], "facts": []}
            late = lost[-MOST_LATE:]  # rows of these may still be on their way
            self._finish(change, msgspec.structs.replace(document, gone=empty, lost=late))
        except BaseException:
            with suppress(GalleryError):
                turn.end(None)
            raise

    def adopt(self, other: Store) -> None:
        """Take over the vectors and the model of another gallery of the same pictures, at once."""
        generation = token()
        names = (
            collections.pictures_name(self._prefix, generation),
            collections.facts_name(self._prefix, generation),
        )
        with self._lock:
            turn = self._states.begin(self._patience)
            try:
                old = self._view(turn.state)
                collections.create(
                    self._server, self._prefix, generation, other.model.embedding_dim
                )
                written = self._adopt(old, other, turn.number, names)
                turn.end(turn.number, generation=generation, timestamp=written)
            except BaseException:
                with suppress(GalleryError):
                    turn.end(None)
                with suppress(GalleryError):
                    if self._now().generation != generation:
                        collections.drop(self._server, names)
                raise
            self._opened_with, self._seen = other.model, None
            collections.drop(self._server, (old.pictures, old.facts))

    def become(self, other: Path) -> None:
        """Refuse: this store cannot change everything at once into what a folder holds.

        Raises:
            GalleryError: Always.
        """
        raise GalleryError(
            f"{self._address} is on a Milvus server, where nothing is restored in place; restore "
            f"the backup as another gallery ({other.name}): vireid gallery restore"
        )

    def _adopt(self, old: View, other: Store, number: int, names: tuple[str, str]) -> int:
        """Write all rows into new collections; return the timestamp of the last one."""
        if other.count() != sum(self._tally("modality", old).values()):
            raise _different(self.address, other.address)
        given = 0
        bytes_ = ROW_BYTES + 4 * other.model.embedding_dim
        for modality in MODALITIES:
            rows: list[Row] = []
            every = self._pictures(old, (), modality)
            total = self._tally("modality", old).get(modality.value, 0)
            for row in shown(every, f"taking over {modality} pictures", total):
                rows.append(row)
                if len(rows) == PAGE:
                    given += self._adopt_some(
                        modality, rows, other, number, given, names[0], bytes_
                    )
                    rows = []
            given += self._adopt_some(modality, rows, other, number, given, names[0], bytes_)
        facts = [
            {**row, "id": first_id(number) + n, "vector": np.zeros(2, np.float32)}
            for n, row in enumerate(self._facts_of(old, f"kind != {HEAD}"))
        ]
        self._server.write(names[1], collections.DEFAULT, facts, ROW_BYTES)
        document = Document(other.model, datetime.now(UTC).isoformat())
        return write_document(self._server, names[1], number, document)

    def _adopt_some(
        self,
        modality: Modality,
        rows: Sequence[Row],
        other: Store,
        number: int,
        given: int,
        collection: str,
        bytes_: int,
    ) -> int:
        entries = [entry_from(row, self._address) for row in rows]
        if not entries:
            return 0
        try:
            vectors = other.vectors_of([entry.record.key for entry in entries])
        except GalleryError as error:
            raise _different(self.address, other.address) from error
        if given + len(rows) > MOST_ROWS:
            raise GalleryError(
                f"{self._address}: more than {MOST_ROWS:,} pictures cannot be taken over at once; "
                "index them into another gallery"
            )
        new = [
            {"id": first_id(number) + given + n, **picture_row(entry, vector)}
            for n, (entry, vector) in enumerate(zip(entries, vectors, strict=True))
        ]
        self._server.write(collection, modality.value, new, bytes_)
        return len(new)

    # Copies and checks

    def backup(self, archive: Path) -> int:
        """Copy everything, as of one moment, into a file; return the number of pictures in it."""
        with tempfile.TemporaryDirectory(prefix="vireid-", dir=archive.parent) as folder:
            place = Path(folder) / "gallery"
            self._read(partial(self._copy_as_of, place))
            copy = LocalStore(place, 1)
            try:
                return copy.backup(archive)
            finally:
                copy.close()

    def _copy_as_of(self, place: Path, view: View) -> None:
        """Make a gallery in a folder of what counts as of one change."""
        if place.exists():
            LocalStore(place, 1).delete()
        LocalStore.create(place, view.document.model, "float32")
        copy = LocalStore(place, 1)
        try:
            for modality in MODALITIES:
                rows: list[Row] = []
                total = self._tally("modality", view).get(modality.value, 0)
                every = self._pictures(view, (), modality, (*SHOWN, "vector"))
                for row in shown(every, f"copying {modality} pictures", total):
                    rows.append(row)
                    if len(rows) == PAGE:
                        _add_rows(copy, rows, self._address)
                        rows = []
                _add_rows(copy, rows, self._address)
            copy.note(
                {
                    (kind, key): value
                    for kind in NOTE_KINDS
                    for key, value in self._notes(kind, view).items()
                }
            )
        finally:
            copy.close()

    def damage(self) -> list[str]:
        """Read and compare everything, and return one line for each thing that is wrong."""
        return self._read(self._damage)

    def _damage(self, view: View) -> list[str]:
        wrong: list[str] = []
        counts: Counter[tuple[str, str]] = Counter()
        keys: Counter[Key] = Counter()
        total = sum(self._tally("modality", view).values())
        rows = self._pictures(view, wanted=(*SHOWN, "vector", "sum"))
        for row in shown(rows, "comparing pictures", total):
            try:
                entry = entry_from(row, self._address)
            except GalleryError as error:
                wrong.append(str(error))
                continue
            if not is_sound(row):
                wrong.append(f"{entry.record.path}: its vector or what is said of it has changed")
            counts.update(counted(entry))
            keys[entry.record.key] += 1
        wrong += [f"{path} is there {n} times" for (path, _), n in keys.items() if n > 1]
        for what in COUNTED:
            said = self._tally(what, view)
            found = {name: n for (kind, name), n in counts.items() if kind == what}
            if said != found:
                wrong.append(f"the numbers of pictures by {what} are not those that are there")
        return wrong


COUNTED = get_args(Counted)


def _partitions(modality: Modality | None) -> Sequence[str]:
    """Return the partitions of pictures of one spectrum, or of both."""
    return collections.PARTITIONS if modality is None else (modality.value,)


def _add_rows(copy: LocalStore, rows: Sequence[Row], address: object) -> None:
    if rows:
        vectors = np.array([row["vector"] for row in rows], np.float32)
        copy.add(vectors, [entry_from(row, address) for row in rows])


def _different(mine: str, theirs: str) -> GalleryError:
    return GalleryError(f"{mine} and {theirs} hold different pictures; do it again")
