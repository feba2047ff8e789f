"""Engines give the vectors of one another, and say what they cannot do."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.onnx_model import DIM, HEIGHT, WIDTH, person, write_model

from vireid.errors import VireidError
from vireid.models import engines
from vireid.models.card import ModelError
from vireid.models.embedder import Embedder
from vireid.models.engines import Running
from vireid.records import Modality

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "toy")


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


def test_the_engine_that_was_asked_for_comes_first_then_the_card_then_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert engines.chosen(Running()) == "auto"
    monkeypatch.setenv(engines.VARIABLE, "openvino")
    assert engines.chosen(Running()) == "openvino"
    assert engines.chosen(Running(), "cpu") == "cpu"
    assert engines.chosen(Running("tensorrt"), "cpu") == "tensorrt"
    monkeypatch.setenv(engines.VARIABLE, "opnevino")
    with pytest.raises(VireidError, match="no engine 'opnevino'; did you mean 'openvino'"):
        engines.chosen(Running())


def test_a_gpu_is_taken_where_there_is_one_and_else_not() -> None:
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert engines._providers("auto", both) == both
    assert engines._providers("auto", both[1:]) == both[1:]
    with pytest.raises(VireidError, match=r"no engine cuda; it has cpu\. For cuda"):
        engines._providers("cuda", both[1:])


def test_what_makes_no_sense_is_refused(model: Path, tmp_path: Path) -> None:
    for numbers in ({"threads": 0}, {"batch": 0}):
        with pytest.raises(VireidError, match="has to be 1 or more, not 0"):
            Embedder.open(model, **numbers)  # type: ignore[arg-type]
    with pytest.raises(VireidError, match="no engine 'gpu'"):
        engines.check("gpu")
    (tmp_path / "run.json").touch()
    with pytest.raises(ModelError, match="is a run, which torch computes"):
        Embedder.open(tmp_path, engine="openvino")


def test_a_graph_that_openvino_cannot_read_is_told(tmp_path: Path) -> None:
    model = write_model(tmp_path / "toy")
    graph = onnx.load(model / "visible.onnx", load_external_data=False)
    graph.graph.node[0].op_type = "NoSuchThing"
    content = graph.SerializeToString()
    run = engines.start  # what a folder holds is compared with its card before
    with pytest.raises(Exception, match="NoSuchThing"):
        run(content, {"weights.bin": (model / "weights.bin").read_bytes()}, "openvino", "float32")


def test_a_batch_is_as_large_as_was_asked_for(model: Path) -> None:
    embedder = Embedder.open(model, batch=2)
    sizes = []
    network = embedder._network
    embedder._network = lambda pictures, m: (sizes.append(len(pictures)), network(pictures, m))[1]  # type: ignore[func-returns-value]
    embedder.embed([person(number) for number in range(5)], Modality.VISIBLE)
    assert sizes == [2, 2, 1]
    assert (embedder.height, embedder.width) == (HEIGHT, WIDTH)
