"""Files that are damaged, incomplete or a stranger's are told by name in one line."""

import json
import os
import shutil
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch
from click.testing import CliRunner
from rich.console import Console
from tests import sysu_layout
from tests.damage import wrong
from tests.learning.test_loop import write_at
from tests.onnx_model import person, write_model, write_site
from tests.tiny_recipe import tiny_recipe
from tests.toy import ThreeStep, ToyData, small

from vireid import Embedder, Modality
from vireid.cli import main as cli
from vireid.errors import VireidError
from vireid.files import documents, user_code
from vireid.learning import checkpoints, initial_weights, training_history
from vireid.learning.checkpoints import Position
from vireid.models import card, opening, runs
from vireid.models.engines import AS_USUAL
from vireid.models.onnx_network import OnnxNetwork
from vireid.recipes import recipe as recipes
from vireid.records import ImageRecord
from vireid.scoring import evaluation, results

pytestmark = pytest.mark.usefixtures("own_cache")
Run = Callable[..., tuple[int, str, str]]


def told(read: Callable[[], object]) -> str | None:
    """What a reader says against a file; None where it reads it. Other errors are faults."""
    try:
        read()
    except VireidError as error:
        said = str(error)
    else:
        return None
    assert "\n" not in said
    return said


def refused(path: Path, read: Callable[[], object]) -> int:
    """How many kinds of wrong JSON a reader refuses, always with the name of the file."""
    whole, count = json.loads(path.read_text()), 0
    for place, content in wrong(whole):
        path.write_text(json.dumps(content))
        said = told(read)
        named = path.name, "has not finished", "no results to compare"
        assert said is None or any(name in said for name in named), (place, content, said)
        count += said is not None
    path.write_text(json.dumps(whole))
    assert told(read) is None
    return count


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with scores; `tiny.toml` beside it is its recipe."""
    folder = tmp_path_factory.mktemp("damage")
    data = sysu_layout.write(folder / "sysu")
    (folder / "tiny.toml").write_text(tiny_recipe(root=data))
    for words in (["train", folder / "tiny.toml", "--out", folder / "run"], scored(folder / "run")):
        done = CliRunner().invoke(cli.vireid, list(map(str, words)))
        assert done.exit_code == 0, done.output
    return folder / "run"


def scored(run: Path) -> list[object]:
    return ["evaluate", run, "--protocol", "sysu/py-seed", "--mode", "all", "--shot", "single"]


@pytest.fixture
def copied(learnt: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(learnt, tmp_path / "run"))


def test_whatever_is_wrong_in_a_model_card(tmp_path: Path) -> None:
    model = write_model(tmp_path / "toy")
    shutil.copy(opening.SHIPPED / "small/recipe.toml", model)
    assert refused(model / "model.json", lambda: Embedder.open(model)) > 100


def test_whatever_is_wrong_in_the_card_of_a_run(copied: Path) -> None:
    assert refused(copied / "run.json", lambda: Embedder.open(copied)) > 100


def test_whatever_is_wrong_in_scores(copied: Path) -> None:
    def compared() -> None:
        comparison = results.compare(results.find(str(copied)))
        Console(quiet=True).print(comparison.table())
        comparison.as_dict()

    assert refused(copied / "scores.json", compared) > 500


def test_whatever_is_wrong_in_the_lines_of_a_run(copied: Path) -> None:
    for name, read, line in (
        ("losses.jsonl", training_history.read_epochs, (copied / "losses.jsonl").read_text()),
        (
            "measures.jsonl",
            training_history.read_measures,
            '{"stage": "a", "stage_number": 0, "when": "after", "figures": {"up": 1.0}}\n',
        ),
    ):
        path = copied / name
        for place, content in wrong(json.loads(line)):
            path.write_text(line + json.dumps(content) + "\n" + line)
            said = told(lambda read=read, path=path: read(path))  # type: ignore[misc]
            assert said is None or f"{name}, line 2," in said, (place, content, said)
            assert said or place, content
        path.write_text(line + '{"stage": "torn')
        assert len(read(path)) == 1


def test_whatever_is_wrong_in_kept_code(tmp_path: Path) -> None:
    kept = tmp_path / "user_code.json"
    kept.write_text(json.dumps({"mine.py": {"sum": "ab", "origin": "/there/mine.py"}}))
    assert refused(kept, lambda: user_code.kept_files(tmp_path)) > 20


def test_whatever_is_wrong_in_the_recipe_of_a_run(copied: Path) -> None:
    path = copied / "recipe.toml"
    whole = tomllib.loads(path.read_text())
    for place, content in wrong(whole):
        if place and place[0] == "settings":
            continue  # those of a method are its own; the recipe's tests have them
        try:
            path.write_text(tomli_w.dumps(content))
        except (TypeError, AttributeError):
            continue  # TOML has no null
        for read in (
            lambda: recipes.outline_of(path),
            lambda: recipes.read(path),
            lambda: evaluation.dataset_of(str(copied)),
            lambda: card.learnt_on(copied),
        ):
            said = told(read)
            about_data = place[:1] == ("data",) and "method" in content
            assert said is None or "recipe.toml" in said or about_data, (place, content, said)


def go_on(path: Path) -> None:
    """Take the next step of a run in its last stage."""
    method = small(ThreeStep)
    saved = checkpoints.read(path, method)
    assert saved
    saved.restore_method(method)
    stages = method.stages(ToyData())
    saved.check_position(stages)
    stage = stages[-1]
    saved.restore_stage(stage)
    stage.thaw(method)
    torch.stack([*stage.losses(next(iter(stage.batches(0))), 0).values()]).sum().backward()  # type: ignore[no-untyped-call]
    stage.optimizer.step()


def test_whatever_is_wrong_in_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    write_at(tmp_path, small(ThreeStep), Position(2, 1))
    whole, refused = torch.load(path, weights_only=True), 0
    for place, content in wrong(whole):
        torch.save(content, path)
        said = told(lambda: go_on(path))
        assert said is None or "checkpoint" in said, (place, content, said)
        refused += said is not None
    assert refused > 150


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"format": 1e999}', b"null", b"9" * 5000]
)
def test_what_is_no_json_is_told_with_the_way_out(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(content)
    with pytest.raises(VireidError, match=r"^[^\n]*model\.json is damaged[^\n]*; export it again$"):
        documents.read_json(path, dict, "export it again", formats=[1])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff", "utf-8"),
        (b"a = " + b"[" * 100_000, "recursion"),
        (b"a = " + b"9" * 5000, "4300 digits"),
        (b"a." * 65 + b"a = 1", "more than 64 parts"),
        (rb'"\"".' * 65 + b"a = 1", "more than 64 parts"),
        (b"a = 1\n" + b"#" * 2**18, "bytes, more than"),
    ],
)
def test_what_is_no_toml_is_told_before_it_takes_memory(
    content: bytes, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(VireidError, match=rf"recipe\.toml .*{why}"):
        documents.read_toml(path, dict, "mend it")


def test_every_command_names_the_damaged_file(
    run: Run, learnt: Path, copied: Path, tmp_path: Path
) -> None:
    site, toy = write_site(tmp_path / "site"), write_model(tmp_path / "toy")
    picture = site / "cam3/0001/0001.jpg"
    assert run("index", site, "--out", tmp_path / "g", "--model", toy)[0] == 0
    for name in ("run.json", "scores.json", "recipe.toml", "checkpoint.pt"):
        (copied / name).write_bytes(b"{")
    (copied / "measures.jsonl").write_text("{\n")
    (toy / "model.json").write_text('{"format": 1, "name": null}')
    (tmp_path / "sweep.toml").write_text(
        'recipe = "tiny.toml"\nprotocol = 5\nseeds = [0]\n[rows.a]'
    )
    tiny = learnt.parent / "tiny.toml"
    # What `train --resume` looks at first is sound, so that it comes to the checkpoint.
    broken = Path(shutil.copytree(learnt, tmp_path / "broken"))
    (broken / "checkpoint.pt").write_bytes(b"{")
    for words, culprit in (
        (("index", site, "--out", tmp_path / "g2", "--model", toy), "toy/model.json"),
        (("search", tmp_path / "g", picture), "toy/model.json"),
        (("search", tmp_path / "g", picture, "--model", copied), "run/recipe.toml"),
        (("evaluate", toy), "toy/model.json"),
        (("evaluate", copied), "run/scores.json"),
        (("compare", copied), "run/scores.json"),
        (("export", copied, "--out", tmp_path / "e"), "run/recipe.toml"),
        (("show-measures", copied, "--out", tmp_path / "m.png"), "measures.jsonl, line 1"),
        (("show-auxiliary", copied, "--out", tmp_path / "m.png"), "run/recipe.toml"),
        (("train", tiny, "--out", copied, "--resume"), "run/run.json"),
        (("train", tiny, "--out", broken, "--resume"), "broken/checkpoint.pt"),
        (("train", copied / "recipe.toml", "--out", tmp_path / "t"), "run/recipe.toml"),
        (("sweep", tmp_path / "sweep.toml"), "sweep.toml"),
    ):
        status, _, errors = run(*words)
        assert status == 1, words
        assert culprit in errors.strip().splitlines()[-1], (words, errors)
        assert "Traceback" not in errors
    assert not (tmp_path / "g2").exists()


def test_a_pipe_in_the_place_of_a_file_is_refused(run: Run, copied: Path, tmp_path: Path) -> None:
    toy, site = write_model(tmp_path / "toy"), write_site(tmp_path / "site", people=1)
    for path, words in (
        (toy / "model.json", ("evaluate", toy)),
        (toy / "weights.bin", ("index", site, "--out", tmp_path / "g", "--model", toy)),
        (copied / "scores.json", ("compare", copied)),
        (copied / "run.json", ("evaluate", copied)),
        (copied / "model.safetensors", ("evaluate", copied)),
        (copied / "recipe.toml", ("train", copied / "recipe.toml", "--out", tmp_path / "t")),
    ):
        path.rename(tmp_path / "away")
        os.mkfifo(path)
        status, _, errors = run(*words)
        assert status in (1, 2), words
        assert path.name in errors
        path.unlink()
        (tmp_path / "away").rename(path)


def flipped(path: Path, count: int) -> Iterator[int]:
    """Flip one bit of a file after the other, each time in the sound file; say in which byte."""
    whole = path.read_bytes()
    for bit in np.random.default_rng(0).integers(0, 8 * len(whole), count).tolist():
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        yield bit // 8
    path.write_bytes(whole)


def test_each_of_many_flipped_bits_in_the_weights_of_a_run_is_noticed(copied: Path) -> None:
    for byte in flipped(copied / "model.safetensors", 40):
        said = told(lambda: Embedder.open(copied))
        assert said, byte
        assert "model.safetensors" in said
        assert said.endswith("copy the whole folder again, or learn it anew")
    Embedder.open(copied)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [("pooling_power = 3.0", "pooling_power = 2.0"), ("width = 16", "width = 8")],
)
def test_settings_that_change_an_embedding_are_not_changed_under_its_fingerprint(
    was: str, becomes: str, copied: Path
) -> None:
    path = copied / "recipe.toml"
    text = path.read_text()
    assert f"\n{was}\n" in text
    path.write_text(text.replace(f"\n{was}\n", f"\n{becomes}\n"))
    with pytest.raises(VireidError, match=r"recipe\.toml or run\.json is damaged or changed"):
        Embedder.open(copied)


def test_a_run_of_an_older_version_that_does_not_fit_its_fingerprint_is_told(
    copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    facts = json.loads((copied / "run.json").read_text())
    del facts["files"]
    (copied / "run.json").write_text(json.dumps(facts))
    assert Embedder.open(copied).fingerprint == facts["fingerprint"]
    assert not caplog.messages
    facts["fingerprint"] = "0123456789abcdef"
    (copied / "run.json").write_text(json.dumps(facts))
    Embedder.open(copied)
    assert "0123456789abcdef was learnt" in caplog.text


def test_each_of_many_flipped_bits_in_an_exported_model_is_noticed(tmp_path: Path) -> None:
    model = Path(shutil.copytree(opening.SHIPPED / "small", tmp_path / "small-copy"))
    for name in ("visible.onnx", "infrared.onnx", "model.safetensors"):
        for byte in flipped(model / name, 10):
            said = told(lambda: Embedder.open(model))
            assert said, byte
            assert f"small-copy/{name} is not the file that was exported" in said
    embedder = Embedder.open(model)
    for _ in flipped(model / "infrared.onnx", 1):
        with pytest.raises(VireidError, match=r"infrared\.onnx is not the file that was exported"):
            Embedder(embedder.card, OnnxNetwork(model, card.read_exported(model), AS_USUAL))


def test_weights_to_begin_with_are_checked_too(copied: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(opening.SHIPPED / "small", tmp_path / "small-copy"))
    for folder in (copied, model):
        wanted = recipes.read(folder / "recipe.toml")
        method = runs.build(wanted, 3)
        initial_weights.start_from(method, str(folder))
        for byte in flipped(folder / "model.safetensors", 10):
            said = told(partial(initial_weights.start_from, method, str(folder)))
            assert said, byte
            assert "model.safetensors is damaged" in said


def test_no_flipped_bit_makes_another_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    write_at(tmp_path, small(ThreeStep), Position(2, 1))
    whole, refused = checkpoints.read(path, small(ThreeStep)), 0
    assert whole
    expected = str(whole.content())
    for _ in flipped(path, 250):
        said = told(lambda: checkpoints.read(path, small(ThreeStep)))
        if said:
            assert "checkpoint.pt is damaged" in said
            refused += 1
        else:  # such as one in what fills up a record
            found = checkpoints.read(path, small(ThreeStep))
            assert found
            assert str(found.content()) == expected
    assert refused > 150


@pytest.mark.parametrize(
    ("vectors", "what"),
    [
        (np.full((1, 16), np.nan, np.float32), "not finite"),
        (np.full((1, 16), np.inf, np.float32), "not finite"),
        (np.ones((1, 15), np.float32), r"float32 of shape \(1, 15\)"),
        (np.ones((2, 16), np.float32), r"float32 of shape \(2, 16\)"),
        (np.ones(16, np.float32), r"float32 of shape \(16,\)"),
        (np.ones((1, 16), np.float64), r"float64 of shape \(1, 16\)"),
    ],
)
def test_broken_vectors_are_an_error_wherever_something_is_embedded(
    vectors: np.ndarray, what: str, tmp_path: Path
) -> None:
    sound = Embedder.open(write_model(tmp_path / "toy"))
    broken = Embedder(sound.card, lambda pictures, modality: vectors)
    picture = person(1)
    picture.save(tmp_path / "a.png")
    record = ImageRecord(tmp_path / "a.png", Modality.VISIBLE)
    for embed in (
        lambda: broken.embed([picture], "visible"),
        lambda: broken.embed_records([record]),
        lambda: list(broken.in_batches([record])),
        lambda: broken.check(),
    ):
        with pytest.raises(
            VireidError, match=rf"^model toy \(\S+toy\) gives broken vectors, .*{what}"
        ):
            embed()
