"""Generators of an auxiliary modality from a visible and an infrared picture of one person.

Yu, Cheng, Peng, Liu, Zhao: Modality Unifying Network for Visible-Infrared Person Re-Identification,
ICCV 2023, https://arxiv.org/abs/2309.06262, says that one learner within each modality and one
across both are combined. The layers in here are inferred, see docs/methods/mun.md. Everything works
on pictures and on feature maps alike: inputs and outputs have `outer` channels.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

Outer = Float[Tensor, "n outer y x"]
"""Pictures or maps as they are given and made."""
Inner = Float[Tensor, "n channels y x"]
"""Maps within the generator."""
Gate = Float[Tensor, "n 2 channels"]
"""Shares of each channel that come from visible and from infrared; they sum to 1."""
HeldGate = Float[Tensor, "1 2 channels"]
"""One gate for all pairs."""
GateForm = Literal["narrow", "wide"]
"""Form of the network that computes the gate."""


class IntraModality(nn.Module):
    """Learner within one modality, at several scales.

    h = ReLU BN conv1x1(x),  y_k = ReLU BN depthwise_k(h),  F = ReLU(h + BN conv1x1([y_k, ...]))
    """

    def __init__(self, outer: int, channels: int, kernels: tuple[int, ...]) -> None:
        """Use kernels of these odd sizes; with none, F is h."""
        super().__init__()
        self.enter = _convolution(outer, channels)
        self.scales = nn.ModuleList(_convolution(channels, channels, k, each=True) for k in kernels)
        several = nn.Conv2d(len(kernels) * channels, channels, 1, bias=False) if kernels else None
        self.join = several and nn.Sequential(several, nn.BatchNorm2d(channels))

    def forward(self, maps: Outer) -> Inner:
        """Return maps of `channels` channels and the same size."""
        entered: Inner = self.enter(maps)
        if self.join is None:
            return entered
        joined: Inner = self.join(torch.cat([scale(entered) for scale in self.scales], dim=1))
        found: Inner = (entered + joined).relu()
        return found


class CrossModality(nn.Module):
    """Learner across modalities: features of both, plus gated features of each.

    specific = g_v F_v + g_r F_r, where the gate g depends on both pictures and is a softmax over
    the two modalities, channel by channel; shared = ReLU BN depthwise_3(ReLU BN conv1x1([F_v,
    F_r])). The sum of the two parts is returned.
    """

    def __init__(self, channels: int, gate: GateForm = "wide", *, hold_gate: bool = False) -> None:
        """Build the learner.

        Args:
            channels: Channels of the inputs and of the output.
            gate: Form of the gate, a network of two linear layers. `wide` has 2 c hidden numbers
                with GELU and subtracts from each input its mean over pairs, divided by the
                deviation; `narrow` has c / 4 with ReLU, of which most are zero for all pairs.
            hold_gate: Whether all pairs of a batch get the mean of their gates.
        """
        super().__init__()
        self.hold_gate = hold_gate
        seen = 2 * channels
        hidden = max(1, channels // 4)
        self.gate = (
            nn.Sequential(nn.Linear(seen, hidden), nn.ReLU(), nn.Linear(hidden, seen))
            if gate == "narrow"
            else nn.Sequential(
                nn.BatchNorm1d(seen),
                *(nn.Linear(seen, seen), nn.GELU(), nn.Linear(seen, seen)),
            )
        )
        self.shared = nn.Sequential(
            _convolution(2 * channels, channels), _convolution(channels, channels, 3, each=True)
        )

    def forward(self, visible: Inner, infrared: Inner) -> Inner:
        """Return maps of the same shape as either input."""
        gate = self.weigh(visible, infrared)
        return self.combined(visible, infrared, _held(gate) if self.hold_gate else gate)

    def combined(self, visible: Inner, infrared: Inner, gate: Gate | HeldGate) -> Inner:
        """Return the sum of both parts, given the gate of every pair or one for all."""
        shares = gate[..., None, None]
        specific = shares[:, 0] * visible + shares[:, 1] * infrared
        shared: Inner = self.shared(torch.cat([visible, infrared], dim=1))
        return specific + shared

    def weigh(self, visible: Inner, infrared: Inner) -> Gate:
        """Return the gate of every pair, before it is held."""
        seen = torch.cat([maps.mean(dim=(2, 3)) for maps in (visible, infrared)], dim=1)
        logits: Tensor = self.gate(seen)
        return logits.reshape(len(seen), 2, -1).softmax(dim=1)


def _held(gate: Gate) -> HeldGate:
    """Return the mean gate of all pairs, once."""
    return gate.mean(dim=0, keepdim=True)


class LearntMixture(nn.Module):
    """The mean of a pair, plus a correction that the learners make.

    x_a = 0.5 (x_v + x_r) + conv1x1(output of the learners), where the convolution begins at zero.
    So training begins with the mean, which a pretrained network can use. The learners may see less
    detail than there is (`stride`); then the correction is smooth.
    """

    def __init__(
        self,
        outer: int,
        channels: int,
        *,
        kernels: tuple[int, ...] = (1, 3, 5, 7),
        cross: bool = True,
        stride: int = 1,
        base_mix: bool = True,
        gate: GateForm = "wide",
        hold_gate: bool = False,
    ) -> None:
        """Build the generator.

        Args:
            outer: Channels of the input and of the output.
            channels: Channels within the generator.
            kernels: Kernel sizes of the learners within each modality; none: there are no such
                learners.
            cross: Whether there is a learner across modalities; without it the outputs of the
                others are averaged.
            stride: Rows and columns of the squares whose means the learners see.
            base_mix: Whether to begin with the mean; otherwise x_a is the convolution alone, which
                begins at random.
            gate: Form of the gate of the learner across modalities.
            hold_gate: Whether that gate is held at its mean over a batch.
        """
        super().__init__()
        self.stride = stride
        self.visible = IntraModality(outer, channels, kernels)
        self.infrared = IntraModality(outer, channels, kernels)
        self.across = CrossModality(channels, gate, hold_gate=hold_gate) if cross else Mean()
        self.leave = nn.Conv2d(channels, outer, 1)
        self.base = Mean() if base_mix else None
        if base_mix:
            nn.init.zeros_(self.leave.weight)
            nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, visible: Outer, infrared: Outer) -> Outer:
        """Return an auxiliary picture, or map, for every pair."""
        found = self.across(self.visible(self._seen(visible)), self.infrared(self._seen(infrared)))
        made = self._enlarged(self.leave(found), visible)
        return made if self.base is None else self.base(visible, infrared) + made

    def gate_figures(self, visible: Outer, infrared: Outer) -> dict[str, float]:
        """Return how much the gate differs between pairs, and what that does to the output.

        Returns:
            The deviation of a channel's share over the pairs, and the length of what changes in the
            correction when the gate is held at its mean, as a share of the correction's length;
            nothing where there is no gate.
        """
        if not isinstance(self.across, CrossModality):
            return {}
        maps = self.visible(self._seen(visible)), self.infrared(self._seen(infrared))
        gate = self.across.weigh(*maps)
        free, held = (self.leave(self.across.combined(*maps, each)) for each in (gate, _held(gate)))
        change = (free - held).norm() / free.norm().clamp(min=1e-12)
        spread = gate[:, 0].std(dim=0).mean()
        return {"deviation over pairs": spread.item(), "change if held": change.item()}

    def _seen(self, maps: Outer) -> Tensor:
        return F.avg_pool2d(maps, self.stride, ceil_mode=True) if self.stride > 1 else maps

    def _enlarged(self, made: Tensor, like: Outer) -> Tensor:
        size = like.shape[2:]
        return F.interpolate(made, size=size, mode="bilinear") if self.stride > 1 else made


class Mean(nn.Module):
    """The mean of the two modalities; nothing is learnt."""

    def forward(self, visible: Outer, infrared: Outer) -> Outer:
        """Return maps of the same shape as either input."""
        return (visible + infrared) / 2


class OneByOne(nn.Module):
    """1x1 convolutions after MMN, which treat all pairs alike.

    Each modality goes to one channel by 1x1 convolution, ReLU, 1x1 convolution, ReLU and batch
    normalisation; both share the way back, 1x1 convolution and ReLU. All weights begin as
    1/`outer`. Source: Zhang et al., Towards a Unified Middle Modality Learning for
    Visible-Infrared Person Re-Identification, ACM MM 2021, and
    https://github.com/ZYK100/MMN at 01d70d5. MMN makes one picture of each modality; here the two
    are averaged before the way back, as a pair has one auxiliary picture.
    """

    def __init__(self, outer: int) -> None:
        super().__init__()
        self.visible, self.infrared = (
            nn.Sequential(
                *(nn.Conv2d(outer, 1, 1), nn.ReLU()),
                *(nn.Conv2d(1, 1, 1), nn.ReLU()),
                nn.BatchNorm2d(1),
            )
            for _ in range(2)
        )
        self.back = nn.Sequential(nn.Conv2d(1, outer, 1), nn.ReLU())
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.constant_(module.weight, 1 / outer)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, visible: Outer, infrared: Outer) -> Outer:
        """Return maps of the same shape as either input."""
        made: Outer = self.back((self.visible(visible) + self.infrared(infrared)) / 2)
        return made


def _convolution(before: int, after: int, kernel: int = 1, *, each: bool = False) -> nn.Sequential:
    """Return a convolution that keeps the size, batch normalisation and ReLU.

    Args:
        before: Channels of the input.
        after: Channels of the output.
        kernel: Odd kernel size.
        each: Convolve each channel by itself (depthwise).
    """
    groups = before if each else 1
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
