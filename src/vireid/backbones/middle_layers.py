"""The middle layers of an ImageNet network, and their averages over parts of the picture."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vireid.backbones import imagenet
from vireid.errors import VireidError, suggestion
from vireid.types.tensors import FeatureMaps, Images


class MiddleLayers(nn.Module):
    """Gives the maps that leave some layers of a network; what comes after the last is left out."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, trunk: str, layers: Sequence[str], *, pretrained: bool, weights: str | None = None
    ) -> None:
        """Build the network.

        Args:
            trunk: timm's name of a convolutional network whose stages follow one another.
            layers: Names of the layers, such as `blocks_3`; by default those of the third of the
                last four stages, whose maps have a 16th of the picture's height.
            pretrained: Start from ImageNet's weights.
            weights: File of these, see `imagenet.create`.

        Raises:
            VireidError: There is no such network or layer, or its weights cannot be had.
        """
        super().__init__()
        network = imagenet.create(trunk, pretrained=pretrained, weights=weights)
        sequence = imagenet.in_order(network, trunk)
        modules = dict(sequence.items())
        layers = layers or _third_stage(list(modules), list(sequence.return_layers))
        if unknown := next((name for name in layers if name not in modules), None):
            hint = suggestion(unknown, list(modules), f"there are {', '.join(modules)}")
            raise VireidError(f"settings.layers has '{unknown}', no layer of {trunk}; {hint}")
        self._ends = tuple(layers)
        last = max(list(modules).index(name) for name in layers)
        self.stages = nn.ModuleDict(dict(list(modules.items())[: last + 1]))
        config = cast("dict[str, Any]", network.pretrained_cfg)
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(config[name])[:, None, None])

    def forward(self, images: Images) -> list[FeatureMaps]:
        """Return the maps that leave the named layers, for images in [0, 1]."""
        maps = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        found = []
        for name, stage in self.stages.items():
            maps = stage(maps)
            if name in self._ends:
                found.append(maps)
        return found


def averages(maps: FeatureMaps, rows: int, columns: int) -> Float[Tensor, "n _"]:
    """Return the average of every channel over each part of a grid, one vector for each picture.

    Parts are those of PyTorch's adaptive average pooling: they overlap where the maps cannot be
    divided evenly. Written as a product with fixed matrices, which every exporter knows.
    """
    down = _shares(maps.shape[2], rows, maps)
    right = _shares(maps.shape[3], columns, maps)
    return (down @ maps @ right.T).flatten(1)


def _shares(places: int, parts: int, like: Tensor) -> Float[Tensor, "parts places"]:
    shares = torch.zeros(parts, places, dtype=like.dtype, device=like.device)
    for part in range(parts):
        start, stop = part * places // parts, -(-(part + 1) * places // parts)
        shares[part, start:stop] = 1 / (stop - start)
    return shares


def _third_stage(names: list[str], ends: list[str]) -> list[str]:
    """Return the names of the third of the last four stages, given where stages end."""
    begin, end = (names.index(ends[place]) + 1 for place in (-3, -2))
    return names[begin:end]
