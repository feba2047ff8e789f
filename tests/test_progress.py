"""Progress: whoever asks is told, a terminal shows a bar, and a pipe shows nothing."""

import os
import pty
import re
import subprocess
import sys

import pytest
from tests.terminals import read_all

from vireid.progress import Step, counted, on_terminal, tell, told_to
from vireid.threads import in_threads

WORK = """
import logging, sys, time
from vireid.learning.run_log import logging_to
from vireid.progress import counted, on_terminal

with on_terminal(), logging_to(None):
    for number in counted(range(3), "counting sheep", 3):
        time.sleep(0.01)
        print("sheep", number)
        logging.getLogger("vireid.sheep").warning("sheep %d jumps", number)
"""


def test_whoever_asks_is_told_of_every_step() -> None:
    steps: list[Step] = []
    with told_to(steps.append):
        for pair in counted(["ab", "cd", "e"], "spelling", 5, len):
            tell("shouting", len(steps), 9, pair)
    tell("spelling", 7, 9)
    assert [(step.what, step.done, step.total, step.now) for step in steps] == [
        ("spelling", 0, 5, ""),
        ("shouting", 1, 9, "ab"),
        ("spelling", 2, 5, ""),
        ("shouting", 3, 9, "cd"),
        ("spelling", 4, 5, ""),
        ("shouting", 5, 9, "e"),
        ("spelling", 5, 5, ""),
    ]


def test_who_was_told_before_is_told_again_afterwards() -> None:
    outer: list[Step] = []
    inner: list[Step] = []
    with told_to(outer.append):
        with pytest.raises(ZeroDivisionError), told_to(inner.append):
            tell("dividing", 1 // 0, 1)
        tell("resting", 0, 1)
    assert (len(outer), len(inner)) == (1, 0)


def test_work_in_threads_tells_how_many_items_are_done() -> None:
    steps: list[Step] = []
    with told_to(steps.append):
        assert list(in_threads(abs, [-1] * 40, "counting")) == [1] * 40
    assert [step.done for step in steps] == [0, 16, 32, 40]


@pytest.mark.parametrize("force", [{}, {"FORCE_COLOR": "1"}, {"TTY_COMPATIBLE": "1"}])
def test_nothing_is_drawn_into_a_pipe(force: dict[str, str]) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", WORK],
        capture_output=True, text=True, check=True, env=os.environ | force,
    )  # fmt: skip
    assert answer.stderr == "sheep 0 jumps\nsheep 1 jumps\nsheep 2 jumps\n"
    assert answer.stdout == "sheep 0\nsheep 1\nsheep 2\n"


def test_a_terminal_shows_a_bar_and_standard_output_stays_as_it_is() -> None:
    controller, terminal = pty.openpty()
    answer = subprocess.run(
        [sys.executable, "-c", WORK],
        stdout=subprocess.PIPE, stderr=terminal, text=True, check=True,
    )  # fmt: skip
    os.close(terminal)
    drawn = read_all(controller).decode()
    os.close(controller)
    assert "counting sheep" in drawn
    assert "0/3" in drawn
    # Without what moves the cursor and colours the bar.
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn).replace("\r", "\n").splitlines()
    assert [line.strip() for line in lines if "jumps" in line] == [
        f"sheep {number} jumps" for number in range(3)
    ]
    assert answer.stdout == "sheep 0\nsheep 1\nsheep 2\n"


def test_a_bar_is_asked_for_and_nothing_is_drawn_without(capfd: pytest.CaptureFixture[str]) -> None:
    with on_terminal():
        assert list(counted(range(3), "counting", 3)) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")
