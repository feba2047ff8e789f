"""From a recipe to scores, on little trees in the layouts of the published data sets."""

import json
import signal
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests import stand_ins
from tests.onnx_model import write_model
from tests.tiny_recipe import tiny_recipe

from vireid import datasets
from vireid.cli import main as cli
from vireid.errors import Interrupted, VireidError
from vireid.learning import training
from vireid.models import runs
from vireid.models.embedder import Embedder
from vireid.models.runs import RunError
from vireid.recipes import recipe as recipes
from vireid.scoring import evaluation, named_protocols
from vireid.training_data.loading import PackedTrainingData

pytestmark = pytest.mark.usefixtures("own_cache")

BOTH_WAYS = ["visible-to-infrared", "infrared-to-visible"]
TEN = list(range(10))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("miniatures")


def recipe_for(name: str, place: Path) -> Path:
    """A recipe for a little tree, which is written the first time."""
    root = place / name
    if not root.exists():
        stand_ins.WRITERS[name](root)
    path = place / f"{name}.toml"
    path.write_text(tiny_recipe(name, root), encoding="utf-8")
    return path


def vireid(*words: str | Path) -> Result:
    return CliRunner().invoke(cli.vireid, list(map(str, words)))


def done(*words: str | Path) -> str:
    result = vireid(*words)
    assert result.exit_code == 0, (result.output, result.exception)
    return " ".join(result.output.split())


def scored(*words: str | Path) -> list[dict[str, Any]]:
    """What `vireid evaluate` writes."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "scores.json"
        done("evaluate", *words, "--out", out)
        scores: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))["scores"]
    return scores


@pytest.fixture(scope="module")
def trained(place: Path) -> dict[str, Path]:
    """A run of SYSU-MM01 and one of LLCM; for the others a model that needs no training."""
    folders = {name: place / f"run-{name}" for name in stand_ins.WRITERS if name != "regdb"}
    for name, folder in folders.items():
        recipe = recipe_for(name, place)
        if name in ("sysu_mm01", "llcm"):
            done("train", recipe, "--out", folder)
        else:
            write_model(folder)
            (folder / "recipe.toml").write_text(recipe.read_text(encoding="utf-8"))
    return folders


@pytest.fixture(scope="module")
def ten(place: Path) -> Path:
    """Ten runs of RegDB."""
    folder = place / "regdb-runs"
    tracked = ("--track", "tensorboard")
    done("train", recipe_for("regdb", place), "--out", folder, "--trials", "1-10", *tracked)
    return folder


@pytest.fixture(scope="module")
def ten_scored(ten: Path) -> list[dict[str, Any]]:
    """What the folder of the ten runs scores."""
    return scored(ten)


def test_a_tracker_is_told_of_every_split(ten: Path) -> None:
    assert len(list(ten.glob("trial-*/vireid/*tfevents*"))) == 10


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("sysu_mm01", [], [("sysu/official", TEN)] * 4),
        ("sysu_mm01", ["--protocol", "sysu/py-seed"], [("sysu/py-seed", TEN)] * 2),
        ("llcm", [], [("llcm/two-way", TEN)] * 2),
        ("llcm", ["--protocol", "llcm/full-gallery"], [("llcm/full-gallery", [0])] * 2),
        ("llcm", ["--protocol", "llcm/legacy-swapped"], [("llcm/legacy-swapped", TEN)]),
        ("hitsz_vcm", ["--frames", "6"], [("vcm/tracklets", [0])] * 2),
        ("bupt_campus", [], [("bupt-campus/tracklets", [0])] * 2),
        ("folder", [], [("folder/cross-spectrum", [0])] * 2),
    ],
)
def test_what_was_learnt_is_scored_under_the_protocols_of_its_data(
    name: str, options: list[str], expected: list[tuple[str, list[int]]], trained: dict[str, Path]
) -> None:
    scores = scored(trained[name], *options)
    found = [(s["protocol"]["id"], s["protocol"]["trial_numbers"]) for s in scores]
    assert found == expected
    ways = [s["protocol"]["direction"] for s in scores]
    if name != "sysu_mm01" and "swapped" not in expected[0][0]:
        assert ways == BOTH_WAYS
    for each in scores:
        assert each["model"]["learnt_on"] == name
        assert [trial["number"] for trial in each["trials"]] == each["protocol"]["trial_numbers"]
        for trial in each["trials"]:
            assert 0 < trial["valid_queries"] <= trial["queries"]
            assert all(0 <= value <= 1 for value in trial["metrics"].values())


def test_one_direction_or_removal_can_be_asked_for(trained: dict[str, Path]) -> None:
    command = [str(trained["llcm"]), "--protocol", "llcm/full-gallery"]
    (score,) = scored(*command, "--direction", "visible-to-infrared", "--removal", "none")
    assert score["protocol"]["direction"] == "visible-to-infrared"
    assert score["protocol"]["removal"] == "none"
    refused = vireid("evaluate", *command, "--direction", "visible-to-thermal")
    assert "no direction 'visible-to-thermal'" in str(refused.exception)


def test_reproduction_of_swapped_roles_is_told_in_one_line(trained: dict[str, Path]) -> None:
    told = done("evaluate", trained["llcm"], "--protocol", "llcm/legacy-swapped")
    assert "llcm/legacy-swapped is for reproducing published numbers only" in told
    assert "reproducing" not in done("evaluate", trained["llcm"])


def test_ten_models_of_ten_splits_make_one_result(
    ten: Path, ten_scored: list[dict[str, Any]]
) -> None:
    forth, back = ten_scored
    assert [s["protocol"]["direction"] for s in (forth, back)] == BOTH_WAYS
    assert forth["protocol"]["trial_numbers"] == list(range(1, 11))
    assert [trial["number"] for trial in forth["trials"]] == list(range(1, 11))
    of_runs = [runs.read_details(ten / f"trial-{n}").fingerprint for n in range(1, 11)]
    assert forth["model"]["fingerprint"].split() == of_runs
    of_trials = [trial["metrics"]["R1"] for trial in forth["trials"]]
    assert forth["mean"]["R1"] == pytest.approx(fmean(of_trials))
    assert forth["sd"]["R1"] == pytest.approx(stdev(of_trials))


def test_some_runs_given_one_by_one_make_one_result_too(
    ten: Path, ten_scored: list[dict[str, Any]]
) -> None:
    (forth,) = scored(ten / "trial-10", ten / "trial-3", "--direction", "visible-to-infrared")
    assert forth["trials"] == [ten_scored[0]["trials"][n - 1] for n in (3, 10)]


def test_the_trials_of_the_result_are_those_of_the_models_alone(
    ten: Path, ten_scored: list[dict[str, Any]]
) -> None:
    """By hand: a model, its own split, nothing shared with the way through the folder."""
    forth = ten_scored[0]
    protocol = named_protocols.find("regdb/10-trial")
    for number in (1, 7):
        dataset = datasets.read("regdb", ten.parent / "regdb", number)
        alone = evaluation.score(Embedder.open(ten / f"trial-{number}"), dataset, protocol)
        assert alone.protocol.trial_numbers == (number,)
        expected = json.loads(json.dumps(alone.as_dict()))["trials"][0]
        assert forth["trials"][number - 1] == expected


def test_fewer_splits_than_ten_are_told(ten: Path) -> None:
    way = ["--direction", "visible-to-infrared"]
    told = done("evaluate", ten / "trial-3", *way)
    assert "one trial" in told
    assert "split 3 alone: published numbers are means over ten" in told
    assert (ten / "trial-3" / "scores.json").is_file()
    told = done("evaluate", ten / "trial-3", ten / "trial-1", *way)
    assert "2 models" in told
    assert "split 1, 3 alone" in told
    assert "over 2 trials" in told


def test_a_run_knows_its_split_and_its_recipe_says_it(ten: Path) -> None:
    for number in (1, 10):
        run = ten / f"trial-{number}"
        assert recipes.read(run / "recipe.toml").data.trial == number
        assert runs.read_details(run).trial == number
        assert Embedder.open(run).learnt_on == f"regdb trial {number}"


def test_runs_of_all_trials_go_on_where_they_were_broken_off(
    ten: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StopsInTheSecondRun(PackedTrainingData):
        made = 0

        def _images(self, *arguments: Any) -> Any:
            type(self).made += 1
            if self.made == 3:  # two are made in the only step of the first run
                signal.raise_signal(signal.SIGTERM)
            return super()._images(*arguments)

    folder = place / "broken"
    command = ["train", str(recipe_for("regdb", place)), "--out", str(folder), "--trials", "1-3"]
    monkeypatch.setattr(training, "PackedTrainingData", StopsInTheSecondRun)
    assert isinstance(vireid(*command).exception, Interrupted)
    monkeypatch.undo()
    assert sorted(path.name for path in folder.iterdir()) == ["trial-1", "trial-2"]
    assert "exists already" in str(vireid(*command).exception)
    done(*command, "--resume")
    for number in (1, 2, 3):
        runs_alike = [f / f"trial-{number}" for f in (folder, ten)]
        marks = {runs.read_details(run).fingerprint for run in runs_alike}
        assert len(marks) == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("{ten}/trial-1", "{ten}/trial-1"), "one model of each split"),
        (("{ten}/trial-1", "{llcm}"), "several models make one result only if"),
        (("{llcm}", "small"), "several models make one result only if"),
    ],
)
def test_other_models_are_not_made_into_one_result(
    words: tuple[str, ...], why: str, ten: Path, trained: dict[str, Path]
) -> None:
    given = [word.format(ten=ten, llcm=trained["llcm"]) for word in words]
    with pytest.raises(VireidError, match=why):
        evaluation.score_models(given)


def test_a_run_of_another_split_is_no_start(ten: Path, place: Path) -> None:
    recipe = recipe_for("regdb", place)
    start = f"start_from={ten / 'trial-1'}"
    training.learn(recipes.read(recipe, [start, "data.trial=1"]), place / "same")
    with pytest.raises(RunError, match=r"learnt on trial 1 of regdb, .* trial 2 is scored on"):
        training.learn(recipes.read(recipe, [start, "data.trial=2"]), place / "other")
    through = f"start_from={place / 'same'}"
    with pytest.raises(RunError, match="learnt on trial 1 of regdb"):
        training.learn(recipes.read(recipe, [through, "data.trial=3"]), place / "other")
    assert not (place / "other").exists()


def test_trials_of_a_data_set_without_are_refused(place: Path) -> None:
    refused = vireid("train", recipe_for("llcm", place), "--out", place / "no", "--trials", "1-2")
    assert "there is no trial 1 of llcm" in str(refused.exception)
    refused = vireid("train", recipe_for("regdb", place), "--out", place / "no", "--trials", "x")
    assert "'x' is not a list of numbers such as 1-10" in str(refused.exception)
    assert not (place / "no").exists()


def test_an_exported_model_of_a_split_keeps_to_it(ten: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    regdb = ["--dataset", "regdb", "--root", str(ten.parent / "regdb")]
    refused = vireid("evaluate", model, *regdb)
    assert "toy has learnt on unknown, so it cannot be scored on regdb trial 1" in str(
        refused.exception
    )
    (model / "recipe.toml").write_text((ten / "trial-4" / "recipe.toml").read_text())
    assert scored(model)[0]["trials"][0]["number"] == 4
