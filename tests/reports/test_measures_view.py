"""What stages have measured can be looked at."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from vireid.cli.main import vireid
from vireid.errors import VireidError
from vireid.learning.history import Measured
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


def test_a_run_without_measures_is_told(tmp_path: Path) -> None:
    with pytest.raises(VireidError, match="or the method measures nothing"):
        measures_view.measured(tmp_path)
    (tmp_path / "measures.jsonl").write_text("{\n")
    with pytest.raises(VireidError, match="is damaged"):
        measures_view.measured(tmp_path)
