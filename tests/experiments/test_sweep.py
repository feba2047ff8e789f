"""A sweep learns every row with every seed once, and puts what was scored into one table."""

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from tests import sysu_layout
from tests.tiny_recipe import tiny_recipe

from vireid import recipes as shipped
from vireid.cli import main as cli
from vireid.errors import Interrupted, VireidError
from vireid.experiments import sweep
from vireid.experiments.sweep import SweepError
from vireid.learning.training import learn as really_learn
from vireid.models import runs
from vireid.recipes import recipe as recipes
from vireid.scoring import results

pytestmark = pytest.mark.usefixtures("own_cache")

SWEEP = """
recipe = "tiny.toml"
seeds = [0, 3]
[rows."as it is"]
[rows."+ stem"]
settings.aux_level = "stem"
settings.generator_stride = 1
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sysu_layout.write(tmp_path_factory.mktemp("data") / "sysu")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "tiny.toml").write_text(tiny_recipe(method="mun", steps=2))
    (folder / "two_rows.toml").write_text(SWEEP)
    return folder / "two_rows.toml"


def call(file: Path, data: Path, folder: Path, *more: str) -> Result:
    command = ["sweep", str(file), f"data.root={data}", "--out", str(folder), *more]
    return CliRunner().invoke(cli.vireid, command)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, file: Path, data: Path) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "swept"
    answer = call(file, data, folder)
    assert answer.exit_code == 0, answer.output + repr(answer.exception)
    assert "+ stem" in answer.output
    return folder


def test_every_row_is_learnt_with_every_seed(swept: Path) -> None:
    told = {}
    for row in ("as-it-is", "stem"):
        for seed in (0, 3):
            recipe = runs.read_recipe(swept / row / f"seed-{seed}")
            told[row, seed] = recipe.seed, recipe.settings.aux_level
            assert runs.read_details(swept / row / f"seed-{seed}").finished
    assert told == {
        **{("as-it-is", seed): (seed, "image") for seed in (0, 3)},
        **{("stem", seed): (seed, "stem") for seed in (0, 3)},
    }


def test_the_table_is_mean_and_deviation_over_the_seeds(swept: Path) -> None:
    written = json.loads((swept / "table.json").read_text())
    lines = (swept / "table.md").read_text().splitlines()
    assert [row["name"] for row in written["rows"]] == ["as it is", "+ stem"]
    assert written["rows"][1]["changes"] == {
        "settings": {"aux_level": "stem", "generator_stride": 1}
    }
    for row, line in zip(written["rows"], lines[-2:], strict=True):
        values = []
        for seed in (0, 3):
            name = row["name"].replace(" ", "-").removeprefix("+-")
            (found,) = results.read(swept / name / f"seed-{seed}" / "scores.json")
            values.append(100 * found.mean["mAP"])
            assert row["seeds"][str(seed)]["mean"] == found.mean
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        assert cells[0] == row["name"]
        assert cells[2] == f"{fmean(values):.1f} ± {stdev(values):.1f}"
        assert cells[4] == "2"
    assert written["scored on"] == "sysu_mm01 test: sysu/official all single-shot"
    with Image.open(swept / "plot.png") as plot:
        assert plot.width > 500


def test_what_is_there_is_not_done_again(
    swept: Path, file: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("learnt or scored again")

    monkeypatch.setattr(sweep, "learn", refuse)
    monkeypatch.setattr("vireid.scoring.evaluation.score", refuse)
    (swept / "table.md").unlink()
    assert call(file, data, swept).exit_code == 0
    assert (swept / "table.md").exists()
    changed = call(file, data, swept, "settings.epochs=2")
    assert isinstance(changed.exception, VireidError)
    assert "settings.epochs was 1, is now 2" in str(changed.exception)


def test_a_sweep_that_was_stopped_goes_on(
    file: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt = []

    def learn(recipe: Any, folder: Path, *, resume: bool = False, **how: Any) -> Any:
        learnt.append((folder.parent.name, resume))
        if len(learnt) == 2:
            raise Interrupted("stopped")
        return really_learn(recipe, folder, resume=resume, **how)

    monkeypatch.setattr(sweep, "learn", learn)
    one_seed = tmp_path / "one_seed.toml"
    one_seed.write_text(SWEEP.replace("tiny.toml", str(file.parent / "tiny.toml")))
    one_seed.write_text(one_seed.read_text().replace("[0, 3]", "[5]"))
    stopped = call(one_seed, data, tmp_path / "runs")
    assert isinstance(stopped.exception, Interrupted)
    assert str(stopped.exception) == "stopped; the same sweep goes on"
    lines = (tmp_path / "runs" / "table.md").read_text().splitlines()
    assert lines[-1] == "| + stem |  |  |  | 0 |"
    assert "±" not in lines[-2]
    assert call(one_seed, data, tmp_path / "runs").exit_code == 0
    assert learnt == [("as-it-is", False), ("stem", False), ("stem", False)]


def test_settings_can_be_chosen_on_validation_people(
    file: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def score(*_: object, group: str, **__: object) -> Any:
        asked.append(group)
        raise VireidError("seen enough")

    monkeypatch.setattr("vireid.scoring.evaluation.score", score)
    answer = call(file, data, tmp_path, "--validate")
    assert str(answer.exception) == "seen enough"
    assert asked == ["validation"]
    assert runs.read_recipe(tmp_path / "as-it-is" / "seed-0").data.learn_from == "train"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[rows", "[rows", None),
        ('recipe = "tiny.toml"', "", "names no recipe"),
        ('"tiny.toml"', '"other.toml"', "there is no recipe 'other.toml'"),
        ("[0, 3]", "[]", "no list of seeds"),
        ("[0, 3]", "[0, 0]", "a seed twice"),
        ("seeds", "seed", "says 'seed'; a sweep has protocol, recipe, rows, seeds"),
        ('"+ stem"', '"As it is!"', "row 'as it is' would have no folder of its own"),
        ("aux_level", "aux_leval", r"row '\+ stem'.*did you mean 'settings.aux_level'"),
        ("= 1", "= -1", r"row '\+ stem'.*settings.generator_stride is -1"),
        ("[rows", "rows", "is not TOML"),
    ],
)
def test_what_is_no_sweep_is_refused(
    old: str, new: str, told: str | None, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny.toml").write_text(tiny_recipe(method="mun", steps=2))
    path = tmp_path / "wrong.toml"
    path.write_text(SWEEP.replace(old, new))
    if told is None:
        sweep._recipes(sweep.read(path), (), validate=False)
        return
    with pytest.raises(SweepError, match=told):
        sweep._recipes(sweep.read(path), (), validate=False)


def test_an_override_that_would_undo_a_row_is_refused(file: Path) -> None:
    wanted = sweep.read(file)
    sweep._recipes(wanted, ["settings.epochs=2"], validate=False)
    with pytest.raises(SweepError, match=r"stride=3 would undo .*row '\+ stem'.*in its"):
        sweep._recipes(wanted, ["settings.generator_stride=3"], validate=False)


def test_runs_scored_on_different_galleries_make_no_table(
    swept: Path, file: Path, data: Path, tmp_path: Path
) -> None:
    wanted = sweep.read(file)
    places = [swept / wanted.folder_of("as it is", seed) for seed in (0, 3)]
    found = [results.read(place / "scores.json")[0] for place in places]
    first, *others = found[1].trials
    other = replace(found[1], trials=(replace(first, gallery_sha256="another"), *others))
    mixed = {("as it is", 0): found[0], ("as it is", 3): other}
    with pytest.raises(SweepError, match="different pictures or galleries"):
        sweep._rows(wanted, mixed)


def test_a_sweep_is_no_recipe(file: Path) -> None:
    with pytest.raises(VireidError, match=r"two_rows.toml: .*no recipe.*`vireid sweep`"):
        recipes.read(file)


def test_rows_of_the_ablation_are_those_that_are_documented() -> None:
    ablation = sweep.read(shipped.find("mun_ablation"))
    assert len(ablation.seeds) >= 3
    wanted = sweep._recipes(ablation, (), validate=False)
    settings = {name: recipe.settings for (name, seed), recipe in wanted.items() if not seed}
    assert [s.generator for s in settings.values()] == [
        *("none", "mean", "mmn", "iml_only", "cml_only"),
        *["mun"] * 9,
    ]
    weights = [
        (bool(s.identity_alignment_weight), bool(s.modality_alignment_weight))
        for s in settings.values()
    ]
    assert weights[:6] == [(False, False)] * 6
    assert weights[6:8] == [(True, False), (False, True)]
    assert weights[8:] == [(True, True)] * 6
    assert [s.aux_level for s in settings.values()] == ["image"] * 9 + ["stem"] + ["image"] * 4
    mended = [(s.hold_gate, s.gate, s.modality_alignment_on) for s in settings.values()][-4:]
    assert mended == [
        (True, "wide", "embedding"),
        (False, "narrow", "embedding"),
        (False, "wide", "pooled"),
        (False, "wide", "embedding"),
    ]
    on = [s.identity_alignment_on for s in settings.values()]
    assert on == ["embedding"] * 13 + ["pooled"]
