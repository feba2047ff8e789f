import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.onnx_model import person, write_model, write_site

from vireid import Embedder, Modality
from vireid.models import opening
from vireid.models.card import ModelError
from vireid.scoring import evaluation, results
from vireid.search import folder_indexing

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
    command = ["evaluate", "small", "--mode", "all", "--shot", "single", "--no-controls"]
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


def as_linked(model: Path, layout: str, place: Path) -> Path:
    """The model as git-annex (or DVC), a cache of blobs, or somebody with two disks keeps it."""
    linked = place / layout / "model"
    linked.mkdir(parents=True)
    for number, file in enumerate(sorted(model.iterdir())):
        kept = {
            "annex": place / layout / f"objects/{number}/{file.name}",
            "blobs": place / layout / f"blobs/{number}",
            "disk": place / layout / f"disk/{file.name}",
        }[layout]
        kept.parent.mkdir(parents=True, exist_ok=True)
        if layout == "disk" and file.suffix != ".bin":
            kept = linked / file.name
        shutil.copy(file, kept)
        if kept.parent != linked:
            (linked / file.name).symlink_to(os.path.relpath(kept, linked))
    return linked


@pytest.mark.parametrize("layout", ["annex", "blobs", "disk"])
def test_a_model_behind_links_embeds_as_it_does_elsewhere(layout: str, tmp_path: Path) -> None:
    model = write_model(tmp_path / "toy")
    linked = as_linked(model, layout, tmp_path)
    for modality in Modality:
        expected = Embedder.open(model).embed([person(1)], modality)
        assert np.array_equal(Embedder.open(linked).embed([person(1)], modality), expected)


def test_a_link_that_leads_nowhere_is_told_with_what_fetches_it(tmp_path: Path) -> None:
    linked = as_linked(write_model(tmp_path / "toy"), "annex", tmp_path)
    for file in sorted(linked.iterdir()):
        kept = file.resolve()
        kept.rename(tmp_path / "away")
        with pytest.raises(
            ModelError, match=rf"^[^\n]*{file.name} is a link to .*fetch that first[^\n]*; "
        ):
            Embedder.open(linked)
        (tmp_path / "away").rename(kept)
    Embedder.open(linked)


def test_no_gallery_is_left_behind_by_a_model_that_cannot_embed(tmp_path: Path) -> None:
    site, out = write_site(tmp_path / "site", people=1), tmp_path / "g"
    model = write_model(tmp_path / "toy")
    graph = b"no network at all"
    (model / "infrared.onnx").write_bytes(graph)
    card = json.loads((model / "model.json").read_text())
    card["files"]["infrared.onnx"] = hashlib.sha256(graph).hexdigest()
    (model / "model.json").write_text(json.dumps(card))
    with pytest.raises(
        ModelError, match=r"^[^\n]*infrared\.onnx cannot be run by ONNX Runtime[^\n]*again[^\n]*$"
    ):
        folder_indexing.index(site, out, str(model))
    assert not out.exists()
    assert folder_indexing.index(site / "cam1", out, str(model)).pictures[Modality.VISIBLE] == 2
