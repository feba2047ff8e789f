import contextlib
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from tests.full_disk import full_disk

from vireid.errors import VireidError
from vireid.files import atomic
from vireid.files.atomic import new_folder, scratch_folder, whole_file, write_whole


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


WRITING = """
import sys, time
from pathlib import Path
from vireid.files.atomic import new_folder, scratch_folder, whole_file
kinds = {"file": whole_file, "folder": new_folder, "scratch": scratch_folder}
with kinds[sys.argv[1]](Path(sys.argv[2])) as building:
    print("begun", flush=True)
    time.sleep(1000)
"""
WRITTEN: dict[str, Callable[[Path], None]] = {
    "file": lambda path: write_whole(path, b"whole"),
    "folder": lambda path: fill(path),
    "scratch": lambda path: fill_with_scratch(path),
}


def fill(path: Path) -> None:
    with new_folder(path) as folder:
        (folder / "b").write_text("b")


def fill_with_scratch(path: Path) -> None:
    with scratch_folder(path) as folder:
        (folder / "meanwhile").write_text("b")
        write_whole(path, b"whole")


@contextmanager
def somebody_writing(kind: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WRITING, kind, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_a_killed_process_left_is_removed_by_the_next_and_nothing_else(
    kind: str, tmp_path: Path
) -> None:
    other = tmp_path / ".b.0123.partial"
    other.write_text("of another place")
    with somebody_writing(kind, tmp_path / "a") as killed:
        killed.kill()
        killed.wait()
        assert len(names(tmp_path)) == 2
        with somebody_writing(kind, tmp_path / "a"):
            (at_work,) = set(names(tmp_path)) - {other.name}
            WRITTEN[kind](tmp_path / "a")
            assert names(tmp_path) == sorted([at_work, other.name, "a"])
            assert at_work.startswith(".a.")


def test_where_there_are_no_locks_remains_are_removed_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, young = tmp_path / ".a.0123.partial", tmp_path / ".a.4567.partial"
    for left in (old, young):
        left.write_text("half")
    os.utime(old, (0, 0))
    monkeypatch.setattr(atomic, "fcntl", None)
    write_whole(tmp_path / "a", b"whole")
    assert names(tmp_path) == sorted(["a", young.name])
    os.utime(young, (0, 0))
    (tmp_path / "a").unlink()
    fill(tmp_path / "a")
    assert names(tmp_path) == ["a"]


def test_a_link_stays_and_what_it_leads_to_is_replaced_or_made(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "new" / "facts.json"
    link.symlink_to("new/facts.json")
    for content in (b"first", b"second"):
        write_whole(link, content)
        assert link.is_symlink()
        assert not target.is_symlink()
        assert target.read_bytes() == content
    assert names(target.parent) == ["facts.json"]
    (tmp_path / "models").symlink_to("new/model")
    with new_folder(tmp_path / "models") as folder:
        (folder / "a").write_text("a")
    assert names(tmp_path / "new" / "model") == ["a"]
    assert names(tmp_path) == ["link", "models", "new"]


def test_links_in_a_circle_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("a")
    with pytest.raises(VireidError, match=r"a could not be written \(.*links"):
        write_whole(tmp_path / "a", b"")
    assert names(tmp_path) == ["a"]


posix = pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")


@posix
def test_a_pipe_gets_the_content_and_stays_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for path in (tmp_path / "pipe", tmp_path / "link"):
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            write_whole(path, b"content")
            assert os.read(reader, 100) == b"content"
        finally:
            os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
    assert names(tmp_path) == ["link", "pipe"]


@posix
def test_a_device_gets_the_content_and_stays_a_device() -> None:
    controller, terminal = pty.openpty()
    try:
        path = Path(os.ttyname(terminal))
        write_whole(path, b"content")
        assert os.read(controller, 100) == b"content"
        assert path.is_char_device()
    finally:
        os.close(controller)
        os.close(terminal)


@posix
def test_what_is_broken_off_writes_nothing_to_a_device() -> None:
    controller, terminal = pty.openpty()
    try:
        with suppress(ZeroDivisionError), whole_file(Path(os.ttyname(terminal))) as file:
            file.write(b"half")
            raise ZeroDivisionError
        os.set_blocking(controller, False)
        with pytest.raises(BlockingIOError):
            os.read(controller, 100)
    finally:
        os.close(controller)
        os.close(terminal)


@posix
def test_a_socket_and_a_folder_are_refused_and_stay(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with closing(socket.socket(socket.AF_UNIX)) as there, contextlib.chdir(tmp_path):
        there.bind("socket")  # the whole path may be too long for an address
        for name in ("socket", "folder", ".", "/"):
            with pytest.raises(
                VireidError, match=r"could not be written \([iI](t is no file|s a directory)"
            ):
                write_whole(Path(name), b"content")
        assert (tmp_path / "socket").is_socket()
    assert names(tmp_path) == ["folder", "socket"]


WRITES = """
import sys
from pathlib import Path
from vireid.files.atomic import write_whole

print("before", flush=True)
write_whole(Path(sys.argv[1]), b"content")
print(" after")
"""


@posix
@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "printed"])
def test_what_is_printed_stays_in_the_file_that_it_goes_to(path: str, tmp_path: Path) -> None:
    if path.startswith("/") and not Path(path).exists():
        pytest.skip(f"there is no {path}")
    with (tmp_path / "printed").open("wb") as file:
        command = [sys.executable, "-c", WRITES, path]
        subprocess.run(command, cwd=tmp_path, stdout=file, check=True)
    assert (tmp_path / "printed").read_text() == "before\ncontent after\n"
    assert names(tmp_path) == ["printed"]
