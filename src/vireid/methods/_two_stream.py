"""What AGW and MUN do alike with a two-stream trunk: pooling, and what of it learns how fast.

A method that has `pull` keeps the trunk that it began with as its child `start`.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.modules.batchnorm import _BatchNorm

from vireid.backbones.two_stream import StackedMaps, TwoStreamCNN
from vireid.errors import VireidError
from vireid.methods._settings import TwoStreamSettings
from vireid.types.tensors import Embeddings, Images, Scalar

START = "start"
"""Name of the child that holds the trunk as training began with it."""


def pooled(
    trunk: TwoStreamCNN, pool: nn.Module, stems: StackedMaps, settings: TwoStreamSettings
) -> Embeddings:
    """Return pooled features of all parts of the maps of all layers that are embedded.

    Raises:
        VireidError: The maps have fewer rows than there are parts.
    """
    maps = trunk.through(stems, settings.middle_layers)
    if (rows := maps[-1].shape[2]) < settings.parts:
        raise VireidError(
            f"settings.parts is {settings.parts}, but the trunk's maps have {rows} rows; set it "
            "lower, data.height higher, or settings.last_stride to 1"
        )
    parts = [part for each in maps for part in each.tensor_split(settings.parts, dim=2)]
    return torch.cat([pool(part) for part in parts], dim=1)


def embedded(
    embed: Callable[[Images], Embeddings], images: Images, settings: TwoStreamSettings
) -> Embeddings:
    """Return embeddings at length one; the mean with those of mirror images if settings say so.

    Args:
        embed: Gives embeddings at length one.
        images: Images of one spectrum.
        settings: Settings of the method.
    """
    embeddings = embed(images)
    if not settings.mirrored:
        return embeddings
    return F.normalize(embeddings + embed(images.flip(3)), dim=1)


def features_of(trunk: TwoStreamCNN, settings: TwoStreamSettings) -> int:
    """Return how many numbers `pooled` gives."""
    if not settings.middle_layers:
        return settings.parts * trunk.channels
    return settings.parts * trunk.channels_of(settings.middle_layers)


def start_of(trunk: TwoStreamCNN, settings: TwoStreamSettings) -> TwoStreamCNN | None:
    """Return a copy of a trunk to compare with later; None where nothing pulls towards it.

    `remember` fills it when training begins, as weights may be loaded until then.
    """
    return deepcopy(trunk) if settings.pull else None


def remember(start: nn.Module | None, trunk: nn.Module) -> None:
    """Give the start the weights of the trunk."""
    if start is not None:
        start.load_state_dict(trunk.state_dict())


def learning(method: nn.Module, settings: TwoStreamSettings) -> tuple[nn.Module, ...]:
    """Return the parts of a method that learn: all but first layers that are frozen, and the start.

    Args:
        method: Method with a `trunk`.
        settings: Settings of the method.
    """
    if not settings.frozen_layers and not settings.pull:
        return (method,)
    children = dict(method.named_children())
    rest = [child for name, child in children.items() if name not in ("trunk", START)]
    return (*_layers(children["trunk"])[settings.frozen_layers :], *rest)


def trunk_groups(trunk: TwoStreamCNN, settings: TwoStreamSettings) -> list[tuple[list[Any], float]]:
    """Return the weights of the trunk that learn, each group with its share of the rate."""
    factor, decay = settings.trunk_lr_factor, settings.layer_lr_decay
    if decay == 1 and not settings.frozen_layers:
        return [(list(trunk.parameters()), factor)]
    layers = _layers(trunk)
    return [
        (list(layer.parameters()), factor * decay ** (len(layers) - 1 - place))
        for place, layer in enumerate(layers)
        if place >= settings.frozen_layers
    ]


def hold_statistics(trunk: nn.Module, settings: TwoStreamSettings) -> None:
    """Let batch normalisations use the statistics that they have, if the settings say so."""
    if settings.frozen_statistics:
        for module in trunk.modules():
            if isinstance(module, _BatchNorm):
                module.eval()


def pull(features: Embeddings, started: Embeddings, settings: TwoStreamSettings) -> Scalar:
    """Return the weighted mean cosine distance of features from those of the start."""
    apart: Tensor = 1 - F.cosine_similarity(features, started.detach(), dim=1)
    return settings.pull * apart.mean()


def _layers(trunk: nn.Module) -> list[nn.Module]:
    stems, shared = trunk.get_submodule("stems"), trunk.get_submodule("shared")
    return [stems, *shared.children()]
