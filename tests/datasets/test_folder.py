import os
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from tests.permissions import closed

from vireid import datasets
from vireid.datasets.folder import find
from vireid.errors import VireidError
from vireid.records import ImageRecord, Modality

VISIBLE, INFRARED = Modality


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_what_is_said_by_option_is_above_what_folders_say(tmp_path: Path) -> None:
    touch(tmp_path, "visible/cam1/a.jpg", "b.jpg")
    records = find(tmp_path, INFRARED, "gate").records
    assert {(r.modality, r.camera) for r in records} == {(INFRARED, "gate")}
    assert len(records) == 2


def test_the_folder_itself_may_be_the_one_that_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "thermal/a.jpg")
    monkeypatch.chdir(tmp_path / "thermal")
    assert find(".").records == (ImageRecord(Path("a.jpg"), INFRARED),)


def test_folders_above_the_one_that_is_given_say_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "camera exports/thermal/42"
    touch(place, "photos/visible/a.jpg", "photos/b.jpg", "photos/7/cam1/c.jpg")
    (place / "photos/people.csv").write_text("path\nvisible/a.jpg\nb.jpg\n7/cam1/c.jpg\n")
    monkeypatch.chdir(place)
    for source in ("photos", place / "photos", "photos/people.csv", "../42/photos"):
        found = find(source)
        assert [(r.path.name, r.modality, r.identity, r.camera) for r in found.records] == [
            ("a.jpg", VISIBLE, None, None)
        ]
        assert len(found.unusable) == 2
        found = find(source, VISIBLE)
        assert {r.path.name: (r.identity, r.camera) for r in found.records} == {
            "a.jpg": (None, None),
            "b.jpg": (None, None),
            "c.jpg": (None, "cam1"),
        }


def test_a_list_is_no_folder_that_says_something(tmp_path: Path) -> None:
    touch(tmp_path, "visible/a.jpg")
    (tmp_path / "visible/cam1.csv").write_text("path\na.jpg\n")
    with pytest.raises(VireidError, match="nothing says its spectrum"):
        find(tmp_path / "visible/cam1.csv")


def test_dates_are_nobody_and_told(tmp_path: Path) -> None:
    touch(tmp_path, "visible/cam1/2026/11/30/a.jpg", "visible/cam1/20261201/a.jpg")
    touch(tmp_path, "infrared/cam2/0007/a.jpg", f"infrared/cam2/{'9' * 20}/a.jpg")
    found = find(tmp_path)
    assert {record.identity for record in found.records} == {None, 7}
    (note,) = found.notes
    assert note.startswith("3 folders are called by a date, or a number of more than 64 bits")
    for folder in ("visible/cam1/2026", "visible/cam1/20261201", f"infrared/cam2/{'9' * 20}"):
        assert folder in note
    assert people(tmp_path) == [set(), set(), {7}]


def test_what_was_seen_is_told_with_what_says_so(tmp_path: Path) -> None:
    touch(tmp_path, "visible/cam1/0012/a.jpg", "visible/cam1/0013/a.jpg", "infrared/b.jpg")
    seen = find(tmp_path).seen()
    own = tmp_path.name
    assert (seen.people, seen.cameras) == (2, ("cam1",))
    assert list(seen.lines()) == [
        f"people: 2, named by folders of level 3 such as {own}/visible/cam1/0012 (2 pictures)",
        f"cameras: 1 (cam1), named by folders of level 2 such as {own}/visible/cam1 (2 pictures)",
        f"spectra: named by folders of level 1 such as {own}/infrared (3 pictures)",
    ]
    (tmp_path / "people.csv").write_text(
        "path,identity\nvisible/cam1/0012/a.jpg,5\ninfrared/b.jpg,\nvisible/cam1/0013/a.jpg,-1\n"
    )
    seen = find(tmp_path / "people.csv", camera="gate").seen()
    assert seen.as_dict() == {
        "people": 1,
        "cameras": ["gate"],
        "labels_from": [
            {"label": label, "kind": kind, "level": level, "example": example, "pictures": count}
            for label, kind, level, example, count in (
                ("modality", "folder", 1, "visible", 3),
                ("identity", "column", None, "identity", 1),
                ("camera", "option", None, "--camera", 3),
            )
        ],
    }


def test_a_camera_that_is_spelt_in_two_ways_is_one(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "Cam Süd") for form in ("NFC", "NFD"))
    touch(tmp_path, f"visible/{composed}/1/a.jpg", f"infrared/{apart}/1/a.jpg")
    touch(tmp_path, f"infrared/{composed.lower()}/1/b.jpg")
    found = find(tmp_path)
    assert {record.camera for record in found.records} == {composed}
    (note,) = found.notes
    assert note == f"camera {apart} is spelt in 3 ways, which are taken for one"


def test_a_picture_in_place_of_a_list_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    with pytest.raises(VireidError, match=r"a\.jpg is a picture; give the folder it lies in"):
        find(tmp_path / "a.jpg")


def test_pictures_of_unknown_spectrum_are_listed_and_the_rest_kept(tmp_path: Path) -> None:
    touch(tmp_path, "visible/a.jpg", "b.jpg")
    found = find(tmp_path)
    assert [r.path.name for r in found.records] == ["a.jpg"]
    assert found.unusable[0].where == str(tmp_path / "b.jpg")
    assert "nothing says its spectrum" in found.unusable[0].reason
    assert "--modality" in found.unusable[0].reason


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ((), r"there is no picture in it; pictures are files that end in .*\.jpg"),
        (("notes.txt",), "there is no picture in it"),
        (("a.jpg", "b.jpg"), r"none of 2 can be used; the first: .*a\.jpg: nothing says"),
    ],
)
def test_a_folder_without_usable_pictures_is_an_error(
    tmp_path: Path, names: tuple[str, ...], why: str
) -> None:
    (tmp_path / "photos").mkdir()
    touch(tmp_path / "photos", *names)
    with pytest.raises(VireidError, match=why):
        find(tmp_path / "photos")


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VireidError, match="is not there; give a folder"):
        find(tmp_path / "nothing")


def test_a_folder_that_may_not_be_read_is_an_error_or_listed_beside_others(tmp_path: Path) -> None:
    touch(tmp_path, "visible/a.jpg", "secret/visible/b.jpg")
    with closed(tmp_path / "secret"):
        found = find(tmp_path)
        with pytest.raises(VireidError, match="this folder cannot be read"):
            find(tmp_path / "secret")
    assert len(found.records) == 1
    assert found.unusable[0].where == str(tmp_path / "secret")
    assert "cannot be read (Permission denied)" in found.unusable[0].reason


def test_a_csv_file_lists_pictures_beside_it_and_elsewhere(tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    table.write_text(
        "\ufeffpath,modality,identity,camera,taken\n"
        "day/a.jpg,visible,12,gate,monday\n"
        '"/else, where/b.jpg",IR,,,\n'
        "cam3/0006/0001.jpg,,,,\n",
        encoding="utf-8",
    )
    assert find(table).records == (
        ImageRecord(tmp_path / "day/a.jpg", VISIBLE, 12, "gate"),
        ImageRecord(Path("/else, where/b.jpg"), INFRARED),
        ImageRecord(tmp_path / "cam3/0006/0001.jpg", INFRARED, 6, "cam3"),
    )


def test_bad_lines_of_a_csv_file_are_listed_with_their_number_and_the_rest_kept(
    tmp_path: Path,
) -> None:
    table = tmp_path / "people.csv"
    lines = [
        "path,modality,identity",
        "a.jpg,visible,1",
        ",visible,2",
        "b.jpg,ultraviolet,3",
        "c.jpg,visible,Bob",
        "./a.jpg,visible,1",
        "d.jpg,visible,4,too,many",
        "e.jpg",
        "f.jpg,infrared,5",
    ]
    table.write_text("\n".join(lines))
    found = find(table)
    assert [r.path.name for r in found.records] == ["a.jpg", "c.jpg", "f.jpg"]
    assert [r.who for r in found.records] == [1, "Bob", 5]
    told = {bad.where: bad.reason for bad in found.unusable}
    expected = {3: "no path", 4: "'ultraviolet'", 6: "in line 2"}
    for line, reason in (expected | {7: "more values"}).items():
        assert reason in told[f"{table}, line {line}"]
    assert "nothing says its spectrum" in told[str(tmp_path / "e.jpg")]


def test_people_with_names_are_learnt_from_by_numbers(tmp_path: Path) -> None:
    lines = ["path,modality,identity", "a.jpg,visible,7", "b.jpg,visible,Bob", "c.jpg,ir,anna"]
    lines += ["d.jpg,visible,ANNA", "e.jpg,visible,-1", "f.jpg,visible,3.5"]
    (tmp_path / "people.csv").write_text("\n".join(lines))
    for name in "abcdef":
        (tmp_path / f"{name}.jpg").touch()
    dataset = datasets.read("folder", tmp_path / "people.csv")
    assert {r.path.stem: r.identity for r in dataset.test} == {"a": 7, "b": 8, "c": 9, "d": 9}
    remarks = str(dataset.facts["remarks"])
    assert "person anna is spelt in 2 ways" in remarks
    assert "unknown" in remarks


def test_a_folder_is_a_data_set_split_by_its_folders(tmp_path: Path) -> None:
    for person, split in enumerate(("train", "validation", "test")):
        touch(tmp_path, f"{split}/visible/{person}/a.jpg", f"{split}/ir/{person}/b.jpg")
    touch(tmp_path, "visible/9/a.jpg", "visible/nobody.jpg")
    dataset = datasets.read("folder", tmp_path)
    assert {name: len(records) for name, records in dataset.groups.items()} == {
        "train": 2,
        "validation": 2,
        "test": 3,
    }
    unknown, other = dataset.differences
    assert unknown == "1 pictures of unknown people are left out"
    assert other.startswith("people in visible are scored on, as these are none of the folders")
    touch(tmp_path, "visible/1/a.jpg", "visible/0/a.jpg", "b.jpg")
    with pytest.raises(VireidError, match=r"2 people are both .* keep all pictures .*\n  0\n  1"):
        datasets.read("folder", tmp_path)
    with pytest.raises(VireidError, match="give its root"):
        datasets.read("folder")


def people(root: Path | str) -> list[set[int | None]]:
    """Who is learnt from, validated on and scored on."""
    groups = datasets.read("folder", root).groups.values()
    return [{record.identity for record in records} for records in groups]


GROUPS: list[set[int | None]] = [{1, 2}, {3}, {4, 5}]


def grouped(root: Path, names: Sequence[str] = ("train", "validation", "test")) -> list[Path]:
    """Pictures of the people in `GROUPS`, in folders of these names."""
    pictures = [
        f"{name}/{spectrum}/{person}/a.jpg"
        for name, of_group in zip(names, GROUPS, strict=True)
        for person in of_group
        for spectrum in ("visible", "infrared")
    ]
    touch(root, *pictures)
    return [root / picture for picture in pictures]


@pytest.mark.parametrize(
    "names",
    [("train", "val", "test"), ("Train", "VALIDATION", "Testing"), ("training", "valid", "tests")],
)
def test_groups_are_the_same_in_any_spelling(tmp_path: Path, names: Sequence[str]) -> None:
    grouped(tmp_path, names)
    assert people(tmp_path) == GROUPS
    assert datasets.read("folder", tmp_path).differences == ()


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_groups_are_the_same_however_a_folder_or_a_list_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = grouped(tmp_path / "d")
    relative = [os.path.relpath(path, tmp_path / "d") for path in pictures]
    (tmp_path / "d/absolute.csv").write_text("\n".join(["path", *map(str, pictures)]))
    (tmp_path / "d/relative.csv").write_text("\n".join(["path", *relative]))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/absolute.csv").write_text("\n".join(["path", *map(str, pictures)]))
    (tmp_path / "linked").symlink_to("d")
    for name in ("absolute", "relative"):
        (tmp_path / f"{name}.csv").symlink_to(f"d/{name}.csv")
    monkeypatch.chdir(tmp_path)
    lists = ["d/absolute.csv", "d/relative.csv", "linked/absolute.csv", "linked/relative.csv"]
    lists += ["absolute.csv", "relative.csv", "elsewhere/absolute.csv"]
    for root in ["d", "linked", *lists]:
        assert people(root) == GROUPS, root
        assert people(tmp_path / root) == GROUPS, root
    monkeypatch.chdir(tmp_path / "d")
    for root in (".", "absolute.csv", "../linked", "../elsewhere/absolute.csv"):
        assert people(root) == GROUPS, root


def test_folders_that_are_no_group_are_told_where_others_are(tmp_path: Path) -> None:
    touch(tmp_path, "trian/visible/1/a.jpg", "trian/ir/1/a.jpg")
    (told,) = datasets.read("folder", tmp_path).differences
    assert told.startswith("people in trian are scored on, as these are none of the folders train")
    touch(tmp_path / "b", "data/train/visible/1/a.jpg", "data/train/ir/1/a.jpg")
    (told,) = datasets.read("folder", tmp_path / "b").differences
    assert told.startswith("people in data are scored on")
    touch(tmp_path / "c", "north/visible/1/a.jpg", "south/ir/1/a.jpg")
    assert datasets.read("folder", tmp_path / "c").differences == ()


def test_a_csv_file_is_a_data_set_too(tmp_path: Path) -> None:
    touch(tmp_path, "photos/a.jpg", "photos/b.jpg", "train/c.jpg", "d.jpg")
    table = tmp_path / "people.csv"
    lines = [
        "path,identity,camera,modality,time",
        "photos/a.jpg,1,gate,visible,2026-11-22T20:15:00",
        "photos/b.jpg,1,gate,infrared,2026-11-22 20:15",
        "train/c.jpg,2,gate,visible,",
        "d.jpg,3,gate,visible,yesterday",
        "d.jpg,,gate,visible,",
    ]
    table.write_text("\n".join(lines))
    dataset = datasets.read("folder", table)
    assert [(r.path.name, r.time) for r in dataset.test] == [
        ("a.jpg", datetime(2026, 11, 22, 20, 15)),
        ("b.jpg", datetime(2026, 11, 22, 20, 15)),
    ]
    assert [r.identity for r in dataset.train] == [2]
    assert dataset.root == tmp_path
    unknown, told, other = dataset.differences
    assert unknown == "1 pictures of unknown people are left out"
    assert other.startswith("people in photos, the folder itself are scored on")
    assert told.startswith("1 pictures or lines are left out; the first, ")
    assert "line 5: time 'yesterday' is not a time such as 2026-11-22T20:15:00" in told
    table.write_text("path,identity,modality\nnone.jpg,1,visible\n")
    with pytest.raises(VireidError, match=r"people.csv: 1 listed pictures are not there"):
        datasets.read("folder", table)
