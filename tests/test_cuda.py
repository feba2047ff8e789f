"""On a GPU: every method learns there, in bfloat16 too, and computes what a processor computes."""

import copy
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tests.tiny_recipe import tiny_recipe
from tests.toy import HEIGHT, STEPS, WIDTH, ToyData, small
from torch import Tensor

from vireid import methods
from vireid.errors import Interrupted
from vireid.learning.devices import automatic
from vireid.learning.loop import DivergedError, fit
from vireid.learning.training import learn
from vireid.method import Method
from vireid.models.embedder import Embedder
from vireid.recipes import recipe as recipes
from vireid.records import Modality

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
CUDA = torch.device("cuda")


def built(name: str) -> Method:
    return small(methods.find(name))


def pictures(count: int = 6) -> Tensor:
    return torch.rand(count, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products in float32, not in the shorter tf32 that cuDNN computes convolutions in."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.parametrize("name", methods.available())
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_method_learns(name: str, precision: Any, tmp_path: Path) -> None:
    method = built(name)
    before = [weights.detach().clone() for weights in method.parameters()]
    fit(method, ToyData(), tmp_path, precision=precision)
    after = method.state_dict().values()
    assert all(value.device.type == "cuda" for value in after)
    assert all(value.isfinite().all() for value in after)
    learnt = [weights.cpu() for weights in method.parameters()]
    assert any(not torch.equal(*pair) for pair in zip(before, learnt, strict=True))
    assert (tmp_path / "losses.jsonl").read_text().count("\n") >= 2


def test_auto_is_bfloat16() -> None:
    assert automatic(CUDA) == "bfloat16"


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("modality", Modality)
@pytest.mark.parametrize("name", methods.available())
def test_embeddings_are_those_of_a_processor(name: str, modality: Modality) -> None:
    method = built(name).eval()
    with torch.inference_mode():
        expected = method.embed(pictures(), modality)
        found = method.to(CUDA).embed(pictures().to(CUDA), modality)
    torch.testing.assert_close(found.cpu(), expected, atol=2e-5, rtol=0)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("name", methods.available())
def test_losses_and_gradients_are_those_of_a_processor(name: str) -> None:
    """Views of one colour are drawn on the processor, so both see the same."""
    there = built(name)
    here = copy.deepcopy(there)
    there.to(CUDA)
    for mine, other in zip(here.stages(ToyData()), there.stages(ToyData()), strict=True):
        found = []
        for method, stage, device in ((here, mine, torch.device("cpu")), (there, other, CUDA)):
            torch.manual_seed(0)
            if stage.prepare:
                method.eval()
                stage.prepare()
            stage.thaw(method)
            (batch, *_) = stage.batches(0)
            torch.manual_seed(1)
            losses = stage.losses(batch.to(device), 0)
            method.zero_grad()
            torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
            gradients = {
                k: p.grad.cpu() for k, p in method.named_parameters() if p.grad is not None
            }
            found.append(({k: v.item() for k, v in losses.items()}, gradients))
        (expected, slopes), (seen, others) = found
        assert seen == pytest.approx(expected, rel=1e-4, abs=1e-5), mine.name
        assert others.keys() == slopes.keys()
        whole = torch.cat([slope.flatten() for slope in slopes.values()])
        apart = torch.cat([(others[k] - slope).flatten() for k, slope in slopes.items()])
        assert apart.norm() < 1e-3 * whole.norm(), mine.name


@pytest.mark.parametrize("name", methods.available())
def test_a_run_that_was_stopped_goes_on(name: str, tmp_path: Path) -> None:
    def stop(begun: int) -> None:
        if begun == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        fit(built(name), first := ToyData(before_step=stop), tmp_path)
    fit(method := built(name), rest := ToyData(), tmp_path, resume=True)
    assert (first.begun + rest.begun) % STEPS == 0  # whole epochs: nothing was done twice
    lines = [json.loads(line) for line in (tmp_path / "losses.jsonl").read_text().splitlines()]
    assert len(lines) == sum(stage.epochs for stage in method.stages(ToyData()))


def test_a_loss_that_is_no_number_is_told(tmp_path: Path) -> None:
    method = built("agw")
    with torch.no_grad():
        next(method.parameters()).fill_(torch.inf)
    with pytest.raises(DivergedError, match="stage"):
        fit(method, ToyData(), tmp_path)


@pytest.mark.usefixtures("own_cache")
def test_a_run_learnt_here_embeds_as_on_a_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file := tmp_path / "agw.toml").write_text(tiny_recipe("nightwalk"))
    learn(recipes.read(file), tmp_path / "run")
    held = torch.cuda.memory_allocated()
    found = Embedder.open(tmp_path / "run")
    assert torch.cuda.memory_allocated() > held
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    expected = Embedder.open(tmp_path / "run")
    picture = Image.new("RGB", (40, 90), (200, 30, 60))
    for modality in Modality:
        one, other = (each.embed([picture], modality)[0] for each in (found, expected))
        assert one @ other > 0.9999
