"""CLIP4VI-ReID: learn texts from visible pictures, then align infrared pictures to the texts.

Yang, Gao, Niu, Zhu, Feng, Qu, Camacho: CLIP4VI-ReID: Learning Modality-shared Representations via
CLIP Semantic Bridge for Visible-Infrared Person Re-identification,
https://arxiv.org/abs/2511.10309. This file follows the published abstract: its authors did not have
the paper, and know of no code. docs/methods/clip4vi_reid.md tells what is inferred, mostly from
CLIP-ReID and CSDN, with the alternatives.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import open_clip
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn, optim
from torch.nn import functional as F  # noqa: N812
from torch.optim.lr_scheduler import LambdaLR

from vireid.backbones.clip import create_clip
from vireid.backbones.clip_image import (
    Normalisation,
    Projected,
    Relus,
    ResNetTower,
    Stems,
    image_tower,
)
from vireid.backbones.clip_plain import PlainCLIP
from vireid.backbones.clip_text import Prompts, TextTower
from vireid.backbones.neck import batch_norm_neck, identity_classifier
from vireid.backbones.pooling import GeneralisedMean
from vireid.errors import VireidError, check_settings, is_rising
from vireid.losses.identity import identity_loss
from vireid.losses.image_text import contrast, text_logits
from vireid.losses.shared_enhancement import shared_enhancement
from vireid.losses.weighted_triplet import TripletWeights, weighted_triplet
from vireid.method import Losses, Method, Stage, TrainingData
from vireid.methods._questions import answered, appearance_of, found_by, mean_rank
from vireid.methods._sentences import Appearance, describe
from vireid.methods._settings import check_people
from vireid.records import Modality
from vireid.training_data.batches import EpochOfBatches, ImageBatch, PairedBatch, Tensors
from vireid.training_data.processes import gather, own_rows, processes
from vireid.types.ranges import (
    Count,
    NotNegative,
    Pixels,
    Positive,
    ShareBelowOne,
    Whole,
    check_ranges,
)
from vireid.types.tensors import Embeddings, Identities, Images, Scalar

VISIBLE, INFRARED = Modality.VISIBLE, Modality.INFRARED
Rows = Float[Tensor, "n _"]
"""Features of either kind, pooled or projected."""
Pooled = Float[Tensor, "stacked c"]
Texts = Float[Tensor, "s k d"]
"""Text vectors of all people's descriptions; one set, or one for each spectrum."""


class CLIP4VIReID(Method):
    """Three stages: describe visible pictures, pull infrared ones to the texts, refine all."""

    @dataclass(frozen=True)
    class Config:
        """Settings of CLIP4VI-ReID; defaults are those of CSDN or CLIP-ReID unless said otherwise.

        `tsg_` belongs to the first stage (text semantic generation), `ife_` to the second (infrared
        feature embedding), `hsa_` to the third (high-level semantic alignment).
        """

        clip: str = "RN50"
        """open_clip's name of a CLIP with a ResNet or a ViT; `tiny RN`, `tiny ViT`, `wide RN` and
        `wide ViT` are vireid's own, small, and have no weights."""
        weights: str = "openai"
        """Weights of the CLIP: a tag that open_clip knows, or a file with OpenAI's archive, a state
        dict, or safetensors."""
        pretrained: bool = True
        """Start from these weights. Without them texts mean nothing."""
        quick_gelu: bool = True
        """Whether the transformers use QuickGELU: OpenAI's weights need true, most later ones
        false."""
        pixels: Normalisation = "imagenet"
        """Mean and deviation by which pixels are normalised: ImageNet's (CSDN, CLIP-ReID's RN50),
        0.5 (`half`, CLIP-ReID's ViT) or CLIP's own."""
        picture: tuple[Pixels, Pixels] = (288, 144)
        """Rows and columns of a picture, the same as in [data]: position embeddings are made for
        it."""
        last_stride: Literal[1, 2] = 1
        """Stride of a ResNet's last layer."""
        stems: Stems = "dual"
        """A stem for each spectrum (`dual`), or one encoder for both (`shared`)."""
        stem_relus: Relus = 3
        """ReLUs in a ResNet's stem: one after each of three convolutions, as in CLIP, or one after
        the last (CSDN)."""
        neck_bias: bool = False
        """Whether the necks have a bias that learns (CSDN: true)."""
        descriptions: Literal["learnt", "random words", "class means"] = "learnt"
        """What stands for people in the space of texts. `learnt` are texts. The others are controls
        that a text has to beat, and have no first stage: texts of words drawn from the vocabulary,
        or the mean of each person's visible pictures in place of a text."""
        tokens: Whole = 4
        """Learnt words in each person's description. With 0 all people have the same description,
        so the first two stages have nothing to learn and are left out."""
        people: Count = 8
        """Identities in a paired batch."""
        images_each: Count = 4
        """Images of each identity in a paired batch, in each spectrum."""
        visible_views: Literal[1, 2] = 2
        """Copies of each visible image in a paired batch: the image itself, and one in which a
        random colour replaces all three. With 2, set `augmentation.channel_exchange` to 0."""
        view_colours: Literal["pixels", "normalised"] = "pixels"
        """When the one colour of that copy replaces the others: in the picture, or after mean and
        deviation of `pixels` have been subtracted (CSDN), which tints it."""
        label_smoothing: ShareBelowOne = 0.0
        """Share of the target spread over all identities (CLIP-ReID: 0.1)."""
        warm_up_from: Literal["share", "floor"] = "share"
        """Learning rates while they grow: `share` is (epoch + 1) / warm_up of the peak, as for all
        methods; `floor`, of CSDN and of former versions, begins at a hundredth (the first stage at
        1e-5), so the first epoch learns next to nothing."""
        tsg_images: Literal["visible", "visible and infrared"] = "visible"
        """Images that texts are learnt from. With both, each spectrum has its own descriptions,
        which are learnt from all images, as in CSDN."""
        tsg_epochs: Whole = 60
        """Epochs of the first stage; 0 leaves texts as random as they begin."""
        tsg_batch: Count = 64
        """Features in a batch of the first stage."""
        tsg_learning_rate: Positive = 3.5e-4
        """Learning rate of the first stage at its peak; it ends at 1e-6."""
        tsg_weight_decay: NotNegative = 1e-4
        """Weight decay of the tokens in the first stage."""
        tsg_warm_up: Whole = 5
        """Epochs of the first stage over which the learning rate grows to its peak."""
        ife: bool = True
        """Whether there is a second stage."""
        ife_epochs: Count = 20
        """Epochs of the second stage; the default is vireid's own."""
        ife_batch: Count = 64
        """Images in a batch of the second stage."""
        ife_trains: Literal["stem", "stem and trunk"] = "stem and trunk"
        """Parts of the image tower that the second stage trains: the infrared stem, or also all
        shared layers."""
        ife_loss: Literal["contrast", "bank", "bank, identity, triplet"] = "contrast"
        """Losses of the second stage. `contrast`: both directions within a batch. `bank`: images
        against the texts of all people, and texts against the batch. The third adds the identity
        and triplet losses of the last stage, on the infrared halves of paired batches."""
        ife_visible_replay: ShareBelowOne = 0.0
        """Share of visible images in a batch, so that visible images stay close to their texts."""
        ife_learning_rate: Positive = 3e-4
        """Learning rate of the second stage at its peak (a ViT: 5e-6)."""
        ife_weight_decay: NotNegative = 5e-4
        """Weight decay in the second stage."""
        ife_warm_up: Whole = 10
        """Epochs of the second stage over which the learning rate grows to its peak."""
        hsa_epochs: Count = 120
        """Epochs of the last stage."""
        hsa_learning_rate: Positive = 3e-4
        """Learning rate of the last stage at its peak (a ViT: 5e-6)."""
        hsa_classifier_lr_factor: NotNegative = 2.0
        """Learning rate of the pooling power, the necks and the classifiers as a multiple of
        `hsa_learning_rate`."""
        hsa_weight_decay: NotNegative = 5e-4
        """Weight decay of everything but the texts in the last stage."""
        hsa_warm_up: Whole = 10
        """Epochs of the last stage over which the learning rate grows to its peak."""
        hsa_milestones: tuple[Whole, ...] = (40, 70)
        """Epochs from which the learning rate is a tenth of what it was before."""
        hsa_text: Literal["frozen", "tokens", "tokens, projection", "tokens, projection, block"] = (
            "tokens"
        )
        """Parts of the text that the last stage refines: none, the tokens, also the projection, or
        also the last block of the text tower."""
        hsa_token_learning_rate: NotNegative = 3.5e-6
        """Learning rate of the refined parts of the text, at its peak. Adam divides the weights of
        losses out, so that at the rate of the images (3.5e-4, as in the first stage and in former
        versions) texts walk to the images, and are another classifier."""
        hsa_token_weight_decay: NotNegative = 1e-4
        """Weight decay of the refined parts of the text."""
        hsa_reads: Literal["all", "batch"] = "all"
        """Descriptions that are read anew in every step: everyone's, or those of the people in the
        batch; the others are remembered from when they were last read."""
        hsa_detach: bool = False
        """Images learn from texts without a gradient to the texts, and texts from images likewise
        (ICPL)."""
        identity_weight: NotNegative = 1.0
        """Weight of the cross-entropies over identities."""
        triplet_weight: NotNegative = 0.15
        """Weight of the weighted triplet losses."""
        triplet_weights: TripletWeights = "paper"
        """Weights within the weighted triplet, of AGW's paper or of its released code."""
        visible_text_weight: NotNegative = 0.05
        """Weight of the loss of visible images against the texts of all people."""
        infrared_text_weight: NotNegative = 0.1
        """Weight of the loss of infrared images against the texts of all people."""
        text_image_weight: NotNegative = 0.05
        """Weight of the loss of texts against a batch's images, in both spectra. vireid's own."""
        enhancement_weight: NotNegative = 1.0
        """Weight of the modality-shared enhancement."""

        def __post_init__(self) -> None:
            _check_numbers(self)
            _check_texts(self)

    def __init__(self, config: Config, num_identities: int) -> None:
        """Build both towers, descriptions, necks and classifiers.

        Raises:
            VireidError: There is no such CLIP, or its weights cannot be had or do not fit.
        """
        super().__init__(config, num_identities)
        self.config = config
        clip = _clip(config)
        self.images = image_tower(
            clip.visual,
            config.picture,
            stems=config.stems,
            pixels=config.pixels,
            last_stride=config.last_stride,
            relus=config.stem_relus,
        )
        self.text = TextTower(clip)
        self.prompts = Prompts(self.text, num_identities, config.tokens, self._sets)
        maps = isinstance(self.images, ResNetTower)
        self.pool = GeneralisedMean(3.0, learn=True, least=1e-6) if maps else nn.Identity()
        dims = (self.images.seen_dim, self.images.projected_dim)
        self.necks = nn.ModuleList(batch_norm_neck(d, bias=config.neck_bias) for d in dims)
        self.classifiers = nn.ModuleList(identity_classifier(d, num_identities) for d in dims)
        self.embedding_dim = sum(dims)
        self.register_buffer("order", torch.zeros((), dtype=torch.int64))
        self.order: Tensor
        """Seed of the order of features in the first stage."""

    def embed(self, images: Images, modality: Modality) -> Embeddings:
        """Return pooled features after their neck, and projected ones, each of length one.

        The dot products of the two parts are added up, and halved so that a picture's similarity to
        itself is 1. No text is used. Source: CSDN.
        """
        pooled, projected = self._features({modality: images})
        parts = [F.normalize(self.necks[0](pooled), dim=1), F.normalize(projected, dim=1)]
        return F.normalize(torch.cat(parts, dim=1), dim=1)

    def embed_text(self, sentences: Sequence[str]) -> Embeddings:
        """Return sentence vectors; a dot product with an embedding is the cosine in text space.

        A sentence lies in the space of projected features. It says nothing about pooled features:
        that part is 0. The vector's length is the root of 2, because each part of an embedding has
        the root of a half.

        Raises:
            VireidError: A sentence is empty or too long.
        """
        return self._as_embeddings(self.text.say(sentences))

    @property
    def most_words(self) -> int:
        """Largest number of words and parts of words of a sentence, with its two signs."""
        return len(self.text.positions)

    def embed_words(self, words: Int[Tensor, "k length"]) -> Embeddings:
        """Return the vectors of sentences of one length, see `embed_text`."""
        return self._as_embeddings(self.text(self.text.words(words)))

    def _as_embeddings(self, texts: Float[Tensor, "k _"]) -> Embeddings:
        """Return texts in the space of embeddings, see `embed_text`."""
        padded = F.pad(F.normalize(texts, dim=1), (self.images.seen_dim, 0))
        return padded * math.sqrt(2)

    @classmethod
    def original(cls, config: Config) -> PlainCLIP:
        """Return CLIP as a run with these settings begins with it.

        Raises:
            VireidError: They begin with random weights, or the weights cannot be had.
        """
        if not config.pretrained:
            raise VireidError(
                "the run began with random weights (settings.pretrained = false), so there is no "
                "original that sentences would mean anything to"
            )
        return PlainCLIP(_clip(config), config.picture, config.pixels, config.last_stride)

    @classmethod
    def text_caveat(cls, config: Config, name: str, original: str) -> str:
        """Return a sentence about what fine-tuning has done to the meaning of words."""
        if not config.pretrained:
            return f"{name} began with random weights, so words mean nothing to it"
        return (
            f"what {name} makes of sentences was narrowed when it learnt to tell people apart: "
            "words that it did not need for that may mean little to it. CLIP as it was before is "
            f"asked in a gallery that was indexed by --model {original}"
        )

    def stages(self, data: TrainingData) -> list[Stage[Any]]:
        """Return the stages in which there is something to learn.

        Raises:
            VireidError: There are more people than descriptions.
        """
        described = self.prompts.tokens.shape[1]
        if data.num_identities > described:
            raise VireidError(
                f"there are {data.num_identities} people to learn from, but descriptions of "
                f"{described}; build the method for {data.num_identities}"
            )
        stages: list[Stage[Any]] = []
        is_learnt = self.config.descriptions == "learnt"
        if self.config.tokens and self.config.tsg_epochs and is_learnt:
            stages.append(self._tsg(data))
        if self.config.tokens and self.config.ife:
            stages.append(self._ife(data))
        return [*stages, self._hsa(data)]

    def measured(self, data: TrainingData) -> dict[str, float]:
        """Return what shows whether texts bridge the spectra.

        Of the people that are learnt from, as shares of 1: `visible to text`, pictures whose best
        text is their own person's; `text to visible`, people whose text is most like a picture of
        theirs. `text of a person`: mean cosine of it to the mean of that person's visible, and of
        the infrared pictures. `rank of the true description`: where the data tell what people look
        like, the place of a person's full description among all by closeness to the learnt text.

        Of people that are not learnt from, where the recipe leaves some out: how well pictures of
        one spectrum find those of the other by projected features, and how often pictures find the
        right answer to questions about looks.
        """
        texts = self._bank_now(data)
        seen = {modality: self._encoded(data, modality) for modality in Modality}
        found = _bridge(seen, texts[:, : data.num_identities], self._set_of)
        if (people := _looks(data)) and self._reads_words:
            told = self.text.say([describe(somebody) for somebody in people])
            found["rank of the true description/mean"] = mean_rank(texts[0, : len(told)], told)
            found["rank of the true description/by chance"] = (len(told) + 1) / 2
        if unseen := data.unseen():
            found |= self._measured_unseen(unseen)
        return found

    def _measured_unseen(self, data: TrainingData) -> dict[str, float]:
        found: dict[str, float] = {}
        seen = {modality: self._encoded(data, modality) for modality in Modality}
        for asked, known in ((VISIBLE, INFRARED), (INFRARED, VISIBLE)):
            first, precision = found_by(seen[asked].of_people, seen[known].of_people)
            found[f"unseen people, rank 1/{asked} to {known}"] = first
            found[f"unseen people, mAP/{asked} to {known}"] = precision
        if (people := _looks(data)) and self._reads_words:
            for modality, of in seen.items():
                shown = [people[i] for i in of.identities.tolist()]
                for name, share in answered(self.text.say, of.features, shown).items():
                    found[f"questions, unseen people, {modality}/{name}"] = share
        return found

    @property
    def _reads_words(self) -> bool:
        """Whether words mean anything: random towers know none."""
        return self.config.pretrained

    def _bank_now(self, data: TrainingData) -> Texts:
        """Return what stands for people in the space of texts, as it is now."""
        if self.config.descriptions != "class means":
            return self.prompts.read_all(self.text)
        is_made = bool(self.prompts.texts.any())
        return self.prompts.texts if is_made else self._class_means(data)

    def _class_means(self, data: TrainingData) -> Texts:
        """Return the mean of each person's visible pictures, as long as a picture's vector is."""
        seen = self._encoded(data, VISIBLE)
        sums = torch.zeros_like(self.prompts.texts[0])
        sums.index_add_(0, seen.identities, seen.features.to(sums.dtype))
        length = torch.linalg.vector_norm(seen.features, dim=1).mean()
        means: Texts = length * F.normalize(sums, dim=1)[None]
        return means

    def _prepare_bank(self, data: TrainingData) -> None:
        """Remember what stands for people; a control is made once, before the first stage."""
        if self.config.descriptions == "class means":
            self.prompts.texts.copy_(self._bank_now(data))
            return
        if self.config.descriptions == "random words" and not self.prompts.texts.any():
            words = self.text.words.weight
            drawn = torch.randint(len(words), self.prompts.tokens.shape[:3]).to(words.device)
            with torch.no_grad():
                self.prompts.tokens.copy_(words[drawn])
        self.prompts.remember(self.text)

    @property
    def _sets(self) -> int:
        return 1 if self.config.tsg_images == "visible" else 2

    def _set_of(self, modality: Modality) -> int:
        """Return which of a person's descriptions belongs to a spectrum."""
        return 1 if self._sets == 2 and modality is INFRARED else 0

    def _features(self, images: Mapping[Modality, Images]) -> tuple[Pooled, Projected]:
        """Return pooled features, and features projected to the space of texts."""
        seen, projected = self.images(images)
        return self.pool(seen), projected

    # First stage

    def _tsg(self, data: TrainingData) -> Stage[Any]:
        config = self.config
        seen = _Remembered(lambda: self._described(data))
        modalities = [VISIBLE] if self._sets == 1 else list(Modality)
        steps = sum(len(data.every(modality, config.tsg_batch)) for modality in modalities)
        optimizer = optim.Adam(
            self.prompts.parameters(),
            config.tsg_learning_rate,
            weight_decay=config.tsg_weight_decay,
        )
        return Stage(
            "TSG",
            config.tsg_epochs,
            (self.prompts,),
            lambda epoch: _Shuffled(seen, int(self.order) + epoch, steps, config.tsg_batch),
            self._tsg_losses,
            optimizer,
            LambdaLR(optimizer, lambda epoch: _tsg_factor(config, epoch)),
            self._draw_order,
            lambda: self.measured(data),
        )

    def _draw_order(self) -> None:
        self.order.copy_(torch.randint(2**62, ()))

    def _described(self, data: TrainingData) -> "_Features":
        """Return features of all images that texts are learnt from, in one or both spectra."""
        parts = [self._encoded(data, modality) for modality in list(Modality)[: self._sets]]
        sets = [torch.full_like(part.identities, i) for i, part in enumerate(parts)]
        return _Features(
            torch.cat([part.features for part in parts]),
            torch.cat([part.identities for part in parts]),
            torch.cat(sets),
        )

    @torch.no_grad()
    def _encoded(self, data: TrainingData, modality: Modality) -> "_Features":
        """Return projected features of all training images of a spectrum, without augmentation."""
        device = self.order.device
        features, identities = [], []
        for batch in data.every(modality, self.config.tsg_batch):
            images, seen = batch.images.to(device), batch.identities.to(device)
            features.append(self.images({modality: images})[1])
            identities.append(seen)
        people = torch.cat(identities)
        return _Features(torch.cat(features), people, torch.zeros_like(people))

    def _tsg_losses(self, batch: "_Features", _epoch: int) -> Losses:
        texts = self.prompts.read(self.text, batch.identities, batch.sets)
        return {
            "image to text": contrast(batch.features, texts, batch.identities),
            "text to image": contrast(texts, batch.features, batch.identities),
        }

    # Second stage

    def _ife(self, data: TrainingData) -> Stage[Any]:
        config = self.config
        shared = self.images.shared if config.ife_trains == "stem and trunk" else ()
        trains: tuple[nn.Module, ...] = (self.images.stem(INFRARED), *shared)
        if self._ife_has_heads:
            trains += (self.pool, self.necks, self.classifiers)
        optimizer = optim.Adam(
            [p for part in trains for p in part.parameters()],
            config.ife_learning_rate,
            weight_decay=config.ife_weight_decay,
        )
        return Stage(
            "IFE",
            config.ife_epochs,
            trains,
            self._ife_batches(data),
            self._ife_losses,
            optimizer,
            LambdaLR(optimizer, lambda epoch: _stepped(config, epoch, config.ife_warm_up)),
            lambda: self._prepare_bank(data),
            lambda: self.measured(data),
        )

    @property
    def _ife_has_heads(self) -> bool:
        return self.config.ife_loss == "bank, identity, triplet"

    def _ife_batches(
        self, data: TrainingData
    ) -> Callable[[int], EpochOfBatches[ImageBatch] | EpochOfBatches["_BothSpectra"]]:
        config = self.config
        if self._ife_has_heads:
            paired = data.paired(config.people, config.images_each)
            return lambda epoch: _InfraredHalves(paired(epoch))
        visible = round(config.ife_batch * config.ife_visible_replay)
        infrared = data.single(INFRARED, config.ife_batch - visible)
        if not visible:
            return infrared
        replayed = data.single(VISIBLE, visible)
        return lambda epoch: _Replaying(infrared(epoch), replayed(epoch))

    def _ife_losses(self, batch: "ImageBatch | _BothSpectra", _epoch: int) -> Losses:
        images, identities = {INFRARED: _infrared(batch).images}, _infrared(batch).identities
        if isinstance(batch, _BothSpectra):
            images[VISIBLE] = batch.visible.images
            identities = torch.cat([identities, batch.visible.identities])
        seen, projected = self.images(images)
        projected, identities = gather(projected), gather(identities)
        # Those learnt from visible images, also where infrared ones have their own.
        texts = self.prompts.texts[0]
        losses: Losses = {"text to image": contrast(texts[identities], projected, identities)}
        if self.config.ife_loss == "contrast":
            losses["image to text"] = contrast(projected, texts[identities], identities)
        else:
            losses["image to text"] = self._against_all(projected, texts, identities)
        if self._ife_has_heads:
            losses |= self._of_heads([gather(self.pool(seen)), projected], identities)
        return losses

    # Third stage

    def _hsa(self, data: TrainingData) -> Stage[Any]:
        config = self.config
        optimizer = self._hsa_optimizer()
        trains = (self.images, self.pool, self.necks, self.classifiers, *self._refined_text())
        return Stage(
            "HSA",
            config.hsa_epochs,
            trains,
            data.paired(config.people, config.images_each),
            self._hsa_losses,
            optimizer,
            LambdaLR(
                optimizer,
                lambda epoch: _stepped(config, epoch, config.hsa_warm_up, config.hsa_milestones),
            ),
            lambda: self._prepare_bank(data),
            lambda: self.measured(data),
        )

    def _refined_text(self) -> list[nn.Module]:
        refined: list[nn.Module] = [self.prompts] if "tokens" in self.config.hsa_text else []
        if "projection" in self.config.hsa_text:
            refined.append(self.text.projection)
        if "block" in self.config.hsa_text:
            refined.append(self.text.blocks[-1])
        return refined

    def _hsa_optimizer(self) -> optim.Optimizer:
        config = self.config
        rate, decay = config.hsa_learning_rate, config.hsa_weight_decay
        token_rate, token_decay = config.hsa_token_learning_rate, config.hsa_token_weight_decay
        heads = (self.pool, self.necks, self.classifiers)
        groups: list[tuple[Sequence[nn.Module], float, float]] = [
            ((self.images,), rate, decay),
            (heads, rate * config.hsa_classifier_lr_factor, decay),
            (self._refined_text(), token_rate, token_decay),
        ]
        return optim.Adam(
            [
                {"params": found, "lr": rate, "weight_decay": decay}
                for parts, rate, decay in groups
                if (found := [p for part in parts for p in part.parameters()])
            ]
        )

    def _hsa_losses(self, batch: PairedBatch, _epoch: int) -> Losses:
        views = self.config.visible_views
        visible = [batch.visible, self._second_view(batch.visible)][:views]
        found = self._features({VISIBLE: torch.cat(visible), INFRARED: batch.infrared})
        # Each part by itself, so that rows of several processes are in the order of one.
        pooled, projected = ([gather(p) for p in part.chunk(views + 1)] for part in found)
        people = gather(batch.identities)
        both = [torch.cat(pooled), torch.cat(projected)]
        losses = self._of_heads(both, people.repeat(views + 1))
        if self.config.enhancement_weight:
            # Of the second view of a visible image neither enhancement nor texts know.
            losses["enhancement"] = self.config.enhancement_weight * sum(
                (_enhancement(part[0], part[-1], people) for part in (pooled, projected)),
                start=torch.zeros((), device=people.device),
            )
        return losses | self._of_texts({VISIBLE: projected[0], INFRARED: projected[-1]}, people)

    def _second_view(self, images: Images) -> Images:
        if self.config.view_colours == "pixels":
            return _one_colour(images)
        mean, std = self.images.mean, self.images.std
        return _one_colour((images - mean) / std) * std + mean

    def _of_heads(self, features: list[Rows], identities: Identities) -> Losses:
        """Return identity and triplet losses, each on pooled and on projected features."""
        config = self.config
        losses: Losses = {}
        for name, each, neck, classifier in zip(
            ("pooled", "projected"), features, self.necks, self.classifiers, strict=True
        ):
            logits = classifier(neck(each))
            known = identity_loss(logits, identities, config.label_smoothing)
            losses[f"identity, {name}"] = config.identity_weight * known
            apart = weighted_triplet(each, identities, config.triplet_weights)
            losses[f"triplet, {name}"] = config.triplet_weight * apart
        return losses

    def _of_texts(self, projected: Mapping[Modality, Embeddings], people: Identities) -> Losses:
        """Return losses of images against all people's texts, and of texts against the images."""
        config = self.config
        image_weights = {VISIBLE: config.visible_text_weight, INFRARED: config.infrared_text_weight}
        if not any((*image_weights.values(), config.text_image_weight)):
            return {}
        texts, losses = self._texts_now(people), Losses()
        for modality, images in projected.items():
            own = texts[self._set_of(modality)]
            still = config.hsa_detach
            if weight := image_weights[modality]:
                told = own.detach() if still else own
                losses[f"{modality} to text"] = weight * self._against_all(images, told, people)
            if weight := config.text_image_weight:
                shown = images.detach() if still else images
                losses[f"text to {modality}"] = weight * contrast(own[people], shown, people)
        return losses

    def _against_all(
        self, images: Embeddings, texts: Float[Tensor, "k d"], people: Identities
    ) -> Scalar:
        return identity_loss(text_logits(images, texts), people, self.config.label_smoothing)

    def _texts_now(self, people: Identities) -> Texts:
        """Return all text vectors, with a gradient to the parts that are refined."""
        if self.config.hsa_text == "frozen":
            return self.prompts.texts
        if self.config.hsa_reads == "all":
            return self.prompts.read_all(self.text)
        return self.prompts.read_some(self.text, torch.unique(people))


def _clip(config: CLIP4VIReID.Config) -> open_clip.CLIP:
    weights = config.weights if config.pretrained else None
    return create_clip(config.clip, weights, quick_gelu=config.quick_gelu)


@dataclass(frozen=True)
class _Features(Tensors):
    """Projected features of images."""

    features: Embeddings
    identities: Identities
    sets: Identities
    """Number of the description, among a person's, that belongs to each image's spectrum."""

    @property
    def of_people(self) -> tuple[Embeddings, Identities]:
        """Return features, and the person of each."""
        return self.features, self.identities

    def rows(self, chosen: Tensor) -> "_Features":
        return _Features(self.features[chosen], self.identities[chosen], self.sets[chosen])


@dataclass
class _Remembered:
    """Features computed when first asked for, as the image tower stays fixed in the stage.

    A run that goes on in the middle of the stage computes them again; in a checkpoint they would
    take 90 MB on SYSU-MM01.
    """

    compute: Callable[[], _Features]
    known: _Features | None = field(default=None, init=False)

    def get(self) -> _Features:
        if self.known is None:
            self.known = self.compute()
        return self.known


@dataclass(frozen=True)
class _Shuffled:
    """All features in random order, filled up from the first; every process takes all of them."""

    seen: _Remembered
    order: int
    steps: int
    size: int

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[_Features]:
        return self.after(0)

    def after(self, steps: int) -> Iterator[_Features]:
        features = self.seen.get()
        chance = torch.Generator().manual_seed(self.order)
        order = torch.randperm(len(features.identities), generator=chance)
        for step in range(steps, self.steps):
            places = torch.arange(step * self.size, (step + 1) * self.size) % len(order)
            yield features.rows(order[places].to(features.identities.device))


@dataclass(frozen=True)
class _BothSpectra:
    """Pictures of both spectra; the people need not be the same."""

    infrared: ImageBatch
    visible: ImageBatch

    def to(self, device: torch.device) -> Self:
        return type(self)(self.infrared.to(device), self.visible.to(device))


@dataclass(frozen=True)
class _Replaying:
    """Infrared batches, each with a visible one; these start again when all have been seen."""

    infrared: EpochOfBatches[ImageBatch]
    visible: EpochOfBatches[ImageBatch]

    def __len__(self) -> int:
        return len(self.infrared)

    def __iter__(self) -> Iterator[_BothSpectra]:
        return self.after(0)

    def after(self, steps: int) -> Iterator[_BothSpectra]:
        begun = self._visible_after(steps % len(self.visible))
        return map(_BothSpectra, self.infrared.after(steps), begun)

    def _visible_after(self, steps: int) -> Iterator[ImageBatch]:
        yield from self.visible.after(steps)
        while True:
            yield from self.visible


@dataclass(frozen=True)
class _InfraredHalves:
    """The infrared half of each paired batch: several pictures of each person."""

    paired: EpochOfBatches[PairedBatch]

    def __len__(self) -> int:
        return len(self.paired)

    def __iter__(self) -> Iterator[ImageBatch]:
        return self.after(0)

    def after(self, steps: int) -> Iterator[ImageBatch]:
        return (ImageBatch(pair.infrared, pair.identities) for pair in self.paired.after(steps))


def _infrared(batch: ImageBatch | _BothSpectra) -> ImageBatch:
    return batch.infrared if isinstance(batch, _BothSpectra) else batch


def _one_colour(images: Images) -> Images:
    """Replace all three channels of each picture by one of them, drawn at random (CAJ, CSDN)."""
    chosen = own_rows(torch.randint(3, (len(images) * processes(),))).to(images.device)
    rows = torch.arange(len(images), device=images.device)
    return images[rows, chosen][:, None].expand_as(images)


def _enhancement(visible: Embeddings, infrared: Embeddings, people: Identities) -> Scalar:
    modalities = torch.arange(2, device=people.device).repeat_interleave(len(people))
    return shared_enhancement(torch.cat([visible, infrared]), people.repeat(2), modalities)


def _bridge(
    seen: "Mapping[Modality, _Features]", texts: Texts, set_of: Callable[[Modality], int]
) -> dict[str, float]:
    """Return how well pictures of both spectra and texts of the same people fit each other."""
    found: dict[str, float] = {}
    cosines: dict[str, float] = {}
    for modality, pictures in seen.items():
        own = texts[set_of(modality)]
        logits = text_logits(pictures.features, own)
        to_text = logits.argmax(dim=1) == pictures.identities
        people = torch.arange(logits.shape[1], device=logits.device)
        to_image = pictures.identities[logits.argmax(dim=0)] == people
        found[f"{modality} to text"] = to_text.float().mean().item()
        found[f"text to {modality}"] = to_image.float().mean().item()
        sums = torch.zeros_like(own).index_add_(
            0, pictures.identities, pictures.features.to(own.dtype)
        )
        there = torch.unique(pictures.identities)
        cosine = F.cosine_similarity(sums[there], own[there]).mean().item()
        cosines[f"text of a person, cosine/to the {modality} mean"] = cosine
    return found | cosines


def _looks(data: TrainingData) -> list[Appearance] | None:
    """Return how the people look; None where the data do not tell."""
    try:
        return [appearance_of(somebody) for somebody in data.described()]
    except VireidError:
        return None


def _tsg_factor(config: CLIP4VIReID.Config, epoch: int) -> float:
    """Return a factor for rates that rise, then follow half a cosine to 1e-6.

    The cosine begins at epoch 0, so that it is a little below its peak when the rates have risen;
    so in CSDN and CLIP-ReID.
    """
    full, warm_up = config.tsg_learning_rate, config.tsg_warm_up
    if epoch < warm_up:
        floor = 1e-5 if config.warm_up_from == "floor" else None
        return _risen(epoch, warm_up, None if floor is None else floor / full)
    done = min(1.0, epoch / config.tsg_epochs)
    return (1e-6 + (full - 1e-6) * (1 + math.cos(math.pi * done)) / 2) / full


def _stepped(
    config: CLIP4VIReID.Config, epoch: int, warm_up: int, milestones: tuple[int, ...] = ()
) -> float:
    """Return a factor that rises to 1, then falls to a tenth at each milestone."""
    if epoch < warm_up:
        return _risen(epoch, warm_up, 0.01 if config.warm_up_from == "floor" else None)
    return float(0.1 ** sum(epoch >= milestone for milestone in milestones))


def _risen(epoch: int, warm_up: int, floor: float | None) -> float:
    """Return the share of the peak that a rate has while it grows.

    Args:
        epoch: Number of the epoch, counted from 0.
        warm_up: Epochs over which it grows.
        floor: Share from which it begins, as in CSDN; None where it begins at 1 / warm_up.
    """
    return (epoch + 1) / warm_up if floor is None else floor + (1 - floor) * epoch / warm_up


def _check_numbers(config: CLIP4VIReID.Config) -> None:
    check_ranges(config)
    check_people(config)
    check_settings(config, ["hsa_milestones"], is_rising, "rising")
    if config.enhancement_weight:
        rule = "2 or more, or enhancement_weight 0"
        check_settings(config, ["images_each"], lambda images: images >= 2, rule)


def _check_texts(config: CLIP4VIReID.Config) -> None:
    weights = (config.visible_text_weight, config.infrared_text_weight, config.text_image_weight)
    refined = config.hsa_text != "frozen"
    if refined and not (any(weights) and config.tokens):
        raise VireidError(
            f"settings.hsa_text is '{config.hsa_text}', but no loss would tell the texts anything: "
            "there are no tokens, or all weights of text are 0; set it to 'frozen'"
        )
    if config.descriptions != "learnt" and (refined or config.tsg_images != "visible"):
        raise VireidError(
            f"settings.descriptions is '{config.descriptions}', a control that nothing refines; "
            "set settings.hsa_text to 'frozen' and settings.tsg_images to 'visible'"
        )
    if config.ife_loss == "bank, identity, triplet" and config.ife_visible_replay:
        raise VireidError(
            "settings.ife_visible_replay needs batches of any people, but settings.ife_loss "
            "'bank, identity, triplet' has paired ones; set one of them back"
        )
