"""Settings that several methods have, with the optimizer and the schedule that they make.

A method's `Config` inherits them and adds its own; `vireid list methods NAME` shows both.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from torch import optim

from vireid.errors import check_settings, is_rising
from vireid.losses.weighted_triplet import TripletWeights
from vireid.methods._optimizers import lr_factor, make_optimizer
from vireid.types.ranges import (
    Count,
    Factor,
    NotNegative,
    Positive,
    Range,
    ShareBelowOne,
    Whole,
    check_ranges,
)


@dataclass(frozen=True)
class TwoStreamSettings:
    """A two-stream trunk from ImageNet, batches of pairs, losses of AGW; AGW's code's defaults."""

    trunk: str = "resnet50.tv_in1k"
    """timm's name of a convolutional network. The code takes torchvision's ResNet-50, which is this
    one. Others than ResNets need `non_local = false`."""
    width: Factor = 1.0
    """Factor of the trunk's channels; small values suit a CPU. vireid's own setting."""
    pretrained: bool = True
    """Start from ImageNet's weights. With false, set `trunk_lr_factor` to 1."""
    weights: str | None = None
    """File of these weights, where the hub cannot be reached: safetensors, or what torch has
    written."""
    last_stride: Literal[1, 2] = 1
    """Stride of the trunk's last layer; 2 is faster and coarser."""
    pooling_power: Positive = 3.0
    """Power of the generalised mean over each feature map."""
    parts: Count = 1
    """Parts from head to foot that are pooled each for itself, and embedded one beside the other
    (PCB, Sun et al., ECCV 2018; one classifier for all parts is vireid's own)."""
    middle_layers: tuple[Literal[1, 2, 3], ...] = ()
    """Layers that are pooled and embedded beside the last, such as [3]. vireid's own setting, as
    the next four."""
    frozen_layers: Annotated[int, Range(0, 4)] = 0
    """First parts of the trunk that keep ImageNet's weights: 1 for the stems, 2 for layer 1
    too, and so on."""
    layer_lr_decay: Annotated[float, Range(0, 1, without_least=True)] = 1.0
    """Factor of the learning rate from each layer to the one before it; below 1, early layers learn
    slowly."""
    frozen_statistics: bool = False
    """Whether the trunk's batch normalisations keep ImageNet's means and deviations."""
    pull: NotNegative = 0.0
    """Weight of the cosine distance of pooled features from those of the trunk that training began
    with. It takes one more forward pass."""
    mirrored: bool = False
    """Whether an embedding is the mean of those of the picture and of its mirror image. It takes
    twice the time, and changes nothing about what is learnt. vireid's own setting."""
    people: Count = 8
    """Identities in a batch."""
    images_each: Count = 4
    """Images of each identity in a batch, in each spectrum."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """Optimizer: `sgd` has Nesterov momentum; `adamw` is vireid's own and needs a learning rate
    near 1e-3."""
    learning_rate: Positive = 0.1
    """Learning rate of neck and classifier at its peak."""
    trunk_lr_factor: NotNegative = 0.1
    """The trunk's learning rate as a share of `learning_rate`."""
    momentum: ShareBelowOne = 0.9
    """Momentum of `sgd`."""
    weight_decay: NotNegative = 5e-4
    """Weight decay of all parameters."""
    schedule: Literal["steps", "cosine"] = "steps"
    """Learning rate after warming up: lowered at `milestones`, or along half a cosine to zero
    (vireid's own)."""
    warm_up: Whole = 10
    """Epochs over which the learning rate grows to its peak."""
    milestones: tuple[Whole, ...] = (20, 50)
    """Epochs from which the learning rate is a tenth of what it was before."""
    label_smoothing: ShareBelowOne = 0.0
    """Share of the target spread over all identities."""
    identity_weight: NotNegative = 1.0
    """Weight of the cross-entropy over identities."""
    triplet_weight: NotNegative = 1.0
    """Weight of the triplet loss."""
    triplet_weights: TripletWeights = "paper"
    """Weights within the weighted triplet: the softmax of AGW's paper, or what its released code
    makes of it, in which the weights of others fade at distances above about 18 (`code`)."""

    def __post_init__(self) -> None:
        check_ranges(self)
        check_people(self)
        check_settings(self, ["milestones", "middle_layers"], is_rising, "rising")

    def optimizer_of(self, groups: Iterable[tuple[list[Any], float]]) -> optim.Optimizer:
        """Return the optimizer of groups of parameters, each with its share of the learning rate.

        Groups without parameters are left out.
        """
        given: list[Mapping[str, Any]] = [
            {"params": parameters, "lr": self.learning_rate * factor}
            for parameters, factor in groups
            if parameters
        ]
        return make_optimizer(
            self.optimizer, given, momentum=self.momentum, weight_decay=self.weight_decay
        )

    def lr_factor(self, epoch: int, epochs: int) -> float:
        """Return the share of the full learning rate in one of `epochs` epochs."""
        return lr_factor(
            epoch,
            schedule=self.schedule,
            warm_up=self.warm_up,
            milestones=self.milestones,
            epochs=epochs,
        )


def check_people(settings: object) -> None:
    """Check that a batch has people to tell apart.

    Raises:
        VireidError: `settings.people` is 1.
    """
    rule = "2 or more, as a triplet needs two identities"
    check_settings(settings, ["people"], lambda people: people >= 2, rule)
