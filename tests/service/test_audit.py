"""The audit log: a chain that shows what was changed in it."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.full_disk import full_disk
from tests.onnx_model import person
from tests.service.conftest import Serving

from vireid.errors import VireidError
from vireid.service.audit import FILE, Asker, Audit, Line, check
from vireid.service.database import Database

Run = Callable[..., tuple[int, str, str]]


def written(folder: Path, lines: int = 5) -> Path:
    database = Database(folder)
    audit = Audit(folder, database)
    for number in range(lines):
        audit.write([Line("search", Asker("desk", f"r{number}"), {"hits": number})])
    audit.close()
    database.close()
    return folder / FILE


def test_a_log_as_it_was_written_is_right(tmp_path: Path) -> None:
    path = written(tmp_path)
    checked = check(tmp_path)
    assert (checked.lines, checked.wrong) == (5, ())
    assert checked.hash == json.loads(path.read_text().splitlines()[-1])["hash"]


@pytest.mark.parametrize(
    ("forged", "told"),
    [
        (
            lambda lines: [*lines[:2], lines[2].replace('"hits": 2', '"hits": 3'), *lines[3:]],
            "line 3",
        ),
        (lambda lines: [*lines[:2], *lines[3:]], "line 3"),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], "line 3"),
        (lambda lines: [lines[0], lines[0], *lines[1:]], "line 2"),
        (lambda lines: lines[:3], "it has 3 lines"),
        (lambda lines: [], "it has 0 lines"),
        (lambda lines: [*lines[:2], "{}", *lines[3:]], "line 3"),
    ],
)
def test_what_was_changed_is_found(
    tmp_path: Path, forged: Callable[[list[str]], list[str]], told: str
) -> None:
    path = written(tmp_path)
    path.write_text("".join(f"{line}\n" for line in forged(path.read_text().splitlines())))
    assert check(tmp_path).wrong[0].startswith(told)


def test_a_line_that_was_cut_off_is_taken_away_and_the_chain_goes_on(tmp_path: Path) -> None:
    path = written(tmp_path)
    with path.open("a") as file:
        file.write('{"line": 6, "ti')
    assert check(tmp_path).wrong == ()
    written(tmp_path, lines=1)
    assert (check(tmp_path).lines, check(tmp_path).wrong) == (6, ())


def test_a_full_disk_leaves_no_half_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, line = written(tmp_path), Line("search", Asker("desk", "r"), {})
    database = Database(tmp_path)
    audit = Audit(tmp_path, database)
    size = path.stat().st_size
    with full_disk(size + 20), pytest.raises(VireidError, match=r"too large|full"):
        audit.write([line])
    assert path.stat().st_size == size
    cut = os.ftruncate

    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "the disk fails")

    monkeypatch.setattr(os, "ftruncate", failing)
    with full_disk(size + 20), pytest.raises(VireidError):
        audit.write([line, line])
    assert path.stat().st_size > size
    monkeypatch.setattr(os, "ftruncate", cut)
    audit.write([line, line], is_change=True)
    audit.close()
    database.close()
    assert (check(tmp_path).lines, check(tmp_path).wrong) == (7, ())


def test_who_did_what_is_written(serving: Serving, site: Path, tmp_path: Path, run: Run) -> None:
    person(90).save(tmp_path / "new.png")
    file = [("images", ("x", (tmp_path / "new.png").read_bytes()))]
    base = "/api/v1/galleries/site"
    with serving() as client:
        asked = {"filter": "camera:cam1"}
        client.post(f"{base}/search", files=file, data=asked, headers={"X-Request-ID": "request-1"})
        (id_,) = client.post(f"{base}/pictures", files=file).json()["ids"]
        client.patch(f"{base}/pictures/{id_}", json={"person": "anna"})
        removal = client.delete(f"{base}/pictures/{id_}").json()["id"]
        client.delete(f"{base}/removals/{removal}")
    lines = [json.loads(line) for line in (tmp_path / "data" / FILE).read_text().splitlines()]
    assert [line["action"] for line in lines] == ["search", "add", "label", "remove", "undo"]
    assert (lines[0]["request"], lines[0]["filters"]) == ("request-1", ["camera:cam1"])
    assert {line["who"] for line in lines} == {"someone at 127.0.0.1"}
    assert lines[3]["pictures"] == [id_]
    status, output, _ = run("audit", "check", "--data", tmp_path / "data", "--json")
    assert (status, json.loads(output)["lines"]) == (0, 5)
    log = tmp_path / "data" / FILE
    log.write_text(log.read_text().replace('"label"', '"other"'))
    status, output, errors = run("audit", "check", "--data", tmp_path / "data")
    assert (status, "line 3: it was changed" in output) == (1, True)
    assert "is not as it was written" in errors
