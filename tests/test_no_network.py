"""Nothing that vireid does looks up the name of a host, or leaves a number of the machine behind.

The resolver is one that knows no name and writes down what it was asked, in a network where there
is nothing else (`tests/lonely.py`).
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ALONE = ("unshare", "--map-root-user", "--net", "--mount")
QUERY = "src/vireid/datasets/nightwalk_mini/cam3/0020/0002.jpg"
GALLERY = "src/vireid/datasets/nightwalk_mini/cam4/0020"
IMPORT_ALL = """
import importlib, pkgutil, vireid
for module in pkgutil.walk_packages(vireid.__path__, "vireid."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
SEARCH_AND_STAY = """
import sys, time
from vireid.cli.main import vireid
for words in (["index", {gallery!r}, "--out", {out!r}, "--modality", "visible", *{ray!r}],
              ["search", {out!r}, {query!r}]):
    vireid(words, standalone_mode=False)
time.sleep(12)  # ONNX Runtime waits nine seconds before it calls its maker
"""


def is_possible() -> bool:
    if shutil.which(ALONE[0]) is None:
        return False
    return subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not is_possible(), reason="no network of one's own to be had here")


def looked_up(program: str, home: Path) -> list[str]:
    """Run a program in Python; gives the names that it looked up."""
    log = home.with_suffix(".log")
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.endswith(("TELEMETRY", "_HOME", "_CACHE"))}
    done = subprocess.run(
        [*ALONE, sys.executable, "tests/lonely.py", log, sys.executable, "-c", program],
        env={**kept, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return log.read_text(encoding="utf-8").splitlines()


def test_a_name_that_is_looked_up_is_noticed(tmp_path: Path) -> None:
    program = (
        "import contextlib, socket\nwith contextlib.suppress(OSError):\n"
        "    socket.gethostbyname('pictures.example.org')"
    )
    assert "pictures.example.org" in looked_up(program, tmp_path / "home")


@pytest.mark.slow
@pytest.mark.parametrize("work", ["import", "search", "search by ray"])
def test_no_name_is_looked_up_and_the_machine_gets_no_number(work: str, tmp_path: Path) -> None:
    home, out = tmp_path / "home", str(tmp_path / "g")
    ray = ["--ray", "--workers", "1"] if work == "search by ray" else []
    search = SEARCH_AND_STAY.format(gallery=GALLERY, out=out, query=QUERY, ray=ray)
    assert looked_up(IMPORT_ALL if work == "import" else search, home) == []
    left = {path.relative_to(home).parts[:2] for path in home.rglob("*") if path.is_file()}
    assert left <= {(".cache", "vireid"), (".cache", "matplotlib"), (".config", "matplotlib")}
