"""What people say of pictures: by hand, and by lists of any length."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vireid.gallery import Gallery
from vireid.gallery.labelling import judge, name, name_by_list
from vireid.gallery.store import GalleryError
from vireid.models.card import ModelCard
from vireid.records import Box, ImageRecord, Modality

MODEL = ModelCard("toy", "toy", "0" * 16, "float32", 32, 16, 4)
Run = Callable[..., tuple[int, str, str]]


def made(folder: Path, records: list[ImageRecord]) -> Gallery:
    vectors = np.zeros((len(records), 4), np.float32)
    vectors[:, 0] = 1
    gallery = Gallery.create(folder / "a.gallery", MODEL)
    gallery.add(vectors, records)
    return gallery


def pictures(folder: Path, count: int) -> list[ImageRecord]:
    paths = (folder / "photos" / f"day {i % 40}" / f"{i}.jpg" for i in range(count))
    return [ImageRecord(path, Modality.VISIBLE, 1, "gate") for path in paths]


def write(list_: Path, *rows: dict[str, object]) -> Path:
    with list_.open("w", newline="") as file:
        table = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        table.writeheader()
        table.writerows(rows)
    return list_


def who(gallery: Gallery) -> dict[str, int | str | None]:
    return {entry.record.path.stem: entry.record.who for entry in gallery.entries()}


def test_many_labels_of_one_list_are_kept(tmp_path: Path) -> None:
    records = pictures(tmp_path, 1_000)
    rows = [{"path": r.path, "identity": f"person {i % 90}"} for i, r in enumerate(records)]
    with made(tmp_path, records) as gallery:
        labelled = name_by_list(gallery, write(tmp_path / "labels.csv", *rows))
        assert (labelled.pictures, labelled.unusable) == (1_000, ())
        assert who(gallery) == {r.path.stem: f"person {i % 90}" for i, r in enumerate(records)}


def test_a_list_says_names_numbers_nobody_and_tags_and_the_rest_stays(tmp_path: Path) -> None:
    records = pictures(tmp_path, 6)
    rows: list[dict[str, object]] = [
        {"path": "photos/day 0/0.jpg", "identity": "Anna", "tags": ""},
        {"path": records[1].path, "identity": 7, "tags": "hat;bag"},
        {"path": records[2].path, "identity": "", "tags": "hat"},
        {"path": records[3].path, "identity": -1, "tags": ""},
        {"path": records[4].path, "identity": "", "tags": ""},
        {"path": "photos/elsewhere.jpg", "identity": 3, "tags": ""},
        {"path": records[5].path, "identity": "1.5", "tags": ""},
    ]
    with made(tmp_path, records) as gallery:
        labelled = name_by_list(gallery, write(tmp_path / "labels.csv", *rows))
        assert who(gallery) == {"0": "Anna", "1": 7, "2": 1, "3": None, "4": 1, "5": 1}
        tags = {e.record.path.stem: set(e.record.tags) for e in gallery.entries()}
        assert tags == {"0": set(), "1": {"hat", "bag"}, "2": {"hat"}} | {n: set() for n in "345"}
    assert labelled.pictures == 4
    reasons = sorted(line.reason for line in labelled.unusable)
    assert [reason.split()[0] for reason in reasons] == ["identity", "neither", "the"]


def test_a_box_says_which_person_of_a_frame_is_meant(tmp_path: Path) -> None:
    (record,) = pictures(tmp_path, 1)
    boxes = Box(0, 0, 10, 20), Box(30, 0, 40, 20)
    sides = dict(zip(("left", "top", "right", "bottom"), boxes[1].corners, strict=True))
    list_ = write(tmp_path / "labels.csv", {"path": record.path, "identity": "Anna", **sides})
    with made(tmp_path, [replace(record, box=box) for box in boxes]) as gallery:
        assert name_by_list(gallery, list_).pictures == 1
        assert {e.record.box: e.record.who for e in gallery.entries()} == dict(
            zip(boxes, (1, "Anna"), strict=True)
        )
        name(gallery, [record.path], "Bob")
        assert {entry.record.who for entry in gallery.entries()} == {"Bob"}


def test_a_picture_that_is_not_there_is_told_and_nothing_changes(tmp_path: Path) -> None:
    records = pictures(tmp_path, 2)
    with made(tmp_path, records) as gallery:
        paths = [records[0].path, tmp_path / "other.jpg"]
        with pytest.raises(GalleryError, match=r"does not hold .*other\.jpg; index it first"):
            name(gallery, paths, "Anna")
        with pytest.raises(GalleryError, match="does not hold"):
            judge(gallery, records[0].path, paths, same=True)
        assert (who(gallery), gallery.judgements()) == ({"0": 1, "1": 1}, [])


def test_an_exported_list_is_corrected_and_given_back(tmp_path: Path, run: Run) -> None:
    with made(tmp_path, pictures(tmp_path, 3)) as gallery:
        address = gallery.path
    list_ = tmp_path / "people.csv"
    assert run("gallery", "export", address, list_, "--no-vectors")[0] == 0
    list_.write_text(list_.read_text().replace("visible,1,", "visible,Anna,", 2) + "gone.jpg\n")
    status, answer, told = run("gallery", "label", address, "--from", list_)
    assert (status, answer) == (0, "3 pictures labelled, 1 lines of the list are left out\n")
    assert "gone.jpg: the gallery does not hold it" in told
    with Gallery.open(address) as gallery:
        assert sorted(map(str, who(gallery).values())) == ["1", "Anna", "Anna"]
    status, answer, _ = run("gallery", "label", address, "--from", list_, "--json")
    assert (status, json.loads(answer)["labelled"]) == (0, 3)


@pytest.mark.parametrize(
    "words",
    [[], ["a.jpg", "--from", "LIST"], ["--from", "LIST", "--person", "Anna"], ["a.jpg"]],
)
def test_unclear_labels_are_refused(words: list[str], tmp_path: Path, run: Run) -> None:
    list_ = write(tmp_path / "labels.csv", {"path": "a.jpg", "identity": "Anna"})
    with made(tmp_path, pictures(tmp_path, 1)) as gallery:
        address = gallery.path
    given = [str(list_) if word == "LIST" else word for word in words]
    assert run("gallery", "label", address, *given)[0] == 2


def test_two_lines_about_one_picture_both_count(tmp_path: Path) -> None:
    (record,) = pictures(tmp_path, 1)
    boxed = replace(record, box=Box(0, 0, 10, 20))
    sides = dict(zip(("left", "top", "right", "bottom"), (0, 0, 10, 20), strict=True))
    said = {"path": record.path, "identity": "Anna"}, {"path": record.path, "tags": "hat", **sides}
    with made(tmp_path, [boxed]) as gallery:
        assert name_by_list(gallery, write(tmp_path / "labels.csv", *said)).pictures == 1
        (entry,) = gallery.entries()
        assert (entry.record.who, set(entry.record.tags)) == ("Anna", {"hat"})
