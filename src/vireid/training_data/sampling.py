"""Which pictures form a training batch: their numbers, without their pixels.

Everything here is a pure function of a seed and of where in the run a batch stands, so that any
batch can be drawn without those before it, and by any number of processes alike.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Int

from vireid.errors import VireidError
from vireid.records import ImageRecord, Modality

Numbers = Int[np.ndarray, " n"]
"""Pictures, as positions in the list of records."""
NumbersOfEach = tuple[Int[np.ndarray, " _"], ...]
"""For identity 0 .. k-1 its pictures, as many as there are."""


class TrainingDataError(VireidError):
    """The pictures at hand do not give the batches that were asked for."""


class Draw(IntEnum):
    """What a random number is drawn for: draws of two kinds never share their numbers."""

    PEOPLE = 1
    ORDER_OF_VISIBLE = 2
    ORDER_OF_INFRARED = 3
    PAIRED_VISIBLE = 4
    PAIRED_INFRARED = 5
    SINGLE_VISIBLE = 6
    SINGLE_INFRARED = 7


def generator(seed: int, draw: Draw, epoch: int, step: int = 0) -> np.random.Generator:
    """Random numbers that depend on these four alone, in every process and on every machine."""
    key = np.random.SeedSequence((seed, epoch, step, int(draw)))
    return np.random.Generator(np.random.PCG64(key))


@dataclass(frozen=True)
class PairedDraw:
    """The pictures of one paired batch; entry i of each is about the same person."""

    identities: Numbers
    """Training identities, 0 .. k-1."""
    visible: Numbers
    infrared: Numbers


@dataclass(frozen=True)
class PeopleSampler:
    """Draws `people` identities, and `images_each` pictures of each in either modality.

    Batches are independent of each other, as in the sampler of AGW
    (https://github.com/mangye16/Cross-Modal-Re-ID-baseline, `IdentitySampler`). Unlike there, a
    picture comes twice in one batch only where an identity has fewer than `images_each`.
    """

    visible: NumbersOfEach
    infrared: NumbersOfEach
    people: int
    images_each: int
    seed: int

    def __post_init__(self) -> None:
        if self.people < 1 or self.images_each < 1:
            raise TrainingDataError(
                f"a batch of {self.people} people with {self.images_each} images each is empty; "
                "both have to be 1 or more"
            )
        if self.people > len(self.visible):
            raise TrainingDataError(
                f"a batch of {self.people} people cannot be drawn from {len(self.visible)} "
                f"identities; set people to {len(self.visible)} or fewer"
            )

    def draw(self, epoch: int, step: int) -> PairedDraw:
        """The pictures of one batch, the pictures of one person next to each other."""
        rng = generator(self.seed, Draw.PEOPLE, epoch, step)
        chosen = rng.choice(len(self.visible), self.people, replace=False)
        return PairedDraw(
            identities=np.repeat(chosen, self.images_each),
            visible=np.concatenate([self._some(rng, self.visible[k]) for k in chosen]),
            infrared=np.concatenate([self._some(rng, self.infrared[k]) for k in chosen]),
        )

    def _some(self, rng: np.random.Generator, pictures: Numbers) -> Int[np.ndarray, " images_each"]:
        too_few = len(pictures) < self.images_each
        return rng.choice(pictures, self.images_each, replace=too_few)

    @property
    def usual_steps(self) -> int:
        """Steps after which as many pictures were drawn as the larger modality has.

        Rounded down, at least one: 695 on SYSU-MM01 with 8 people and 4 images each (AGW's code
        says 695 and makes 696).
        """
        larger = max(sum(map(len, self.visible)), sum(map(len, self.infrared)))
        return max(1, larger // (self.people * self.images_each))


def shuffled(
    pictures: Numbers, size: int, rng: np.random.Generator
) -> Int[np.ndarray, "steps size"]:
    """All pictures in random order, `size` at a time.

    Every batch is full: the last is filled up from the start of the order, so that up to
    `size - 1` pictures come twice, and no batch is too small to normalise or to share.
    """
    order = rng.permutation(pictures)
    steps = -(-len(order) // size)
    return np.resize(order, (steps, size))


def share(count: int, rank: int, world: int) -> slice:
    """Which of `count` rows one process is given; the shares in order of rank are all rows."""
    each = count // world
    return slice(rank * each, (rank + 1) * each)


def number_identities(
    records: Iterable[ImageRecord], left_out: Set[int] = frozenset()
) -> dict[int, int]:
    """Identity -> 0 .. k-1, in rising order, over both modalities together.

    Raises:
        TrainingDataError: A record has no identity.
    """
    identities = {_known(record) for record in records} - left_out
    return {identity: k for k, identity in enumerate(sorted(identities))}


def pictures_of_each(
    records: Sequence[ImageRecord], numbering: dict[int, int], modality: Modality
) -> NumbersOfEach:
    """For identity 0 .. k-1 the positions of its records of one modality."""
    found: list[list[int]] = [[] for _ in numbering]
    for position, record in enumerate(records):
        if record.modality is modality and record.identity in numbering:
            found[numbering[record.identity]].append(position)
    return tuple(np.array(positions, dtype=np.int64) for positions in found)


def seen_in_one_spectrum(records: Iterable[ImageRecord]) -> dict[int, Modality]:
    """The identities that have pictures of one modality only, and which."""
    seen: dict[int, set[Modality]] = {}
    for record in records:
        seen.setdefault(_known(record), set()).add(record.modality)
    return {identity: min(where) for identity, where in sorted(seen.items()) if len(where) == 1}


def _known(record: ImageRecord) -> int:
    if record.identity is None:
        raise TrainingDataError(f"cannot train on {record.path}: nobody has said who is in it")
    return record.identity
