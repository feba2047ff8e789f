import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.full_disk import full_disk

from vireid.errors import VireidError
from vireid.gallery import Filters, Gallery, GalleryError, Hit
from vireid.gallery.local.catalogue import explained
from vireid.gallery.local.similarities import _widened, best
from vireid.gallery.local.store import MOST_FILTERS, LocalStore
from vireid.gallery.local.vectors import StoredVectors
from vireid.gallery.store import Storage
from vireid.models.card import ModelCard
from vireid.records import Box, ImageRecord, Modality

DIM = 24
TOY = ModelCard("toy", "/models/toy", "0123456789abcdef", "float32", 32, 16, DIM)
VISIBLE, INFRARED = Modality


def unit(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def people(count: int, start: int = 0) -> list[ImageRecord]:
    """Alternating spectra, five cameras; the paths do not exist."""
    return [
        ImageRecord(Path(f"/pictures/{i}.jpg"), (VISIBLE, INFRARED)[i % 2], i // 2, f"cam{i % 5}")
        for i in range(start, start + count)
    ]


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "a.gallery", TOY) as made:
        yield made


def found(hits: list[Hit]) -> list[Path]:
    return [hit.record.path for hit in hits]


def expected(
    vectors: np.ndarray, records: list[ImageRecord], query: np.ndarray, top: int
) -> list[Path]:
    order = np.argsort(-(vectors @ query))[:top]
    return [records[i].path for i in order]


@pytest.mark.parametrize("camera", [None, "cam3"])
@pytest.mark.parametrize("modality", [None, VISIBLE, INFRARED])
def test_short_forms_of_filters_find_what_filters_find(
    gallery: Gallery, camera: str | None, modality: Modality | None
) -> None:
    vectors, records = unit(301), people(301)
    gallery.add(vectors, records)
    filters = Filters(modality, () if camera is None else [camera])
    short = gallery.search(unit(7, seed=1), modality=modality, camera=camera)
    assert short == gallery.search(unit(7, seed=1), 10, filters)
    kept = [i for i, record in enumerate(records) if filters.let_pass(record)]
    for query, hits in zip(unit(7, seed=1), short, strict=True):
        assert found(hits) == expected(vectors[kept], [records[i] for i in kept], query, 10)
        assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


def test_filters_are_given_in_one_way(gallery: Gallery) -> None:
    with pytest.raises(GalleryError, match="given twice; put modality and camera into filters"):
        gallery.search(unit(1), 10, Filters(tags=["hat"]), camera="cam1")


def test_more_hits_than_pictures_are_all_pictures(gallery: Gallery) -> None:
    gallery.add(unit(5), people(5))
    assert len(gallery.search(unit(1), 50)[0]) == 5


def test_an_empty_gallery_answers_with_no_hits(gallery: Gallery) -> None:
    assert gallery.search(unit(2)) == [[], []]
    assert (len(gallery), gallery.cameras()) == (0, [])


def test_search_in_parts_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    stored, queries = StoredVectors(Path("visible.float32"), unit(5000), {}), unit(9, seed=1)
    whole = best(stored, queries, 20)
    few = np.arange(0, 5000, 11)
    whole_few = best(stored, queries, 20, few)
    monkeypatch.setattr("vireid.gallery.local.similarities.MOST_SCORES", 1)
    np.testing.assert_array_equal(best(stored, queries, 20)[1], whole[1])
    np.testing.assert_array_equal(best(stored, queries, 20, few)[1], whole_few[1])
    assert set(whole_few[1].ravel() % 11) == {0}


def test_half_precision_is_widened_as_numpy_does() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].reshape(1, -1)
    np.testing.assert_array_equal(_widened(finite), finite.astype(np.float32))


def test_half_precision_takes_half_the_disk(tmp_path: Path) -> None:
    def size(storage: Storage) -> int:
        path = tmp_path / storage
        with Gallery.create(path, TOY, storage) as gallery:
            gallery.add(unit(100), people(100))
        return sum(file.stat().st_size for file in path.glob("*.float*"))

    assert size("float32") == 2 * size("float16") == 100 * DIM * 4


def test_what_was_added_is_there_after_reopening(gallery: Gallery) -> None:
    gallery.add(unit(20), people(20))
    before = gallery.search(unit(3, seed=1))
    gallery.close()
    with Gallery.open(gallery.path, TOY) as again:
        assert again.search(unit(3, seed=1)) == before
        assert (len(again), again.count(VISIBLE), again.cameras()[0]) == (20, 10, "cam0")


def test_the_same_path_replaces_its_picture_and_is_found_only_as_what_it_is_now(
    gallery: Gallery,
) -> None:
    gallery.add(unit(10), people(10))
    moved = replace(people(1)[0], modality=INFRARED, identity=77, camera=None)
    gallery.add(unit(1, seed=5), [moved])
    assert (len(gallery), gallery.count(VISIBLE), gallery.count(INFRARED)) == (10, 4, 6)
    assert gallery.search(unit(1, seed=5), 1)[0][0].record == moved
    old = gallery.search(unit(1), 10)[0]
    assert sorted(map(str, found(old))) == sorted(str(r.path) for r in people(10))
    assert moved.path not in found(gallery.search(unit(1), 10, modality=VISIBLE)[0])


def test_one_picture_has_one_name_from_wherever_it_is_given(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (Path("a.jpg"), tmp_path / "a.jpg", Path("b/../a.jpg")):
        gallery.add(unit(1), [ImageRecord(name, VISIBLE)])
    assert len(gallery) == 1


def test_labels_can_be_changed_without_embedding_again(gallery: Gallery) -> None:
    gallery.add(unit(4), people(4))
    gallery.search(unit(1), camera="cam0")
    gallery.relabel([replace(people(1)[0], identity=9, camera="gate")])
    assert gallery.search(unit(1), 1, camera="gate")[0][0].record.identity == 9
    with pytest.raises(GalleryError, match="no camera 'cam0'"):
        gallery.search(unit(1), camera="cam0")


def test_people_of_one_frame_come_back_with_all_that_was_said(gallery: Gallery) -> None:
    frame = ImageRecord(Path("/site/f.jpg"), VISIBLE, 1, "gate", "t7", datetime(2026, 1, 1))
    both = [replace(frame, box=Box(x, 0, x + 20, 50), identity=x) for x in (0, 20)]
    gallery.add(unit(2), both)
    assert [gallery.search(unit(2)[i : i + 1], 1)[0][0].record for i in (0, 1)] == both
    assert gallery.remove(both[:1]) == 1
    assert [known and known.record for known in gallery.entries_of(both)] == [None, both[1]]


def test_a_picture_is_known_by_the_hash_of_its_bytes(gallery: Gallery, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    (tmp_path / "b.jpg").write_bytes(b"a")
    os.mkfifo(tmp_path / "pipe")
    names = ("a.jpg", "b.jpg", "pipe", "gone.jpg")
    records = [ImageRecord(tmp_path / name, VISIBLE) for name in names]
    gallery.add(unit(4), records)
    a, b, pipe, gone = (known and known.content for known in gallery.entries_of(records))
    assert a == b == hashlib.blake2b(b"a", digest_size=16).hexdigest()
    assert (pipe, gone) == (None, None)


@pytest.mark.parametrize(
    ("filters", "why"),
    [
        ({"since": datetime(2026, 1, 2), "until": datetime(2026, 1, 2)}, "turn them round"),
    ],
)
def test_filters_that_let_nothing_pass_are_refused(filters: dict[str, Any], why: str) -> None:
    with pytest.raises(VireidError, match=why):
        Filters(**filters)
    with pytest.raises(TypeError, match="put the one into a list"):
        Filters(cameras="gate")


def test_filters_are_equal_whatever_their_names_came_in() -> None:
    one, other = Filters(VISIBLE, ["a", "b"]), Filters(VISIBLE, ("b", "a"))
    assert (one, hash(one)) == (other, hash(other))


def test_rows_of_few_filters_are_kept(gallery: Gallery) -> None:
    gallery.add(unit(20), people(20))
    for identity in range(3 * MOST_FILTERS):
        hits = gallery.search(unit(1), 99, Filters(VISIBLE, identity=identity % 10))[0]
        assert [hit.record.identity for hit in hits] == [identity % 10]
        gallery.search(unit(1), 99, Filters(VISIBLE, identity=identity + 1000))
    store = gallery._store
    assert isinstance(store, LocalStore)
    assert store._snapshot is not None
    assert len(store._snapshot.rows) == MOST_FILTERS


@pytest.mark.parametrize(
    ("field", "value"),
    [("fingerprint", "fedcba9876543210"), ("embedding_dim", DIM + 1), ("precision", "int8")],
)
def test_another_model_is_refused_with_the_way_out(
    gallery: Gallery, field: str, value: object
) -> None:
    fields: Any = {"name": "other", "source": "/models/other", field: value}
    other = replace(TOY, **fields)
    expected = rf"filled by model toy .*{field}.* not by other .*--model /models/toy.* or index"
    with pytest.raises(GalleryError, match=expected):
        Gallery.open(gallery.path, other)
    Gallery.open(gallery.path, replace(TOY, name="renamed")).close()


def test_vectors_that_do_not_fit_are_refused_and_nothing_is_added(gallery: Gallery) -> None:
    for vectors, records, why in [
        (unit(3), people(2), "3 embeddings for 2 records"),
        (unit(3)[:, 1:], people(3), "holds vectors of 24 numbers"),
        (unit(3) * 2, people(3), "/pictures/0.jpg is not of length one"),
        (unit(3) * np.nan, people(3), "is not of length one"),
        (unit(2), people(1) * 2, "twice"),
    ]:
        with pytest.raises(GalleryError, match=why):
            gallery.add(vectors, records)
    assert len(gallery) == 0


def test_wrong_questions_are_refused(gallery: Gallery) -> None:
    gallery.add(unit(10), people(10))
    with pytest.raises(GalleryError, match="no camera 'cam33'; did you mean 'cam3'"):
        gallery.search(unit(1), camera="cam33")
    with pytest.raises(GalleryError, match="at least one hit"):
        gallery.search(unit(1), top=0)
    with pytest.raises(GalleryError, match="vectors of 24 numbers"):
        gallery.search(unit(1)[:, 2:])


def test_a_folder_that_is_no_gallery_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match=r"is not a gallery; make one with `vireid index"):
        Gallery.open(tmp_path / "none")


def test_what_is_in_the_way_of_a_gallery_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="is not a gallery; give another path"):
        Gallery.open(tmp_path)


def test_a_disk_without_room_for_shared_memory_is_full() -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
    with pytest.raises(GalleryError, match="disk is full"), explained(Path("a.gallery")):
        raise error


def test_nothing_that_exists_is_overwritten(gallery: Gallery, tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="is there already; open it"):
        Gallery.create(gallery.path, TOY)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gallery"]


@pytest.mark.parametrize("file", ["facts.sqlite", "visible.float32"])
def test_a_damaged_gallery_says_so(tmp_path: Path, file: str) -> None:
    with Gallery.create(tmp_path / "a.gallery", TOY) as gallery:
        gallery.add(unit(50), people(50))
    content = (gallery.path / file).read_bytes()
    (gallery.path / file).write_bytes(content[:100] + b"\0" * 100)
    with pytest.raises(GalleryError, match=r"is damaged.*index the pictures again"):
        Gallery.open(gallery.path).search(unit(1))


def test_a_gallery_of_a_later_version_is_refused(gallery: Gallery) -> None:
    database = sqlite3.connect(gallery.path / "facts.sqlite")
    database.execute("UPDATE about SET value = '99' WHERE key = 'format'")
    database.commit()
    database.close()
    with pytest.raises(GalleryError, match=r"later version of vireid \(its format is 99.*use that"):
        Gallery.open(gallery.path)


def test_an_address_of_no_known_store_is_refused() -> None:
    with pytest.raises(GalleryError, match=r"there are no galleries at ftp://; give a folder"):
        Gallery.open("ftp://site/people")


def test_vectors_of_a_writer_that_died_do_not_count_and_are_overwritten(gallery: Gallery) -> None:
    gallery.add(unit(6), people(6))
    for file in gallery.path.glob("*.float32"):
        with file.open("ab") as tail:
            tail.write(np.full(3 * DIM + 5, 9, np.float32).tobytes() + b"torn")
    assert len(gallery.search(unit(1), 100)[0]) == 6
    gallery.add(unit(4, seed=3), people(4, start=6))
    for i, vector in enumerate(unit(4, seed=3)):
        assert gallery.search(vector[None], 1)[0][0].record == people(1, start=6 + i)[0]
    assert (gallery.path / "visible.float32").stat().st_size == 5 * DIM * 4


def test_a_second_writer_waits_and_then_is_told_why(gallery: Gallery) -> None:
    gallery.add(unit(2), people(2))
    other = sqlite3.connect(gallery.path / "facts.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Gallery.open(gallery.path, patience=0.2) as second:
        began = time.monotonic()
        with pytest.raises(GalleryError, match=r"another process is writing.*wait"):
            second.add(unit(2), people(2, start=2))
        assert time.monotonic() - began > 0.15
        assert len(second.search(unit(1), 10)[0]) == 2  # reading goes on
        other.execute("ROLLBACK")
        other.close()
        second.add(unit(2), people(2, start=2))
    assert len(gallery) == 4


@pytest.mark.parametrize("at", [2_000, 40_000])
def test_on_a_full_disk_nothing_is_half_added_and_it_goes_on_when_there_is_room(
    gallery: Gallery, at: int
) -> None:
    """2,000 bytes are too few for the vectors, 40,000 for the facts of so many pictures."""
    gallery.add(unit(10), people(10))
    before = gallery.search(unit(3, seed=1))
    many = 100 if at == 2_000 else 700
    vectors, records = unit(many, seed=2), people(many, start=10)
    with full_disk(at), pytest.raises(GalleryError, match=r"disk is full.*are safe; make room"):
        gallery.add(vectors, records)
    assert len(gallery) == 10
    assert gallery.search(unit(3, seed=1)) == before
    gallery.add(vectors, records)
    assert len(gallery) == 10 + many
    assert gallery.search(vectors[-1:], 1)[0][0].record == records[-1]


def test_on_a_full_disk_no_gallery_is_half_made(tmp_path: Path) -> None:
    with full_disk(1_000), pytest.raises(GalleryError, match="disk is full"):
        Gallery.create(tmp_path / "a.gallery", TOY)
    assert list(tmp_path.iterdir()) == []


WRITER = """
import sys, numpy as np
from pathlib import Path
from vireid import Gallery, ImageRecord, Modality

def vector(i):
    v = np.random.default_rng(i).standard_normal(24).astype(np.float32)
    return v / np.linalg.norm(v)

with Gallery.open(sys.argv[1]) as gallery:
    while len(gallery) < int(sys.argv[2]):
        some = range(len(gallery), len(gallery) + 20)
        gallery.add(np.stack([vector(i) for i in some]), [
            ImageRecord(Path(f"/pictures/{i}.jpg"), list(Modality)[i % 2], i) for i in some
        ])
        print(len(gallery), flush=True)
"""


def start(script: str, gallery: Path, until: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(gallery), str(until)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )


def test_a_killed_writer_leaves_whole_batches_and_the_next_goes_on(gallery: Gallery) -> None:
    for _ in range(2):
        writer = start(WRITER, gallery.path, 10**6)
        assert writer.stdout is not None
        for _ in range(3):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    count = len(gallery)
    assert count >= 120
    assert count % 20 == 0
    for hit in gallery.search(unit(1), count)[0]:
        vector = np.random.default_rng(hit.record.identity).standard_normal(DIM)
        assert hit.similarity == pytest.approx(vector @ unit(1)[0] / np.linalg.norm(vector), 1e-3)


def test_opening_and_searching_needs_neither_torch_nor_onnxruntime(gallery: Gallery) -> None:
    script = (
        "import sys, numpy; from vireid import Gallery;"
        f"Gallery.open({str(gallery.path)!r}).search(numpy.eye(24, dtype='float32'));"
        "print({'torch', 'onnxruntime'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert answer.stdout == "set()\n", answer.stderr
