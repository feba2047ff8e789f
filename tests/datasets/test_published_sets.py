"""The data sets one has to sign for are read as people have them, or refused with the reason."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from tests import stand_ins

from vireid import datasets
from vireid.datasets import Dataset
from vireid.errors import VireidError
from vireid.records import ImageRecord, Modality

VISIBLE, INFRARED = Modality
SETS = ("regdb", "llcm", "hitsz_vcm", "bupt_campus", "rgbnt201")


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of each; a root with camera names and letters of other alphabets in it."""
    root = tmp_path_factory.mktemp("data") / "cam3" / "照片 cam_7 groß"
    for name in SETS:
        stand_ins.WRITERS[name](root / name)
    return root


@pytest.fixture
def tree(request: pytest.FixtureRequest, trees: Path, tmp_path: Path) -> Path:
    """A copy of the data set that the test's parameter names, to be damaged."""
    return Path(shutil.copytree(trees / request.param, tmp_path / request.param))


def told(dataset: Dataset) -> dict[str, list[tuple[object, ...]]]:
    """All that is known of the pictures but for their files' suffixes."""
    return {
        name: [(r.path.stem.lower(), r.modality, r.identity, r.camera, r.tracklet) for r in records]
        for name, records in dataset.groups.items()
    }


@pytest.mark.parametrize("name", SETS)
def test_nobody_is_learnt_from_and_scored_on(name: str, trees: Path) -> None:
    dataset = datasets.read(name, trees / name)
    learnt, scored = ({r.identity for r in part} for part in (dataset.train, dataset.test))
    assert learnt
    assert scored
    assert not learnt & scored
    for part in (dataset.train, dataset.test):
        assert {r.modality for r in part} == set(Modality)
        assert all(r.path.is_file() for r in part)
        assert len({r.path for r in part}) == len(part)


@pytest.mark.parametrize("name", SETS)
def test_facts_say_what_one_needs_to_get_and_to_quote_it(name: str, trees: Path) -> None:
    facts = datasets.read(name, trees / name).facts
    for key in ("title", "url", "licence", "obtain", "citation"):
        assert isinstance(facts[key], str)
    assert set(facts["counts"]) <= {"train", "validation", "test"}  # type: ignore[call-overload]
    with pytest.raises(VireidError, match=f"{name} does not come with vireid.* how to get it"):
        datasets.read(name)


@pytest.mark.parametrize("name", SETS)
def test_fewer_than_were_published_are_told(name: str, trees: Path) -> None:
    dataset = datasets.read(name, trees / name)
    people = {"regdb": (4, 206), "llcm": (4, 351), "bupt_campus": (3, 1076)}.get(name)
    if people:
        wanted = f"{people[0]} test identities on disk, {people[1]} were published"
        assert wanted in dataset.differences
    assert any("train" in line for line in dataset.differences)


@pytest.mark.parametrize("tree", SETS, indirect=True)
def test_what_is_no_picture_is_not_there_and_suffixes_do_not_matter(tree: Path) -> None:
    before = told(datasets.read(tree.name, tree))
    for folder in [path for path in tree.rglob("*") if path.is_dir()]:
        for stray in ("Thumbs.db", ".DS_Store", "._0001.jpg", "notes.md"):
            (folder / stray).write_bytes(b"x")
    pictures = [p for p in tree.rglob("*") if p.suffix in (".jpg", ".bmp") and p.name[0] != "."]
    for number, path in enumerate(pictures):
        path.rename(path.with_suffix((".JPG", ".jpeg", ".PNG")[number % 3]))
    assert told(datasets.read(tree.name, tree)) == before


@pytest.mark.parametrize("tree", SETS, indirect=True)
def test_folders_in_other_letters_are_the_same_folders(tree: Path) -> None:
    before = told(datasets.read(tree.name, tree))
    for name in ("Visible", "idx", "vis", "test_nir", "info", "Train", "DATA"):
        if (tree / name).is_dir():
            (tree / name).rename(tree / name.swapcase())
    after = told(datasets.read(tree.name, tree))
    assert after == before


@pytest.mark.parametrize("tree", ["regdb", "llcm"], indirect=True)
def test_lists_may_have_other_separators_and_line_ends(tree: Path) -> None:
    before = told(datasets.read(tree.name, tree))
    for path in (tree / "idx").glob("train_*.txt"):
        text = path.read_text().replace("/", "\\").replace("\n", "  \r\n")
        path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n")
    assert told(datasets.read(tree.name, tree)) == before


@pytest.mark.parametrize("tree", SETS, indirect=True)
def test_a_half_unpacked_archive_is_told_what_is_missing(tree: Path) -> None:
    for name, parts in {
        "regdb": ("Thermal", "idx/test_visible_1.txt"),
        "llcm": ("test_vis/cam9", "idx/test_id.txt"),
        "hitsz_vcm": ("info/query_IDX.txt", "info/test_name.txt"),
        "bupt_campus": ("data_paths.json", "query.txt"),
        "rgbnt201": ("idx/test_N.txt", "train_171/TI"),
    }.items():
        for part in parts if name == tree.name else ():
            place = tree / part
            shutil.rmtree(place) if place.is_dir() else place.unlink()
            with pytest.raises(VireidError, match=rf"is not a whole .*{part}.* not found"):
                datasets.read(tree.name, tree)
    with pytest.raises(VireidError, match="is not a whole"):
        datasets.read(tree.name, tree / "nowhere")


@pytest.mark.parametrize("tree", SETS, indirect=True)
def test_missing_pictures_are_listed_with_their_number(tree: Path) -> None:
    dataset = datasets.read(tree.name, tree)
    gone = [record.path for record in dataset.train[:25]]
    for path in gone:
        path.unlink(missing_ok=True)
    with pytest.raises(VireidError, match="not there; unpack the data set again:\n") as raised:
        datasets.read(tree.name, tree)
    assert gone[0].stem.split("M")[0] in str(raised.value)
    if len(set(gone)) > 20 and tree.name == "hitsz_vcm":
        assert "and 5 more" in str(raised.value)


@pytest.mark.parametrize("trial", range(1, 11))
def test_every_trial_of_regdb_is_its_own_half(trial: int, trees: Path) -> None:
    dataset = datasets.read("regdb", trees / "regdb", trial)
    assert (dataset.trial, dataset.label) == (trial, f"regdb trial {trial}")
    named = (trees / "regdb" / "idx" / f"test_thermal_{trial}.txt").read_text().splitlines()
    thermal = [r for r in dataset.test if r.modality is INFRARED]
    assert stand_ins.relative(thermal, trees / "regdb") == [line.split()[0] for line in named]
    assert {r.camera for r in dataset.test} == {"Visible", "Thermal"}
    assert Counter(r.identity for r in dataset.test).most_common()[-1][1] == 6


def test_pictures_of_regdb_with_one_number_are_of_one_moment(trees: Path) -> None:
    dataset = datasets.read("regdb", trees / "regdb")
    for record in (*dataset.train, *dataset.test):
        letter = "v" if record.modality is Modality.VISIBLE else "t"
        assert record.path.stem == f"male_back_{letter}_{record.moment:05d}_{record.identity}"
    of = [{(r.identity, r.moment) for r in dataset.train if r.modality is m} for m in Modality]
    assert of[0] == of[1]


def test_a_trial_of_regdb_is_the_first_unless_another_is_named(trees: Path) -> None:
    assert datasets.read("RegDB", trees / "regdb") == datasets.read("regdb", trees / "regdb", 1)
    with pytest.raises(VireidError, match="no trial 11 of regdb; it has trials 1 to 10"):
        datasets.read("regdb", trees / "regdb", trial=11)
    with pytest.raises(VireidError, match="no trial 1 of llcm; it has one split"):
        datasets.read("llcm", trees / "llcm", trial=1)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize("tree", ["regdb"], indirect=True)
@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            "Visible/{k}/male_back_v_00009_{k}.bmp 0",
            r"listed pictures are not there; .*\n.*line 13",
        ),
        ("Visible/{k}/male_back_v_00001_{k}.bmp 0", r"listed twice; .*\n.*line 13, as in line 1"),
        ("Thermal/{k}/male_back_t_00001_{k}.bmp 0", "line 13 names a picture in 'Thermal'"),
        ("Visible/{k}/male_back_v_00001_{k}.bmp", "line 13: .* is not 'Visible/<identity>/<file>"),
        ("Visible/x/male_back_v_00001_{k}.bmp 0", "not there"),
    ],
)
def test_a_bad_line_of_regdb_is_named(tree: Path, line: str, why: str) -> None:
    path = tree / "idx" / "test_visible_1.txt"
    first = path.read_text().split("/")[1]
    path.write_text(path.read_text() + line.format(k=first) + "\n")
    with pytest.raises(VireidError, match=why):
        datasets.read("regdb", tree)
    assert datasets.read("regdb", tree, trial=2)


@pytest.mark.parametrize("tree", ["regdb"], indirect=True)
def test_contradictions_in_regdb_are_refused(tree: Path) -> None:
    idx = tree / "idx"
    lines = (idx / "test_visible_1.txt").read_text().splitlines()
    stand_ins.write_lines(idx / "test_visible_1.txt", lines[1:])
    person = lines[0].split("/")[1]
    with pytest.raises(VireidError, match=rf"too few .*\n  person {person}: 2 visible, .* have 3"):
        datasets.read("regdb", tree)
    wrong = [lines[0].replace(" 0", " 1"), *lines[1:]]
    stand_ins.write_lines(idx / "test_visible_1.txt", wrong)
    with pytest.raises(VireidError, match=rf"labels contradict .*\n(.*\n)*.*person {person} has"):
        datasets.read("regdb", tree)
    for half in ("visible", "thermal"):
        shutil.copy(idx / f"train_{half}_1.txt", idx / f"test_{half}_1.txt")
    with pytest.raises(VireidError, match="4 people are both learnt from and scored on"):
        datasets.read("regdb", tree)


@pytest.mark.parametrize("tree", ["llcm"], indirect=True)
def test_the_camera_of_llcm_without_infrared_may_be_empty_or_not_there(tree: Path) -> None:
    before = datasets.read("llcm", tree)
    assert not any((tree / "test_nir" / "cam3").iterdir())
    assert {r.camera for r in before.test if r.modality is INFRARED} == {"cam1", "cam2", "cam4"}
    (tree / "test_nir" / "cam3").rmdir()
    assert datasets.read("llcm", tree) == before
    (tree / "test_vis" / "cam3").rename(tree / "camera3")
    with pytest.raises(VireidError, match="test_vis/cam3 not found"):
        datasets.read("llcm", tree)


def test_cameras_of_llcm_come_from_folders_and_file_names(trees: Path) -> None:
    dataset = datasets.read("llcm", trees / "llcm")
    for record in dataset.train:
        assert record.camera == f"cam{int(record.path.name.split('_')[1][1:])}"
    for record in dataset.test:
        assert record.camera == record.path.parts[-3]
        assert record.identity == int(record.path.parts[-2])


@pytest.mark.parametrize("tree", ["llcm"], indirect=True)
def test_people_of_llcm_may_stand_on_several_lines_and_have_to_be_there(tree: Path) -> None:
    before = datasets.read("llcm", tree)
    (tree / "idx" / "test_id.txt").write_text("8, 7\n06,5,\n")
    assert datasets.read("llcm", tree) == before
    (tree / "idx" / "test_id.txt").write_text("5,6,7,8,11,12")
    with pytest.raises(VireidError, match=r"2 people have no picture .*\n  0011\n  0012"):
        datasets.read("llcm", tree)
    (tree / "idx" / "test_id.txt").write_text("5,6,x7")
    with pytest.raises(VireidError, match="'x7' is not an identity"):
        datasets.read("llcm", tree)


@pytest.mark.parametrize("tree", ["llcm"], indirect=True)
def test_a_list_of_test_pictures_of_llcm_has_to_hold(tree: Path) -> None:
    before = datasets.read("llcm", tree)
    visible = [r.path.relative_to(tree).as_posix() for r in before.test if r.modality is VISIBLE]
    stand_ins.write_lines(tree / "idx" / "test_vis.txt", [f"{path} 0" for path in visible])
    assert datasets.read("llcm", tree) == before
    stand_ins.write_lines(tree / "idx" / "test_nir.txt", ["test_nir/cam1/0005/none.jpg 0"])
    with pytest.raises(VireidError, match=r"test_nir.txt: 1 listed pictures are not there"):
        datasets.read("llcm", tree)


def test_short_tracks_of_video_are_left_out(trees: Path) -> None:
    dataset = datasets.read("hitsz_vcm", trees / "hitsz_vcm")
    frames = Counter(record.tracklet for record in dataset.test)
    assert set(frames.values()) == {12}
    assert len(frames) == 2 * 4
    of_one = [r for r in dataset.test if r.tracklet == dataset.test[0].tracklet]
    assert len({(r.identity, r.camera, r.modality) for r in of_one}) == 1
    assert dataset.counts["test"]["tracklets"] == 8


@pytest.mark.parametrize("tree", ["hitsz_vcm"], indirect=True)
@pytest.mark.parametrize(
    ("file", "old", "new", "why"),
    [
        ("query_IDX", "1 ", "", "tracks are infrared and no queries.*\n  1$"),
        (
            "track_test_info",
            "1 1 12",
            "1 2 13",
            r"tracks begin in another; .*\n  2, which begins at 13; 1 ends at 13",
        ),
        ("track_test_info", "1 1 12", "1 1 x2", r"line 1: .* is not 'modality first last"),
        ("test_name", "M1D1T1F1.jpg", "M2D1T1F1.jpg", "do not fit track 1"),
        ("test_name", "M1D1T1F1.jpg", "M1D1T1F99.jpg", "frames are not there"),
    ],
)
def test_contradictions_in_hitsz_vcm_are_refused(
    tree: Path, file: str, old: str, new: str, why: str
) -> None:
    change(tree / "info" / f"{file}.txt", old, new)
    with pytest.raises(VireidError, match=why):
        datasets.read("hitsz_vcm", tree)


@pytest.mark.parametrize("tree", ["hitsz_vcm"], indirect=True)
def test_older_copies_of_hitsz_vcm_have_all_people_in_one_folder(tree: Path) -> None:
    before = told(datasets.read("hitsz_vcm", tree))
    for half in ("Train", "Test"):
        for person in (tree / half).iterdir():
            person.rename(tree / person.name)
        (tree / half).rmdir()
    assert told(datasets.read("hitsz_vcm", tree)) == before


def test_bupt_campus_says_who_is_searched_for_and_among_whom(trees: Path) -> None:
    dataset = datasets.read("bupt_campus", trees / "bupt_campus")
    assert dataset.test_queries is not None
    assert dataset.test_gallery is not None
    assert {r.camera for r in dataset.test_queries} == {"LS3"}
    assert {r.camera for r in dataset.test_gallery} == {"LS3", "G25"}
    assert set(dataset.test) == set(dataset.test_queries) | set(dataset.test_gallery)
    assert dataset.counts["train"]["tracklets"] == 12


@pytest.mark.parametrize("tree", ["bupt_campus"], indirect=True)
@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("4 IR LS3 1", "4/IR/LS3/1 is listed twice"),
        ("4 IR W4 1", "data_paths.json has no frames of 4/IR/W4/1"),
        ("4 thermal LS3 1", "is not 'identity modality camera track'"),
        ("x IR LS3 1", "'x' is not an identity"),
        ("1 IR LS3 1", "1 people are both learnt from and scored on"),
    ],
)
def test_contradictions_in_bupt_campus_are_refused(tree: Path, line: str, why: str) -> None:
    path = tree / "query.txt"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(VireidError, match=why):
        datasets.read("bupt_campus", tree)


@pytest.mark.parametrize("tree", ["bupt_campus"], indirect=True)
def test_a_damaged_table_of_frames_is_refused(tree: Path) -> None:
    (tree / "data_paths.json").write_text('{"1": ')
    with pytest.raises(VireidError, match=r"data_paths\.json is damaged"):
        datasets.read("bupt_campus", tree)
    (tree / "data_paths.json").write_text(json.dumps(["1"]))
    with pytest.raises(VireidError, match=r"data_paths\.json is damaged or something else"):
        datasets.read("bupt_campus", tree)


def test_pictures_of_rgbnt201_with_one_name_are_of_one_moment(trees: Path) -> None:
    dataset = datasets.read("rgbnt201", trees / "rgbnt201")
    by_moment: dict[int | None, list[ImageRecord]] = {}
    for record in dataset.test:
        by_moment.setdefault(record.moment, []).append(record)
    for of_one in by_moment.values():
        assert len({record.path.stem for record in of_one}) == 1
        places = {record.camera for record in of_one}
        number = of_one[0].path.stem.split("_")[1]
        assert places == {number, f"{number} near", f"{number} thermal"}


@pytest.mark.parametrize("tree", ["rgbnt201"], indirect=True)
def test_rgbnt201_without_lists_is_all_that_its_folders_hold(tree: Path) -> None:
    before = datasets.read("rgbnt201", tree)
    shutil.rmtree(tree / "idx")
    after = datasets.read("rgbnt201", tree)
    assert set(after.test) == set(before.test)
    next((tree / "test/TI").iterdir()).unlink()
    with pytest.raises(VireidError, match="another spectrum only and so are not there"):
        datasets.read("rgbnt201", tree)


@pytest.mark.parametrize("tree", ["rgbnt201"], indirect=True)
@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("test/RGB/000004_cam1_0_00.jpg 0", "listed twice"),
        ("test/RGB/000004_cam1_0_99.jpg 0", "listed pictures are not there"),
        ("test/RGB/000004_cam1_0_00.jpg", "is not '<path> <label>'"),
        ("test/RGB/000004_cam1_0_01.jpg 2", "contradict|listed twice"),
    ],
)
def test_a_bad_line_of_rgbnt201_is_named(tree: Path, line: str, why: str) -> None:
    path = tree / "idx" / "test_R.txt"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(VireidError, match=why):
        datasets.read("rgbnt201", tree)
