from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vireid.errors import VireidError
from vireid.records import Modality
from vireid.training_data.augmentation import (
    ERASED,
    GREY,
    NO_CHANNEL,
    Augmentation,
    Changes,
    augment,
    draw_changes,
    recolour,
)
from vireid.training_data.bridging import LUMINANCE
from vireid.types.arrays import Pictures

NOTHING = Augmentation(pad=0, flip=0.0, channel_exchange=0.0, random_erasing=0.0)
N, H, W = 4000, 24, 12


def pictures(n: int = 8) -> Pictures:
    return np.random.default_rng(0).integers(0, 256, (n, H, W, 3), dtype=np.uint8)


def changes(settings: Augmentation, modality: Modality = Modality.VISIBLE, n: int = N) -> Changes:
    return draw_changes(settings, modality, (n, H, W), np.random.default_rng(1))


def changed(settings: Augmentation, modality: Modality = Modality.VISIBLE) -> Pictures:
    return augment(list(pictures()), changes(settings, modality, n=8))


def one_change(**given: Any) -> Changes:
    nothing = changes(NOTHING, n=1)
    return replace(nothing, **{name: np.array([value]) for name, value in given.items()})


@pytest.mark.parametrize("modality", Modality)
def test_with_all_settings_at_zero_pictures_stay_as_they_are(modality: Modality) -> None:
    assert (changed(NOTHING, modality) == pictures()).all()


def test_pictures_given_are_not_written_to() -> None:
    given = pictures()
    given.flags.writeable = False
    everything = Augmentation(
        flip=1.0, channel_exchange=1.0, random_erasing=1.0, infrared_jitter=0.5
    )
    for modality in Modality:
        augment(list(given), changes(everything, modality, n=8))


def test_moving_equals_padding_with_black_and_cutting_out() -> None:
    picture = pictures(1)[0]
    padded = np.pad(picture, ((5, 5), (5, 5), (0, 0)))
    for down, right in ((0, 0), (3, -2), (-5, 5), (5, 4), (-1, -5)):
        moved = augment([picture], one_change(shift=[down, right]))[0]
        assert (moved == padded[5 - down :, 5 - right :][:H, :W]).all()
        mirrored = augment([picture], one_change(shift=[down, right], flipped=True))[0]
        assert (mirrored == moved[:, ::-1]).all()


def test_shifts_are_spread_evenly_over_all_places_of_the_padded_picture() -> None:
    shift = changes(replace(NOTHING, pad=2)).shift
    for axis in (0, 1):
        places, counts = np.unique(shift[:, axis], return_counts=True)
        assert places.tolist() == [-2, -1, 0, 1, 2]
        assert (abs(counts - N / 5) < 5 * np.sqrt(N / 5)).all()
    assert abs(np.corrcoef(shift.T)[0, 1]) < 0.1


def test_probabilities_are_those_of_the_settings() -> None:
    drawn = changes(Augmentation(flip=0.3, channel_exchange=0.6, grey=0.25, random_erasing=0.4))
    near = pytest.approx
    assert drawn.flipped.mean() == near(0.3, abs=0.04)
    assert (drawn.erased[:, 2] > 0).mean() == near(0.4, abs=0.04)
    assert (drawn.channel == NO_CHANNEL).mean() == near(0.4, abs=0.04)
    assert (drawn.channel == GREY).mean() == near(0.6 * 0.25, abs=0.03)
    for colour in range(3):
        assert (drawn.channel == colour).mean() == near(0.6 * 0.75 / 3, abs=0.03)


@pytest.mark.parametrize("colour", range(3))
def test_channel_exchange_repeats_one_colour(colour: int) -> None:
    picture = pictures(1)[0]
    exchanged = augment([picture], one_change(channel=colour))[0]
    assert (exchanged == picture[..., [colour] * 3]).all()


def test_grey_is_the_luminance() -> None:
    picture = pictures(1)[0]
    grey = augment([picture], one_change(channel=GREY))[0]
    assert (grey == grey[..., :1]).all()
    assert abs(grey[..., 0] - picture @ LUMINANCE).max() <= 0.5


def test_infrared_pictures_keep_their_channels_and_visible_ones_their_brightness() -> None:
    settings = replace(NOTHING, channel_exchange=1.0, infrared_jitter=0.5)
    assert (changes(settings, Modality.INFRARED).channel == NO_CHANNEL).all()
    assert (changes(settings, Modality.VISIBLE).jitter == 1).all()
    assert (changed(settings, Modality.INFRARED) != pictures()).any(axis=(1, 2, 3)).all()


def test_jitter_multiplies_brightness_and_the_distance_from_the_mean() -> None:
    picture = np.linspace(60, 120, H * W * 3).reshape(H, W, 3).astype(np.uint8)
    brighter = augment([picture], one_change(jitter=[1.5, 1.0]))[0]
    assert abs(brighter - picture * 1.5).max() <= 0.5
    flatter = augment([picture], one_change(jitter=[1.0, 0.5]))[0]
    expected = picture.mean() + (picture - picture.mean()) * 0.5
    assert abs(flatter - expected).max() <= 0.5
    assert augment([picture], one_change(jitter=[4.0, 1.0])).max() == 255


def test_erased_boxes_have_the_area_and_shape_of_the_settings() -> None:
    settings = replace(NOTHING, random_erasing=1.0, erased_area=(0.1, 0.2), erased_shape=(0.5, 2.0))
    top, left, height, width = changes(settings).erased.T
    assert (height > 0).mean() > 0.999
    assert (top + height <= H).all()
    assert (left + width <= W).all()
    area = height * width / (H * W)
    assert 0.07 < area.min() < 0.13
    assert 0.17 < area.max() < 0.24
    assert set(np.unique(top[height == 6])) == set(range(H - 6 + 1))


def test_an_erased_box_is_filled_and_the_rest_is_kept() -> None:
    picture = pictures(1)[0]
    erased = augment([picture], one_change(erased=[3, 2, 10, 5]))[0]
    inside = np.zeros((H, W), dtype=bool)
    inside[3:13, 2:7] = True
    assert (erased[inside] == ERASED).all()
    assert (erased[~inside] == picture[~inside]).all()


def as_caj_does(picture: np.ndarray, channel: int, box: list[int]) -> np.ndarray:
    """What a network is given: mean and deviation off, a box filled, colours exchanged."""
    rows = (picture / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    top, left, height, width = box
    rows[top : top + height, left : left + width] = [0.4914, 0.4822, 0.4465]
    if channel == GREY:
        return np.repeat(rows @ [[0.2989], [0.5870], [0.1140]], 3, axis=2)
    return rows if channel == NO_CHANNEL else np.repeat(rows[..., [channel]], 3, axis=2)


@pytest.mark.parametrize("channel", [NO_CHANNEL, 0, 1, 2, GREY])
@pytest.mark.parametrize("box", [[3, 2, 10, 5], [0, 0, 0, 0]])
def test_colours_can_be_changed_as_caj_does_after_mean_and_deviation(
    channel: int, box: list[int]
) -> None:
    given = (pictures(1) / 255).astype(np.float32)
    recolour(given, one_change(channel=channel, erased=box))
    normal = (given[0] - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    expected = as_caj_does(pictures(1)[0], channel, box)
    np.testing.assert_allclose(normal, expected, atol=1e-5)


def test_with_normalised_colours_infrared_pictures_are_exchanged_too() -> None:
    settings = replace(NOTHING, colours="normalised", channel_exchange=0.0)
    drawn = changes(settings, Modality.INFRARED)
    for channel, share in {NO_CHANNEL: 1 / 8, 0: 1 / 4, 1: 1 / 4, 2: 1 / 4, GREY: 1 / 8}.items():
        assert (drawn.channel == channel).mean() == pytest.approx(share, abs=0.03)
    assert (changes(settings, Modality.VISIBLE).channel == NO_CHANNEL).all()


def test_a_share_of_the_changes_is_the_changes_of_a_share() -> None:
    drawn = changes(Augmentation(infrared_jitter=0.3), Modality.INFRARED, n=8)
    whole = augment(list(pictures()), drawn)
    half = augment(list(pictures()[4:]), drawn.of(slice(4, 8)))
    assert (whole[4:] == half).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flip", 1.5),
        ("pad", -1),
        ("erased_area", (0.4, 0.02)),
        ("erased_shape", (0.0, 1.0)),
        ("infrared_jitter", -0.1),
        ("channel_exchange", float("nan")),
    ],
)
def test_settings_that_make_no_sense_are_named(name: str, value: Any) -> None:
    with pytest.raises(VireidError, match=rf"augmentation\.{name} is "):
        Augmentation(**{name: value})
