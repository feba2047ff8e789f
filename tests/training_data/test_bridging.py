from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vireid.errors import VireidError
from vireid.records import Modality
from vireid.training_data.augmentation import Augmentation
from vireid.training_data.bridging import LEAST_RANGE, Bridging, before, bridge
from vireid.types.arrays import Pixels

H, W = 64, 32
STRENGTHS: dict[str, Any] = {
    "channel_mix": 1.0,
    "colour": 0.5,
    "gamma": 1.0,
    "local_contrast": 1.0,
    "inverted": 1.0,
    "equalised": 1.0,
    "blur": 2.0,
    "least_rows": 8,
    "noise": 10.0,
    "jpeg": 1.0,
    "occlusion": 1.0,
    "backgrounds": 1.0,
}
"""Every change, so strong that it is always done."""
OF_ONE_SPECTRUM = {
    "channel_mix": Modality.VISIBLE,
    "colour": Modality.VISIBLE,
    "inverted": Modality.INFRARED,
    "equalised": Modality.INFRARED,
}


def picture(seed: int = 0, *, grey: bool = False) -> Pixels:
    """A smooth picture with all shades between 40 and 200."""
    rng = np.random.default_rng(seed)
    waves = np.sin(np.linspace(0, 3, H)[:, None, None] * rng.uniform(1, 2, 3) + rng.uniform(0, 6))
    shades = 120 + 80 * waves * np.cos(np.linspace(0, 2, W))[None, :, None]
    return np.repeat(shades[..., :1], 3, axis=2).astype(np.uint8) if grey else shades.astype("u1")


def mask(top: int) -> np.ndarray:
    shown = np.zeros((H, W), bool)
    shown[top : top + 30, 10:20] = True
    return shown


def changed(
    modality: Modality = Modality.VISIBLE, seed: int = 1, grey: bool = False, **given: Any
) -> Pixels:
    return bridge(
        picture(grey=grey),
        Bridging(**given),
        modality,
        np.random.default_rng(seed),
        other=picture(5),
        masks=(mask(20), mask(10)),
    )


def test_nothing_is_changed_unless_it_is_asked_for() -> None:
    for modality in Modality:
        assert (changed(modality) == picture()).all()
    assert not Augmentation().bridges
    assert replace(Augmentation(), blur=0.1).bridges


@pytest.mark.parametrize("name", STRENGTHS)
def test_each_change_can_be_switched_on_alone(name: str) -> None:
    for modality in Modality:
        found = changed(modality, **{name: STRENGTHS[name]})
        applies = OF_ONE_SPECTRUM.get(name, modality) is modality
        assert (found != picture()).any() == applies
        assert found.shape == (H, W, 3)
        assert found.dtype == np.uint8


def test_the_same_random_numbers_give_the_same_picture() -> None:
    assert (changed(seed=3, **STRENGTHS) == changed(seed=3, **STRENGTHS)).all()
    assert (changed(seed=3, **STRENGTHS) != changed(seed=4, **STRENGTHS)).any()


def test_without_another_picture_nothing_is_covered_or_swapped() -> None:
    settings = Bridging(occlusion=1, backgrounds=1)
    alone = bridge(picture(), settings, Modality.VISIBLE, np.random.default_rng(0))
    assert (alone == picture()).all()


def test_mixed_channels_lie_between_the_darkest_and_the_brightest() -> None:
    alike = 0
    for seed in range(20):
        found = changed(seed=seed, channel_mix=1.0).astype(int)
        given = picture().astype(int)
        assert (found <= given.max(axis=2, keepdims=True) + 1).all()
        assert (found >= given.min(axis=2, keepdims=True) - 1).all()
        alike += bool((found == found[..., :1]).all())
    assert 3 <= alike <= 17  # half of them


def test_inverted_exchanges_bright_and_dark_in_infrared() -> None:
    assert (changed(Modality.INFRARED, inverted=1.0) == 255 - picture()).all()


def test_equalised_shades_are_spread_evenly() -> None:
    found = changed(Modality.INFRARED, grey=True, equalised=1.0)
    counts, _ = np.histogram(found, 4, (0, 256))
    assert counts.min() > 0.7 * found.size / 4


def test_gamma_keeps_black_white_and_the_order_of_shades() -> None:
    found = changed(grey=True, gamma=2.0)[..., 0].ravel().astype(int)
    order = np.argsort(picture(grey=True)[..., 0].ravel(), kind="stable")
    assert (np.diff(found[order]) >= 0).all()


def test_local_contrast_uses_all_shades_but_blows_no_noise_up() -> None:
    found = changed(grey=True, local_contrast=1.0)
    assert found.std() > picture(grey=True).std()
    flat = np.full((H, W, 3), 100, np.uint8)
    flat[::2] += 4
    stretched = bridge(
        flat, Bridging(local_contrast=1.0), Modality.VISIBLE, np.random.default_rng(0)
    )
    assert np.ptp(stretched) <= 4 * 255 / LEAST_RANGE + 1


def test_fewer_rows_and_blur_take_detail_away() -> None:
    rng = np.random.default_rng(0)
    noisy = rng.integers(0, 256, (H, W, 3), dtype=np.uint8)
    for settings in (Bridging(blur=3.0), Bridging(least_rows=4)):
        found = bridge(noisy, settings, Modality.VISIBLE, np.random.default_rng(1))
        assert (
            np.abs(np.diff(found.astype(int), axis=0)).mean()
            < 0.7 * np.abs(np.diff(noisy.astype(int), axis=0)).mean()
        )


def test_a_person_stands_before_the_background_of_another() -> None:
    person, behind = np.full((H, W, 3), 200, np.uint8), np.full((H, W, 3), 50, np.uint8)
    behind[mask(10)] = 255  # the other person, who must not be seen
    found = before(person, mask(20), behind, mask(10))
    inner = np.zeros((H, W), bool)
    inner[23:47, 13:17] = True
    assert (found[inner] == 200).all()
    far = ~mask(20)
    far[17:53, 7:23] = False
    assert (found[far] == 50).all()


def test_a_strength_out_of_range_is_refused_by_its_name() -> None:
    with pytest.raises(VireidError, match=r"augmentation\.jpeg.*at most 1"):
        Augmentation(jpeg=1.5)
