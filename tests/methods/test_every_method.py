"""What holds for every method, those in the documents too.

A file added to `vireid/methods` is tested here without a list.
"""

import copy
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from tests import documents
from tests.toy import HEIGHT, WIDTH, ThreeStep, ToyData, small
from torch import Tensor, nn

from vireid import methods
from vireid.method import Method, Stage
from vireid.records import Modality

NAMES = [*methods.available(), *documents.METHODS, "three steps"]
BUILT: dict[str, Method] = {}


@pytest.fixture(params=NAMES)
def method(request: pytest.FixtureRequest, tmp_path: Path) -> Method:
    """Fresh weights; building is slow, copying is not."""
    name = request.param
    if name not in BUILT:
        is_toy = name == "three steps"
        BUILT[name] = small(ThreeStep if is_toy else documents.find_method(name, tmp_path))
    torch.manual_seed(0)
    return copy.deepcopy(BUILT[name])


def pictures() -> Tensor:
    return torch.rand(5, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


def prepared(method: Method) -> list[Stage[Any]]:
    """The stages, each ready to be run after those before it."""
    stages = method.stages(ToyData())
    for stage in stages:
        if stage.prepare:
            stage.prepare()
    return stages


def loss_of(stage: Stage[Any], batch: Any) -> Tensor:
    return torch.stack(list(stage.losses(batch, 0).values())).sum()


def step(stage: Stage[Any], batch: Any) -> float:
    stage.optimizer.zero_grad()
    loss = loss_of(stage, batch)
    loss.backward()  # type: ignore[no-untyped-call]
    stage.optimizer.step()
    return loss.item()


@pytest.mark.parametrize("modality", Modality)
def test_embeddings_have_length_one(method: Method, modality: Modality) -> None:
    embeddings = method.eval().embed(pictures(), modality)
    assert embeddings.shape == (5, method.embedding_dim)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(5))


@pytest.mark.parametrize("modality", Modality)
def test_an_embedding_does_not_depend_on_its_neighbours(method: Method, modality: Modality) -> None:
    method.eval()
    among_others = method.embed(pictures(), modality)[2:3]
    torch.testing.assert_close(among_others, method.embed(pictures()[2:3], modality))


def test_every_stage_lowers_its_own_loss(method: Method) -> None:
    for stage in prepared(method):
        stage.thaw(method)
        (batch, *_) = stage.batches(0)
        losses = [step(stage, batch) for _ in range(12)]
        assert min(losses[-3:]) < losses[0], stage.name


def test_a_weight_that_a_stage_steps_gets_a_gradient(method: Method) -> None:
    for stage in prepared(method):
        stage.thaw(method)
        (batch, *_) = stage.batches(0)
        stage.optimizer.zero_grad()
        loss_of(stage, batch).backward()  # type: ignore[no-untyped-call]
        stepped = [p for group in stage.optimizer.param_groups for p in group["params"]]
        assert all(p.grad is not None for p in stepped), stage.name


def test_what_a_stage_trains_is_what_it_steps(method: Method) -> None:
    for stage in prepared(method):
        learning = {id(p) for part in stage.trains for p in part.parameters()}
        stepped = {id(p) for group in stage.optimizer.param_groups for p in group["params"]}
        assert stepped == learning, stage.name


def test_what_a_stage_does_not_train_stays_as_it_is(method: Method) -> None:
    for stage in prepared(method):
        stage.thaw(method)
        state = method.state_dict(keep_vars=True)
        parts = [part.state_dict(keep_vars=True).values() for part in stage.trains]
        learning = {id(value) for part in parts for value in part}
        frozen = {name: v.clone() for name, v in state.items() if id(v) not in learning}
        for batch in stage.batches(0):
            step(stage, batch)
        for name, value in frozen.items():
            assert torch.equal(value, method.state_dict()[name]), (stage.name, name)


def test_nothing_of_a_method_is_learnt_while_it_embeds(method: Method) -> None:
    before = {name: value.clone() for name, value in method.eval().state_dict().items()}
    method.embed(pictures(), Modality.INFRARED)
    assert all(torch.equal(value, method.state_dict()[name]) for name, value in before.items())


@pytest.mark.parametrize(
    "name", [n for n in methods.available() if hasattr(methods.find(n).Config, "triplet_weights")]
)
def test_the_weights_of_a_triplet_are_those_that_were_asked_for(name: str) -> None:
    found = {}
    for weights in ("paper", "code"):
        method = small(methods.find(name), triplet_weights=weights)
        stage = prepared(method)[-1]
        stage.thaw(method)
        # Far enough apart for the weights of the code to fade.
        cast("nn.Module", method.pool).register_forward_hook(lambda *given: given[2] * 100)
        (batch, *_) = stage.batches(0)
        losses = stage.losses(batch, 0)
        found[weights] = sum(v.item() for loss, v in losses.items() if loss.startswith("triplet"))
    assert found["paper"] < 0.9 * found["code"]
