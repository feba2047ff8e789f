"""Released: networks of released code, as checkpoints of it are imported.

`vireid import` makes models of this method. They embed as the released networks do; to learn on,
they have the losses of AGW and AdamW, which is vireid's own and not what their authors did
(docs/importing.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn, optim
from torch.nn import functional as F  # noqa: N812
from torch.optim.lr_scheduler import LambdaLR

from vireid.backbones.deen import DEEN
from vireid.backbones.fast_reid import as_in_fast_reid
from vireid.backbones.neck import batch_norm_neck, identity_classifier
from vireid.backbones.osnet import OSNet
from vireid.backbones.pooling import GeneralisedMean, stripe_means
from vireid.backbones.two_stream import AGW_NON_LOCAL, TwoStreamCNN
from vireid.errors import check_settings
from vireid.losses.identity import identity_loss
from vireid.losses.weighted_triplet import weighted_triplet
from vireid.method import Losses, Method, Stage, TrainingData
from vireid.methods._optimizers import lr_factor
from vireid.methods._settings import check_people
from vireid.records import Modality
from vireid.training_data.batches import PairedBatch
from vireid.training_data.processes import gather
from vireid.types.ranges import Count, Factor, NotNegative, Positive, Whole, check_ranges
from vireid.types.tensors import Embeddings, Images

Views = Float[Tensor, "stacked v d"]
"""Features of one or several views of each picture."""
STRIPES = 4
RESNET_50 = "resnet50.tv_in1k"


class Released(Method):
    """A network of released code: necks over its features, and the losses of AGW."""

    @dataclass(frozen=True)
    class Config:
        """Settings; an imported checkpoint fixes the first eight, which say what network it is."""

        network: Literal["mmn", "deen", "osnet", "fast-reid"] = "osnet"
        """Released network: of MMN (two streams, four stripes), of DEEN (two streams, three views),
        OSNet of torchreid (one stream), ResNet-50 of fast-reid (one stream)."""
        layers: Literal[3, 4] = 4
        """DEEN: layers of the trunk, 3 as for RegDB."""
        osnet_width: Factor = 1.0
        """OSNet: factor of all channels, 0.25 or more."""
        osnet_features: Count = 512
        """OSNet: numbers of an embedding."""
        instance_norm: Literal["plain", "ibn", "ain"] = "plain"
        """Instance normalisation: none, that of IBN-Net (OSNet, fast-reid), or OSNet-AIN's."""
        non_local: bool = False
        """fast-reid: non-local attention, as in AGW and SBS."""
        pooling_power: Positive = 1.0
        """fast-reid: power of the generalised mean; 1 is the plain mean."""
        learn_pooling_power: bool = False
        """fast-reid: let training change the power, as in SBS."""
        people: Count = 8
        """Identities in a batch."""
        images_each: Count = 4
        """Images of each identity in a batch, in each spectrum."""
        epochs: Count = 40
        """Epochs of training."""
        learning_rate: Positive = 3.5e-4
        """Learning rate of AdamW at its peak, which then follows half a cosine to zero."""
        weight_decay: NotNegative = 5e-4
        """Weight decay of all parameters."""
        warm_up: Whole = 5
        """Epochs over which the learning rate grows to its peak."""

        def __post_init__(self) -> None:
            check_ranges(self)
            check_people(self)
            check_settings(self, ["osnet_width"], lambda width: width >= 0.25, "0.25 or more")
            known = {"osnet": ("plain", "ibn", "ain"), "fast-reid": ("plain", "ibn")}
            there = known.get(self.network, ("plain",))
            rule = f"{' or '.join(there)}, which {self.network} has"
            check_settings(self, ["instance_norm"], lambda norm: norm in there, rule)

    def __init__(self, config: Config, num_identities: int) -> None:
        """Build the network with random weights."""
        super().__init__(config, num_identities)
        self.config = config
        self.network = _network(config)
        self.embedding_dim = self.network.views * self.network.channels
        has_neck = config.network != "osnet"  # OSNet's last layer has a normalisation already
        self.neck = batch_norm_neck(self.network.channels) if has_neck else nn.Identity()
        self.classifier = identity_classifier(self.network.channels, num_identities)

    def embed(self, images: Images, modality: Modality) -> Embeddings:
        """Return features after the neck, each view at length one, together at length one.

        The dot product of two is the mean over views of their cosines.
        """
        views = self._views({modality: images})
        necked = self.neck(views.flatten(0, 1)).unflatten(0, (-1, self.network.views))
        return F.normalize(F.normalize(necked, dim=2).flatten(1), dim=1)

    def stages(self, data: TrainingData) -> list[Stage[Any]]:
        """Return the one stage, which trains everything."""
        config = self.config
        # With Adam's usual eps weights whose gradient is nothing but rounding would wander.
        optimizer = optim.AdamW(
            self.parameters(), config.learning_rate, weight_decay=config.weight_decay, eps=1e-5
        )
        batches = data.paired(config.people, config.images_each)
        # A checkpoint would hold the attributes of a bound method.
        schedule = LambdaLR(optimizer, lambda epoch: self._lr_factor(epoch))
        stage = Stage(
            "both spectra", config.epochs, (self,), batches, self._losses, optimizer, schedule
        )
        return [stage]

    def _lr_factor(self, epoch: int) -> float:
        config = self.config
        return lr_factor(
            epoch, schedule="cosine", warm_up=config.warm_up, milestones=(), epochs=config.epochs
        )

    def _losses(self, batch: PairedBatch, _epoch: int) -> Losses:
        views = gather(self._views({m: batch.of(m) for m in Modality}))
        identities = gather(batch.identities_of_both).repeat_interleave(self.network.views)
        features = views.flatten(0, 1)
        logits = self.classifier(self.neck(features))
        return {
            "identity": identity_loss(logits, identities, 0.0),
            "triplet": weighted_triplet(features, identities, "paper"),
        }

    def _views(self, images: Mapping[Modality, Images]) -> Views:
        views: Views = self.network(images)
        return views


class Striped(nn.Module):
    """MMN's: four stripes of a two-stream ResNet-50.

    Source: Zhang, Yan, Lu, Wang: Towards a Unified Middle Modality Learning for Visible-Infrared
    Person Re-Identification, ACM MM 2021. Its generator of a middle modality is for training; of
    both vectors that its code embeds a picture to, this is the one of the picture itself.
    """

    def __init__(self, trunk: TwoStreamCNN) -> None:
        super().__init__()
        self.trunk = trunk
        self.views, self.channels = 1, STRIPES * trunk.channels

    def forward(self, images: Mapping[Modality, Images]) -> Views:
        """Return features, stacked in the order in which the spectra were given."""
        return stripe_means(self.trunk(images), STRIPES)[:, None]


class Strong(nn.Module):
    """fast-reid's: a ResNet-50, whose maps are pooled. Infrared pictures have a stem of their own.

    Source: He et al., FastReID, https://arxiv.org/abs/2006.02631, and its code.
    """

    def __init__(self, config: Released.Config) -> None:
        super().__init__()
        non_local = AGW_NON_LOCAL if config.non_local else (0, 0, 0, 0)
        self.trunk = TwoStreamCNN(RESNET_50, non_local=non_local)
        as_in_fast_reid(self.trunk, instance_norm=config.instance_norm == "ibn")
        self.views, self.channels = 1, self.trunk.channels
        is_mean = config.pooling_power == 1 and not config.learn_pooling_power
        self.pool = GeneralisedMean(
            config.pooling_power,
            learn=config.learn_pooling_power,
            least=None if is_mean else 1e-6,
        )

    def forward(self, images: Mapping[Modality, Images]) -> Views:
        """Return features, stacked in the order in which the spectra were given."""
        pooled: Embeddings = self.pool(self.trunk(images))
        return pooled[:, None]


def _network(config: Released.Config) -> Striped | DEEN | OSNet | Strong:
    if config.network == "osnet":
        return OSNet(config.instance_norm, config.osnet_width, config.osnet_features)
    if config.network == "fast-reid":
        return Strong(config)
    trunk = TwoStreamCNN(RESNET_50)
    return Striped(trunk) if config.network == "mmn" else DEEN(trunk, layers=config.layers)
