"""The table of a comparison over splits pairs rows that were learnt on the same split."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from vireid import recipes
from vireid.errors import VireidError
from vireid.experiments import sweep

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "neutral_ground.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("neutral_ground", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "neutral_ground", module)
    spec.loader.exec_module(module)
    return module


def test_rows_are_compared_on_the_splits_that_both_have(script: ModuleType) -> None:
    wanted = sweep.read(recipes.find("mun_neutral_ground"))

    def row(name: str, first: float, second: float) -> object:
        scores = {
            "visible-to-infrared": {"R1": first, "mAP": 0.1},
            "infrared-to-visible": {"R1": second, "mAP": 0.2},
        }
        return script.Row(wanted.rows[name], "f", 1.0, scores, {"gate/change if held": None})

    found = [
        script.Split(
            wanted.name, 1, (), {"MUN": row("MUN", 0.14, 0.1), "AGW": row("AGW", 0.1, 0.12)}
        ),
        script.Split(
            wanted.name, 2, (), {"MUN": row("MUN", 0.18, 0.1), "AGW": row("AGW", 0.12, 0.1)}
        ),
        script.Split(wanted.name, 7, (), {"MUN": row("MUN", 0.9, 0.9)}),
    ]
    lines = script.table(wanted, found, ["MUN"]).splitlines()
    assert "Splits done: 1 (2 of 9 rows), 2 (2 of 9 rows), 7 (1 of 9 rows)." in lines
    assert "| AGW | 2 | 11.00 | 10.00 | 11.00 | 20.00 |" in lines
    # Differences of R1: -4 and -6, mean -5, standard error 1; +2 and 0, mean 1, standard error 1.
    assert "| AGW | 2 | -5.00 ± 1.00 | +0.00 ± 0.00 | +1.00 ± 1.00 | +0.00 ± 0.00 |" in lines
    assert "| fixed mean | 0 |  |  |  |  |" in lines


def test_rows_learnt_with_other_settings_are_refused(script: ModuleType, tmp_path: Path) -> None:
    wanted = sweep.read(recipes.find("mun_neutral_ground"))
    changed = script.Row({"settings": {"hold_gate": False}}, "f", 1.0, {}, {})
    kept = script.Split(wanted.name, 1, (), {"MUN, gate held": changed})
    with pytest.raises(VireidError, match="row 'MUN, gate held' is another now"):
        script._check(tmp_path, kept, wanted, [])
    with pytest.raises(VireidError, match="was learnt with no overrides"):
        script._check(tmp_path, kept, wanted, ["settings.epochs=2"])
