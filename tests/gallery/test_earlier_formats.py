"""Galleries of earlier formats: read as they are, and changed to today's format with a change."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from tests.full_disk import full_disk
from tests.gallery.test_gallery import DIM, TOY, people, unit

from vireid.errors import VireidError
from vireid.gallery import Filters, Gallery, GalleryError
from vireid.gallery.local import catalogue
from vireid.gallery.local.schema import FORMAT
from vireid.records import Box, ImageRecord, Modality

SCHEMA_1 = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE vectors (modality TEXT PRIMARY KEY, rows INTEGER NOT NULL, gone INTEGER NOT NULL);
CREATE TABLE pictures (
    modality TEXT NOT NULL,
    row INTEGER NOT NULL,
    path TEXT NOT NULL UNIQUE,
    identity INTEGER,
    camera TEXT,
    size INTEGER,
    mtime_ns INTEGER,
    PRIMARY KEY (modality, row)
) WITHOUT ROWID;
CREATE INDEX by_camera ON pictures (camera, modality);
"""
SCHEMA_2 = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE vectors (modality TEXT PRIMARY KEY, rows INTEGER NOT NULL, gone INTEGER NOT NULL);
CREATE TABLE pictures (
    modality TEXT NOT NULL,
    row INTEGER NOT NULL,
    path TEXT NOT NULL,
    box TEXT NOT NULL,
    identity INTEGER,
    camera TEXT,
    tracklet TEXT,
    time TEXT,
    moment INTEGER,
    size INTEGER,
    mtime_ns INTEGER,
    content TEXT,
    PRIMARY KEY (modality, row),
    UNIQUE (path, box)
) WITHOUT ROWID;
CREATE TABLE tags (
    modality TEXT NOT NULL,
    row INTEGER NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (modality, row, tag)
) WITHOUT ROWID;
CREATE INDEX by_camera ON pictures (camera, modality);
CREATE INDEX by_identity ON pictures (identity, modality);
CREATE INDEX by_tracklet ON pictures (tracklet) WHERE tracklet IS NOT NULL;
CREATE INDEX by_moment ON pictures (moment) WHERE moment IS NOT NULL;
CREATE INDEX by_tag ON tags (tag, modality);
"""


@pytest.fixture(params=[1, 2])
def format_(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def old(tmp_path: Path, format_: int) -> Path:
    return write_old(tmp_path / "old.gallery", format_)


def write_old(folder: Path, format_: int) -> Path:
    """Write a gallery as it was in a former format: 40 pictures, of which one was replaced."""
    folder.mkdir()
    database = sqlite3.connect(folder / "facts.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.executescript(SCHEMA_1 if format_ == 1 else SCHEMA_2)
    about = {"format": format_, "model": asdict(TOY), "storage": "float32"}
    database.executemany(
        "INSERT INTO about VALUES (?, ?)", [(k, json.dumps(v)) for k, v in about.items()]
    )
    for modality in Modality:
        of_it = [(i, r) for i, r in enumerate(people(40)) if r.modality is modality]
        vectors = unit(40)[[i for i, _ in of_it]]
        gone = 1 if modality is Modality.VISIBLE else 0
        (folder / f"{modality}.float32").write_bytes(
            np.concatenate([np.full((gone, DIM), 9, np.float32), vectors]).tobytes()
        )
        database.execute("INSERT INTO vectors VALUES (?, ?, ?)", (modality, 20 + gone, gone))
        columns = "modality, row, path, identity, camera, size, mtime_ns"
        asked = f"INSERT INTO pictures ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        if format_ == 2:
            asked = asked.replace("mtime_ns)", "mtime_ns, box)").replace("?)", "?, '')")
        rows = [
            (modality, row, str(r.path), r.identity, r.camera, 5, 6)
            for row, (_, r) in enumerate(of_it, gone)
        ]
        database.executemany(asked, rows)
    database.execute("PRAGMA user_version = 7")
    database.close()
    return folder


def format_of(folder: Path) -> int:
    database = sqlite3.connect(folder / "facts.sqlite")
    found = database.execute("SELECT value FROM about WHERE key = 'format'").fetchone()[0]
    database.close()
    return int(found)


NEW = ImageRecord(
    path=Path("/pictures/frame.jpg"),
    modality=Modality.INFRARED,
    identity=3,
    camera="cam1",
    tracklet="t7",
    time=datetime(2026, 1, 1),
    box=Box(1, 2, 30, 40),
    tags=frozenset({"hat"}),
)


def test_an_old_gallery_is_searched_as_it_is(old: Path, format_: int) -> None:
    with Gallery.open(old, TOY) as gallery:
        for i, record in enumerate(people(40)):
            assert gallery.search(unit(40)[i : i + 1], 1)[0][0].record == record
        assert (len(gallery), gallery.cameras()) == (40, [f"cam{i}" for i in range(5)])
        of_camera = gallery.search(unit(1), 99, Filters(Modality.VISIBLE, ["cam2"]))[0]
        assert {hit.record for hit in of_camera} == {
            r for r in people(40) if r.camera == "cam2" and r.modality is Modality.VISIBLE
        }
        assert gallery.search(unit(1), 9, Filters(tags=["hat"])) == [[]]
        assert gallery.search(unit(1), 9, Filters(since=datetime(2000, 1, 1))) == [[]]
        (known,) = gallery.entries_of(people(1))
        assert known is not None
        assert (known.record, known.stamp, known.content) == (people(1)[0], (5, 6), None)
    assert format_of(old) == format_


def test_the_first_change_makes_it_todays_format_and_nothing_is_lost(old: Path) -> None:
    with Gallery.open(old) as gallery:
        before = gallery.search(unit(3, seed=1), 40)
        gallery.add(unit(1, seed=5), [NEW])
        assert format_of(old) == FORMAT
        assert gallery.search(unit(1, seed=5), 1)[0][0].record == NEW
        gallery.remove([NEW])
        assert gallery.search(unit(3, seed=1), 40) == before
        gallery.relabel([replace(people(1)[0], tags=frozenset({"hat"}))])
        assert gallery.damage() == []
    with Gallery.open(old) as gallery:
        (hit,) = gallery.search(unit(1), 9, Filters(tags=["hat"]))[0]
        assert hit.record == replace(people(1)[0], tags=frozenset({"hat"}))
        assert len(gallery) == 40


def test_it_becomes_what_a_new_gallery_is(old: Path, tmp_path: Path) -> None:
    def schema(folder: Path) -> set[str]:
        database = sqlite3.connect(folder / "facts.sqlite")
        found = database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
        texts = {" ".join(sql.replace('"', "").split()) for (sql,) in found}
        database.close()
        return texts

    with Gallery.open(old) as gallery:
        gallery.relabel([])
    Gallery.create(tmp_path / "new.gallery", TOY).close()
    assert schema(old) == schema(tmp_path / "new.gallery")


def test_a_change_that_fails_leaves_it_as_it_was(old: Path, format_: int) -> None:
    with Gallery.open(old) as gallery:
        many = people(400, start=40)
        with full_disk(60_000), pytest.raises(GalleryError, match="disk is full"):
            gallery.add(unit(400, seed=2), many)
        assert format_of(old) == format_
        assert len(gallery.search(unit(1), 99)[0]) == 40
        too_large = replace(NEW)
        object.__setattr__(too_large, "identity", 2**80)  # which a record itself refuses
        with pytest.raises(VireidError, match=r"too large|is larger"):
            gallery.add(unit(1), [too_large])
        assert format_of(old) == format_
        assert gallery.search(unit(1), 1)[0][0].record == people(1)[0]
        gallery.add(unit(400, seed=2), many)
        assert (format_of(old), len(gallery)) == (FORMAT, 440)


def test_whoever_had_it_open_sees_what_another_writes_in_todays_format(old: Path) -> None:
    with Gallery.open(old) as reader, Gallery.open(old) as writer, Gallery.open(old) as second:
        assert len(reader.search(unit(1), 99)[0]) == 40
        writer.add(unit(1, seed=5), [NEW])
        assert reader.search(unit(1, seed=5), 1)[0][0].record == NEW
        assert len(reader.search(unit(1), 9, Filters(tags=["hat"]))[0]) == 1
        second.relabel([replace(NEW, tags=frozenset({"cap"}))])
        assert len(reader.search(unit(1), 9, Filters(tags=["cap"]))[0]) == 1
        reader.remove([NEW])
        assert len(second) == 40


def test_on_media_that_nobody_can_write_to_galleries_are_searched(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk of a test can be written to; what is held here is what is opened and left alone."""
    new = tmp_path / "new.gallery"
    with Gallery.create(new, TOY) as gallery:
        gallery.add(unit(1, seed=5), [NEW])
    monkeypatch.setattr(catalogue, "_is_read_only", lambda folder: True)
    for folder, query, record in ((old, unit(1), people(1)[0]), (new, unit(1, seed=5), NEW)):
        before = sorted((path.name, path.stat().st_mtime_ns) for path in folder.iterdir())
        with Gallery.open(folder) as gallery:
            assert gallery.search(query, 1)[0][0].record == record
            with pytest.raises(GalleryError, match="may not be written to"):
                gallery.relabel([record])
            assert gallery.search(query, 1)[0][0].record == record
            now = sorted((path.name, path.stat().st_mtime_ns) for path in folder.iterdir())
        assert now == before


MOUNT = """
mount --bind -o ro "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" -c "$3" "$1"
"""
SEARCH = """
import sys, numpy
from vireid import Gallery
print(len(Gallery.open(sys.argv[1]).search(numpy.eye(24, dtype="float32")[:1], 99)[0]))
"""


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs a file system mounted read-only")
def test_a_gallery_on_a_read_only_file_system_is_searched(old: Path) -> None:
    command = ["unshare", "-rm", "sh", "-c", MOUNT, "sh", str(old), sys.executable, SEARCH]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if not answer.stdout and ("unshare" in answer.stderr or "mount" in answer.stderr):
        pytest.skip(f"nothing can be mounted here: {answer.stderr}")
    assert (answer.stdout, answer.stderr) == ("40\n", "")
    assert os.access(old, os.W_OK)
