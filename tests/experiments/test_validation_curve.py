"""What can be seen of a run while it learns; none of it changes what is learnt."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests import sysu_layout
from tests.tiny_recipe import tiny_recipe

from vireid.learning import training_history
from vireid.models.embedder import Embedder
from vireid.models.runs import RunError, load_checkpoint

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sysu_layout.write(tmp_path_factory.mktemp("data") / "sysu")


def recipe(folder: Path, root: Path) -> Path:
    path = folder / "tiny.toml"
    path.write_text(tiny_recipe(root=root, epochs=3), encoding="utf-8")
    return path


def test_a_run_is_looked_at_while_it_learns(run: Run, root: Path, tmp_path: Path) -> None:
    asked = ("train", recipe(tmp_path, root), "--validate")
    looked = ("validate_every=2", "--track", "tensorboard")
    status, _, errors = run(*asked, *looked, "--out", tmp_path / "seen")
    assert status == 0, errors
    assert "validation people after" in errors
    lines = training_history.read_validation(tmp_path / "seen/validation.jsonl")
    assert [line.epoch for line in lines] == [2, 3]
    assert all(0 <= value <= 1 for line in lines for value in line.metrics.values())
    assert " left" in (tmp_path / "seen/log.txt").read_text(encoding="utf-8")
    assert (tmp_path / "seen/learning.png").read_bytes().startswith(b"\x89PNG")
    details = json.loads((tmp_path / "seen/run.json").read_text(encoding="utf-8"))
    assert details["began"] < details["ended"]
    assert details["device"].startswith("1 x ")
    assert details["host"]
    assert list((tmp_path / "seen/vireid").glob("*tfevents*"))
    assert run(*asked, "--out", tmp_path / "unseen")[0] == 0
    unseen = json.loads((tmp_path / "unseen/run.json").read_text(encoding="utf-8"))
    assert unseen["fingerprint"] == details["fingerprint"]


def test_what_a_run_has_learnt_so_far_is_scored_under_its_name(
    run: Run, root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "begun"
    assert run("train", recipe(tmp_path, root), "--out", folder)[0] == 0
    details = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    unfinished = {**details, "finished": False, "fingerprint": None, "files": {}}
    (folder / "run.json").write_text(json.dumps(unfinished), encoding="utf-8")
    status, _, errors = run("evaluate", folder, "--no-controls")
    assert status == 1
    assert f"checkpoint:{folder}" in errors
    status, output, errors = run("evaluate", f"checkpoint:{folder}", "--no-controls")
    assert status == 0, errors
    assert "unfinished: stage 1, epoch 3, step 0" in " ".join(output.split())
    assert not (folder / "scores.json").exists()
    assert Embedder.open(f"checkpoint:{folder}").checkpoint.startswith("unfinished")
    (folder / "checkpoint.pt").write_bytes(b"broken")
    with pytest.raises(RunError, match="damaged"):
        load_checkpoint(folder)


def test_trackers_that_are_not_there_are_refused_before_anything(
    run: Run, root: Path, tmp_path: Path
) -> None:
    asked = ("train", recipe(tmp_path, root), "--out", tmp_path / "run")
    status, _, errors = run(*asked, "--track", "wandbb")
    assert status == 1
    assert "there is no tracker 'wandbb'; did you mean 'wandb'?" in errors
    status, _, errors = run(*asked, "--track", "aim")
    assert status == 1
    assert "the tracker aim is not installed" in errors
    assert not (tmp_path / "run").exists()


def test_people_who_are_learnt_from_are_not_validated_on(
    run: Run, root: Path, tmp_path: Path
) -> None:
    asked = ("train", recipe(tmp_path, root), "--validate-every", 1, "--out", tmp_path / "run")
    status, _, errors = run(*asked)
    assert status == 1
    assert "leave them out with --validate" in errors
    assert not (tmp_path / "run").exists()
