"""OSNet: features of several scales in each block, weighed by a gate that all scales share."""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from vireid.records import Modality
from vireid.types.tensors import Embeddings, Images

Maps = Float[Tensor, "n _ _ _"]
"""Feature maps of any channels, rows and columns."""
Form = Literal["plain", "ibn", "ain"]
"""Instance normalisation: none, as in IBN-Net, or where a search has put it."""
CHANNELS = (64, 256, 384, 512)
"""Channels of the stem and of the three stages, at width 1."""
SCALES = 4
INSIDE = {
    "plain": ((None, None),) * 3,
    "ibn": (("after", "after"), (None, None), (None, None)),
    "ain": (("within", "within"), (None, "within"), ("within", None)),
}
"""Place of the instance normalisation in both blocks of each stage, by form: after the sum with
what goes past the block, within the residual, or nowhere."""
STAGES_WITH_POOL = 2
"""Stages behind which maps are halved."""


class OSNet(nn.Module):
    """One network for the pictures of both spectra, and a layer that embeds its mean.

    Source: Zhou et al., Omni-Scale Feature Learning for Person Re-Identification, ICCV 2019; forms
    with instance normalisation from Learning Generalisable Omni-Scale Representations, TPAMI 2021.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, form: Form, width: float, embedding_dim: int) -> None:
        """Build the network.

        Args:
            form: Where there is instance normalisation.
            width: Factor of all channels.
            embedding_dim: Numbers of a feature.
        """
        super().__init__()
        for name, values in (("mean", IMAGENET_DEFAULT_MEAN), ("std", IMAGENET_DEFAULT_STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None])
        stem, *stages = (int(width * channels) for channels in CHANNELS)
        norm = nn.BatchNorm2d if form == "plain" else _instance_norm
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False), norm(stem), nn.ReLU()
        )
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        ahead = [stem, *stages]
        self.stages = nn.ModuleList(
            nn.ModuleList(
                Block(ahead[stage] if first else leaves, leaves, place)
                for first, place in zip((True, False), INSIDE[form][stage], strict=True)
            )
            for stage, leaves in enumerate(stages)
        )
        self.between = nn.ModuleList(
            nn.Sequential(*_unit(stages[n], stages[n]), nn.AvgPool2d(2))
            for n in range(STAGES_WITH_POOL)
        )
        self.last = _unit(stages[-1], stages[-1])
        self.embed = nn.Sequential(
            nn.Linear(stages[-1], embedding_dim), nn.BatchNorm1d(embedding_dim), nn.ReLU()
        )
        self.views, self.channels = 1, embedding_dim

    def forward(self, images: Mapping[Modality, Images]) -> Float[Tensor, "stacked 1 d"]:
        """Return features, stacked in the order in which the spectra were given."""
        features = self.features(torch.cat(list(images.values())))
        return features[:, None]

    def features(self, images: Images) -> Embeddings:
        """Return features of pictures in [0, 1], whatever their spectrum."""
        maps = self.pool(self.stem((images - self.mean) / self.std))
        for number, blocks in enumerate(self.stages):
            for block in blocks:  # type: ignore[attr-defined]
                maps = block(maps)
            if number < STAGES_WITH_POOL:
                maps = self.between[number](maps)
        embedded: Embeddings = self.embed(self.last(maps).mean(dim=(2, 3)))
        return embedded


class Block(nn.Module):
    """A residual block whose streams look at 1, 2, 3 and 4 times as far."""

    def __init__(self, enters: int, leaves: int, place: str | None) -> None:
        super().__init__()
        inner = leaves // 4
        self.enter = _unit(enters, inner)
        self.streams = nn.ModuleList(
            nn.Sequential(*(_light(inner) for _ in range(depth))) for depth in range(1, SCALES + 1)
        )
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(inner, inner // 16, 1),
            nn.ReLU(),
            nn.Conv2d(inner // 16, inner, 1),
            nn.Sigmoid(),
        )
        self.leave = nn.Sequential(nn.Conv2d(inner, leaves, 1, bias=False))
        self.leave.append(_instance_norm(leaves) if place == "within" else nn.BatchNorm2d(leaves))
        self.past = nn.Sequential()
        if enters != leaves:
            self.past.extend([nn.Conv2d(enters, leaves, 1, bias=False), nn.BatchNorm2d(leaves)])
        self.after = _instance_norm(leaves) if place == "after" else nn.Identity()

    def forward(self, maps: Maps) -> Maps:
        """Return maps of as many rows and columns."""
        entered = self.enter(maps)
        seen = [stream(entered) for stream in self.streams]
        gated = torch.stack([self.gate(each) * each for each in seen]).sum(dim=0)
        summed: Maps = self.after(self.leave(gated) + self.past(maps))
        return summed.relu()


def _unit(enters: int, leaves: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(enters, leaves, 1, bias=False), nn.BatchNorm2d(leaves), nn.ReLU()
    )


def _light(channels: int) -> nn.Sequential:
    """Return a convolution of 3 x 3, channel by channel, behind one over all channels."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


def _instance_norm(channels: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(channels, affine=True)
