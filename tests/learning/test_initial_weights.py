"""A file of weights that nobody would read is refused where a run begins, not where it goes on."""

from pathlib import Path

import pytest
from tests import sysu_layout
from tests.tiny_recipe import tiny_recipe

from vireid.errors import VireidError
from vireid.learning import initial_weights
from vireid.learning.dry_run import try_out
from vireid.learning.training import learn
from vireid.models import runs
from vireid.recipes import recipe as recipes
from vireid.recipes.recipe import Recipe

TOLD = "settings.weights is 'resnet18.pth', but settings.pretrained is false"


def recipe_of(folder: Path, *overrides: str) -> Recipe:
    root = folder / "data"
    if not root.exists():
        sysu_layout.write(root)
    file = folder / "tiny.toml"
    file.write_text(tiny_recipe(root=root))
    return recipes.read(file, overrides)


def test_a_new_run_that_would_not_read_its_weights_is_refused(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, "settings.weights=resnet18.pth")
    with pytest.raises(VireidError, match=TOLD):
        learn(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(VireidError, match=TOLD):
        try_out(recipe)


def test_a_run_that_has_both_is_opened_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(tmp_path, "settings.weights=resnet18.pth")
    with monkeypatch.context() as patch:
        # As former versions let a run begin.
        patch.setattr(initial_weights, "check_read", lambda recipe: None)
        learn(recipe, tmp_path / "run")
    runs.load_method(tmp_path / "run")
    learn(recipe, tmp_path / "run", resume=True)
