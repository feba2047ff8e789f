"""MUN: a third modality between visible and infrared, and losses that align all three.

Yu, Cheng, Peng, Liu, Zhao: Modality Unifying Network for Visible-Infrared Person Re-Identification,
ICCV 2023, https://arxiv.org/abs/2309.06262. This file follows the published abstract: its authors
did not have the paper, and there is no public code. What is inferred is called "vireid's own"
below; docs/methods/mun.md tells the alternatives.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from statistics import fmean
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn, optim
from torch.nn import functional as F  # noqa: N812
from torch.optim.lr_scheduler import LambdaLR

from vireid.backbones.auxiliary import LearntMixture, Mean, OneByOne
from vireid.backbones.neck import batch_norm_neck, identity_classifier
from vireid.backbones.two_stream import AGW_NON_LOCAL, TwoStreamCNN
from vireid.errors import VireidError, check_settings
from vireid.losses.hard_triplet import hard_triplet
from vireid.losses.identity import identity_loss
from vireid.losses.identity_alignment import identity_alignment
from vireid.losses.modality_alignment import ModalityAlignment
from vireid.losses.modality_confusion import modality_confusion
from vireid.losses.weighted_triplet import weighted_triplet
from vireid.method import Losses, Method, Stage, TrainingData
from vireid.methods import _two_stream as two_stream
from vireid.methods._distances import Rows, between, figures_of
from vireid.methods._settings import TwoStreamSettings
from vireid.records import Modality
from vireid.training_data.batches import EpochOfBatches, PairedBatch
from vireid.training_data.processes import gather
from vireid.types.ranges import (
    Count,
    NotNegative,
    Positive,
    ShareBelowOne,
    Whole,
)
from vireid.types.tensors import Embeddings, FeatureMaps, Identities, Images, Modalities, Scalar

AUXILIARY = "auxiliary"
GeneratorInput = Float[Tensor, "n _ _ _"]
"""Pictures or maps that auxiliary ones are made of."""
CHANNELS = {"image": 32, "stem": 64}
"""Channels within the generator, by `aux_level`."""
STRIDE = {"image": 2, "stem": 1}
"""Stride of the generator's learners, by `aux_level`."""


class MUN(Method):
    """MUN in one stage: AGW's losses over three modalities, and two alignments of these."""

    @dataclass(frozen=True)
    class Config(TwoStreamSettings):
        """Settings of MUN; those that AGW has too are in `vireid.methods._settings`."""

        non_local: bool = False
        """Whether to use AGW's non-local attention; vireid's own default is not to."""
        share_from: Literal["layer1", "layer2", "layer3"] = "layer1"
        """Layers before this one are each modality's own (AGW: layer1; DNS: layer3)."""
        aux_level: Literal["image", "stem"] = "image"
        """Where the auxiliary modality is made: from pictures, as pictures with a stem of their
        own, or from the outputs of the stems."""
        generator: Literal["mun", "mean", "mmn", "iml_only", "cml_only", "none"] = "mun"
        """Maker of the auxiliary modality: `mun` has both kinds of learners, `mean` is the plain
        mean, `mmn` 1x1 convolutions after MMN, `iml_only` has the learners within modalities alone,
        `cml_only` the one across alone. With `none` there is no auxiliary modality, and without
        alignments that is AGW."""
        generator_kernels: tuple[Count, ...] = (1, 3, 5, 7)
        """Kernel sizes, all odd, of the learners within modalities."""
        generator_channels: Count | None = None
        """Channels within the generator; by default 32 for pictures and 64 after the stem, times
        `width`."""
        generator_stride: Count | None = None
        """Rows and columns of the squares whose means the generator's learners see; by default 2
        for pictures, which takes a quarter of the work, and 1 after the stem."""
        base_mix: bool = True
        """Begin with the mean of the pair and learn what to add to it."""
        gate: Literal["narrow", "wide"] = "wide"
        """Form of the gate that weighs both modalities: `wide` has normalised inputs and a wide
        hidden layer; `narrow`, of former versions, weighs nearly all pairs alike."""
        hold_gate: bool = False
        """Whether the gate is held at its mean over a batch, so that it weighs all pairs alike: the
        control of what a gate of each pair is worth."""
        epochs: Count = 100
        """Epochs of training, as in CAJ."""
        generator_lr_factor: NotNegative = 1.0
        """The generator's learning rate as a share of `learning_rate`; it begins with random
        weights."""
        triplet_form: Literal["weighted", "hard"] = "weighted"
        """Form of the triplet: AGW's weighted one, or the hardest pairs with a margin of 0.3."""
        triplet_auxiliary: bool = False
        """Whether auxiliary images take part in the triplet."""
        identity_alignment_weight: NotNegative = 3.0
        """Weight lambda 1 of the identity alignment. On `pooled` features 0.1 to 1, where more
        drowns the other losses; the hetero-centre triplet has 1 on SYSU-MM01 and 2 on RegDB."""
        identity_alignment_on: Literal["pooled", "embedding"] = "embedding"
        """Rows whose centres the identity alignment compares: the `embedding` that people are
        searched by, or `pooled` features before the neck, which are not of length one."""
        identity_alignment_form: Literal["triplet", "pull", "aux_anchor"] = "triplet"
        """Formula of the identity alignment, see `vireid.losses.identity_alignment`."""
        margin: NotNegative = 0.3
        """Margin rho of the identity alignment."""
        modality_alignment_weight: NotNegative = 0.5
        """Weight lambda 2 of the modality alignment."""
        modality_alignment_on: Literal["pooled", "embedding"] = "embedding"
        """Rows that prototypes are means of: the `embedding`, in which spectra lie apart, or
        `pooled` features, in which they hardly do."""
        modality_alignment_auxiliary: bool = True
        """Whether the auxiliary prototype takes part, or only those of the two spectra."""
        prototype_momentum: ShareBelowOne = 0.9
        """Share mu of a modality's prototype that stays from step to step; use 0.95 at most."""
        confusion_weight: NotNegative = 0.0
        """Weight of a loss that makes modalities hard to tell apart; off, as no publication has
        it."""
        confusion_temperature: Positive = 0.1
        """Temperature tau of the confusion loss."""
        ramp: Whole = 10
        """Epochs over which the weights of the alignments grow to their full values."""
        measured_batches: Whole = 4
        """Batches of training people, the same every time, on which distances and the gate are
        measured after each epoch, for `vireid show-measures`; 0 for none."""

        def __post_init__(self) -> None:
            super().__post_init__()
            _check_batch(self)
            _check_generator(self)

    def __init__(self, config: Config, num_identities: int) -> None:
        """Build trunk, generator, neck and classifier.

        Raises:
            VireidError: timm has no such trunk, or its weights cannot be had.
        """
        super().__init__(config, num_identities)
        self.config = config
        self.modalities = 2 if config.generator == "none" else 3
        self.trunk = TwoStreamCNN(
            config.trunk,
            width=config.width,
            pretrained=config.pretrained,
            weights=config.weights,
            last_stride=config.last_stride,
            non_local=AGW_NON_LOCAL if config.non_local else (0, 0, 0, 0),
            share_from=config.share_from,
            more_stems=(AUXILIARY,) if self._makes_pictures else (),
        )
        self.pool = self.trunk.pooling(config.pooling_power)
        self.start = two_stream.start_of(self.trunk, config)
        self.embedding_dim = two_stream.features_of(self.trunk, config)
        self.neck = batch_norm_neck(self.embedding_dim)
        self.classifier = identity_classifier(self.embedding_dim, num_identities)
        outer = 3 if config.aux_level == "image" else self.trunk.stem_channels
        self.generator = _generator(config, outer)
        self.modality_alignment = ModalityAlignment(
            self.modalities,
            self.embedding_dim,
            config.prototype_momentum,
            None if config.modality_alignment_auxiliary else 2,
        )

    @property
    def _makes_pictures(self) -> bool:
        return self.config.aux_level == "image" and self.config.generator != "none"

    def embed(self, images: Images, modality: Modality) -> Embeddings:
        """Return features after the neck, at length one; the auxiliary modality takes no part."""

        def one_way(pictures: Images) -> Embeddings:
            return self._embedded(self.trunk.stem(pictures, modality))

        return two_stream.embedded(one_way, images, self.config)

    def auxiliary(self, visible: Images, infrared: Images) -> FeatureMaps:
        """Return the auxiliary image of each pair: a picture about in [0, 1], or maps."""
        if self._makes_pictures and self.generator is not None:
            made: Images = self.generator(*map(self.trunk.normalised, (visible, infrared)))
            return made * self.trunk.std + self.trunk.mean
        return self._auxiliary_after_stem(visible, infrared)

    def embed_auxiliary(self, visible: Images, infrared: Images) -> Embeddings:
        """Return embeddings of the auxiliary images, for figures; they are not meant for search."""
        return self._embedded(self._auxiliary_after_stem(visible, infrared))

    def stages(self, data: TrainingData) -> list[Stage[Any]]:
        """Return the one stage, which trains everything."""
        config = self.config
        optimizer = self._optimizer()
        batches = data.paired(config.people, config.images_each)
        stage = Stage(
            "three modalities" if self.modalities == 3 else "both spectra",
            config.epochs,
            two_stream.learning(self, config),
            batches,
            self._losses,
            optimizer,
            # A checkpoint would hold the attributes of a bound method.
            LambdaLR(optimizer, lambda epoch: config.lr_factor(epoch, config.epochs)),
            prepare=partial(two_stream.remember, self.start, self.trunk),
            measure=partial(self._measured, batches) if config.measured_batches else None,
            measures_every_epoch=True,
        )
        return [stage]

    def _measured(self, batches: Callable[[int], EpochOfBatches[PairedBatch]]) -> dict[str, float]:
        """Return distances between spectra, people and prototypes, and what the gate does."""
        device = self.classifier.weight.device
        rows: list[Rows] = []
        gates: list[dict[str, float]] = []
        for batch in islice(batches(0), self.config.measured_batches):
            placed = batch.to(device)
            stems, given = self._passed(placed.visible, placed.infrared)
            embeddings = gather(self._embedded(torch.cat(stems)))
            identities = gather(placed.identities.repeat(self.modalities))
            rows.append(Rows(embeddings, identities, gather(self._modalities_of(placed))))
            gates.append(self._gate_figures(given))
        alignment = self.modality_alignment
        of_prototypes = between(alignment.prototypes) if alignment.steps else {}
        return {
            **figures_of(rows),
            **{f"prototypes/{name}": distance for name, distance in of_prototypes.items()},
            **{f"gate/{name}": fmean(each[name] for each in gates) for name in gates[0]},
        }

    def _gate_figures(self, given: list[GeneratorInput]) -> dict[str, float]:
        """Return what the gate does on the pairs of all processes."""
        if not isinstance(self.generator, LearntMixture):
            return {}
        return self.generator.gate_figures(*map(gather, given))

    def _losses(self, batch: PairedBatch, epoch: int) -> Losses:
        two_stream.hold_statistics(self.trunk, self.config)
        own = self._pooled(batch)
        embeddings = gather(own)
        identities = gather(batch.identities.repeat(self.modalities))
        modalities = gather(self._modalities_of(batch))
        necked = self.neck(embeddings)
        logits = self.classifier(necked)
        places = {"pooled": embeddings, "embedding": F.normalize(necked, dim=1)}
        config = self.config
        smoothing = config.label_smoothing
        return {
            "identity": config.identity_weight * identity_loss(logits, identities, smoothing),
            "triplet": config.triplet_weight * self._triplet(embeddings, identities, modalities),
            **self._alignments(places, identities, modalities, epoch),
            **self._pull(own, batch),
        }

    def _pull(self, own: Embeddings, batch: PairedBatch) -> Losses:
        """Return what pulls features of both spectra towards those that training began with."""
        if self.start is None:
            return {}
        with torch.no_grad():
            stems = torch.cat([self.start.stem(batch.of(m), m) for m in Modality])
            started = two_stream.pooled(self.start, self.pool, stems, self.config)
        return {"pull": two_stream.pull(own[: len(started)], started, self.config)}

    def _triplet(
        self, embeddings: Embeddings, identities: Identities, modalities: Modalities
    ) -> Scalar:
        if not self.config.triplet_auxiliary:
            photographed = modalities < 2
            embeddings, identities = embeddings[photographed], identities[photographed]
        if self.config.triplet_form == "hard":
            return hard_triplet(embeddings, identities)
        return weighted_triplet(embeddings, identities, self.config.triplet_weights)

    def _alignments(
        self,
        places: Mapping[str, Embeddings],
        identities: Identities,
        modalities: Modalities,
        epoch: int,
    ) -> Losses:
        config = self.config
        grown = min(1.0, (epoch + 1) / config.ramp) if config.ramp else 1.0
        losses: Losses = {}
        if config.identity_alignment_weight:
            losses["identity alignment"] = config.identity_alignment_weight * identity_alignment(
                places[config.identity_alignment_on],
                identities,
                modalities,
                config.identity_alignment_form,
                config.margin,
            )
        if config.modality_alignment_weight or config.confusion_weight:
            rows = places[config.modality_alignment_on]
            # Moves the prototypes, which the confusion needs too.
            apart = self.modality_alignment(rows, modalities)
            losses["modality alignment"] = config.modality_alignment_weight * apart
        if config.confusion_weight:
            losses["modality confusion"] = config.confusion_weight * modality_confusion(
                rows, self.modality_alignment.prototypes, config.confusion_temperature
            )
        return {name: grown * loss for name, loss in losses.items()}

    def _pooled(self, batch: PairedBatch) -> Float[Tensor, "stacked d"]:
        """Return pooled features: visible, infrared and auxiliary, where there is one."""
        stems = self._stems(batch.visible, batch.infrared)
        return two_stream.pooled(self.trunk, self.pool, torch.cat(stems), self.config)

    def _modalities_of(self, batch: PairedBatch) -> Modalities:
        """Return the modality of each row of `_pooled`."""
        numbers = torch.arange(self.modalities, device=batch.identities.device)
        return numbers.repeat_interleave(len(batch.identities))

    def _stems(self, visible: Images, infrared: Images) -> list[FeatureMaps]:
        """Return the input of the shared layers for each modality."""
        return self._passed(visible, infrared)[0]

    def _passed(
        self, visible: Images, infrared: Images
    ) -> tuple[list[FeatureMaps], list[GeneratorInput]]:
        """Return the input of the shared layers for each modality, and that of the generator.

        The generator makes auxiliary images of normalised pictures, or of what leaves the stems.
        """
        stems = self.trunk.stems
        pictures = [self.trunk.normalised(images) for images in (visible, infrared)]
        maps = [stems[m.value](images) for m, images in zip(Modality, pictures, strict=True)]
        given = pictures if self._makes_pictures else maps
        if self.generator is None:
            return maps, given
        made = self.generator(*given)
        return [*maps, stems[AUXILIARY](made) if self._makes_pictures else made], given

    def _auxiliary_after_stem(self, visible: Images, infrared: Images) -> FeatureMaps:
        if self.generator is None:
            raise VireidError(
                "this model has no auxiliary modality, as its settings.generator is 'none'"
            )
        return self._stems(visible, infrared)[2]

    def _embedded(self, stems: FeatureMaps) -> Embeddings:
        """Return embeddings of what leaves the stems."""
        pooled = two_stream.pooled(self.trunk, self.pool, stems, self.config)
        return F.normalize(self.neck(pooled), dim=1)

    def _optimizer(self) -> optim.Optimizer:
        config = self.config
        made = [] if self.generator is None else list(self.generator.parameters())
        return config.optimizer_of(
            [
                *two_stream.trunk_groups(self.trunk, config),
                ([*self.neck.parameters(), *self.classifier.parameters()], 1.0),
                (made, config.generator_lr_factor),
            ]
        )


def _generator(config: MUN.Config, outer: int) -> nn.Module | None:
    """Return the generator that the settings name, for pictures or maps of `outer` channels."""
    if config.generator in ("mun", "iml_only", "cml_only"):
        return LearntMixture(
            outer,
            config.generator_channels or max(1, round(CHANNELS[config.aux_level] * config.width)),
            kernels=() if config.generator == "cml_only" else config.generator_kernels,
            cross=config.generator != "iml_only",
            stride=config.generator_stride or STRIDE[config.aux_level],
            base_mix=config.base_mix,
            gate=config.gate,
            hold_gate=config.hold_gate,
        )
    if config.generator == "mmn":
        return OneByOne(outer)
    return Mean() if config.generator == "mean" else None


def _check_batch(config: MUN.Config) -> None:
    if config.images_each < 2 and config.identity_alignment_weight:
        raise VireidError(
            f"settings.images_each is {config.images_each}; the centre of an identity needs at "
            "least 2 images of either spectrum, or set settings.identity_alignment_weight to 0"
        )


def _check_generator(config: MUN.Config) -> None:
    check_settings(config, ["generator_kernels"], _are_odd, "odd numbers")
    if config.generator == "none" and config.identity_alignment_form == "aux_anchor":
        raise VireidError(
            "settings.identity_alignment_form is 'aux_anchor', but settings.generator is 'none', "
            "so there is no auxiliary modality; choose another of the two"
        )


def _are_odd(kernels: tuple[int, ...]) -> bool:
    return bool(kernels) and all(kernel > 0 and kernel % 2 for kernel in kernels)
