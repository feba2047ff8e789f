from pathlib import Path

import pytest
from tests.full_disk import full_disk

from vireid.errors import VireidError
from vireid.whole_files import write_whole


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
