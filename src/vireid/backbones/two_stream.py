"""A ResNet with a stem for each spectrum; all deeper layers are shared."""

from collections.abc import Mapping
from copy import deepcopy
from itertools import zip_longest
from typing import Any, Literal, cast

import timm
import torch
from jaxtyping import Float
from timm.models.resnet import ResNet, downsample_conv
from torch import Tensor, nn

from vireid.backbones.non_local import NonLocal
from vireid.errors import VireidError, suggestion
from vireid.records import Modality
from vireid.shapes import FeatureMaps, Images

StackedMaps = Float[Tensor, "stacked c y x"]
"""Feature maps of several sets of images, one after the other."""
AGW_NON_LOCAL = (0, 2, 3, 0)
"""Number of non-local blocks in layer1 .. layer4, one after each of the layer's last blocks."""


class TwoStreamResNet(nn.Module):
    """Turns images of both spectra into feature maps that can be compared.

    Each spectrum has a stem of its own: conv1, bn1, activation and maxpool. layer1 to layer4 are
    shared, and see the images of both spectra as one batch. Source: Ye et al., Deep Learning for
    Person Re-identification, TPAMI 2021 (AGW), section 4 and its released code.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        trunk: str,
        *,
        width: float = 1.0,
        pretrained: bool = False,
        last_stride: Literal[1, 2] = 1,
        non_local: tuple[int, int, int, int] = (0, 0, 0, 0),
        share_from: Literal["layer1", "layer2", "layer3"] = "layer1",
        more_stems: tuple[str, ...] = (),
    ) -> None:
        """Build the network.

        Args:
            trunk: timm's name of a ResNet, e.g. `resnet50.tv_in1k`.
            width: Factor of all numbers of channels; pretrained weights need 1. Any other also
                means a plain stem, see `_scaled`.
            pretrained: Start all stems and layers from ImageNet.
            last_stride: 1 keeps layer4's maps at a 16th of the image's size, 2 makes it a 32nd.
            non_local: Number of non-local blocks in each of the four layers.
            share_from: Layers before this one belong to the stems.
            more_stems: Names of further stems, for images that belong to neither spectrum.

        Raises:
            VireidError: timm has no such ResNet, or its weights cannot be had.
        """
        super().__init__()
        network = _create(trunk, width, pretrained)
        for name in ("mean", "std"):
            values = torch.tensor(cast("dict[str, Any]", network.pretrained_cfg)[name])
            self.register_buffer(name, values[:, None, None])
        parts = dict(network.named_children())
        layers = [cast("nn.Sequential", parts[f"layer{i}"]) for i in (1, 2, 3, 4)]
        if last_stride == 1:
            _keep_size(layers[-1])
        layers = list(map(_with_non_local, layers, non_local))
        own = layers[: int(share_from[-1]) - 1]
        stem = nn.Sequential(*(parts[name] for name in ("conv1", "bn1", "act1", "maxpool")), *own)
        names = [*map(str, Modality), *more_stems]
        self.stems = nn.ModuleDict({name: deepcopy(stem) for name in names})
        # Nothing in place of a layer that stems have, so that weights keep their names.
        self.shared = nn.Sequential(*(nn.Identity() for _ in own), *layers[len(own) :])
        self.stem_channels = _channels_after(stem)
        self.channels: int = network.num_features
        self.register_load_state_dict_pre_hook(  # type: ignore[no-untyped-call]
            _start_unknown_stems
        )

    def forward(self, images: Mapping[Modality, Images]) -> StackedMaps:
        """Return feature maps, stacked in the order in which the spectra were given."""
        stems = [self.stem(pictures, modality) for modality, pictures in images.items()]
        maps: StackedMaps = self.shared(torch.cat(stems))
        return maps

    def stem(self, images: Images, modality: Modality) -> FeatureMaps:
        """Pass images in [0, 1] through their own stem, as input of the shared layers."""
        maps: FeatureMaps = self.stems[modality.value](self.normalised(images))
        return maps

    def normalised(self, images: Images) -> Images:
        """Return images in [0, 1] less ImageNet's mean, divided by its deviation."""
        normal = (images - self.mean) / self.std
        return normal.contiguous(memory_format=torch.channels_last)


def _start_unknown_stems(
    trunk: TwoStreamResNet, state: dict[str, Tensor], prefix: str, *_: object
) -> None:
    """Let stems that loaded weights lack, as those of AGW do, start as the visible one."""
    visible = f"{prefix}stems.{Modality.VISIBLE}."
    known = {name.removeprefix(visible): v for name, v in state.items() if name.startswith(visible)}
    for stem in trunk.stems:
        for name, value in known.items():
            state.setdefault(f"{prefix}stems.{stem}.{name}", value)


def _create(trunk: str, width: float, pretrained: bool) -> ResNet:
    _check_name(trunk)
    if width != 1:
        if pretrained:
            raise VireidError(
                f"there are no pretrained weights of a {trunk} that is {width:g} times as wide; "
                "set settings.width to 1 or settings.pretrained to false"
            )
        return _scaled(trunk, width)
    try:
        return cast("ResNet", timm.create_model(trunk, pretrained, num_classes=0))
    except Exception as error:
        # Hub, network and file system each raise errors of their own.
        if not pretrained:
            raise
        raise VireidError(
            f"the pretrained weights of {trunk} cannot be had ({error}); start once with a "
            "connection or copy HF_HOME (~/.cache/huggingface) from a machine that has one, or set "
            "settings.pretrained to false and settings.trunk_lr_factor to 1"
        ) from error


def _check_name(trunk: str) -> None:
    names = timm.list_models(module="resnet", include_tags=False)
    names += timm.list_models(module="resnet", include_tags=True)
    if trunk not in names:
        hint = suggestion(trunk, names, "resnet50.tv_in1k is one")
        raise VireidError(f"timm has no ResNet called '{trunk}'; {hint}")


def _scaled(trunk: str, width: float) -> ResNet:
    """Return a trunk with `width` times the channels.

    Its stem is the plain 7x7 convolution whatever the trunk's own is: on a processor a training
    step with `resnet10t`'s three 3x3 convolutions takes 1.5 times as long, and with timm's fixed
    64 channels twice as long.
    """
    stem, *channels = (max(8, round(c * width / 8) * 8) for c in (64, 64, 128, 256, 512))
    network: Any = timm.create_model(trunk, num_classes=0, stem_type="", channels=channels)
    network.conv1 = nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False)
    network.bn1 = nn.BatchNorm2d(stem)
    first = network.layer1[0]
    kernel, padding = first.conv1.kernel_size, first.conv1.padding
    first.conv1 = nn.Conv2d(stem, first.conv1.out_channels, kernel, padding=padding, bias=False)
    leaves = _channels_after(first)
    first.downsample = None if leaves == stem else downsample_conv(stem, leaves, kernel_size=1)
    network.init_weights()
    return cast("ResNet", network)


def _keep_size(layer: nn.Sequential) -> None:
    """Take the strides out of a layer (timm's `output_stride` would also dilate it)."""
    for module in list(layer[0].modules()):
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
        for name, child in module.named_children():
            if isinstance(child, nn.AvgPool2d):
                setattr(module, name, nn.Identity())


def _with_non_local(layer: nn.Sequential, count: int) -> nn.Sequential:
    plain = [None] * max(0, len(layer) - count)
    attention = [NonLocal(_channels_after(block)) for block in layer[len(plain) :]]
    pairs = zip_longest(layer, [*plain, *attention])
    return nn.Sequential(*(module for pair in pairs for module in pair if module is not None))


def _channels_after(block: nn.Module) -> int:
    return [m.num_features for m in block.modules() if isinstance(m, nn.BatchNorm2d)][-1]
