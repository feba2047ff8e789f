import threading
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.waiting import wait_for

from vireid.errors import VireidError
from vireid.method import TrainingData
from vireid.pictures import read_resized
from vireid.records import ImageRecord, Modality
from vireid.training_data.augmentation import Augmentation
from vireid.training_data.batches import EpochOfBatches, PairedBatch
from vireid.training_data.loading import Epoch, PackedTrainingData, made_ahead
from vireid.training_data.packs import UnreadablePicturesError
from vireid.training_data.sampling import TrainingDataError
from vireid.training_data.settings import Data

H, W = 24, 12
PLAIN = Augmentation(pad=0, flip=0.0, channel_exchange=0.0, random_erasing=0.0)
EVERYTHING = Augmentation(pad=3, channel_exchange=0.7, grey=0.3, infrared_jitter=0.4)
PEOPLE = (5, 9, 11, 40, 41, 70)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ImageRecord]]:
    """Six people with five visible and three infrared pictures each."""
    root = tmp_path_factory.mktemp("set")
    made: list[ImageRecord] = []
    for identity in PEOPLE:
        for modality, count in ((Modality.VISIBLE, 5), (Modality.INFRARED, 3)):
            for i in range(count):
                path = root / f"{modality}_{identity}_{i}.png"
                rng = np.random.default_rng(len(made))
                Image.fromarray(rng.integers(0, 256, (30, 15, 3), dtype=np.uint8)).save(path)
                made.append(ImageRecord(path, modality, identity))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIREID_CACHE", str(root / "cache"))
        yield made


def data(records: list[ImageRecord], **changed: Any) -> PackedTrainingData:
    settings: dict[str, Any] = {"height": H, "width": W, "workers": 0, "steps_per_epoch": 4}
    of_data = {f.name for f in fields(Data)}
    settings |= {name: value for name, value in changed.items() if name in of_data}
    others = {name: value for name, value in changed.items() if name not in of_data}
    given = {"augmentation": EVERYTHING, "seed": 3, **others}
    return PackedTrainingData(records, Data("x", **settings), **given)


def same(left: Any, right: Any) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(vars(left).values(), vars(right).values(), strict=True)
    )


def test_it_is_what_methods_expect(records: list[ImageRecord]) -> None:
    made = data(records)
    assert isinstance(made, TrainingData)
    assert isinstance(made.paired(2, 2)(0), EpochOfBatches)
    assert isinstance(made.single(Modality.VISIBLE, 4)(0), EpochOfBatches)
    assert made.num_identities == 6


def test_pictures_arrive_as_they_are_in_their_files(records: list[ImageRecord]) -> None:
    """Every row of a batch is one file of the person whose row it is, and of its modality."""
    of = {
        modality: {
            (read_resized(r.path, H, W) / np.float32(255)).tobytes(): r.identity
            for r in records
            if r.modality is modality
        }
        for modality in Modality
    }
    for batch in data(records, augmentation=PLAIN).paired(3, 2)(1):
        identities = [PEOPLE[k] for k in batch.identities.tolist()]
        for modality in Modality:
            rows = batch.of(modality).permute(0, 2, 3, 1).numpy()
            assert [of[modality][row.tobytes()] for row in rows] == identities


def test_images_are_floats_up_to_one_with_channels_last(records: list[ImageRecord]) -> None:
    batch = next(iter(data(records).paired(2, 3)(0)))
    for images in (batch.visible, batch.infrared):
        assert images.shape == (6, 3, H, W)
        assert images.dtype == torch.float32
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert 0 <= images.min() < images.max() <= 1
    assert batch.identities.dtype == torch.int64


def test_normalised_colours_are_exchanged_and_erased_as_the_network_sees_them(
    records: list[ImageRecord],
) -> None:
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    of = torch.tensor(mean)[:, None, None], torch.tensor(deviation)[:, None, None]
    settings = replace(PLAIN, channel_exchange=1.0, random_erasing=1.0, colours="normalised")
    batch = next(iter(data(records, augmentation=settings).paired(3, 2)(0)))
    for row in batch.visible:
        seen = (row - of[0]) / of[1]
        torch.testing.assert_close(seen, seen[:1].expand_as(seen), rtol=0, atol=1e-5)
        # The box has one of these colours, as it was there before the exchange.
        filled = [(seen[0] - fill).abs() < 1e-5 for fill in (0.4914, 0.4822, 0.4465)]
        assert max(int(box.sum()) for box in filled) >= 5
    tinted = [not torch.allclose(row, row[:1].expand_as(row)) for row in batch.infrared]
    assert any(tinted)


def in_pairs(records: list[ImageRecord]) -> list[ImageRecord]:
    """The number in a picture's name as its moment; three of five visible ones have a partner."""
    return [replace(r, moment=int(r.path.stem[-1])) for r in records]


def test_pairs_of_one_moment_show_one_moment(records: list[ImageRecord]) -> None:
    paired = in_pairs(records)
    moments = {
        (read_resized(r.path, H, W) / np.float32(255)).tobytes(): (r.identity, r.moment)
        for r in paired
    }
    drawn = set()
    for batch in data(paired, augmentation=PLAIN, pairing="moment").paired(3, 2)(1):
        halves = [
            [moments[row.tobytes()] for row in batch.of(m).permute(0, 2, 3, 1).numpy()]
            for m in Modality
        ]
        assert halves[0] == halves[1]
        assert [of for of, _ in halves[0]] == [PEOPLE[k] for k in batch.identities.tolist()]
        drawn |= set(halves[0])
    assert {moment for _, moment in drawn} == {0, 1, 2}
    usual = data(paired, augmentation=PLAIN).paired(3, 2)(1)
    assert any(
        moments[seen.tobytes()] != moments[felt.tobytes()]
        for batch in usual
        for seen, felt in zip(
            batch.visible.permute(0, 2, 3, 1).numpy(),
            batch.infrared.permute(0, 2, 3, 1).numpy(),
            strict=True,
        )
    )


def test_pairs_of_one_moment_have_one_crop_and_one_side_to_the_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    made = []
    for identity in range(2):
        for moment in range(4):
            rng = np.random.default_rng(8 * identity + moment)
            picture = Image.fromarray(rng.integers(1, 256, (H, W, 3), dtype=np.uint8))
            for modality in Modality:
                path = tmp_path / f"{modality}_{identity}_{moment}.png"
                picture.save(path)
                made.append(ImageRecord(path, modality, identity, moment=moment))
    moving = Augmentation(pad=3, flip=0.5, channel_exchange=0.0, random_erasing=0.0)
    settings: dict[str, Any] = {"augmentation": moving, "unpaired": "error"}
    for batch in data(made, pairing="moment", **settings).paired(2, 4)(0):
        assert torch.equal(batch.visible, batch.infrared)
    erasing = replace(moving, random_erasing=1.0)
    batch = next(iter(data(made, pairing="moment", augmentation=erasing).paired(2, 4)(0)))
    assert not torch.equal(batch.visible, batch.infrared)  # boxes are each picture's own


def test_where_nobody_knows_moments_there_are_no_pairs(records: list[ImageRecord]) -> None:
    with pytest.raises(TrainingDataError, match=r"6 of 6 people.*set data.pairing to 'person'"):
        data(records, pairing="moment").paired(2, 2)
    paired = in_pairs(records)
    alone = [replace(r, moment=None) if r.identity == 40 else r for r in paired]
    with pytest.raises(TrainingDataError, match="1 of 6 people, such as 40, have no visible"):
        data(alone, pairing="moment").paired(2, 2)
    assert data(alone, pairing="moment").num_identities == 6
    data(alone, pairing="person").paired(2, 2)


def test_a_single_source_shows_every_picture_of_one_modality_once(
    records: list[ImageRecord],
) -> None:
    epoch = data(records, augmentation=PLAIN).single(Modality.INFRARED, 6)(0)
    assert len(epoch) == 3  # 18 infrared pictures; steps_per_epoch is about paired batches
    seen = [row.numpy().tobytes() for batch in epoch for row in batch.images.permute(0, 2, 3, 1)]
    infrared = [r for r in records if r.modality is Modality.INFRARED]
    expected = [(read_resized(r.path, H, W) / np.float32(255)).tobytes() for r in infrared]
    assert sorted(seen) == sorted(expected)
    who = dict(zip(expected, [r.identity for r in infrared], strict=True))
    named = [PEOPLE[k] for batch in epoch for k in batch.identities.tolist()]
    assert named == [who[picture] for picture in seen]


def test_batches_depend_on_seed_epoch_and_step_alone(records: list[ImageRecord]) -> None:
    made = data(records)
    list(made.single(Modality.VISIBLE, 4)(0))  # what was asked for before does not matter
    first, again = list(made.paired(2, 2)(1)), list(data(records).paired(2, 2)(1))
    assert all(map(same, first, again))
    others = [list(made.paired(2, 2)(2)), list(data(records, seed=4).paired(2, 2)(1))]
    everything = [*first, *others[0], *others[1]]
    assert len({batch.visible.numpy().tobytes() for batch in everything}) == 12


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_nothing(records: list[ImageRecord], workers: int) -> None:
    alone, helped = data(records), data(records, workers=workers)
    for expected, epoch in (
        (alone.paired(2, 2)(0), helped.paired(2, 2)(0)),
        (alone.single(Modality.VISIBLE, 5)(0), helped.single(Modality.VISIBLE, 5)(0)),
    ):
        made = list(epoch)
        assert len(made) == len(epoch)
        assert all(map(same, expected, made))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_off_epoch_goes_on_with_the_batches_not_yet_seen(
    records: list[ImageRecord], workers: int
) -> None:
    made = data(records, workers=workers)
    for epoch in (made.paired(2, 2)(5), made.single(Modality.VISIBLE, 7)(5)):
        whole = list(epoch)
        for steps in range(len(epoch) + 1):
            rest = list(epoch.after(steps))
            assert len(rest) == len(epoch) - steps
            assert all(map(same, rest, whole[steps:]))


def test_batches_before_those_asked_for_are_not_made() -> None:
    made: list[int] = []

    def make(step: int) -> PairedBatch:
        made.append(step)
        return PairedBatch(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2), torch.zeros(1).long())

    list(Epoch(10, make, 2).after(7))
    assert sorted(made) == [7, 8, 9]


@pytest.mark.parametrize("world", [2, 4])
def test_the_shares_of_all_processes_are_the_batch_of_one(
    records: list[ImageRecord], world: int
) -> None:
    ranks = [data(records, rank=rank, world=world) for rank in range(world)]
    whole = data(records)
    for shared, single in (
        ([r.paired(4, 2)(0) for r in ranks], whole.paired(4, 2)(0)),
        ([r.single(Modality.VISIBLE, 8)(0) for r in ranks], whole.single(Modality.VISIBLE, 8)(0)),
    ):
        for *parts, batch in zip(*shared, single, strict=True):
            for name, tensor in vars(batch).items():
                assert torch.equal(torch.cat([getattr(part, name) for part in parts]), tensor)


def test_an_uneven_share_is_refused(records: list[ImageRecord]) -> None:
    made = data(records, world=4)
    with pytest.raises(TrainingDataError, match="people is 6, which 4 processes cannot share"):
        made.paired(6, 2)
    with pytest.raises(TrainingDataError, match="size is 10"):
        made.single(Modality.VISIBLE, 10)


def test_steps_of_an_epoch_follow_the_larger_modality_or_what_is_set(
    records: list[ImageRecord],
) -> None:
    assert len(data(records, steps_per_epoch=None).paired(3, 2)(0)) == 30 // 6
    assert len(data(records, steps_per_epoch=17).paired(3, 2)(0)) == 17


BRIDGED = Augmentation(
    pad=0, flip=0.0, channel_exchange=0.0, random_erasing=0.0, gamma=0.8, occlusion=0.5
)


def test_what_bridges_spectra_depends_on_neither_workers_nor_processes(
    records: list[ImageRecord],
) -> None:
    whole = list(data(records, augmentation=BRIDGED).paired(4, 2)(0))
    helped = list(data(records, augmentation=BRIDGED, workers=2).paired(4, 2)(0))
    assert all(map(same, whole, helped))
    ranks = [
        data(records, augmentation=BRIDGED, rank=rank, world=2).paired(4, 2)(0) for rank in (0, 1)
    ]
    for *parts, batch in zip(*ranks, whole, strict=True):
        assert torch.equal(torch.cat([part.visible for part in parts]), batch.visible)
    plain = next(iter(data(records, augmentation=PLAIN).paired(4, 2)(0)))
    assert torch.equal(plain.identities, whole[0].identities)
    assert not torch.equal(plain.visible, whole[0].visible)


def test_backgrounds_are_swapped_where_masks_are_known(records: list[ImageRecord]) -> None:
    upper = np.zeros((2 * H, 2 * W), bool)
    upper[:H] = True  # masks may have another size than the pictures of the pack
    swapping = replace(PLAIN, backgrounds=1.0)
    plain = next(iter(data(records, augmentation=PLAIN).paired(4, 2)(0)))
    unknown = data(records, augmentation=swapping, mask=lambda record: None)
    assert torch.equal(next(iter(unknown.paired(4, 2)(0))).visible, plain.visible)
    known = data(records, augmentation=swapping, mask=lambda record: upper)
    found = next(iter(known.paired(4, 2)(0))).visible
    half = H // 2
    assert torch.allclose(found[:, :, : half - 3], plain.visible[:, :, : half - 3], atol=1 / 255)
    assert not torch.allclose(found[:, :, half + 3 :], plain.visible[:, :, half + 3 :], atol=0.1)


def without(records: list[ImageRecord], identity: int, modality: Modality) -> list[ImageRecord]:
    return [r for r in records if (r.identity, r.modality) != (identity, modality)]


def test_people_seen_in_one_spectrum_are_named_or_left_out(records: list[ImageRecord]) -> None:
    some = without(without(records, 9, Modality.VISIBLE), 41, Modality.INFRARED)
    refusing = data(some)
    with pytest.raises(
        TrainingDataError, match=r"2 identities .* 9 \(infrared only\), 41 \(visible only\); .*drop"
    ):
        refusing.paired(2, 2)
    assert refusing.num_identities == 6, "single sources do with one spectrum"
    dropping = data(some, unpaired="drop")
    assert dropping.num_identities == 4
    paired = {k for batch in dropping.paired(4, 2)(0) for k in batch.identities.tolist()}
    assert paired == {0, 1, 2, 3}
    assert len(dropping.single(Modality.VISIBLE, 5)(0)) == 4


def test_a_picture_that_cannot_be_read_stops_or_is_left_out(
    records: list[ImageRecord], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 no more")
    some = [ImageRecord(broken, Modality.VISIBLE, 5), *records]
    with pytest.raises(UnreadablePicturesError, match=r"broken\.jpg"):
        data(some)
    skipping = data(some, unreadable="skip", augmentation=PLAIN)
    assert skipping.records == tuple(records)
    # The same pictures for the same people as without it.
    assert all(
        map(same, skipping.paired(2, 2)(0), data(records, augmentation=PLAIN).paired(2, 2)(0))
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"steps_per_epoch": 0}, "steps_per_epoch is 0"),
        ({"augmentation": Augmentation(pad=12)}, "pad is 12, .* set it to less than 12"),
    ],
)
def test_settings_that_cannot_work_are_named(
    records: list[ImageRecord], changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(VireidError, match=message):
        data(records, **changed)


def test_no_pictures_no_training(records: list[ImageRecord]) -> None:
    with pytest.raises(TrainingDataError, match="no pictures to train on"):
        data([])
    visible = [r for r in records if r.modality is Modality.VISIBLE]
    with pytest.raises(TrainingDataError, match="no infrared pictures"):
        data(visible).single(Modality.INFRARED, 4)


def batch_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def nothing(step: int) -> PairedBatch:
    return PairedBatch(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2), torch.tensor([step]))


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_whoever_stops_early_leaves_no_thread_at_work(interruption: type[BaseException]) -> None:
    def take_some() -> None:
        for batch in made_ahead(nothing, range(1000), workers=2):
            if batch.identities.item() == 5:
                assert batch_threads()
                raise interruption

    with pytest.raises(interruption):
        take_some()
    assert not batch_threads()


def test_an_error_in_a_worker_is_raised_where_its_batch_would_have_come() -> None:
    def make(step: int) -> PairedBatch:
        if step == 3:
            raise OSError("the disk is gone")
        return nothing(step)

    taken: list[float] = []
    with pytest.raises(OSError, match="the disk is gone"):
        taken.extend(batch.identities.item() for batch in made_ahead(make, range(9), workers=3))
    assert not batch_threads()
    batches = made_ahead(make, range(9), workers=3)
    assert [next(batches).identities.item() for _ in range(3)] == [0, 1, 2]
    batches.close()


def test_batches_are_made_ahead_but_not_without_limit() -> None:
    made: list[int] = []

    def make(step: int) -> PairedBatch:
        made.append(step)
        return nothing(step)

    batches = made_ahead(make, range(1000), workers=2)
    next(batches)
    wait_for(lambda: len(made) >= 5)
    time.sleep(0.1)  # for more, if there is no limit
    assert len(made) == 5  # the one taken, and two for either worker
    batches.close()
