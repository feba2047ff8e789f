"""What fast-reid's ResNet-50 has otherwise than torchvision's."""

from typing import cast

import torch
from torch import nn

from vireid.backbones.two_stream import TwoStreamCNN
from vireid.types.tensors import FeatureMaps


class HalfInstanceNorm(nn.Module):
    """Instance normalisation of the first half of the channels, batch normalisation of the rest.

    Source: Pan et al., Two at Once: Enhancing Learning and Generalization Capacities via IBN-Net,
    ECCV 2018 (IBN-a).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = channels // 2
        self.instance = nn.InstanceNorm2d(self.first, affine=True)
        self.batch = nn.BatchNorm2d(channels - self.first)

    def forward(self, maps: FeatureMaps) -> FeatureMaps:
        """Return normalised maps of the same shape."""
        first, rest = maps[:, : self.first], maps[:, self.first :]
        return torch.cat([self.instance(first), self.batch(rest)], dim=1)


def as_in_fast_reid(trunk: TwoStreamCNN, *, instance_norm: bool) -> None:
    """Give a ResNet fast-reid's pooling behind the stem.

    Args:
        trunk: A ResNet; it is changed.
        instance_norm: Whether blocks of the first three layers have `HalfInstanceNorm` (R50-ibn).
    """
    for stem in trunk.stems.values():
        cast("nn.Sequential", stem)[3] = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    if instance_norm:
        for layer in list(trunk.shared)[:3]:
            for block in cast("nn.Sequential", layer):
                if isinstance(norm := getattr(block, "bn1", None), nn.BatchNorm2d):
                    block.register_module("bn1", HalfInstanceNorm(norm.num_features))
