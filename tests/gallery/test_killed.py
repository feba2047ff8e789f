"""Commands that are killed at any moment lose nothing that was acknowledged, and leave nothing."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gallery.test_earlier_formats import format_of, write_old
from tests.onnx_model import write_model, write_site

from vireid.gallery import Gallery
from vireid.gallery.summary import Health

TIMES = int(os.environ.get("VIREID_KILLS", "1"))
"""Number of times that each command is killed."""


def vireid(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vireid", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def killed(rng: random.Random, longest: float, *words: object) -> None:
    """Run a command and kill it at a random moment."""
    command = [sys.executable, "-m", "vireid", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(rng.uniform(0.3, 1) * longest)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site, two models, a gallery of the site's half, and a backup of that."""
    root = tmp_path_factory.mktemp("killed")
    write_site(root / "site", people=12)
    write_model(root / "one")
    write_model(root / "other", seed=1)
    index = ("index", root / "site/cam1", "--out", root / "by one", "--model", root / "one")
    assert vireid(*index).returncode == 0
    assert vireid("gallery", "backup", root / "by one", root / "b.zip").returncode == 0
    return root


def sound(folder: Path) -> int:
    with Gallery.open(folder) as gallery:
        assert Health.of(gallery).damage == ()
        return len(gallery)


COMMANDS: dict[str, Callable[[Path, Path], tuple[object, ...]]] = {
    "index new": lambda made, g: ("index", made / "site", "--out", g.with_name("new"),
                                  "--model", made / "one"),
    "index more": lambda made, g: ("index", made / "site", "--out", g),
    "remove": lambda made, g: ("gallery", "remove", g, "person:1", "--yes"),
    "compact": lambda made, g: ("gallery", "compact", g),
    "backup": lambda made, g: ("gallery", "backup", g, g.with_name("again.zip")),
    "restore": lambda made, g: ("gallery", "restore", made / "b.zip", g.with_name("restored")),
    "reindex": lambda made, g: ("gallery", "reindex", g, "--model", made / "other"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_is_done_or_not_done_and_done_again(
    made: Path, tmp_path: Path, name: str
) -> None:
    rng = random.Random(name)
    began = time.monotonic()
    for attempt in range(TIMES + 1):
        folder = tmp_path / str(attempt) / "g"
        shutil.copytree(made / "by one", folder)
        command = COMMANDS[name](made, folder)
        if attempt == 0:
            assert vireid(*command).returncode == 0
            longest = time.monotonic() - began
        else:
            killed(rng, longest, *command)
            before = 24
            assert sound(folder) in {before, 48, 22}
            again = vireid(*command)
            already = "is there already" in again.stderr
            assert again.returncode == 0 or already, again.stderr
        beside = sorted(path.name for path in folder.parent.iterdir())
        left = [n for n in beside if n not in ("g", "new", "again.zip", "restored")]
        assert not [n for n in left if not n.endswith(".lock")], left
        for path in folder.parent.iterdir():
            if path.is_dir():
                expected = {"remove": 22, "index new": 48, "index more": 48}.get(name, 24)
                assert sound(path) == (24 if name == "index new" and path == folder else expected)
                assert not (path / "reindex").exists()
        shutil.rmtree(folder.parent)


@pytest.mark.parametrize("format_", [1, 2])
def test_a_killed_migration_is_done_or_not_done(format_: int, tmp_path: Path) -> None:
    old = write_old(tmp_path / "old.gallery", format_)
    rng = random.Random(format_)
    began = time.monotonic()
    for attempt in range(TIMES + 1):
        folder = tmp_path / f"{attempt}.gallery"
        shutil.copytree(old, folder)
        if attempt == 0:
            assert vireid("gallery", "migrate", folder).returncode == 0
            longest = time.monotonic() - began
        else:
            killed(rng, longest, "gallery", "migrate", folder)
            assert format_of(folder) in (format_, 3)
            assert vireid("gallery", "migrate", folder).returncode == 0
        assert (sound(folder), format_of(folder)) == (40, 3)
