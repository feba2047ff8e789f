"""Settings are chosen on people whom neither training nor the final score has seen."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tests import sysu_layout
from tests.onnx_model import write_model
from tests.tiny_recipe import tiny_recipe

from vireid import datasets, recipes
from vireid.cli import main as cli
from vireid.datasets import Dataset
from vireid.errors import VireidError
from vireid.models.card import Training
from vireid.models.embedder import Embedder
from vireid.models.runs import RunError
from vireid.scoring import baselines, evaluation, named_protocols, protocols, results
from vireid.scoring.scores import Group

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return datasets.read("sysu_mm01", sysu_layout.write(tmp_path_factory.mktemp("data") / "sysu"))


GROUPS: tuple[Group, ...] = ("test", "validation")


def vireid(*arguments: str | Path) -> str:
    answer = CliRunner().invoke(cli.vireid, [*map(str, arguments)], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return " ".join(answer.output.split())


def train(dataset: Dataset, folder: Path, *options: str, start_from: Path | None = None) -> Path:
    folder.mkdir()
    recipe = folder / "tiny.toml"
    recipe.write_text(tiny_recipe(root=dataset.root, start_from=start_from), encoding="utf-8")
    vireid("train", recipe, "--out", folder / "run", *options)
    return folder / "run"


@pytest.fixture(scope="module")
def held_out(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(dataset, tmp_path_factory.mktemp("runs") / "held_out", "--validate")


@pytest.fixture(scope="module")
def on_all(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(dataset, tmp_path_factory.mktemp("runs") / "on_all")


def test_a_run_can_leave_the_validation_people_out(held_out: Path, on_all: Path) -> None:
    facts = [json.loads((run / "run.json").read_text()) for run in (held_out, on_all)]
    assert [each["num_identities"] for each in facts] == [2, 3]
    assert facts[0]["data"] != facts[1]["data"]
    assert 'learn_from = "train"\n' in (held_out / "recipe.toml").read_text()
    assert f"vireid evaluate {held_out} --validate" in (held_out / "log.txt").read_text()
    assert "--validate" not in (on_all / "log.txt").read_text()


def test_it_is_scored_on_them_with_galleries_drawn_by_the_same_rule(
    held_out: Path, dataset: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "scores.json"
    text = vireid("evaluate", held_out, "--validate", "--mode", "all", "--out", out)
    assert "run, sysu_mm01, validation people, sysu/official" in text
    single = next(result for result in results.read(out) if result.protocol.shot == "single")
    assert single.dataset.group == "validation"
    assert single.key.startswith("sysu_mm01 validation: sysu/official")
    moved = replace(dataset, test=dataset.validation)
    trials = named_protocols.find("sysu/official").trials(moved)
    assert {record.identity for trial in trials for record in (*trial.queries, *trial.gallery)} == {
        3
    }
    drawn = [trial.gallery_sha256 for trial in single.trials]
    assert drawn == [protocols.list_fingerprint(trial.gallery) for trial in trials]


def test_scores_on_test_people_say_whom_the_run_has_learnt_from(
    held_out: Path, on_all: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores.json"
    text = [vireid("evaluate", run, "--mode", "all", "--out", out) for run in (held_out, on_all)]
    assert "run has learnt from the 2 people of train only" in text[0]
    assert "has learnt from" not in text[1]
    told = [result.model.training for result in results.read(out)]
    assert told[0]
    assert told[-1]
    assert told[0].recipe != told[-1].recipe
    assert replace(told[0], recipe=None) == Training("train", 2, 0)
    assert replace(told[-1], recipe=None) == Training("train and validation", 3, 0)
    assert "learnt from the 2 people of train only" in vireid("compare", out)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_scores_say_the_precisions(
    precision: str, on_all: Path, dataset: Dataset, tmp_path: Path
) -> None:
    run = shutil.copytree(on_all, tmp_path / "run")
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert facts["learnt_in"] == "float32"
    (run / "run.json").write_text(json.dumps(facts | {"learnt_in": precision}), encoding="utf-8")
    told = f"learnt in {precision}; embedded in float32"
    assert told in vireid("evaluate", run, "--mode", "all")
    (scored, *_) = results.find(str(run))
    assert (scored.model.learnt_in, scored.model.precision) == (precision, "float32")
    assert told in vireid("compare", run)


def test_validation_and_test_people_are_different_columns(dataset: Dataset) -> None:
    scores = [
        evaluation.score(
            baselines.chance(), dataset, named_protocols.find("sysu/py-seed"), group=group
        )
        for group in GROUPS
    ]
    comparison = results.compare(scores)
    assert list(comparison.columns) == ["A", "B"]


def test_who_has_learnt_from_the_validation_people_is_not_judged_by_them(on_all: Path) -> None:
    with pytest.raises(VireidError, match="run has learnt from the validation people of sysu_mm01"):
        vireid("evaluate", on_all, "--validate")


def test_who_has_learnt_elsewhere_may_be(on_all: Path, dataset: Dataset, tmp_path: Path) -> None:
    """Other people: a run on NightWalk, as its recipe has it, on SYSU-MM01's validation people."""
    model = write_model(tmp_path / "model")
    with pytest.raises(VireidError, match="nothing says whom toy has learnt from"):
        evaluation.score_models([str(model)], "sysu_mm01", dataset.root, group="validation")
    (model / "recipe.toml").write_text('[data]\ndataset = "nightwalk"\n', encoding="utf-8")
    first, *_ = evaluation.score_models([str(model)], "sysu_mm01", dataset.root, group="validation")
    assert first.model.learnt_on == "nightwalk"


def test_data_without_validation_people_cannot_validate(dataset: Dataset) -> None:
    without = replace(dataset, validation=())
    with pytest.raises(VireidError, match="sysu_mm01 has no validation people; choose settings on"):
        evaluation.score(
            baselines.chance(), without, named_protocols.find("sysu/py-seed"), group="validation"
        )


def test_a_run_cannot_leave_out_whom_there_are_not(tmp_path: Path) -> None:
    root = sysu_layout.write(tmp_path / "sysu")
    (root / "exp" / "train_id.txt").write_text("1,2,3\n", encoding="utf-8")
    (root / "exp" / "val_id.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(RunError, match="has no validation people to leave out"):
        train(datasets.read("sysu_mm01", root), tmp_path / "runs", "--validate")


def test_weights_that_have_seen_the_validation_people_may_not_begin_such_a_run(
    on_all: Path, held_out: Path, dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="may have learnt from the validation people of sysu_mm01"):
        train(dataset, tmp_path / "refused", "--validate", start_from=on_all)
    assert not (tmp_path / "refused" / "run").exists()
    begun = train(dataset, tmp_path / "begun", "--validate", start_from=held_out)
    assert f"weights from {held_out}" in (begun / "log.txt").read_text()


def test_the_shipped_model_may_begin_a_run_that_is_judged_by_validation_people(
    tmp_path: Path,
) -> None:
    recipe = recipes.find("agw_nightwalk_mini")
    short = ["data.steps_per_epoch=1", "settings.epochs=1", "settings.people=4"]
    vireid("train", recipe, "--validate", *short, "--out", tmp_path / "run")
    assert 'start_from = "small"' in recipe.read_text()
    scored = "--validate", "--mode", "all", "--shot", "single"
    assert "R1" in vireid("evaluate", tmp_path / "run", *scored)


def test_a_run_embeds_mirror_images_too(on_all: Path, dataset: Dataset) -> None:
    """As an exported model does; pictures of one half dark, so that it matters."""
    embedder = Embedder.open(on_all)
    record = dataset.test[0]
    with Image.open(record.path) as picture:
        pixels = np.array(picture)
    pixels[:, :12] = 0
    Image.fromarray(pixels).save(record.path)
    with Image.open(record.path) as picture:
        turned = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        (expected,) = embedder.embed([turned], record.modality)
    mirrored, plain = (embedder.embed_records([record], mirrored=m) for m in (True, False))
    np.testing.assert_allclose(mirrored[0], expected, atol=1e-5)
    assert np.abs(mirrored - plain).max() > 1e-4
