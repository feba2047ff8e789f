"""Which pictures form a training batch: their positions, without their pixels.

Everything here is a pure function of a seed and of a batch's place in the run. So any batch can be
drawn without those before it, and every process draws the same one.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Int

from vireid.errors import VireidError
from vireid.records import ImageRecord, Modality

Numbers = Int[np.ndarray, " n"]
"""Positions of pictures in the list of records."""
Places = Int[np.ndarray, " images_each"]
"""Places among the pictures of one identity in one spectrum."""
NumbersOfEach = tuple[Int[np.ndarray, " _"], ...]
"""Positions of the pictures of each identity 0 .. k-1, as many as there are."""


class TrainingDataError(VireidError):
    """The pictures at hand cannot form the batches that were asked for."""


class Stream(IntEnum):
    """Streams of random numbers; two streams share no numbers."""

    PEOPLE = 1
    ORDER_OF_VISIBLE = 2
    ORDER_OF_INFRARED = 3
    PAIRED_VISIBLE = 4
    PAIRED_INFRARED = 5
    SINGLE_VISIBLE = 6
    SINGLE_INFRARED = 7


def generator(seed: int, stream: Stream, epoch: int, step: int = 0) -> np.random.Generator:
    """Return a source of random numbers that depend on these four arguments alone."""
    key = np.random.SeedSequence((seed, epoch, step, int(stream)))
    return np.random.Generator(np.random.PCG64(key))


@dataclass(frozen=True)
class PairedDraw:
    """The pictures of one paired batch; entry i of both spectra shows identity i."""

    identities: Numbers
    """Training identities, 0 .. k-1."""
    visible: Numbers
    infrared: Numbers


@dataclass(frozen=True)
class PeopleSampler:
    """Draws `people` identities, and `images_each` pictures of each in both spectra.

    Batches are independent of each other, as in the sampler of AGW
    (https://github.com/mangye16/Cross-Modal-Re-ID-baseline, `IdentitySampler`). Unlike there, a
    picture comes twice in one batch only where an identity has fewer than `images_each`.
    """

    visible: NumbersOfEach
    infrared: NumbersOfEach
    people: int
    images_each: int
    seed: int
    are_pairs: bool = False
    """Whether picture i of a person in one spectrum is drawn together with picture i in the
    other."""
    own: int = 0
    """How many of the identities, the last ones, are one's own people."""
    own_people: int = 0
    """How many of each batch are drawn from these; the others are drawn from the rest."""

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
        rest, others = len(self.visible) - self.own, self.people - self.own_people
        if not 1 <= others <= rest:
            raise TrainingDataError(
                f"a batch of {self.people} people, {self.own_people} of them your own, takes "
                f"{others} of the {rest} others; set data.own_people to less than people, and "
                f"people to {rest + self.own_people} or fewer"
            )

    def draw(self, epoch: int, step: int) -> PairedDraw:
        """Draw the pictures of one batch; those of one person are next to each other."""
        rng = generator(self.seed, Stream.PEOPLE, epoch, step)
        chosen = self._people(rng)
        visible = [self._some(rng, len(self.visible[k])) for k in chosen]
        infrared = (
            visible if self.are_pairs else [self._some(rng, len(self.infrared[k])) for k in chosen]
        )
        return PairedDraw(
            identities=np.repeat(chosen, self.images_each),
            visible=_taken(self.visible, chosen, visible),
            infrared=_taken(self.infrared, chosen, infrared),
        )

    def _people(self, rng: np.random.Generator) -> Int[np.ndarray, " people"]:
        rest = len(self.visible) - self.own
        others = rng.choice(rest, self.people - self.own_people, replace=False)
        if not self.own_people:
            return others
        return np.concatenate([others, rest + rng.choice(self.own, self.own_people, replace=False)])

    def _some(self, rng: np.random.Generator, count: int) -> Places:
        return rng.choice(count, self.images_each, replace=count < self.images_each)

    @property
    def usual_steps(self) -> int:
        """Steps of an epoch: as many pictures are drawn as the larger spectrum has.

        Rounded down, at least one: 695 on SYSU-MM01 with 8 people and 4 images each (AGW's code
        says 695 and makes 696).
        """
        larger = max(sum(map(len, self.visible)), sum(map(len, self.infrared)))
        return max(1, larger // (self.people * self.images_each))


def _taken(
    pictures: NumbersOfEach, people: Int[np.ndarray, " people"], places: Sequence[Places]
) -> Numbers:
    return np.concatenate([pictures[k][of_k] for k, of_k in zip(people, places, strict=True)])


def shuffled(
    pictures: Numbers, size: int, rng: np.random.Generator
) -> Int[np.ndarray, "steps size"]:
    """Return all pictures in random order, `size` at a time.

    Every batch is full: the last is filled up from the start of the order, so that up to
    `size - 1` pictures come twice, and no batch is too small to normalise or to share.
    """
    order = rng.permutation(pictures)
    steps = -(-len(order) // size)
    return np.resize(order, (steps, size))


def share(count: int, rank: int, world: int) -> slice:
    """Return which of `count` rows one process takes; the shares of all ranks make up all rows."""
    each = count // world
    return slice(rank * each, (rank + 1) * each)


def number_identities(
    records: Iterable[ImageRecord], left_out: Set[int] = frozenset()
) -> dict[int, int]:
    """Return a number 0 .. k-1 for each identity, rising, over both spectra together.

    Raises:
        TrainingDataError: A record has no identity.
    """
    identities = {_identity_of(record) for record in records} - left_out
    return {identity: k for k, identity in enumerate(sorted(identities))}


def pictures_of_each(
    records: Sequence[ImageRecord], numbering: dict[int, int], modality: Modality
) -> NumbersOfEach:
    """Return the positions of the records of one modality, for each identity 0 .. k-1."""
    found: list[list[int]] = [[] for _ in numbering]
    for position, record in enumerate(records):
        if record.modality is modality and record.identity in numbering:
            found[numbering[record.identity]].append(position)
    return tuple(np.array(positions, dtype=np.int64) for positions in found)


def pairs_of_each(
    records: Sequence[ImageRecord], numbering: dict[int, int]
) -> tuple[NumbersOfEach, NumbersOfEach]:
    """Return the positions of pictures of one moment, visible and infrared, for each identity.

    Entry i of both spectra shows one moment. Pictures without a partner are left out; of several
    pictures of a person, a moment and a spectrum the last counts.

    Raises:
        TrainingDataError: Somebody has no two pictures of one moment.
    """
    of: dict[Modality, list[dict[int, int]]] = {m: [{} for _ in numbering] for m in Modality}
    for position, record in enumerate(records):
        if record.identity in numbering and record.moment is not None:
            of[record.modality][numbering[record.identity]][record.moment] = position
    visible, infrared = of[Modality.VISIBLE], of[Modality.INFRARED]
    shared = [sorted(v.keys() & i.keys()) for v, i in zip(visible, infrared, strict=True)]
    lonely = [identity for identity, k in numbering.items() if not shared[k]]
    if lonely:
        raise TrainingDataError(
            f"data.pairing is 'moment', but {len(lonely)} of {len(numbering)} people, such as "
            f"{lonely[0]}, have no visible and infrared picture of one moment, as far as the data "
            "set tells; set data.pairing to 'person'"
        )
    return (
        tuple(np.array([v[m] for m in at]) for v, at in zip(visible, shared, strict=True)),
        tuple(np.array([i[m] for m in at]) for i, at in zip(infrared, shared, strict=True)),
    )


def seen_in_one_spectrum(records: Iterable[ImageRecord]) -> dict[int, Modality]:
    """Return the identities with pictures of one modality only, and which one."""
    seen: dict[int, set[Modality]] = {}
    for record in records:
        seen.setdefault(_identity_of(record), set()).add(record.modality)
    return {identity: min(where) for identity, where in sorted(seen.items()) if len(where) == 1}


def _identity_of(record: ImageRecord) -> int:
    if record.identity is None:
        raise TrainingDataError(f"cannot train on {record.path}: nobody has said who is in it")
    return record.identity
