"""Stripes: what an ImageNet network sees in its middle layers, part by part of the body.

Middle layers know edges, textures and simple forms, which are much the same in both spectra; late
layers know objects in colour photographs. Nothing of the network is learnt anew: rendered people
teach it more about renderings than about people, and what carries to photographs is lost. At most
one weight for each number of the embedding is learnt.

Sources: parts of the body from Sun et al., Beyond Part Models, ECCV 2018; the choice of layers and
grid is vireid's own (docs/methods/stripes.md).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.optim import Adam

from vireid.backbones.middle_layers import MiddleLayers, averages
from vireid.losses.weighted_triplet import weighted_triplet
from vireid.method import Losses, Method, Stage, TrainingData
from vireid.methods._settings import check_people
from vireid.records import Modality
from vireid.training_data.batches import PairedBatch
from vireid.training_data.processes import gather
from vireid.types.ranges import Count, NotNegative, Positive, Whole, check_ranges
from vireid.types.tensors import Embeddings, Images


class Stripes(Method):
    """Averages of an ImageNet network's middle layers over parts of the picture."""

    @dataclass(frozen=True)
    class Config:
        """Settings; all are vireid's own."""

        trunk: str = "tf_efficientnet_lite0"
        """timm's name of a convolutional network."""
        pretrained: bool = True
        """Start from ImageNet's weights, without which this method is nothing."""
        weights: str | None = None
        """File of these weights, where neither hub nor package has them."""
        layers: tuple[str, ...] = ()
        """Layers that are embedded, such as `blocks_3`; none stands for those of the third of the
        last four stages."""
        rows: Count = 6
        """Parts from head to foot."""
        columns: Count = 2
        """Parts from left to right."""
        epochs: Whole = 0
        """Epochs in which one weight for each number is learnt; 0 leaves all weights at 1."""
        learning_rate: Positive = 0.01
        """Learning rate of these weights."""
        pull: NotNegative = 1.0
        """Weight of the squared distance of these weights from 1."""
        people: Count = 8
        """Identities in a batch."""
        images_each: Count = 4
        """Images of each identity in a batch, in each spectrum."""

        def __post_init__(self) -> None:
            check_ranges(self)
            check_people(self)

    def __init__(self, config: Config, num_identities: int) -> None:
        """Build the network.

        Raises:
            VireidError: There is no such network or layer, or its weights cannot be had.
        """
        super().__init__(config, num_identities)
        self.config = config
        self.trunk = MiddleLayers(
            config.trunk, config.layers, pretrained=config.pretrained, weights=config.weights
        )
        with torch.no_grad():
            maps = self.trunk.eval()(torch.zeros(1, 3, 64, 64))
        self.grid = config.rows, config.columns
        self.embedding_dim = config.rows * config.columns * sum(m.shape[1] for m in maps)
        self.weight = nn.Parameter(torch.ones(self.embedding_dim))

    def embed(self, images: Images, modality: Modality) -> Embeddings:  # noqa: ARG002  one network
        """Return weighted averages, at length one."""
        return F.normalize(self._averages(images) * self.weight, dim=1)

    def stages(self, data: TrainingData) -> list[Stage[Any]]:
        """Return the one stage, which learns the weights of the numbers."""
        config = self.config
        batches = data.paired(config.people, config.images_each)
        weights = _Weights(self.weight)
        optimizer = Adam(weights.parameters(), config.learning_rate)
        return [Stage("weights", config.epochs, (weights,), batches, self._losses, optimizer)]

    def _losses(self, batch: PairedBatch, epoch: int) -> Losses:  # noqa: ARG002
        with torch.no_grad():
            found = torch.cat([self._averages(batch.of(modality)) for modality in Modality])
        embeddings = gather(F.normalize(found * self.weight, dim=1))
        identities = gather(batch.identities_of_both)
        return {
            "triplet": weighted_triplet(embeddings, identities),
            "pull": self.config.pull * (self.weight - 1).square().mean(),
        }

    def _averages(self, images: Images) -> Embeddings:
        """Return the averages of all layers, each layer's at length one."""
        grid = self.config.rows, self.config.columns
        return torch.cat([F.normalize(averages(m, *grid), dim=1) for m in self.trunk(images)], 1)


class _Weights(nn.Module):
    """Holds the weights as a module, as stages name what they train by modules."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight
