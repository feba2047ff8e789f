"""Boxes of others: every format says the same, and what is wrong is told."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vireid.errors import VireidError
from vireid.video import boxes
from vireid.video.boxes import Detection

WIDTH, HEIGHT = 200, 100
SIDES = (20.0, 10.0, 60.0, 90.0)
SHARES = "0.2 0.5 0.2 0.8"


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def csv(folder: Path) -> Path:
    columns = "frame,left,top,right,bottom,score,track"
    return written(folder, "a.csv", f"{columns}\n7,20,10,60,90,0.5,3.0\n3,20,10,60,90,0.5,3\n")


def csv_by_names(folder: Path) -> Path:
    columns = "frame,left,top,right,bottom,score,track"
    return written(folder, "a.csv", f"{columns}\nday/0004.jpg,20,10,60,90,0.5,3\n")


def mot(folder: Path) -> Path:
    return written(folder, "det.txt", "8,3,20,10,40,80,0.5\n4,3,20,10,40,80,0.5,1,1\n")


def coco(folder: Path) -> Path:
    content = {
        "images": [{"id": 5, "file_name": "day/0004.jpg", "width": 200}],
        "categories": [{"id": 7, "name": "Person"}, {"id": 1, "name": "dog"}],
        "annotations": [
            {"image_id": 5, "category_id": 1, "bbox": [0, 0, 5, 5]},
            {
                "image_id": 5,
                "category_id": 7,
                "bbox": [20, 10, 40, 80],
                "score": 0.5,
                "track_id": 3,
            },
        ],
    }
    return written(folder, "coco.json", json.dumps(content))


def coco_results(folder: Path) -> Path:
    found = {"image_id": 3, "category_id": 1, "bbox": [20, 10, 40, 80], "score": 0.5, "track_id": 3}
    return written(folder, "results.json", json.dumps([found]))


def yolo(folder: Path) -> Path:
    written(folder, "labels/classes.txt", "person\n")
    return written(folder, "labels/day/0004.txt", f"0 {SHARES} 0.5 3\n").parent.parent


def yolo_of_a_video(folder: Path) -> Path:
    return written(folder, "labels/gate_4.txt", f"0 {SHARES} 0.5 3\n").parent


@pytest.mark.parametrize(
    "write", [csv, csv_by_names, mot, coco, coco_results, yolo, yolo_of_a_video]
)
def test_every_format_says_the_same(write: Callable[[Path], Path], tmp_path: Path) -> None:
    found = boxes.read(write(tmp_path))
    names = boxes.names_of(3, Path("/site/day/0004.jpg"), Path("/site/gate.mp4"))
    (person,) = found.of(names, WIDTH, HEIGHT).people
    assert person.sides == pytest.approx(SIDES)
    assert (person.score, person.track) == (0.5, "3")


def voc(name: str = "person", xmin: str = "20", before: str = "") -> str:
    box = f"<xmin>{xmin}</xmin><ymin>10</ymin><xmax>60</xmax><ymax>90</ymax>"
    found = f"<object><name>{name}</name><bndbox>{box}</bndbox></object>"
    return f"{before}<annotation>{found}</annotation>"


def test_voc_gives_boxes_and_no_scores(tmp_path: Path) -> None:
    one = written(tmp_path, "xml/010001.xml", voc())
    written(tmp_path, "xml/010002.xml", voc("dog"))
    for source in (one, one.parent):
        found = boxes.read(source)
        names = boxes.names_of(0, Path("LLVIP/visible/train/010001.jpg"))
        assert found.of(names, WIDTH, HEIGHT).people == (Detection(SIDES),)
    assert [each.reason for each in boxes.read(one.parent).unusable] == ["it is a dog, no person"]


def test_xml_that_grows_is_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbb">]>'
    written(tmp_path, "a.xml", voc())
    for name, encoding in (("b.xml", "utf-8"), ("c.xml", "utf-16")):
        (tmp_path / name).write_bytes(voc(before=bomb).encode(encoding))
    reasons = [each.reason for each in boxes.read(tmp_path).unusable]
    assert reasons == ["it defines entities, which no list of boxes needs"] * 2


def test_frigate_names_camera_time_and_track(tmp_path: Path) -> None:
    event = {"id": "1.5-abc", "camera": "gate", "label": "person", "start_time": 1.5}
    seen = {**event, "data": {"box": [0.1, 0.1, 0.2, 0.8], "score": 0.5, "type": "object"}}
    others = [{**event, "data": {"box": None}}, {**seen, "label": "car"}]
    found = boxes.read(written(tmp_path, "events.json", json.dumps([seen, *others])))
    for name in ("gate-1.5-abc.jpg", "gate-1.5-abc-clean.png"):
        (person,) = found.of(boxes.names_of(0, Path(name)), WIDTH, HEIGHT).people
        assert person.sides == pytest.approx(SIDES)
        time = datetime.fromtimestamp(1.5, UTC)
        assert (person.camera, person.track, person.time) == ("gate", "1.5-abc", time)
    reasons = ["it has no box, as Frigate kept no snapshot of it", "it is a car, no person"]
    assert [each.reason for each in found.unusable] == reasons


def test_boxes_are_cut_at_the_edge_and_told_beyond_it(tmp_path: Path) -> None:
    text = "1,-1,-20,50,40,80,1\n1,-1,300,10,40,80,1\n1,-1,199.5,10,40,80,1\n"
    found = boxes.read(written(tmp_path, "det.txt", text)).of([0], WIDTH, HEIGHT)
    assert [person.sides for person in found.people] == [(0, 50, 20, 100)]
    assert [each.where.rpartition(", ")[2] for each in found.unusable] == ["line 2", "line 3"]
    assert "outside of the frame of 200 x 100 pixels" in found.unusable[0].reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,4,nan,10,40,80,1", "is not a number"),
        ("1,4,20,10,40,inf,1", "is not a number"),
        ("1,4,20,10,40,80,nan", "is not a number"),
        ("1,4,20,10,0,80,1", "empty"),
        ("1,4,20,10,40,-80,1", "empty"),
        ("1,4,21,11,41,81,1", "the same box is there twice"),
        ("1,3,20,10,40,80,1", "track '3' is there twice"),
        ("0,4,20,10,40,80,1", "before the first"),
        ("1.5,4,20,10,40,80,1", "not a whole number"),
        ("nan,4,20,10,40,80,1", "not a whole number"),
        ("1,4,20,10,40,80,0", "does not count"),
        ("1,4,20,10,40,80,1,3", "class 3, no pedestrian"),
        ("1,4,20,10", "as in MOT"),
        ("one,4,20,10,40,80,1", "as in MOT"),
    ],
)
def test_a_bad_box_is_left_out_with_its_reason(line: str, reason: str, tmp_path: Path) -> None:
    found = boxes.read(written(tmp_path, "det.txt", f"1,3,21,11,41,81,1\n{line}\n"))
    (left_out,) = found.unusable
    assert left_out.where.endswith("det.txt, line 2")
    assert reason in left_out.reason
    assert len(found.of([0], WIDTH, HEIGHT).people) == 1


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.csv", "frame,left,top,right,bottom\n1,2,3,4,\n", "is not a number"),
        ("a.csv", "frame,left,top,right,bottom\n1,2,3,4,x\n", "cannot be read"),
        ("a.csv", "frame,left,top,right,bottom,class\n1,2,3,4,5,cat\n", "no person"),
        ("a.csv", "picture,left\n1,2\n", "has no column 'frame'"),
        ("a.csv", "frame,left,top,right,bottom,scores\n1,2,3,4,5,1\n", "did you mean 'score'"),
        ("a.txt", "", "holds no box"),
        ("a.json", "[", "damaged"),
        ("a.json", '{"images": []}', "damaged"),
        ("a.json", '[{"image_id": 3, "bbox": [1, 2, 3]}]', "no image_id or no bbox"),
        ("a.json", '[{"image_id": 3, "bbox": [1, 2, NaN, 4]}]', "damaged"),
        ("a.json", '{"images": [], "annotations": [{"image_id": 3}]}', "no image 3"),
        ("a.xml", "<annotation>", "not XML"),
        ("a.xml", voc(xmin="left"), "not a number"),
        ("a.xml", voc(xmin="nan"), "not a number"),
        ("labels/a.txt", "0 0.5 nan 0.1 0.1\n", "not a number"),
        ("labels/a.txt", "2 0.5 0.5 0.1 0.1\n", "no person"),
        ("labels/a.txt", "0 0.5 0.5\n", "as in YOLO"),
        ("a.parquet", "", "as its suffix tells"),
    ],
)
def test_a_file_without_any_box_is_refused(
    name: str, text: str, reason: str, tmp_path: Path
) -> None:
    path = written(tmp_path, name, text)
    with pytest.raises(VireidError, match=reason) as told:
        boxes.read(path.parent if "/" in name else path)
    assert "CSV" in str(told.value) or "column" in str(told.value)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    for name in ("a.csv", "a.txt", "a.json", "a.xml", "nothing"):
        with pytest.raises(VireidError, match=r"is missing|is no file"):
            boxes.read(tmp_path / name)
    with pytest.raises(VireidError, match=r"holds no \.txt"):
        boxes.read(tmp_path)


def test_frames_that_nobody_met_are_known(tmp_path: Path) -> None:
    found = boxes.read(mot(tmp_path))
    assert not found.of([4], WIDTH, HEIGHT).people
    assert found.of([3], WIDTH, HEIGHT).people
    assert found.never_met() == [7]


def test_scores_are_finite_numbers_in_any_format(tmp_path: Path) -> None:
    found = boxes.read(csv(tmp_path))
    listed = [box for of_frame in found.by_frame.values() for box in of_frame]
    assert listed
    assert all(math.isfinite(box.detection.score) for box in listed)
