"""A gallery is kept in step with its sources, and embeds nothing twice."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags
from tests.onnx_model import person, write_model, write_site

from vireid.datasets import folder
from vireid.gallery import Filters, Gallery
from vireid.gallery.sources import Source
from vireid.models.embedder import Embedded, Embedder
from vireid.records import Box, ImageRecord, Modality
from vireid.search import folder_indexing, searcher
from vireid.search.indexing import Indexed, index

Sync = Callable[..., Indexed]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """24 pictures of six people before two cameras, as SYSU-MM01 names them."""
    return write_site(tmp_path / "site")


@pytest.fixture
def model(tmp_path: Path) -> Embedder:
    return Embedder.open(write_model(tmp_path / "toy"))


@pytest.fixture
def gallery(tmp_path: Path, model: Embedder) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "a.gallery", model) as made:
        yield made


@pytest.fixture
def sync(gallery: Gallery, model: Embedder) -> Sync:
    def bring_up_to_date(source: Path, prune: bool = False) -> Indexed:
        records = folder.find(source).records
        return index(records, model, gallery, Source(source.absolute()), prune=prune)

    return bring_up_to_date


def paths(gallery: Gallery) -> list[Path]:
    return sorted(entry.record.path for entry in gallery.entries())


def is_in_step(gallery: Gallery, model: Embedder, source: Path) -> bool:
    """Whether every picture of a source is there once, with the vector of its file."""
    records = list(folder.find(source).records)
    if paths(gallery) != sorted(record.path.absolute() for record in records):
        return False
    hits = gallery.search(model.embed_records(records), 1)
    return all(h[0].similarity > 1 - 1e-5 for h in hits) and gallery.damage() == []


def test_the_source_again_changes_nothing(sync: Sync, site: Path, gallery: Gallery) -> None:
    assert sync(site).added == 24
    version = gallery._store.version()
    assert sync(site) == Indexed(0, 0, 24, ())
    assert gallery._store.version() <= version + 2  # the source is remembered again


def test_what_is_gone_is_removed(sync: Sync, site: Path, gallery: Gallery, model: Embedder) -> None:
    sync(site)
    shutil.rmtree(site / "cam1/0001")
    (site / "cam3/0002/0001.jpg").unlink()
    done = sync(site)
    assert (done.removed, done.unchanged, done.added, done.missing) == (3, 21, 0, 0)
    assert is_in_step(gallery, model, site)


def test_a_source_of_which_most_is_gone_is_left_alone_until_asked(
    sync: Sync, site: Path, gallery: Gallery, model: Embedder
) -> None:
    sync(site)
    for person_folder in ("cam1/0001", "cam1/0002", "cam1/0003", "cam3"):
        shutil.rmtree(site / person_folder)
    done = sync(site)
    assert (done.removed, done.missing, len(gallery)) == (0, 18, 24)
    done = sync(site, prune=True)
    assert (done.removed, done.missing) == (18, 0)
    assert is_in_step(gallery, model, site)


def move(*pairs: str) -> Callable[[Path], None]:
    def do(site: Path) -> None:
        for pair in pairs:
            old, new = pair.split(" > ")
            (site / new).parent.mkdir(parents=True, exist_ok=True)
            (site / old).rename(site / new)

    return do


MOVES = {
    "a camera": move("cam1 > cam2"),
    "a person": move("cam1/0001 > cam1/0099"),
    "a file": move("cam1/0001/0001.jpg > cam1/0001/0009.jpg"),
    "two exchange their names": move("cam1/0001 > x", "cam1/0002 > cam1/0001", "x > cam1/0002"),
    "one takes the name of another": move(
        "cam1/0002/0001.jpg > cam1/0001/0001.jpg", "cam1/0003/0001.jpg > cam1/0002/0001.jpg"
    ),
}


@pytest.mark.parametrize("name", MOVES)
def test_what_is_renamed_is_not_embedded_again(
    sync: Sync,
    site: Path,
    gallery: Gallery,
    model: Embedder,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sync(site)
    MOVES[name](site)
    left = len(list(site.rglob("*.jpg")))
    embedded: list[ImageRecord] = []
    embed = Embedder.in_batches

    def watched(self: Embedder, records: Sequence[ImageRecord]) -> Iterator[Embedded]:
        embedded.extend(records)
        return embed(self, records)

    with monkeypatch.context() as patch:
        patch.setattr(Embedder, "in_batches", watched)
        done = sync(site)
    assert (embedded, done.added) == ([], 0)
    assert done.moved + done.unchanged + done.relabelled == left
    assert is_in_step(gallery, model, site)
    assert sync(site).unchanged == left


def test_the_move_of_a_whole_source_is_followed(
    sync: Sync, site: Path, gallery: Gallery, model: Embedder
) -> None:
    sync(site)
    moved = site.rename(site.with_name("elsewhere"))
    done = sync(moved)
    assert (done.moved, done.added, done.removed) == (24, 0, 0)
    assert is_in_step(gallery, model, moved)
    assert {entry.source for entry in gallery.entries()} == {moved}
    shutil.rmtree(moved / "cam1/0001")
    assert sync(moved).removed == 2


def test_a_copy_is_a_picture_of_its_own(sync: Sync, site: Path, gallery: Gallery) -> None:
    sync(site)
    shutil.copytree(site / "cam1/0001", site / "cam1/0077")
    assert (sync(site).added, len(gallery)) == (2, 26)


def test_a_file_that_was_only_touched_is_not_embedded_again(
    sync: Sync, site: Path, gallery: Gallery, model: Embedder
) -> None:
    sync(site)
    for picture in site.rglob("*.jpg"):
        os.utime(picture, (1, 1))
    assert sync(site) == Indexed(0, 0, 24, ())
    (known,) = gallery.entries_of(list(folder.find(site).records[:1]))
    assert known
    assert known.stamp
    assert known.stamp.mtime_ns == 10**9
    assert is_in_step(gallery, model, site)


def test_pictures_that_change_often_do_not_fill_the_disk(
    sync: Sync, site: Path, gallery: Gallery, model: Embedder
) -> None:
    sync(site)
    for i in range(6):
        for n, picture in enumerate(sorted(site.rglob("*.jpg"))):
            person(1000 * (i + 1) + n).save(picture)
        assert sync(site).added == 24
    held = sum(f.stat().st_size for f in gallery.path.glob("*.float32"))
    assert held <= 2 * 24 * model.embedding_dim * 4
    assert is_in_step(gallery, model, site)


def test_a_picture_that_broke_is_no_longer_found(sync: Sync, site: Path, gallery: Gallery) -> None:
    sync(site)
    broken = site / "cam1/0001/0001.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    done = sync(site)
    assert (len(done.skipped), len(gallery)) == (1, 23)
    assert broken not in paths(gallery)


def test_other_sources_are_left_alone(
    sync: Sync, site: Path, gallery: Gallery, tmp_path: Path
) -> None:
    other = write_site(tmp_path / "other", people=2)
    sync(other)
    sync(site)
    away = other.rename(tmp_path / "away")
    assert sync(site).unchanged == 24
    assert len(gallery) == 24 + len(list(away.rglob("*.jpg")))


def test_sources_may_overlap(sync: Sync, site: Path, gallery: Gallery, tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    lines = [f"site/cam1/000{i}/0001.jpg,visible,{i}" for i in (1, 2, 3)]
    table.write_text("\n".join(["path,modality,identity", *lines]))
    sync(site)
    assert sync(table).unchanged == 3
    table.write_text("\n".join(["path,modality,identity", lines[0]]))
    assert (sync(table).removed, len(gallery)) == (0, 24)
    shutil.rmtree(site / "cam1/0002")
    assert sync(site / "cam1").removed == 2
    assert sync(site).unchanged == 22


def test_a_picture_in_two_boxes_loses_the_one_that_is_no_longer_listed(
    gallery: Gallery, model: Embedder, site: Path
) -> None:
    path = site / "cam1/0001/0001.jpg"
    whole = ImageRecord(path, Modality.VISIBLE, 1)
    left = replace(whole, box=Box(0, 0, 8, 30))
    source = Source(site / "list.csv")
    index([whole, left], model, gallery, source)
    moved = path.rename(path.with_name("0009.jpg"))
    done = index([replace(left, path=moved)], model, gallery, source)
    assert (done.moved, done.removed, len(gallery)) == (1, 1, 1)


def test_what_was_removed_for_good_stays_out_until_it_is_let_in(
    sync: Sync, site: Path, gallery: Gallery
) -> None:
    sync(site)
    gone = [e.record for e in gallery.entries(Filters(identity=1))]
    assert gallery.remove(gone, for_good=True) == 4
    move("cam1/0001 > cam1/0055")(site)
    done = sync(site)
    assert (done.kept_out, done.added, len(gallery)) == (4, 0, 20)
    gallery.readmit()
    assert (sync(site).added, len(gallery)) == (4, 24)


def test_who_somebody_has_named_keeps_the_name(sync: Sync, site: Path, gallery: Gallery) -> None:
    sync(site)
    (entry, *_) = gallery.entries(Filters(identity=2))
    named = replace(entry, record=replace(entry.record, person="Anna"), by_hand=True)
    gallery.change({entry.record.key: named})
    assert sync(site).unchanged == 24
    move("cam1 > cam2", "cam3 > cam6")(site)
    assert sync(site).moved == 24
    (found,) = gallery.entries(Filters(person="Anna"))
    assert (found.record.identity, found.by_hand) == (2, True)


def test_pictures_older_than_the_gallery_keeps_are_removed(
    gallery: Gallery, model: Embedder, site: Path
) -> None:
    old, new = (ImageRecord(path, Modality.VISIBLE) for path in sorted(site.rglob("*1.jpg"))[:2])
    today = datetime.now(UTC)
    times = [today - timedelta(days=40), today]
    records = [replace(r, time=time) for r, time in zip((old, new), times, strict=True)]
    index(records, model, gallery)
    assert len(gallery) == 2
    gallery.keep = timedelta(days=30)
    assert index(records, model, gallery).too_old == 1
    assert paths(gallery) == [new.path]
    os.utime(old.path, (1, 1))
    assert index([old], model, gallery).too_old == 1
    assert gallery.keep == timedelta(days=30)


def test_vectors_are_those_of_the_model_after_all_of_it(
    sync: Sync, site: Path, gallery: Gallery, model: Embedder
) -> None:
    sync(site)
    move("cam1 > cam2", "cam3/0001 > cam3/0044")(site)
    shutil.rmtree(site / "cam2/0002")
    person(123).save(site / "cam2/0003/0001.jpg")
    sync(site)
    records = [entry.record for entry in gallery.entries()]
    hits = gallery.search(model.embed_records(records), 1)
    assert np.allclose([h[0].similarity for h in hits], 1, atol=1e-5)


def test_times_come_from_the_list_the_name_or_the_picture(
    site: Path, tmp_path: Path, model: Embedder
) -> None:
    names = {
        "a_20261124_183000.jpg": None,
        "b.jpg": "2026:11-",
        "c.jpg": "2026:11:23 08:00:00",
        "d.jpg": None,
    }
    for i, (name, taken) in enumerate(names.items()):
        picture, path = person(500 + i), site / "visible" / name
        path.parent.mkdir(exist_ok=True)
        exif = picture.getexif()
        if taken:
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.OffsetTimeOriginal] = "+01:00"
        picture.save(path, exif=exif)
    out = tmp_path / "times.gallery"
    for _ in range(2):  # again it is remembered, and nothing is forgotten
        pattern = None if out.exists() else "%Y%m%d_%H%M%S"
        report = folder_indexing.index(site, out, model.card.source, time_pattern=pattern)
        assert report.indexed.relabelled == 0
        with Gallery.open(out) as gallery:
            times = {e.record.path.name: e.record.time for e in gallery.entries() if e.record.time}
    hour = timezone(timedelta(hours=1))
    assert times == {
        "a_20261124_183000.jpg": datetime(2026, 11, 24, 18, 30),
        "c.jpg": datetime(2026, 11, 23, 8, tzinfo=hour),
    }
    found = searcher.search(
        out, site / "cam3/0001/0001.jpg", 50, filters=Filters.from_words(["on:2026-11-24"])
    )
    assert [hit.record.path.name for hit in found[0].hits] == ["a_20261124_183000.jpg"]
    table = tmp_path / "people.csv"
    table.write_text("path,modality,time\nsite/visible/c.jpg,visible,2001-01-01\n")
    folder_indexing.index(table, out)
    with Gallery.open(out) as gallery:
        (entry,) = gallery.entries(Filters.from_words(["on:2001-01-01"]))
        assert entry.record.path.name == "c.jpg"
