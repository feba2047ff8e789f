"""The optimizers and learning rates that methods let a recipe choose from."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from torch import optim


def make_optimizer(
    kind: Literal["sgd", "adamw"],
    groups: Iterable[Mapping[str, Any]],
    *,
    momentum: float,
    weight_decay: float,
) -> optim.Optimizer:
    """Nesterov's SGD, as the code of AGW has it, or AdamW, which has no use for `momentum`.

    Args:
        kind: Which of them.
        groups: Parameters, each group with its learning rate.
        momentum: Of SGD.
        weight_decay: Of all groups.
    """
    own = [dict(group) for group in groups]
    if kind == "adamw":
        return optim.AdamW(own, weight_decay=weight_decay)
    return optim.SGD(own, momentum=momentum, weight_decay=weight_decay, nesterov=True)


def lr_factor(
    epoch: int,
    *,
    schedule: Literal["steps", "cosine"],
    warm_up: int,
    milestones: tuple[int, ...],
    epochs: int,
) -> float:
    """Share of the full learning rate in an epoch, counted from 0.

    Args:
        epoch: Which.
        schedule: After warming up: a tenth of what it was at each of the milestones (AGW), or
            along half a cosine to zero.
        warm_up: Epochs over which it grows to its height.
        milestones: Of "steps".
        epochs: At which "cosine" comes to zero.
    """
    if epoch < warm_up:
        return (epoch + 1) / warm_up
    if schedule == "steps":
        return float(0.1 ** sum(epoch >= milestone for milestone in milestones))
    done = (epoch - warm_up) / max(1, epochs - warm_up)
    return (1 + math.cos(math.pi * min(1.0, done))) / 2
