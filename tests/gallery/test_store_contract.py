"""What every store does, whatever it is made of.

A store of another kind joins by one more case of the fixture `address`: it makes an empty store of
the card `TOY`, and hands on what `open_store` finds it by, from this process and from others.
Those on Milvus run where a server is: `make test-milvus`.
"""

import multiprocessing
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pytest
from tests.milvus import HAS_SERVER, on_milvus, server_address

from vireid.gallery.addresses import create_store, open_store
from vireid.gallery.filters import Filters
from vireid.gallery.store import (
    Address,
    Counted,
    Entry,
    GalleryError,
    Scored,
    Stamp,
    Storage,
    Store,
)
from vireid.models.card import ModelCard
from vireid.models.centring import LEAST_TO_CENTRE
from vireid.records import Box, ImageRecord, Modality

DIM = 24
TOY = ModelCard("toy", "/models/toy", "0123456789abcdef", "float32", 32, 16, DIM)
VISIBLE, INFRARED = Modality
MONDAY, IN_ROME = datetime(2026, 11, 23, 8), timezone(timedelta(hours=1))
EXACT: dict[Storage, float] = {"float32": 1e-6, "float16": 2e-3}
"""By how much similarities may be off."""


KINDS = ["local float32", "local float16", *(["milvus float32"] if HAS_SERVER else [])]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def address(kind: str, tmp_path: Path) -> Iterator[Address]:
    """Where an empty store is."""
    storage: Storage = "float16" if kind.endswith("float16") else "float32"
    if kind.startswith("milvus"):
        with on_milvus() as place:
            create_store(place, TOY, storage)
            yield place
        return
    create_store(tmp_path / "a.gallery", TOY, storage)
    yield tmp_path / "a.gallery"


@pytest.fixture
def store(address: Address) -> Iterator[Store]:
    opened = open_store(address, patience=20)
    yield opened
    opened.close()


@pytest.fixture
def tolerance(kind: str) -> float:
    return EXACT["float16" if kind.endswith("float16") else "float32"]


def test_all_of_this_holds_on_milvus_too() -> None:
    assert server_address()
    assert any(kind.startswith("milvus") for kind in KINDS)


def unit(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def person(i: int) -> ImageRecord:
    """Two people a frame, ten frames an hour, spectra in turn; every third has no more to it."""
    bare = ImageRecord(Path(f"/site/{i // 2:05}.jpg"), (VISIBLE, INFRARED)[i % 2], box=boxed(i))
    if i % 3 == 2:
        return bare
    return replace(
        bare,
        identity=i // 6,
        camera=f"cam{i % 5}",
        tracklet=f"t{i // 10}",
        time=MONDAY + timedelta(minutes=6 * i),
        tags=frozenset(tag for n, tag in ((2, "coat"), (3, "red bag"), (5, "gate")) if i % n == 0),
    )


def boxed(i: int) -> Box | None:
    """The first person of a frame is boxed, and every fourth frame shows one more, whole."""
    return None if i % 8 == 1 else Box(40 * (i % 2), 0, 40 * (i % 2) + 40, 90)


def entries(count: int, start: int = 0) -> list[Entry]:
    return [
        Entry(person(i), Stamp(1000 + i, 10**18 + i), f"{i:032x}") if i % 7 else Entry(person(i))
        for i in range(start, start + count)
    ]


def relabel(store: Store, records: list[ImageRecord]) -> None:
    known = store.entries_of([record.key for record in records])
    store.change({r.key: replace(known[r.key], record=r) for r in records if r.key in known})


def all_of(store: Store, filters: Filters) -> list[Entry]:
    return [entry for page in store.pages(filters) for entry in page.entries]


def found(scored: list[Scored]) -> list[ImageRecord]:
    return [record for _, record in scored]


FILTERS = {
    "none": Filters(),
    "visible": Filters(modality=VISIBLE),
    "infrared": Filters(modality=INFRARED),
    "one camera": Filters(cameras=["cam3"]),
    "visible, two cameras": Filters(cameras=["cam3", "cam1"], modality=VISIBLE),
    "no such camera": Filters(cameras=["nowhere"]),
    "since": Filters(since=MONDAY + timedelta(hours=3)),
    "until": Filters(until=MONDAY + timedelta(hours=3)),
    "between": Filters(since=MONDAY + timedelta(hours=3), until=MONDAY + timedelta(hours=9)),
    "since, in a zone": Filters(since=(MONDAY + timedelta(hours=5)).replace(tzinfo=IN_ROME)),
    "tracklet": Filters(tracklet="t4"),
    "tag": Filters(tags=["coat"]),
    "infrared, two tags": Filters(tags=["coat", "red bag"], modality=INFRARED),
    "identity": Filters(identity=0),
    "all": Filters(
        modality=VISIBLE,
        cameras=["cam0", "cam2"],
        since=MONDAY,
        until=MONDAY + timedelta(days=1),
        tags=["coat"],
        identity=0,
        tracklet="t0",
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_search_finds_what_comparing_with_all_that_filters_let_pass_finds(
    store: Store, tolerance: float, name: str
) -> None:
    filters = FILTERS[name]
    vectors, added = unit(150), entries(150)
    store.add(vectors[:90], added[:90])
    store.add(vectors[90:], added[90:])
    queries = unit(4, seed=1)
    kept = [i for i, entry in enumerate(added) if filters.let_pass(entry.record)]
    answers = store.search(queries, 12, filters)
    assert len(answers) == len(queries)
    for query, answer in zip(queries, answers, strict=True):
        similarity = {added[i].record.key: float(vectors[i] @ query) for i in kept}
        best = sorted(similarity.values(), reverse=True)[:12]
        assert [score for score, _ in answer] == pytest.approx(best, abs=tolerance)
        for score, record in answer:
            assert score == pytest.approx(similarity[record.key], abs=tolerance)
            assert record in [added[i].record for i in kept]
        assert len(set(found(answer))) == len(answer)
    assert [store.count(filters) for _ in range(2)] == [len(kept)] * 2
    store.remove(entry.record.key for entry in added[:20])
    assert store.count(filters) == sum(i >= 20 for i in kept)


def centres_by_hand(vectors: np.ndarray, records: list[ImageRecord]) -> np.ndarray:
    """The mean that each picture is less: its camera's, or its spectrum's where that has few."""
    own = np.empty_like(vectors)
    for i, record in enumerate(records):
        spectrum = [r.modality is record.modality for r in records]
        camera = [
            here and r.camera == record.camera for here, r in zip(spectrum, records, strict=True)
        ]
        enough = record.camera is not None and sum(camera) >= LEAST_TO_CENTRE
        own[i] = vectors[camera if enough else spectrum].mean(axis=0)
    return own


def test_centred_search_compares_what_is_left_without_the_means_of_cameras(
    store: Store, tolerance: float
) -> None:
    """Of 300 pictures each camera has 20 of either spectrum, but one that has fewer."""
    added = [
        replace(e, record=replace(e.record, camera=None if i > 290 else f"cam{i % 7}"))
        for i, e in enumerate(entries(300))
    ]
    vectors = unit(300) + 2 * unit(7, seed=5)[np.arange(300) % 7]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    store.add(vectors[:200], added[:200])
    store.add(vectors[200:], added[200:])
    store.remove([added[5].record.key])
    kept = [i for i in range(300) if i != 5]
    records = [added[i].record for i in kept]
    left = vectors[kept] - centres_by_hand(vectors[kept], records)
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    for modality in Modality:
        centres = store.centres(modality)
        of_it = [i for i in kept if added[i].record.modality is modality]
        assert centres[None].count == len(of_it)
        np.testing.assert_allclose(
            centres[None].mean, vectors[of_it].mean(axis=0), atol=10 * tolerance
        )
        assert sum(c.count for name, c in centres.items() if name) == len(
            [i for i in of_it if added[i].record.camera]
        )
    queries = unit(6, seed=9)
    for filters in (Filters(), Filters(modality=INFRARED), Filters(cameras=["cam3"])):
        passing = [
            n
            for n, r in enumerate(records)
            if filters.modality in (None, r.modality)
            and (not filters.cameras or r.camera in filters.cameras)
        ]
        scores = queries @ left[passing].T
        for query, answer in enumerate(store.search(queries, 10, filters, centred=True)):
            expected = np.sort(scores[query])[::-1][:10]
            found_ = np.array([score for score, _ in answer])
            np.testing.assert_allclose(found_, expected, atol=20 * tolerance)
            best = records[passing[int(scores[query].argmax())]]
            assert answer[0][1] == best


def test_an_empty_store_has_centres_of_nothing(store: Store) -> None:
    assert {name: c.count for name, c in store.centres(VISIBLE).items()} == {None: 0}
    assert store.search(unit(2), 3, Filters(), centred=True) == [[], []]


def test_every_filter_of_these_tests_but_one_lets_some_pass() -> None:
    passing = [sum(f.let_pass(person(i)) for i in range(150)) for f in FILTERS.values()]
    assert passing.count(0) <= 2
    assert len(set(passing)) > 8


def test_an_empty_store_answers_with_nothing(store: Store) -> None:
    assert store.search(unit(2), 5, Filters()) == [[], []]
    assert (store.count(), store.names("camera"), dict(store.entries_of([person(0).key]))) == (
        0,
        [],
        {},
    )


def test_more_than_there_are_is_all_there_are(store: Store) -> None:
    store.add(unit(5), entries(5))
    assert len(store.search(unit(1), 50, Filters())[0]) == 5


def test_no_queries_have_no_answers(store: Store) -> None:
    store.add(unit(5), entries(5))
    assert store.search(np.zeros((0, DIM), np.float32), 5, Filters()) == []


def test_what_goes_in_comes_back(store: Store) -> None:
    full = Entry(
        ImageRecord(
            path=Path("/site/gate 1/ä, ö.jpg"),
            modality=INFRARED,
            identity=-7,
            camera="north gate",
            tracklet="t7",
            time=datetime(2026, 1, 1, 23, 59, 59, 123456, tzinfo=timezone(timedelta(hours=-5))),
            box=Box(0, 3, 1919, 1080),
            tags=frozenset({"red; coat", "“Tüte”", "[]"}),
        ),
        Stamp(12, 1_700_000_000_123_456_789),
        "00ff" * 8,
    )
    bare = Entry(ImageRecord(Path("/site/b.jpg"), VISIBLE))
    naive = Entry(ImageRecord(Path("/site/c.jpg"), VISIBLE, 0, time=datetime(1969, 7, 20, 20, 17)))
    added = [full, bare, naive]
    store.add(unit(3), added)
    assert store.entries_of([e.record.key for e in added]) == {e.record.key: e for e in added}
    assert set(found(store.search(unit(1), 3, Filters())[0])) == {e.record for e in added}


def test_a_file_has_as_many_pictures_as_it_has_boxes_and_one_without(store: Store) -> None:
    whole = ImageRecord(Path("/site/a.jpg"), VISIBLE, 1)
    people = [replace(whole, box=Box(x, 0, x + 10, 30), identity=x) for x in (0, 10, 20)]
    store.add(unit(4), [Entry(record) for record in (whole, *people)])
    assert store.count() == 4
    store.add(unit(1, seed=9), [Entry(replace(people[1], identity=77))])
    assert store.count() == 4
    identities = {r.identity for r in found(store.search(unit(1), 9, Filters())[0])}
    assert identities == {0, 1, 20, 77}


def test_the_same_key_replaces_and_the_old_vector_is_found_no_more(
    store: Store, tolerance: float
) -> None:
    vectors, added = unit(20), entries(20)
    store.add(vectors, added)
    other = replace(added[4].record, modality=INFRARED, identity=99, camera=None, tags=frozenset())
    assert added[4].record.modality is VISIBLE
    new = unit(1, seed=7)
    store.add(new, [Entry(other)])
    assert [store.count(Filters(m)) for m in (None, VISIBLE, INFRARED)] == [20, 9, 11]
    ((score, record),) = store.search(new, 1, Filters())[0]
    assert record == other
    assert score == pytest.approx(1, abs=tolerance)
    assert store.entries_of([other.key]) == {other.key: Entry(other)}
    assert other.key not in {r.key for r in found(store.search(unit(1), 20, Filters(VISIBLE))[0])}
    assert added[4].record.tags
    for tag in added[4].record.tags:
        assert other not in found(store.search(new, 20, Filters(tags=[tag]))[0])


def test_what_is_removed_is_found_no_more(store: Store) -> None:
    vectors, added = unit(20), entries(20)
    store.add(vectors, added)
    gone = [entry.record for entry in added[:6]]
    absent = ImageRecord(Path("/site/nobody.jpg"), VISIBLE)
    assert store.remove([record.key for record in (*gone, absent)]) == 6
    assert store.remove([record.key for record in gone]) == 0
    assert (store.count(), store.count(Filters(VISIBLE))) == (14, 7)
    assert store.entries_of([record.key for record in gone]) == {}
    left = found(store.search(vectors[:1], 20, Filters())[0])
    assert set(left) == {entry.record for entry in added[6:]}
    store.add(vectors[:6], added[:6])
    assert found(store.search(vectors[:1], 1, Filters())[0]) == [added[0].record]


def test_labels_change_without_another_vector(store: Store, tolerance: float) -> None:
    vectors, added = unit(12), entries(12)
    store.add(vectors, added)
    before = store.search(vectors[:1], 1, Filters(cameras=["cam0"]))[0]
    assert found(before) == [added[0].record]
    changed = replace(
        added[0].record,
        identity=9,
        camera="gate",
        tracklet="t99",
        time=datetime(2030, 1, 1, tzinfo=UTC),
        tags=frozenset({"hat", "coat"}),
    )
    nobody = ImageRecord(Path("/site/nobody.jpg"), VISIBLE, 9, "gate")
    relabel(store, [changed, nobody])
    assert store.count() == 12
    assert store.entries_of([changed.key])[changed.key] == replace(added[0], record=changed)
    for filters in (
        Filters(identity=9),
        Filters(cameras=["gate"]),
        Filters(tracklet="t99"),
        Filters(since=datetime(2029, 1, 1)),
        Filters(tags=["hat"]),
    ):
        ((score, record),) = store.search(vectors[:1], 5, filters)[0]
        assert record == changed
        assert score == pytest.approx(1, abs=tolerance)
    bare = replace(changed, identity=None, camera=None, tracklet=None, time=None, tags=frozenset())
    relabel(store, [bare])
    assert store.entries_of([bare.key])[bare.key].record == bare
    assert store.search(vectors[:1], 5, Filters(tags=["hat"])) == [[]]


def test_known_are_those_that_are_there_with_their_boxes(store: Store) -> None:
    added = entries(8)
    store.add(unit(8), added)
    strange = replace(added[0].record, box=Box(1, 2, 30, 40))
    asked = [strange.key, added[0].record.key, added[5].record.key]
    assert set(store.entries_of(asked)) == set(asked[1:])


def test_counts_and_cameras(store: Store) -> None:
    store.add(unit(30), entries(30))
    assert [store.count(Filters(m)) for m in (None, VISIBLE, INFRARED)] == [30, 15, 15]
    assert store.names("camera") == [f"cam{i}" for i in range(5)]
    moved = [replace(e.record, camera="a gate") for e in entries(30) if e.record.camera == "cam1"]
    relabel(store, moved)
    assert store.names("camera") == ["a gate", "cam0", "cam2", "cam3", "cam4"]


def test_a_failed_addition_changes_nothing_and_the_next_one_works(store: Store) -> None:
    store.add(unit(10), entries(10))
    version, before = store.version(), store.search(unit(2, seed=1), 20, Filters())
    too_large = replace(person(3))
    object.__setattr__(too_large, "identity", 2**80)  # which a record itself refuses
    beyond = Entry(too_large)
    batch = [*entries(5, start=8), beyond, *entries(5, start=40)]
    with pytest.raises(GalleryError, match="too large a number"):
        store.add(unit(11, seed=2), batch)
    assert (store.version(), store.count()) == (version, 10)
    assert store.search(unit(2, seed=1), 20, Filters()) == before
    store.add(unit(5, seed=3), entries(5, start=8))
    assert store.count() == 13
    assert found(store.search(unit(5, seed=3)[4:], 1, Filters())[0]) == [person(12)]


def test_the_version_is_another_one_after_every_change(store: Store) -> None:
    versions = [store.version()]
    store.add(unit(4), entries(4))
    versions.append(store.version())
    relabel(store, [replace(person(0), identity=5)])
    versions.append(store.version())
    store.remove([person(1).key])
    versions.append(store.version())
    assert len(set(versions)) == 4
    store.search(unit(1), 1, Filters())
    assert store.version() == versions[-1]


def test_what_was_added_is_there_after_reopening(store: Store, address: Address) -> None:
    store.add(unit(20), entries(20))
    before = store.search(unit(3, seed=1), 9, Filters(tags=["coat"]))
    store.close()
    again = open_store(address, patience=1)
    assert again.search(unit(3, seed=1), 9, Filters(tags=["coat"])) == before
    assert (again.count(), again.model, again.address) == (20, TOY, str(address))
    again.close()


def test_changes_are_seen_by_whoever_has_the_store_open(store: Store, address: Address) -> None:
    reader = open_store(address, patience=1)
    for start in (0, 10, 20):
        store.add(unit(10, seed=start), entries(10, start))
        assert reader.count() == start + 10
        assert len(reader.search(unit(1), 99, Filters())[0]) == start + 10
    relabel(store, [replace(person(0), camera="gate")])
    assert "gate" in reader.names("camera")
    assert len(reader.search(unit(1), 9, Filters(cameras=["gate"]))[0]) == 1
    store.remove([person(0).key])
    assert reader.search(unit(1), 9, Filters(cameras=["gate"])) == [[]]
    reader.close()


def test_threads_share_a_store(store: Store) -> None:
    vectors, added = unit(300), entries(300)
    wrong: list[object] = []

    def ask() -> None:
        for i in range(50):
            answer = found(store.search(vectors[i : i + 1], 1, Filters())[0])
            if answer != [added[i].record]:
                wrong.append((i, answer))

    store.add(vectors[:50], added[:50])
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for start in range(50, 300, 50):
        store.add(vectors[start : start + 50], added[start : start + 50])
    for thread in threads:
        thread.join()
    assert (wrong, store.count()) == ([], 300)


def add_batches(address: Address, first: int, batches: int) -> None:
    """What another process does: batches of 20, each of one camera of its own."""
    store = open_store(address, patience=60)
    for start in range(first, first + 20 * batches, 20):
        batch = [
            Entry(replace(person(i), camera=f"batch {start}")) for i in range(start, start + 20)
        ]
        store.add(unit(20, seed=start), batch)
    store.close()


def watch(address: Address, ended: Event) -> None:
    """What a reader in another process does: it sees whole batches, and never fewer than before."""
    store = open_store(address, patience=60)
    seen = 0
    while not ended.wait(0.01):
        answer = found(store.search(unit(1), 1000, Filters())[0])
        by_batch = {r.camera: sum(other.camera == r.camera for other in answer) for r in answer}
        assert set(by_batch.values()) <= {20}
        assert len(answer) >= seen
        seen = len(answer)
    store.close()


def test_eight_processes_read_whole_batches_while_two_others_add(
    store: Store, address: Address
) -> None:
    # Forked from one process that has imported this module, instead of importing it ten times.
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload([__name__])
    ended = forking.Event()
    readers = [forking.Process(target=watch, args=(address, ended)) for _ in range(8)]
    writers = [
        forking.Process(target=add_batches, args=(address, first, 8)) for first in (0, 10_000)
    ]
    for process in (*readers, *writers):
        process.start()
    for writer in writers:
        writer.join()
    ended.set()
    for reader in readers:
        reader.join()
    assert [process.exitcode for process in (*readers, *writers)] == [0] * 10
    assert store.count() == 320
    for first in (0, 10_000, 10_140):
        ((_, record),) = store.search(unit(20, seed=first)[:1], 1, Filters())[0]
        assert record == replace(person(first), camera=f"batch {first}")


def test_entries_are_those_that_filters_let_pass(store: Store) -> None:
    added = [replace(e, source=Path(f"/site/{i % 3}")) for i, e in enumerate(entries(150))]
    store.add(unit(150), added)
    filters = {**FILTERS, "source": Filters(source=Path("/site/1")), "below": Filters(below=SITE)}
    for name, asked in filters.items():
        passing = [e for e in added if asked.let_pass(e.record, e.source)]
        assert sorted(all_of(store, asked), key=str) == sorted(passing, key=str), name


SITE = Path("/site")


def test_paths_below_a_folder_are_not_those_of_its_neighbours(store: Store) -> None:
    paths = ["/a/site/1.jpg", "/a/site-2/1.jpg", "/a/site/x/y/1.jpg", "/a/site.jpg", "/a/sit/e.jpg"]
    store.add(unit(5), [Entry(ImageRecord(Path(path), VISIBLE)) for path in paths])
    below = {str(e.record.path) for e in all_of(store, Filters(below=Path("/a/site")))}
    assert below == {paths[0], paths[2]}


def test_pictures_move_and_exchange_their_paths_with_their_vectors(
    store: Store, tolerance: float
) -> None:
    vectors, added = unit(8), entries(8)
    store.add(vectors, added)
    first, second, third, replaced = (e.record for e in added if e.record.modality is VISIBLE)
    new = replace(third, path=Path("/moved/here.jpg"), camera="gate", tags=frozenset({"hat"}))
    store.change(
        {
            first.key: Entry(replace(first, path=second.path, box=second.box), content="aa"),
            second.key: Entry(replace(second, path=first.path, box=first.box)),
            third.key: Entry(new, by_hand=True, source=Path("/moved")),
        }
    )
    assert store.count() == 8
    for row, key in ((0, second.key), (2, first.key), (4, new.key)):
        ((score, record),) = store.search(vectors[row : row + 1], 1, Filters())[0]
        assert record.key == key
        assert score == pytest.approx(1, abs=tolerance)
    (moved,) = store.entries_of([new.key]).values()
    assert moved == Entry(new, by_hand=True, source=Path("/moved"))
    store.change({new.key: Entry(replace(new, path=replaced.path, box=replaced.box))})
    assert (store.count(), store.entries_of([new.key])) == (7, {})
    assert found(store.search(vectors[6:7], 8, Filters(VISIBLE))[0]).count(replaced) == 0


def test_pictures_are_found_by_the_bytes_of_their_file(store: Store) -> None:
    added = entries(40)
    store.add(unit(40), [*added[:20], *(replace(e, content="ff") for e in added[20:])])
    assert {e.record.key for e in store.with_content(["ff"])} == {e.record.key for e in added[20:]}
    assert store.with_content([f"{3:032x}", "nowhere"]) == [added[3]]


def test_notes_are_kept_by_kind_and_change_together_with_a_removal(
    store: Store, address: Address
) -> None:
    store.add(unit(4), entries(4))
    store.note({("source", "/a"): {"camera": "ä"}, ("source", "/b"): {}, ("keep", "age"): 3.5})
    store.remove([person(0).key], {("removed", "x"): True, ("source", "/b"): None})
    again = open_store(address, patience=1)
    assert again.notes("source") == {"/a": {"camera": "ä"}}
    assert (again.notes("keep"), again.notes("removed")) == ({"age": 3.5}, {"x": True})
    assert again.notes("nothing") == {}
    again.close()


def test_answers_are_the_same_after_compacting(store: Store, address: Address) -> None:
    store.add(unit(90), entries(90))
    reader = open_store(address, patience=1)
    store.remove([person(i).key for i in range(0, 60, 2)])
    store.add(unit(5, seed=5), entries(5, start=70))
    before = store.search(unit(4, seed=1), 99, Filters())
    tagged = store.search(unit(4, seed=1), 99, Filters(tags=["coat"]))
    store.compact()
    for each in (store, reader):
        assert each.search(unit(4, seed=1), 99, Filters()) == before
        assert each.search(unit(4, seed=1), 99, Filters(tags=["coat"])) == tagged
        assert each.count() == 60
    assert store.damage() == []
    reader.close()
    store.add(unit(10, seed=6), entries(10, start=200))
    store.compact()
    assert (store.count(), store.damage()) == (70, [])


def test_compacting_waits_for_its_share(store: Store) -> None:
    store.add(unit(20), entries(20))
    store.remove([person(0).key])
    version = store.version()
    store.compact(from_share=0.9)
    assert all_of(store, Filters())
    assert store.search(unit(1), 99, Filters())[0] != []
    assert store.version() != version or store.count() == 19


def test_pages_hold_the_vectors_of_their_pictures(store: Store, tolerance: float) -> None:
    vectors, added = unit(60), entries(60)
    store.add(vectors, added)
    row_of = {entry.record.key: i for i, entry in enumerate(added)}
    count = 0
    for page in store.pages(Filters(tags=["coat"])):
        expected = vectors[[row_of[entry.record.key] for entry in page.entries]]
        np.testing.assert_allclose(page.read_vectors(), expected, atol=tolerance)
        count += len(page.entries)
    assert count == sum("coat" in entry.record.tags for entry in added)


def test_pictures_are_counted_by_what_is_said_of_them(store: Store) -> None:
    store.add(unit(30), [replace(e, source=Path("/site")) for e in entries(30)])
    store.change(
        {person(0).key: Entry(replace(person(0), person="Anna")), person(1).key: Entry(person(1))}
    )
    known = [entry.record for entry in all_of(store, Filters())]
    fields: tuple[Counted, ...] = ("camera", "identity", "modality", "person")
    for what in fields:
        said = [getattr(record, what) for record in known]
        counts = {str(name): said.count(name) for name in set(said) - {None}}
        assert store.tally(what) == counts
    assert store.tally("day") == {"2026-11-23": len([r for r in known if r.time])}
    assert store.tally("source") == {"/site": 28}
    assert store.names("person") == ["Anna"]


@pytest.mark.parametrize("name", ["none", "infrared", "one camera", "no such camera"])
def test_some_at_a_time_are_all_in_the_same_order(store: Store, name: str) -> None:
    store.add(unit(60), entries(60))
    came, after = list[Entry](), None
    while some := store.page(FILTERS[name], after, 7):
        came += [entry for _, entry in some]
        after = some[-1][0]
    assert came == all_of(store, FILTERS[name])


def test_vectors_come_back_by_their_keys(store: Store, tolerance: float) -> None:
    added, vectors = entries(30), unit(30)
    store.add(vectors, added)
    wanted = (9, 4, 2, 17)
    back = store.vectors_of([added[i].record.key for i in wanted])
    assert np.allclose(back, vectors[list(wanted)], atol=tolerance)
    store.remove([added[4].record.key])
    with pytest.raises(GalleryError, match="does not hold"):
        store.vectors_of([added[4].record.key])


def test_tags_are_counted(store: Store) -> None:
    store.add(unit(30), entries(30))
    expected = Counter(tag for entry in entries(30) for tag in entry.record.tags)
    assert store.tally("tag") == dict(expected)
