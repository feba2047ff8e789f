"""The script that compares steps with released code says in one line what it was given wrongly."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SCRIPT = BENCHMARKS / "step_parity.py"
FILES = ("model.py", "resnet.py", "loss.py", "train.py", "random_erasing.py")


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with the files of MMN, at a commit of its own."""
    folder = tmp_path / "MMN"
    folder.mkdir()
    for name in FILES:
        (folder / name).touch()
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "all files")
    return folder


def answer(*arguments: str | Path) -> str:
    """What is said on stderr; the status is 1, and there is nothing on stdout."""
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stdout == ""
    return run.stderr


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    told = answer(tmp_path / "nowhere")
    assert told.startswith(f"step_parity.py: {tmp_path / 'nowhere'} is no folder; give clones of")
    assert told.count("\n") == 1


def test_a_folder_that_git_does_not_know(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).touch()
    told = answer(tmp_path)
    assert f"{tmp_path} is no clone, as git knows no commit of it" in told
    assert told.count("\n") == 1


def test_a_folder_within_a_clone(clone: Path) -> None:
    (clone / "inner").mkdir()
    assert "inner is no clone" in answer(clone / "inner")


def test_a_clone_of_something_else(clone: Path) -> None:
    for name in FILES[1:]:
        (clone / name).unlink()
    told = answer(clone)
    assert "is no clone of github.com/mangye16/Cross-Modal-Re-ID-baseline" in told
    assert told.count("\n") == 1


def test_a_clone_that_lacks_a_file(clone: Path) -> None:
    (clone / "loss.py").unlink()
    assert answer(clone) == f"step_parity.py: {clone}, a clone of MMN, lacks loss.py\n"


def test_a_clone_at_another_commit(clone: Path) -> None:
    told = answer(clone)
    assert "MMN is compared at 01d70d5; check that out, or add --any-commit" in told
    assert told.count("\n") == 1


def test_the_first_wrong_clone_is_told_before_anything_is_compared(clone: Path) -> None:
    assert "is no folder" in answer("--any-commit", clone, clone / "nowhere")


def test_networks_to_import_are_told_from_clones_in_the_same_way(clone: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "import_parity.py"), str(clone)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1
    assert "import_parity.py: " in run.stderr
    assert "MMN is compared at 01d70d5; check that out, or add --any-commit" in run.stderr
