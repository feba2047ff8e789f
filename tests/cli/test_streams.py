"""Standard output and standard error of any encoding, closed, full or cut off."""

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.onnx_model import write_model, write_site
from tests.terminals import read_all

from vireid.cli.main import main
from vireid.datasets import folder
from vireid.gallery import Gallery
from vireid.models.embedder import Embedder
from vireid.search.indexing import index

Typed = Callable[..., tuple[int, str, str]]
NAME = "照片 ± é"
"""No encoding but those of Unicode has all of these letters."""
ENCODINGS = ("ascii", "cp1252", "latin-1")


def replaced(text: str, encoding: str) -> str:
    return text.encode(encoding, "backslashreplace").decode(encoding)


@pytest.fixture(params=ENCODINGS)
def encoding(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, encoding: str) -> Typed:
    """Types `vireid ...` where both streams have an encoding; gives exit status and streams."""

    def run(*words: object) -> tuple[int, str, str]:
        written = [io.BytesIO(), io.BytesIO()]
        streams = [io.TextIOWrapper(each, encoding=encoding) for each in written]
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["vireid", *map(str, words)])
            patch.setattr(sys, "stdout", streams[0])
            patch.setattr(sys, "stderr", streams[1])
            with pytest.raises(SystemExit) as ended:
                main()
        status = ended.value.code
        assert isinstance(status, int)
        output, errors = (each.getvalue().decode(encoding) for each in written)
        return status, output, errors

    return run


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return write_site(tmp_path / NAME)


def test_what_an_encoding_lacks_is_replaced(
    typed: Typed, site: Path, encoding: str, tmp_path: Path
) -> None:
    model, gallery, shown = write_model(tmp_path / "m"), tmp_path / "g", replaced(NAME, encoding)
    (site / "cam1/0001/0001.jpg").write_bytes(b"")
    (site / "cam3/0002/0003.jpg").write_bytes((site / "cam3/0002/0001.jpg").read_bytes())
    query = site / "cam3/0001/0001.jpg"

    status, output, errors = typed("index", site, "--out", gallery, "--model", model)
    assert (status, errors) == (0, "")
    assert f"skipped {tmp_path}/{shown}/cam1/0001/0001.jpg" in output

    status, output, errors = typed("search", gallery, query)
    assert (status, errors) == (0, "")
    assert f"{shown}/cam1" in output

    status, output, _ = typed("data", "check", "folder", site)
    assert status == 1
    assert f"{shown}/cam3/0002/0001.jpg = " in output

    (site / "cam1/0001/0001.jpg").unlink()
    scores = tmp_path / "scores.json"
    asked = ("--dataset", "folder", "--root", site, "--out", scores)
    status, _, errors = typed("evaluate", model, *asked)
    assert (status, errors) == (0, "")
    status, output, errors = typed("compare", scores)
    assert (status, errors) == (0, "")
    assert replaced("mean ±", encoding) in output


def test_errors_are_told_in_any_encoding(typed: Typed, site: Path, encoding: str) -> None:
    shown = replaced(NAME, encoding)
    status, output, errors = typed("search", site, site / "cam1/0001/0001.jpg")
    assert (status, output) == (1, "")
    assert errors.startswith(f"vireid: {site.parent}/{shown} is not a gallery")
    status, output, errors = typed("train", f"{NAME}.toml")
    assert (status, output) == (2, "")
    assert f"there is no recipe '{shown}.toml'" in errors


LOGGING = f"""
import logging
from vireid import console
from vireid.learning.run_log import logging_to
from vireid.progress import counted, on_terminal

console.take_any_text()
with on_terminal(), logging_to(None):
    for _ in counted(range(3), "{NAME}", 3):
        logging.getLogger("vireid").warning("{NAME}")
"""


def test_bars_and_log_lines_are_drawn_in_any_encoding(encoding: str) -> None:
    told = os.environ | {"PYTHONIOENCODING": encoding, "TERM": "xterm"}
    controller, terminal = pty.openpty()
    subprocess.run([sys.executable, "-c", LOGGING], env=told, stderr=terminal, check=True)
    os.close(terminal)
    drawn = read_all(controller).decode(encoding)
    os.close(controller)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn).replace("\r", "\n").splitlines()
    assert [line.strip() for line in lines].count(replaced(NAME, encoding)) == 3


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, a site and a gallery of both."""
    place = tmp_path_factory.mktemp("place")
    model, site = write_model(place / "model"), write_site(place / "site")
    embedder = Embedder.open(model)
    with Gallery.create(place / "gallery", embedder) as gallery:
        index(folder.find(site).records, embedder, gallery)
    return place


KEEPING = {
    "scores.json": "evaluate ../model --dataset folder --root ../site --out scores.json",
    "new.gallery": "index ../site --out new.gallery --model ../model",
    "hits.png": "search ../gallery ../site/cam3/0001/0001.jpg --sheet hits.png --identity 1",
    "people.png": "data show folder ../site --out people.png --group test",
    "agw_sysu.toml": "recipes copy agw_sysu",
}
"""Commands that print, and leave this file or folder behind."""
posix = pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
FULL = "vireid: standard output could not be written (No space left on device)"


def ended(command: str, here: Path | None = None) -> tuple[int, str, str]:
    """Run a line of the shell, in which `>&7` is a pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        line = ["bash", "-c", f"exec 7>&{writer}; {command}"]
        answer = subprocess.run(line, cwd=here, capture_output=True, text=True, pass_fds=[writer])
    finally:
        os.close(writer)
    return answer.returncode, answer.stdout, answer.stderr


@posix
@pytest.mark.parametrize("kept", KEEPING)
@pytest.mark.parametrize(
    ("sink", "status", "said"),
    [
        (">&7", 141, ""),
        (">&7 2>&7", 141, ""),
        ("> /dev/full", 1, FULL),
        (">&- 2>&-", 0, ""),
    ],
)
def test_results_are_kept_whoever_reads(
    kept: str, sink: str, status: int, said: str, place: Path, tmp_path: Path
) -> None:
    here = place / tmp_path.name
    here.mkdir()
    code, _, errors = ended(f"{sys.executable} -m vireid {KEEPING[kept]} {sink}", here)
    assert (here / kept).exists()
    assert (code, errors.count("\n")) == (status, bool(said))
    assert errors.startswith(said)


@posix
@pytest.mark.parametrize("words", ["--help", "list", "data check --help"])
def test_a_closed_pipe_has_its_usual_status(words: str) -> None:
    assert ended(f"{sys.executable} -m vireid {words} >&7") == (141, "", "")


LEARNING = """
import logging, sys
from vireid.console import take_any_text
from vireid.learning.run_log import logging_to

take_any_text()
with logging_to(None):
    for _ in range(3):
        logging.getLogger('vireid').warning('an epoch')
print('learnt')
"""


@posix
@pytest.mark.parametrize("sink", ["2>&7", "2> /dev/full", "2>&-"])
def test_learning_goes_on_where_nobody_reads_its_log(sink: str) -> None:
    assert ended(f'{sys.executable} -c "{LEARNING}" {sink}') == (0, "learnt\n", "")
