"""Four people whose shade of grey is their identity, inverted in infrared; and toys that learn."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, Generic

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vireid.method import Losses, Method, Stage
from vireid.records import Modality
from vireid.training_data.batches import B, ImageBatch, PairedBatch
from vireid.training_data.sampling import share
from vireid.types.tensors import Embeddings, Identities, Images, Scalar

PEOPLE = 4
HEIGHT, WIDTH = 32, 16
STEPS = 3
SMALL = {
    "trunk": "resnet18",
    "width": 0.125,
    "osnet_width": 0.25,
    "clip": "tiny RN",
    "picture": (HEIGHT, WIDTH),
    "pretrained": False,
    "held_out": 1,
    "people": 4,
    "images_each": 2,
    "learning_rate": 0.01,
    "warm_up": 1,
}
"""For the settings of a method, those of them that it has."""
SMALL_OF_A_STAGE = {"batch": 8, "epochs": 2}
"""For settings of these names, and for those of one stage: `first_batch`."""

SMALL_OF_A_METHOD = {"Released": {"learning_rate": 1e-3}}
"""AdamW's steps are as long as its rate, so 0.01 has its loss jump and multiplies rounding."""

KNOWN = {
    **dict.fromkeys(("headgear", "outer", "bag", "umbrella", "gloves", "scarf"), "none"),
    **dict.fromkeys(("build", "stature"), "medium"),
    "sex": "man",
    "age": "old",
    "hair": "bald",
    "bottom": "blue denim trousers",
    "shoes": "black shoes",
}
"""What all of the people look like, but for a shirt of the shade that they are."""


def small_settings(method: type[Method]) -> dict[str, Any]:
    """Settings that make a method small enough for tests."""
    known = {f.name for f in fields(method.Config)}
    of_stages = {
        name: SMALL_OF_A_STAGE[name.rpartition("_")[2]]
        for name in known
        if name.rpartition("_")[2] in SMALL_OF_A_STAGE
    }
    settings = of_stages | {name: value for name, value in SMALL.items() if name in known}
    return settings | SMALL_OF_A_METHOD.get(method.__name__, {})


def small(method: type[Method], **settings: Any) -> Method:
    """A method small enough for tests, with the same weights every time."""
    torch.manual_seed(0)
    return method(replace(method.Config(), **small_settings(method), **settings), PEOPLE)


def nothing(_steps_begun: int) -> None:
    """What happens before a step of an ordinary run."""


@dataclass
class ToyData:
    """A batch depends on what was asked for, on the epoch and on the step alone."""

    before_step: Callable[[int], None] = nothing
    """Told how many steps were begun before this one, in this life of the process."""
    rank: int = 0
    world: int = 1
    num_identities: int = PEOPLE
    begun: int = field(default=0, init=False)

    def paired(self, people: int, images_each: int) -> Callable[[int], "ToyEpoch[PairedBatch]"]:
        def batch(epoch: int, step: int) -> PairedBatch:
            identities = torch.arange(people).repeat_interleave(images_each)
            rng = np.random.default_rng((0, epoch, step))
            images = [_images(identities, m, rng)[self._mine(len(identities))] for m in Modality]
            return PairedBatch(images[0], images[1], identities[self._mine(len(identities))])

        return lambda epoch: ToyEpoch(self, lambda step: batch(epoch, step))

    def single(self, modality: Modality, size: int) -> Callable[[int], "ToyEpoch[ImageBatch]"]:
        def batch(epoch: int, step: int) -> ImageBatch:
            rng = np.random.default_rng((1, epoch, step))
            identities = torch.from_numpy(rng.integers(PEOPLE, size=size))
            mine = self._mine(size)
            return ImageBatch(_images(identities, modality, rng)[mine], identities[mine])

        return lambda epoch: ToyEpoch(self, lambda step: batch(epoch, step))

    def every(self, modality: Modality, size: int) -> "ToyEpoch[ImageBatch]":
        def batch(step: int) -> ImageBatch:
            rng = np.random.default_rng((2, step))
            identities = (torch.arange(size) + step) % PEOPLE
            return ImageBatch(_images(identities, modality, rng), identities)

        return ToyEpoch(replace(self, before_step=nothing), batch)

    def unseen(self) -> "ToyData | None":
        return None

    def described(self) -> list[dict[str, str]]:
        return [
            KNOWN | {"top": f"{colour} t-shirt"} for colour in ("black", "grey", "red", "white")
        ]

    def _mine(self, count: int) -> slice:
        return share(count, self.rank, self.world)


@dataclass(frozen=True)
class ToyEpoch(Generic[B]):
    data: ToyData
    batch: Callable[[int], B]

    def __len__(self) -> int:
        return STEPS

    def __iter__(self) -> Iterator[B]:
        return self.after(0)

    def after(self, steps: int) -> Iterator[B]:
        for step in range(steps, STEPS):
            self.data.before_step(self.data.begun)
            self.data.begun += 1
            yield self.batch(step)


def _images(identities: Tensor, modality: Modality, rng: np.random.Generator) -> Tensor:
    shade = identities.float()[:, None, None, None] / PEOPLE
    bright = shade if modality is Modality.VISIBLE else 1 - shade
    noise = rng.standard_normal((len(identities), 3, HEIGHT, WIDTH), dtype=np.float32)
    return bright + torch.from_numpy(noise) * 0.05


class ThreeStep(Method):
    """Three stages in which all happens that is hard to resume.

    Each starts from what the one before has learned; `prepare` fills a buffer, with chance; there
    are batch statistics, dropout, momentum and a schedule. One prototype per person stands in for
    the text of CLIP4VI-ReID.
    """

    @dataclass(frozen=True)
    class Config:
        """Settings of the toy."""

        epochs: int = 2
        """Of each stage."""
        dim: int = 8
        """Numbers in an embedding."""

    def __init__(self, config: Config, num_identities: int) -> None:
        super().__init__(config, num_identities)
        self.config = config
        self.embedding_dim = config.dim
        self.encoder = nn.Sequential(
            nn.Conv2d(3, config.dim, 3, 2),
            nn.BatchNorm2d(config.dim),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(config.dim, config.dim),
        )
        self.prototypes = nn.Embedding(num_identities, config.dim)
        self.register_buffer("targets", torch.zeros(num_identities, config.dim))
        self.targets: Tensor

    def embed(self, images: Images, modality: Modality) -> Embeddings:
        """One encoder for both kinds."""
        return F.normalize(self.encoder(images), dim=1)

    def stages(self, data: Any) -> list[Stage[Any]]:
        """Describe people by what is seen in visible light, bring infrared to it, refine both."""
        epochs, sgd = self.config.epochs, torch.optim.SGD
        refining = torch.optim.AdamW(self.parameters(), 1e-3)
        return [
            Stage(
                "describe visible",
                epochs,
                (self.prototypes,),
                data.single(Modality.VISIBLE, 8),
                self._describe,
                torch.optim.Adam(self.prototypes.parameters(), 1e-2),
            ),
            Stage(
                "embed infrared",
                epochs,
                (self.encoder,),
                data.single(Modality.INFRARED, 8),
                self._embed_infrared,
                sgd(self.encoder.parameters(), 1e-2, momentum=0.9),
                prepare=self._remember_descriptions,
            ),
            Stage(
                "refine both",
                epochs,
                (self.encoder, self.prototypes),
                data.paired(4, 2),
                self._refine,
                refining,
                torch.optim.lr_scheduler.StepLR(refining, 1, 0.5),
            ),
        ]

    def _remember_descriptions(self) -> None:
        noisy = self.prototypes.weight.detach()
        self.targets.copy_(F.normalize(noisy + 0.1 * torch.randn_like(noisy), dim=1))

    def _describe(self, batch: ImageBatch, epoch: int) -> Losses:
        with torch.no_grad():
            images = self.embed(batch.images, Modality.VISIBLE)
        return {"visible": _match(images, self.prototypes.weight, batch.identities)}

    def _embed_infrared(self, batch: ImageBatch, epoch: int) -> Losses:
        images = self.embed(batch.images, Modality.INFRARED)
        return {"infrared": _match(images, self.targets, batch.identities)}

    def _refine(self, batch: PairedBatch, epoch: int) -> Losses:
        return {
            m.value: _match(self.embed(batch.of(m), m), self.prototypes.weight, batch.identities)
            for m in Modality
        }


def _match(images: Embeddings, people: Embeddings, identities: Identities) -> Scalar:
    return F.cross_entropy(images @ F.normalize(people, dim=1).T * 10, identities)
