"""The contract of a method: an embedding of images, and the stages that train it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, runtime_checkable

from jaxtyping import Int
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from vireid.records import Modality
from vireid.training_data.batches import B, EpochOfBatches, ImageBatch, PairedBatch
from vireid.types.tensors import Embeddings, Images, Scalar

Losses = dict[str, Scalar]
"""Losses by name, already weighted; their sum is minimised."""


@runtime_checkable
class TrainingData(Protocol):
    """The source of a method's batches; pictures are drawn anew for every epoch."""

    num_identities: int

    def paired(self, people: int, images_each: int) -> Callable[[int], EpochOfBatches[PairedBatch]]:
        """Return batches of `people` identities with `images_each` images in each spectrum.

        With several processes, each gets its share of the people of every batch.
        """

    def single(self, modality: Modality, size: int) -> Callable[[int], EpochOfBatches[ImageBatch]]:
        """Return every image of one modality once an epoch, in random order, `size` at a time."""

    def every(self, modality: Modality, size: int) -> EpochOfBatches[ImageBatch]:
        """Return every image of one modality once, unchanged and in order, `size` at a time.

        The last batch may be smaller. With several processes, each gets all images.
        """

    def described(self) -> Sequence[Mapping[str, Any]]:
        """Return what the data set tells about the looks of each identity 0 .. k-1.

        Raises:
            VireidError: The data set does not tell.
        """

    def unseen(self) -> "TrainingData | None":
        """Return the people of validation, to measure on; None where they are learnt from too."""


@dataclass(frozen=True)
class Stage(Generic[B]):
    """One stretch of training with one optimizer."""

    name: str
    epochs: int
    trains: tuple[nn.Module, ...]
    """The modules that learn. All others keep their weights and their batch statistics."""
    batches: Callable[[int], EpochOfBatches[B]]
    losses: Callable[[B, int], Losses]
    """Returns the losses of a batch, given the batch and the epoch, counted from 0."""
    optimizer: Optimizer
    schedule: LRScheduler | None = None
    """Learning rate schedule, stepped after every epoch."""
    prepare: Callable[[], None] | None = None
    """Called once, before the first epoch. What it computes has to be kept in buffers, so that a
    resumed run finds it in the checkpoint."""
    measure: Callable[[], dict[str, float]] | None = None
    """Returns figures that show what the stage has learnt. They are written to `measures.jsonl`
    after its last epoch, and before its first where it is the first stage. Changes nothing."""
    measures_every_epoch: bool = False
    """Whether to measure after every epoch, and not only after the last."""

    def thaw(self, method: nn.Module) -> None:
        """Let the modules in `trains` learn, and nothing else."""
        method.eval().requires_grad_(False)
        for part in self.trains:
            part.train().requires_grad_(True)


class Method(nn.Module, ABC):
    """A way to give visible and infrared images of one person similar embeddings."""

    Config: ClassVar[type[Any]]
    """Frozen dataclass of settings, with a docstring under each field."""
    embedding_dim: int
    grid: tuple[int, int] | None = None
    """Rows and columns of parts of the picture, if each number of an embedding stands for one:
    number i for part i modulo rows x columns, row by row."""

    @abstractmethod
    def __init__(self, config: Any, num_identities: int) -> None:
        """Build the networks; every method takes these two arguments."""
        super().__init__()

    @abstractmethod
    def embed(self, images: Images, modality: Modality) -> Embeddings:
        """Return embeddings of length one; the dot product of two is their similarity."""

    @abstractmethod
    def stages(self, data: TrainingData) -> list[Stage[Any]]:
        """Return the stages of training, in order."""


@runtime_checkable
class ReadsText(Protocol):
    """A method whose pictures can be searched by sentences has this too."""

    def embed_text(self, sentences: Sequence[str]) -> Embeddings:
        """Return vectors whose dot product with a picture's embedding says how well they fit.

        Raises:
            VireidError: A sentence is empty or too long.
        """


@runtime_checkable
class ReadsWords(ReadsText, Protocol):
    """A method that reads the numbers of CLIP's words has this too; exports of it read text."""

    most_words: int
    """Largest number of words and parts of words of a sentence, with its two signs."""

    def embed_words(self, words: Int[Tensor, "k length"]) -> Embeddings:
        """Return the vectors of sentences of one length, given as CLIP's tokenizer does."""


@runtime_checkable
class FromText(ReadsText, Protocol):
    """A method that begins with a model of pictures and sentences, which can be searched too."""

    @classmethod
    def original(cls, config: Any) -> nn.Module:
        """Return the model of pictures and sentences that a run with these settings begins with.

        Raises:
            VireidError: It began with random weights, or its weights cannot be had.
        """

    @classmethod
    def text_caveat(cls, config: Any, name: str, original: str) -> str:
        """Return what a person who searches by a sentence has to know.

        Args:
            config: Settings of the run.
            name: Name of the trained model.
            original: Name by which the model that the run began with is opened.
        """
