"""AGW: attention, generalised-mean pooling and a weighted triplet on a two-stream ResNet.

Ye, Shen, Lin, Xiang, Shao, Hoi: Deep Learning for Person Re-identification: A Survey and Outlook,
TPAMI 2021, https://arxiv.org/abs/2001.04193. "The code" below is what they released:
https://github.com/mangye16/Cross-Modal-Re-ID-baseline at e817a26.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, optim
from torch.nn import functional as F  # noqa: N812
from torch.optim.lr_scheduler import LambdaLR

from vireid.backbones.neck import batch_norm_neck, identity_classifier
from vireid.backbones.two_stream import AGW_NON_LOCAL, TwoStreamCNN
from vireid.losses.identity import identity_loss
from vireid.losses.metric_learning import NamedLoss, named_loss
from vireid.losses.weighted_triplet import weighted_triplet
from vireid.method import Losses, Method, Stage, TrainingData
from vireid.methods import _two_stream as two_stream
from vireid.methods._settings import TwoStreamSettings
from vireid.records import Modality
from vireid.training_data.batches import PairedBatch
from vireid.training_data.processes import gather
from vireid.types.ranges import (
    Count,
    NotNegative,
)
from vireid.types.tensors import Embeddings, Identities, Images, Logits, Modalities


@dataclass(frozen=True)
class Outputs:
    """Results of AGW's forward pass on a batch, for the losses of a subclass.

    With several processes rows are those of all processes, one process after the other.
    """

    features: Embeddings
    """Pooled features before the neck, as the triplet loss has them; not of length one."""
    logits: Logits
    """Logits of the classifier for each row."""
    identities: Identities
    """Identity of each row."""
    batch: PairedBatch
    """Batch of pictures; with several processes that of this one."""
    epoch: int
    """Number of the epoch, counted from 0."""

    @property
    def modalities(self) -> Modalities:
        """Return the modality of each row: 0 visible, 1 infrared."""
        each = len(self.batch.identities)
        of_one_process = torch.arange(2, device=self.features.device).repeat_interleave(each)
        return of_one_process.repeat(len(self.features) // (2 * each))


class AGW(Method):
    """AGW in one stage: identity loss and triplets over the images of both spectra.

    To learn with more losses, inherit and override `extra_losses`: docs/add_a_method.md.
    """

    @dataclass(frozen=True)
    class Config(TwoStreamSettings):
        """Settings of AGW; defaults are those of the paper's code unless said otherwise.

        Those that MUN has too are in `vireid.methods._settings`.
        """

        non_local: bool = True
        """Non-local attention after the last 2 blocks of layer2 and the last 3 of layer3."""
        learn_pooling_power: bool = False
        """Let training change the power; the paper does, the code keeps it."""
        epochs: Count = 81
        """Epochs of training; the code counts from 0 to 80."""
        extra_loss: str | None = None
        """Loss of pytorch-metric-learning to add, by its name, such as `CircleLoss`; needs `pip
        install 'vireid[metric-learning]'`. vireid's own setting, as the next two."""
        extra_loss_weight: NotNegative = 1.0
        """Weight of the extra loss."""
        extra_loss_settings: dict[str, Any] | None = None
        """Settings of the extra loss, by the names that pytorch-metric-learning gives them."""

    def __init__(self, config: Config, num_identities: int) -> None:
        """Build trunk, neck and classifier.

        Raises:
            VireidError: timm has no such trunk, or its weights cannot be had.
        """
        super().__init__(config, num_identities)
        self.config = config
        self.num_identities = num_identities
        self.trunk = TwoStreamCNN(
            config.trunk,
            width=config.width,
            pretrained=config.pretrained,
            weights=config.weights,
            last_stride=config.last_stride,
            non_local=AGW_NON_LOCAL if config.non_local else (0, 0, 0, 0),
        )
        self.pool = self.trunk.pooling(config.pooling_power, learn=config.learn_pooling_power)
        self.start = two_stream.start_of(self.trunk, config)
        self.embedding_dim = two_stream.features_of(self.trunk, config)
        self.neck = batch_norm_neck(self.embedding_dim)
        self.classifier = identity_classifier(self.embedding_dim, num_identities)
        self._extra_loss: NamedLoss | None = None

    def embed(self, images: Images, modality: Modality) -> Embeddings:
        """Return features after the neck, at length one."""

        def one_way(pictures: Images) -> Embeddings:
            return F.normalize(self.neck(self._pooled({modality: pictures})), dim=1)

        return two_stream.embedded(one_way, images, self.config)

    def stages(self, data: TrainingData) -> list[Stage[Any]]:
        """Return the one stage, which trains everything."""
        config = self.config
        if config.extra_loss:  # made here: whoever only embeds needs no pytorch-metric-learning
            self._extra_loss = named_loss(config.extra_loss, config.extra_loss_settings or {})
        optimizer = self._optimizer()
        stage = Stage(
            "both spectra",
            config.epochs,
            two_stream.learning(self, config),
            data.paired(config.people, config.images_each),
            self._losses,
            optimizer,
            # A checkpoint would hold the attributes of a bound method.
            LambdaLR(optimizer, lambda epoch: config.lr_factor(epoch, config.epochs)),
            prepare=partial(two_stream.remember, self.start, self.trunk),
        )
        return [stage]

    def extra_losses(self, outputs: Outputs) -> Losses:  # noqa: ARG002  used by subclasses
        """Return losses to be minimised with those of AGW; a subclass overrides this.

        Returns:
            Scalars, already weighted, under names other than `identity` and `triplet`.
        """
        return {}

    def _losses(self, batch: PairedBatch, epoch: int) -> Losses:
        two_stream.hold_statistics(self.trunk, self.config)
        own = self._pooled({m: batch.of(m) for m in Modality})
        pooled = gather(own)
        identities = gather(batch.identities_of_both)
        logits = self.classifier(self.neck(pooled))
        config = self.config
        return {
            "identity": config.identity_weight
            * identity_loss(logits, identities, config.label_smoothing),
            "triplet": config.triplet_weight
            * weighted_triplet(pooled, identities, config.triplet_weights),
            **self.extra_losses(Outputs(pooled, logits, identities, batch, epoch)),
            **self._named_loss(pooled, identities),
            **self._pull(own, batch),
        }

    def _pull(self, own: Embeddings, batch: PairedBatch) -> Losses:
        """Return what pulls features towards those of the trunk that training began with."""
        if self.start is None:
            return {}
        with torch.no_grad():
            started = self._pooled_by(self.start, {m: batch.of(m) for m in Modality})
        return {"pull": two_stream.pull(own, started, self.config)}

    def _named_loss(self, pooled: Embeddings, identities: Identities) -> Losses:
        """Return the loss that `extra_loss` names, if it names one."""
        if self._extra_loss is None:
            return {}
        weighted = self.config.extra_loss_weight * self._extra_loss(pooled, identities)
        return {str(self.config.extra_loss): weighted}

    def _pooled(self, images: Mapping[Modality, Images]) -> Float[Tensor, "stacked d"]:
        return self._pooled_by(self.trunk, images)

    def _pooled_by(
        self, trunk: TwoStreamCNN, images: Mapping[Modality, Images]
    ) -> Float[Tensor, "stacked d"]:
        stems = torch.cat([trunk.stem(pictures, m) for m, pictures in images.items()])
        return two_stream.pooled(trunk, self.pool, stems, self.config)

    def _optimizer(self) -> optim.Optimizer:
        heads = [*self.neck.parameters(), *self.classifier.parameters()]
        pool = list(self.pool.parameters()), self.config.trunk_lr_factor
        trunk = two_stream.trunk_groups(self.trunk, self.config)
        if len(trunk) == 1:  # one group, as optimizers of former runs have
            trunk, pool = [(trunk[0][0] + pool[0], trunk[0][1])], ([], 1.0)
        return self.config.optimizer_of([*trunk, pool, (heads, 1.0)])
