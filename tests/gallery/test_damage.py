"""What happens to a gallery whose files were cut, changed, lost or exchanged: it is told."""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.gallery.test_gallery import DIM, TOY, people, unit

from vireid.gallery import Filters, Gallery, GalleryError
from vireid.gallery.local import vectors
from vireid.records import Modality

COUNT = 300


@pytest.fixture
def gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A gallery of 300 pictures, whose vectors have a checksum every 64 rows."""
    monkeypatch.setattr(vectors, "BLOCK", 64)
    with Gallery.create(tmp_path / "g", TOY) as made:
        for start in range(0, COUNT, 25):
            made.add(unit(25, seed=start), people(25, start))
    return tmp_path / "g"


def search(folder: Path) -> object:
    with Gallery.open(folder) as gallery:
        return gallery.search(unit(2, seed=99), COUNT)


CHANGES: dict[str, Callable[[Gallery], object]] = {
    "search": lambda g: g.search(unit(1), 5),
    "add": lambda g: g.add(unit(5, seed=7), people(5, 1000)),
    "remove": lambda g: g.remove(people(3)),
    "relabel": lambda g: g.relabel(people(3)),
    "compact": lambda g: g.compact(),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("cut", [0, 1, DIM * 4 * 40 + 3, None])
def test_a_short_or_missing_file_is_refused_by_everything_and_nothing_is_written(
    gallery: Path, change: str, cut: int | None
) -> None:
    file = gallery / "visible.float32"
    file.unlink() if cut is None else os.truncate(file, cut)
    before = {path.name: path.read_bytes() for path in gallery.iterdir()}
    with Gallery.open(gallery) as opened, pytest.raises(GalleryError, match="damaged") as told:
        CHANGES[change](opened)
    assert "visible.float32" in str(told.value)
    assert "restore" in str(told.value)
    after = {path.name: path.read_bytes() for path in gallery.iterdir()}
    assert {n: b for n, b in after.items() if "-shm" not in n and "-wal" not in n} == {
        n: b for n, b in before.items() if "-shm" not in n and "-wal" not in n
    }


def test_every_changed_bit_of_the_vectors_is_noticed(gallery: Path) -> None:
    rng = random.Random(0)
    for _ in range(40):
        file = gallery / rng.choice(["visible.float32", "infrared.float32"])
        place, bit = rng.randrange(file.stat().st_size), rng.randrange(8)
        flip(file, place, bit)
        with pytest.raises(GalleryError, match="have changed"):
            search(gallery)
        with Gallery.open(gallery) as opened:
            assert len(opened.damage()) == 1
        flip(file, place, bit)
    search(gallery)


def flip(file: Path, place: int, bit: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(place)
        (byte,) = opened.read(1)
        opened.seek(place)
        opened.write(bytes([byte ^ 1 << bit]))


def test_only_blocks_that_are_read_are_checked(gallery: Path) -> None:
    flip(gallery / "visible.float32", 5 * DIM * 4, 3)
    with Gallery.open(gallery) as opened:
        assert opened.search(unit(1), 5, modality=Modality.INFRARED)[0]
        last = Filters(modality=Modality.VISIBLE, identity=people(1, COUNT - 2)[0].identity)
        assert opened.search(unit(1), 5, last)[0]
        with pytest.raises(GalleryError, match="vectors 0 to 63 have changed"):
            opened.search(unit(1), 5)


def test_damage_is_not_made_good_by_adding_and_compacting(gallery: Path) -> None:
    flip(gallery / "visible.float32", (COUNT // 2 - 1) * DIM * 4, 3)  # in a block not yet full
    with Gallery.open(gallery) as opened:
        opened.add(unit(30, seed=8), people(30, 2000))
        opened.remove(people(10))
        with pytest.raises(GalleryError, match="have changed"):
            opened.compact()
    with pytest.raises(GalleryError, match="have changed"):
        search(gallery)


def test_the_vectors_of_another_gallery_are_refused(gallery: Path, tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "other", TOY) as other:
        other.add(unit(COUNT, seed=5), people(COUNT))
    shutil.copy(tmp_path / "other" / "visible.float32", gallery)
    with pytest.raises(GalleryError, match="damaged"):
        search(gallery)


def test_vectors_that_are_no_numbers_are_noticed_and_never_taken(gallery: Path) -> None:
    stored = np.fromfile(gallery / "visible.float32", np.float32)
    stored[3 * DIM : 4 * DIM] = np.nan
    stored.tofile(gallery / "visible.float32")
    with pytest.raises(GalleryError, match="have changed"):
        search(gallery)
    wrong = unit(3)
    wrong[1, 4] = np.nan
    with Gallery.open(gallery) as opened, pytest.raises(GalleryError, match=r"5001\.jpg"):
        opened.add(wrong, people(3, 5000))


def test_a_changed_byte_of_the_catalogue_is_told_or_changes_nothing(gallery: Path) -> None:
    """Bits of pages that are not in use may change; nothing that is said may."""
    expected = search(gallery)
    file, rng = gallery / "facts.sqlite", random.Random(1)
    whole = file.read_bytes()
    told = 0
    for _ in range(150):
        place, bit = rng.randrange(len(whole)), rng.randrange(8)
        flip(file, place, bit)
        try:
            assert search(gallery) == expected, (place, bit)
        except GalleryError:
            told += 1
        for left in ("facts.sqlite-wal", "facts.sqlite-shm"):
            (gallery / left).unlink(missing_ok=True)
        file.write_bytes(whole)
    assert told > 10


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("pictures", "SET camera = 'elsewhere' WHERE row = 3"),
        ("pictures", "SET tracklet = 't' WHERE row = 3"),
        ("pictures", "SET path = '/other.jpg' WHERE row = 3 AND modality = 'visible'"),
        ("pictures", "SET time = 'yesterday' WHERE row = 3"),
        ("pictures", "SET box = 'x' WHERE row = 3 AND modality = 'visible'"),
        ("vectors", "SET rows = rows - 1"),
        ("vectors", "SET file = '../../etc/passwd'"),
        ("about", "SET value = '{\"name\": 3}' WHERE key = 'model'"),
        ("about", "SET value = 'null' WHERE key = 'model'"),
        ("about", "SET value = '{' WHERE key = 'storage'"),
        ("about", "SET value = 'x' WHERE key = 'format'"),
        ("about", "SET key = 'shape' WHERE key = 'format'"),
        ("blocks", "SET sum = sum + 1"),
    ],
)
def test_rows_that_are_not_what_was_written_are_refused(
    gallery: Path, table: str, change: str
) -> None:
    database = sqlite3.connect(gallery / "facts.sqlite")
    database.execute(f"UPDATE {table} {change}")
    database.commit()
    database.close()
    with pytest.raises(GalleryError, match="damaged"):
        search(gallery)


def test_a_missing_row_of_the_catalogue_is_found_by_looking_at_everything(gallery: Path) -> None:
    database = sqlite3.connect(gallery / "facts.sqlite")
    database.execute("DELETE FROM pictures WHERE row = 3 AND modality = 'visible'")
    database.commit()
    database.close()
    with Gallery.open(gallery) as opened:
        assert any("150 visible pictures are counted, 149" in line for line in opened.damage())


def test_a_lost_journal_is_told(gallery: Path, tmp_path: Path) -> None:
    """As a copy of the folder is that leaves it behind while somebody writes."""
    with Gallery.open(gallery) as writer:
        writer.add(unit(5, seed=8), people(5, 2000))
        copy = shutil.copytree(gallery, tmp_path / "copy")
    assert (copy / "facts.sqlite-wal").stat().st_size
    (copy / "facts.sqlite-wal").unlink()
    (copy / "facts.sqlite-shm").unlink()
    with pytest.raises(GalleryError, match="left behind by whoever copied"):
        Gallery.open(copy)
