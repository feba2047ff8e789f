"""The shipped model and NightWalk mini show what the demo claims; the demo draws what it found."""

import json
from pathlib import Path

import pytest
from PIL import Image
from scripts import demo, demo_report

from vireid import Embedder, Gallery, Modality, datasets, recipes
from vireid.datasets.nightwalk import MINI
from vireid.learning.initial_weights import start_from
from vireid.models.opening import SHIPPED
from vireid.models.runs import build
from vireid.recipes import recipe
from vireid.reports import contact_sheet
from vireid.scoring import baselines
from vireid.scoring.scores import Scores

MEGABYTE = 10**6


@pytest.fixture(scope="module")
def small() -> Embedder:
    return Embedder.open("small")


@pytest.fixture(scope="module")
def rows(small: Embedder) -> list[Scores]:
    """Chance, raw pixels and the shipped model, as in the demo's table."""
    dataset = datasets.read("nightwalk")
    scored = [demo.scored(b, dataset) for b in (baselines.chance(), baselines.raw_pixels())]
    return [*scored, demo.scored(small, dataset, "shipped model")]


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_what_is_shipped_is_small() -> None:
    assert size(MINI) <= 10 * MEGABYTE
    assert size(SHIPPED / "small") <= 12 * MEGABYTE


def test_the_shipped_model_knows_people_it_has_not_seen(rows: list[Scores]) -> None:
    chance, pixels, small = (row.mean for row in rows)
    assert small["R1"] >= 5 * chance["R1"]
    assert small["R1"] >= 3 * pixels["R1"]
    assert small["mAP"] >= 3 * max(chance["mAP"], pixels["mAP"])


def test_the_shipped_scores_are_those_of_the_shipped_model(rows: list[Scores]) -> None:
    found = json.loads((SHIPPED / "small" / "scores.json").read_text())["scores"]
    ours = rows[-1]
    (same,) = (
        each
        for each in found
        if (each["protocol"]["mode"], each["protocol"]["shot"]) == ("all", "single")
    )
    assert same["model"]["fingerprint"] == ours.model.fingerprint
    assert same["mean"] == pytest.approx(ours.mean, abs=0.01)


def test_the_recipe_of_the_demo_fits_the_shipped_model() -> None:
    wanted = recipe.read(recipes.find(demo.RECIPE))
    assert wanted.start_from == "small"
    method = build(wanted, num_identities=100)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    start_from(method, "small")
    after = method.state_dict()
    same = [n for n, v in before.items() if "weight" in n and v.equal(after[n])]
    assert same == ["classifier.weight"]


def test_the_report_shows_scores_losses_and_answers(
    rows: list[Scores], small: Embedder, tmp_path: Path
) -> None:
    people = datasets.read("nightwalk").test[:24]
    visible = [record for record in people if record.modality is Modality.VISIBLE]
    (query, *_) = (record for record in people if record.modality is Modality.INFRARED)
    with Gallery.create(tmp_path / "gallery", small) as gallery:
        gallery.add(small.embed_records(visible), visible)
        (hits,) = gallery.search(small.embed_records([query]), top=3)
    sheet = contact_sheet.compose(query, hits)
    demo_report.write(rows, {"identity": [2.0, 1.0]}, [sheet, sheet], tmp_path / "report.png")
    with Image.open(tmp_path / "report.png") as report:
        plots = report.crop((0, 0, report.width, report.height - 2 * sheet.height))
        assert report.width == sheet.width
        assert len(plots.getcolors(maxcolors=10**6) or []) > 100
        assert report.crop((0, plots.height, sheet.width, plots.height + sheet.height)) == sheet


def test_queries_are_called_what_they_are() -> None:
    people = [r for r in datasets.read("nightwalk").test if r.modality is Modality.INFRARED][:5]
    ranks = dict(zip(people, (7, 1, 30, 2, 300), strict=True))
    assert demo.chosen(ranks) == {
        "easy: the right person at rank 1": people[1],
        "typical: the right person at rank 7": people[0],
        "failed: the right person at rank 300": people[4],
    }
