"""A model's scores are means over all trials, and say of what."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from rich.console import Console
from tests import sysu_layout
from tests.onnx_model import write_model, write_site

from vireid import __version__, datasets, records
from vireid.cli import main as cli
from vireid.datasets import Dataset
from vireid.errors import VireidError
from vireid.files import matlab_files
from vireid.records import ImageRecord, Modality
from vireid.scoring import (
    METRICS,
    baselines,
    evaluation,
    named_protocols,
    protocols,
    results,
    sysu_permutations,
    tables,
)
from vireid.scoring.baselines import Baseline
from vireid.scoring.protocols import Protocol, Trial
from vireid.scoring.scores import Scores

KNOWS_EVERYONE = Baseline("knows everyone", lambda record: np.eye(20)[record.identity or 0])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return datasets.read("sysu_mm01", sysu_layout.write(tmp_path_factory.mktemp("data") / "sysu"))


@pytest.fixture(scope="module")
def scores(dataset: Dataset) -> list[Scores]:
    return evaluation.score_all(baselines.chance(), dataset, named_protocols.choose(dataset))


def shown(scores: Sequence[Scores], width: int = 100) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(tables.table(scores))
    return console.export_text()


def test_who_knows_everyone_scores_everything(dataset: Dataset) -> None:
    for protocol in named_protocols.choose(dataset):
        mean = evaluation.score(KNOWS_EVERYONE, dataset, protocol).mean
        assert {name: mean[name] for name in METRICS} == dict.fromkeys(METRICS, 1.0)


def test_a_trial_is_scored_on_its_own_gallery_and_what_is_hidden_from_it(dataset: Dataset) -> None:
    """By hand, for the seeded draw: every query, every picture, nothing shared with the code."""
    protocol = named_protocols.find("sysu/py-seed")
    embedder = baselines.chance(3)
    scores = evaluation.score(embedder, dataset, protocol)
    for trial, drawn in zip(scores.trials, protocol.trials(dataset), strict=True):
        right, valid = 0, 0
        for query in drawn.queries:
            seen = [
                picture
                for picture in drawn.gallery
                if not (query.camera == "cam3" and picture.camera == "cam2")
            ]
            if query.identity not in {picture.identity for picture in seen}:
                continue
            similarity = embedder.embed_records(seen) @ embedder.embed_records([query])[0]
            right += seen[int(similarity.argmax())].identity == query.identity
            valid += 1
        assert trial.metrics["R1"] == pytest.approx(right / valid)
        assert (trial.queries, trial.valid_queries) == (len(drawn.queries), valid)
        assert trial.gallery_pictures == len(drawn.gallery)
        assert trial.gallery_sha256 == protocols.list_fingerprint(drawn.gallery)
    assert scores.sd is not None
    assert scores.sd["R1"] > 0


def test_every_picture_is_embedded_once_and_no_other(dataset: Dataset) -> None:
    seen: list[ImageRecord] = []

    def embed(record: ImageRecord) -> np.ndarray:
        seen.append(record)
        return np.ones(4)

    evaluation.score_all(
        Baseline("counts", embed),
        dataset,
        named_protocols.choose(dataset, "sysu/py-seed", "indoor"),
    )
    assert len(seen) == len(set(seen))
    assert {record.camera for record in seen} == {"cam1", "cam2", "cam3", "cam6"}
    assert set(seen) <= set(dataset.test)


def test_galleries_are_drawn_once_and_permutations_parsed_once(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, parsed = [], []
    draw, parse = Protocol.trials, matlab_files.read

    def counting_draw(protocol: Protocol, of: Dataset) -> tuple[Trial, ...]:
        drawn.append(protocol.title)
        return draw(protocol, of)

    def counting_parse(path: Path, name: str) -> list[Any]:
        parsed.append(path)
        return parse(path, name)

    monkeypatch.setattr(Protocol, "trials", counting_draw)
    monkeypatch.setattr(matlab_files, "read", counting_parse)
    sysu_permutations._read.cache_clear()
    protocols = named_protocols.choose(dataset, "sysu/official")
    evaluation.score_all(baselines.chance(), dataset, protocols)
    assert drawn == [protocol.title for protocol in protocols]
    assert len(drawn) == 4
    assert len(parsed) == 1


def test_results_hold_all_that_has_to_be_told_with_them(
    scores: list[Scores], dataset: Dataset
) -> None:
    result = json.loads(json.dumps(scores[1].as_dict()))
    assert result["protocol"] == {
        "id": "sysu/official",
        "dataset": "SYSU-MM01 and its layout",
        "mode": "all",
        "shot": "multi",
        "direction": "infrared-to-visible",
        "query_cameras": ["cam3", "cam6"],
        "gallery_cameras": ["cam1", "cam2", "cam4", "cam5"],
        "draw": "official",
        "trial_numbers": list(range(10)),
        "drawn": "gallery",
        "removal": "same-room",
        "usual_removal": None,
        "hidden_cameras": [["cam3", "cam2"]],
        "gap": None,
        "single_frames": False,
        "registered": False,
        "frames": None,
        "cmc": "identity",
        "similarity": "inner product of unit embeddings",
        "feature": "the method's embedding",
        "test_time_flip": "none",
        "test_time_centre": "none",
        "re_ranking": None,
    }
    assert result["key"] == "sysu_mm01 test: sysu/official all multi-shot"
    assert (result["dataset"]["name"], result["dataset"]["group"]) == ("sysu_mm01", "test")
    assert result["dataset"]["fingerprint"] == records.pictures_fingerprint(
        dataset.test, dataset.root
    )
    assert result["dataset"]["counts"] == dataset.counts
    assert result["model"] == {
        "name": "chance",
        "fingerprint": "chance",
        "checkpoint": "nothing learnt",
        "learnt_on": "nothing",
        "training": None,
        "learnt_in": None,
        "precision": "float32",
    }
    assert result["version"] == __version__
    assert len(result["trials"]) == 10
    of_trials = [trial["metrics"]["mAP"] for trial in result["trials"]]
    assert result["mean"]["mAP"] == pytest.approx(fmean(of_trials))
    assert result["sd"]["mAP"] == pytest.approx(stdev(of_trials))
    assert (result["min"]["mAP"], result["max"]["mAP"]) == (min(of_trials), max(of_trials))
    assert list(result["trials"][0]) == [
        "number",
        "metrics",
        "queries",
        "valid_queries",
        "gallery_pictures",
        "gallery_identities",
        "gallery_sha256",
    ]


def test_scores_are_written_whole_or_not_at_all(scores: list[Scores], tmp_path: Path) -> None:
    path = tmp_path / "new" / "scores.json"
    results.keep(scores, path)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["format"] == results.FORMAT
    assert [each["protocol"]["shot"] for each in content["scores"]] == ["single", "multi"] * 2
    in_the_way = tmp_path / "in_the_way"
    in_the_way.write_text("a file", encoding="utf-8")
    with pytest.raises(VireidError, match=r"could not be written|Not a directory"):
        results.keep([scores[0]], in_the_way / "scores.json")
    assert sorted(child.name for child in tmp_path.iterdir()) == ["in_the_way", "new"]
    assert [child.name for child in path.parent.iterdir()] == ["scores.json"]


def test_a_table_shows_percent_and_what_its_rows_differ_in(
    scores: list[Scores], dataset: Dataset
) -> None:
    text = shown(scores)
    assert "chance, sysu_mm01, sysu/official" in text
    assert "indoor multi" in text
    mean, sd = scores[0].mean["R1"], (scores[0].sd or {})["R1"]
    assert f"{100 * mean:.1f}±{100 * sd:.1f}" in text
    assert "cam1 has 7 test pictures on disk, 1374 were published" in " ".join(text.split())
    best = evaluation.score(KNOWS_EVERYONE, dataset, scores[0].protocol)
    compared = shown([scores[0], best])
    assert "knows everyone" in compared
    assert "100.0±0.0" in compared


def test_a_table_fits_a_terminal(scores: list[Scores]) -> None:
    for line in shown(scores, width=80).splitlines():
        assert "…" not in line
        assert len(line) <= 80


def test_one_trial_has_no_standard_deviation(scores: list[Scores]) -> None:
    single = replace(scores[0], trials=scores[0].trials[:1])
    assert single.sd is None
    assert json.loads(json.dumps(single.as_dict()))["sd"] is None
    assert "±" not in shown([single]).split("percent")[0]


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    root = sysu_layout.write(tmp_path / "sysu")
    bad = root / "cam6" / "0004" / "0001.jpg"
    bad.write_bytes(bad.read_bytes()[:200])
    broken = datasets.read("sysu_mm01", root)
    with pytest.raises(VireidError, match=r"cam6/0004/0001\.jpg"):
        evaluation.score(baselines.raw_pixels(), broken, named_protocols.find("sysu/py-seed"))


def test_colours_and_pixels_find_people_who_differ_in_them(dataset: Dataset) -> None:
    """Everybody has one colour here, in both spectra."""
    protocol = named_protocols.find("sysu/official")
    chance = evaluation.score(baselines.chance(), dataset, protocol).mean["R1"]
    colours = evaluation.score(baselines.colour_histograms(), dataset, protocol).mean["R1"]
    assert colours > chance + 0.2


def test_chance_scores_what_lots_would(dataset: Dataset) -> None:
    """Of an indoor gallery with one picture of each person per camera, any picture is first."""
    protocol = named_protocols.find("sysu/py-seed", "indoor")
    trial = protocol.trials(dataset)[0]
    chances = [share_of_matches(query, trial.gallery) for query in trial.queries]
    expected = fmean(chance for chance in chances if chance)
    seeds = [evaluation.score(baselines.chance(s), dataset, protocol).mean["R1"] for s in range(20)]
    assert np.mean(seeds) == pytest.approx(expected, abs=0.03)


def share_of_matches(query: ImageRecord, gallery: Sequence[ImageRecord]) -> float:
    seen = [g for g in gallery if not (query.camera == "cam3" and g.camera == "cam2")]
    return fmean(g.identity == query.identity for g in seen)


def test_a_model_is_scored_on_the_data_of_its_recipe(tmp_path: Path, dataset: Dataset) -> None:
    recipe = f'[data]\ndataset = "sysu_mm01"\nroot = "{dataset.root}"\n'
    (tmp_path / "recipe.toml").write_text(recipe, encoding="utf-8")
    assert evaluation.dataset_of(str(tmp_path)) == dataset
    assert evaluation.dataset_of(str(tmp_path), "nightwalk", dataset.root).name == "nightwalk"
    (tmp_path / "recipe.toml").write_text("[data", encoding="utf-8")
    with pytest.raises(VireidError, match=r"recipe.toml is not TOML"):
        evaluation.dataset_of(str(tmp_path))


def test_a_data_set_that_is_not_where_the_recipe_says_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://github.com/damo-cv/TransReID/issues/84: a run was scored from another folder."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.toml").write_text('[data]\ndataset = "folder"\nroot = "photos"\n')
    monkeypatch.chdir(run)
    with pytest.raises(VireidError) as refused:
        evaluation.dataset_of(str(run))
    assert str(refused.value) == (
        f"{run} has learnt from the data set in photos, as its recipe {run}/recipe.toml says, and "
        f"that is not there from here ({run}); say with --root where it is now"
    )
    write_site(tmp_path / "elsewhere")
    assert evaluation.dataset_of(str(run), root=tmp_path / "elsewhere").test


def test_queries_without_a_match_are_told_in_every_table(tmp_path: Path) -> None:
    """https://github.com/JDAI-CV/fast-reid/issues/173: they were left out of the mean unsaid."""
    write_site(tmp_path / "site", people=3)
    shutil.rmtree(tmp_path / "site/cam1/0001")
    data = datasets.read("folder", tmp_path / "site")
    scored = evaluation.score_all(baselines.chance(), data, named_protocols.choose(data))
    counts = {(each.valid_queries, each.queries) for s in scored for each in s.trials}
    assert counts == {(4, 4), (4, 6)}
    told = " ".join(shown(scored, width=300).split())
    assert "infrared-to-visible: 4 of 6 queries have a match" in told
    assert "visible-to-infrared: " not in told
    assert "4 of 4" not in told
    comparison = results.compare(scored)
    with_less = next(k for k, s in comparison.columns.items() if s.trials[0].queries == 6)
    assert [note for note in comparison.notes if "match" in note] == [
        f"{with_less}: 4 of 6 queries have a match"
    ]


def test_scores_are_kept_where_standard_output_is_closed(tmp_path: Path, dataset: Dataset) -> None:
    model = write_model(tmp_path / "model")
    command = [sys.executable, "-m", "vireid", "evaluate", str(model), "--dataset", "sysu_mm01"]
    command += ["--root", str(dataset.root), "--mode", "indoor", "--shot", "single"]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert len(results.read(model / "scores.json")) == 1


def test_the_command_scores_an_exported_model(tmp_path: Path, dataset: Dataset) -> None:
    model = write_model(tmp_path / "model")
    command = ["evaluate", str(model), "--dataset", "sysu_mm01", "--root", str(dataset.root)]
    answer = CliRunner().invoke(cli.vireid, [*command, "--mode", "indoor"], catch_exceptions=False)
    assert answer.exit_code == 0
    assert "toy, sysu_mm01, sysu/official" in answer.output
    written = json.loads((model / "scores.json").read_text(encoding="utf-8"))["scores"]
    assert [s["protocol"]["mode"] for s in written] == ["indoor"] * 2
    assert (
        written[0]["model"]["fingerprint"]
        == json.loads((model / "model.json").read_text())["fingerprint"]
    )
    assert written[0]["model"]["checkpoint"] == "last epoch"
    elsewhere = tmp_path / "elsewhere.json"
    CliRunner().invoke(cli.vireid, [*command, "--out", str(elsewhere)], catch_exceptions=False)
    assert len(json.loads(elsewhere.read_text(encoding="utf-8"))["scores"]) == 4


def test_people_who_share_their_frames_are_scored_one_by_one(tmp_path: Path) -> None:
    """Two frames show four people of different colours each."""
    lines = ["path,modality,identity,left,top,right,bottom"]
    for modality in Modality:
        frame = Image.new("RGB", (160, 80))
        for identity, colour in enumerate(("red", "lime", "blue", "white")):
            frame.paste(colour, (40 * identity, 0, 40 * identity + 40, 80))
            lines.append(
                f"{modality}.png,{modality},{identity},{40 * identity},0,{40 * identity + 40},80"
            )
        frame.save(tmp_path / f"{modality}.png")
    (tmp_path / "people.csv").write_text("\n".join(lines))
    seen = datasets.read("folder", tmp_path / "people.csv")
    protocol = named_protocols.find("folder/cross-spectrum")
    scores = evaluation.score(baselines.colour_histograms(), seen, protocol)
    assert (scores.mean["R1"], scores.trials[0].gallery_pictures) == (1.0, 4)
    backwards = replace(seen, test=seen.test[::-1])
    assert evaluation.score(baselines.chance(), backwards, protocol).trials == (
        evaluation.score(baselines.chance(), seen, protocol).trials
    )
    vectors = baselines.chance().embed_records(seen.test)
    assert len(np.unique(vectors, axis=0)) == 8
