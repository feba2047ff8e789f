import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.onnx_model import write_model

from vireid import Embedder
from vireid.models import opening
from vireid.scoring import evaluation, results

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def beside_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model in a folder `small`, learnt on something else."""
    folder = write_model(tmp_path / "small", name="mine")
    (folder / "recipe.toml").write_text('[data]\ndataset = "folder"\nroot = "nowhere"\n')
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_bare_name_is_the_shipped_model_everywhere(
    beside_small: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert opening.folder_of("small") == opening.SHIPPED / "small"
    assert Embedder.open("small").card.source == "small"
    assert evaluation.dataset_of("small").name == "nightwalk"
    assert evaluation.scores_file(["small"]) is None
    assert results.find("small")[0].model.name == "small"
    assert "the folder here is ./small" in caplog.text


def test_a_path_is_the_folder(beside_small: Path) -> None:
    assert opening.folder_of("./small") == Path("small")
    assert Embedder.open("./small").name == "mine"
    assert evaluation.scores_file(["./small"]) == Path("small/scores.json")


def test_scoring_the_shipped_model_leaves_a_folder_of_its_name_alone(
    beside_small: Path, run: Typed
) -> None:
    before = sorted(path.name for path in beside_small.iterdir())
    command = ["evaluate", "small", "--mode", "all", "--shot", "single"]
    status, out, errors = run(*command)
    assert (status, "small, nightwalk" in out) == (0, True), errors
    assert sorted(path.name for path in beside_small.iterdir()) == before


def test_names_of_folders_that_are_no_models_are_not_remarked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "small").mkdir()
    monkeypatch.chdir(tmp_path)
    assert opening.folder_of("small") == opening.SHIPPED / "small"
    assert not caplog.text


def test_a_model_that_is_copied_under_the_shipped_name_opens_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(opening.SHIPPED / "small", tmp_path / "small")
    monkeypatch.chdir(tmp_path)
    card = json.loads((tmp_path / "small" / "model.json").read_text())
    assert Embedder.open(Path("small").absolute()).fingerprint == card["fingerprint"]
