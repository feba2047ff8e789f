"""What a training step is given."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar, runtime_checkable

import torch

from vireid.records import Modality
from vireid.shapes import Identities, Images


@dataclass(frozen=True)
class Tensors:
    """A batch that has nothing but tensors."""

    def to(self, device: torch.device) -> Self:
        """The same batch, on a device; from pinned memory it is on its way there."""
        return type(self)(*(v.to(device, non_blocking=True) for v in vars(self).values()))


@dataclass(frozen=True)
class PairedBatch(Tensors):
    """The same people seen in both spectra; row i of both halves is one person."""

    visible: Images
    infrared: Images
    identities: Identities

    def of(self, modality: Modality) -> Images:
        """The half that was taken in one spectrum."""
        return self.visible if modality is Modality.VISIBLE else self.infrared

    @property
    def identities_of_both(self) -> Identities:
        """Identities of the two halves stacked, visible first."""
        return self.identities.repeat(2)


@dataclass(frozen=True)
class ImageBatch(Tensors):
    """Pictures of one spectrum."""

    images: Images
    identities: Identities


class Batch(Protocol):
    """Anything that can be moved to a device."""

    def to(self, device: torch.device) -> Self:
        """The same batch, there."""


B = TypeVar("B", bound=Batch)
B_co = TypeVar("B_co", bound=Batch, covariant=True)


@runtime_checkable
class EpochOfBatches(Protocol[B_co]):
    """The batches of one epoch, made while they are iterated over.

    Batch i depends on the run's seed, on what was asked for, on the epoch and on i alone, so that
    a run that was broken off in the middle of an epoch goes on with those it has not yet seen.
    """

    def __len__(self) -> int:
        """Steps in this epoch."""

    def __iter__(self) -> Iterator[B_co]:
        """All batches, from the first."""

    def after(self, steps: int) -> Iterator[B_co]:
        """The batches from number `steps` on; those before are not computed."""
