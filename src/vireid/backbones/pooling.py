"""Generalised-mean pooling: one feature vector from each feature map."""

import torch
from torch import nn

from vireid.types.tensors import Embeddings, FeatureMaps


class GeneralisedMean(nn.Module):
    """Pools to (mean of x^p over all places)^(1/p): from the average to the maximum as p grows.

    Source: Radenovic et al., Fine-tuning CNN Image Retrieval with No Human Annotation, TPAMI 2019,
    eq. 3. AGW keeps p at 3 and adds 1e-12 before the root.
    """

    def __init__(
        self, power: float = 3.0, *, learn: bool = False, least: float | None = None
    ) -> None:
        """Pool with a power.

        Args:
            power: The power; positive.
            learn: Whether it is learnt from this beginning.
            least: Value that smaller ones are raised to before they are pooled, as CSDN does with
                1e-6 (https://github.com/nengdong96/CSDN at 2224959); then nothing is added before
                the root.
        """
        super().__init__()
        if power <= 0:
            raise ValueError(f"the power of a generalised mean has to be positive, not {power}")
        self.least = least
        self.power = nn.Parameter(torch.tensor(power)) if learn else power

    def forward(self, maps: FeatureMaps) -> Embeddings:
        """Return pooled features, in float32 also under autocast, where x^3 would overflow.

        Args:
            maps: Feature maps without negative values, as after a ReLU.
        """
        with torch.autocast(maps.device.type, enabled=False):
            widened = maps.to(torch.promote_types(maps.dtype, torch.float32))
            if self.least is not None:
                widened = widened.clamp(min=self.least)
            pooled = widened.pow(self.power).mean(dim=(2, 3))
            added = 1e-12 if self.least is None else 0.0
            return (pooled + added).pow(1 / self.power)


def stripe_means(maps: FeatureMaps, count: int) -> Embeddings:
    """Return the means of `count` stripes from head to foot, one behind the other."""
    return torch.cat([stripe.mean(dim=(2, 3)) for stripe in maps.chunk(count, dim=2)], dim=1)
