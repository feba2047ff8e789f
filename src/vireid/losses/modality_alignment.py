"""Modality alignment: pulls the modalities' prototypes, kept over batches, together."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vireid.types.tensors import Embeddings, Modalities, Scalar

Prototypes = Float[Tensor, "m d"]


class ModalityAlignment(nn.Module):
    """Mean squared distance between the prototypes of the modalities.

    b_m, the mean of the normalised embeddings of modality m in this batch, moves the prototype:

        q_m = mu stopgrad(p_m) + (1 - mu) b_m,   p_m <- stopgrad(q_m)
        loss = 1/(1 - mu) * mean over pairs of modalities of |q_m - q_m'|^2

    All prototypes move at once and with one mu, so q_m - q_m' is the moving average of b_m - b_m',
    in which the people of a batch, who are the same in all modalities, cancel out. Only b_m has a
    gradient; 1/(1 - mu) makes it as large as it would be without memory. In the first step
    mu is 0. Prototypes move in training mode alone. Computed in float32 or better, also under
    autocast.

    MUN (Yu et al., ICCV 2023) reduces the distance between modalities by their prototypes; its
    formula is not known to us.
    """

    prototypes: Prototypes
    steps: Tensor

    def __init__(
        self, modalities: int, dim: int, momentum: float = 0.9, aligned: int | None = None
    ) -> None:
        """Begin without prototypes.

        Args:
            modalities: Number of modalities.
            dim: Numbers in an embedding.
            momentum: mu, the share of a prototype that stays from step to step.
            aligned: Number of modalities, from the first, that are pulled together; by default all.

        Raises:
            ValueError: The momentum is not in [0, 1).
        """
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f"the momentum has to be 0 or more and below 1, not {momentum}")
        self.momentum = momentum
        self.aligned = aligned or modalities
        self.register_buffer("prototypes", torch.zeros(modalities, dim))
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, embeddings: Embeddings, modalities: Modalities) -> Scalar:
        """Return the loss, and move the prototypes.

        Args:
            embeddings: Embeddings of the whole batch, equally many of each modality; their lengths
                do not matter.
            modalities: Modality of each row, 0 for the first.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            points = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
            means = self._means(F.normalize(points, dim=1), modalities)
            # Not `if`: a GPU would have to be waited for.
            momentum = torch.where(self.steps > 0, self.momentum, 0.0)
            moved = momentum * self.prototypes + (1 - momentum) * means
            self._remember(moved.detach())
            return _spread(moved[: self.aligned]) / (1 - momentum)

    def _means(self, points: Embeddings, modalities: Modalities) -> Prototypes:
        rows = F.one_hot(modalities, len(self.prototypes)).to(points.dtype)
        return rows.T @ points / rows.sum(dim=0)[:, None]

    def _remember(self, moved: Prototypes) -> None:
        if self.training:
            self.prototypes.copy_(moved)
            self.steps += 1


def _spread(points: Prototypes) -> Scalar:
    """Return the mean squared distance over pairs of points."""
    first, second = torch.triu_indices(len(points), len(points), 1, device=points.device)
    return (points[first] - points[second]).square().sum(dim=1).mean()
