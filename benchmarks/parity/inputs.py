"""Weights and pictures that both sides are given."""

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.transforms import Normalize

from vireid.records import Modality
from vireid.training_data.batches import PairedBatch


def fill(net: nn.Module, weaker: Mapping[str, float]) -> None:
    """Give all weights and batch statistics random values, none of them at its usual start.

    Args:
        net: Network, whose weights are changed.
        weaker: Factors of what is drawn, by patterns of names. Where branches are weak, as in
            trained networks, rounding errors stay small over 20 steps; with strong ones any two
            runs part ways, also two of the same code.
    """
    chance = torch.Generator().manual_seed(0)
    for name, value in net.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=chance)
        if value.dim() > 1:
            value.copy_(math.sqrt(2 / value[0].numel()) * noise)
        elif name.endswith(("running_var", "weight")):
            value.copy_(0.5 + torch.rand(value.shape, generator=chance))
        else:
            value.copy_(0.1 * noise)
        for pattern, factor in weaker.items():
            if re.search(pattern, name):
                value.mul_(factor)


def normal(images: Tensor) -> Tensor:
    """Return pictures as released code gives them to its networks, less ImageNet's mean."""
    given: Tensor = Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])(images)
    return given


def set_statistics(net: nn.Module, batch: PairedBatch) -> None:
    """Let the batch statistics of a released network be those of a batch."""
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        net.train()(normal(batch.visible), normal(batch.infrared))
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum


def batch_of(
    number: int,
    dtype: torch.dtype,
    *,
    identities: int,
    people: int,
    images_each: int,
    size: tuple[int, int],
) -> PairedBatch:
    """Return random pictures; those of one person and spectrum are alike.

    Args:
        number: Number of the batch; another number gives other pictures.
        dtype: Precision.
        identities: People there are.
        people: People of the batch.
        images_each: Pictures of each in either spectrum.
        size: Rows and columns.
    """
    chance = torch.Generator().manual_seed(number)
    drawn = torch.randperm(identities, generator=chance)[:people].repeat_interleave(images_each)
    halves = []
    for _ in Modality:
        looks = torch.rand((identities, 3, *size), generator=chance)[drawn]
        noise = torch.rand(looks.shape, generator=chance)
        halves.append(((looks + noise) / 2).to(dtype))
    return PairedBatch(halves[0], halves[1], drawn)
