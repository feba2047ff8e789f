"""DEEN: features of three views of each map, and maps of layers joined to those before them."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vireid.backbones.two_stream import TwoStreamCNN
from vireid.records import Modality
from vireid.types.tensors import Images

Maps = Float[Tensor, "n _ _ _"]
"""Feature maps of any channels, rows and columns."""
DILATIONS = (1, 2, 3)
MADE = 2
"""Views that are made of a map; the map itself is the first."""


class DEEN(nn.Module):
    """A two-stream ResNet-50 whose last layer sees each picture three times.

    Source: Zhang and Wang, Diverse Embedding Expansion Network and Low-Light Cross-Modality
    Benchmark for Visible-Infrared Person Re-identification, CVPR 2023, and its released code.
    """

    def __init__(self, trunk: TwoStreamCNN, *, layers: int) -> None:
        """Add to a trunk, which is taken apart.

        Args:
            trunk: A ResNet-50 of two streams.
            layers: Layers that remain: 4, or 3 as for RegDB.
        """
        super().__init__()
        self.trunk = trunk
        trunk.shared = trunk.shared[:layers]
        ahead, *after = (64, 256, 512, 1024, 2048)[: layers + 1]
        joined = [ahead, *after[:-2]]
        self.joins = nn.ModuleList(
            _Join(own, earlier, halve=number > 0)
            for number, (own, earlier) in enumerate(zip(after[:-1], joined, strict=True))
        )
        self.expand = _Expansion(after[-2])
        self.views, self.channels = 1 + MADE, after[-1]

    def forward(self, images: Mapping[Modality, Images]) -> Float[Tensor, "stacked v d"]:
        """Return features of three views, stacked in the order in which the spectra were given."""
        stems = [self.trunk.stem(pictures, modality) for modality, pictures in images.items()]
        maps = torch.cat(stems)
        *layers, last = self.trunk.shared
        for layer, join in zip(layers, self.joins, strict=True):
            maps = join(layer(maps), maps)
        views: Tensor = last(self.expand(maps))
        pooled = views.mean(dim=(2, 3))
        return pooled.reshape(self.views, -1, self.channels).transpose(0, 1)


class _Join(nn.Module):
    """Adds to the maps of a layer what they attend to in those before it."""

    def __init__(self, own: int, earlier: int, *, halve: bool) -> None:
        super().__init__()
        self.by_channel = _ByChannel(own, earlier, 2 if halve else 1)
        self.by_place = _ByPlace(own, earlier)

    def forward(self, maps: Maps, earlier: Maps) -> Maps:
        joined: Maps = self.by_place(self.by_channel(maps, earlier), earlier)
        return joined


class _ByChannel(nn.Module):
    """Attention between channels: each of the earlier ones is a mean of them all."""

    def __init__(self, own: int, earlier: int, stride: int) -> None:
        super().__init__()
        self.theta = nn.Conv2d(own, earlier, 1)
        self.phi = nn.Conv2d(earlier, earlier, 1, stride=stride)
        self.g = nn.Conv2d(earlier, earlier, 1)
        self.out = nn.Conv2d(earlier, own, 1, stride=stride)
        self.norm = _nothing_at_first(own)

    def forward(self, maps: Maps, earlier: Maps) -> Maps:
        theta, phi = self.theta(maps).flatten(2), self.phi(earlier).flatten(2)
        match = theta @ phi.transpose(1, 2) / phi.shape[1]
        seen = (match @ self.g(earlier).flatten(2)).unflatten(2, earlier.shape[2:])
        added: Maps = self.norm(self.out(seen))
        return maps + added


class _ByPlace(nn.Module):
    """Attention between places: each is a mean of all places of the earlier maps.

    As the code computes it: each channel is cut at half its places into two, so that a place of the
    first half attends together with one of the second.
    """

    def __init__(self, own: int, earlier: int) -> None:
        super().__init__()
        inner = earlier // 2
        self.theta = nn.Conv2d(own, inner, 1)
        self.phi, self.g = nn.Conv2d(earlier, inner, 1), nn.Conv2d(earlier, inner, 1)
        self.out = nn.Conv2d(inner, own, 1)
        self.norm = _nothing_at_first(own)

    def forward(self, maps: Maps, earlier: Maps) -> Maps:
        theta = _cut(self.theta(maps))
        phi, g = _cut(self.phi(earlier)), _cut(self.g(earlier))
        match = phi.transpose(1, 2) @ theta / phi.shape[2]
        seen = (g @ match).reshape(maps.shape[0], -1, *maps.shape[2:])
        added: Maps = self.norm(self.out(seen))
        return maps + added


def _cut(maps: Maps) -> Float[Tensor, "n _ _"]:
    """Return two channels for each, one for each half of its places; their number is even."""
    # By len(maps) an exported graph would take this number of pictures alone.
    return maps.reshape(maps.shape[0], 2 * maps.shape[1], -1)


class _Expansion(nn.Module):
    """Puts behind the maps of a batch two other views of each, made at three dilations."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 4
        self.looks = nn.ModuleList(
            nn.ModuleList(
                nn.Conv2d(channels, inner, 3, padding=wide, dilation=wide, bias=False)
                for wide in DILATIONS
            )
            for _ in range(MADE)
        )
        self.leave = nn.ModuleList(nn.Conv2d(inner, channels, 1) for _ in range(MADE))
        self.dropout = nn.Dropout(0.01)

    def forward(self, maps: Maps) -> Float[Tensor, "views _ _ _"]:
        made = [
            leave(torch.stack([look(maps) for look in looks]).mean(dim=0).relu())  # type: ignore[attr-defined]
            for looks, leave in zip(self.looks, self.leave, strict=True)
        ]
        views: Tensor = self.dropout(torch.cat([maps, *made]))
        return views


def _nothing_at_first(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    nn.init.zeros_(norm.weight)
    return norm
