"""Figures that a run measures are added line by line, and none is lost or there twice."""

from pathlib import Path
from typing import Any

import pytest
from tests.toy import ToyData, small

from vireid.learning import training_history
from vireid.learning.checkpoints import Position
from vireid.learning.reporting import Report
from vireid.learning.training_history import MEASURES
from vireid.methods.clip4vi_reid import CLIP4VIReID


@pytest.fixture(scope="module")
def stages() -> list[Any]:
    return small(CLIP4VIReID).stages(ToyData())


def report(folder: Path, stages: list[Any], begin: Position) -> Report:
    return Report(folder, stages, begin)


def found(folder: Path) -> list[tuple[int, str, int | None, float | None]]:
    lines = training_history.read_measures(folder / MEASURES)
    return [(line.stage_number, line.when, line.epoch, line.figures["x"]) for line in lines]


def filled(folder: Path, stages: list[Any]) -> None:
    begun = report(folder, stages, Position())
    begun.measured(0, "before", 0, {"x": 0.0})
    for epoch in (1, 2):
        begun.measured(0, "during", epoch, {"x": float(epoch)})
    begun.measured(0, "after", 3, {"x": 3.0})
    begun.measured(1, "during", 1, {"x": 4.0})


def test_a_line_is_added_behind_those_that_are_there(tmp_path: Path, stages: list[Any]) -> None:
    begun = report(tmp_path, stages, Position())
    before = b""
    for epoch in range(4):
        begun.measured(0, "during", epoch, {"x": float(epoch)})
        content = (tmp_path / MEASURES).read_bytes()
        assert content.startswith(before)
        assert content.count(b"\n") == epoch + 1
        before = content


def test_a_run_that_goes_on_keeps_what_it_does_not_measure_again(
    tmp_path: Path, stages: list[Any]
) -> None:
    filled(tmp_path, stages)
    report(tmp_path, stages, Position(1, 0, 3))
    assert found(tmp_path) == [
        (0, "before", 0, 0.0),
        (0, "during", 1, 1.0),
        (0, "during", 2, 2.0),
        (0, "after", 3, 3.0),
    ]
    report(tmp_path, stages, Position(0, 1))
    assert found(tmp_path) == [(0, "before", 0, 0.0), (0, "during", 1, 1.0)]
    report(tmp_path, stages, Position())
    assert found(tmp_path) == []


def test_what_a_killed_run_has_half_written_is_not_in_the_way(
    tmp_path: Path, stages: list[Any]
) -> None:
    filled(tmp_path, stages)
    path = tmp_path / MEASURES
    path.write_bytes(path.read_bytes()[:-20])
    again = report(tmp_path, stages, Position(1, 0))
    again.measured(1, "during", 1, {"x": 5.0})
    assert found(tmp_path)[-2:] == [(0, "after", 3, 3.0), (1, "during", 1, 5.0)]
