"""Parts, middle layers, and what keeps a trunk near its start: settings of AGW and MUN."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.toy import HEIGHT, PEOPLE, WIDTH, ToyData, small_settings
from torch.nn import functional as F  # noqa: N812

from vireid.errors import VireidError
from vireid.method import Method, Stage
from vireid.methods.agw import AGW
from vireid.methods.mun import MUN
from vireid.models.export import _needed_to_embed, write_graphs
from vireid.records import Modality

BOTH = pytest.mark.parametrize("kind", [AGW, MUN])


def made(kind: type[Method], **settings: Any) -> Any:
    torch.manual_seed(0)
    return kind(kind.Config(**{**small_settings(kind), **settings}), PEOPLE).eval()


def pictures() -> torch.Tensor:
    return torch.rand(4, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


def begun(method: Method) -> Stage[Any]:
    (stage,) = method.stages(ToyData())
    if stage.prepare:
        stage.prepare()
    stage.thaw(method)
    return stage


def step(stage: Stage[Any]) -> dict[str, torch.Tensor]:
    (batch, *_) = stage.batches(0)
    stage.optimizer.zero_grad()
    losses = stage.losses(batch, 0)
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    stage.optimizer.step()
    return losses


@BOTH
def test_embeddings_of_mirror_images_are_equal(kind: type[Method]) -> None:
    plain, mirrored = made(kind), made(kind, mirrored=True)
    mirrored.load_state_dict(plain.state_dict())
    for modality in Modality:
        both = [plain.embed(each, modality) for each in (pictures(), pictures().flip(3))]
        assert not torch.allclose(*both)
        expected = F.normalize(both[0] + both[1], dim=1)
        for each in (pictures(), pictures().flip(3)):
            torch.testing.assert_close(mirrored.embed(each, modality), expected)


def test_embeddings_of_mirror_images_are_exported(tmp_path: Path) -> None:
    write_graphs(made(AGW, mirrored=True), HEIGHT, WIDTH, tmp_path)  # and compared with torch


@BOTH
def test_parts_of_layers_stand_one_beside_the_other(kind: type[Method]) -> None:
    plain, both = made(kind), made(kind, parts=2, middle_layers=(3,))
    maps = both.trunk.through(both.trunk.stem(pictures(), Modality.VISIBLE), (3,))
    assert both.embedding_dim == 2 * sum(each.shape[1] for each in maps)
    assert both.embedding_dim > 2 * plain.embedding_dim
    parts = [half for each in maps for half in each.chunk(2, dim=2)]
    expected = F.normalize(both.neck(torch.cat([both.pool(part) for part in parts], 1)), dim=1)
    torch.testing.assert_close(both.embed(pictures(), Modality.VISIBLE), expected)
    before = both.classifier.weight.clone()
    step(begun(both))
    assert not torch.equal(both.classifier.weight, before)


@BOTH
def test_frozen_layers_keep_weights_and_statistics(kind: type[Method]) -> None:
    method = made(kind, frozen_layers=2)
    before = {name: value.clone() for name, value in method.trunk.state_dict().items()}
    step(begun(method))
    for name, value in method.trunk.state_dict().items():
        if name.startswith(("stems", "shared.0.")):
            assert torch.equal(value, before[name]), name
    late = [n for n in before if n.startswith("shared.3.") and n.endswith("conv1.weight")]
    assert late
    assert all(not torch.equal(method.trunk.state_dict()[n], before[n]) for n in late)


@BOTH
def test_early_layers_learn_more_slowly(kind: type[Method]) -> None:
    method = made(kind, layer_lr_decay=0.5, learning_rate=1.0, trunk_lr_factor=0.8, warm_up=0)
    stage = begun(method)
    rate = {id(p): group["lr"] for group in stage.optimizer.param_groups for p in group["params"]}
    trunk = method.trunk

    def of(module: torch.nn.Module) -> float:
        return float(rate[id(next(module.parameters()))])

    found = [of(trunk.stems), *(of(layer) for layer in trunk.shared)]
    assert found == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8])
    assert of(method.classifier) == 1.0


@BOTH
def test_held_statistics_stay_while_weights_learn(kind: type[Method]) -> None:
    for held in (False, True):
        method = made(kind, frozen_statistics=held)
        before = {
            n: v.clone() for n, v in method.trunk.state_dict().items() if n.endswith("running_mean")
        }
        step(begun(method))
        state = method.trunk.state_dict()
        assert any(torch.equal(state[name], value) for name, value in before.items()) == held


@BOTH
def test_features_are_pulled_towards_those_of_the_start(kind: type[Method]) -> None:
    method = made(kind, pull=100.0, frozen_statistics=True, learning_rate=0.1)
    with torch.no_grad():  # as weights of another run that are loaded after it was built
        method.trunk.shared[3][0].conv1.weight.mul_(2)
    stage = begun(method)
    start = {name: value.clone() for name, value in method.start.state_dict().items()}
    assert torch.equal(start["shared.3.0.conv1.weight"], method.trunk.shared[3][0].conv1.weight)
    first = step(stage)["pull"].item()
    second = step(stage)["pull"].item()
    assert first == pytest.approx(0, abs=1e-3)  # nothing has been learnt yet
    assert second > first
    assert all(torch.equal(v, start[name]) for name, v in method.start.state_dict().items())
    kept = _needed_to_embed(method, HEIGHT, WIDTH)
    assert {n for n in kept if n.startswith("start.")} <= {"start.mean", "start.std"}


def test_more_parts_than_rows_are_refused_with_the_way_out() -> None:
    with pytest.raises(VireidError, match=r"settings\.parts is 9, .* 2 rows; set it lower"):
        made(AGW, parts=9).embed(pictures(), Modality.VISIBLE)
    with pytest.raises(VireidError, match=r"middle_layers.*rising"):
        made(AGW, middle_layers=(3, 2))
