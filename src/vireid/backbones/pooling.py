"""Generalised-mean pooling: one feature vector from each feature map."""

import torch
from torch import nn

from vireid.shapes import Embeddings, FeatureMaps


class GeneralisedMean(nn.Module):
    """Pools to (mean of x^p over all places)^(1/p): from the average to the maximum as p grows.

    Source: Radenovic et al., Fine-tuning CNN Image Retrieval with No Human Annotation, TPAMI 2019,
    eq. 3. AGW keeps p at 3 and adds 1e-12 before the root.
    """

    def __init__(self, power: float = 3.0, *, learn: bool = False) -> None:
        """Pool with a power that stays, or that is the first one of a power that is learnt."""
        super().__init__()
        if power <= 0:
            raise ValueError(f"the power of a generalised mean has to be positive, not {power}")
        self.power = nn.Parameter(torch.tensor(power)) if learn else power

    def forward(self, maps: FeatureMaps) -> Embeddings:
        """Return pooled features, in float32 also under autocast, where x^3 would overflow.

        Args:
            maps: Feature maps without negative values, as after a ReLU.
        """
        with torch.autocast(maps.device.type, enabled=False):
            widened = maps.to(torch.promote_types(maps.dtype, torch.float32))
            raised = widened.pow(self.power)
            return (raised.mean(dim=(2, 3)) + 1e-12).pow(1 / self.power)
