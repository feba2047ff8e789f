from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vireid.records import ImageRecord, Modality
from vireid.training_data.sampling import (
    PeopleSampler,
    Stream,
    TrainingDataError,
    generator,
    number_identities,
    pictures_of_each,
    seen_in_one_spectrum,
    share,
    shuffled,
)


def sampler(
    people: int = 4, images_each: int = 3, identities: int = 10, pictures: int = 6, seed: int = 0
) -> PeopleSampler:
    """Identity k has the visible pictures 100 k .. and the infrared pictures 100 k + 50 .."""
    of_each = [100 * k + np.arange(pictures) for k in range(identities)]
    return PeopleSampler(
        tuple(of_each), tuple(50 + numbers for numbers in of_each), people, images_each, seed
    )


def with_own(own: int, own_people: int) -> PeopleSampler:
    """Six of ten people a batch; the last `own` of the ten are one's own."""
    plain = sampler(people=6, pictures=3)
    return replace(plain, own=own, own_people=own_people)


def record(identity: int | None, modality: Modality, name: str = "x.jpg") -> ImageRecord:
    return ImageRecord(Path(name), modality, identity)


@given(people=st.integers(1, 10), images_each=st.integers(1, 8), step=st.integers(0, 10**6))
def test_row_i_of_both_halves_is_one_person(people: int, images_each: int, step: int) -> None:
    drawn = sampler(people, images_each).draw(epoch=2, step=step)
    assert len(drawn.identities) == people * images_each
    assert (drawn.visible // 100 == drawn.identities).all()
    assert (drawn.infrared // 100 == drawn.identities).all()
    assert (drawn.visible % 100 < 50).all()
    assert (drawn.infrared % 100 >= 50).all()


@given(step=st.integers(0, 10**6))
def test_a_batch_has_each_of_its_people_once_and_nobody_elses_pictures_between(step: int) -> None:
    identities = sampler(people=4, images_each=3).draw(0, step).identities.reshape(4, 3)
    assert (identities == identities[:, :1]).all()
    assert len(set(identities[:, 0])) == 4


def test_pictures_come_twice_only_where_there_are_too_few() -> None:
    enough, too_few = sampler(images_each=6, pictures=6), sampler(images_each=6, pictures=5)
    for step in range(30):
        assert len(set(enough.draw(0, step).visible)) == 4 * 6
        # Five pictures for six places: all are allowed, one at least comes twice.
        assert max(Counter(too_few.draw(0, step).visible).values()) >= 2


def test_everybody_and_every_picture_is_drawn_equally_often() -> None:
    subject = sampler(people=4, images_each=3)
    draws = [subject.draw(epoch, step) for epoch in range(5) for step in range(25)]
    people = Counter(np.concatenate([drawn.identities for drawn in draws]).tolist())
    pictures = Counter(np.concatenate([drawn.infrared for drawn in draws]).tolist())
    # 125 batches x 12 rows: 150 a person (deviation 16, in threes), 25 a picture (5).
    assert len(people) == 10
    assert len(pictures) == 60
    assert all(abs(count - 150) < 5 * 16 for count in people.values())
    assert all(0 < count < 50 for count in pictures.values())


def test_a_batch_depends_on_seed_epoch_and_step_and_on_nothing_else() -> None:
    def pictures(seed: int, epoch: int, step: int) -> tuple[int, ...]:
        return tuple(sampler(seed=seed).draw(epoch, step).visible)

    np.random.seed(1)  # noqa: NPY002 - to show that it does not matter
    first = pictures(5, 1, 2)
    np.random.seed(2)  # noqa: NPY002
    assert pictures(5, 1, 2) == first
    assert len({pictures(5, 1, 2), pictures(6, 1, 2), pictures(5, 2, 2), pictures(5, 2, 1)}) == 4


def test_batches_are_those_of_every_other_machine() -> None:
    assert sampler(people=2, images_each=2, seed=7).draw(3, 4).visible.tolist() == [
        300,
        302,
        703,
        705,
    ]


def test_two_streams_share_no_numbers() -> None:
    numbers = [
        generator(0, stream, epoch, step).random()
        for stream in Stream
        for epoch in range(5)
        for step in range(5)
    ]
    assert len(set(numbers)) == len(Stream) * 25


def test_an_epoch_is_as_long_as_the_larger_modality() -> None:
    visible, infrared = np.arange(22_258), np.arange(11_909)  # SYSU-MM01, 395 people
    subject = PeopleSampler(
        tuple(np.array_split(visible, 395)), tuple(np.array_split(infrared, 395)), 8, 4, 0
    )
    assert subject.usual_steps == 695
    assert sampler(people=10, images_each=7).usual_steps == 1


def test_more_people_than_there_are_is_an_error_that_says_so() -> None:
    with pytest.raises(TrainingDataError, match=r"11 people .* 10 identities; set people to 10"):
        sampler(people=11)
    with pytest.raises(TrainingDataError, match="both have to be 1 or more"):
        sampler(images_each=0)


@given(step=st.integers(0, 10**6), own=st.integers(2, 5))
def test_some_of_each_batch_are_ones_own_people(step: int, own: int) -> None:
    drawn = with_own(own=own, own_people=2).draw(0, step)
    identities = drawn.identities.reshape(6, 3)[:, 0]
    assert (identities >= 10 - own).sum() == 2
    assert len(set(identities)) == 6
    assert (drawn.visible // 100 == drawn.identities).all()


def test_more_of_ones_own_than_a_batch_holds_is_an_error_that_says_so() -> None:
    with pytest.raises(TrainingDataError, match=r"takes 0 of the 3 others; set data\.own_people"):
        with_own(own=7, own_people=6)
    with pytest.raises(TrainingDataError, match=r"takes 5 of the 3 .* people to 4 or fewer"):
        with_own(own=7, own_people=1)


@given(count=st.integers(1, 200), size=st.integers(1, 64), seed=st.integers(0, 2**63))
def test_every_picture_once_an_epoch_and_all_batches_full(count: int, size: int, seed: int) -> None:
    pictures = 1000 + np.arange(count)
    batches = shuffled(pictures, size, generator(seed, Stream.ORDER_OF_VISIBLE, 0))
    assert batches.shape == (-(-count // size), size)
    assert sorted(batches.flat[:count]) == pictures.tolist()
    assert set(batches.flat[count:]) <= set(pictures)


@given(each=st.integers(0, 20), world=st.integers(1, 8))
def test_shares_in_order_of_rank_are_the_whole(each: int, world: int) -> None:
    rows = np.arange(each * world)
    shares = [rows[share(len(rows), rank, world)] for rank in range(world)]
    assert np.concatenate(shares).tolist() == rows.tolist()
    assert {len(part) for part in shares} == {each}


def test_one_numbering_for_both_modalities() -> None:
    records = [
        record(70, Modality.INFRARED),
        record(3, Modality.VISIBLE),
        record(70, Modality.VISIBLE),
        record(12, Modality.INFRARED),
        record(3, Modality.INFRARED),
    ]
    numbering = number_identities(records)
    assert numbering == {3: 0, 12: 1, 70: 2}
    found = pictures_of_each(records, numbering, Modality.INFRARED)
    assert [numbers.tolist() for numbers in found] == [[4], [3], [0]]
    assert seen_in_one_spectrum(records) == {12: Modality.INFRARED}
    assert number_identities(records, left_out={12}) == {3: 0, 70: 1}


def test_nobody_learns_from_a_picture_without_identity() -> None:
    with pytest.raises(TrainingDataError, match=r"stranger\.jpg"):
        number_identities([record(None, Modality.VISIBLE, "stranger.jpg")])
