"""Whatever an extra brings is named with its extra where it is missing."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from vireid.errors import EXTRA_OF_MODULE, VireidError, check_settings, is_rising, suggestion

PROJECT = Path(__file__).parents[1]


def project() -> dict[str, Any]:
    told: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return told


def imported() -> set[str]:
    """Every module of others that any line of vireid imports, without what is below it."""
    found: set[str] = set()
    for path in (PROJECT / "src").glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"vireid"}


def packages(requirements: list[str]) -> Iterator[str]:
    """Names of packages, those of other extras of vireid among them."""
    for requirement in requirements:
        if extras := re.fullmatch(r"vireid\[(.+)\]", requirement):
            for extra in extras[1].split(","):
                yield from packages(project()["optional-dependencies"][extra])
        else:
            yield as_named(re.split(r"[ <>=;\[]", requirement)[0])


def as_named(package: str) -> str:
    return package.lower().replace("_", "-")


def test_every_import_is_of_the_core_or_of_an_extra() -> None:
    core, of_module = set(packages(project()["dependencies"])), packages_distributions()
    extras = {name for name in imported() if not core & set(map(as_named, of_module[name]))}
    assert len(extras) > 10
    assert extras <= set(EXTRA_OF_MODULE)


def test_an_extra_brings_the_modules_that_it_is_named_for() -> None:
    of_module = packages_distributions()
    for module, extra in EXTRA_OF_MODULE.items():
        brought = set(packages(project()["optional-dependencies"][extra]))
        assert brought & set(map(as_named, of_module[module])), (module, extra)


def test_a_misspelt_word_is_answered_by_the_nearest_known_one_or_by_another_hint() -> None:
    methods = ["agw", "mun"]
    assert suggestion("agv", methods) == "did you mean 'agw'?"
    assert suggestion("resnet", iter(methods)) == "there are agw, mun"
    assert suggestion("resnet", methods, "name a file") == "name a file"


@dataclass
class Settings:
    rate: float = 0.1
    width: int | None = None
    steps: tuple[int, ...] = (1, 2)


def test_the_first_setting_that_breaks_a_rule_is_named_and_none_breaks_no_rule() -> None:
    check_settings(Settings(), ["rate", "width"], lambda value: value > 0, "positive")
    check_settings(Settings(), ["steps"], is_rising, "rising")
    with pytest.raises(VireidError, match=r"^settings\.steps is \(2, 1\); it has to be rising$"):
        check_settings(Settings(steps=(2, 1)), ["steps"], is_rising, "rising")
    for value in (0.0, float("nan")):
        with pytest.raises(VireidError, match=rf"^rate is {value}; it has to be positive$"):
            check_settings(Settings(value), ["rate"], lambda rate: rate > 0, "positive", table="")
