import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.full_disk import full_disk
from tests.waiting import HELD_UP, wait_for

from vireid import pictures
from vireid.files import untrusted
from vireid.files.cache import cache_folder
from vireid.pictures import read_resized
from vireid.records import Box, ImageRecord, Modality
from vireid.training_data.packs import (
    PackedPictures,
    PackError,
    UnreadablePicturesError,
    make_pack,
    open_packed,
)

SIZE = (24, 12)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "packs"


def make_picture(path: Path, seed: int, rows: int = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (rows, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [make_picture(tmp_path / f"set/cam{i % 2}/{i:04}.jpg", i) for i in range(80)]


def pixels(packed: PackedPictures) -> np.ndarray:
    return np.stack([packed[number] for number in range(len(packed))])


def read(paths: list[Path]) -> np.ndarray:
    return np.stack([read_resized(path, *SIZE) for path in paths])


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def packs_in(cache: Path) -> list[str]:
    return sorted(entry.name for entry in cache.iterdir() if entry.is_dir())


def test_a_pack_holds_the_pictures_in_order(paths: list[Path]) -> None:
    pack = open_packed(paths[::-1], *SIZE)
    assert (pixels(pack) == read(paths[::-1])).all()
    assert pack.unreadable == {}
    assert not pack[0].flags.writeable


def test_the_second_time_no_picture_is_read(paths: list[Path], cache: Path) -> None:
    first = pixels(open_packed(paths, *SIZE))
    for path in paths:
        facts = path.stat()
        path.write_bytes(bytes(facts.st_size))  # no picture any more, but seemingly unchanged
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert (pixels(open_packed(paths, *SIZE)) == first).all()
    assert len(packs_in(cache)) == 1


def test_a_changed_picture_is_noticed_and_packed_again_alone(
    paths: list[Path], cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = open_packed(paths, *SIZE)
    kept = pixels(before)
    make_picture(paths[7], seed=1000)
    with caplog.at_level(logging.INFO, "vireid"):
        after = open_packed(paths, *SIZE)
    assert (pixels(after) == read(paths)).all()
    assert (after[7] != kept[7]).any()
    assert "1 pictures changed since they were packed" in caplog.text
    assert sorted(map(len, after.files)) == [1, 80]
    assert (pixels(before) == kept).all(), "whoever still uses the old pictures keeps them"


def test_an_added_picture_is_packed_and_a_removed_one_is_not_shown(
    paths: list[Path], cache: Path
) -> None:
    open_packed(paths[:60], *SIZE)
    packed = open_packed(paths[20:], *SIZE)
    assert (pixels(packed) == read(paths[20:])).all()
    assert sorted(map(len, packed.files)) == [20, 60]


def test_packs_whose_pictures_have_all_changed_are_removed(paths: list[Path], cache: Path) -> None:
    old = open_packed(paths, *SIZE)
    kept = pixels(old)
    for i, path in enumerate(paths):
        make_picture(path, seed=1000 + i)
    assert (pixels(open_packed(paths, *SIZE)) == read(paths)).all()
    assert len(packs_in(cache)) == 1
    assert (pixels(old) == kept).all()


def test_another_data_set_of_the_same_layout_keeps_its_own_pictures(
    paths: list[Path], tmp_path: Path, cache: Path
) -> None:
    """Names, sizes and times are the same, as after unpacking an archive; pixels are not."""
    other = [tmp_path / "other" / path.relative_to(tmp_path / "set") for path in paths]
    for i, (path, twin) in enumerate(zip(paths, other, strict=True)):
        make_picture(path.with_suffix(".bmp"), i)
        make_picture(twin.with_suffix(".bmp"), 1000 + i)
        for picture in (path, twin):
            os.utime(picture.with_suffix(".bmp"), (0, 0))
    mine, theirs = ([p.with_suffix(".bmp") for p in some] for some in (paths, other))
    for some in (mine, theirs, mine):
        assert (pixels(open_packed(some, *SIZE)) == read(some)).all()
    assert len(packs_in(cache)) == 2


def test_another_size_is_another_pack(paths: list[Path], cache: Path) -> None:
    open_packed(paths, *SIZE)
    assert pixels(open_packed(paths, 10, 6)).shape == (80, 10, 6, 3)
    assert len(packs_in(cache)) == 2


def test_a_selection_is_taken_from_the_pack_of_all(
    paths: list[Path], tmp_path: Path, cache: Path
) -> None:
    open_packed(paths, *SIZE)
    some = [paths[6], paths[3], paths[6]]
    assert (pixels(open_packed(some, *SIZE, root=tmp_path / "set")) == read(some)).all()
    assert len(packs_in(cache)) == 1


def test_a_data_set_moved_as_a_whole_is_not_packed_again(
    paths: list[Path], tmp_path: Path, cache: Path
) -> None:
    open_packed(paths, *SIZE)
    packed = packs_in(cache)
    (tmp_path / "set").rename(tmp_path / "elsewhere")
    moved = [tmp_path / "elsewhere" / path.relative_to(tmp_path / "set") for path in paths]
    open_packed(moved, *SIZE)
    assert packs_in(cache) == packed


def test_unreadable_pictures_are_listed_with_the_way_out(paths: list[Path], cache: Path) -> None:
    whole = paths[3].read_bytes()
    paths[3].write_bytes(whole[: len(whole) // 2])
    paths[70].unlink()
    with pytest.raises(UnreadablePicturesError, match="2 pictures cannot be read") as caught:
        open_packed(paths, *SIZE)
    for part in (f"{paths[3]}: it cannot be decoded", f"{paths[70]}: it is not there", "'skip'"):
        assert part in str(caught.value)
    paths[3].write_bytes(whole)
    make_picture(paths[70], 70)
    assert (pixels(open_packed(paths, *SIZE)) == read(paths)).all()
    assert len(packs_in(cache)) == 2


def test_unreadable_pictures_can_be_left_out(paths: list[Path], cache: Path) -> None:
    paths[3].write_bytes(paths[3].read_bytes()[:300])
    sound = [path for path in paths if path != paths[3]]
    for _ in range(2):
        pack = open_packed(paths, *SIZE, skip_unreadable=True)
        assert list(pack.unreadable) == [3]
        assert (pixels(pack) == read(sound)).all()
    assert len(packs_in(cache)) == 1


def test_a_long_list_of_unreadable_pictures_is_cut_short(tmp_path: Path) -> None:
    absent = [tmp_path / f"absent/{i}.jpg" for i in range(50)]
    with pytest.raises(UnreadablePicturesError, match="and 30 more") as caught:
        open_packed(absent, *SIZE)
    assert len(str(caught.value).splitlines()) == 22
    with pytest.raises(UnreadablePicturesError, match="50 pictures"):
        open_packed(absent, *SIZE, skip_unreadable=True)  # which would leave none


def test_a_picture_that_vanishes_while_packing_is_named(
    paths: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = untrusted.content_of

    def remove_last_then_read(path: Path, most: int) -> bytes:
        if path == paths[0]:
            paths[-1].unlink()
        return read(path, most)

    monkeypatch.setattr(pictures, "content_of", remove_last_then_read)
    with pytest.raises(PackError, match=rf"changed while they were packed .*{paths[-1]}"):
        open_packed(paths, *SIZE, skip_unreadable=True)
    assert packs_in(cache) == []


BUILD = """
import sys
from pathlib import Path
from vireid.training_data.packs import open_packed
print(len(open_packed(sorted(Path(sys.argv[1]).glob("*/*.jpg")), 24, 12)))
"""


def start_building(folder: Path, first: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", first + BUILD, str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def bytes_in_unfinished_packs(cache: Path) -> int:
    return sum(file.stat().st_size for file in cache.glob(".*.partial/pictures.u8"))


def test_a_killed_build_leaves_nothing_that_is_taken_for_a_pack(
    paths: list[Path], tmp_path: Path, cache: Path
) -> None:
    # The build waits at the last picture, the others being written.
    building = start_building(tmp_path / "set", HELD_UP.format(picture=str(paths[-1])))
    wait_for(lambda: building.poll() is not None or bytes_in_unfinished_packs(cache))
    assert building.poll() is None
    building.send_signal(signal.SIGKILL)
    building.communicate()
    assert packs_in(cache)[0].endswith(".partial")
    assert (pixels(open_packed(sorted(paths), *SIZE)) == read(sorted(paths))).all()
    assert [name for name in packs_in(cache) if name.endswith(".partial")] == []


def test_several_processes_build_one_pack_between_them(
    paths: list[Path], tmp_path: Path, cache: Path
) -> None:
    processes = [start_building(tmp_path / "set") for _ in range(2)]
    assert [process.communicate()[0].strip() for process in processes] == ["80"] * 2
    assert len(packs_in(cache)) == 1


def test_a_pack_cut_short_by_the_disk_is_built_anew(paths: list[Path], cache: Path) -> None:
    first = pixels(open_packed(paths, *SIZE))
    (file,) = cache.glob("*/pictures.u8")
    os.truncate(file, 1000)
    assert (pixels(open_packed(paths, *SIZE)) == first).all()


@pytest.mark.parametrize("damage", ["", "{}", "[]", "no json"])
def test_a_pack_that_says_nothing_sensible_is_built_anew(
    damage: str, paths: list[Path], cache: Path
) -> None:
    open_packed(paths, *SIZE)
    (facts,) = cache.glob("*/pack.json")
    facts.write_text(damage)
    assert (pixels(open_packed(paths, *SIZE)) == read(paths)).all()


def test_a_cache_that_cannot_be_written_to_is_named(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "file"))
    with pytest.raises(PackError, match=r"file/packs \(Not a directory\); set VIREID_CACHE"):
        open_packed(paths, *SIZE)


def test_too_little_room_is_said_before_any_work(paths: list[Path]) -> None:
    with pytest.raises(PackError, match=r"need 240000\.0 GB .* set VIREID_CACHE"):
        open_packed(paths, 1_000_000, 1_000_000)


def test_no_pictures_no_pack() -> None:
    with pytest.raises(PackError, match="no pictures"):
        open_packed([], *SIZE)


def test_the_cache_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIREID_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == Path("/x/vireid")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == Path.home() / "Library/Caches/vireid"


def test_what_a_pack_says_about_itself_can_be_read_by_anyone(
    paths: list[Path], tmp_path: Path, cache: Path
) -> None:
    open_packed(paths, *SIZE)
    (facts,) = cache.glob("*/pack.json")
    said = json.loads(facts.read_text())
    assert (said["root"], said["height"], said["width"]) == (str(tmp_path / "set"), 24, 12)
    changed = paths[1].stat().st_mtime_ns
    assert said["files"][1] == ["cam1/0001.jpg", paths[1].stat().st_size, changed]


def made(paths: list[Path], tmp_path: Path, **asked: Any) -> PackedPictures:
    return make_pack(paths, *SIZE, root=tmp_path / "set", folder=tmp_path / "out/train", **asked)


def test_a_pack_made_elsewhere_is_found(paths: list[Path], tmp_path: Path, cache: Path) -> None:
    made(paths, tmp_path)
    assert names(tmp_path / "out/train") == ["pack.json", "pictures.u8"]
    assert (pixels(open_packed(paths[9:], *SIZE, root=tmp_path / "set")) == read(paths[9:])).all()
    assert packs_in(cache) == []
    shutil.rmtree(tmp_path / "out")
    assert (pixels(open_packed(paths, *SIZE)) == read(paths)).all()


def test_a_pack_is_made_once_and_again_when_it_no_longer_fits(
    paths: list[Path], tmp_path: Path
) -> None:
    file = tmp_path / "out/train/pictures.u8"
    made(paths, tmp_path)
    first = file.stat().st_ino
    made(paths, tmp_path)
    assert file.stat().st_ino == first
    make_picture(paths[7], seed=1000)
    for some in (paths, paths[1:]):
        assert (pixels(made(some, tmp_path)) == read(some)).all()
        assert file.stat().st_size == len(some) * 24 * 12 * 3
    make_pack(paths, 12, 6, root=tmp_path / "set", folder=tmp_path / "out/train")
    assert file.stat().st_size == len(paths) * 12 * 6 * 3


def test_a_pack_is_found_after_the_data_set_was_copied_to_another_place(
    paths: list[Path], tmp_path: Path, cache: Path
) -> None:
    made(paths, tmp_path)
    first = (tmp_path / "out/train/pictures.u8").stat().st_ino
    shutil.copytree(tmp_path / "set", tmp_path / "copy")
    copies = [tmp_path / "copy" / path.relative_to(tmp_path / "set") for path in paths]
    make_pack(copies, *SIZE, root=tmp_path / "copy", folder=tmp_path / "out/train")
    assert (pixels(open_packed(copies, *SIZE)) == read(copies)).all()
    assert (tmp_path / "out/train/pictures.u8").stat().st_ino == first
    assert packs_in(cache) == []


def test_making_lists_what_cannot_be_read(paths: list[Path], tmp_path: Path) -> None:
    paths[3].write_bytes(b"no picture")
    with pytest.raises(UnreadablePicturesError, match=r"1 pictures cannot.*\n.*0003\.jpg: it is"):
        made(paths, tmp_path)
    first = (tmp_path / "out/train/pictures.u8").stat().st_ino
    assert made(paths, tmp_path, skip_unreadable=True).unreadable.keys() == {3}
    assert (tmp_path / "out/train/pictures.u8").stat().st_ino == first


def test_a_folder_with_something_else_in_it_is_left_alone(
    paths: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "out/train").mkdir(parents=True)
    (tmp_path / "out/train/thesis.tex").touch()
    with pytest.raises(PackError, match="holds something else than a pack; name another folder"):
        made(paths, tmp_path)
    assert names(tmp_path / "out/train") == ["thesis.tex"]


def test_a_full_disk_leaves_the_old_pack(paths: list[Path], tmp_path: Path) -> None:
    made(paths[:10], tmp_path)
    with full_disk(20_000), pytest.raises(PackError, match=r"train \(File too large\); make room"):
        made(paths, tmp_path)
    assert names(tmp_path / "out") == ["train"]
    assert (pixels(made(paths[:10], tmp_path)) == read(paths[:10])).all()


def test_a_place_that_may_not_be_written_to_is_named(paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(PackError, match=r"out/train \(.*\); make room, or name another folder"):
        made(paths, tmp_path)


def test_people_of_one_frame_have_a_row_each(paths: list[Path], cache: Path) -> None:
    boxes = [Box(0, 0, 10, 40), Box(10, 0, 20, 40)]
    people = [ImageRecord(paths[0], Modality.VISIBLE, i, box=box) for i, box in enumerate(boxes)]
    whole = ImageRecord(paths[0], Modality.VISIBLE)
    records = [*people, whole]
    expected = np.stack([read_resized(r.path, *SIZE, r.box) for r in records])
    packed = open_packed(records, *SIZE)
    assert (pixels(packed) == expected).all()
    assert (expected[0] != expected[1]).any()
    assert (pixels(open_packed(records[::-1], *SIZE)) == expected[::-1]).all()
    assert len(names(cache)) == 2  # the one pack and its lock
    assert read([paths[0]]).tolist() == [expected[2].tolist()]


def test_people_of_a_frame_that_has_changed_are_packed_again(paths: list[Path]) -> None:
    person = ImageRecord(paths[0], Modality.VISIBLE, box=Box(5, 0, 15, 40))
    first = pixels(open_packed([person], *SIZE))
    make_picture(paths[0], 999, rows=41)
    again = pixels(open_packed([person], *SIZE))
    assert (again != first).any()
    assert (again[0] == read_resized(paths[0], *SIZE, person.box)).all()


def test_records_without_boxes_are_found_in_packs_of_their_files(
    paths: list[Path], cache: Path
) -> None:
    open_packed(paths, *SIZE)
    (pack,) = cache.glob("*x*/pack.json")
    assert json.loads(pack.read_text())["files"][0][0] == "cam0/0000.jpg"
    records = [ImageRecord(path, Modality.VISIBLE) for path in paths]
    assert (pixels(open_packed(records, *SIZE)) == read(paths)).all()
    assert list(cache.glob("*x*/pack.json")) == [pack]


def test_a_box_beyond_its_frame_is_told_with_the_box(paths: list[Path]) -> None:
    person = ImageRecord(paths[0], Modality.VISIBLE, box=Box(5, 0, 25, 40))
    with pytest.raises(UnreadablePicturesError, match=r"0000\.jpg box 5,0,25,40: .* beyond"):
        open_packed([person], *SIZE)


def test_each_of_many_flipped_bits_is_noticed(paths: list[Path], tmp_path: Path) -> None:
    made(paths, tmp_path)
    file = tmp_path / "out/train/pictures.u8"
    whole = file.read_bytes()
    for bit in np.random.default_rng(0).integers(0, 8 * len(whole), 50).tolist():
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        row = bit // 8 // (24 * 12 * 3)
        packed = open_packed(paths, *SIZE)
        assert (packed[row - 1] == read([paths[row - 1]])[0]).all()
        name = paths[row].relative_to(tmp_path / "set")
        for _ in range(2):
            with pytest.raises(
                PackError, match=rf"^\S*pictures\.u8 is damaged where {name} .* remove the folder"
            ):
                packed[row]


def test_making_a_damaged_pack_again_mends_it(paths: list[Path], tmp_path: Path) -> None:
    made(paths, tmp_path)
    file = tmp_path / "out/train/pictures.u8"
    whole = bytearray(file.read_bytes())
    whole[1000] ^= 4
    file.write_bytes(whole)
    assert (pixels(made(paths, tmp_path)) == read(paths)).all()


def test_packs_without_checksums_are_still_read(paths: list[Path], tmp_path: Path) -> None:
    made(paths, tmp_path)
    file = tmp_path / "out/train/pack.json"
    contents = json.loads(file.read_text())
    del contents["sums"]
    file.write_text(json.dumps(contents))
    inode = (tmp_path / "out/train/pictures.u8").stat().st_ino
    assert (pixels(open_packed(paths, *SIZE, root=tmp_path / "set")) == read(paths)).all()
    made(paths, tmp_path)
    assert (tmp_path / "out/train/pictures.u8").stat().st_ino == inode


KILLED = """
import os, sys
from pathlib import Path
from vireid.training_data import packs
rename, left = Path.rename, int(sys.argv[2])
def renamed(path, target):
    global left
    if path.is_dir():
        if not left:
            os._exit(9)
        left -= 1
    return rename(path, target)
Path.rename = renamed
root = Path(sys.argv[1])
packs.make_pack(
    sorted((root / "set").glob("*/*.jpg")), 24, 12, root=root / "set", folder=root / "out/train"
)
"""


@pytest.mark.parametrize("renames", [0, 1])
def test_a_pack_is_never_lost_however_the_process_ends(
    renames: int, paths: list[Path], tmp_path: Path, cache: Path
) -> None:
    made(paths[1:], tmp_path)
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(renames)]
    assert subprocess.run(command).returncode == 9
    assert (tmp_path / "out/train").exists() == (renames == 0)
    assert (pixels(open_packed(paths[1:], *SIZE)) == read(paths[1:])).all()
    assert packs_in(cache) == []
    assert (pixels(made(paths, tmp_path)) == read(paths)).all()
    assert names(tmp_path / "out") == ["train"]
