"""A model in another precision, with what that costs in its card."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.onnx_model import person, write_model, write_people

from vireid.models.card import read_exported
from vireid.models.embedder import Embedder
from vireid.records import Modality

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people"))


def test_a_model_in_8_bits_tells_what_it_lost(run: Run, people: Path, tmp_path: Path) -> None:
    model, out = write_model(tmp_path / "toy"), tmp_path / "toy8"
    own = ("--data", "folder", "--root", people)
    status, output, errors = run("export", model, "--precision", "int8", *own, "--out", out)
    assert status == 0, errors
    assert "compared with float32 on 6 people of folder" in output
    card = read_exported(out)
    assert (card.name, card.precision, card.engine) == ("toy8", "int8", "auto")
    assert card.fingerprint != read_exported(model).fingerprint
    assert card.parity is not None
    assert 0 < card.parity.largest_difference < 0.1
    assert all(0 <= value <= 1 for pair in (card.parity.r1, card.parity.mean_ap) for value in pair)
    pictures = [person(number) for number in range(4)]
    exact, rounded = (Embedder.open(m).embed(pictures, Modality.VISIBLE) for m in (model, out))
    assert 0 < np.abs(exact - rounded).max() < 0.1
    told = {p.key: p.value for p in onnx.load(out / "visible.onnx").metadata_props}
    assert told["vireid.fingerprint"] == card.fingerprint
    assert (told["vireid.spectrum"], told["vireid.precision"]) == ("visible", "int8")
    # Vectors of one are not compared with vectors of the other.
    gallery = tmp_path / "site.gallery"
    assert run("index", people, "--out", gallery, "--model", model)[0] == 0
    status, _, errors = run("index", people, "--out", gallery, "--model", out)
    assert status == 1
    assert "was filled by model toy (fingerprint" in errors
    # What is rounded once is not rounded again.
    status, _, errors = run("export", out, "--precision", "int8", *own, "--out", tmp_path / "no")
    assert status == 1
    assert "is in int8 already" in errors
    assert not (tmp_path / "no").exists()


def test_what_cannot_be_converted_is_told_before_anything_is_written(
    run: Run, people: Path, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "toy")
    asked = ("export", model, "--out", tmp_path / "out")
    status, _, errors = run(*asked, "--precision", "int8", "--data", "folder")
    assert status != 0
    status, _, errors = run(*asked, "--data", "folder", "--root", people)
    assert status == 2
    assert "belong to --precision and --engine" in errors
    wanted = ("--precision", "int8", "--data", "folder", "--root", people)
    status, _, errors = run(*asked, *wanted, "--licence", "CC0")
    assert status == 2
    card = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps({**card, "precision": "float8"}))
    status, _, errors = run(*asked, *wanted)
    assert status == 1
    assert "float8" in errors
    assert not (tmp_path / "out").exists()
