"""Engines give the vectors of one another, and say what they cannot do."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.onnx_model import HEIGHT, WIDTH, person, write_model

from vireid.errors import VireidError
from vireid.models import engines
from vireid.models.card import ModelError
from vireid.models.embedder import Embedder
from vireid.models.engines import Running
from vireid.records import Modality


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "toy")


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


def test_a_batch_is_as_large_as_was_asked_for(model: Path) -> None:
    embedder = Embedder.open(model, batch=2)
    sizes = []
    network = embedder._network
    embedder._network = lambda pictures, m: (sizes.append(len(pictures)), network(pictures, m))[1]  # type: ignore[func-returns-value]
    embedder.embed([person(number) for number in range(5)], Modality.VISIBLE)
    assert sizes == [2, 2, 1]
    assert (embedder.height, embedder.width) == (HEIGHT, WIDTH)


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("openvino"), reason="OpenVINO is not installed")
def test_openvino_does_what_the_others_do() -> None:
    """In a process of its own: the signals by which other tests bound processor time break it."""
    checks = Path(__file__).with_name("openvino_checks.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(checks)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
