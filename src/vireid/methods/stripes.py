"""Stripes: what an ImageNet network sees in its middle layers, part by part of the body.

Middle layers know edges, textures and simple forms, which are much the same in both spectra; late
layers know objects in colour photographs. The network itself stays as it is: rendered people teach
it more about renderings than about people. Beside the averages over parts may stand a projection
of them, learnt from pictures that are changed so much that little but the person stays the same.
What carries to photographs is then still there, and another pose is seen through.

Sources: parts of the body from Sun et al., Beyond Part Models, ECCV 2018; neck and losses of the
projection from Luo et al., Bag of Tricks, CVPRW 2019, and AGW (Ye et al., TPAMI 2021); the rest is
vireid's own (docs/methods/stripes.md).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.optim import Adam, AdamW
from torch.optim.lr_scheduler import LambdaLR

from vireid.backbones.middle_layers import MiddleLayers, averages
from vireid.backbones.neck import batch_norm_neck, identity_classifier
from vireid.losses.identity import identity_loss
from vireid.losses.weighted_triplet import weighted_triplet
from vireid.method import Losses, Method, Stage, TrainingData
from vireid.methods._optimizers import lr_factor
from vireid.methods._settings import check_people
from vireid.records import Modality
from vireid.training_data.batches import EpochOfBatches, PairedBatch, Tensors
from vireid.training_data.processes import gather
from vireid.types.ranges import (
    Count,
    NotNegative,
    Positive,
    Share,
    ShareBelowOne,
    Whole,
    check_ranges,
)
from vireid.types.tensors import Embeddings, Identities, Images, Logits

LOGIT_SCALE = 16
"""Factor of cosines before the softmax over identities."""
AT_ONCE = 16
"""Pictures that go through the network together while the projection learns: what layers hand on
of more does not stay in a processor's cache, and 192 take three times as long a picture."""
TRIPLET_SCALE = 5
"""Length of embeddings in the triplet loss; at length one all distances are alike to it."""


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
        projection: Whole = 0
        """Numbers of a learnt projection of the averages; 0 for none."""
        hidden: Whole = 0
        """Numbers of a hidden layer before the projection; 0 for none."""
        projection_share: Share = 0.5
        """Share of a similarity that the projection decides; the rest is that of the averages,
        which 1 leaves out."""
        dropout: ShareBelowOne = 0.2
        """Share of the averages that the projection does without in each step."""
        epochs: Whole = 0
        """Epochs in which the projection is learnt, or without one a weight for each number; 0
        leaves all weights at 1."""
        fresh_epochs: Whole = 0
        """Epochs for which a projection's pictures are drawn and changed anew; later ones repeat
        the averages of these, which costs next to nothing. 0 draws anew for all."""
        learning_rate: Positive = 0.01
        """Learning rate at its peak; 0.001 suits a projection."""
        warm_up: Whole = 0
        """Epochs over which a projection's learning rate grows to its peak, to fall along half a
        cosine to zero."""
        weight_decay: NotNegative = 1e-4
        """Weight decay of the projection."""
        label_smoothing: ShareBelowOne = 0.1
        """Share of the projection's target spread over all identities."""
        pull: NotNegative = 1.0
        """Weight of the squared distance of weights for each number from 1."""
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
        numbers = config.rows * config.columns * sum(m.shape[1] for m in maps)
        self.without_averages = bool(config.projection) and config.projection_share == 1
        self.embedding_dim = config.projection + (0 if self.without_averages else numbers)
        self.weight = nn.Parameter(torch.ones(numbers))
        self.projection: _Projection | None = None
        if config.projection:  # its numbers stand for no part of the picture
            self.projection = _Projection(numbers, config, num_identities)
        else:
            self.grid = config.rows, config.columns

    def embed(self, images: Images, modality: Modality) -> Embeddings:  # noqa: ARG002  one network
        """Return weighted averages, their projection or both, at length one."""
        averages = self._averages(images)
        if self.projection is None:
            return F.normalize(averages * self.weight, dim=1)
        projected = F.normalize(self.projection(averages), dim=1)
        if self.without_averages:
            return projected
        weighted = F.normalize(averages * self.weight, dim=1)
        share = self.config.projection_share
        return torch.cat([(1 - share) ** 0.5 * weighted, share**0.5 * projected], dim=1)

    def stages(self, data: TrainingData) -> list[Stage[Any]]:
        """Return the one stage, which learns the projection, or the weights of the numbers."""
        config = self.config
        batches: Callable[[int], EpochOfBatches[Any]]
        batches = data.paired(config.people, config.images_each)
        if self.projection is None:
            weights = _Weights(self.weight)
            by_size = Adam(weights.parameters(), config.learning_rate)
            return [Stage("weights", config.epochs, (weights,), batches, self._pulled, by_size)]
        if config.fresh_epochs:
            batches = _Repeating(batches, config.fresh_epochs)
        optimizer = AdamW(
            self.projection.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )
        schedule = LambdaLR(
            optimizer,
            lambda epoch: lr_factor(
                epoch,
                schedule="cosine",
                warm_up=config.warm_up,
                milestones=(),
                epochs=config.epochs,
            ),
        )
        learnt = (self.projection,)
        return [
            Stage("projection", config.epochs, learnt, batches, self._told, optimizer, schedule)
        ]

    def _pulled(self, batch: PairedBatch, epoch: int) -> Losses:  # noqa: ARG002
        embeddings = gather(F.normalize(self._of_both(batch) * self.weight, dim=1))
        identities = gather(batch.identities_of_both)
        return {
            "triplet": weighted_triplet(embeddings, identities),
            "pull": self.config.pull * (self.weight - 1).square().mean(),
        }

    def _told(self, batch: "PairedBatch | _Averages", epoch: int) -> Losses:  # noqa: ARG002
        assert self.projection is not None
        if isinstance(batch, PairedBatch):
            found = _Averages(self._of_both(batch), batch.identities_of_both)
            if isinstance(batch, _Kept):
                batch.keep(found)
        else:
            found = batch
        projected = F.normalize(self.projection(found.averages), dim=1)
        embeddings, identities = gather(projected), gather(found.identities)
        logits = LOGIT_SCALE * self.projection.cosines(embeddings)
        return {
            "identity": identity_loss(logits, identities, self.config.label_smoothing),
            "triplet": weighted_triplet(TRIPLET_SCALE * embeddings, identities),
        }

    def _of_both(self, batch: PairedBatch) -> Embeddings:
        """Return the averages of all pictures of a batch, visible ones first."""
        with torch.no_grad():
            both = torch.cat([batch.of(modality) for modality in Modality])
            starts = range(0, len(both), AT_ONCE)
            parts = [self._averages(both[start : start + AT_ONCE]) for start in starts]
            return torch.cat(parts)

    def _averages(self, images: Images) -> Embeddings:
        """Return the averages of all layers, each layer's at length one."""
        grid = self.config.rows, self.config.columns
        return torch.cat([F.normalize(averages(m, *grid), dim=1) for m in self.trunk(images)], 1)


class _Weights(nn.Module):
    """Holds the weights as a module, as stages name what they train by modules."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight


@dataclass(frozen=True)
class _Averages(Tensors):
    """Averages of a batch, visible pictures first."""

    averages: Float[Tensor, "n _"]
    identities: Identities


@dataclass(frozen=True)
class _Kept(PairedBatch):
    """A batch whose averages are kept."""

    keep: Callable[[_Averages], None]

    def to(self, device: torch.device) -> "_Kept":
        """Return the batch on a device."""
        plain = PairedBatch(self.visible, self.infrared, self.identities).to(device)
        return _Kept(plain.visible, plain.infrared, plain.identities, self.keep)


class _Repeating:
    """Batches of which those of the first epochs come again and again, as averages, shuffled.

    Nothing of it is in a checkpoint: a run that goes on computes the same averages once more.
    """

    def __init__(
        self, batches: Callable[[int], EpochOfBatches[PairedBatch]], fresh_epochs: int
    ) -> None:
        self.batches, self.fresh_epochs = batches, fresh_epochs
        self.kept: dict[tuple[int, int], _Averages] = {}

    def __call__(self, epoch: int) -> "_RepeatingEpoch":
        return _RepeatingEpoch(self, epoch, len(self.batches(epoch)))

    def made(self, epoch: int, steps: int) -> Iterator[_Kept]:
        """Yield the batches of a fresh epoch from a step on."""
        for step, batch in enumerate(self.batches(epoch).after(steps), start=steps):
            keep = partial(self._keep, (epoch, step))
            yield _Kept(batch.visible, batch.infrared, batch.identities, keep)

    def again(self, epoch: int, step: int) -> "_Averages | _Kept":
        """Return a batch of a fresh epoch once more."""
        return self.kept.get((epoch, step)) or next(self.made(epoch, step))

    def _keep(self, place: tuple[int, int], found: _Averages) -> None:
        self.kept[place] = found.to(torch.device("cpu"))


@dataclass(frozen=True)
class _RepeatingEpoch:
    source: _Repeating
    epoch: int
    steps: int

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator["_Averages | _Kept"]:
        return self.after(0)

    def after(self, steps: int) -> Iterator["_Averages | _Kept"]:
        """Return the batches from number `steps` on."""
        fresh = self.source.fresh_epochs
        if self.epoch < fresh:
            return iter(self.source.made(self.epoch, steps))
        order = np.random.default_rng(self.epoch).permutation(fresh * self.steps)
        places = (divmod(int(place), self.steps) for place in order[steps : self.steps])
        return (self.source.again(*place) for place in places)


class _Projection(nn.Module):
    """Projects averages to fewer numbers: normalised, through a layer or two, normalised again."""

    def __init__(self, numbers: int, config: Stripes.Config, num_identities: int) -> None:
        super().__init__()
        self.scale = nn.BatchNorm1d(numbers, affine=False)
        self.dropout = nn.Dropout(config.dropout)
        hidden = _hidden(numbers, config) if config.hidden else []
        last = nn.Linear(config.hidden or numbers, config.projection, bias=False)
        self.layer = nn.Sequential(*hidden, last) if hidden else last
        self.neck = batch_norm_neck(config.projection)
        self.classifier = identity_classifier(config.projection, num_identities)

    def forward(self, averages: Float[Tensor, "n _"]) -> Embeddings:
        """Return projected averages, not of length one."""
        projected: Tensor = self.neck(self.layer(self.dropout(self.scale(averages))))
        return projected

    def cosines(self, embeddings: Embeddings) -> Logits:
        """Return the cosine of each embedding with each identity's weights."""
        return F.linear(embeddings, F.normalize(self.classifier.weight, dim=1))


def _hidden(numbers: int, config: Stripes.Config) -> list[nn.Module]:
    return [
        nn.Linear(numbers, config.hidden, bias=False),
        nn.BatchNorm1d(config.hidden),
        nn.ReLU(),
        nn.Dropout(config.dropout),
    ]
