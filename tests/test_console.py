"""Tables are whole in pipes and files; on a terminal names fold and numbers stay whole."""

import os
import pty
import re
import subprocess
import sys

import pytest
from tests.terminals import read_all

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a pseudo-terminal is a matter of POSIX")
NAME = "clip4vi_reid_nightwalk_mini-1"
NUMBER = "23.4 ± 1.8"
METRICS = ["R1", "R5", "R10", "R20", "mAP", "mINP"]
SCRIPT = f"""
from rich.table import Table
from vireid.console import show
table = Table(title="a title that is rather long, longer than narrow tables are")
table.add_column("model")
table.add_column("protocol")
for metric in {METRICS}:
    table.add_column(metric, justify="right")
table.add_row("{NAME}", "visible-to-infrared, nothing hidden", *["{NUMBER}"] * {len(METRICS)})
show(table)
"""


def in_a_pipe(columns: int) -> str:
    command = [sys.executable, "-c", SCRIPT]
    told = os.environ | {"COLUMNS": str(columns)}
    return subprocess.run(command, env=told, capture_output=True, text=True, check=True).stdout


def on_a_terminal(columns: int) -> str:
    ours, theirs = pty.openpty()
    told = os.environ | {"COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"}
    subprocess.run([sys.executable, "-c", SCRIPT], env=told, stdout=theirs, check=True)
    os.close(theirs)
    said = read_all(ours).decode()
    os.close(ours)
    return re.sub(r"\x1b\[[\d;]*m", "", said)


def letters_of_first_column(said: str) -> str:
    rows = [line.split("│")[1].strip() for line in said.splitlines() if line.startswith("│")]
    return "".join(rows)


@pytest.mark.parametrize("columns", [40, 80])
def test_nothing_is_cut_in_a_pipe(columns: int) -> None:
    said = in_a_pipe(columns)
    (row,) = (line for line in said.splitlines() if NAME in line)
    assert row.count(NUMBER) == len(METRICS)
    assert "visible-to-infrared, nothing hidden" in row


@pytest.mark.parametrize("columns", [40, 80, 130])
def test_on_a_terminal_names_fold_and_numbers_stay_whole(columns: int) -> None:
    said = on_a_terminal(columns)
    assert said.count(NUMBER) == len(METRICS)
    assert letters_of_first_column(said) == NAME
    assert "…" not in said


def test_a_table_is_no_wider_than_a_terminal_that_has_room_for_it() -> None:
    assert max(map(len, on_a_terminal(130).splitlines())) <= 130
