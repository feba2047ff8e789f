"""The optimizers and learning rate schedules that a recipe can choose from."""

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
    """Return SGD with Nesterov momentum, as in the code of AGW, or AdamW.

    Args:
        kind: Name of the optimizer.
        groups: Groups of parameters, each with its learning rate.
        momentum: Momentum of SGD; AdamW has no use for it.
        weight_decay: Weight decay of all groups.
    """
    own = [dict(group) for group in groups]
    if kind == "adamw":
        return optim.AdamW(own, weight_decay=weight_decay)
    return optim.SGD(own, momentum=momentum, weight_decay=weight_decay, nesterov=momentum > 0)


def lr_factor(
    epoch: int,
    *,
    schedule: Literal["steps", "cosine"],
    warm_up: int,
    milestones: tuple[int, ...],
    epochs: int,
) -> float:
    """Return the share of the full learning rate in an epoch.

    Args:
        epoch: Number of the epoch, counted from 0.
        schedule: After warming up: a tenth of the former rate at each of the milestones (AGW), or
            half a cosine to zero.
        warm_up: Epochs over which the rate grows to its peak.
        milestones: Milestones of "steps".
        epochs: Epoch at which "cosine" reaches zero.
    """
    if epoch < warm_up:
        return (epoch + 1) / warm_up
    if schedule == "steps":
        return float(0.1 ** sum(epoch >= milestone for milestone in milestones))
    done = (epoch - warm_up) / max(1, epochs - warm_up)
    return (1 + math.cos(math.pi * min(1.0, done))) / 2
