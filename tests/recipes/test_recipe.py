"""A recipe says everything, once; and what is wrong with one is said by name."""

from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vireid import methods
from vireid import recipes as shipped
from vireid.errors import VireidError
from vireid.recipes import recipe as recipes
from vireid.recipes.recipe import Data, Recipe, RecipeError
from vireid.records import Modality

SHIPPED = [shipped.shipped(name) for name in shipped.available()]
RECIPES = [shipped.find(each.name) for each in SHIPPED if each.kind == "recipe"]
NAMED_AFTER_WHAT_THEY_GIVE = {
    "small_bridged": "agw",
    "small_bridged_long": "agw",
    "tiny_clip_nightwalk": "language_image",
    "wide_clip_nightwalk": "language_image",
}
SHORT = """
method = "agw"
[data]
dataset = "nightwalk"
[settings]
trunk = "resnet18"
milestones = [3, 4]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "short.toml"
    path.write_text(SHORT)
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_of_the_project_can_be_read(path: Path) -> None:
    method = recipes.read(path).method
    assert method in path.stem or NAMED_AFTER_WHAT_THEY_GIVE.get(path.stem) == method


def test_what_is_not_said_is_the_default(path: Path) -> None:
    recipe = recipes.read(path)
    assert recipe.data == Data("nightwalk")
    assert recipe.settings.trunk == "resnet18"
    assert recipe.settings.milestones == (3, 4)
    assert recipe.settings.people == type(recipe.settings).people


@pytest.mark.parametrize(
    ("override", "table", "name", "value"),
    [
        ("seed=7", None, "seed", 7),
        ("settings.epochs=3", "settings", "epochs", 3),
        ("settings.learning_rate=1", "settings", "learning_rate", 1.0),
        ("settings.learning_rate=1e-3", "settings", "learning_rate", 0.001),
        ("settings.milestones=[1, 2, 3]", "settings", "milestones", (1, 2, 3)),
        ("settings.milestones=", "settings", "milestones", (20, 50)),
        ("settings.trunk=resnet50", "settings", "trunk", "resnet50"),
        ("settings.pretrained=false", "settings", "pretrained", False),
        ("data.root=/a folder/with = sign", "data", "root", "/a folder/with = sign"),
        ('data.root="2024"', "data", "root", "2024"),
        ("data.steps_per_epoch=10", "data", "steps_per_epoch", 10),
        ("augmentation.erased_area=[0.1, 0.2]", "augmentation", "erased_area", (0.1, 0.2)),
    ],
)
def test_an_override_wins(
    override: str, table: str | None, name: str, value: Any, path: Path
) -> None:
    recipe = recipes.read(path, [override])
    found = getattr(getattr(recipe, table) if table else recipe, name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("epoch=3", "recipe has no setting 'epoch'; did you mean 'settings.epochs'?"),
        ("settings.epoch=3", "no setting 'settings.epoch'; did you mean 'settings.epochs'?"),
        ("foo.epochs=3", "no setting 'foo.epochs'; did you mean 'settings.epochs'?"),
        ("data.heigth=3", "no setting 'data.heigth'; did you mean 'data.height'?"),
        ("data.qqq=3", "no setting 'data.qqq'; there are data.dataset, data.root"),
        ("settings.epochs=abc", 'settings.epochs has to be a whole number, but is "abc"'),
        ("settings.epochs=2.5", "settings.epochs has to be a whole number, but is 2.5"),
        ("settings.epochs=true", "settings.epochs has to be a whole number, but is true"),
        ("settings.pretrained=1", "settings.pretrained has to be true or false, but is 1"),
        ("settings.optimizer=sdg", 'has to be one of "sgd", "adamw", but is "sdg"'),
        ("settings.last_stride=true", "has to be one of 1, 2, but is true"),
        ("settings.milestones=[1, 'a']", 'a list, each a whole number, but is [1, "a"]'),
        ("augmentation.erased_area=[0.1]", "has to be a list of 2, each a number, but is [0.1]"),
        ("data=3", "data has to be a table of settings, but is 3"),
        ("data.dataset=", "the recipe does not say data.dataset"),
        ("precision=\udcff", 'precision has to be one of "auto", "float32", "bfloat16", but is'),
        ("seed=-1", "seed is -1; it has to be 0 or more"),
        ("data.height=0", "data.height is 0; it has to be 1 or more"),
        ("augmentation.flip=2", "augmentation.flip is 2.0; it has to be at most 1"),
        ("method=agv", "there is no method 'agv'; did you mean 'agw'?"),
        ("method=", 'a recipe needs a method, e.g. method = "agw"'),
        ("epochs", "'epochs' is not key=value, e.g. settings.epochs=3"),
        ("method.x=3", "'method.x' cannot be set: 'method' is no table of the recipe"),
    ],
)
def test_what_is_wrong_is_said_by_name(override: str, told: str, path: Path) -> None:
    overrides = ["seed=1", override]
    with pytest.raises(VireidError) as error:
        recipes.read(path, overrides)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text", ["2024", "2026-01-31", "1e3", "true", "007", "a b", "[3]", "'", "nan"]
)
def test_a_setting_that_is_a_text_takes_what_is_typed(text: str, path: Path) -> None:
    assert recipes.read(path, [f"data.root={text}"]).data.root == text
    assert recipes.read(path, [f"settings.trunk={text}"]).settings.trunk == text


def test_a_number_in_a_file_is_no_text(path: Path) -> None:
    path.write_text(SHORT.replace('dataset = "nightwalk"', "dataset = 3"))
    with pytest.raises(RecipeError, match=r"data.dataset has to be a text, but is 3"):
        recipes.read(path)


def test_what_has_to_be_said_is_shown(path: Path) -> None:
    path.write_text('method = "agw"\n')
    with pytest.raises(RecipeError, match=r'add a table \[data\] with dataset = "nightwalk"'):
        recipes.read(path)


@dataclass(frozen=True)
class Part:
    name: str
    rate: float = 0.5


@dataclass(frozen=True)
class Rich:
    """Settings of every kind that a recipe can hold."""

    rates: list[float] = field(default_factory=lambda: [0.1])
    weights: dict[str, float] = field(default_factory=dict)
    by_level: dict[int, list[int]] = field(default_factory=dict)
    part: Part = field(default_factory=lambda: Part("first"))
    parts: tuple[Part, ...] = ()
    named: dict[str, Part] = field(default_factory=dict)
    modality: Modality = Modality.VISIBLE
    file: Path | None = None
    since: date | None = None
    either: int | str = 3
    limit: float = float("inf")
    anything: Any = None


@pytest.fixture
def rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method whose settings are these."""

    class Anything:
        Config = Rich

    monkeypatch.setattr(methods, "find", lambda _name: Anything)


def rich_recipe(**settings: Any) -> Recipe:
    return recipes.from_dict({"method": "x", "data": {"dataset": "x"}, "settings": settings})


@pytest.mark.usefixtures("rich")
@given(
    rates=st.lists(st.floats(allow_nan=False, allow_infinity=False)),
    weights=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.floats(0, 1)),
    by_level=st.dictionaries(st.integers(0, 9), st.lists(st.integers(-9, 9))),
    parts=st.lists(st.builds(Part, st.text(st.characters(exclude_categories=["Cs"])))),
    since=st.none() | st.dates(),
    either=st.integers(-9, 9) | st.text("ab"),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lists_tables_and_nested_settings_are_read_as_they_were_written(**values: Any) -> None:
    recipe = replace(rich_recipe(), settings=Rich(**{**values, "parts": tuple(values["parts"])}))
    assert read_text(recipes.as_toml(recipe)) == recipe
    recipes.check_can_be_read_back(recipe)


@pytest.mark.usefixtures("rich")
def test_settings_of_every_kind_are_read() -> None:
    settings = rich_recipe(
        rates=[1, 0.5],
        by_level={"3": [1, 2]},
        part={"name": "a", "rate": 1},
        named={"b": {"name": "b"}},
        modality="infrared",
        file="a/b",
        since=date(2026, 1, 31),
        either="x",
        anything={"free": [1]},
    ).settings
    assert settings == Rich(
        rates=[1.0, 0.5],
        by_level={3: [1, 2]},
        part=Part("a", 1.0),
        named={"b": Part("b")},
        modality=Modality.INFRARED,
        file=Path("a/b"),
        since=date(2026, 1, 31),
        either="x",
        anything={"free": [1]},
    )


@pytest.mark.usefixtures("rich")
def test_what_is_typed_below_a_table_is_read_as_the_table_has_it(path: Path) -> None:
    path.write_text('method = "x"\n[data]\ndataset = "x"\n[settings.weights]\nfar = 1.0\n')
    typed = ("settings.weights.near=0.5", "settings.named.b.name=3", "settings.anything.a.b=[1]")
    settings = recipes.read(path, typed).settings
    assert settings.weights == {"far": 1.0, "near": 0.5}
    assert settings.named == {"b": Part("3")}
    assert settings.anything == {"a": {"b": [1]}}
    with pytest.raises(RecipeError, match="weights has to be a table, each value a number, but"):
        recipes.read(path, ("settings.weights.near=much",))


@pytest.mark.usefixtures("rich")
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"rates": ["a"]}, 'settings.rates has to be a list, each a number, but is ["a"]'),
        ({"weights": {"a": "b"}}, "settings.weights has to be a table, each value a number"),
        ({"part": {"name": 3}}, "settings.part.name has to be a text, but is 3"),
        ({"part": {"nam": "a"}}, "no setting 'settings.part.nam'; did you mean"),
        ({"parts": [{"name": "a", "rat": 1}]}, "settings.parts has no setting 'rat'; there are"),
        ({"named": {"a": {"rate": 1}}}, "settings.named has to be a table, each value a table"),
        ({"modality": "ir"}, 'has to be one of "visible", "infrared", but is "ir"'),
        ({"either": 0.5}, "settings.either has to be a whole number or a text, but is 0.5"),
        ({"weihgts": {"a": 1}}, "no setting 'settings.weihgts"),
    ],
)
def test_what_is_wrong_inside_a_setting_is_said_by_name(given: Any, told: str) -> None:
    with pytest.raises(RecipeError) as error:
        rich_recipe(**given)
    assert told in str(error.value)


@pytest.mark.usefixtures("rich")
@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Rich(anything=[1, None]), "settings.anything cannot be written to a recipe"),
        (Rich(anything=object()), "settings is .*, which no recipe can hold"),
        (Rich(file=Path("a\udcff")), "settings.file cannot be written .*TOML is Unicode"),
        (Rich(anything=(1, 2), file=Path("a")), None),
        (Rich(weights={"a": None}), "settings.weights"),  # type: ignore[dict-item]
    ],
)
def test_what_could_not_be_read_again_is_told_before_anything_is_learnt(
    settings: Rich, told: str | None
) -> None:
    recipe = replace(rich_recipe(), settings=settings)
    if told is None:
        recipes.check_can_be_read_back(recipe)
    else:
        with pytest.raises(RecipeError, match=told):
            recipes.check_can_be_read_back(recipe)


def test_a_file_that_is_no_toml_is_named(path: Path) -> None:
    path.write_text("method = agw\n")
    with pytest.raises(RecipeError, match=r"short.toml is not TOML: .*line 1"):
        recipes.read(path)
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(RecipeError, match=r"short.toml is not TOML"):
        recipes.read(path)


@given(root=st.none() | st.text(st.characters(exclude_categories=["C"])), rate=st.floats(0, 1))
def test_what_is_written_is_read_again(root: str | None, rate: float) -> None:
    table = {"method": "agw", "data": {"dataset": "x", "root": root}, "start_from": 'a"\\b'}
    if root is None:
        table["data"] = {"dataset": "x"}
    recipe = recipes.from_dict({**table, "augmentation": {"flip": rate}})
    assert read_text(recipes.as_toml(recipe)) == recipe


def read_text(text: str) -> Recipe:
    import tomllib

    return recipes.from_dict(tomllib.loads(text))


def test_differences_are_named_by_their_dotted_keys() -> None:
    old = {"seed": 0, "data": {"height": 3, "root": "a"}, "settings": {"rates": (1, 2)}}
    new = {"seed": 0, "data": {"height": 4}, "settings": {"rates": [1, 2]}}
    assert recipes.differences(old, new) == {"data.height": (3, 4), "data.root": ("a", None)}


@pytest.mark.parametrize("text", ["1-100000000", f"1-{'9' * 18}", "1-5001,6000-11000"])
def test_more_numbers_than_anybody_means_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match=r"names more than 10,000 numbers$"):
        recipes.numbers(text)


@pytest.mark.parametrize("text", ["", "-1", "1-9x30", "9" * 5000, "1-" + "9" * 30, "²", "1,,2"])
def test_what_is_no_list_of_numbers_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match=r"is not a list of numbers such as 1-10 or 1,3,5$"):
        recipes.numbers(text)
