"""Losses of pytorch-metric-learning, by their names.

Musgrave, Belongie, Lim: PyTorch Metric Learning, 2020, https://arxiv.org/abs/2008.09164. The
library's documentation names the paper of each loss.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from vireid.errors import VireidError, suggestion
from vireid.types.tensors import Embeddings, Identities, Scalar

NamedLoss = Callable[[Embeddings, Identities], Scalar]
"""Returns the loss of rows, given the identity of each."""


def named_loss(name: str, settings: Mapping[str, Any]) -> NamedLoss:
    """Return a loss of pytorch-metric-learning, computed in float32, also under autocast.

    Args:
        name: Name of its class, such as `CircleLoss`.
        settings: Arguments of the class.

    Raises:
        VireidError: There is no such loss, it does not take these settings, or it has weights to
            learn.
    """
    from pytorch_metric_learning import losses

    kinds = {n: kind for n, kind in vars(losses).items() if _is_loss(kind, losses)}
    if name not in kinds:
        hint = suggestion(name, kinds)
        raise VireidError(f"pytorch-metric-learning has no loss '{name}'; {hint}")
    try:
        module = kinds[name](**settings)
    except (TypeError, ValueError, KeyError) as error:
        raise VireidError(f"{name} does not take the settings {dict(settings)}: {error}") from error
    # Weights would need a place in the optimizer, in checkpoints and in finished runs.
    if module.state_dict():
        raise VireidError(f"{name} has weights to learn; use it in a method of your own")

    def loss(rows: Embeddings, identities: Identities) -> Scalar:
        with torch.autocast(rows.device.type, enabled=False):
            found: Scalar = module(rows.float(), identities)
        return found

    return loss


def _is_loss(kind: object, losses: Any) -> bool:
    base = losses.BaseMetricLossFunction
    return isinstance(kind, type) and issubclass(kind, base) and kind is not base
