"""A model goes on learning from one's own people beside others, if that is any better."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import sysu_layout
from tests.experiments.test_adaptation import PEOPLE, write_people
from tests.onnx_model import write_model
from tests.tiny_recipe import tiny_recipe

from vireid.errors import Interrupted, VireidError
from vireid.experiments import adaptation, further_learning
from vireid.experiments.further_learning import FurtherLearning
from vireid.learning.training import learn
from vireid.models import export, runs
from vireid.models.embedder import Embedder
from vireid.recipes import recipe as recipes
from vireid.records import ImageRecord
from vireid.types.arrays import Vectors

Run = Callable[..., tuple[int, str, str]]
BATCH = ("settings.people=4", "data.own_people=2")
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people in SYSU-MM01's layout, to learn from beside one's own."""
    root = tmp_path_factory.mktemp("others") / "sysu"
    sysu_layout.write(root)
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, others: Path) -> Path:
    """Weights and recipe of a little run, beside graphs that compute something else."""
    place = tmp_path_factory.mktemp("little")
    (place / "little.toml").write_text(tiny_recipe(root=others), encoding="utf-8")
    learn(recipes.read(place / "little.toml"), place / "run")
    folder = write_model(place / "model")
    for name in ("recipe.toml", runs.WEIGHTS):
        shutil.copyfile(place / "run" / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people") / "site")


def going_on(model: Path, others: Path, folder: Path, *overrides: str) -> FurtherLearning:
    beside = [f"sysu_mm01:{others}"]
    return further_learning.of_model(str(model), beside, folder, [*BATCH, *overrides])


def test_it_begins_with_the_weights_of_the_model_and_learns_from_ones_own_people(
    model: Path, others: Path, people: Path, tmp_path: Path
) -> None:
    records = adaptation._people(people, 2)
    learning = going_on(model, others, tmp_path / "runs", "settings.learning_rate=1e-9")
    run = learning.run_of("once", records)
    before, after = (runs.read_weights(folder / runs.WEIGHTS) for folder in (model, run))
    weights = [name for name in before if name.endswith("conv1.weight")]
    assert weights
    for name in weights:
        torch.testing.assert_close(after[name], before[name], atol=1e-6, rtol=0)
    assert runs.read_details(run).num_identities == 3 + PEOPLE
    assert runs.read_recipe(run).start_from == str(model)


def test_a_run_that_is_there_is_not_learnt_again_and_not_taken_for_other_people(
    model: Path, others: Path, people: Path, tmp_path: Path
) -> None:
    records = adaptation._people(people, 2)
    learning = going_on(model, others, tmp_path / "runs")
    first = runs.read_details(learning.run_of("once", records))
    again = runs.read_details(learning.run_of("once", records))
    assert (again.began, again.fingerprint) == (first.began, first.fingerprint)
    with pytest.raises(VireidError, match="cannot be resumed: data was"):
        learning.run_of("once", [r for r in records if r.who != records[0].who])


def test_learning_that_is_broken_off_goes_on_by_the_same_command(
    model: Path, others: Path, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning, resumed = going_on(model, others, tmp_path / "runs"), list[bool]()

    def stopped(recipe: object, place: Path, *, resume: bool) -> None:
        resumed.append(resume)
        place.mkdir(exist_ok=True)
        (place / runs.RUN).touch()
        raise Interrupted("stopped")

    monkeypatch.setattr(further_learning, "learn", stopped)
    for _ in range(2):
        with pytest.raises(Interrupted, match="stopped; the same command goes on"):
            learning.run_of("all", adaptation._people(people, 2))
    assert resumed == [False, True]


def test_what_was_exported_before_is_exported_anew_under_the_same_licence(
    model: Path, others: Path, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list[tuple[Path, str | None]]()

    def exported(run: Path, out: Path, *, licence: str | None, **_: object) -> None:
        made.append((run, licence))
        out.mkdir()

    monkeypatch.setattr(export, "export", exported)
    learning = going_on(model, others, tmp_path / "runs")
    learning = replace(learning, known=replace(learning.known, licence="CC0"))
    for _ in range(2):
        out = learning.exported("all", adaptation._people(people, 2))
    assert out.is_dir()
    assert made == [(tmp_path / "runs" / "all", "CC0")] * 2


@dataclass
class Standing:
    """Stands for a model that has learnt further: it knows everybody, or nobody."""

    model: Path
    knows: bool

    def embedder(self, name: str, people: Sequence[ImageRecord]) -> "Standing":
        assert len({record.who for record in people}) in (PEOPLE // 2, PEOPLE - PEOPLE // 2)
        return self

    def embed_records(self, records: Sequence[ImageRecord]) -> Vectors:
        places = [int(str(r.who)) if self.knows else n for n, r in enumerate(records)]
        return np.eye(100, dtype=np.float32)[places]

    def exported(self, name: str, people: Sequence[ImageRecord]) -> Path:
        return self.model


@pytest.mark.parametrize("knows", [True, False])
def test_it_is_taken_where_it_finds_more_of_those_left_out(
    knows: bool,
    model: Path,
    others: Path,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    standing = Standing(model, knows)
    monkeypatch.setattr(further_learning, "of_model", lambda *_, **__: standing)
    people, out = write_people(tmp_path / "alike", alike=True), tmp_path / "mine"
    held_out = write_people(tmp_path / "held_out", first=50)
    asked = ("adapt", model, people, "--held-out", held_out, "--out", out, "--json")
    status, answer, errors = run(*asked, "--beside", f"sysu_mm01:{others}")
    assert status == 0, errors
    told = json.loads(answer)
    assert set(told["tried"]) == {str(w) for w in adaptation.WAYS + adaptation.FURTHER_WAYS}
    assert told["way"]["further"] == knows
    assert (out / "recipe.toml").exists() == knows
    assert (told["tried"]["learnt further"]["after"]["rank 1"] == 1) == knows
    caveat = Embedder.open(str(out)).card.caveat or ""
    assert ("learnt further" in caveat) == knows


def test_what_cannot_go_on_learning_is_refused_with_a_way_out(
    model: Path, others: Path, people: Path, tmp_path: Path, run: Run
) -> None:
    def said(*words: object) -> str:
        status, _, errors = run("adapt", *words, "--out", tmp_path / "mine")
        assert status
        return errors

    beside = ("--beside", f"sysu_mm01:{others}")
    bare = write_model(tmp_path / "bare")
    assert "bare cannot go on learning, as it has no recipe.toml; take" in said(
        bare, people, *beside
    )
    assert "stripes learns nothing: settings.epochs of its recipe is 0" in said(
        "stripes", people, *beside
    )
    assert "settings.epochs=2 is for a model that goes on learning; give --beside" in said(
        model, people, "settings.epochs=2"
    )
    assert "no setting 'settings.epoch'" in said(model, people, *beside, "settings.epoch=2")
    assert str(tmp_path / "nowhere") in said(model, people, "--beside", f"regdb:{tmp_path}/nowhere")
    few = tmp_path / "few.csv"
    lines = people.read_text().splitlines()
    few.write_text("\n".join([lines[0], *(f"{people.parent}/{line}" for line in lines[1:43])]))
    assert "7 people in both spectra, and 8 are needed" in said(model, few, *beside)
    assert not (tmp_path / "mine").exists()
