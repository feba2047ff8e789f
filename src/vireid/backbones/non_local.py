"""Non-local attention: every place of a feature map looks at every other."""

from torch import nn

from vireid.types.tensors import FeatureMaps


class NonLocal(nn.Module):
    """Adds to each place a mean over all places, weighted by how well they match.

    z = x + BN(W y),  y_i = 1/N sum_j theta(x_i) phi(x_j) g(x_j)

    Source: Wang et al., Non-local Neural Networks, CVPR 2018, eq. 1, 4 and 6 (dot product). The
    batch normalisation starts at zero, so a new block changes nothing.
    """

    def __init__(self, channels: int, inner: int = 1) -> None:
        """Attend within `inner` channels.

        Wang et al. have half of `channels`. AGW's code asks for half and computes 1, in both of its
        releases (model.py and PAMI23_Supervised/model.py).
        """
        super().__init__()
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Conv2d(channels, inner, 1)
        self.g = nn.Conv2d(channels, inner, 1)
        self.out = nn.Conv2d(inner, channels, 1)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, maps: FeatureMaps) -> FeatureMaps:
        """Return attended maps of the same shape."""
        theta, phi, g = (layer(maps).flatten(2) for layer in (self.theta, self.phi, self.g))
        seen = g @ phi.transpose(1, 2) @ theta / theta.shape[2]
        attended: FeatureMaps = self.norm(self.out(seen.unflatten(2, maps.shape[2:])))
        return maps + attended
