"""Numbers out of range are refused when a recipe is read, for every setting there is."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest

from vireid import methods
from vireid.errors import VireidError
from vireid.recipes import recipe as recipes
from vireid.recipes.recipe import Recipe
from vireid.training_data.augmentation import Augmentation
from vireid.training_data.settings import Data
from vireid.types.ranges import Count, Positive, Range, Share, Whole, check_ranges, in_symbols

TABLES: dict[str, Any] = {"data.": Data, "augmentation.": Augmentation, "": Recipe}


def numeric(hint: Any) -> bool:
    """Whether numbers are in values of a type; a choice among some is none."""
    if get_origin(hint) is Literal:
        return False
    return hint in (int, float) or any(map(numeric, get_args(hint)))


def numbers_of(kind: Any) -> Iterator[str]:
    hints = get_type_hints(kind)
    for each in dataclasses.fields(kind):
        if numeric(hints[each.name]):
            is_list = get_origin(hints[each.name]) is tuple
            yield f"{each.name}=[{{0}}, {{0}}]" if is_list else f"{each.name}={{0}}"


EVERY = [
    ("agw", prefix + setting) for prefix, kind in TABLES.items() for setting in numbers_of(kind)
] + [
    (method, f"settings.{setting}")
    for method in methods.available()
    for setting in numbers_of(methods.find(method).Config)
]


def test_settings_of_every_method_are_looked_at() -> None:
    assert {method for method, _ in EVERY} == set(methods.available())
    assert len(EVERY) > 80


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str, str], Recipe]:
    """Reads a recipe that says nothing but its method, with an override."""

    def read_it(method: str, override: str) -> Recipe:
        path = tmp_path / f"{method}.toml"
        path.write_text(f'method = "{method}"\n[data]\ndataset = "nightwalk"\n')
        return recipes.read(path, [override])

    return read_it


Read = Callable[[str, str], Recipe]


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "-1", "9" * 5000])
@pytest.mark.parametrize(("method", "setting"), EVERY, ids="-".join)
def test_no_number_of_a_recipe_is_out_of_range(
    method: str, setting: str, number: str, read: Read
) -> None:
    with pytest.raises(VireidError) as error:
        read(method, setting.format(number))
    told = str(error.value).rpartition(".toml: ")[2]
    assert told.startswith(
        (f"{setting.partition('=')[0]} is ", f"{setting.partition('=')[0]} has ")
    )
    assert len(told) < 400


@pytest.mark.parametrize("setting", ["epochs", "people", "images_each", "warm_up", "width"])
def test_what_no_machine_could_learn_is_refused(setting: str, read: Read) -> None:
    with pytest.raises(VireidError, match=rf"settings\.{setting} is .*0; it has to be at most "):
        read("agw", f"settings.{setting}=1{'0' * 30}")


def test_rules_are_told_from_the_side_that_is_broken() -> None:
    @dataclass(frozen=True)
    class Settings:
        share: Share = 0.5
        rate: Positive | None = None
        steps: tuple[Whole, ...] = (1, 2)
        below: Annotated[float, Range(0, 1, without_most=True)] = 0.0
        weights: dict[str, Count] = field(default_factory=dict)
        free: float = math.inf

    check_ranges(Settings())
    check_ranges(Settings(1, 1e9, (0,), 0.999, {"a": 1}, -1e9))
    for settings, told in (
        (Settings(share=1.1), "settings.share is 1.1; it has to be at most 1"),
        (Settings(share=-0.1), "settings.share is -0.1; it has to be 0 or more"),
        (Settings(share=math.nan), "settings.share is nan; it has to be a finite number"),
        (Settings(rate=0), "settings.rate is 0; it has to be more than 0"),
        (Settings(steps=(1, -2)), "settings.steps is (1, -2); it has to be 0 or more"),
        (Settings(below=1.0), "settings.below is 1.0; it has to be below 1"),
        (Settings(weights={"a": 0}), "settings.weights is {'a': 0}; it has to be 1 or more"),
        (Settings(free=-math.inf), "settings.free is -inf; it has to be a finite number"),
    ):
        with pytest.raises(VireidError) as error:
            check_ranges(settings)
        assert str(error.value) == told


def test_dataclasses_inside_are_checked_by_their_own_ranges() -> None:
    @dataclass(frozen=True)
    class Inner:
        share: Share = 0.5

    @dataclass(frozen=True)
    class Outer:
        one: Inner
        more: tuple[Inner, ...] = ()

    check_ranges(Outer(Inner(), (Inner(1.0),)))
    with pytest.raises(VireidError, match=r"^settings\.one\.share is 2; it has to be at most 1$"):
        check_ranges(Outer(Inner(2)))
    with pytest.raises(VireidError, match=r"^settings\.more\.share is nan; it has to be a finite"):
        check_ranges(Outer(Inner(), (Inner(), Inner(math.nan))))


def test_types_are_listed_with_their_ranges() -> None:
    assert in_symbols("tuple[Positive, ...]") == "tuple[float > 0, ...]"
    assert in_symbols("ShareBelowOne | None") == "0 <= float < 1 | None"
    assert in_symbols("CountOf") == "CountOf"
