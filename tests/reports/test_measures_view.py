"""What stages have measured can be looked at."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure
from PIL import Image

from vireid.cli.main import vireid
from vireid.errors import VireidError
from vireid.learning.training_history import Measured, When
from vireid.reports import measures_view


def test_a_line_is_drawn_for_every_figure(tmp_path: Path) -> None:
    lines = [
        Measured("TSG", 0, "before", {"up": 0.1, "down": 0.9}),
        Measured("TSG", 0, "after", {"up": 0.8, "down": 0.2}),
    ]
    text = "".join(json.dumps(asdict(line)) + "\n" for line in lines)
    (tmp_path / "measures.jsonl").write_text(text)
    assert measures_view.measured(tmp_path) == lines
    out = tmp_path / "plot.png"
    told = CliRunner().invoke(vireid, ["show-measures", str(tmp_path), "--out", str(out)])
    assert told.exit_code == 0, told.output
    with Image.open(out) as drawn:
        colours = {c for _, c in drawn.convert("RGB").getcolors(1 << 24) or []}
    for colour in measures_view.COLOURS[:2]:
        assert tuple(bytes.fromhex(colour[1:])) in colours


def test_measures_with_a_slash_have_a_plot_of_that_name_on_their_own_scale() -> None:
    figures = {"told": 0.9, "gap/means": 0.02, "far/across": 1.8, "far/within": 1.1}
    whens: list[When] = ["before", *["during"] * 19, "after"]  # type: ignore[list-item]
    lines = [
        Measured(
            "all", 0, when, {name: value / (epoch + 1) for name, value in figures.items()}, epoch
        )
        for epoch, when in enumerate(whens)
    ]
    shown = Figure()
    plots = measures_view._plots(lines)
    assert plots == {"": ["told"], "gap": ["gap/means"], "far": ["far/across", "far/within"]}
    measures_view._plot(shown, plots, lines)
    shares, gap, far = shown.axes
    assert [axes.get_title() for axes in shown.axes] == ["", "gap", "far"]
    assert np.asarray(shares.lines[0].get_ydata())[0] == 90
    assert gap.get_ylim()[0] == 0
    assert 0.02 <= gap.get_ylim()[1] < 0.03
    assert [line.get_label() for line in far.lines] == ["across", "within"]
    ticks = [tick.get_text() for tick in far.get_xticklabels()]
    assert ticks[:3] == ["0", "2", "4"]
    assert len(ticks) <= measures_view.MOST_TICKS


def test_a_run_without_measures_is_told(tmp_path: Path) -> None:
    with pytest.raises(VireidError, match="or the method measures nothing"):
        measures_view.measured(tmp_path)
    (tmp_path / "measures.jsonl").write_text("{\n")
    with pytest.raises(VireidError, match="is damaged"):
        measures_view.measured(tmp_path)
