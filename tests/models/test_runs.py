"""What `vireid train` leaves behind, goes on with, starts from, and refuses."""

import dataclasses
import json
import logging
import shutil
import signal
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file
from tests import sysu_layout
from tests.tiny_recipe import tiny_recipe

from vireid.cli import main as cli
from vireid.errors import Interrupted, VireidError
from vireid.files import documents
from vireid.learning import devices, initial_weights, run_log, training
from vireid.models import runs
from vireid.models.runs import RunError
from vireid.recipes import recipe as recipes
from vireid.recipes.recipe import Recipe
from vireid.records import ImageRecord, Modality, pictures_fingerprint
from vireid.training_data.loading import PackedTrainingData

pytestmark = pytest.mark.usefixtures("own_cache")
PRECISIONS = ("float32", "bfloat16")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sysu_layout.write(tmp_path_factory.mktemp("data") / "sysu")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(tiny_recipe(root=data, steps=2, epochs=2))
    return path


def train(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.vireid, ["train", *map(str, arguments)])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, recipe: Path) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = train(recipe, "--out", folder)
    assert result.exit_code == 0, result.output
    assert f"score it with: vireid evaluate {folder}" in (folder / "log.txt").read_text()
    return folder


def test_a_run_folder_tells_what_was_done(run: Path, recipe: Path) -> None:
    assert recipes.read(run / "recipe.toml") == recipes.read(recipe)
    facts = json.loads((run / "run.json").read_text())
    assert facts["dataset"] == "sysu_mm01"
    assert facts["num_identities"] == 3
    assert facts["finished"]
    assert facts["learnt_in"] == "float32"
    lines = (run / "losses.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    assert set(json.loads(lines[0])["losses"]) == {"identity", "triplet"}
    log = (run / "log.txt").read_text()
    assert "3 people on" in log
    assert "in float32, seed 0" in log
    assert "both spectra 2/2  identity" in log


def test_what_was_learnt_is_loaded_again(run: Path) -> None:
    method, recipe = runs.load_method(run)
    assert not method.training
    state = method.state_dict()
    saved = torch.load(run / "checkpoint.pt", weights_only=True)["method"]
    assert all(torch.equal(state[name], saved[name]) for name in saved)
    mark = runs.model_fingerprint("agw", recipe.settings, 32, 16, state)
    assert mark == runs.read_details(run).fingerprint


def test_a_fingerprint_depends_on_all_that_changes_an_embedding() -> None:
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}
    usual = runs.model_fingerprint("agw", {"x": 1}, 32, 16, state)
    assert usual == runs.model_fingerprint("agw", {"x": 1}, 32, 16, dict(reversed(state.items())))
    assert len(usual) == 16
    others = [
        runs.model_fingerprint("mun", {"x": 1}, 32, 16, state),
        runs.model_fingerprint("agw", {"x": 2}, 32, 16, state),
        runs.model_fingerprint("agw", {"x": 1}, 16, 32, state),
        runs.model_fingerprint("agw", {"x": 1}, 32, 16, {**state, "b": torch.tensor(4)}),
        runs.model_fingerprint("agw", {"x": 1}, 32, 16, {**state, "a": state["a"].reshape(3, 2)}),
        runs.model_fingerprint("agw", {"x": 1}, 32, 16, {"a": state["a"], "c": state["b"]}),
        runs.model_fingerprint(
            "agw", {"x": 1}, 32, 16, {**state, "a": state["a"].to(torch.bfloat16)}
        ),
    ]
    assert len({usual, *others}) == 8


def test_a_run_from_before_a_setting_was_there_is_opened(run: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(run, old)
    recipe, details = runs.read_recipe(old), runs.read_details(old)
    written = tomllib.loads((old / "recipe.toml").read_text())
    del written["settings"]["extra_loss_weight"]
    (old / "recipe.toml").write_text(tomli_w.dumps(written))
    settings = dataclasses.asdict(recipe.settings)
    del settings["extra_loss_weight"]
    size = (recipe.data.height, recipe.data.width)
    state = runs.read_weights(old / runs.WEIGHTS, None)
    mark = runs.model_fingerprint("agw", settings, *size, state)
    documents.write_json(old / runs.RUN, dataclasses.replace(details, fingerprint=mark))
    runs.load_method(old)
    written["settings"]["pooling_power"] = 2.0
    (old / "recipe.toml").write_text(tomli_w.dumps(written))
    with pytest.raises(RunError, match="is damaged or changed"):
        runs.load_method(old)


def test_a_fingerprint_does_not_depend_on_the_layout_in_memory() -> None:
    rows = torch.arange(24.0).reshape(1, 2, 3, 4)
    state = {"a": rows.contiguous(memory_format=torch.channels_last)}
    assert runs.model_fingerprint("m", {}, 1, 1, {"a": rows}) == runs.model_fingerprint(
        "m", {}, 1, 1, state
    )


def test_an_existing_folder_is_not_written_over(run: Path, recipe: Path) -> None:
    before = {path: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(RunError, match=r"exists already; go on .* --resume, or .* by --out"):
        training.learn(recipes.read(recipe), run)
    assert {path: path.read_bytes() for path in run.iterdir()} == before


def test_a_finished_run_resumed_is_as_it_was(run: Path, recipe: Path) -> None:
    before = (run / "model.safetensors").read_bytes()
    assert train(recipe, "--out", run, "--resume").exit_code == 0
    assert (run / "model.safetensors").read_bytes() == before


class StoppingAtTheThirdStep(PackedTrainingData):
    """Sends what `kill` sends while it makes the third batch."""

    asked_for = 0

    def _images(self, *arguments: Any) -> Any:
        self.asked_for += 1
        if self.asked_for == 5:
            signal.raise_signal(signal.SIGTERM)
        return super()._images(*arguments)


def test_a_run_stopped_on_the_command_line_goes_on(
    run: Path, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "PackedTrainingData", StoppingAtTheThirdStep)
    result = train(recipe, "--out", tmp_path / "run")
    assert isinstance(result.exception, Interrupted)
    assert "after 1 of 2 epochs and 1 steps" in str(result.exception)
    with pytest.raises(RunError, match=r"has not finished; .*: vireid train .*--resume"):
        runs.load_method(tmp_path / "run")
    monkeypatch.undo()
    assert train(recipe, "--out", tmp_path / "run", "--resume").exit_code == 0
    whole, resumed = (load_file(f / "model.safetensors") for f in (run, tmp_path / "run"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize(("begun", "later"), [PRECISIONS, PRECISIONS[::-1]])
def test_a_run_keeps_the_precision_it_began_in(
    begun: str, later: str, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert train(recipe, f"precision={begun}", "--out", whole).exit_code == 0
    monkeypatch.setattr(devices, "automatic", lambda device: begun)
    monkeypatch.setattr(training, "PackedTrainingData", StoppingAtTheThirdStep)
    stopped = train(recipe, "precision=auto", "--out", broken)
    assert isinstance(stopped.exception, Interrupted)
    monkeypatch.undo()
    monkeypatch.setattr(devices, "automatic", lambda device: later)
    assert train(recipe, "precision=auto", "--out", broken, "--resume").exit_code == 0
    assert runs.read_details(broken).learnt_in == begun
    assert f"in {later}, seed" not in (broken / "log.txt").read_text()
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, broken))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("wanted", "told"), [("auto", True), ("float32", False)])
@pytest.mark.parametrize("has_it", [False, True])
def test_a_processor_that_could_compute_in_bfloat16_is_told_of(
    wanted: str,
    told: bool,
    has_it: bool,
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "automatic", lambda device: "float32")
    monkeypatch.setattr(devices, "computes_in_bfloat16", lambda device: has_it)
    training.learn(recipes.read(recipe, [f"precision={wanted}"]), tmp_path / "run")
    log = (tmp_path / "run" / "log.txt").read_text()
    assert ("precision=bfloat16" in log) is (told and has_it)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("settings.epochs=3", "settings.epochs was 2, is now 3"),
        ("seed=1", "seed was 0, is now 1"),
        ("start_from=small", "start_from was None, is now small"),
    ],
)
def test_a_run_is_not_resumed_with_another_recipe(
    override: str, told: str, run: Path, recipe: Path
) -> None:
    with pytest.raises(RunError, match=told):
        training.learn(recipes.read(recipe, [override]), run, resume=True)


def test_a_run_is_not_resumed_on_other_data(
    run: Path, recipe: Path, data: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(data, tmp_path / "data")
    moved = recipes.read(recipe, [f"data.root={other}"])
    training.learn(moved, run, resume=True)
    next((other / "cam1").glob("*/*.jpg")).unlink()
    with pytest.raises(RunError, match=r"data was \w+, is now \w+; pictures was"):
        training.learn(moved, run, resume=True)


def test_a_run_starts_from_another_but_for_its_classifier(
    run: Path, recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changed: Recipe = recipes.read(recipe, [f"start_from={run}"])
    method = runs.build(changed, num_identities=7)
    fresh = method.classifier.weight.clone()  # type: ignore[union-attr,operator]
    with caplog.at_level("INFO", "vireid"):
        initial_weights.start_from(method, str(run))
    assert caplog.messages[1] == "left fresh: classifier"
    learnt = load_file(run / "model.safetensors")
    state = method.state_dict()
    assert torch.equal(state.pop("classifier.weight"), fresh)
    assert all(torch.equal(state[name], learnt[name]) for name in state)


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "start_from is .*but there is no .*is that run finished"), (b"x", "is damaged")],
)
def test_weights_that_cannot_be_had_are_named(
    content: bytes | None, told: str, recipe: Path, tmp_path: Path
) -> None:
    if content:
        (tmp_path / "model.safetensors").write_bytes(content)
    method = runs.build(recipes.read(recipe), 3)
    with pytest.raises(RunError, match=told):
        initial_weights.start_from(method, str(tmp_path))


def test_weights_of_another_trunk_are_refused(run: Path, recipe: Path) -> None:
    method = runs.build(recipes.read(recipe, ["settings.width=0.25"]), 3)
    with pytest.raises(RunError, match=r"of the \d+ weights in .*, \d+ fit this method.*trunk"):
        initial_weights.start_from(method, str(run))


def test_folders_are_numbered(tmp_path: Path) -> None:
    assert runs.next_folder("agw", tmp_path) == tmp_path / "agw-1"
    for name in ("agw-1", "agw-12", "agw-x", "other-20"):
        (tmp_path / name).mkdir()
    assert runs.next_folder("agw", tmp_path) == tmp_path / "agw-13"
    assert runs.last_folder("agw", tmp_path) == tmp_path / "agw-12"
    with pytest.raises(RunError, match=r"there is no run of new in .* to resume"):
        runs.last_folder("new", tmp_path)


def test_what_is_no_run_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run folder: it has no recipe\.toml"):
        runs.load_method(tmp_path)


def test_people_without_infrared_are_told_without_a_traceback(
    recipe: Path, data: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(data, tmp_path / "data")
    for camera in ("cam3", "cam6"):
        shutil.rmtree(other / camera / "0002")
    with pytest.raises(VireidError, match=r"2 \(visible only\).*data.unpaired"):
        training.learn(recipes.read(recipe, [f"data.root={other}"]), tmp_path / "run")


@pytest.mark.parametrize("wrong", ["start_from=nowhere", "settings.people=50"])
def test_a_run_that_could_not_begin_is_not_in_the_way(
    wrong: str, recipe: Path, tmp_path: Path
) -> None:
    with pytest.raises(VireidError):
        training.learn(recipes.read(recipe, [wrong]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is a matter of Linux")
def test_a_log_that_cannot_be_written_stops_the_run_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log.txt").symlink_to("/dev/full")
    wanted = r"log\.txt could not be written"
    with pytest.raises(VireidError, match=wanted), run_log.logging_to(tmp_path / "log.txt"):
        logging.getLogger("vireid").info("hello")
    assert "Traceback" not in capfd.readouterr().err


def test_data_that_moved_are_the_same_data(tmp_path: Path) -> None:
    def records(root: Path) -> list[ImageRecord]:
        return [
            ImageRecord(root / name, Modality.VISIBLE, identity, "cam1")
            for identity, name in enumerate(("a.jpg", "b.jpg"))
        ]

    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        for record in records(tmp_path / folder):
            record.path.write_bytes(b"same")
    here, there = (tmp_path / "here", tmp_path / "there")
    before = pictures_fingerprint(records(here), here)
    assert before == pictures_fingerprint(records(there)[::-1], there)
    (there / "b.jpg").write_bytes(b"another")
    assert before != pictures_fingerprint(records(there), there)


def test_a_crash_before_the_first_step_leaves_nothing_in_the_way(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a method's own fault")

    monkeypatch.setattr(initial_weights, "build", crash)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match="own fault"):
            training.learn(recipes.read(recipe), tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_ctrl_c_before_the_first_step_is_an_interruption(
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(initial_weights, "build", interrupted)
    words = ["vireid", "train", str(recipe), "--out", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.splitlines()[-1] == "vireid: interrupted"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("resume", [True, False])
def test_a_run_may_begin_in_an_empty_folder(resume: bool, recipe: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    training.learn(recipes.read(recipe), folder, resume=resume)
    assert runs.read_details(folder).finished


def test_a_run_that_is_killed_while_its_folder_is_made_leaves_none(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at a kill: nothing is put away, and the same command begins anew."""

    def killed(*_: object, **__: object) -> None:
        assert not (tmp_path / "run").exists()
        raise SystemExit(9)

    monkeypatch.setattr(documents, "write_json", killed)
    with pytest.raises(SystemExit):
        training.learn(recipes.read(recipe), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    monkeypatch.undo()
    training.learn(recipes.read(recipe), tmp_path / "run")


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_a_folder_that_holds_the_recipe_itself_is_left_alone(
    resume: list[str], recipe: Path, tmp_path: Path
) -> None:
    """A recipe is not what a killed run has left: it was written over, and the folder removed."""
    folder = tmp_path / "exp1"
    folder.mkdir()
    mine = folder / "recipe.toml"
    mine.write_text("# my own words\n" + recipe.read_text())
    before = mine.read_text()
    for override in ("seed=0", "settings.people=900"):
        result = train(mine, override, "--out", folder, *resume)
        assert isinstance(result.exception, RunError)
        assert [path.name for path in folder.iterdir()] == ["recipe.toml"]
        assert mine.read_text() == before


def test_a_folder_of_something_else_is_not_taken_for_a_run(recipe: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_text("a picture")
    with pytest.raises(RunError, match="exists already"):
        training.learn(recipes.read(recipe), folder)
    with pytest.raises(RunError, match="not a run folder"):
        training.learn(recipes.read(recipe), folder, resume=True)
    assert (folder / "a.jpg").read_text() == "a picture"


def test_a_split_that_is_not_there_is_told_before_the_first_one_is_learnt(
    recipe: Path, tmp_path: Path
) -> None:
    regdb = ("data.dataset=regdb", "--out", tmp_path / "runs")
    result = train(recipe, *regdb, "--trials", "1-11")
    assert "no trial 11 of regdb; it has trials 1 to 10" in str(result.exception)
    result = train(recipe, *regdb, "--trials", "")
    assert "'' is not a list of numbers" in str(result.exception)
    assert not (tmp_path / "runs").exists()
