from datetime import datetime
from pathlib import Path

import pytest

from vireid.datasets.folder import find
from vireid.records import Box, ImageRecord, Modality

VISIBLE = Modality.VISIBLE


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
