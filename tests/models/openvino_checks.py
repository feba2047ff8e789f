"""Tests of OpenVINO, run by test_engines.py in a process of their own."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.onnx_model import DIM, person, write_model, write_people

from vireid.errors import VireidError
from vireid.models import engines
from vireid.models.card import read_exported
from vireid.models.embedder import Embedder
from vireid.records import Modality

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people"))


def in_precision(model: Path, precision: str, **more: str) -> None:
    card = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps({**card, "precision": precision, **more}))


def test_openvino_computes_what_onnx_runtime_does(model: Path) -> None:
    people = [person(number) for number in range(5)]
    both = Embedder.open(model, engine="cpu"), Embedder.open(model, engine="openvino")
    vectors = [embedder.embed(people, Modality.INFRARED) for embedder in both]
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-5
    assert (vectors[1].dtype.name, vectors[1].shape) == ("float32", (5, DIM))


def test_threads_share_an_engine(model: Path) -> None:
    embedder = Embedder.open(model, engine="openvino")
    expected = embedder.embed([person(n) for n in range(16)], Modality.VISIBLE)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: embedder.embed([person(n)], Modality.VISIBLE), range(16)))
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-5)


def test_bfloat16_is_for_openvino_which_rounds_there_or_says_what_it_did(tmp_path: Path) -> None:
    model = write_model(tmp_path / "toy")
    in_precision(model, "bfloat16", engine="openvino")
    embedder = Embedder.open(model)
    assert embedder.card.precision == "bfloat16"
    assert embedder.embed([person(1)], Modality.VISIBLE).shape == (1, DIM)
    with pytest.raises(VireidError, match="ONNX Runtime does not compute in bfloat16"):
        Embedder.open(model, engine="cpu").embed([person(1)], Modality.VISIBLE)


def test_a_graph_that_openvino_cannot_read_is_told(tmp_path: Path) -> None:
    model = write_model(tmp_path / "toy")
    graph = onnx.load(model / "visible.onnx", load_external_data=False)
    graph.graph.node[0].op_type = "NoSuchThing"
    content = graph.SerializeToString()
    run = engines.start  # what a folder holds is compared with its card before
    with pytest.raises(Exception, match="NoSuchThing"):
        run(content, {"weights.bin": (model / "weights.bin").read_bytes()}, "openvino", "float32")


def test_a_model_for_another_engine_is_opened_by_it(run: Run, people: Path, tmp_path: Path) -> None:
    model, out = write_model(tmp_path / "toy"), tmp_path / "fast"
    own = ("--data", "folder", "--root", people)
    status, _, errors = run("export", model, "--engine", "openvino", *own, "--out", out)
    assert status == 0, errors
    card = read_exported(out)
    assert (card.engine, card.precision) == ("openvino", "float32")
    assert card.fingerprint == read_exported(model).fingerprint
    assert card.parity is not None
    assert card.parity.largest_difference < 1e-5
    # So both fill one gallery.
    gallery = tmp_path / "site.gallery"
    for each in (model, out):
        status, _, errors = run("index", people, "--out", gallery, "--model", each)
        assert status == 0, errors
