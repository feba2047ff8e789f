"""`vireid calibrate`, and the chances that searches and `vireid verify` give from then on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.onnx_model import person, write_model

from vireid.cli.main import vireid
from vireid.gallery import Filters, Gallery
from vireid.gallery.labelling import judge
from vireid.models.calibration import FILE, in_percent
from vireid.models.embedder import Embedder
from vireid.models.opening import SHIPPED, shipped
from vireid.records import Modality
from vireid.scoring.calibrating.table import table
from vireid.search.searcher import Searcher

Run = Callable[..., tuple[int, str, str]]
PEOPLE = 24
QUERY = "cam3/infrared/0003/0.png"


def write_people(root: Path, first: int = 1) -> Path:
    for number, camera in enumerate(("cam1/visible", "cam2/visible", "cam3/infrared")):
        for identity in range(first, first + PEOPLE):
            folder = root / camera / f"{identity:04}"
            folder.mkdir(parents=True)
            for shot in range(2):
                generator = np.random.default_rng((identity, number, shot))
                pixels = np.asarray(person(identity), np.float64)
                noisy = pixels + 40 * generator.standard_normal(pixels.shape)
                Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{shot}.png")
    return root


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people") / "site")


@pytest.fixture(scope="module")
def calibrated(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was calibrated."""
    model = write_model(tmp_path_factory.mktemp("model") / "toy")
    words = ["calibrate", model, "--data", "folder", "--root", people]
    vireid(list(map(str, words)), standalone_mode=False)
    return model


@pytest.fixture
def gallery(run: Run, calibrated: Path, people: Path, tmp_path: Path) -> Path:
    path = tmp_path / "site.gallery"
    status, _, errors = run("index", people, "--out", path, "--model", calibrated)
    assert status == 0, errors
    return path


def told(run: Run, *words: object) -> dict[str, Any]:
    status, output, errors = run(*words, "--json")
    assert status == 0, errors
    answer = json.loads(output)
    assert isinstance(answer, dict)
    return answer


def test_hits_carry_chances_and_nobody_has_one(run: Run, gallery: Path, people: Path) -> None:
    answer = told(run, "search", gallery, people / QUERY)
    chances = [hit["probability"] for hit in answer["hits"]]
    assert chances == sorted(chances, reverse=True)
    assert 0 < chances[0] <= 1
    assert answer["hits"][0]["identity"] == 3
    assert 0 <= answer["nobody"] < 0.5
    status, output, _ = run("search", gallery, people / QUERY)
    assert status == 0
    assert "chance" in output
    assert f"chance that nobody here is the person: {in_percent(answer['nobody'])}" in output


def test_the_prior_counts_the_pictures_that_filters_let_pass(gallery: Path, people: Path) -> None:
    with Searcher.open(gallery) as searcher:
        assert searcher.calibrated
        of = searcher.calibrated.calibration.of(Modality.INFRARED, Modality.VISIBLE)
        assert of
        for words, count in (((), 4 * PEOPLE), (["camera:cam1"], 2 * PEOPLE)):
            filters = Filters.from_words(words)
            (hit, *_) = searcher.search(people / QUERY, 5, filters).hits
            expected = of.curve.probability(hit.similarity, of.prior(count))
            assert hit.probability == pytest.approx(expected, abs=1e-9)
        assert of.prior(2 * PEOPLE) > of.prior(4 * PEOPLE)


def test_a_gallery_without_the_person_says_so(
    run: Run, gallery: Path, people: Path, tmp_path: Path
) -> None:
    (stranger,) = (write_people(tmp_path / "others", 500) / "cam3/infrared/0507").glob("0.png")
    there = told(run, "search", gallery, people / QUERY)["nobody"]
    assert told(run, "search", gallery, stranger)["nobody"] > there


def test_several_pictures_together_carry_no_chance(run: Run, gallery: Path, people: Path) -> None:
    both = people / QUERY, people / "cam3/infrared/0003/1.png"
    answer = told(run, "search", gallery, *both)
    assert answer["nobody"] is None
    assert {hit["probability"] for hit in answer["hits"]} == {None}


def test_verify_answers_with_a_chance(run: Run, calibrated: Path, people: Path) -> None:
    about = ("--model", calibrated)
    same = told(run, "verify", people / "cam1/visible/0003/0.png", people / QUERY, *about)
    other = told(run, "verify", people / "cam1/visible/0011/0.png", people / QUERY, *about)
    assert same["probability"] > 0.5 > other["probability"]
    low, high = same["interval"]
    assert low <= same["probability"] <= high
    _, output, _ = run("verify", people / "cam1/visible/0003/0.png", people / QUERY, *about)
    assert "the same person: " in output


def test_without_a_calibration_there_is_no_chance(run: Run, people: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "bare", seed=5)
    path = tmp_path / "bare.gallery"
    assert run("index", people, "--out", path, "--model", model)[0] == 0
    answer = told(run, "search", path, people / QUERY)
    assert answer["nobody"] is None
    assert {hit["probability"] for hit in answer["hits"]} == {None}
    assert "chance" not in run("search", path, people / QUERY)[1]


def test_a_gallery_keeps_the_calibration_of_its_model(
    gallery: Path, calibrated: Path, people: Path, tmp_path: Path
) -> None:
    with Gallery.open(gallery) as opened:
        kept = opened.calibration
    assert kept == Embedder.open(calibrated).calibration
    bare = shutil.copytree(calibrated, tmp_path / "bare")
    (bare / FILE).unlink()
    with Searcher.open(gallery, str(bare)) as searcher:
        assert searcher.embedder.calibration is None
        assert searcher.search(people / QUERY).hits[0].probability is not None


def test_a_model_that_was_trained_further_loses_its_calibration(
    calibrated: Path, people: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    further = write_model(tmp_path / "further", seed=7)
    shutil.copyfile(calibrated / FILE, further / FILE)
    assert Embedder.open(further).calibration is None
    assert "trained further" in caplog.text


def test_a_calibration_of_another_model_is_not_kept_by_a_gallery(
    run: Run, gallery: Path, people: Path, tmp_path: Path
) -> None:
    other = write_model(tmp_path / "other", seed=9)
    words = ("--data", "folder", "--root", people, "--gallery", gallery)
    status, _, errors = run("calibrate", other, *words)
    assert status == 1
    assert "was filled by model toy" in errors


def test_judged_hits_calibrate_their_gallery(
    run: Run, gallery: Path, people: Path, calibrated: Path
) -> None:
    status, _, errors = run("calibrate", "--judgements", gallery)
    assert status == 1
    assert "needs 10 confirmed and 10 rejected hits" in errors
    with Gallery.open(gallery) as opened:
        for identity in range(1, 13):
            query = people / f"cam3/infrared/{identity:04}/0.png"
            hits = [people / f"cam1/visible/{identity + off:04}/0.png" for off in (0, 1)]
            judge(opened, query, hits[:1], same=True)
            judge(opened, query, hits[1:], same=False)
    assert run("calibrate", "--judgements", gallery)[0] == 0
    with Searcher.open(gallery) as searcher:
        assert searcher.calibrated is not None
        assert searcher.calibrated.calibration.of_gallery
        known = searcher.calibrated.calibration.directions["infrared-to-visible"]
        assert (known.same, known.different) == (12, 12)
    # indexing again keeps it, though the model has one too
    assert run("index", people, "--out", gallery)[0] == 0
    with Gallery.open(gallery) as opened:
        assert opened.calibration is not None
        assert opened.calibration.of_gallery


def test_test_people_are_refused(run: Run, tmp_path: Path) -> None:
    from tests.sysu_layout import write

    root = write(tmp_path / "sysu")
    (root / "exp/val_id.txt").write_text("", encoding="utf-8")
    model = write_model(tmp_path / "toy")
    status, _, errors = run("calibrate", model, "--data", "sysu_mm01", "--root", root)
    assert status == 1
    assert "no validation people" in errors
    assert not (model / FILE).exists()


def test_too_few_people_are_refused_with_the_number_needed(
    run: Run, people: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    for folder in people.glob("*/*/000[1-5]"):
        shutil.copytree(folder, few / folder.relative_to(people))
    model = write_model(tmp_path / "toy")
    status, _, errors = run("calibrate", model, "--data", "folder", "--root", few)
    assert status == 1
    assert "there are 5 people of folder, and a calibration needs 20" in errors


def test_a_shipped_model_is_calibrated_and_keeps_its_own(run: Run) -> None:
    for name in shipped():
        found = Embedder.open(name).calibration
        assert found is not None, name
        assert "200 validation people" in found.learnt_from
        assert {"infrared-to-visible", "visible-to-infrared, centred"} <= set(found.directions)
        assert (SHIPPED / name / FILE).stat().st_size < 400_000
    status, _, errors = run("calibrate", "small")
    assert status == 1
    assert "comes with vireid" in errors


def test_pictures_unlike_those_of_the_calibration_are_told(
    run: Run, people: Path, calibrated: Path, tmp_path: Path
) -> None:
    """As if the calibration's pictures had all been much more alike."""
    model = shutil.copytree(calibrated, tmp_path / "narrow")
    content = json.loads((model / FILE).read_text(encoding="utf-8"))
    for likeness in content["likeness"].values():
        likeness["distances"] = [distance / 100 for distance in likeness["distances"]]
    (model / FILE).write_text(json.dumps(content), encoding="utf-8")
    path = tmp_path / "site.gallery"
    assert run("index", people, "--out", path, "--model", model)[0] == 0
    answer = told(run, "search", path, people / QUERY)
    query, gallery = answer["cautions"]
    assert query.startswith("the query is unlike the infrared pictures that the model was")
    assert gallery.startswith("the visible pictures of this gallery are unlike those that")
    assert "do not rely on the chances" in run("search", path, people / QUERY)[2]
    both = people / "cam1/visible/0003/0.png", people / QUERY
    assert len(told(run, "verify", *both, "--model", model)["cautions"]) == 2


def test_other_people_under_the_same_cameras_raise_no_alarm(
    run: Run, calibrated: Path, tmp_path: Path
) -> None:
    others = write_people(tmp_path / "others", 500)
    path = tmp_path / "others.gallery"
    assert run("index", others, "--out", path, "--model", calibrated)[0] == 0
    assert told(run, "search", path, others / "cam3/infrared/0507/0.png")["cautions"] == []


def test_a_chance_is_never_said_to_be_certain() -> None:
    assert [in_percent(chance) for chance in (0.0, 0.004, 0.43, 0.999, 1.0)] == [
        "<1 %",
        "<1 %",
        "43 %",
        ">99 %",
        ">99 %",
    ]


def test_the_table_of_a_calibration_says_what_it_rests_on(calibrated: Path) -> None:
    found = Embedder.open(calibrated).calibration
    assert found is not None
    shown = table(found)
    assert shown.row_count == len(found.directions)
