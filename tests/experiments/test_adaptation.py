"""A model is adapted to cameras of one's own, or left as it is where that is no better."""

import csv
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.onnx_model import write_model

from vireid.errors import VireidError
from vireid.experiments import adaptation
from vireid.experiments.adaptation import Way
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord, Modality

Run = Callable[..., tuple[int, str, str]]
START = datetime(2026, 11, 24, 18, 30)
PEOPLE = 9


def write_people(root: Path, first: int = 0, *, tinted: bool = True, alike: bool = False) -> Path:
    """Write people in coloured blocks; the infrared camera adds a strong tint of its own.

    Those who are alike differ from picture to picture as much as from one another.
    """
    root.mkdir()
    with (root / "people.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "modality", "identity", "camera", "time"])
        for person in range(first, first + PEOPLE):
            blocks = np.random.default_rng(person).integers(60, 190, (4, 2, 3))
            for modality in Modality:
                for second in (0, 3, 6):
                    pixels = np.kron(blocks, np.ones((16, 16, 1)))
                    noise = np.random.default_rng([person, second, modality is Modality.VISIBLE])
                    if alike:
                        light = noise.integers(-60, 60, blocks.shape)
                        pixels = pixels + np.kron(light, np.ones((16, 16, 1)))
                    pixels = pixels + noise.integers(-20, 20, pixels.shape)
                    if modality is Modality.INFRARED and tinted:
                        pixels[:32] += 65
                        pixels[32:] -= 55
                    name = f"{modality}-{person}-{second}.png"
                    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / name)
                    time = START + timedelta(seconds=second + 60 * person)
                    writer.writerow([name, modality, person, modality, time.isoformat()])
    return root / "people.csv"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "toy")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people") / "site")


def test_what_a_spectrum_adds_is_learnt_and_gains_on_people_held_out(
    model: Path, people: Path, tmp_path: Path, run: Run
) -> None:
    others = write_people(tmp_path / "others", first=50)
    out = tmp_path / "mine"
    status, answer, errors = run(
        "adapt", model, people, "--held-out", others, "--out", out, "--json"
    )
    assert status == 0, errors
    told = json.loads(answer)
    assert told["learnt_from"] == PEOPLE
    held_out = told["held_out"]
    assert held_out["people"] == PEOPLE
    assert held_out["after"]["mAP"] > held_out["before"]["mAP"] + 0.1
    card = Embedder.open(str(out)).card
    assert card.fingerprint != Embedder.open(str(model)).card.fingerprint
    assert "adapted to the cameras of 9 people" in (card.caveat or "")
    assert json.loads((out / "adaptation.json").read_text())["model"] == str(model)


@pytest.mark.parametrize("way", adaptation.WAYS)
def test_the_written_graphs_do_what_was_learnt(
    way: Way, model: Path, people: Path, tmp_path: Path
) -> None:
    records = adaptation._people(people, 2)
    before = Embedder.open(str(model))
    vectors = before.embed_records(records)
    change = adaptation.learn(vectors, records, way)
    assert change is not None
    gain = adaptation.Gain(2, {}, {}, 0.0, 0.0)
    found = adaptation.Adapted("toy", way, gain, None, 9)
    adaptation.write(change, model, tmp_path / "new", found)
    after = Embedder.open(str(tmp_path / "new")).embed_records(records)
    np.testing.assert_allclose(after, change.applied(vectors, records), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1, rtol=1e-4)
    assert len(change.factors) == (0 if way.strength is None else len(change.directions))
    assert ((change.factors > 0) & (change.factors < 1)).all()


def test_directions_within_people_count_less(people: Path) -> None:
    records = adaptation._people(people, 2)
    rng = np.random.default_rng(0)
    who = {name: rng.standard_normal(16) for name in {r.who for r in records}}
    pose = np.eye(16)[3]
    vectors = np.stack([who[r.who] + 5 * rng.standard_normal() * pose for r in records])
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    weak, strong = (adaptation.learn(vectors, records, Way(strength=by)) for by in (10.0, 1.0))
    assert weak is not None
    assert strong is not None
    assert abs(float(strong.directions[0] @ pose)) > 0.8
    assert strong.factors[0] < weak.factors[0] < 1


def test_a_model_that_nothing_makes_better_stays_and_nothing_is_written(
    model: Path, tmp_path: Path, run: Run
) -> None:
    easy = write_people(tmp_path / "easy", tinted=False)
    status, _, said = run("adapt", model, easy, "--out", tmp_path / "mine")
    assert status == 1
    assert "clearly better than" in said
    assert "nothing was written" in said
    assert not (tmp_path / "mine").exists()


def test_too_few_people_and_what_is_no_model_are_refused(
    model: Path, people: Path, tmp_path: Path, run: Run
) -> None:
    few = tmp_path / "few.csv"
    lines = people.read_text().splitlines()
    few.write_text("\n".join([lines[0], *(f"{people.parent}/{line}" for line in lines[1:19])]))
    assert "3 people in both spectra, and 6 are needed" in run("adapt", model, few, "--out", "x")[2]
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text("{}")
    said = run("adapt", tmp_path / "run", people, "--out", tmp_path / "x")[2]
    assert "is no exported model; make one with `vireid export" in said
    assert "exists" in run("adapt", model, people, "--out", tmp_path)[2]


def test_a_person_who_is_never_seen_again_has_nothing_to_find() -> None:
    def record(modality: Modality, person: int, second: int) -> ImageRecord:
        time = START + timedelta(seconds=second)
        return ImageRecord(Path(f"{modality}{person}{second}"), modality, person, time=time)

    records = [record(m, p, s) for m in Modality for p in (0, 1) for s in (0, 3 * p)]
    vectors = np.eye(len(records), dtype=np.float32)
    assert list(adaptation._found(vectors, records, {0, 1})) == [1]
    with pytest.raises(VireidError, match=r"1 people are seen again .* a gain needs two"):
        adaptation._gain({1: (0.5, 0.5)}, {1: (0.6, 1.0)})
