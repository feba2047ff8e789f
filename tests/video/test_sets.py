"""People are cut out of published sets of frames; what is wrong with a copy is told."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests import frame_sets

from vireid import datasets
from vireid.errors import Interrupted, VireidError
from vireid.files import atomic
from vireid.records import Modality
from vireid.scoring import data_check
from vireid.video import set_cutting, sets
from vireid.video.registration import registration
from vireid.video.set_cutting import CutSet, Wish, cut_set

PEOPLE = {"llvip": 12, "kaist": 4, "mot_pair": 4, "mid3k": 18, "boxes": 4}
"""People on the little trees: in LLVIP and MID-3K, each picture has others."""


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("frames")
    for name, write in frame_sets.WRITERS.items():
        write(root / name)
    return root


@pytest.fixture
def tree(request: pytest.FixtureRequest, trees: Path, tmp_path: Path) -> Path:
    """A copy of the set that the test's parameter names, to be damaged."""
    return Path(shutil.copytree(trees / request.param, tmp_path / request.param))


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("tree", [name], indirect=True)


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "people.csv").open() as file:
        return list(csv.DictReader(file))


def reasons(done: CutSet) -> str:
    return "\n".join(f"{each.where}: {each.reason}" for each in done.unusable)


@pytest.mark.parametrize("name", sets.available())
def test_each_set_becomes_a_sound_data_set(name: str, trees: Path, tmp_path: Path) -> None:
    done = cut_set(name, trees / name, tmp_path / "out")
    assert done.people == PEOPLE[name]
    assert not done.unusable
    found = data_check.check("folder", tmp_path / "out/people.csv", full=True)
    assert found.sound
    assert not [finding for finding in found.findings if finding.kind == "spectrum"]
    people = datasets.read("folder", tmp_path / "out/people.csv")
    everybody = [record for group in people.groups.values() for record in group]
    assert {record.identity for record in everybody} == set(range(PEOPLE[name]))
    for record in everybody:
        twins = [r for r in everybody if (r.identity, r.moment) == (record.identity, record.moment)]
        assert {r.modality for r in twins} == set(Modality)


@pytest.mark.parametrize("name", sets.available())
def test_facts_say_what_may_be_done_and_how_to_get_it(name: str) -> None:
    facts = sets.facts(name)
    for key in ("title", "url", "licence", "terms", "obtain", "citation"):
        assert isinstance(facts[key], str)
    assert sets.description(name).endswith(".")


def test_llvip_says_that_nobody_may_be_identified(
    run: Callable[..., tuple[int, str, str]], trees: Path, tmp_path: Path
) -> None:
    assert "identifies a person" in run("list", "sets", "llvip")[1].replace("\n", " ")
    told = run("data", "cut", "llvip", trees / "llvip", "--out", tmp_path / "out")
    assert told[0] == 0
    assert "forbid" in told[1]
    assert "12 people, 24 crops from 2 scenes" in told[1]
    answer = json.loads(
        run("data", "cut", "llvip", trees / "llvip", "--out", tmp_path / "out", "--json")[1]
    )
    assert answer["again"] == 2
    assert "forbid" in answer["facts"]["terms"]


def test_lines_have_time_place_box_and_native_height(trees: Path, tmp_path: Path) -> None:
    cut_set("kaist", trees / "kaist", tmp_path)
    rows = rows_of(tmp_path)
    assert {row["height"] for row in rows} == {"80"}
    assert {row["scene"] for row in rows} == {"set00", "set06"}
    visible = [r for r in rows if r["modality"] == "visible" and r["identity"] == "0"]
    infrared = [r for r in rows if r["modality"] == "infrared" and r["identity"] == "0"]
    assert [row["seconds"] for row in visible] == ["0.0", "0.05", "0.1", "0.15"]
    assert visible[1]["time"] == "2000-01-01T00:00:00.050000"
    # of each spectrum its own box
    assert visible[0]["box"] == "40,30,70,110"
    assert infrared[0]["box"] == "42,30,72,110"
    with Image.open(tmp_path / visible[0]["path"]) as crop:
        assert crop.size == (30, 80)


def test_tracks_without_boxes_of_each_spectrum_and_boxes_without_tracks(
    trees: Path, tmp_path: Path
) -> None:
    shutil.copytree(trees / "kaist", tmp_path / "a")
    shutil.rmtree(tmp_path / "a/annotations_paired")
    assert cut_set("kaist", tmp_path / "a", tmp_path / "one").people == 4
    assert {row["box"] for row in rows_of(tmp_path / "one")} == {"40,30,70,110", "120,40,150,120"}
    shutil.copytree(trees / "kaist", tmp_path / "b")
    shutil.rmtree(tmp_path / "b/annotations-vbb")
    done = cut_set("kaist", tmp_path / "b", tmp_path / "other")
    assert done.people == 20  # nobody is followed: two in each of ten pictures


def test_lasher_takes_videos_of_people(tmp_path: Path) -> None:
    frame_sets.lasher(tmp_path / "LasHeR")
    done = cut_set("mot_pair", tmp_path / "LasHeR", tmp_path / "out")
    assert done.people == 1
    assert {row["box"] for row in rows_of(tmp_path / "out")} == {"40,30,70,110", "41,30,71,110"}
    assert any("redcar" in note and "no person" in note for note in done.notes)
    assert any("frames a second" in note for note in done.notes)


def test_at_most_so_many_crops_spread_in_time(trees: Path, tmp_path: Path) -> None:
    cut_set("mot_pair", trees / "mot_pair", tmp_path, Wish(crops=3))
    rows = [r for r in rows_of(tmp_path) if r["identity"] == "0" and r["modality"] == "visible"]
    assert [row["frame"] for row in rows] == ["0", "2", "4"]
    assert [row["seconds"] for row in rows] == ["0.0", "0.2", "0.4"]


@of("mot_pair")
def test_a_track_number_of_another_video_is_somebody_else(tree: Path, tmp_path: Path) -> None:
    cut_set("mot_pair", tree, tmp_path / "out")
    rows = [row for row in rows_of(tmp_path / "out") if "-1-" in row["tracklet"]]
    of_track_1 = {(row["source"], row["identity"]) for row in rows}
    assert len({source for source, _ in of_track_1}) == 2
    assert len({identity for _, identity in of_track_1}) == 2


@of("llvip")
def test_half_a_download_is_refused_with_the_way_to_the_rest(tree: Path, tmp_path: Path) -> None:
    shutil.rmtree(tree / "infrared")
    with pytest.raises(VireidError, match=r"not a whole LLVIP folder: infrared not found.*bupt-ai"):
        cut_set("llvip", tree, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out/people.csv").exists()


@of("mid3k")
def test_one_clone_without_the_other_is_refused(tree: Path, tmp_path: Path) -> None:
    shutil.rmtree(tree / "MID-3K-thermal")
    with pytest.raises(VireidError, match="no infrared images/ in it; how to get it: git clone"):
        cut_set("mid3k", tree, tmp_path / "out")


@of("kaist")
def test_a_root_that_is_something_else_is_refused(tree: Path, tmp_path: Path) -> None:
    for name in ("kaist", "mot_pair", "boxes"):
        with pytest.raises(VireidError, match=r"holds no|not a whole|has no"):
            cut_set(name, tree / "annotations-vbb", tmp_path / "out")
    with pytest.raises(VireidError, match="did you mean 'kaist'"):
        cut_set("kaits", tree, tmp_path / "out")
    with pytest.raises(VireidError, match="is no folder"):
        cut_set("kaist", tree / "nowhere", tmp_path / "out")


@of("llvip")
def test_names_of_other_copies_are_understood(tree: Path, tmp_path: Path) -> None:
    (tree / "inner").mkdir()
    for group in ("train", "test"):
        (tree / "inner" / group).mkdir()
        (tree / "visible" / group).rename(tree / "inner" / group / "VIS")
        (tree / "infrared" / group).rename(tree / "inner" / group / "thermal")
    (tree / "Annotations").rename(tree / "inner/annotations")
    for name in ("visible", "infrared"):
        shutil.rmtree(tree / name)
        (tree / "inner" / name).mkdir()
    assert cut_set("llvip", tree, tmp_path / "out").people == 12


@of("llvip")
def test_frames_without_a_twin_or_a_list_are_told(tree: Path, tmp_path: Path) -> None:
    (tree / "infrared/test/190002.jpg").unlink()
    (tree / "Annotations/010001.xml").unlink()
    done = cut_set("llvip", tree, tmp_path / "out")
    assert done.people == 8
    assert "190002.jpg: frame of 19 without its twin" in reasons(done)
    assert "there is no 010001.xml" in reasons(done)


@of("llvip")
def test_a_second_class_and_boxes_that_are_none_are_left_out(tree: Path, tmp_path: Path) -> None:
    lists = tree / "Annotations"
    outside = (900.0, 10.0, 950.0, 90.0)
    empty = (50.0, 50.0, 50.0, 120.0)
    half_outside = (-40.0, 10.0, 20.0, 90.0)
    (lists / "190001.xml").write_text(frame_sets.voc(frame_sets.PERSON, others=("car", "bicycle")))
    (lists / "190002.xml").write_text(frame_sets.voc(frame_sets.PERSON, outside))
    (lists / "190003.xml").write_text(frame_sets.voc(frame_sets.PERSON, empty, half_outside))
    done = cut_set("llvip", tree, tmp_path / "out")
    assert done.people == 6 + 3
    assert "190002-1: its box lies outside of the frame" in reasons(done)
    assert "object 2: its box is empty" in reasons(done)
    assert "190003-1: its box lies outside" in reasons(done)
    assert "car" not in reasons(done)


@of("mot_pair")
def test_a_video_with_unequal_frame_counts_is_left_out(tree: Path, tmp_path: Path) -> None:
    (tree / "test/photo-0310-40/infrared/0000003.jpg").unlink()
    done = cut_set("mot_pair", tree, tmp_path / "out")
    assert done.people == 2
    assert "not equally many (6 visible, 5 infrared)" in reasons(done)


@of("mot_pair")
def test_tracks_beyond_the_last_frame_are_told(tree: Path, tmp_path: Path) -> None:
    with (tree / "test/photo-0310-40/gt/gt.txt").open("a") as file:
        file.write("7,1,40,30,30,80,1,1\nnonsense\n")
    done = cut_set("mot_pair", tree, tmp_path / "out")
    assert done.people == 4
    assert "there is no frame 7; the video has 6" in reasons(done)
    assert "is not frame,track" in reasons(done)


@of("kaist")
def test_a_damaged_list_of_tracks_costs_its_video_only(tree: Path, tmp_path: Path) -> None:
    path = tree / "annotations-vbb/set06/V000.vbb"
    path.write_bytes(path.read_bytes()[:400])
    done = cut_set("kaist", tree, tmp_path / "out")
    assert done.people == 2
    assert "V000.vbb: it is no list of tracks" in reasons(done)


@of("kaist")
def test_unequal_lists_of_the_spectra_are_told(tree: Path, tmp_path: Path) -> None:
    path = tree / "annotations_paired/set06/V000/lwir/I00001.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    done = cut_set("kaist", tree, tmp_path / "out")
    assert "set06/V000/I00001: its lists have 2 visible and 1 infrared lines" in reasons(done)
    assert done.people == 4


@of("mid3k")
def test_broken_pictures_and_missing_lists_are_told(tree: Path, tmp_path: Path) -> None:
    names = sorted((tree / "MID-3K-rgb/images").iterdir())
    names[0].write_bytes(names[0].read_bytes()[:100])
    (tree / "MID-3K-thermal/labels" / f"{names[1].stem}.txt").unlink()
    done = cut_set("mid3k", tree, tmp_path / "out")
    assert done.people == 14
    assert f"{names[0].name}: " in reasons(done)
    assert "has no list of boxes" in reasons(done)
    assert any("in one spectrum only" in note for note in done.notes)


def test_spectra_that_show_something_else_are_left_out(tmp_path: Path) -> None:
    frame_sets.boxes(tmp_path / "mine")
    for number in range(5):
        name = f"yard/{number:04d}.png"
        pair = (tmp_path / "mine" / spectrum / name for spectrum in ("visible", "infrared"))
        frame_sets.write_pair(pair, place=8, shift=40)
    done = cut_set("boxes", tmp_path / "mine", tmp_path / "out")
    assert done.people == 2
    assert "yard: its visible and infrared pictures do not show the same" in reasons(done)
    assert "moved by +20 % of the width" in reasons(done)
    wish = Wish(any_registration=True)
    assert cut_set("boxes", tmp_path / "mine", tmp_path / "out", wish).people == 4


def test_unrelated_pictures_fit_at_no_shift(tmp_path: Path) -> None:
    pictures = []
    for place in range(6):
        files = tmp_path / f"{place}v.png", tmp_path / f"{place}i.png"
        # People stand at the same pixels in all, so they alone would fit.
        frame_sets.write_pair(files, place, people=())
        pictures.append([Image.open(file).convert("RGB") for file in files])
    pairs = [(visible, infrared) for visible, infrared in pictures[:3]]
    true = registration(pairs)
    assert true is not None
    assert true.is_registered
    others = zip(pictures[:3], pictures[3:], strict=True)
    wrong = registration([(visible, infrared) for (visible, _), (_, infrared) in others])
    assert wrong is not None
    assert not wrong.is_registered
    blank = Image.fromarray(np.zeros((50, 50, 3), np.uint8))
    assert registration([(blank, blank)]) is None


def test_own_boxes_of_each_spectrum_make_one_person_where_they_overlap(tmp_path: Path) -> None:
    for number in range(3):
        name = f"{number}.png"
        pair = (tmp_path / "mine" / spectrum / name for spectrum in ("visible", "infrared"))
        frame_sets.write_pair(pair)
    header, one = "frame,left,top,right,bottom", "0.png,40,30,70,110"
    (tmp_path / "mine/visible.csv").write_text(f"{header}\n{one}\n0.png,120,40,150,120\n")
    (tmp_path / "mine/infrared.csv").write_text(f"{header}\n0.png,43,32,73,112\n9.png,1,1,9,90\n")
    done = cut_set("boxes", tmp_path / "mine", tmp_path / "out")
    assert done.people == 1
    assert "1 frames of its list of boxes are not there: 9" in reasons(done)
    assert [row["box"] for row in rows_of(tmp_path / "out")] == ["43,32,73,112", "40,30,70,110"]
    (tmp_path / "mine/infrared.csv").unlink()
    with pytest.raises(VireidError, match=r"has no boxes: neither boxes\.csv nor visible\.csv"):
        cut_set("boxes", tmp_path / "mine", tmp_path / "out")


def test_a_stopped_cut_goes_on_to_the_same_files(
    trees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cut_set("boxes", trees / "boxes", tmp_path / "whole")
    written = list[Path]()

    def write(path: Path, content: bytes, way_out: str = "") -> None:
        written.append(path)
        if len(written) == 25:
            raise KeyboardInterrupt
        atomic.write_whole(path, content)

    monkeypatch.setattr(set_cutting, "write_whole", write)
    with pytest.raises(Interrupted, match="stopped after 1 scenes; the same command goes on"):
        cut_set("boxes", trees / "boxes", tmp_path / "broken")
    monkeypatch.undo()
    done = cut_set("boxes", trees / "boxes", tmp_path / "broken")
    assert done.again == 1
    assert done.people == whole.people
    assert rows_of(tmp_path / "broken") == rows_of(tmp_path / "whole")
    files = [
        {path.relative_to(place): path.read_bytes() for path in place.rglob("*.jpg")}
        for place in (tmp_path / "whole", tmp_path / "broken")
    ]
    assert files[0] == files[1]


def test_other_wishes_cut_anew(trees: Path, tmp_path: Path) -> None:
    cut_set("boxes", trees / "boxes", tmp_path)
    done = cut_set("boxes", trees / "boxes", tmp_path, Wish(crops=2))
    assert (done.again, done.crops) == (0, 16)
    assert len(list(tmp_path.rglob("*.jpg"))) == 16
    with pytest.raises(VireidError, match="nobody could be cut out"):
        cut_set("boxes", trees / "boxes", tmp_path, Wish(least_height=120))
