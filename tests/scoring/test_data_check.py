"""What `vireid data check` finds in copies of data sets that are not as they should be."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tests import stand_ins

from vireid import datasets
from vireid.cli import main as cli
from vireid.datasets import llcm, regdb, sysu_mm01
from vireid.errors import VireidError
from vireid.scoring.data_check import Check, Finding, check


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trees")
    for name in ("sysu_mm01", "regdb", "llcm", "folder"):
        stand_ins.WRITERS[name](folder / name)
    for number, path in enumerate(sorted(folder.rglob("*.jpg"))):
        make_unlike_others(path, number)
    return folder


def make_unlike_others(path: Path, number: int) -> None:
    """Give a JPEG a comment; some stand-ins have one photograph in several places."""
    whole = path.read_bytes()
    path.write_bytes(whole[:2] + b"\xff\xfe\x00\x06" + number.to_bytes(4) + whole[2:])


@pytest.fixture
def published(trees: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the little trees were what the authors had published."""
    for module in (sysu_mm01, regdb, llcm):
        name = module.__name__.rpartition(".")[2]
        monkeypatch.setitem(module.FACTS, "counts", datasets.read(name, trees / name).counts)
    monkeypatch.delitem(sysu_mm01.FACTS, "pictures")
    permutations = (trees / "sysu_mm01/exp/rand_perm_cam.mat").read_bytes()
    digest = hashlib.sha256(permutations).hexdigest()
    monkeypatch.setattr(sysu_mm01, "PERMUTATIONS_SHA256", digest)


@pytest.fixture
def copy(trees: Path, tmp_path: Path) -> Callable[[str], Path]:
    def copied(name: str) -> Path:
        return Path(shutil.copytree(trees / name, tmp_path / "data" / name))

    return copied


def only(found: Check) -> Finding:
    (finding,) = found.findings
    return finding


def test_the_set_that_is_shipped_is_sound() -> None:
    found = check("nightwalk")
    assert (found.sound, found.findings, found.pictures) == (True, (), 2460)


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("name", ["sysu_mm01", "regdb", "llcm", "folder"])
def test_whole_copies_are_sound(name: str, trees: Path) -> None:
    found = check(name, trees / name)
    assert (found.sound, found.findings) == (True, ())
    on_disk = {path for path in (trees / name).rglob("*.*") if path.suffix in (".jpg", ".bmp")}
    assert found.pictures == len(on_disk)


def test_all_splits_of_regdb_are_looked_at_and_equal_ones_are_one_line(trees: Path) -> None:
    found = check("regdb", trees / "regdb")
    assert list(found.counts) == [
        f"{half} (trial 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)" for half in ("train", "test")
    ]


def test_other_counts_than_published_are_listed_with_what_to_fetch_where(trees: Path) -> None:
    found = check("sysu_mm01", trees / "sysu_mm01")
    assert not found.sound
    counts, permutations = found.findings
    assert "4 train identities on disk, 296 were published" in counts.where
    assert (counts.kind, permutations.kind) == ("counts", "protocol")
    assert "rand_perm_cam.mat is not the published file" in permutations.what
    assert found.way_to_get_it is not None
    for part in ("how to get SYSU-MM01", "sign the agreement", "wuancong/SYSU-MM01", "academic"):
        assert part in found.way_to_get_it


@pytest.mark.usefixtures("published")
def test_totals_are_compared_where_the_rest_agrees(
    trees: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = datasets.read("sysu_mm01", trees / "sysu_mm01").counts
    visible = sum(of_group["spectra"]["visible"] for of_group in counts.values())
    monkeypatch.setitem(sysu_mm01.FACTS, "pictures", {"visible": visible + 3})
    what = only(check("sysu_mm01", trees / "sysu_mm01")).what
    assert what == f"{visible} visible pictures on disk, {visible + 3} were published"


@pytest.mark.parametrize("name", ["sysu_mm01", "regdb", "llcm"])
def test_a_wrong_root_is_told_once_with_what_is_missing(name: str, tmp_path: Path) -> None:
    found = check(name, tmp_path)
    assert only(found).kind == "layout"
    assert "not found" in only(found).what
    assert found.way_to_get_it is not None
    assert (found.sound, found.pictures, found.counts) == (False, 0, {})


@pytest.mark.usefixtures("published")
def test_without_its_lists_sysu_is_not_whole(copy: Callable[[str], Path]) -> None:
    root = copy("sysu_mm01")
    shutil.rmtree(root / "exp")
    assert "exp/train_id.txt" in only(check("sysu_mm01", root)).what


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("separator", [", ", ",\n", " ", "\r\n"])
def test_lists_of_people_may_have_spaces_and_line_breaks(
    separator: str, copy: Callable[[str], Path]
) -> None:
    root = copy("sysu_mm01")
    for path in (root / "exp").glob("*_id.txt"):
        path.write_text(path.read_text().replace(",", separator), newline="")
    assert check("sysu_mm01", root).sound


@pytest.mark.usefixtures("published")
def test_lists_of_people_are_texts(copy: Callable[[str], Path]) -> None:
    root = copy("sysu_mm01")
    path = root / "exp/test_id.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert check("sysu_mm01", root).sound
    path.write_bytes(b"\xff\xfe1,2")
    assert "test_id.txt is not a text in UTF-8" in only(check("sysu_mm01", root)).what


@pytest.mark.usefixtures("published")
def test_a_half_unpacked_archive(copy: Callable[[str], Path]) -> None:
    root = copy("sysu_mm01")
    person = (root / "exp/test_id.txt").read_text().strip().split(",")[-1]
    pictures = sorted((root / "cam5" / f"{int(person):04d}").iterdir())
    pictures[-1].unlink()
    pictures[-2].write_bytes(pictures[-2].read_bytes()[:1500])
    found = check("sysu_mm01", root)
    kinds = [finding.kind for finding in found.findings]
    assert kinds == ["counts", "protocol", "unreadable"]
    assert str(pictures[-2]) in found.findings[2].where[0]
    assert "rand_perm_cam.mat permutes" in found.findings[1].what


@pytest.mark.usefixtures("published")
def test_the_permutations_of_the_official_gallery_are_missed(copy: Callable[[str], Path]) -> None:
    root = copy("sysu_mm01")
    (root / "exp/rand_perm_cam.mat").unlink()
    found = check("sysu_mm01", root)
    assert found.sound
    assert "download it from https://github.com/wuancong/SYSU-MM01" in only(found).what


@pytest.mark.usefixtures("published")
def test_a_list_of_regdb_that_names_a_missing_file(copy: Callable[[str], Path]) -> None:
    root = copy("regdb")
    lost = sorted((root / "Visible/3").iterdir())[1]
    lost.unlink()
    finding = only(check("regdb", root))
    assert finding.kind == "layout"
    assert "1 listed pictures are not there; unpack the data set again" in finding.what
    assert any(f"Visible/3/{lost.name}" in line for line in finding.where)


@pytest.mark.usefixtures("published")
def test_one_broken_list_of_ten_is_told_and_the_others_are_looked_at(
    copy: Callable[[str], Path],
) -> None:
    root = copy("regdb")
    (root / "idx/test_thermal_7.txt").unlink()
    found = check("regdb", root)
    assert "idx/test_thermal_7.txt not found" in only(found).what
    assert next(iter(found.counts)) == "train (trial 1, 2, 3, 4, 5, 6, 8, 9, 10)"


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("there", [True, False])
def test_camera_3_of_llcm_has_no_infrared_test_pictures(
    there: bool, copy: Callable[[str], Path]
) -> None:
    root = copy("llcm")
    assert list((root / "test_nir/cam3").iterdir()) == []
    if not there:
        (root / "test_nir/cam3").rmdir()
    assert check("llcm", root).findings == ()


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda whole: whole[:1500], "it cannot be decoded"),
        (lambda whole: b"", "it is empty"),
        (lambda whole: b"<html>404</html>", "is not a picture"),
        (lambda whole: bytes(len(whole)), "is not a picture"),
    ],
)
def test_unreadable_pictures_are_found_without_decoding_all(
    damage: Callable[[bytes], bytes], reason: str, copy: Callable[[str], Path]
) -> None:
    root = copy("llcm")
    hurt = sorted((root / "vis").rglob("*.jpg"))[:2]
    for path in hurt:
        path.write_bytes(damage(path.read_bytes()))
    found = check("llcm", root)
    assert only(found).kind == "unreadable"
    assert not found.sound
    for path, line in zip(hurt, sorted(only(found).where), strict=True):
        assert line.startswith(f"{path}: ")
        assert reason in line


@pytest.mark.usefixtures("published")
def test_damage_in_the_middle_is_found_by_decoding_all(copy: Callable[[str], Path]) -> None:
    root = copy("llcm")
    path = sorted((root / "vis").rglob("*.jpg"))[0]
    Image.open(path).save(path, "PNG")
    whole = path.read_bytes()
    path.write_bytes(whole[:2000] + bytes(4) + whole[2004:])
    assert check("llcm", root).sound
    assert only(check("llcm", root, full=True)).kind == "unreadable"


@pytest.mark.usefixtures("published")
def test_zeros_after_a_whole_picture_do_no_harm(copy: Callable[[str], Path]) -> None:
    root = copy("llcm")
    path = sorted((root / "vis").rglob("*.jpg"))[0]
    path.write_bytes(path.read_bytes() + bytes(5))
    assert check("llcm", root).findings == ()


@pytest.mark.usefixtures("published")
def test_the_same_picture_twice_is_told_and_under_two_people_it_is_an_error(
    copy: Callable[[str], Path],
) -> None:
    root = copy("llcm")
    of_one, of_other = (sorted((root / "vis" / name).iterdir()) for name in ("0001", "0002"))
    shutil.copy(of_one[0], of_one[1])
    found = check("llcm", root)
    assert (only(found).kind, found.sound) == ("duplicates", True)
    assert only(found).where == (f"{of_one[0]} = {of_one[1]}",)
    shutil.copy(of_one[2], of_other[0])
    found = check("llcm", root)
    assert [finding.kind for finding in found.findings] == ["people", "duplicates"]
    assert found.findings[0].where == (f"{of_one[2]} = {of_other[0]}",)
    assert not found.sound


def test_people_of_one_spectrum_are_named_with_the_way_out(copy: Callable[[str], Path]) -> None:
    root = copy("folder")
    shutil.rmtree(root / "train/infrared")
    found = check("folder", root)
    assert found.sound
    assert only(found).where == ("1 (visible only)", "2 (visible only)", "3 (visible only)")
    assert "data.unpaired=drop" in only(found).what


def test_pictures_of_ones_own_are_not_called_unpublished(copy: Callable[[str], Path]) -> None:
    root = copy("folder")
    next(root.rglob("*.jpg")).write_bytes(b"")
    *_, verdict = check("folder", root).in_words()
    assert str(verdict) == "1 finding changes numbers: put them right first"


def test_what_a_folder_leaves_out_is_listed(copy: Callable[[str], Path]) -> None:
    root = copy("folder")
    shutil.copy(next(root.rglob("*.jpg")), root / "of_nobody.jpg")
    finding = only(check("folder", root))
    assert finding.kind == "unused"
    assert "of_nobody.jpg: nothing says its spectrum" in finding.where[0]


@pytest.mark.usefixtures("published")
def test_any_place_will_do_also_one_that_may_only_be_read(trees: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        root = Path(shutil.copytree(trees / "llcm", Path(place) / "naïve cam1 数据"))
        for path in (*root.rglob("*"), root):
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = {path: path.stat().st_mtime_ns for path in (*root.rglob("*"), root)}
        assert check("llcm", root).findings == ()
        # Whoever runs this as root may write everywhere; nothing may have been written.
        assert before == {path: path.stat().st_mtime_ns for path in (*root.rglob("*"), root)}
        for path in (root, *root.rglob("*")):
            path.chmod(0o755)


def test_what_does_not_exist_is_said() -> None:
    with pytest.raises(VireidError, match="did you mean 'regdb'"):
        check("regbd", Path())


def asked(*arguments: str | Path) -> tuple[int, str]:
    answer = CliRunner().invoke(cli.vireid, ["data", "check", *map(str, arguments)])
    return answer.exit_code, answer.stdout


def test_people_read_a_table_and_a_verdict(trees: Path) -> None:
    status, said = asked("folder", trees / "folder", "--full")
    assert status == 0
    assert "folder: 36 pictures, decoded" in said
    assert said.endswith("nothing found that would change a number\n")
    status, said = asked("sysu_mm01", trees / "sysu_mm01")
    assert status == 1
    assert "4, not 296" in said
    assert "✗ sysu_mm01 has other counts than were published" in said
    assert "how to get SYSU-MM01: sign the agreement" in said
    assert said.endswith("2 findings change numbers: not the published data set\n")


def test_long_lists_are_cut_for_people_and_whole_for_programs(
    copy: Callable[[str], Path],
) -> None:
    root = copy("folder")
    for path in root.rglob("*.jpg"):
        path.write_bytes(b"")
    count = len(list(root.rglob("*.jpg")))
    status, said = asked("folder", root)
    assert f"and {count - 10} more; --json lists them all" in said
    assert asked("folder", root, "--json")[0] == status == 1
    told = json.loads(asked("folder", root, "--json")[1])
    assert (told["sound"], told["pictures"], told["decoded"]) == (False, count, False)
    (finding,) = told["findings"]
    assert (finding["kind"], finding["changes_numbers"]) == ("unreadable", True)
    assert len(finding["where"]) == count


def test_people_of_one_frame_are_neither_copies_nor_one_file_twice(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    lines = ["path,identity,modality,left,top,right,bottom"]
    for name, modality in (("day.png", "visible"), ("night.png", "infrared")):
        pixels = noise.integers(0, 256, (64, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
        lines += [f"{name},{i},{modality},{40 * i},0,{40 * i + 40},64" for i in (0, 1)]
    table = tmp_path / "people.csv"
    table.write_text("\n".join(lines))
    for full in (False, True):
        found = check("folder", table, full=full)
        assert (found.sound, found.findings, found.pictures) == (True, (), 4)
    beyond = "\n".join(lines).replace("night.png,1,infrared,40,0,80", "night.png,1,ir,41,0,81")
    table.write_text(beyond)
    for full in (False, True):
        finding = only(check("folder", table, full=full))
        assert finding.kind == "unreadable"
        assert "night.png: its box 41,0,81,64 reaches beyond the frame of 80" in finding.where[0]
