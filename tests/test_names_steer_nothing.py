"""Names that strangers gave steer no terminal: what would is printed as `\\x1b` or `\\n`."""

import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console
from rich.table import Table
from tests.onnx_model import person, write_model
from tests.terminals import read_all

from vireid import console
from vireid.cli import main as cli
from vireid.console import STEERING, plain, printable
from vireid.errors import VireidError
from vireid.gallery import Hit
from vireid.learning.run_log import logging_to
from vireid.records import ImageRecord, Modality, TextQuery
from vireid.reports import contact_sheet

Run = Callable[..., tuple[int, str, str]]
STEER = {
    "a\nvireid: all is well": r"a\nvireid: all is well",
    "\x1b]0;title\x07\x1b[2J": r"\x1b]0;title\x07\x1b[2J",
    "\x9b31mred": r"\x9b31mred",
    "a\rb\tc\x7f": r"a\rb\tc\x7f",
    "\u202egpj.exe": r"\u202egpj.exe",
    "a\u2066b\u2069": r"a\u2066b\u2069",
    "a\u2028b": r"a\u2028b",
}
"""Names, and how they are printed."""
NAMES = pytest.mark.parametrize(("name", "shown"), STEER.items(), ids=ascii)
posix = pytest.mark.skipif(os.name != "posix", reason="file names of POSIX")


def steers(printed: str) -> bool:
    return bool(STEERING.search(printed.replace("\n", "")))


@NAMES
def test_what_steers_is_shown_by_number(name: str, shown: str) -> None:
    assert printable(name) == shown


def test_bytes_that_are_no_utf_8_are_shown_as_such() -> None:
    assert printable(os.fsdecode(b"caf\xe9")) == r"caf\xe9"
    assert printable("\ud83d") == r"\ud83d"


@pytest.mark.parametrize(
    "name", ["照片 ± é", "C:\\new\\x1b", "[b]:key:", "صورة", "👩🏽", "a\u0308"]
)
def test_letters_of_all_kinds_are_kept(name: str) -> None:
    assert printable(name) == name


@given(st.text(st.characters()))
def test_nothing_that_is_printed_steers(text: str) -> None:
    assert not STEERING.search(printable(text))
    assert printable(printable(text)) == printable(text)


@NAMES
def test_tables_have_a_line_where_a_name_has_several(name: str, shown: str) -> None:
    table = Table(title=plain(name), caption=plain("first", name))
    table.add_column(plain(name))
    table.add_row(plain(name))
    told = Console(width=1000, file=io.StringIO(), record=True)
    told.print(table)
    text = told.export_text()
    assert text.count(shown) == 4
    assert not steers(text)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Folders whose names steer, with a picture that can be read and one that cannot."""
    for number, name in enumerate(STEER, 1):
        folder = tmp_path / "site" / "visible" / f"{number:04d}" / name
        folder.mkdir(parents=True)
        person(number).save(folder / f"{name}.jpg")
        (folder / f"{name} empty.jpg").write_bytes(b"")
    return tmp_path / "site"


@posix
def test_no_command_prints_what_steers(run: Run, site: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", name="\x1b[1mmodel\n")
    query = tmp_path / "infrared" / "query.jpg"
    query.parent.mkdir()
    person(2).save(query)
    gallery = tmp_path / "gallery\n\x1b[2J"

    gate = ("--camera", "gate\n\x1b[2J")
    status, output, errors = run("index", site, "--out", gallery, "--model", model, *gate)
    assert (status, errors) == (0, "")
    assert not steers(output)
    for shown in STEER.values():
        assert f"{shown} empty.jpg: it is empty" in output
    assert r"by model \x1b[1mmodel\n" in output

    status, output, errors = run("search", gallery, query, "--sheet", tmp_path / "hits.png")
    assert (status, errors) == (0, "")
    assert not steers(output)
    for shown in STEER.values():
        (line,) = (line for line in output.splitlines() if f"{shown}.jpg" in line)
        assert r"│ gate\n\x1b[2J │" in line

    status, output, _ = run("data", "check", "folder", site)
    assert status == 1
    assert not steers(output)
    assert len([line for line in output.splitlines() if "it is empty" in line]) == len(STEER)

    status, output, errors = run("search", tmp_path / "no\n\x1b[2Jvireid: ok", query)
    assert (status, output) == (2, "")
    assert not steers(errors)
    assert r"no\n\x1b[2Jvireid: ok" in errors
    status, output, errors = run("list", "methods", "x", "too\nmany\x1b[2J")
    assert not steers(errors)
    assert r"too\nmany\x1b[2J" in errors


@posix
def test_programs_get_names_exactly(run: Run, site: Path, tmp_path: Path) -> None:
    (site / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"")
    gallery, model = tmp_path / "g\x7f", write_model(tmp_path / "model")
    status, output, _ = run("index", site, "--out", gallery, "--model", model, "--json")
    assert status == 0
    assert not steers(output)
    told = json.loads(output)
    assert told["gallery"] == str(gallery)
    skipped = {Path(each["where"]).name for each in told["skipped"]}
    assert skipped == {f"{name} empty.jpg" for name in STEER} | {os.fsdecode(b"caf\xe9.jpg")}


@posix
def test_a_gallery_may_have_a_name_that_is_not_utf_8(run: Run, site: Path, tmp_path: Path) -> None:
    gallery, model = tmp_path / os.fsdecode(b"g\xe9\xff"), write_model(tmp_path / "model")
    for added in (len(STEER), 0):
        status, output, _ = run("index", site, "--out", gallery, "--model", model)
        assert status == 0
        assert rf"g\xe9\xff: {added} pictures added" in output


def test_names_as_long_as_a_book_are_shown_in_part(run: Run, tmp_path: Path) -> None:
    long, shown = "c" * 5_000, "c" * 59 + "…"
    for spectrum in ("visible", "infrared"):
        (tmp_path / spectrum).mkdir()
        person(1).save(tmp_path / spectrum / "a.jpg")
    rows = [f"{spectrum}/a.jpg,{long},1" for spectrum in ("visible", "infrared")]
    (tmp_path / "list.csv").write_text("\n".join(["path,camera,identity", *rows]))
    gallery, model = tmp_path / "g", write_model(tmp_path / "model")
    for words in (
        ("index", tmp_path / "list.csv", "--out", gallery, "--model", model),
        ("search", gallery, tmp_path / "infrared" / "a.jpg", "--camera", long),
        ("search", gallery, tmp_path / "infrared" / "a.jpg"),
        ("data", "check", "folder", tmp_path / "list.csv"),
    ):
        status, output, _ = run(*words)
        assert status == 0
        assert shown in output
        assert long not in output
    (hit,) = json.loads(run("search", gallery, tmp_path / "infrared/a.jpg", "--json")[1])["hits"]
    assert hit["camera"] == long


def ended_by(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "vireid", fail)
    monkeypatch.setattr(sys, "argv", ["vireid"])
    with pytest.raises(SystemExit):
        cli.main()


@NAMES
def test_errors_are_one_line_and_what_they_list(
    name: str, shown: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ended_by(VireidError(f"{name}: 2 are missing:", listed=[name, "b"]), monkeypatch)
    assert capfd.readouterr().err == f"vireid: {shown}: 2 are missing:\n  {shown}\n  b\n"
    ended_by(OSError(28, "No space left on device", name), monkeypatch)
    assert capfd.readouterr().err == f"vireid: {shown}: No space left on device\n"


LOUD = """
import logging, sys
from vireid import console
from vireid.progress import counted, on_terminal

console.show_all_by_lines()
with on_terminal():
    for _ in counted(range(3), "[/x]\\x1b[2J\\n", 3):
        logging.getLogger("vireid.there").warning("warned of %s", "\\x1b[2J\\n")
raise RuntimeError("\\x1b[2J")
"""


@posix
def test_bars_warnings_and_tracebacks_steer_nothing() -> None:
    controller, terminal = pty.openpty()
    ended = subprocess.run([sys.executable, "-c", LOUD], stderr=terminal, check=False)
    os.close(terminal)
    drawn = read_all(controller).decode()
    os.close(controller)
    assert ended.returncode == 1
    assert drawn.count(r"warned of \x1b[2J\n") == 3
    assert r"RuntimeError: \x1b[2J" in drawn
    assert r"[/x]\x1b[2J\n" in re.sub(r"\x1b\[[\d;]*m", "", drawn)
    assert "\x1b[2J" not in drawn


@NAMES
def test_log_lines_steer_nothing(
    name: str, shown: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with logging_to(tmp_path / "log.txt"):
        logging.getLogger("vireid.learning").info("learning from %s", name)
    assert capsys.readouterr().err == f"learning from {shown}\n"
    (line,) = (tmp_path / "log.txt").read_text(encoding="utf-8").splitlines()
    assert line.endswith(f"  learning from {shown}")


@NAMES
def test_sheets_show_what_steers_by_number(name: str, shown: str, tmp_path: Path) -> None:
    def sheets(camera: str, sentence: str) -> list[Image.Image]:
        seen = ImageRecord(tmp_path / "a.jpg", Modality.VISIBLE, 1, camera)
        return [
            contact_sheet.compose(TextQuery(sentence), [Hit(1, 0.5, seen)], camera),
            contact_sheet.compose_people([seen], [1], camera),
        ]

    person(1).save(tmp_path / "a.jpg")
    # Blanks of all kinds stand between the words of a sentence.
    in_words = " ".join(map(printable, name.split()))
    for drawn, wanted in zip(sheets(name, name), sheets(shown, in_words), strict=True):
        assert drawn.size == wanted.size
        assert drawn.tobytes() == wanted.tobytes()


def test_what_a_console_shows_has_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("[b]", "a\nb")
    console.remark("[b]", "a\nb")
    assert capsys.readouterr() == ("[b]\na\\nb\n", "[b]\na\\nb\n")
