"""Training batches: positions of pictures, their pixels from packs, augmented, as tensors.

Batches are made ahead by threads; NumPy releases Python's lock while it moves pixels.
"""

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Generic

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image

from vireid.records import ImageRecord, Modality
from vireid.training_data.augmentation import (
    Augmentation,
    Changes,
    augment,
    draw_changes,
    recolour,
)
from vireid.training_data.batches import B, EpochOfBatches, ImageBatch, PairedBatch
from vireid.training_data.bridging import Mask, bridge
from vireid.training_data.packs import open_packed
from vireid.training_data.sampling import (
    NumbersOfEach,
    PeopleSampler,
    Stream,
    TrainingDataError,
    generator,
    number_identities,
    pairs_of_each,
    pictures_of_each,
    seen_in_one_spectrum,
    share,
    shuffled,
)
from vireid.training_data.settings import Data
from vireid.types.arrays import Pictures, Pixels
from vireid.types.tensors import Identities, Images

log = logging.getLogger(__name__)

SINGLE = {
    Modality.VISIBLE: (Stream.ORDER_OF_VISIBLE, Stream.SINGLE_VISIBLE),
    Modality.INFRARED: (Stream.ORDER_OF_INFRARED, Stream.SINGLE_INFRARED),
}


class PackedTrainingData:
    """Training pictures of a data set, as batches (`vireid.method.TrainingData`).

    A batch depends on the seed, on the kind of source (`paired`, or `single` of a modality), on the
    epoch and on the step alone: not on the number of workers or of processes, nor on batches that
    were made before. Two stages that ask for the same source get the same batches.
    """

    def __init__(
        self,
        records: Sequence[ImageRecord],
        data: Data,
        augmentation: Augmentation,
        seed: int,
        *,
        root: Path | None = None,
        descriptions: Callable[[], Mapping[int, Mapping[str, Any]]] | None = None,
        unseen: Callable[[], "PackedTrainingData"] | None = None,
        mask: Callable[[ImageRecord], Mask | None] | None = None,
        own_from: int | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Find these pictures in packs; those that are in none are packed now.

        Args:
            records: Pictures to learn from; each has an identity.
            data: Size of the pictures, steps of an epoch, what is left out, threads.
            augmentation: Settings of the changes of pictures.
            seed: Seed, 0 or more; another seed gives other batches.
            root: Folder of the data set; by default the one that all pictures share.
            descriptions: Returns how people look, by identity; None where the data set does not
                tell.
            unseen: Makes the pictures of people who are not learnt from, when they are asked for.
            mask: Returns where a picture shows its person, in a mask of any size; None where that
                is not known.
            own_from: Least identity of one's own people, of whom each paired batch has
                `data.own_people`; None where there are none.
            rank: Number of this process, 0 .. world - 1.
            world: Processes that share every batch.

        Raises:
            TrainingDataError: No records, a record without identity, a negative seed, or more
                padding than picture.
            PackError: The pictures cannot be kept in the cache folder.
            UnreadablePicturesError: Pictures cannot be read and `data.unreadable` is "error".
        """
        _check(records, seed)
        _check_pad(augmentation.pad, data.height, data.width)
        skip = data.unreadable == "skip"
        self._pictures = open_packed(
            records, data.height, data.width, root=root, skip_unreadable=skip
        )
        self.records = tuple(r for i, r in enumerate(records) if i not in self._pictures.unreadable)
        """Records whose pictures could be read, with people left out for `unpaired`."""
        self.unpaired = seen_in_one_spectrum(self.records)
        """Modality of each identity with pictures of one modality only."""
        left_out = set(self.unpaired) if data.unpaired == "drop" else set()
        _log_left_out(self._pictures.unreadable, left_out)
        self._numbering = number_identities(self.records, left_out)
        self.num_identities = len(self._numbering)
        self._own = sum(identity >= own_from for identity in self._numbering) if own_from else 0
        self._data, self._augmentation, self._seed = data, augmentation, seed
        self._descriptions = descriptions
        self._make_unseen = unseen
        self._mask = mask
        self._unseen: PackedTrainingData | None = None
        self._rank, self._world = rank, world

    def paired(self, people: int, images_each: int) -> Callable[[int], EpochOfBatches[PairedBatch]]:
        """Return batches of `people` identities with `images_each` pictures in each spectrum.

        Raises:
            TrainingDataError: Identities were seen in one spectrum only, there are fewer than
                `people`, the people of a batch cannot be shared evenly by the processes, or pairs
                of one moment are wanted and somebody has none.
        """
        if self._data.unpaired == "error":
            _refuse(self.unpaired)
        self._check_share("people", people)
        of_one_moment = self._data.pairing == "moment"
        visible, infrared = (
            pairs_of_each(self.records, self._numbering)
            if of_one_moment
            else (self._of_each(Modality.VISIBLE), self._of_each(Modality.INFRARED))
        )
        sampler = PeopleSampler(
            visible,
            infrared,
            people,
            images_each,
            self._seed,
            are_pairs=of_one_moment,
            own=self._own,
            own_people=min(self._data.own_people, self._own),
        )
        steps = self._data.steps_per_epoch or sampler.usual_steps

        def batch(epoch: int, step: int) -> PairedBatch:
            drawn = sampler.draw(epoch, step)
            chance = partial(generator, self._seed, epoch=epoch, step=step)
            size = len(drawn.identities)
            seen = self._changes(size, Modality.VISIBLE, chance(Stream.PAIRED_VISIBLE))
            felt = self._changes(size, Modality.INFRARED, chance(Stream.PAIRED_INFRARED))
            return PairedBatch(
                self._images(drawn.visible, seen, Modality.VISIBLE),
                self._images(
                    drawn.infrared,
                    felt.placed_as(seen) if of_one_moment else felt,
                    Modality.INFRARED,
                ),
                self._identities(drawn.identities),
            )

        return lambda epoch: Epoch(steps, partial(batch, epoch), self._data.workers)

    def single(self, modality: Modality, size: int) -> Callable[[int], EpochOfBatches[ImageBatch]]:
        """Return every picture of one modality once an epoch, in random order.

        The last batch is filled up with pictures of the first, so that all are of one size.

        Raises:
            TrainingDataError: There are no such pictures, or `size` cannot be shared evenly.
        """
        self._check_share("size", size)
        pictures, identity_of = self._pictures_of(modality), self._identity_of(modality)
        ordered, changed = SINGLE[modality]

        def epoch(number: int) -> Epoch[ImageBatch]:
            order = shuffled(pictures, size, generator(self._seed, ordered, number))

            def batch(step: int) -> ImageBatch:
                drawn = order[step]
                identities = np.array([identity_of[n] for n in drawn])
                chance = generator(self._seed, changed, number, step)
                changes = self._changes(len(drawn), modality, chance)
                return ImageBatch(
                    self._images(drawn, changes, modality), self._identities(identities)
                )

            return Epoch(len(order), batch, self._data.workers)

        return epoch

    def every(self, modality: Modality, size: int) -> EpochOfBatches[ImageBatch]:
        """Return every picture of one modality once, unchanged; the last batch may be smaller.

        Each process gets all of them.

        Raises:
            TrainingDataError: There are no such pictures.
        """
        pictures = self._pictures_of(modality)
        identity_of = self._identity_of(modality)

        def batch(step: int) -> ImageBatch:
            chosen = pictures[step * size :][:size]
            identities = np.array([identity_of[n] for n in chosen])
            pixels = np.stack([self._pictures[n] for n in chosen])
            return ImageBatch(_as_images(_scaled(pixels)), _pinned(torch.from_numpy(identities)))

        return Epoch(-(-len(pictures) // size), batch, self._data.workers)

    def described(self) -> list[Mapping[str, Any]]:
        """Return what the data set tells about the looks of each identity 0 .. k-1.

        Raises:
            TrainingDataError: It tells nothing about some of them.
        """
        described = self._descriptions() if self._descriptions else {}
        if unknown := self._numbering.keys() - described.keys():
            raise TrainingDataError(
                f"nothing is known about the looks of {len(unknown)} of the people, which this "
                "method learns from; NightWalk tells what people wear"
            )
        return [described[identity] for identity in self._numbering]

    def unseen(self) -> "PackedTrainingData | None":
        """Return the pictures of people who are not learnt from; None where there are none."""
        if self._unseen is None and self._make_unseen:
            self._unseen = self._make_unseen()
        return self._unseen

    def _pictures_of(self, modality: Modality) -> Int[np.ndarray, " all"]:
        pictures = np.concatenate(self._of_each(modality))
        if not len(pictures):
            raise TrainingDataError(f"the data set has no {modality} pictures to train on")
        return pictures

    def _identity_of(self, modality: Modality) -> dict[int, int]:
        return {int(n): k for k, of_k in enumerate(self._of_each(modality)) for n in of_k}

    def _of_each(self, modality: Modality) -> NumbersOfEach:
        return pictures_of_each(self.records, self._numbering, modality)

    def _changes(self, count: int, modality: Modality, rng: np.random.Generator) -> Changes:
        """Draw the changes of all pictures of a batch, over all processes."""
        size = (count, self._data.height, self._data.width)
        return draw_changes(self._augmentation, modality, size, rng)

    def _images(
        self, drawn: Int[np.ndarray, " all"], all_changes: Changes, modality: Modality
    ) -> Images:
        """Return this process's share of the pictures of a batch, changed."""
        mine = share(len(drawn), self._rank, self._world)
        changes = all_changes.of(mine)
        pictures = [self._pictures[n] for n in drawn[mine]]
        if self._augmentation.bridges:
            pictures = [
                self._bridged(int(number), int(drawn[lender]), int(seed), modality)
                for number, (seed, lender) in zip(drawn[mine], changes.bridging, strict=True)
            ]
        if self._augmentation.colours == "pixels":
            return _as_images(_scaled(augment(pictures, changes)))
        scaled = _scaled(augment(pictures, changes.uncoloured()))
        recolour(scaled, changes)
        return _as_images(scaled)

    def _bridged(self, number: int, lender: int, seed: int, modality: Modality) -> Pixels:
        other = self._pictures[lender]
        masks = None
        if self._augmentation.backgrounds:
            own, others = self._mask_of(number), self._mask_of(lender)
            masks = None if own is None or others is None else (own, others)
        return bridge(
            self._pictures[number],
            self._augmentation,
            modality,
            np.random.default_rng(seed),
            other=other,
            masks=masks,
        )

    def _mask_of(self, number: int) -> Mask | None:
        """Return where a picture shows its person, in the size of the pictures."""
        mask = self._mask(self.records[number]) if self._mask else None
        if mask is None:
            return None
        size = self._data.width, self._data.height
        return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))

    def _identities(self, drawn: Int[np.ndarray, " all"]) -> Identities:
        mine = share(len(drawn), self._rank, self._world)
        return _pinned(torch.from_numpy(drawn[mine]))

    def _check_share(self, name: str, count: int) -> None:
        if count < 1 or count % self._world:
            raise TrainingDataError(
                f"{name} is {count}, which {self._world} processes cannot share evenly; "
                f"set it to a multiple of {self._world}"
            )


@dataclass(frozen=True)
class Epoch(Generic[B]):
    """The batches of one epoch (`vireid.training_data.batches.EpochOfBatches`)."""

    steps: int
    batch: Callable[[int], B]
    """Makes the batch of a step."""
    workers: int

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[B]:
        return self.after(0)

    def after(self, steps: int) -> Iterator[B]:
        """Return the batches from number `steps` on; those before are not computed."""
        return made_ahead(self.batch, range(steps, self.steps), self.workers)


def made_ahead(make: Callable[[int], B], steps: range, workers: int) -> Generator[B, None, None]:
    """Yield the batches of these steps in order, made up to two per worker ahead.

    An error in a worker is raised in the place of its batch. If the consumer stops early, by an
    exception or by Ctrl-C, no thread stays at work.
    """
    if workers == 0:
        yield from map(make, steps)
        return
    waiting: deque[Future[B]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
    try:
        for step in steps:
            waiting.append(pool.submit(make, step))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _check(records: Sequence[ImageRecord], seed: int) -> None:
    if not records:
        raise TrainingDataError("the data set has no pictures to train on")
    if seed < 0:
        raise TrainingDataError(f"seed is {seed}; it has to be 0 or more")


def _check_pad(pad: int, height: int, width: int) -> None:
    least = min(height, width)
    if pad >= least:
        raise TrainingDataError(
            f"augmentation.pad is {pad}, which moves pictures of {height} x {width} out of sight; "
            f"set it to less than {least}"
        )


def _log_left_out(unreadable: dict[int, str], identities: set[int]) -> None:
    if unreadable:
        log.warning("learning without %d pictures that cannot be read", len(unreadable))
    if identities:
        log.warning("learning without %d identities seen in one spectrum only", len(identities))


def _refuse(unpaired: dict[int, Modality]) -> None:
    if not unpaired:
        return
    named = ", ".join(f"{k} ({modality} only)" for k, modality in islice(unpaired.items(), 10))
    more = f" and {len(unpaired) - 10} more" if len(unpaired) > 10 else ""
    raise TrainingDataError(
        f"paired batches need both spectra of everyone, but {len(unpaired)} identities were seen "
        f"in one: {named}{more}; leave them out by setting data.unpaired to 'drop'"
    )


def _scaled(pixels: Pictures) -> Float[np.ndarray, "n h w 3"]:
    # What `shapes.images_of` gives, bit for bit. NumPy divides bytes in one pass, in this thread
    # alone.
    scaled: Float[np.ndarray, "n h w 3"] = np.divide(pixels, np.float32(255), dtype=np.float32)
    return scaled


def _as_images(scaled: Float[np.ndarray, "n h w 3"]) -> Images:
    """Return pictures as a tensor, which is "channels last"."""
    return _pinned(torch.from_numpy(scaled).permute(0, 3, 1, 2))


def _pinned(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor in page-locked memory where there is CUDA, which reads it faster."""
    return tensor.pin_memory() if torch.cuda.is_available() else tensor
