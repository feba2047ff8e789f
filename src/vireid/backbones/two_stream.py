"""A convolutional network with a stem for each spectrum; all deeper layers are shared."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal, cast

import timm
import torch
from jaxtyping import Float
from timm.models.resnet import ResNet, downsample_conv
from torch import Tensor, nn

from vireid.backbones import imagenet
from vireid.backbones.non_local import NonLocal
from vireid.backbones.pooling import GeneralisedMean
from vireid.errors import VireidError, suggestion
from vireid.records import Modality
from vireid.types.tensors import FeatureMaps, Images

StackedMaps = Float[Tensor, "stacked c y x"]
"""Feature maps of several sets of images, one after the other."""
AGW_NON_LOCAL = (0, 2, 3, 0)
"""Number of non-local blocks in layer1 .. layer4, one after each of the layer's last blocks."""


class TwoStreamCNN(nn.Module):
    """Turns images of both spectra into feature maps that can be compared.

    Each spectrum has a stem of its own, in a ResNet conv1, bn1, activation and maxpool. Four layers
    are shared, and see the images of both spectra as one batch. Source: Ye et al., Deep Learning
    for Person Re-identification, TPAMI 2021 (AGW), section 4 and its released code, for ResNets. Of
    any other network of timm the layers are its last four stages, and the stem is what lies before.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        trunk: str,
        *,
        width: float = 1.0,
        pretrained: bool = False,
        weights: str | None = None,
        last_stride: Literal[1, 2] = 1,
        non_local: tuple[int, int, int, int] = (0, 0, 0, 0),
        share_from: Literal["layer1", "layer2", "layer3"] = "layer1",
        more_stems: tuple[str, ...] = (),
    ) -> None:
        """Build the network.

        Args:
            trunk: timm's name of a convolutional network, e.g. `resnet50.tv_in1k`.
            width: Factor of all numbers of channels; only ResNets have it, and pretrained weights
                need 1. Any other also means a plain stem, see `_scaled`.
            pretrained: Start all stems and layers from ImageNet.
            weights: File of ImageNet's weights, see `imagenet.create`.
            last_stride: 1 keeps the last layer's maps at a 16th of the image's size, 2 makes it a
                32nd.
            non_local: Number of non-local blocks in each of the four layers; only ResNets have any.
            share_from: Layers before this one belong to the stems.
            more_stems: Names of further stems, for images that belong to neither spectrum.

        Raises:
            VireidError: timm has no such network, it has not four stages one after the other, or
                its weights cannot be had.
        """
        super().__init__()
        network = _create(trunk, width, pretrained, weights)
        for name in ("mean", "std"):
            values = torch.tensor(cast("dict[str, Any]", network.pretrained_cfg)[name])
            self.register_buffer(name, values[:, None, None])
        parts = _parts(network, trunk)
        layers = parts.layers
        if any(non_local) and not isinstance(network, ResNet):
            raise VireidError(
                f"{trunk} is no ResNet, and only these have non-local blocks here; set "
                "settings.non_local to false"
            )
        if last_stride == 1:
            _keep_size(layers[-1], trunk)
        layers = list(map(_with_non_local, layers, non_local))
        own = layers[: int(share_from[-1]) - 1]
        stem = nn.Sequential(*parts.stem, *own)
        names = [*map(str, Modality), *more_stems]
        self.stems = nn.ModuleDict({name: deepcopy(stem) for name in names})
        # Nothing in place of a layer that stems have, so that weights keep their names.
        self.shared = nn.Sequential(*(nn.Identity() for _ in own), *layers[len(own) :])
        self.stem_channels = _channels_of_maps(stem)
        self.channels = parts.channels
        self._may_be_negative = parts.may_be_negative
        self.register_load_state_dict_pre_hook(  # type: ignore[no-untyped-call]
            _start_unknown_stems
        )

    def forward(self, images: Mapping[Modality, Images]) -> StackedMaps:
        """Return feature maps, stacked in the order in which the spectra were given."""
        stems = [self.stem(pictures, modality) for modality, pictures in images.items()]
        maps: StackedMaps = self.shared(torch.cat(stems))
        return maps

    def through(
        self, stems: StackedMaps, layers: Sequence[int] = ()
    ) -> list[Float[Tensor, "stacked _ _ _"]]:
        """Return the maps that leave some shared layers, and behind them those of the last.

        Args:
            stems: Maps that leave the stems, as `stem` gives them.
            layers: Numbers of the layers, from 1; none of them in the stems.
        """
        maps, found = stems, []
        for number, layer in enumerate(self.shared, start=1):
            maps = layer(maps)
            if number in layers:
                found.append(maps)
        return [*found, maps]

    def channels_of(self, layers: Sequence[int]) -> int:
        """Return how many channels these layers and the last one have together."""
        weight = next(self.parameters())
        state = {module: module.training for module in self.modules()}
        images = torch.zeros(1, 3, 64, 64, device=weight.device)
        with torch.no_grad():
            maps = self.eval().through(self.stem(images, Modality.VISIBLE), layers)
        for module, training in state.items():
            module.training = training
        return sum(each.shape[1] for each in maps)

    def pooling(self, power: float, *, learn: bool = False) -> GeneralisedMean:
        """Return a generalised mean over these maps.

        Negative values, whose powers may have no root, become 1e-6 first.

        Args:
            power: The power; 1 is the plain mean, which takes negative values as they are.
            learn: Whether the power is learnt from this beginning.
        """
        raised = self._may_be_negative and (power != 1 or learn)
        return GeneralisedMean(power, learn=learn, least=1e-6 if raised else None)

    def stem(self, images: Images, modality: Modality) -> FeatureMaps:
        """Pass images in [0, 1] through their own stem, as input of the shared layers."""
        maps: FeatureMaps = self.stems[modality.value](self.normalised(images))
        return maps

    def normalised(self, images: Images) -> Images:
        """Return images in [0, 1] less ImageNet's mean, divided by its deviation."""
        normal = (images - self.mean) / self.std
        return normal.contiguous(memory_format=torch.channels_last)


def _start_unknown_stems(
    trunk: TwoStreamCNN, state: dict[str, Tensor], prefix: str, *_: object
) -> None:
    """Let stems that loaded weights lack, as those of AGW do, start as the visible one."""
    visible = f"{prefix}stems.{Modality.VISIBLE}."
    known = {name.removeprefix(visible): v for name, v in state.items() if name.startswith(visible)}
    for stem in trunk.stems:
        for name, value in known.items():
            state.setdefault(f"{prefix}stems.{stem}.{name}", value)


def _create(trunk: str, width: float, pretrained: bool, weights: str | None) -> nn.Module:
    if width == 1:
        return imagenet.create(trunk, pretrained=pretrained, weights=weights)
    names = timm.list_models(module="resnet", include_tags=False)
    if trunk.partition(".")[0] not in names:
        hint = suggestion(trunk, names, "resnet18 is one")
        raise VireidError(f"timm has no ResNet called '{trunk}', and others have no width; {hint}")
    if pretrained:
        raise VireidError(
            f"there are no pretrained weights of a {trunk} that is {width:g} times as wide; "
            "set settings.width to 1 or settings.pretrained to false"
        )
    return _scaled(trunk, width)


@dataclass(frozen=True)
class _Parts:
    stem: list[nn.Module]
    layers: list[nn.Sequential]
    channels: int
    """Channels of the last layer's maps."""
    may_be_negative: bool
    """Whether these maps hold negative values, as where no ReLU is at the end."""


def _parts(network: nn.Module, trunk: str) -> _Parts:
    """Take a network apart."""
    if isinstance(network, ResNet):
        children = dict(network.named_children())
        stem = [children[name] for name in ("conv1", "bn1", "act1", "maxpool")]
        layers = [cast("nn.Sequential", children[f"layer{i}"]) for i in (1, 2, 3, 4)]
        return _Parts(stem, layers, network.num_features, may_be_negative=False)
    features = imagenet.in_order(network, trunk)
    groups: list[list[nn.Module]] = [[]]
    for name, child in features.items():
        groups[-1].append(child)
        if name in features.return_layers:
            groups.append([])
    *before, first, second, third, last, _ = groups
    if not before:  # the first stage has an end, the stem before it has none
        before, first = [first[:-1]], first[-1:]
    return _Parts(
        [module for group in before for module in _blocks(group)],
        [nn.Sequential(*_blocks(group)) for group in (first, second, third, last)],
        features.feature_info.channels()[-1],
        may_be_negative=True,
    )


def _blocks(modules: Sequence[nn.Module]) -> list[nn.Module]:
    return [b for m in modules for b in (m if isinstance(m, nn.Sequential) else [m])]


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


def _keep_size(layer: nn.Sequential, trunk: str) -> None:
    """Take the strides out of a layer (timm's `output_stride` would also dilate it)."""
    for module in list(layer.modules()):
        if isinstance(module, nn.Conv2d) and module.stride != (1, 1):
            if module.stride == module.kernel_size != (1, 1):  # as in ConvNeXt: no pixel seen twice
                raise VireidError(
                    f"{trunk} cannot keep the size of its last maps, since its strides are as wide "
                    "as its kernels; set settings.last_stride to 2"
                )
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


def _channels_of_maps(stem: nn.Module) -> int:
    """Return how many channels the maps have that leave a stem."""
    weight = next(stem.parameters())
    state = {module: module.training for module in stem.modules()}
    with torch.no_grad():
        maps: Tensor = stem.eval()(torch.zeros(1, 3, 64, 64, device=weight.device))
    for module, training in state.items():
        module.training = training
    return maps.shape[1]
