import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests import sysu_layout
from tests.tiny_recipe import tiny_recipe

from vireid.learning.dry_run import try_out
from vireid.recipes import recipe as recipes

Typed = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    path = folder / "tiny.toml"
    path.write_text(tiny_recipe(root=sysu_layout.write(folder / "sysu"), steps=5, epochs=3))
    return path


def test_a_dry_run_tells_what_a_run_would_be_and_leaves_none(
    recipe: Path, run: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, said, errors = run("train", recipe, "--dry-run")
    assert status == 0, errors
    assert "agw: 3 people, 54 pictures of sysu_mm01" in said
    assert "recipe, embeddings of both spectra, checkpoint: as they should be" in said
    assert re.search(r"both spectra: 3 epochs of 5 steps, .* s a step, .* pictures/s, about ", said)
    assert "no run was begun" in said
    assert not list(tmp_path.iterdir())


def test_it_refuses_what_a_run_refuses(recipe: Path, run: Typed) -> None:
    status, _, errors = run("train", recipe, "data.root=nowhere", "--dry-run")
    assert (status, errors.count("\n")) == (1, 1)
    status, _, errors = run("train", recipe, "settings.people=9", "--dry-run")
    assert (status, "cannot be drawn from 3 identities" in errors) == (1, True)


def test_its_times_are_those_of_steps(recipe: Path) -> None:
    found = try_out(recipes.read(recipe))
    (stage,) = found.stages
    assert (stage.epochs, stage.steps, stage.pictures) == (3, 5, 8)
    assert stage.seconds is not None
    assert stage.seconds > 0
    assert (found.peak is None) == (not torch.cuda.is_available())
