"""After removal no byte of a picture is left in the gallery's files."""

import random
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.gallery.test_gallery import TOY, people, unit

from vireid.gallery import Gallery
from vireid.gallery.labelling import judge
from vireid.gallery.store import Storage
from vireid.records import ImageRecord

COUNT = 400


def named(i: int) -> ImageRecord:
    (record,) = people(1, i)
    return replace(
        record,
        path=Path(f"/site/{secret(i)}.jpg"),
        person=f"name {secret(i)}",
        tracklet=f"track {secret(i)}",
        tags=frozenset({f"tag {secret(i)}"}),
        time=datetime(2026, 1, 1, tzinfo=UTC),
    )


def secret(i: int) -> str:
    return f"<{i:05}>"


def content_of_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_nothing_of_who_was_removed_is_left_in_any_file(tmp_path: Path, storage: Storage) -> None:
    rng = random.Random(0)
    vectors = unit(COUNT)
    with Gallery.create(tmp_path / "g", TOY, storage) as gallery:
        for start in range(0, COUNT, 50):
            batch = [named(i) for i in range(start, start + 50)]
            gallery.add(vectors[start : start + 50], batch)
        for round_ in range(4):  # so that pages are split, joined and filled again
            gone = rng.sample(range(COUNT), 60)
            for i in gone[:5]:
                if gallery.entries_of([named(i)])[0]:
                    judge(gallery, Path(f"/queries/{i}.jpg"), [named(i).path], same=True)
            gallery.remove([named(i) for i in gone], for_good=True)
            gallery.compact()
            left = {e.record.person for e in gallery.entries()}
            files = content_of_files(tmp_path / "g")
            for i in range(COUNT):
                if f"name {secret(i)}" in left:
                    continue
                vector = vectors[i].astype(storage).tobytes()
                for name, content in files.items():
                    assert secret(i).encode() not in content, (round_, name, i)
                    assert vector not in content, (round_, name, i)
                    assert f"/queries/{i}.jpg".encode() not in content
            assert gallery.damage() == []
        assert len(gallery) == len(left) < COUNT - 150


def test_a_compacted_gallery_is_as_small_as_a_new_one(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "g", TOY) as gallery:
        gallery.add(unit(COUNT), [named(i) for i in range(COUNT)])
        gallery.remove([named(i) for i in range(COUNT) if i % 10])
        gallery.compact()
        assert sum(len(c) for n, c in content_of_files(gallery.path).items() if "float" in n) == (
            len(gallery) * TOY.embedding_dim * 4
        )


KILLED = """
import sys
from pathlib import Path
from tests.gallery.test_erasure import named
from vireid.gallery import Gallery

gallery = Gallery.open(sys.argv[1])
print("ready", flush=True)
for start in range(0, 300, 20):
    gallery.remove([named(i) for i in range(start, start + 20)], for_good=True)
    print(start, flush=True)
    gallery.compact()
print("end", flush=True)
"""


def test_a_writer_that_is_killed_while_compacting_loses_and_leaves_nothing(tmp_path: Path) -> None:
    rng = random.Random(1)
    vectors = unit(COUNT)
    for attempt in range(6):
        folder = tmp_path / f"g{attempt}"
        with Gallery.create(folder, TOY) as gallery:
            gallery.add(vectors, [named(i) for i in range(COUNT)])
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        told = [process.stdout.readline() for _ in range(2 + rng.randrange(12))]
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        done = int(told[-1]) + 20 if told[-1].strip().isdigit() else 0
        with Gallery.open(folder) as gallery:
            assert gallery.damage() == []
            here = {e.record.path for e in gallery.entries()}
            assert not here & {named(i).path for i in range(done)}
            assert here >= {named(i).path for i in range(min(done + 20, 300), COUNT)}
            rows = [i for i in range(COUNT) if named(i).path in here]
            hits = gallery.search(vectors[rows], 1)
            assert [h[0].record for h in hits] == [named(i) for i in rows]
            gallery.compact()
            assert len(list(folder.glob("*.float32"))) == 2
            assert secret(0).encode() not in b"".join(content_of_files(folder).values())


def test_deleted_rows_are_overwritten_even_before_compacting(tmp_path: Path) -> None:
    """The mechanism on which removal rests: SQLite is told to."""
    with Gallery.create(tmp_path / "g", TOY) as gallery:
        database = gallery._store._catalogue._db  # type: ignore[attr-defined]
        assert database.execute("PRAGMA secure_delete").fetchone() == (1,)
        assert isinstance(database, sqlite3.Connection)
