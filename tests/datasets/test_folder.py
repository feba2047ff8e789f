import os
from datetime import datetime
from pathlib import Path

import pytest
from tests.test_pictures import as_nobody

from vireid import datasets
from vireid.datasets.folder import Labels, find, labels_of
from vireid.errors import VireidError
from vireid.records import Box, ImageRecord, Modality

VISIBLE, INFRARED = Modality


@pytest.mark.parametrize(
    ("path", "labels"),
    [
        ("/site/visible/cam1/0012/a.jpg", Labels(VISIBLE, 12, "cam1")),
        ("/site/cam1/visible/0012/a.jpg", Labels(VISIBLE, 12, "cam1")),
        ("/site/RGB/a.jpg", Labels(VISIBLE)),
        ("/site/Thermal/1/thermal_00123.bmp", Labels(INFRARED, 1)),
        ("/site/nir/0007/a.jpg", Labels(INFRARED, 7)),
        ("/rgb/site/ir/a.jpg", Labels(INFRARED)),
        ("/sysu/cam3/0006/0001.jpg", Labels(INFRARED, 6, "cam3")),
        ("/sysu/cam4/0006/0001.jpg", Labels(VISIBLE, 6, "cam4")),
        ("/visible/cam3/0006/0001.jpg", Labels(VISIBLE, 6, "cam3")),
        ("/sysu/cam7/0006/0001.jpg", Labels(None, 6, "cam7")),
        ("/site/cam3/0006/monday.jpg", Labels(None, 6, "cam3")),
        ("/site/camera_north gate/a.jpg", Labels(None, None, "camera_north gate")),
        ("/campus/2026/11/a.jpg", Labels()),
        ("/site/visible/2nd/a.jpg", Labels(VISIBLE)),
    ],
)
def test_folders_say_what_is_on_a_picture(path: str, labels: Labels) -> None:
    assert labels_of(path) == labels


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_pictures_are_found_at_any_depth_in_the_order_of_names(tmp_path: Path) -> None:
    touch(tmp_path, "b/visible/2.JPG", "b/visible/10.png", "a/ir/1.tiff")
    touch(tmp_path, "a/ir/Thumbs.db", "a/ir/.hidden.jpg", ".cache/ir/x.jpg", "notes.txt")
    records = find(tmp_path).records
    assert [str(r.path.relative_to(tmp_path)) for r in records] == [
        "a/ir/1.tiff",
        "b/visible/10.png",
        "b/visible/2.JPG",
    ]
    assert [r.modality for r in records] == [INFRARED, VISIBLE, VISIBLE]


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


def test_pictures_of_unknown_spectrum_are_listed_and_the_rest_kept(tmp_path: Path) -> None:
    touch(tmp_path, "visible/a.jpg", "b.jpg")
    found = find(tmp_path)
    assert [r.path.name for r in found.records] == ["a.jpg"]
    assert found.unusable[0].where == str(tmp_path / "b.jpg")
    assert "nothing says its spectrum" in found.unusable[0].reason
    assert "--modality" in found.unusable[0].reason


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_linked_folders_are_searched_and_circles_end(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.jpg", "site/b/x.txt")
    (tmp_path / "site/visible").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/loop").symlink_to(tmp_path / "site")
    found = find(tmp_path / "site")
    assert [r.path for r in found.records] == [tmp_path / "site/visible/a.jpg"]


def test_a_name_that_is_not_unicode_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, "visible/a.jpg")
    Path(os.fsdecode(os.fsencode(tmp_path / "visible") + b"/gr\xfcn.jpg")).touch()
    found = find(tmp_path)
    assert [r.path.name for r in found.records] == ["a.jpg"]
    assert "not valid Unicode; rename" in found.unusable[0].reason


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
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid == os.getuid() and folder != Path("/tmp"):
            folder.chmod(0o755)
    (tmp_path / "secret").chmod(0)
    with as_nobody():
        found = find(tmp_path)
        with pytest.raises(VireidError, match="this folder cannot be read"):
            find(tmp_path / "secret")
    (tmp_path / "secret").chmod(0o755)
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
    assert [r.path.name for r in found.records] == ["a.jpg", "f.jpg"]
    told = {bad.where: bad.reason for bad in found.unusable}
    expected = {3: "no path", 4: "'ultraviolet'", 5: "'Bob' is not an integer", 6: "as in line 2"}
    for line, reason in (expected | {7: "more values"}).items():
        assert reason in told[f"{table}, line {line}"]
    assert "nothing says its spectrum" in told[str(tmp_path / "e.jpg")]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", r"has no column 'path'; its first line should read path,modality"),
        (b"file,modality\na.jpg,visible\n", "has no column 'path'"),
        (b"path,modalty\na.jpg,visible\n", "column 'modalty'; did you mean 'modality'"),
        (b"path;modality\na.jpg;visible\n", "has no column 'path'"),
        (b"path,modality\ngr\xfcn.jpg,visible\n", "not a CSV file in UTF-8.*save it as one"),
        (b'path,modality\n"a.jpg,visible\n', "not a CSV file"),
        (b"path,modality\n", "there is no picture in it"),
    ],
)
def test_a_file_that_is_no_such_csv_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "people.csv").write_bytes(content)
    with pytest.raises(VireidError, match=why):
        find(tmp_path / "people.csv")


def test_a_folder_is_a_data_set_split_by_its_folders(tmp_path: Path) -> None:
    for person, split in enumerate(("train", "validation", "test")):
        touch(tmp_path, f"{split}/visible/{person}/a.jpg", f"{split}/ir/{person}/b.jpg")
    touch(tmp_path, "visible/9/a.jpg", "visible/nobody.jpg")
    dataset = datasets.read("folder", tmp_path)
    assert {name: len(records) for name, records in dataset.splits.items()} == {
        "train": 2,
        "validation": 2,
        "test": 3,
    }
    assert dataset.differences == ("1 pictures of unknown people are left out",)
    touch(tmp_path, "visible/1/a.jpg", "visible/0/a.jpg", "b.jpg")
    with pytest.raises(VireidError, match=r"2 people are both .* keep all pictures .*\n  0\n  1"):
        datasets.read("folder", tmp_path)
    with pytest.raises(VireidError, match="give its root"):
        datasets.read("folder")


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
    (told,) = dataset.differences
    assert told.startswith("2 pictures or lines are left out; the first, ")
    assert "line 5: time 'yesterday' is not a time such as 2026-11-22T20:15:00" in told
    table.write_text("path,identity,modality\nnone.jpg,1,visible\n")
    with pytest.raises(VireidError, match=r"people.csv: 1 listed pictures are not there"):
        datasets.read("folder", table)


def test_a_csv_file_may_list_several_people_of_one_frame(tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    lines = [
        "path,modality,identity,camera,time,tracklet,tags,left,top,right,bottom",
        "f1.jpg,visible,1,gate,2026-11-22T20:15:00,t1,coat; red bag;,0,5,20,60",
        "f1.jpg,visible,2,gate,2026-11-22T20:15:00,t2,,30,5,50,60",
        "f1.jpg,visible,2,gate,,,,,,,",
        "f2.jpg,visible,1,gate,2026-11-22T20:15:01,t1,,2,5,22,60",
    ]
    table.write_text("\n".join(lines))
    found = find(table)
    assert found.unusable == ()
    first, second, whole, later = found.records
    assert first == ImageRecord(
        path=tmp_path / "f1.jpg",
        modality=VISIBLE,
        identity=1,
        camera="gate",
        tracklet="t1",
        time=datetime(2026, 11, 22, 20, 15),
        box=Box(0, 5, 20, 60),
        tags=frozenset({"coat", "red bag"}),
    )
    assert (second.box, second.tags, whole.box) == (Box(30, 5, 50, 60), frozenset(), None)
    assert (later.tracklet, later.box) == ("t1", Box(2, 5, 22, 60))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a.jpg,1,10,5,10,60", "box 10,5,10,60 is empty; give left, top, right, bottom in pixels"),
        ("a.jpg,1,-1,5,10,60", "box -1,5,10,60 begins outside of the frame"),
        ("a.jpg,1,1,5,10,", "box '1,5,10,' is not four integers: left, top, right, bottom"),
        ("a.jpg,1,1,5,10,60.5", "is not four integers"),
        ("good.jpg,1,00,0,10,20", "the same picture as in line 2"),
    ],
)
def test_a_bad_box_in_a_csv_file_is_listed_with_its_line(
    tmp_path: Path, line: str, why: str
) -> None:
    table = tmp_path / "visible.csv"
    table.write_text(f"path,identity,left,top,right,bottom\ngood.jpg,1,0,0,10,20\n{line}\n")
    found = find(table, VISIBLE)
    assert [r.path.name for r in found.records] == ["good.jpg"]
    assert found.unusable[0].where == f"{table}, line 3"
    assert why in found.unusable[0].reason


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ("path,left,top,right", r"lacks 'bottom'; a box has the columns left, top, right, bottom"),
        ("path,Left,Top,Right,Bottom", "column 'Left'; did you mean 'left'"),
        ("path,traklet", "did you mean 'tracklet'"),
    ],
)
def test_columns_of_boxes_are_all_there_or_none(tmp_path: Path, columns: str, why: str) -> None:
    (tmp_path / "people.csv").write_text(f"{columns}\na.jpg\n")
    with pytest.raises(VireidError, match=why):
        find(tmp_path / "people.csv")


def test_columns_of_other_names_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("path,modality,light,stop\na.jpg,visible,dim,2\n")
    assert len(find(tmp_path / "people.csv").records) == 1


def test_a_tracklet_is_of_one_person_before_one_camera(tmp_path: Path) -> None:
    lines = [
        "path,modality,identity,camera,tracklet",
        "a.jpg,visible,1,gate,t1",
        "b.jpg,visible,1,gate,t1",
        "c.jpg,visible,2,gate,t1",
        "d.jpg,visible,1,yard,t1",
        "e.jpg,infrared,1,gate,t1",
    ]
    (tmp_path / "people.csv").write_text("\n".join(lines))
    found = find(tmp_path / "people.csv")
    assert [r.path.name for r in found.records] == ["a.jpg", "b.jpg"]
    assert [bad.reason.partition(" in line 2")[0] for bad in found.unusable] == [
        f"tracklet 't1' has another {name}" for name in ("identity", "camera", "modality")
    ]
