"""What was scored differently never stands in one column."""

import io
import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console
from tests import sysu_layout
from tests.onnx_model import write_model

from vireid import datasets
from vireid.cli import main as cli
from vireid.datasets import Dataset
from vireid.errors import VireidError
from vireid.scoring import METRICS, baselines, evaluation, named_protocols, results
from vireid.scoring.re_ranking import KReciprocal
from vireid.scoring.results import ResultsError
from vireid.scoring.scores import Scores

SEEDED = named_protocols.find("sysu/py-seed")
OFFICIAL = named_protocols.find("sysu/official")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return datasets.read("sysu_mm01", sysu_layout.write(tmp_path_factory.mktemp("data") / "sysu"))


@pytest.fixture(scope="module")
def colours(dataset: Dataset) -> Scores:
    return evaluation.score(baselines.colour_histograms(), dataset, SEEDED)


@pytest.fixture(scope="module")
def chance(dataset: Dataset) -> Scores:
    return evaluation.score(baselines.chance(), dataset, SEEDED)


def as_results(scores: Sequence[Scores]) -> list[Scores]:
    return [Scores.from_dict(json.loads(json.dumps(each.as_dict()))) for each in scores]


def changed(scores: Scores, path: str, value: Any) -> Scores:
    """As if that had been otherwise when it was scored."""
    content = json.loads(json.dumps(scores.as_dict()))
    *above, last = path.split(".")
    table = content
    for name in above:
        table = table[name]
    assert table[last] != value
    table[last] = value
    return Scores.from_dict(content)


def shown(comparison: results.Comparison, metrics: Sequence[str] = (), width: int = 120) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(comparison.table(metrics))
    return " ".join(console.export_text().split())


def test_one_protocol_is_one_column_with_a_row_for_every_model(
    colours: Scores, chance: Scores
) -> None:
    comparison = results.compare(as_results([chance, colours]))
    assert list(comparison.columns) == ["A"]
    assert list(comparison.rows) == [
        "chance chance float32",
        "colour histograms colour histograms float32",
    ]
    text = shown(comparison)
    assert text.startswith("sysu_mm01 test: sysu/py-seed all single-shot model R1 R5 R10 R20 mAP")
    for scores in (colours, chance):
        sd = scores.sd or {}
        assert f"{100 * scores.mean['mAP']:.1f}±{100 * sd['mAP']:.1f}" in text
    results.check_one_column(comparison)


PARTS = [
    ("protocol.id", "sysu/official"),
    ("protocol.mode", "indoor"),
    ("protocol.shot", "multi"),
    ("protocol.direction", "visible-to-infrared"),
    ("protocol.query_cameras", ["cam6"]),
    ("protocol.gallery_cameras", ["cam1"]),
    ("protocol.draw", "official"),
    ("protocol.drawn", "queries"),
    ("protocol.trial_numbers", [0]),
    ("protocol.removal", "none"),
    ("protocol.hidden_cameras", []),
    ("protocol.gap", 2.0),
    ("protocol.single_frames", True),
    ("protocol.registered", True),
    ("protocol.frames", 6),
    ("protocol.cmc", "plain"),
    ("protocol.similarity", "euclidean"),
    ("protocol.feature", "pooled"),
    ("protocol.test_time_flip", "sum"),
    ("protocol.test_time_centre", "camera"),
    ("protocol.re_ranking", {"name": "k-reciprocal", "k1": 20, "k2": 6, "weight": 0.3}),
    ("protocol.dataset", "another"),
    ("dataset.name", "nightwalk"),
    ("dataset.group", "validation"),
    ("dataset.fingerprint", "0123456789abcdef"),
    ("dataset.trial", 3),
]


@pytest.mark.parametrize(("path", "value"), PARTS)
def test_whatever_else_a_score_depends_on_makes_another_column(
    path: str, value: object, colours: Scores, chance: Scores
) -> None:
    comparison = results.compare([*as_results([chance]), changed(colours, path, value)])
    assert list(comparison.columns) == ["A", "B"]
    assert [list(row) for row in comparison.rows.values()] == [["A"], ["B"]]
    name = {"dataset.name": "data set", "dataset.group": "group", "dataset.trial": "split"}
    said = {**name, "dataset.fingerprint": "pictures"}.get(path, path)
    (told,) = results.differences(*comparison.columns.values())
    assert told.startswith(f"{said} is ")
    with pytest.raises(ResultsError, match=f"(?s)do not belong into one column with .*{said} is "):
        results.check_one_column(comparison)


def test_every_field_of_a_protocol_is_looked_at(colours: Scores) -> None:
    """So that a field that is added to protocols is not forgotten above."""
    fields = {path for path, _ in PARTS if path.startswith("protocol.")}
    named = {f"protocol.{name}" for name in colours.as_dict()["protocol"]}
    assert named - {"protocol.usual_removal"} == fields


def test_other_galleries_of_one_protocol_are_another_column(
    colours: Scores, chance: Scores
) -> None:
    drawn = [{**trial, "gallery_sha256": "other"} for trial in chance.as_dict()["trials"]]
    comparison = results.compare([*as_results([colours]), changed(chance, "trials", drawn)])
    assert "A and B do not compare: galleries is" in shown(comparison)


def test_re_ranked_scores_stand_beside_the_plain_ones_of_the_same_model(dataset: Dataset) -> None:
    re_ranked = replace(SEEDED, re_ranking=KReciprocal())
    scores = evaluation.score_all(baselines.colour_histograms(), dataset, [SEEDED, re_ranked])
    comparison = results.compare(as_results(scores))
    assert [list(row) for row in comparison.rows.values()] == [["A", "B"]]
    text = shown(comparison)
    assert "A sysu_mm01 test: sysu/py-seed all single-shot B sysu_mm01 test" in text
    assert "single-shot, k-reciprocal k1=20 k2=6 lambda=0.3" in text
    assert "model A R1 A mAP B R1 B mAP" in text


def test_small_differences_are_said_to_mean_nothing(chance: Scores) -> None:
    """1.3 apart; each of ten trials with sd 3 has an error of 0.95, their difference of 1.34."""

    def with_mean(name: str, r1: float) -> Scores:
        off = 0.03 * math.sqrt(0.9)
        trials = (
            replace(trial, metrics=dict.fromkeys(METRICS, r1 + (off if i % 2 else -off)))
            for i, trial in enumerate(chance.trials)
        )
        model = replace(chance.model, name=name, fingerprint=name)
        return replace(chance, model=model, trials=tuple(trials))

    one, near, far = with_mean("one", 0.5), with_mean("near", 0.487), with_mean("far", 0.48)
    said = "R1: one and near differ by 1.3, less than the error of drawing galleries, 1.3"
    assert said in results.compare([one, near, far]).notes
    assert not any("far" in note for note in results.compare([one, near, far]).notes)
    assert not results.compare([one, far]).notes


def test_a_single_trial_is_told_without_an_error(chance: Scores, colours: Scores) -> None:
    single = [replace(each, trials=each.trials[:1]) for each in (chance, colours)]
    comparison = results.compare(as_results(single))
    assert comparison.notes == []
    assert "±" not in shown(comparison).split("percent")[0]


def test_models_are_sorted_by_a_metric_of_a_column(chance: Scores, colours: Scores) -> None:
    assert colours.mean["R1"] > chance.mean["R1"]
    elsewhere = changed(chance, "protocol.cmc", "plain")
    comparison = results.compare([*as_results([chance, colours]), elsewhere])
    assert next(iter(results.sort(comparison, "R1").rows)).startswith("colour")
    assert next(iter(results.sort(comparison, "B mAP").rows)).startswith("chance")
    for wrong in ("R2", "C R1", ""):
        with pytest.raises(ResultsError, match="cannot sort by"):
            results.sort(comparison, wrong)


def test_models_of_one_name_are_told_apart(chance: Scores) -> None:
    other = changed(chance, "model.fingerprint", "f00dcafe12345678")
    text = shown(results.compare([*as_results([chance]), other]))
    assert "chance chance" in text
    assert "chance f00dcafe " in text


def test_another_precision_is_another_row_of_the_same_column(chance: Scores) -> None:
    rounded = changed(chance, "model.precision", "bfloat16")
    comparison = results.compare([*as_results([chance]), rounded])
    assert list(comparison.columns) == ["A"]
    told = "embedded in float32 (chance chance float32), in bfloat16 (chance chance bfloat16)"
    assert comparison.precisions == told
    assert [model["precision"] for model in comparison.as_dict()["models"]] == [
        "float32",
        "bfloat16",
    ]


def test_what_models_were_learnt_in_is_told(chance: Scores) -> None:
    def learnt(name: str, precision: str | None) -> Scores:
        return replace(
            chance, model=replace(chance.model, name=name, learnt_on="there", learnt_in=precision)
        )

    one, other, old = learnt("a", "float32"), learnt("b", "bfloat16"), learnt("c", None)
    alike = results.compare(as_results([one, learnt("d", "float32"), chance]))
    assert alike.precisions == "learnt in float32; embedded in float32"
    apart = results.compare(as_results([one, other, old, learnt("d", "float32")]))
    assert apart.precisions == (
        "learnt in float32 (a, d), in bfloat16 (b), in unknown precision (c); embedded in float32"
    )
    assert apart.precisions in shown(apart, width=200)


def test_results_are_kept_side_by_side_and_replaced_by_their_like(
    chance: Scores, colours: Scores, dataset: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "scores.json"
    official = evaluation.score(baselines.chance(), dataset, OFFICIAL)
    for scores in ([chance], [colours, official], [chance]):
        results.keep(scores, path)
    found = [(r.model.name, r.protocol.id) for r in results.read(path)]
    assert found == [
        ("chance", "sysu/py-seed"),
        ("colour histograms", "sysu/py-seed"),
        ("chance", "sysu/official"),
    ]
    again = replace(chance, version="9.9")
    results.keep([again], path)
    assert [r.version for r in results.read(path)].count("9.9") == 1
    assert len(results.read(path)) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"format": 3, "scores": [{"trials": 3}]}', "is damaged"),
        (
            '{"format": 1, "scores": []}',
            "has format 1, this vireid reads 3; move it away and score",
        ),
    ],
)
def test_a_file_that_holds_no_results_is_named_and_not_written_over(
    content: str, message: str, chance: Scores, tmp_path: Path
) -> None:
    path = tmp_path / "scores.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ResultsError, match=message):
        results.keep([chance], path)
    assert path.read_text(encoding="utf-8") == content


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_pipe_has_no_results_and_gets_new_ones(chance: Scores, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        results.keep([chance], tmp_path / "pipe")
        (kept,) = json.loads(os.read(reader, 2**16))["scores"]
    finally:
        os.close(reader)
    assert Scores.from_dict(kept) == as_results([chance])[0]


def test_a_file_of_the_format_before_is_read(chance: Scores, tmp_path: Path) -> None:
    old = chance.as_dict()
    old["dataset"]["people"] = old["dataset"].pop("group")
    del old["protocol"]["usual_removal"]
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"format": 2, "scores": [old]}), encoding="utf-8")
    assert results.read(path) == [chance]
    assert list(results.compare([*results.read(path), chance]).columns) == ["A"]


def test_what_has_no_results_is_told_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=rf"make them: vireid evaluate {tmp_path}"):
        results.find(str(tmp_path))
    with pytest.raises(ResultsError, match="no results in nowhere; check the name"):
        results.find("nowhere")
    with pytest.raises(ResultsError, match="no results to compare"):
        results.compare([])


def run(*arguments: str) -> str:
    answer = CliRunner().invoke(cli.vireid, list(arguments), catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_the_commands_score_with_options_and_compare(dataset: Dataset, tmp_path: Path) -> None:
    models = [write_model(tmp_path / name, seed, name) for seed, name in enumerate(("one", "two"))]
    where = ["--dataset", "sysu_mm01", "--root", str(dataset.root), "--mode", "all"]
    for model in models:
        run("evaluate", str(model), *where, "--shot", "single", "--flip", "sum")
    text = run("evaluate", str(models[0]), *where, "--shot", "single", "--re-rank", "k-reciprocal")
    plain, re_ranked = " ".join(text.split()).split("k-reciprocal k1=20 k2=6 lambda=0.3")
    assert "R1" in plain
    assert "R1" in re_ranked
    answer = json.loads(run("compare", *map(str, models), "--json"))
    assert [column["key"].partition("-shot")[2] for column in answer["columns"].values()] == [
        "",
        ", flip sum",
        ", k-reciprocal k1=20 k2=6 lambda=0.3",
    ]
    assert [list(model["scores"]) for model in answer["models"]] == [["A", "B", "C"], ["A", "B"]]
    written = results.read(models[0] / "scores.json")
    assert answer["models"][0]["scores"]["B"]["mean"] == written[1].mean
    assert "A mINP" in run("compare", *map(str, models), "--metric", "mINP", "--sort", "B mAP")
    with pytest.raises(
        VireidError, match=r"(?s)flip sum: protocol.test_time_flip is none, and sum"
    ):
        run("compare", *map(str, models), "--one-column")
    assert "R1" in run("compare", *map(str, models))


def test_a_file_in_the_way_is_refused_before_the_work(dataset: Dataset, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    (model / "scores.json").write_text('{"format": 1}', encoding="utf-8")
    empty = tmp_path / "empty"
    empty.mkdir()
    asked = ("evaluate", str(model), "--dataset", "sysu_mm01", "--root", str(empty))
    with pytest.raises(ResultsError, match="has format 1"):
        run(*asked)
    with pytest.raises(ResultsError, match=r"empty is a folder; name a file in it"):
        run(*asked, "--out", str(empty))
