import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vireid.caches import cache_folder
from vireid.packs import PackError, UnreadablePicturesError, open_pack
from vireid.pictures import read_resized

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


def packs_in(cache: Path) -> list[str]:
    return sorted(entry.name for entry in cache.iterdir() if entry.is_dir())


def test_a_pack_holds_the_pictures_in_order(paths: list[Path]) -> None:
    pack = open_pack(paths[::-1], *SIZE)
    expected = [read_resized(path, *SIZE) for path in paths[::-1]]
    assert (pack.pictures == np.stack(expected)).all()
    assert pack.unreadable == {}
    assert not pack.pictures.flags.writeable


def test_the_second_time_no_picture_is_read(paths: list[Path], cache: Path) -> None:
    first = open_pack(paths, *SIZE).pictures.copy()
    for path in paths:
        facts = path.stat()
        path.write_bytes(bytes(facts.st_size))  # no picture any more, but seemingly unchanged
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert (open_pack(paths, *SIZE).pictures == first).all()
    assert len(packs_in(cache)) == 1


def test_a_changed_picture_is_noticed(
    paths: list[Path], cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = open_pack(paths, *SIZE).pictures
    kept = before.copy()
    make_picture(paths[7], seed=1000)
    with caplog.at_level(logging.INFO, "vireid"):
        after = open_pack(paths, *SIZE).pictures
    assert (after[7] == read_resized(paths[7], *SIZE)).all()
    assert (after[7] != kept[7]).any()
    assert "packing them again" in caplog.text
    assert len(packs_in(cache)) == 1
    assert (before == kept).all(), "whoever still uses the old pack keeps its pictures"


def test_sizes_and_selections_have_packs_of_their_own(paths: list[Path], cache: Path) -> None:
    open_pack(paths, *SIZE)
    assert open_pack(paths, 10, 6).pictures.shape == (80, 10, 6, 3)
    assert (open_pack(paths[5:7], *SIZE).pictures[1] == read_resized(paths[6], *SIZE)).all()
    assert len(packs_in(cache)) == 3


def test_a_data_set_moved_as_a_whole_is_not_packed_again(
    paths: list[Path], tmp_path: Path, cache: Path
) -> None:
    open_pack(paths, *SIZE)
    packed = packs_in(cache)
    (tmp_path / "set").rename(tmp_path / "elsewhere")
    moved = [tmp_path / "elsewhere" / path.relative_to(tmp_path / "set") for path in paths]
    open_pack(moved, *SIZE)
    assert packs_in(cache) == packed


def test_unreadable_pictures_are_listed_with_the_way_out(paths: list[Path], cache: Path) -> None:
    whole = paths[3].read_bytes()
    paths[3].write_bytes(whole[: len(whole) // 2])
    paths[70].unlink()
    with pytest.raises(UnreadablePicturesError, match="2 pictures cannot be read") as caught:
        open_pack(paths, *SIZE)
    for part in (f"{paths[3]}: it cannot be decoded", f"{paths[70]}: it is not there", "'skip'"):
        assert part in str(caught.value)
    assert packs_in(cache) == []
    paths[3].write_bytes(whole)
    make_picture(paths[70], 70)
    assert len(open_pack(paths, *SIZE).pictures) == 80


def test_unreadable_pictures_can_be_left_out(paths: list[Path]) -> None:
    paths[3].write_bytes(paths[3].read_bytes()[:300])
    pack = open_pack(paths, *SIZE, skip_unreadable=True)
    assert list(pack.unreadable) == [3]
    sound = [path for path in paths if path != paths[3]]
    assert (pack.pictures == np.stack([read_resized(path, *SIZE) for path in sound])).all()


def test_a_long_list_of_unreadable_pictures_is_cut_short(tmp_path: Path) -> None:
    absent = [tmp_path / f"absent/{i}.jpg" for i in range(50)]
    with pytest.raises(UnreadablePicturesError, match="and 30 more") as caught:
        open_pack(absent, *SIZE)
    assert len(str(caught.value).splitlines()) == 22
    with pytest.raises(UnreadablePicturesError, match="50 pictures"):
        open_pack(absent, *SIZE, skip_unreadable=True)  # which would leave none


def test_a_picture_that_vanishes_while_packing_is_named(paths: list[Path], cache: Path) -> None:
    # A pipe is read only when something is written: the build waits at the first picture.
    paths[0].unlink()
    os.mkfifo(paths[0])

    def remove_last_then_go_on() -> None:
        with paths[0].open("wb") as waiting:
            paths[-1].unlink()
            waiting.write(b"no picture")

    thread = threading.Thread(target=remove_last_then_go_on)
    thread.start()
    with pytest.raises(PackError, match=rf"changed while they were packed .*{paths[-1]}"):
        open_pack(paths, *SIZE, skip_unreadable=True)
    thread.join()
    assert packs_in(cache) == []


BUILD = """
import sys
from pathlib import Path
from vireid.packs import open_pack
print(len(open_pack(sorted(Path(sys.argv[1]).glob("*/*.jpg")), 24, 12).pictures))
"""


def start_building(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def test_a_killed_build_leaves_nothing_that_is_taken_for_a_pack(
    paths: list[Path], tmp_path: Path, cache: Path
) -> None:
    last = paths[-1].read_bytes()
    paths[-1].unlink()
    os.mkfifo(paths[-1])  # the build waits at the last picture, the others being written
    building = start_building(tmp_path / "set")
    written = 0
    while not written:
        time.sleep(0.05)
        assert building.poll() is None
        written = sum(file.stat().st_size for file in cache.glob("*.part/pictures.u8"))
    building.send_signal(signal.SIGKILL)
    building.communicate()
    assert packs_in(cache)[0].endswith(".part")
    paths[-1].unlink()
    paths[-1].write_bytes(last)
    pack = open_pack(sorted(paths), *SIZE)
    expected = [read_resized(path, *SIZE) for path in sorted(paths)]
    assert (pack.pictures == np.stack(expected)).all()


def test_several_processes_build_one_pack_between_them(
    paths: list[Path], tmp_path: Path, cache: Path
) -> None:
    processes = [start_building(tmp_path / "set") for _ in range(2)]
    assert [process.communicate()[0].strip() for process in processes] == ["80"] * 2
    assert len(packs_in(cache)) == 1


def test_a_pack_cut_short_by_the_disk_is_built_anew(paths: list[Path], cache: Path) -> None:
    first = open_pack(paths, *SIZE).pictures.copy()
    (file,) = cache.glob("*/pictures.u8")
    os.truncate(file, 1000)
    assert (open_pack(paths, *SIZE).pictures == first).all()


def test_a_cache_that_cannot_be_written_to_is_named(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "file"))
    with pytest.raises(PackError, match=r"file/packs \(Not a directory\); set VIREID_CACHE"):
        open_pack(paths, *SIZE)


def test_too_little_room_is_said_before_any_work(paths: list[Path]) -> None:
    with pytest.raises(PackError, match=r"need 240000\.0 GB .* set VIREID_CACHE"):
        open_pack(paths, 1_000_000, 1_000_000)


def test_no_pictures_no_pack() -> None:
    with pytest.raises(PackError, match="no pictures"):
        open_pack([], *SIZE)


def test_the_cache_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIREID_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == Path("/x/vireid")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == Path.home() / "Library/Caches/vireid"


def test_what_a_pack_says_about_itself_can_be_read_by_anyone(
    paths: list[Path], cache: Path
) -> None:
    open_pack(paths, *SIZE)
    (facts,) = cache.glob("*/pack.json")
    assert json.loads(facts.read_text()) == {"shape": [80, 24, 12, 3], "unreadable": {}}
