"""Brackets and `:words:` in somebody's names are printed, not read as Rich's markup."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType
from tests import sysu_layout
from tests.onnx_model import write_model, write_site

from vireid import console, datasets
from vireid.experiments import sweep
from vireid.experiments.sweep import Row
from vireid.gallery import Filters, Hit
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord, Modality
from vireid.scoring import baselines, data_check, evaluation, named_protocols, results, tables
from vireid.scoring.scores import Scores
from vireid.search.answers import Answer

Run = Callable[..., tuple[int, str, str]]
NAMES = ("agw [wide]", "run[/v2]", "[bold]", "door:key:1", "[link=x]y", "a[1]\\[2]")


def printed(shown: RenderableType) -> str:
    """What a console makes of it that reads markup, as the one of somebody's program does."""
    told = Console(width=1000, file=io.StringIO(), record=True)
    told.print(shown)
    return told.export_text()


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    dataset = datasets.read("sysu_mm01", sysu_layout.write(tmp_path_factory.mktemp("data") / "s"))
    return evaluation.score(baselines.chance(), dataset, named_protocols.choose(dataset)[0])


def named(scores: Scores, name: str, said: str = "") -> Scores:
    model = replace(scores.model, name=name, fingerprint=name)
    return replace(scores, model=model, dataset=replace(scores.dataset, differences=(said,)))


@pytest.mark.parametrize("name", NAMES)
def test_tables_of_scores_show_names_as_they_are(scores: Scores, name: str) -> None:
    two = [named(scores, name, f"{name}: left out"), named(scores, "other")]
    text = printed(tables.table(two))
    assert text.count(name) >= 2
    assert f"{name}: left out" in text
    assert f"{name}, " in printed(tables.table(two[:1]))
    assert name in printed(results.compare(two).table())
    assert name in printed(sweep.table([Row(name, {}, {0: scores})]))


@pytest.mark.parametrize("name", NAMES)
def test_hits_show_names_as_they_are(name: str, tmp_path: Path) -> None:
    record = ImageRecord(tmp_path / name / "a.jpg", Modality.VISIBLE, 1, name)
    query = ImageRecord(Path("b.jpg"), Modality.INFRARED)
    card = Embedder.open(write_model(tmp_path / "model")).card
    filters = Filters(cameras=[name])
    answer = Answer((query,), (Hit(1, 0.5, record),), "g", card, filters)
    text = printed(answer.as_table())
    assert f"of {name} in g" in text
    assert f"{name}/a.jpg" in text


def test_a_check_shows_names_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_site(tmp_path / "run[/v2]")
    check = replace(data_check.check("folder", root), facts={"title": f"Pictures in {root}"})
    console.show(*check.in_words())
    told = capsys.readouterr().out
    assert f"Picturesin{root}:24pictures" in "".join(told.split())  # folded to the table's width
    assert f" = {root}/cam3/" in told


def test_what_is_printed_for_people_is_printed_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.show(*NAMES)
    assert capsys.readouterr().out.splitlines() == list(NAMES)


def test_search_prints_names_as_they_are(run: Run, tmp_path: Path) -> None:
    site = write_site(tmp_path / "camera [b][/v2]:key:")
    model, gallery = write_model(tmp_path / "m"), tmp_path / "g [x]"
    assert run("index", site, "--out", gallery, "--model", model)[0] == 0
    status, output, errors = run("search", gallery, site / "cam3/0001/0001.jpg")
    assert (status, errors) == (0, "")
    assert f"{site}/cam1/0001/0001.jpg" in output
    assert "in g [x]" in output


def test_a_plot_reads_no_formula_in_a_name(scores: Scores) -> None:
    pictures = [sweep.plot([Row(name, {}, {0: scores})]) for name in ("$\\no{$ $", "$\\no{$ £")]
    assert pictures[0] != pictures[1]
