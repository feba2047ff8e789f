"""Batches: what a training step is given."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar, runtime_checkable

import torch

from vireid.records import Modality
from vireid.types.tensors import Identities, Images


@dataclass(frozen=True)
class Tensors:
    """A batch whose fields are all tensors."""

    def to(self, device: torch.device) -> Self:
        """Return the batch on a device; from pinned memory the copy runs in the background."""
        return type(self)(*(v.to(device, non_blocking=True) for v in vars(self).values()))


@dataclass(frozen=True)
class PairedBatch(Tensors):
    """Pictures of the same people in both spectra; row i of both halves shows one person."""

    visible: Images
    infrared: Images
    identities: Identities

    def of(self, modality: Modality) -> Images:
        """Return the pictures of one spectrum."""
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
        """Return the batch on a device."""


B = TypeVar("B", bound=Batch)
B_co = TypeVar("B_co", bound=Batch, covariant=True)


@runtime_checkable
class EpochOfBatches(Protocol[B_co]):
    """The batches of one epoch, made while they are iterated over.

    Batch i depends on the run's seed, on the settings of the source, on the epoch and on i alone.
    So a run that was interrupted in the middle of an epoch goes on with the batches it has not yet
    seen.
    """

    def __len__(self) -> int:
        """Return the number of steps in this epoch."""

    def __iter__(self) -> Iterator[B_co]:
        """Return all batches, from the first."""

    def after(self, steps: int) -> Iterator[B_co]:
        """Return the batches from number `steps` on; those before are not computed."""
