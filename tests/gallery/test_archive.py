"""Backups: whole copies of a gallery in use, and only that."""

import io
import json
import shutil
import threading
import zipfile
from pathlib import Path

import pytest
from tests.full_disk import full_disk
from tests.gallery.test_gallery import DIM, TOY, people, unit

from vireid.errors import VireidError
from vireid.gallery import Filters, Gallery, GalleryError


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    made = Gallery.create(tmp_path / "g", TOY)
    made.add(unit(100), people(100))
    made.remove(people(7, 20))
    return made


def test_a_backup_is_restored_as_it_was(gallery: Gallery, tmp_path: Path) -> None:
    before = gallery.search(unit(3, seed=1), 200)
    assert gallery.backup(tmp_path / "b.zip") == 93
    gallery.add(unit(5, seed=2), people(5, 500))
    with Gallery.restore(tmp_path / "b.zip", tmp_path / "again") as again:
        assert again.search(unit(3, seed=1), 200) == before
        assert (len(again), again.damage(), again.model) == (93, [], TOY)
        again.add(unit(5, seed=2), people(5, 500))
        assert again.search(unit(3, seed=1), 200) == gallery.search(unit(3, seed=1), 200)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_backup_while_others_write_is_of_one_moment(gallery: Gallery, tmp_path: Path) -> None:
    """Batches of 10 of one camera each: a backup holds each of them wholly or not at all."""
    ended = threading.Event()

    def write() -> None:
        with Gallery.open(gallery.path) as writer:
            for i in range(40):
                writer.add(unit(10, seed=i), people(10, 1000 + 10 * i))
                if i % 8 == 7:
                    writer.remove(people(10, 1000 + 10 * (i - 3)))
                    writer.compact()
        ended.set()

    thread = threading.Thread(target=write)
    thread.start()
    count = 0
    while not ended.is_set() or count == 0:
        archive, folder = tmp_path / f"{count}.zip", tmp_path / f"r{count}"
        pictures = gallery.backup(archive)
        with Gallery.restore(archive, folder) as copy:
            assert len(copy) == pictures
            assert (len(copy) - 93) % 10 == 0
        shutil.rmtree(folder)
        archive.unlink()
        count += 1
    thread.join()


def test_a_damaged_gallery_is_not_backed_up(gallery: Gallery, tmp_path: Path) -> None:
    with (gallery.path / "visible.float32").open("r+b") as file:
        file.seek(50)
        file.write(b"x")
    with pytest.raises(GalleryError, match="damaged"):
        gallery.backup(tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()


def test_a_backup_that_was_cut_off_or_changed_is_refused(gallery: Gallery, tmp_path: Path) -> None:
    archive = tmp_path / "b.zip"
    gallery.backup(archive)
    whole = archive.read_bytes()
    for cut in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        archive.write_bytes(whole[:cut])
        refused(archive, tmp_path / "again")
    for place in range(40, len(whole) - 200, len(whole) // 60):
        changed = bytearray(whole)
        changed[place] ^= 16
        archive.write_bytes(bytes(changed))
        refused(archive, tmp_path / "again")


def refused(archive: Path, folder: Path) -> str:
    with pytest.raises(VireidError) as told:
        Gallery.restore(archive, folder)
    assert not folder.exists()
    assert archive.name in str(told.value)
    return str(told.value)


def rewritten(archive: Path, **changes: bytes | None) -> None:
    """Write an archive with members added, changed or (None) left out."""
    with zipfile.ZipFile(archive) as old:
        members = {name: old.read(name) for name in old.namelist()}
    members |= {name.replace("__", "/"): value for name, value in changes.items() if value}
    with zipfile.ZipFile(archive, "w") as new:
        for name, value in members.items():
            if name not in changes or changes[name] is not None:
                new.writestr(name, value)


@pytest.mark.parametrize("name", ["..__evil", "__etc__evil", "sub__visible.float32", "notes.txt"])
def test_members_that_no_gallery_has_are_refused(
    gallery: Gallery, tmp_path: Path, name: str
) -> None:
    archive = tmp_path / "deep/er/b.zip"
    archive.parent.mkdir(parents=True)
    gallery.backup(archive)
    rewritten(archive, **{name: b"evil"})
    before = sorted(tmp_path.rglob("*"))
    refused(archive, tmp_path / "deep/er/again")
    with zipfile.ZipFile(archive) as packed:
        about = json.loads(packed.read("gallery.json"))
    about["sizes"][name.replace("__", "/")] = 4
    rewritten(archive, **{"gallery.json": json.dumps(about).encode()})
    assert "is no backup of a gallery (it holds" in refused(archive, tmp_path / "deep/er/again")
    assert sorted(tmp_path.rglob("*")) == before


def test_other_files_are_no_backups(tmp_path: Path) -> None:
    for content in (
        b"",
        b"PK",
        b"hello" * 100,
        zipped({"a.txt": b"x"}),
        zipped({"gallery.json": b"{"}),
    ):
        (tmp_path / "b.zip").write_bytes(content)
        refused(tmp_path / "b.zip", tmp_path / "again")
    future = json.dumps({"format": 9, "pictures": 0, "sizes": {"facts.sqlite": 0}}).encode()
    (tmp_path / "b.zip").write_bytes(zipped({"gallery.json": future, "facts.sqlite": b""}))
    assert "later version" in refused(tmp_path / "b.zip", tmp_path / "again")


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return file.getvalue()


def test_what_is_there_is_not_written_over(gallery: Gallery, tmp_path: Path) -> None:
    gallery.backup(tmp_path / "b.zip")
    with pytest.raises(GalleryError, match="is there already"):
        Gallery.restore(tmp_path / "b.zip", gallery.path)
    assert len(gallery) == 93


def test_a_full_disk_leaves_nothing(gallery: Gallery, tmp_path: Path) -> None:
    with full_disk(20_000), pytest.raises(VireidError, match=r"disk is full|could not be written"):
        gallery.backup(tmp_path / "b.zip")
    assert not list(tmp_path.glob("*b.zip*"))
    gallery.backup(tmp_path / "b.zip")
    with full_disk(5_000), pytest.raises(GalleryError, match="disk is full"):
        Gallery.restore(tmp_path / "b.zip", tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.zip", "g"]


def test_an_empty_gallery_is_backed_up_too(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "g", TOY) as gallery:
        gallery.backup(tmp_path / "b.zip")
    with Gallery.restore(tmp_path / "b.zip", tmp_path / "again") as again:
        assert len(again) == 0
        again.add(unit(3), people(3))
        assert again.search(unit(1), 1, Filters())[0][0].similarity > 0.999
        assert again.model.embedding_dim == DIM
