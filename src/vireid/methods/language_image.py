"""CLIP trained from random weights, on rendered people and sentences about what they wear.

Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021,
https://arxiv.org/abs/2103.00020: in a batch of pictures with a sentence each, both towers learn
which belong together. Here a sentence may be true of several pictures of a batch, and all of them
count as right, because what people look like is known. Only visible pictures are used.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn, optim
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812
from torch.optim.lr_scheduler import LambdaLR

from vireid.backbones.clip import create_clip
from vireid.backbones.clip_image import NORMALISATIONS, Normalisation, grid_of, keep_size, resized
from vireid.backbones.clip_text import numbers_of
from vireid.errors import VireidError, check_settings
from vireid.losses.image_text import matching
from vireid.method import Losses, Method, Stage, TrainingData
from vireid.methods._optimizers import lr_factor
from vireid.methods._questions import answered, appearance_of, true_of
from vireid.methods._sentences import Appearance, describe, draw_sentence
from vireid.records import Modality
from vireid.training_data.batches import ImageBatch
from vireid.training_data.processes import gather
from vireid.types.ranges import Count, NotNegative, Pixels, Positive, Whole, check_ranges
from vireid.types.tensors import Embeddings, Identities, Images, Scalar

Projected = Float[Tensor, "n d"]
"""Vectors of any length in the space that pictures and sentences share."""
WARMEST = 100.0
"""Largest factor of cosines (CLIP)."""


class LanguageImage(Method):
    """One stage: pictures find the sentences that are true of them, and sentences the pictures.

    The weights of a run are a file that `settings.weights` of CLIP4VI-ReID takes.
    """

    mean: Tensor
    std: Tensor

    @dataclass(frozen=True)
    class Config:
        """Settings of pre-training; defaults are vireid's own and suit a processor."""

        clip: str = "tiny RN"
        """open_clip's name of a CLIP with a ResNet or a ViT, or vireid's own `tiny RN`, `tiny
        ViT`, `wide RN` or `wide ViT`. It begins with random weights."""
        quick_gelu: bool = True
        """Whether the transformers use QuickGELU. A method that takes the weights needs the same
        setting."""
        pixels: Normalisation = "imagenet"
        """Mean and deviation by which pixels are normalised. A method that takes the weights needs
        the same setting."""
        picture: tuple[Pixels, Pixels] = (128, 64)
        """Rows and columns of a picture, the same as in [data]. The weights fit any other size
        too."""
        last_stride: Literal[1, 2] = 1
        """Stride of a ResNet's last layer."""
        held_out: Count = 60
        """Number of people, the last ones, who are left out of training; all measures are taken on
        them."""
        batch: Count = 32
        """Pictures in a batch, each with a sentence."""
        epochs: Count = 8
        """Epochs over all visible pictures."""
        learning_rate: Positive = 2e-3
        """Learning rate at its peak; it falls along half a cosine."""
        first_scale: Positive = 4.0
        """Factor of cosines at first (CLIP: 1 / 0.07). At 14, tiny towers begin by making all
        pictures alike, as this is the quickest way to a smaller loss."""
        scale_lr_factor: Positive = 5.0
        """Learning rate of the scale's logarithm as a multiple of `learning_rate` (CLIP: 1)."""
        weight_decay: NotNegative = 0.1
        """Weight decay of matrices; gains and biases have none (CLIP: 0.2)."""
        warm_up: Whole = 1
        """Epochs over which the learning rate grows to its peak."""
        length_weight: NotNegative = 0.1
        """Weight of a loss on the lengths of vectors. At the right length plain dot products, which
        CLIP4VI-ReID compares, are the cosines at the learnt temperature. vireid's own."""

        def __post_init__(self) -> None:
            check_ranges(self)
            rule = "2 or more, as there is nothing else to find"
            check_settings(self, ["batch"], lambda pictures: pictures >= 2, rule)

    def __init__(self, config: Config, num_identities: int) -> None:
        """Build both towers.

        Raises:
            VireidError: There is no such CLIP, it cannot see pictures of this size, or more people
                are held out than are learnt from.
        """
        super().__init__(config, num_identities)
        self.config = config
        self.learnt_from = num_identities - config.held_out
        """Number of people to learn from; they have the lower identities."""
        if self.learnt_from < config.held_out:
            raise VireidError(
                f"settings.held_out is {config.held_out}, which leaves {max(0, self.learnt_from)} "
                f"of {num_identities} people to learn from; hold out half of them at most"
            )
        self.clip = create_clip(config.clip, None, quick_gelu=config.quick_gelu)
        nn.init.constant_(self.clip.logit_scale, math.log(config.first_scale))
        self._table, stride = self._positions()
        self._grid = grid_of(config.picture, stride)
        self.embedding_dim = int(self.clip.visual.output_dim)
        for name, values in zip(("mean", "std"), NORMALISATIONS[config.pixels], strict=True):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def embed(self, images: Images, modality: Modality) -> Embeddings:  # noqa: ARG002
        """Return image vectors of length one; infrared pictures are embedded as visible ones."""
        return F.normalize(self._see(images), dim=1)

    def embed_text(self, sentences: Sequence[str]) -> Embeddings:
        """Return sentence vectors of length one.

        Raises:
            VireidError: A sentence is empty or too long.
        """
        return F.normalize(self._say(sentences), dim=1)

    @property
    def most_words(self) -> int:
        """Largest number of words and parts of words of a sentence, with its two signs."""
        return int(self.clip.context_length)

    def embed_words(self, words: Int[Tensor, "k length"]) -> Embeddings:
        """Return the vectors of sentences of one length, see `embed_text`."""
        return F.normalize(self._read(words), dim=1)

    def stages(self, data: TrainingData) -> list[Stage[Any]]:
        """Return the one stage, which trains both towers."""
        config, people = self.config, list(map(appearance_of, data.described()))
        # With Adam's usual eps weights whose gradient is nothing but rounding would wander.
        optimizer = optim.AdamW(self._groups(), config.learning_rate, betas=(0.9, 0.98), eps=1e-5)
        stage = Stage(
            "language and image",
            config.epochs,
            (self.clip,),
            data.single(Modality.VISIBLE, config.batch),
            lambda batch, _epoch: self._losses(batch, people),
            optimizer,
            LambdaLR(optimizer, lambda epoch: _lr_factor(config, epoch)),
            measure=lambda: self.measured(data, people),
        )
        return [stage]

    def measured(self, data: TrainingData, people: Sequence[Appearance]) -> dict[str, float]:
        """Return how well sentences and visible pictures of the people held out find each other.

        `text to picture` is the share of these people whose full description finds a picture of
        theirs first, `in 5` among the first five; `picture to text` is the share of pictures that
        find the description of their person. Then, for each question about people: for each answer,
        the share of the pictures of which it is true that find it, averaged over the answers.
        Guessing gives 1 / answers.
        """
        seen, identities = self._held_out(data)
        others = list(people[self.learnt_from :])
        texts = self.embed_text([describe(somebody) for somebody in others])
        close = texts @ seen.T
        right = torch.arange(len(others), device=close.device)[:, None] == identities[None]
        first = close.topk(min(5, close.shape[1]), dim=1).indices
        found = right.gather(1, first)
        return {
            "text to picture": found[:, 0].float().mean().item(),
            "text to picture in 5": found.any(dim=1).float().mean().item(),
            "picture to text": (close.argmax(dim=0) == identities).float().mean().item(),
        } | answered(self.embed_text, seen, [others[i] for i in identities.tolist()])

    @torch.no_grad()
    def _held_out(self, data: TrainingData) -> tuple[Embeddings, Identities]:
        """Return visible pictures of the people held out, and who is on each, numbered from 0."""
        seen, identities = [], []
        for batch in data.every(Modality.VISIBLE, self.config.batch):
            rows = batch.identities >= self.learnt_from
            if rows.any():
                images = batch.images[rows].to(self.mean.device)
                seen.append(self.embed(images, Modality.VISIBLE))
                identities.append(batch.identities[rows].to(self.mean.device) - self.learnt_from)
        return torch.cat(seen), torch.cat(identities)

    def _losses(self, batch: ImageBatch, people: Sequence[Appearance]) -> Losses:
        learnt = gather(batch.identities) < self.learnt_from
        if not learnt.any():
            raise VireidError(
                "all people of a batch are held out; set settings.batch higher, or "
                "settings.held_out lower"
            )
        shown = [people[i] for i in gather(batch.identities)[learnt].tolist()]
        # All processes draw alike what all of them say.
        chance = random.Random(int(torch.randint(2**62, ())))
        sentences = [draw_sentence(somebody, chance) for somebody in shown]
        seen, said = self._seen_by_all(batch)[learnt], self._say([s.text for s in sentences])
        right = true_of(sentences, shown).to(seen.device)
        with torch.autocast(seen.device.type, enabled=False):
            scale = self.clip.logit_scale.exp().clamp(max=WARMEST)
            logits = scale * F.normalize(said.float(), dim=1) @ F.normalize(seen.float(), dim=1).T
            lengths = _off_length(seen.float(), scale) + _off_length(said.float(), scale)
            return {
                "text to image": matching(logits, right) / 2,
                "image to text": matching(logits.T, right.T) / 2,
                "length": self.config.length_weight * lengths,
            }

    def _seen_by_all(self, batch: ImageBatch) -> Projected:
        """Return image vectors of all processes; zeros for people held out, whom no tower sees."""
        learnt = batch.identities < self.learnt_from
        seen = torch.zeros(len(learnt), self.embedding_dim, device=learnt.device)
        if learnt.any():
            seen = seen.masked_scatter(learnt[:, None], self._see(batch.images[learnt]).float())
        return gather(seen)

    def _positions(self) -> tuple[str, int]:
        """Return the name of the image tower's position embeddings, and pixels between places."""
        visual = self.clip.visual
        if not isinstance(visual, ModifiedResNet):
            return "positional_embedding", visual.patch_size[0]
        if self.config.last_stride == 1:
            keep_size(visual.layer4)
        return "attnpool.positional_embedding", 16 * self.config.last_stride

    def _see(self, images: Images) -> Projected:
        """Embed by open_clip's own tower, its square position embeddings stretched to the pictures.

        So the weights stay what a file of weights for any picture size holds.
        """
        normal = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        stretched = {self._table: resized(self.clip.visual.get_parameter(self._table), self._grid)}
        seen: Projected = functional_call(self.clip.visual, stretched, (normal,))
        return seen

    def _say(self, sentences: Sequence[str]) -> Projected:
        read = [numbers_of(sentence, self.most_words) for sentence in sentences]
        filled = zip_longest(*read, fillvalue=0)
        return self._read(torch.tensor(list(filled), device=self.mean.device).T)

    def _read(self, numbers: Int[Tensor, "k length"]) -> Projected:
        """Read each sentence at its end; no word attends to later ones, so padding is short."""
        clip, length = self.clip, numbers.shape[1]
        words = clip.token_embedding(numbers) + clip.positional_embedding[:length]
        read = clip.ln_final(clip.transformer(words, attn_mask=clip.attn_mask[:length, :length]))
        # The number of the sign that ends a sentence is the highest there is.
        ends = read[torch.arange(len(read), device=read.device), numbers.argmax(dim=1)]
        said: Projected = ends @ clip.text_projection
        return said

    def _groups(self) -> list[dict[str, Any]]:
        """Return three groups: matrices; gains and biases, which are not decayed; the scale."""
        config, scale = self.config, self.clip.logit_scale
        weights = [weight for weight in self.clip.parameters() if weight is not scale]
        return [
            {"params": [w for w in weights if w.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
            {
                "params": [scale],
                "lr": config.learning_rate * config.scale_lr_factor,
                "weight_decay": 0.0,
            },
        ]


def _off_length(vectors: Projected, scale: Scalar) -> Scalar:
    """Return the mean squared relative difference of lengths from the root of the scale."""
    lengths = torch.linalg.vector_norm(vectors, dim=1)
    off: Scalar = (lengths / scale.detach().sqrt() - 1).square().mean()
    return off


def _lr_factor(config: LanguageImage.Config, epoch: int) -> float:
    return lr_factor(
        epoch, schedule="cosine", warm_up=config.warm_up, milestones=(), epochs=config.epochs
    )
