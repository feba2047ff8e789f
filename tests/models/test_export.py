"""An exported model embeds as its run does, without torch, and is written whole or not at all."""

import hashlib
import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file
from tests.toy import HEIGHT, PEOPLE, SMALL, WIDTH, ThreeStep, ToyData, small_settings

from vireid.cli import main as cli
from vireid.errors import VireidError
from vireid.methods.agw import AGW
from vireid.models import export, runs
from vireid.models.embedder import Embedder
from vireid.models.opening import SHIPPED
from vireid.recipes import recipe
from vireid.records import Modality

ORIGIN = recipe.Imported(format="agw", repository="https://a.org", file="best.t", sha256="0" * 64)
FACTS = runs.Details(dataset="toy", num_identities=PEOPLE, learnt_in="bfloat16", imported=ORIGIN)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose stems differ and whose batch statistics are not those of the start."""
    folder = tmp_path_factory.mktemp("runs") / "toy"
    data = {"dataset": "nightwalk", "height": HEIGHT, "width": WIDTH}
    wanted = recipe.from_dict({"method": "agw", "data": data, "settings": small_settings(AGW)})
    runs.start(folder, wanted, FACTS)
    torch.manual_seed(0)
    method = AGW(wanted.settings, PEOPLE)
    (stage,) = method.stages(ToyData())
    stage.thaw(method)
    for batch in stage.batches(0):
        sum(stage.losses(batch, 0).values()).backward()  # type: ignore[union-attr]
        stage.optimizer.step()
    runs.finish(folder, method, wanted)
    (folder / "log.txt").write_text("learnt\n")
    return folder


@pytest.fixture(scope="module")
def model(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "toy_model"
    answer = CliRunner().invoke(cli.vireid, ["export", str(run), "--out", str(out)])
    assert answer.exit_code == 0, answer.output + repr(answer.exception)
    return out


def pictures(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(count)
    sizes = [(HEIGHT, WIDTH), (70, 40)] * count
    return [Image.fromarray(rng.integers(0, 256, (*s, 3), np.uint8)) for s in sizes[:count]]


def external(graph: Path) -> dict[str, tuple[int, int]]:
    """Name of a tensor to where it lies in the file of weights: offset and length."""
    places = {}
    for tensor in onnx.load(graph, load_external_data=False).graph.initializer:
        fields = {entry.key: entry.value for entry in tensor.external_data}
        if fields:
            assert fields["location"] == "model.safetensors"
            places[tensor.name] = (int(fields["offset"]), int(fields["length"]))
    return places


@pytest.mark.parametrize("modality", Modality)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_it_embeds_as_the_run_does(run: Path, model: Path, modality: Modality, count: int) -> None:
    exported, trained = Embedder.open(model), Embedder.open(run)
    found = exported.embed(pictures(count), modality)
    np.testing.assert_allclose(found, trained.embed(pictures(count), modality), atol=1e-5)
    assert found.shape == (count, exported.embedding_dim)


def test_each_spectrum_has_its_own_stem(model: Path) -> None:
    embedder = Embedder.open(model)
    visible, infrared = (embedder.embed(pictures(2), m) for m in Modality)
    assert np.abs(visible - infrared).max() > 1e-3


def test_it_has_the_fingerprint_of_the_run(run: Path, model: Path) -> None:
    assert Embedder.open(model).fingerprint == Embedder.open(run).fingerprint


def test_its_card_says_the_precisions(run: Path, model: Path) -> None:
    for each in (run, model):
        card = Embedder.open(each).card
        assert (card.learnt_in, card.precision) == ("bfloat16", "float32")


def test_it_says_where_weights_that_were_imported_come_from(run: Path, model: Path) -> None:
    assert json.loads((model / "model.json").read_text())["imported"] == asdict(ORIGIN)
    for each in (run, model):
        assert Embedder.open(each).checkpoint == "imported from agw, chosen by its authors"


def test_weights_are_stored_once(model: Path) -> None:
    visible, infrared = (external(model / f"{m}.onnx") for m in Modality)
    shared = {name for name in visible if "shared" in name}
    assert shared
    assert all(visible[name] == infrared[name] for name in shared)
    stems = {p for places in (visible, infrared) for n, p in places.items() if "stems" in n}
    assert len(stems) == 2
    spans = sorted({*visible.values(), *infrared.values()})
    assert all(a + n <= b for (a, n), (b, _) in pairwise(spans))
    weights = load_file(model / "model.safetensors")
    content = (model / "model.safetensors").read_bytes()
    places = external(model / "visible.onnx")
    for name, (start, length) in places.items():
        kept = weights[name.removeprefix("method.")].numpy().tobytes()
        assert content[start : start + length] == kept, name
    assert not (model / "weights.bin").exists()


def test_model_json_tells_what_the_files_are(model: Path) -> None:
    facts = json.loads((model / "model.json").read_text())
    assert facts["name"] == "toy_model"
    assert facts["method"] == "agw"
    assert facts["settings"]["trunk"] == SMALL["trunk"]
    assert (facts["height"], facts["width"]) == (HEIGHT, WIDTH)
    assert facts["dataset"] == "toy"
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in model.iterdir()}
    files.pop("model.json")
    assert facts["files"] == files
    assert {"recipe.toml", "model.safetensors", "log.txt"} < files.keys()


@pytest.mark.parametrize("folder", ["just exported", "shipped"])
def test_graphs_do_not_tell_where_they_were_made(model: Path, folder: str) -> None:
    where = model if folder == "just exported" else SHIPPED / "small"
    for modality in Modality:
        content = (where / f"{modality}.onnx").read_bytes()
        assert b"site-packages" not in content
        assert b"export.py" not in content


def test_exported_weights_are_those_that_embedding_needs(run: Path, model: Path) -> None:
    exported, whole = (load_file(folder / "model.safetensors") for folder in (model, run))
    assert whole.keys() - exported.keys() == {"classifier.weight"}
    assert all(torch.equal(weight, whole[name]) for name, weight in exported.items())


def test_a_folder_that_exists_is_left_alone(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(VireidError, match="another folder by --out"):
        export.export(run, out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_an_export_that_fails_leaves_nothing_behind(run: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    for path in run.iterdir():
        (bad / path.name).write_bytes(path.read_bytes())
    (bad / "losses.jsonl").mkdir()
    with pytest.raises(VireidError, match="model could not be written"):
        export.export(bad, tmp_path / "below" / "model")
    assert list((tmp_path / "below").iterdir()) == []


def test_any_method_can_be_exported_and_a_wrong_graph_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    method = ThreeStep(ThreeStep.Config(), PEOPLE).train()
    export.write_graphs(method, HEIGHT, WIDTH, tmp_path)
    assert method.training  # What is given is left as it is.
    assert {path.name for path in tmp_path.iterdir()} >= {"visible.onnx", "infrared.onnx"}
    # What is accepted now is not once the weights have moved on.
    graph = tmp_path / "visible.onnx"
    with torch.no_grad():
        next(method.encoder.parameters()).add_(0.01)
    moved = export._EmbedPictures(method, Modality.VISIBLE)
    with pytest.raises(VireidError, match=r"visible\.onnx computes something else"):
        export._check(moved, (HEIGHT, WIDTH, 3), graph)
