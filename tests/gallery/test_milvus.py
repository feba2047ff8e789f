"""Galleries on a Milvus server, beyond what every store does: `make test-milvus`."""

import json
import multiprocessing
import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scripts.milvus_server import MilvusServer, running
from tests.gallery.test_store_contract import TOY, entries, person, unit
from tests.milvus import HAS_SERVER, on_milvus, server_address

from vireid.gallery import Filters, Gallery, GalleryError
from vireid.gallery.addresses import create_store, open_store
from vireid.gallery.moving import move
from vireid.gallery.store import Entry, Store
from vireid.records import ImageRecord, Modality

if not HAS_SERVER:
    pytest.skip("there is no Milvus server; `make test-milvus` starts one", allow_module_level=True)

VISIBLE, INFRARED = Modality


@pytest.fixture
def place() -> Iterator[str]:
    """An address where no gallery is."""
    with on_milvus() as address:
        yield address


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    create_store(place, TOY, "float32")
    opened = open_store(place, patience=20)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def own() -> Iterator[MilvusServer]:
    """A server that tests may kill."""
    server_address()
    with running() as server:
        yield server


def test_server_that_is_absent_is_told_in_seconds() -> None:
    server_address()
    started = time.monotonic()
    with pytest.raises(GalleryError, match=r"no Milvus server answers at 127\.0\.0\.1:9; start"):
        Gallery.open("milvus://127.0.0.1:9/site")
    assert time.monotonic() - started < 15


def test_other_peoples_collections_are_no_galleries_and_stay(place: str, store: Store) -> None:
    from pymilvus import MilvusClient

    host, name = server_address(), f"theirs{secrets.token_hex(3)}"
    client = MilvusClient(f"http://{host}")
    client.create_collection(name, dimension=4)
    client.create_collection(f"vireid_{name}x", dimension=4)
    try:
        with pytest.raises(GalleryError, match=f"collection {name} there is not vireid's"):
            Gallery.open(f"milvus://{host}/{name}")
        with pytest.raises(GalleryError, match="was not made by vireid"):
            Gallery.open(f"milvus://{host}/{name}x")
        with pytest.raises(GalleryError, match="was not made by vireid"):
            Gallery.create(f"milvus://{host}/{name}x", TOY)
        store.delete()
        assert {name, f"vireid_{name}x"} <= set(client.list_collections())
    finally:
        client.drop_collection(name)
        client.drop_collection(f"vireid_{name}x")
        client.close()


def test_gallery_of_another_model_is_refused(place: str, store: Store) -> None:
    other = replace(TOY, name="other", fingerprint="f" * 16)
    with pytest.raises(GalleryError, match=r"was filled by model toy .* not by other"):
        Gallery.open(place, other)
    with pytest.raises(GalleryError, match="is there already"):
        Gallery.create(place, TOY)
    with pytest.raises(GalleryError, match="keep float32; leave float16 out"):
        Gallery.create(f"{place}half", TOY, "float16")


@pytest.mark.parametrize("version", ["v2.2.16", "2.1.0", "v4.0.1-rc"])
def test_server_of_another_version_is_refused(
    version: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pymilvus import MilvusClient

    monkeypatch.setattr(MilvusClient, "get_server_version", lambda *_, **__: version)
    with pytest.raises(GalleryError, match=rf"is Milvus {version}; pymilvus .* need 2.3 to 3.x"):
        Gallery.open(place)


def test_what_milvus_cannot_keep_is_refused_before_anything_is_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = store.version()
    tags = frozenset(f"tag {i}" for i in range(2_000))
    many = Entry(replace(person(0), tags=tags))
    with pytest.raises(GalleryError, match="takes more than Milvus keeps"):
        store.add(unit(2), [Entry(person(1)), many])
    assert store.version() == version
    store.add(unit(3), entries(3))
    assert len(store.search(unit(1), 20_000, Filters())[0]) == 3
    monkeypatch.setattr("vireid.gallery.milvus.store.MOST_HITS", 2)
    with pytest.raises(GalleryError, match=r"at most 2 hits, 3 were asked for; ask for fewer"):
        store.search(unit(1), 20_000, Filters())


def test_what_was_changed_is_deleted_after_some_changes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vireid.gallery.milvus.store.MOST_HIDDEN", 4)
    store.add(unit(30), entries(30))
    for i in range(0, 12, 2):
        known = store.entries_of([person(i).key])
        store.change(
            {key: replace(e, record=replace(e.record, camera=f"n{i}")) for key, e in known.items()}
        )
    assert store.count() == 30
    assert store.damage() == []
    assert len(store.search(unit(1), 99, Filters())[0]) == 30
    assert len(store._view().document.gone["pictures"]) <= 4  # type: ignore[attr-defined]


def test_changes_that_come_to_nothing_do_not_pile_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vireid.gallery.milvus.store.MOST_HIDDEN", 4)
    monkeypatch.setattr("vireid.gallery.milvus.store.MOST_LATE", 2)
    store.add(unit(30), entries(30))
    known = store.entries_of([person(0).key, person(2).key])
    two_as_one = {key: replace(e, record=person(99)) for key, e in known.items()}
    for i in range(8):
        with pytest.raises(GalleryError, match="would be two pictures"):
            store.change(two_as_one)
        store.add(unit(1, seed=i), entries(1, start=i))
    assert len(store._view().document.lost) <= 4  # type: ignore[attr-defined]
    assert (store.count(), store.damage()) == (30, [])


def test_change_that_came_to_nothing_leaves_nothing(
    store: Store, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are written, and the process dies before they are to count."""
    store.add(unit(10), entries(10))
    spawning = multiprocessing.get_context("spawn")
    dying = spawning.Process(target=die_before_the_commit, args=(place,))
    dying.start()
    dying.join()
    assert dying.exitcode == -signal.SIGKILL
    assert store.count() == 10
    assert len(store.search(unit(1), 99, Filters())[0]) == 10
    store.add(unit(5, seed=3), entries(5, start=50))  # waits until the dead one has lost its turn
    assert (store.count(), store.damage()) == (15, [])
    store.compact()
    assert (store.count(), store.damage()) == (15, [])
    assert len(store.search(unit(1), 99, Filters())[0]) == 15


def die_before_the_commit(place: str) -> None:
    from vireid.gallery.milvus import state

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    state.Turn.end = die  # type: ignore[method-assign]
    open_store(place, 5).add(unit(20, seed=8), entries(20, start=100))


def test_writer_that_gave_no_sign_of_life_changes_nothing(
    store: Store, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vireid.gallery.milvus.state.BEAT", 60.0)
    monkeypatch.setattr("vireid.gallery.milvus.state.LEASE", 0.3)
    other = open_store(place, patience=20)
    write = type(store)._write_pictures  # type: ignore[attr-defined]

    def slowly(self: object, *given: object) -> None:
        write(self, *given)
        if self is store:
            other.add(unit(4, seed=5), entries(4, start=40))

    monkeypatch.setattr(type(store), "_write_pictures", slowly)
    with pytest.raises(GalleryError, match="another one has taken its turn to write"):
        store.add(unit(4), entries(4))
    assert store.count() == 4
    assert set(store.entries_of([person(i).key for i in range(40, 44)]))
    assert (store.entries_of([person(0).key]), store.damage()) == ({}, [])
    other.close()


def test_killed_server_loses_nothing_and_has_nothing_twice(own: MilvusServer) -> None:
    """`kill -9` in the middle of additions, three times; they go on once it is there again."""
    address = f"milvus://{own.address}/killed"
    create_store(address, TOY, "float32")
    store = open_store(address, patience=60)
    vectors, added = unit(3_000), entries(3_000)
    failed: list[Exception] = []

    def fill() -> None:
        try:
            for start in range(0, 3_000, 100):
                part = slice(start, start + 100)
                store.add(vectors[part], added[part])
        except Exception as error:
            failed.append(error)

    filling = threading.Thread(target=fill)
    filling.start()
    for pause in (1.0, 2.0, 1.5):
        time.sleep(pause)
        own.kill()
        own.start()
    filling.join()
    assert failed == []
    assert (store.count(), store.damage()) == (3_000, [])
    found = {entry.record.key: entry for page in store.pages() for entry in page.entries}
    assert found == {entry.record.key: entry for entry in added}
    np.testing.assert_array_equal(
        store.vectors_of([entry.record.key for entry in added[::97]]), vectors[::97]
    )
    store.delete()
    store.close()


def test_server_that_stays_away_is_given_up(
    own: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"milvus://{own.address}/away"
    create_store(address, TOY, "float32")
    store = open_store(address, patience=5)
    store.add(unit(10), entries(10))
    monkeypatch.setattr("vireid.gallery.milvus.server.RESTARTING", 1.0)
    monkeypatch.setattr("vireid.gallery.milvus.server.AT_MOST", 1.0)
    own.kill()
    try:
        with pytest.raises(GalleryError, match=r"the server failed .* do it again"):
            store.add(unit(10, seed=1), entries(10, start=10))
    finally:
        own.start()
    monkeypatch.undo()
    store.add(unit(10, seed=1), entries(10, start=10))
    assert (store.count(), store.damage()) == (20, [])
    store.delete()
    store.close()


def test_password_and_tls_are_asked_for_and_told_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_address()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", tmp_path / "server.key", "-out", tmp_path / "server.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    with running(authorization=True, tls=tmp_path) as server:
        address = f"milvus://localhost:{server.port}/site"
        with pytest.raises(GalleryError, match="set VIREID_MILVUS_TLS=1"):
            Gallery.open(address)
        monkeypatch.setenv("VIREID_MILVUS_CA", str(tmp_path / "server.pem"))
        with pytest.raises(GalleryError, match="refuses this access; set VIREID_MILVUS_USER"):
            Gallery.open(address)
        monkeypatch.setenv("VIREID_MILVUS_USER", "root")
        monkeypatch.setenv("VIREID_MILVUS_PASSWORD", "not this one")
        with pytest.raises(GalleryError, match="refuses user 'root'") as refused:
            Gallery.open(address)
        assert "not this one" not in str(refused.value)
        monkeypatch.delenv("VIREID_MILVUS_USER")
        monkeypatch.delenv("VIREID_MILVUS_PASSWORD")
        settings = tmp_path / "milvus.toml"
        settings.write_text('user = "root"\npassword = "Milvus"\n')
        monkeypatch.setenv("VIREID_MILVUS_FILE", str(settings))
        with Gallery.create(address, TOY) as gallery:
            gallery.put(unit(4), entries(4))
            assert (len(gallery), gallery.address) == (4, address)


def filled(address: object, count: int = 60) -> Gallery:
    gallery = Gallery.create(address, TOY)  # type: ignore[arg-type]
    gallery.put(unit(count), entries(count))
    gallery._store.note({("source", "/site"): {"camera": "ä"}, ("setting", "keep"): 3.5})
    gallery.remove([person(7)], for_good=True)
    return gallery


def everything(gallery: Gallery) -> tuple[object, ...]:
    held = [entry for page in gallery.pages() for entry in page.entries]
    vectors = gallery.vectors_of([entry.record for entry in held])
    by_key = {e.record.key: (e, v.tobytes()) for e, v in zip(held, vectors, strict=True)}
    kinds = ("source", "removed", "judgement", "setting")
    return by_key, [dict(gallery._store.notes(kind)) for kind in kinds], gallery.model


def test_gallery_moves_to_a_server_and_back(place: str, tmp_path: Path) -> None:
    with filled(tmp_path / "a.gallery") as gallery:
        before = everything(gallery)
        version = gallery.version
    kept = move(tmp_path / "a.gallery", place, keep=True)
    assert (kept.pictures, kept.copied, kept.kept) == (59, 59, True)
    with Gallery.open(place) as there:
        assert everything(there) == before
        assert there.damage() == []
    with pytest.raises(GalleryError, match="is there already"):
        move(place, tmp_path / "a.gallery")
    moved = move(place, tmp_path / "b.gallery")
    assert (moved.pictures, moved.vectors) == (59, kept.vectors)
    with pytest.raises(GalleryError, match="is not a gallery"):
        Gallery.open(place)
    with (
        Gallery.open(tmp_path / "b.gallery") as back,
        Gallery.open(tmp_path / "a.gallery") as first,
    ):
        assert everything(back) == before == everything(first)
        assert first.version == version


def test_move_that_was_stopped_goes_on(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled(tmp_path / "a.gallery", 3_000) as gallery:
        before = everything(gallery)
    from vireid.gallery.milvus.store import MilvusStore

    add, calls = MilvusStore.add, list[int]()

    def stopping(self: MilvusStore, vectors: np.ndarray, added: list[Entry]) -> None:
        if len(calls) == 1:
            raise KeyboardInterrupt
        calls.append(len(added))
        add(self, vectors, added)

    monkeypatch.setattr(MilvusStore, "add", stopping)
    with pytest.raises(KeyboardInterrupt):
        move(tmp_path / "a.gallery", place)
    monkeypatch.undo()
    with Gallery.open(tmp_path / "a.gallery") as gallery:
        gallery.remove([person(0), person(2_001)])
        before = everything(gallery)
    done = move(tmp_path / "a.gallery", place)
    assert calls[0] > 0
    assert done.copied == 2_999 - calls[0] - 1
    assert not (tmp_path / "a.gallery").exists()
    with Gallery.open(place) as there:
        assert everything(there) == before


def test_move_whose_target_differs_leaves_the_source(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path / "a.gallery").close()
    from vireid.gallery.milvus.store import MilvusStore

    real = MilvusStore.vectors_of
    monkeypatch.setattr(MilvusStore, "vectors_of", lambda self, keys: real(self, keys) * 0.5)
    with pytest.raises(GalleryError, match=r"vectors in milvus.* stays as it is"):
        move(tmp_path / "a.gallery", place)
    with Gallery.open(tmp_path / "a.gallery") as gallery:
        assert len(gallery) == 59


def test_backup_of_a_gallery_on_a_server_can_be_restored_anywhere(
    place: str, tmp_path: Path
) -> None:
    with filled(place) as gallery:
        before = everything(gallery)
        assert gallery.backup(tmp_path / "a.zip") == 59
        gallery.delete()
    with Gallery.restore(tmp_path / "a.zip", tmp_path / "a.gallery") as local:
        assert everything(local) == before
    with Gallery.restore(tmp_path / "a.zip", place) as back:
        assert everything(back) == before


def test_commands_take_an_address_of_a_server(
    place: str, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    people = "src/vireid/datasets/nightwalk_mini"
    query = f"{people}/cam3/0020/0002.jpg"

    def said(*words: object) -> str:
        status, out, errors = run(*words)
        assert status == 0, errors
        return out

    for camera in ("cam4", "cam1"):
        of = ("--modality", "visible", "--camera", camera)
        said("index", f"{people}/{camera}/0020", "--out", place, "--model", "small", *of)
    assert "unchanged" in said("index", f"{people}/cam1/0020", "--out", place, *of)
    assert "on a server" in said("gallery", "info", place)
    assert place in said("gallery", "check", place)
    assert "cam4" in said("search", place, query, "camera:cam4", "--query-modality", "infrared")
    said("gallery", "reindex", place, "--model", "stripes")
    with Gallery.open(place) as gallery:
        assert (gallery.model.name, gallery.damage()) == ("stripes", [])
        count = len(gallery)
    assert "removed" in said("gallery", "remove", place, "camera:cam1", "--yes")
    said("gallery", "move", place, tmp_path / "back.gallery")
    with Gallery.open(tmp_path / "back.gallery") as back:
        assert 0 < len(back) < count
        assert back.cameras() == ["cam4"]
        assert back.removed()


def test_approximate_index_is_chosen_with_its_recall_in_view(
    place: str, run: Callable[..., tuple[int, str, str]]
) -> None:
    people = "src/vireid/datasets/nightwalk_mini"
    of = ("--modality", "visible", "--model", "small")
    assert run("index", f"{people}/cam4/0020", "--out", place, *of)[0] == 0
    with Gallery.open(place) as gallery:  # fewer than 1,024 are always compared one by one
        many = np.random.default_rng(0).standard_normal((3_000, gallery.model.embedding_dim))
        many /= np.linalg.norm(many, axis=1, keepdims=True)
        records = [ImageRecord(Path(f"/site/{i}.jpg"), VISIBLE) for i in range(len(many))]
        gallery.add(many.astype(np.float32), records)
    asked = ("--queries", f"{people}/cam3/0020", "--query-modality", "infrared")
    status, out, errors = run(
        "gallery", "index", place, "--kind", "hnsw", "--effort", 2_000, *asked, "--json"
    )
    told = json.loads(out)
    assert (status, told["kept"], told["queries"]) == (0, True, 4), errors
    assert told["recall"]["10"] >= 0.95
    status, out, errors = run("gallery", "index", place, "--kind", "ivf", "--effort", 1, *asked)
    assert (status, "of the best 10" in out) == (1, True)
    assert "stays exact, as ivf found" in errors
    store = open_store(place, patience=5)
    assert store._view().document.index == "FLAT"  # type: ignore[attr-defined]
    assert store.damage() == []
    store.close()
