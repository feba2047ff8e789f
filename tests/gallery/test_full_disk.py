"""On a disk without room every command says so, keeps what there was, and leaves nothing behind."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.full_disk import full_disk
from tests.gallery.test_killed import COMMANDS, made, sound

__all__ = ["made"]
ROOMS = (500, 2_000, 5_000, 12_000, 25_000, 33_000, 60_000, 100_000)
"""Bytes to which files can grow: too few for some write of each command."""
BEFORE = 24
"""Pictures in the gallery before a command, and in its backup."""
AFTER = {"remove": 22, "index more": 48, "index new": 48}
"""Pictures in what a command changes or makes, where it is another number."""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_told_and_what_was_there_stays(
    name: str, made: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    refused = 0
    for room in ROOMS:
        folder = tmp_path / str(room) / "g"
        shutil.copytree(made / "by one", folder)
        command = COMMANDS[name](made, folder)
        with full_disk(room):
            status, _, told = run(*command)
        if status != 0:
            refused += 1
            assert status == 1, (room, told)
            assert "disk is full" in told or "could not be written" in told, (room, told)
            assert sound(folder) in {BEFORE, AFTER.get(name)}, room
            if "new" in names(folder.parent):  # pictures that were indexed before are acknowledged
                assert sound(folder.with_name("new")) < AFTER["index new"], room
            assert names(folder.parent) in (["g"], ["g", "new"]), room
            status, _, told = run(*command)
            assert status == 0, (room, told)
        results = [path for path in folder.parent.iterdir() if path.is_dir()]
        changed = folder if folder.parent / "new" not in results else folder.parent / "new"
        assert sound(changed) == AFTER.get(name, BEFORE), room
        if name == "remove":
            assert not [p for p in folder.iterdir() if b"/cam1/0001/" in p.read_bytes()], room
        shutil.rmtree(folder.parent)
    assert refused > 1


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))
