"""What an auxiliary modality looks like can be drawn for every run that has one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from tests.toy import HEIGHT, WIDTH, small_settings

from vireid import methods
from vireid.cli import main as cli
from vireid.errors import VireidError
from vireid.models import runs
from vireid.recipes import recipe
from vireid.reports import auxiliary_view


def finished_run(folder: Path, method: str = "mun", **settings: Any) -> Path:
    """A run whose generator has learnt something."""
    data = {"dataset": "nightwalk", "height": HEIGHT, "width": WIDTH}
    settings = {**small_settings(methods.find(method)), **settings}
    told = {"method": method, "data": data, "settings": settings}
    wanted = recipe.from_dict(told)
    runs.start(folder, wanted, runs.Details(dataset="nightwalk", num_identities=4))
    learnt = runs.build(wanted, 4)
    with torch.no_grad():
        for name, weight in learnt.named_parameters():
            if name.startswith("generator.leave"):
                weight.add_(0.2)
    runs.finish(folder, learnt, wanted)
    return folder


@pytest.mark.parametrize("level", ["image", "stem"])
def test_the_picture_shows_pictures_and_both_spreads(
    level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    plot = auxiliary_view._plot

    def look(figure: Any, title: str, columns: Any, spreads: Any) -> None:
        seen.update(columns=columns, spreads=spreads)
        plot(figure, title, columns, spreads)

    monkeypatch.setattr(auxiliary_view, "_plot", look)
    monkeypatch.setattr(auxiliary_view, "SPREAD", 12)
    run = finished_run(tmp_path / "run", aux_level=level)
    out = tmp_path / "auxiliary.png"
    answer = CliRunner().invoke(cli.vireid, ["show-auxiliary", str(run), "--out", str(out)])
    assert answer.exit_code == 0, repr(answer.exception)
    with Image.open(out) as picture:
        shown = np.asarray(picture.convert("RGB"))
    assert min(shown.shape[:2]) > 800
    assert shown.std() > 10
    columns, spreads = seen["columns"], seen["spreads"]
    assert list(columns)[:2] == ["visible", "infrared"]
    assert len(columns) == (5 if level == "image" else 3)
    if level == "image":
        assert columns["what was added"].max() > 0.01
    assert list(spreads) == ["before learning", "after"]
    for points in spreads.values():
        assert {name: len(rows) for name, rows in points.items()} == dict.fromkeys(
            ["visible", "infrared", "auxiliary"], 36
        )
    before, after = (spreads[when]["auxiliary"] for when in spreads)
    assert not torch.allclose(before, after)


def test_other_seeds_show_other_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auxiliary_view, "SPREAD", 3)
    wanted = runs.read_recipe(finished_run(tmp_path / "run"))
    once, again, others = (auxiliary_view._pairs(wanted, seed).visible for seed in (0, 0, 1))
    assert torch.equal(once, again)
    assert not torch.equal(once, others)


@pytest.mark.parametrize("method", ["agw", "mun"])
def test_a_run_without_auxiliary_modality_is_refused(method: str, tmp_path: Path) -> None:
    settings = {"generator": "none"} if method == "mun" else {}
    run = finished_run(tmp_path / "run", method, **settings)
    with pytest.raises(VireidError, match=r"has no auxiliary modality.*settings\.generator"):
        auxiliary_view.write(run, tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()
