"""AGW is the network and the training that its paper's code describes."""

from typing import Any

import numpy as np
import pytest
import pytorch_metric_learning.losses
import torch
from tests.toy import PEOPLE, ToyData, small
from torch import nn

from vireid import methods
from vireid.backbones.non_local import NonLocal
from vireid.backbones.pooling import GeneralisedMean
from vireid.backbones.two_stream import AGW_NON_LOCAL, TwoStreamCNN
from vireid.errors import VireidError
from vireid.methods.agw import AGW
from vireid.records import Modality

TINY: dict[str, Any] = {"trunk": "resnet10t", "width": 0.125, "pretrained": False}


def shape_of_maps(size: tuple[int, int], **settings: Any) -> tuple[int, ...]:
    with torch.device("meta"):
        trunk = TwoStreamCNN(**settings)
        return tuple(trunk({Modality.VISIBLE: torch.rand(1, 3, *size)}).shape)


def lr_by_epoch(**settings: Any) -> list[tuple[float, ...]]:
    method = AGW(AGW.Config(**TINY, **settings), PEOPLE)
    (stage,) = method.stages(ToyData())
    assert stage.schedule
    rates = []
    for _ in range(stage.epochs):
        rates.append(tuple(group["lr"] for group in stage.optimizer.param_groups))
        stage.optimizer.step()
        stage.schedule.step()
    return rates


@pytest.mark.parametrize(
    ("trunk", "stride", "shape"),
    [
        ("resnet50", 1, (1, 2048, 18, 9)),
        ("resnet50", 2, (1, 2048, 9, 5)),
        ("resnet10t", 1, (1, 512, 18, 9)),
    ],
)
def test_last_stride_sets_the_size_of_the_maps(
    trunk: str, stride: int, shape: tuple[int, ...]
) -> None:
    assert shape_of_maps((288, 144), trunk=trunk, last_stride=stride) == shape


def test_last_stride_one_dilates_nothing() -> None:
    trunk = TwoStreamCNN("resnet18", width=0.125)
    convolutions = [m for m in trunk.shared.modules() if isinstance(m, nn.Conv2d)]
    assert {m.dilation for m in convolutions} == {(1, 1)}


@pytest.mark.parametrize("trunk", ["resnet10t", "resnet18", "resnet26t", "resnet50"])
@pytest.mark.parametrize("width", [0.25, 1.5])
def test_width_multiplies_all_channels(trunk: str, width: float) -> None:
    with torch.device("meta"):
        full, scaled = TwoStreamCNN(trunk), TwoStreamCNN(trunk, width=width)
        stem = scaled.stem(torch.rand(1, 3, 64, 32), Modality.VISIBLE)
    assert scaled.channels == full.channels * width
    assert stem.shape == (1, 64 * width, 16, 8)
    maps = shape_of_maps((64, 32), trunk=trunk, width=width)
    assert maps == (1, scaled.channels, 4, 2)


def test_a_small_model_has_a_million_weights() -> None:
    trunk = TwoStreamCNN("resnet10t", width=0.5)
    assert sum(p.numel() for p in trunk.parameters()) < 1.4e6


def test_only_the_stems_know_the_spectrum() -> None:
    trunk = TwoStreamCNN("resnet10t", width=0.125).eval()
    image = torch.rand(2, 3, 32, 16)
    apart = trunk({Modality.VISIBLE: image}), trunk({Modality.INFRARED: image})
    torch.testing.assert_close(*apart)  # Both start from the same weights.
    with torch.no_grad():
        next(trunk.stems["infrared"].parameters()).add_(0.1)
    assert not torch.allclose(trunk({Modality.INFRARED: image}), apart[1])
    torch.testing.assert_close(trunk({Modality.VISIBLE: image}), apart[0])
    both = trunk(dict.fromkeys(Modality, image))
    torch.testing.assert_close(both[:2], apart[0])


def test_images_are_normalised_by_the_trunk() -> None:
    trunk = TwoStreamCNN("resnet10t", width=0.125)
    trunk.stems["visible"] = nn.Identity()
    grey = trunk.stem(torch.full((1, 3, 2, 2), 0.5), Modality.VISIBLE)[0, :, 0, 0]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(grey, (0.5 - mean) / std)


def test_non_local_blocks_lie_where_agw_has_them() -> None:
    with torch.device("meta"):
        trunk = TwoStreamCNN("resnet50", width=0.125, non_local=AGW_NON_LOCAL)
    places = [[isinstance(m, NonLocal) for m in layer.children()] for layer in trunk.shared]
    assert places[0] == [False] * 3
    assert places[1] == [False, False, False, True, False, True]
    assert places[2] == [False] * 3 + [False, True] * 3
    assert places[3] == [False] * 3


def test_non_local_blocks_begin_as_nothing() -> None:
    maps = torch.rand(2, 8, 4, 2)
    torch.testing.assert_close(NonLocal(8)(maps), maps)


def test_non_local_attention_is_its_formula() -> None:
    block = NonLocal(4, inner=2).eval()
    nn.init.ones_(block.norm.weight)
    maps = torch.rand(1, 4, 3, 2)
    flat = maps.flatten(2)[0]

    def through(layer: nn.Conv2d, column: torch.Tensor) -> torch.Tensor:
        assert layer.bias is not None
        return layer.weight[:, :, 0, 0] @ column + layer.bias

    for i in range(6):
        seen = torch.zeros(2)
        for j in range(6):
            match = through(block.theta, flat[:, i]) @ through(block.phi, flat[:, j])
            seen = seen + match * through(block.g, flat[:, j]) / 6
        expected = flat[:, i] + through(block.out, seen) / (1 + block.norm.eps) ** 0.5
        torch.testing.assert_close(block(maps).flatten(2)[0, :, i], expected)


def test_generalised_mean_of_power_one_is_the_mean_and_of_a_great_one_the_maximum() -> None:
    maps = torch.rand(2, 3, 4, 5) + 0.5
    torch.testing.assert_close(GeneralisedMean(1.0)(maps), maps.mean(dim=(2, 3)))
    torch.testing.assert_close(
        GeneralisedMean(100.0)(maps), maps.amax(dim=(2, 3)), rtol=0.04, atol=0
    )
    cubes = sum(x**3 for x in maps[0, 0].flatten().tolist()) / 20
    assert GeneralisedMean()(maps)[0, 0].item() == pytest.approx(cubes ** (1 / 3), rel=1e-5)


def test_generalised_mean_raises_small_values_or_adds_to_the_mean() -> None:
    maps = np.zeros((1, 3, 2, 2))
    maps[0, 1:, 0, 0] = 1e-3, 2.0
    given = torch.from_numpy(maps)
    added = ((maps**3).mean(axis=(2, 3)) + 1e-12) ** (1 / 3)
    np.testing.assert_allclose(GeneralisedMean()(given), added, rtol=1e-12)
    raised = (np.maximum(maps, 1e-6) ** 3).mean(axis=(2, 3)) ** (1 / 3)
    np.testing.assert_allclose(GeneralisedMean(least=1e-6)(given), raised, rtol=1e-9)
    assert raised[0, 0] == pytest.approx(1e-6)
    assert added[0, 0] == pytest.approx(1e-4)


@pytest.mark.parametrize("learn", [False, True])
def test_generalised_mean_of_a_dead_channel_can_be_learnt_from(learn: bool) -> None:
    maps = torch.zeros(2, 3, 4, 5, requires_grad=True)
    pool = GeneralisedMean(learn=learn)
    pool(maps).sum().backward()
    for learnt in (maps, *pool.parameters()):
        assert learnt.grad is not None
        assert bool(learnt.grad.isfinite().all())


def test_generalised_mean_does_not_overflow_in_half_precision() -> None:
    maps = torch.full((1, 1, 2, 2), 100.0, dtype=torch.float16)
    assert GeneralisedMean()(maps).item() == pytest.approx(100)


def test_learning_rates_are_those_of_the_code() -> None:
    rates = lr_by_epoch()
    assert len(rates) == 81
    for epoch, height in [(0, 0.01), (9, 0.1), (19, 0.1), (20, 0.01), (49, 0.01), (50, 0.001)]:
        trunk, heads = rates[epoch]
        assert heads == pytest.approx(height)
        assert trunk == pytest.approx(height / 10)


def test_cosine_warms_up_and_comes_down_to_nothing() -> None:
    rates = [heads for _, heads in lr_by_epoch(optimizer="adamw", schedule="cosine", epochs=60)]
    assert max(rates) == rates[9] == rates[10] == pytest.approx(0.1)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[35] == pytest.approx(0.05)
    assert rates[-1] < 1e-3


def test_the_neck_has_no_bias_and_the_classifier_is_small() -> None:
    method = AGW(AGW.Config(**TINY), 1000)
    names = [name for name, _ in method.named_parameters()]
    assert "neck.weight" in names
    assert "neck.bias" not in names
    assert "classifier.bias" not in names
    assert method.classifier.weight.std().item() == pytest.approx(0.001, rel=0.05)


def test_losses_are_weighted() -> None:
    once = losses_of()
    thrice = losses_of(identity_weight=3.0, triplet_weight=0.5)
    torch.testing.assert_close(thrice["identity"], once["identity"] * 3)
    torch.testing.assert_close(thrice["triplet"], once["triplet"] * 0.5)


def losses_of(**settings: Any) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    method = AGW(AGW.Config(**TINY, **settings), PEOPLE).eval()
    (stage,) = method.stages(ToyData())
    with torch.no_grad():
        return dict(stage.losses(next(iter(ToyData().paired(4, 2)(0))), 0))


@pytest.mark.parametrize(("name", "settings"), [("CircleLoss", {"gamma": 64}), ("NCALoss", {})])
def test_a_loss_of_another_library_is_added_by_its_name(
    name: str, settings: dict[str, Any]
) -> None:
    asked: dict[str, Any] = {
        "extra_loss": name,
        "extra_loss_weight": 0.5,
        "extra_loss_settings": settings,
    }
    method = AGW(AGW.Config(**TINY, **asked), PEOPLE).eval()
    (stage,) = method.stages(ToyData())
    batch = next(iter(ToyData().paired(4, 2)(0)))
    seen: list[torch.Tensor] = []
    method.neck.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    found = stage.losses(batch, 0)
    theirs = getattr(pytorch_metric_learning.losses, name)(**settings)
    expected = theirs(seen[0], batch.identities_of_both)
    assert list(found) == ["identity", "triplet", name]
    assert found[name].item() == pytest.approx(0.5 * expected.item())
    found[name].backward()  # type: ignore[no-untyped-call]
    assert any(weight.grad is not None for weight in method.trunk.parameters())


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("CircelLoss", {}, "has no loss 'CircelLoss'; did you mean 'CircleLoss'"),
        ("BaseMetricLossFunction", {}, "has no loss 'BaseMetricLossFunction'"),
        ("CircleLoss", {"gama": 64}, "CircleLoss does not take the settings.*gama"),
        ("ArcFaceLoss", {}, "ArcFaceLoss does not take the settings.*num_classes"),
        ("ArcFaceLoss", {"num_classes": 4, "embedding_size": 8}, "ArcFaceLoss has weights"),
    ],
)
def test_a_loss_that_cannot_be_added_is_refused(
    name: str, settings: dict[str, Any], told: str
) -> None:
    config = AGW.Config(**TINY, extra_loss=name, extra_loss_settings=settings)
    with pytest.raises(VireidError, match=told):
        AGW(config, PEOPLE).stages(ToyData())


def test_two_images_of_each_person_are_enough_one_of_either_spectrum() -> None:
    method = small(AGW)
    (stage,) = method.stages(ToyData())
    batch = next(iter(ToyData().paired(4, 1)(0)))
    assert all(bool(loss.isfinite()) for loss in stage.losses(batch, 0).values())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"trunk": "resnet5O"}, "did you mean 'resnet50"),
        ({"trunk": "vit_small_patch16_224"}, "no ResNet"),
        ({"width": 0.5, "pretrained": True}, "settings.pretrained to false"),
        ({"people": 1}, "settings.people"),
        ({"width": -1.0}, "settings.width"),
        ({"milestones": (50, 20)}, "settings.milestones"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(VireidError, match=told):
        AGW(AGW.Config(**{**TINY, **settings}), PEOPLE)


def test_weights_that_cannot_be_had_are_an_error_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(VireidError, match=r"settings.pretrained to false"):
        AGW(AGW.Config(trunk="resnet10t", pretrained=True), PEOPLE)


def test_a_method_is_found_by_its_files_name() -> None:
    assert "agw" in methods.available()
    assert methods.find("agw") is AGW
    with pytest.raises(VireidError, match="did you mean 'agw'"):
        methods.find("awg")
