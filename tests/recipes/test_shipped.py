"""Recipes come with the package: found by name from anywhere, listed, shown and copied."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vireid import recipes
from vireid.errors import VireidError
from vireid.experiments import sweep
from vireid.recipes import recipe

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder is no clone."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_shipped_recipe_is_found_by_its_name() -> None:
    assert recipe.read(recipes.find("agw_sysu")).data.dataset == "sysu_mm01"


def test_a_file_wins_over_a_name(elsewhere: Path) -> None:
    (elsewhere / "agw_sysu").write_text('method = "mun"\n[data]\ndataset = "nightwalk"\n')
    assert recipe.read(recipes.find("agw_sysu")).method == "mun"


def test_a_folder_of_that_name_is_no_recipe(elsewhere: Path) -> None:
    (elsewhere / "agw_sysu").mkdir()
    assert recipes.find("agw_sysu") == recipes.FOLDER / "agw_sysu.toml"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("recipes/agw_sysu.toml", r"no file recipes/agw_sysu.toml; .* is called agw_sysu$"),
        ("agw_sysu.toml", "is called agw_sysu$"),
        ("agw_susy", "did you mean 'agw_sysu'?"),
        ("nothing_like_it.toml", "`vireid recipes` lists"),
    ],
)
def test_what_is_not_found_is_told_with_what_there_is(name: str, told: str) -> None:
    with pytest.raises(VireidError, match=told):
        recipes.find(name)


@pytest.mark.parametrize("name", recipes.available())
def test_the_first_line_of_a_recipe_describes_it(name: str) -> None:
    described = recipes.shipped(name)
    first = described.text.splitlines()[0]
    assert first == f"# {described.description}"
    assert described.description.endswith(".")
    assert len(described.description) <= 95


def test_recipes_are_listed_with_what_they_are(run: Run) -> None:
    status, said, _ = run("recipes")
    assert status == 0
    for name in recipes.available():
        assert f"  {name} " in said
        assert recipes.shipped(name).description in said


def test_recipes_are_listed_for_programs(run: Run) -> None:
    told = json.loads(run("recipes", "--json")[1])
    assert [each["name"] for each in told["recipes"] + told["sweeps"]] == [
        *(name for name in recipes.available() if recipes.shipped(name).kind == "recipe"),
        *(name for name in recipes.available() if recipes.shipped(name).kind == "sweep"),
    ]


def test_a_recipe_is_shown_as_it_is(run: Run) -> None:
    assert run("recipes", "show", "agw_sysu")[1] == recipes.find("agw_sysu").read_text()


def test_a_copied_sweep_finds_its_recipe(run: Run, elsewhere: Path) -> None:
    status, said, _ = run("recipes", "copy", "mun_ablation", "mine")
    assert (status, "vireid sweep mine/mun_ablation.toml" in said) == (0, True)
    copied = sweep.read(Path("mine/mun_ablation.toml"))
    assert set(copied.recipes.values()) == {recipes.find("mun_nightwalk_mini")}


def test_a_copy_replaces_nothing(run: Run, elsewhere: Path) -> None:
    (elsewhere / "agw_sysu.toml").write_text("mine")
    status, _, error = run("recipes", "copy", "agw_sysu")
    assert (status, "agw_sysu.toml is there already" in error) == (1, True)
    assert (elsewhere / "agw_sysu.toml").read_text() == "mine"


def test_a_mistyped_recipe_is_told_before_anything_is_done(run: Run) -> None:
    status, _, error = run("train", "agw_susy")
    assert status == 2
    assert "did you mean 'agw_sysu'?" in error
