import os
from pathlib import Path

import pytest
from tests.full_disk import full_disk

from vireid.errors import VireidError
from vireid.whole_files import new_folder, write_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_and_folders_above_it_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "facts.json"
    for content in (b"first", b"second"):
        write_whole(path, content)
        assert path.read_bytes() == content
        assert names(path.parent) == ["facts.json"]


@pytest.mark.parametrize("room", [0, 4])
def test_a_full_disk_leaves_the_old_file(room: int, tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_whole(path, b"first")
    wanted = r"facts\.json could not be written \(.*large\); make room or"
    with full_disk(room), pytest.raises(VireidError, match=wanted):
        write_whole(path, b"longer")
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == ["facts.json"]


def test_a_file_where_a_folder_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(VireidError, match=r"taken/facts\.json could not be written"):
        write_whole(tmp_path / "taken" / "facts.json", b"")
    assert names(tmp_path) == ["taken"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    final = tmp_path / "new" / "model"
    with new_folder(final) as folder:
        (folder / "a").write_text("a")
        assert not final.exists()
    assert names(final) == ["a"]
    assert names(final.parent) == ["model"]
    with pytest.raises(FileNotFoundError), new_folder(tmp_path / "broken") as folder:
        (folder / "a").rename(folder / "b")
    with new_folder(tmp_path / "empty"):
        pass
    assert names(tmp_path) == ["new"]


def test_a_folder_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").write_text("old")
    with pytest.raises(OSError, match="model"), new_folder(tmp_path / "model") as folder:
        (folder / "new").write_text("new")
    assert names(tmp_path / "model") == ["old"]
    assert names(tmp_path) == ["model"]


def test_what_killed_processes_left_is_removed_in_time_and_nothing_else(tmp_path: Path) -> None:
    old, young = tmp_path / ".a.0123.partial", tmp_path / ".a.4567.partial"
    other, folder = tmp_path / ".b.0123.partial", tmp_path / ".a.89ab.partial"
    for left in (old, young, other):
        left.write_text("half")
    folder.mkdir()
    for left in (old, other, folder):
        os.utime(left, (0, 0))
    write_whole(tmp_path / "a", b"whole")
    assert names(tmp_path) == sorted(["a", young.name, other.name, folder.name])
    (tmp_path / "a").unlink()
    with new_folder(tmp_path / "a") as new:
        (new / "b").write_text("b")
    assert names(tmp_path) == sorted(["a", young.name, other.name])
