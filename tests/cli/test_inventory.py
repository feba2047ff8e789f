"""`vireid list` says what there is, also where torch is not installed."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_type_hints

import pytest
from tests import documents

from vireid import datasets, methods, recipes
from vireid.cli import inventory
from vireid.errors import VireidError
from vireid.scoring.named_protocols import OFFERED

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("name", methods.available())
def test_settings_that_are_listed_are_those_of_the_method(name: str) -> None:
    fields = dataclasses.fields(methods.find(name).Config)
    listed = inventory.entry("methods", name).settings
    assert [each.name for each in listed] == [field.name for field in fields]
    assert all(each.meaning for each in listed)
    for field, each in zip(fields, listed, strict=True):
        assert eval(each.default, vars(sys.modules[methods.find(name).__module__])) == field.default


def test_a_method_that_inherits_is_listed_with_all_its_settings(tmp_path: Path) -> None:
    method = documents.find_method("closer.py", tmp_path)
    listed = inventory.entry("methods", str(tmp_path / "closer.py"))
    assert {each.name for each in listed.settings} == set(get_type_hints(method.Config))
    assert listed.description.startswith("AGW with one loss more")


def test_listing_methods_does_not_import_torch() -> None:
    script = (
        "import sys; from vireid.cli import inventory\n"
        "for kind in inventory.KINDS: assert inventory.entries(kind)\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_everything_is_listed(run: Run) -> None:
    said = run("list")[1]
    for names in (methods.available(), datasets.available(), OFFERED, recipes.available()):
        assert all(f"  {name} " in said for name in names)
    assert "  small " in said


def test_one_thing_is_told_in_full(run: Run) -> None:
    assert "by signed agreement with its authors" in run("list", "datasets", "regdb")[1]
    assert "visible-to-infrared, infrared-to-visible" in run("list", "protocols", "llcm/two-way")[1]
    said = run("list", "methods", "agw")[1]
    assert "'resnet50.tv_in1k'" in said
    assert "Factor of the trunk's channels" in said


def test_programs_are_told_all_of_it(run: Run) -> None:
    told = json.loads(run("list", "--json")[1])
    assert list(told) == list(inventory.KINDS)
    assert {each["name"] for each in told["protocols"]} == set(OFFERED)


def test_what_is_not_there_is_told_with_what_there_is() -> None:
    with pytest.raises(VireidError, match="did you mean 'agw'"):
        inventory.entry("methods", "agx")
    with pytest.raises(VireidError, match="there is no list of losses; there are methods"):
        inventory.entries("losses")
