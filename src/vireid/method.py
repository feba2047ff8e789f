"""What every method is: an embedding of images, and the stages that learn it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, runtime_checkable

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from vireid.records import Modality
from vireid.shapes import Embeddings, Images, Scalar
from vireid.training_data.batches import B, EpochOfBatches, ImageBatch, PairedBatch

Losses = dict[str, Scalar]
"""Named and already weighted; their sum is minimised."""


@runtime_checkable
class TrainingData(Protocol):
    """Where a method gets its batches. Each source is drawn anew for every epoch."""

    num_identities: int

    def paired(self, people: int, images_each: int) -> Callable[[int], EpochOfBatches[PairedBatch]]:
        """Batches of `people` identities with `images_each` images of either modality.

        With several processes each is given its share of the people of every batch.
        """

    def single(self, modality: Modality, size: int) -> Callable[[int], EpochOfBatches[ImageBatch]]:
        """Every image of one modality once an epoch, in random order, `size` at a time."""

    def every(self, modality: Modality, size: int) -> EpochOfBatches[ImageBatch]:
        """Every image of one modality once, unchanged and in order; the last batch may be smaller.

        With several processes each is given all of them.
        """

    def described(self) -> Sequence[Mapping[str, Any]]:
        """What is known about the looks of identity 0 .. k-1, in the words of the data set.

        Raises:
            VireidError: The data set does not tell.
        """


@dataclass(frozen=True)
class Stage(Generic[B]):
    """One stretch of training with one optimizer."""

    name: str
    epochs: int
    trains: tuple[nn.Module, ...]
    """The parts that learn. All others keep their weights and their batch statistics."""
    batches: Callable[[int], EpochOfBatches[B]]
    losses: Callable[[B, int], Losses]
    """Given a batch and the epoch, counted from 0."""
    optimizer: Optimizer
    schedule: LRScheduler | None = None
    """Stepped after every epoch."""
    prepare: Callable[[], None] | None = None
    """Done once, before the first epoch. What it computes has to be kept in buffers, so that a
    resumed run finds it in the checkpoint."""
    measure: Callable[[], dict[str, float]] | None = None
    """Figures that show what the stage has done, written to `measures.jsonl` after its last epoch,
    and before the first where it is the first stage. Changes nothing."""

    def thaw(self, method: nn.Module) -> None:
        """Let the parts that learn learn, and nothing else."""
        method.eval().requires_grad_(False)
        for part in self.trains:
            part.train().requires_grad_(True)


class Method(nn.Module, ABC):
    """A way to give visible and infrared images of one person the same embedding."""

    Config: ClassVar[type[Any]]
    """Frozen dataclass of settings, a docstring under each field."""
    embedding_dim: int

    @abstractmethod
    def __init__(self, config: Any, num_identities: int) -> None:
        """Build the networks; every method takes these two."""
        super().__init__()

    @abstractmethod
    def embed(self, images: Images, modality: Modality) -> Embeddings:
        """Embeddings of length one; a dot product of two is their similarity."""

    @abstractmethod
    def stages(self, data: TrainingData) -> list[Stage[Any]]:
        """The stages in order."""


@runtime_checkable
class ReadsText(Protocol):
    """What a method has besides, if its pictures can be searched by sentences."""

    def embed_text(self, sentences: Sequence[str]) -> Embeddings:
        """Vectors whose dot product with a picture's embedding is how well a sentence fits it.

        Raises:
            VireidError: A sentence is empty or too long.
        """


@runtime_checkable
class FromText(ReadsText, Protocol):
    """One that has learnt from a model of pictures and sentences, which can be asked as well."""

    @classmethod
    def original(cls, config: Any) -> nn.Module:
        """That model, as it was when a run with these settings began.

        Raises:
            VireidError: It began with random weights, or its weights cannot be had.
        """

    @classmethod
    def text_caveat(cls, config: Any, name: str, original: str) -> str:
        """Say what whoever searches by a sentence has to know.

        Args:
            config: The settings of the run.
            name: What the trained model is called.
            original: What the model it began with is opened by.
        """
