"""Which differences of a comparison are more than chance."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests import sysu_layout
from tests.onnx_model import write_model

from vireid import datasets
from vireid.models.card import Training, recipe_hash
from vireid.scoring import baselines, evaluation, named_protocols, results
from vireid.scoring import comparison as settling
from vireid.scoring import table_formats as formats
from vireid.scoring.results import ResultsError
from vireid.scoring.scores import QueryScores, Scores

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def chance(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    dataset = datasets.read("sysu_mm01", sysu_layout.write(tmp_path_factory.mktemp("d") / "sysu"))
    return evaluation.score(baselines.chance(), dataset, named_protocols.find("sysu/py-seed"))


def model(
    chance: Scores, name: str, better: float, seed: int | None = None, people: int = 40
) -> Scores:
    """A model whose average precisions are so much higher, on queries of some people."""
    generator = np.random.default_rng(0)
    count = 5 * people
    noise = np.random.default_rng(sum(map(ord, name)) + (seed or 0))
    values = generator.random(count) * 0.6 + better + 0.02 * noise.standard_normal(count)
    names = ("R1", "R5", "R10", "R20", "mAP", "mINP")
    queries = QueryScores.of(
        np.repeat(np.arange(people), 5), np.full(count, 10), dict.fromkeys(names, values)
    )
    training = None if seed is None else Training("train", 5, seed, recipe="r" + name.split("-")[0])
    about = replace(chance.model, name=name, fingerprint=f"{name}{seed}", training=training)
    mean = dict.fromkeys(names, float(values.mean()))
    trials = tuple(replace(trial, metrics=mean) for trial in chance.trials)
    return replace(chance, model=about, trials=trials, queries=queries)


def test_seeds_of_one_recipe_are_one_row(chance: Scores) -> None:
    agw = [model(chance, f"agw-{seed}", 0.1 + 0.01 * seed, seed) for seed in (1, 2, 3)]
    settled = settling.settle(results.compare([*agw, model(chance, "mun-1", 0.3, 1)]))
    assert [row.name for row in settled.rows] == ["agw", "mun-1"]
    grid = settled.grid(["mAP"])
    assert [line[:2] for line in grid] == [["model", "seeds"], ["agw", "3"], ["mun-1", "1"]]
    assert "±" in grid[1][2]
    assert "±" not in grid[2][2]
    assert "one seed only: mun-1; no spread over seeds is known" in settled.notes
    row = settled.as_dict()["rows"][0]["scores"]["A"]
    assert [each["seed"] for each in row["seeds"]] == [1, 2, 3]
    assert row["sd"]["mAP"] == pytest.approx(0.01, abs=0.003)


def test_models_of_one_recipe_and_one_seed_are_no_seeds(chance: Scores) -> None:
    copies = [model(chance, f"agw-{name}", 0.1, 1) for name in ("wide", "narrow")]
    settled = settling.settle(results.compare(copies))
    assert [row.name for row in settled.rows] == ["agw-wide", "agw-narrow"]


def test_a_difference_is_settled_where_interval_and_test_agree(chance: Scores) -> None:
    rows = [model(chance, "one", 0.2), model(chance, "better", 0.25), model(chance, "like", 0.2)]
    settled = settling.settle(results.compare(rows))
    by_pair = {(d.one, d.other): d for d in settled.differences if d.metric == "mAP"}
    found = by_pair["one", "better"]
    assert found.settled
    assert found.verdict == "better is better, as trained"
    assert found.difference == pytest.approx(-0.05, abs=0.005)
    low, high = found.interval or (0, 0)
    assert low < -0.05 < high < 0
    assert found.p <= found.corrected <= 0.05
    assert not by_pair["one", "like"].settled
    assert by_pair["one", "like"].verdict == "not settled"
    assert len(settled.differences) == 2 * 3
    assert any("one seed each" in note for note in settled.notes)


def test_one_person_gives_no_interval(chance: Scores) -> None:
    rows = [model(chance, "one", 0.1, people=1), model(chance, "other", 0.4, people=1)]
    settled = settling.settle(results.compare(rows))
    assert {d.interval for d in settled.differences} == {None}
    assert not any(d.settled for d in settled.differences)


def test_results_of_former_versions_are_shown_and_not_tested(chance: Scores) -> None:
    old = replace(model(chance, "old", 0.1), queries=None)
    settled = settling.settle(results.compare([old, model(chance, "new", 0.4)]))
    assert not settled.differences
    assert any("without each query: old" in note for note in settled.notes)


def test_runs_of_other_protocols_are_not_tested_against_each_other(chance: Scores) -> None:
    other = replace(model(chance, "b", 0.3), protocol=replace(chance.protocol, cmc="plain"))
    settled = settling.settle(results.compare([model(chance, "a", 0.1), other]))
    assert list(settled.comparison.columns) == ["A", "B"]
    assert not settled.differences


def test_what_queries_have_scored_adds_up_to_the_means(chance: Scores) -> None:
    assert chance.queries is not None
    weights = chance.queries.weights()
    for metric, mean in chance.mean.items():
        of_queries = float(weights @ chance.queries.values(metric) / weights.sum())
        assert of_queries == pytest.approx(mean, abs=1e-6)
    low, high = chance.interval("mAP") or (0, 0)
    assert low < chance.mean["mAP"] < high
    again = Scores.from_dict(json.loads(json.dumps(chance.as_dict())))
    assert again == chance


def test_damaged_queries_are_refused(chance: Scores) -> None:
    content = json.loads(json.dumps(chance.as_dict()))
    content["queries"]["people"] = "AAAA"
    with pytest.raises(ResultsError, match="is damaged"):
        Scores.from_dict(content, "a.json", ResultsError)


def test_tables_are_written_for_papers_and_programs() -> None:
    grid = [["model", "mAP"], ["a_b | 50%", "12.3±4.5"]]
    assert formats.markdown(grid).split("\n") == [
        "| model | mAP |",
        "| --- | ---: |",
        "| a_b \\| 50% | 12.3±4.5 |",
    ]
    told = formats.latex(grid)
    assert r"a\_b | 50\% & 12.3$\pm$4.5 \\" in told
    assert told.startswith("\\begin{tabular}{lr}\n\\toprule")
    assert list(csv.reader(io.StringIO(formats.as_csv(grid)))) == grid


def test_the_recipe_of_a_run_is_known_without_its_seed(tmp_path: Path) -> None:
    def written(name: str, text: str) -> str | None:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "recipe.toml").write_text(text, encoding="utf-8")
        return recipe_hash(folder)

    one = written("one", 'method="agw"\nseed=1\n[data]\nroot="a"\nheight=32\n')
    assert one == written("two", 'method="agw"\nseed=2\n[data]\nroot="b"\nheight=32\n')
    assert one != written("other", 'method="agw"\nseed=1\n[data]\nroot="a"\nheight=64\n')
    assert recipe_hash(tmp_path) is None


def test_the_command_lists_runs_without_scores_and_writes_every_form(
    run: Run, tmp_path: Path
) -> None:
    root = sysu_layout.write(tmp_path / "sysu")
    models = [write_model(tmp_path / name, seed, name) for seed, name in enumerate(("one", "two"))]
    where = ["--dataset", "sysu_mm01", "--root", root, "--mode", "all", "--shot", "single"]
    for each in models:
        status, output, errors = run("evaluate", each, *where)
        assert status == 0, errors
        assert "in brackets: 95 % interval over people" in output
    empty = write_model(tmp_path / "empty", 7, "empty")
    status, output, errors = run("compare", *models, empty)
    assert status == 0, errors
    assert "Differences" in output
    assert f"{empty} has no scores" in errors
    answer = json.loads(run("compare", *models, "--json")[1])
    assert {d["metric"] for d in answer["differences"]} == {"R1", "mAP"}
    assert run("compare", *models, "--markdown")[1].startswith("| model | seeds | R1 |")
    assert run("compare", *models, "--latex")[1].startswith(r"\begin{tabular}")
    assert run("compare", *models, "--csv")[1].startswith("model,seeds,R1")
    rows = json.loads(run("compare", *models, "--controls", "--json")[1])["rows"]
    assert "chance" in [row["name"] for row in rows]
    status, _, errors = run("compare", *models, "--protocol", "regdb")
    assert status == 1
    assert "no result is of regdb; there are sysu_mm01 test: sysu/official all single" in errors
    assert run("compare", empty)[0] == 1
