"""Pictures in other colours than sRGB's are read in sRGB; their ICC profile says what they are."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, features
from tests import profiles
from tests.profiles import Levels, in_grey, in_wide_gamut, wide_gamut

from vireid.pictures import as_rgb, read_picture, read_resized
from vireid.records import Box

pytestmark = pytest.mark.skipif(not features.check("littlecms2"), reason="Pillow has no ImageCms")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def colours() -> Levels:
    """Soft colours, far from any that Adobe RGB lacks."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(60, 200, (8, 4, 3)).astype(np.uint8)
    return blocks.repeat(16, axis=0).repeat(16, axis=1)


def difference(one: Image.Image | Levels, other: Image.Image | Levels) -> int:
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other).astype(int)).max())


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "webp"])
def test_a_picture_of_a_wide_gamut_comes_out_as_its_twin_in_srgb(
    suffix: str, tmp_path: Path
) -> None:
    written, told = in_wide_gamut(colours()), wide_gamut()
    kinds: dict[str, dict[str, Any]] = {
        "jpg": {"quality": 100, "subsampling": 0},
        "webp": {"lossless": True},
    }
    how = kinds.get(suffix, {})
    Image.fromarray(colours()).save(tmp_path / f"twin.{suffix}", **how)
    Image.fromarray(written).save(tmp_path / f"wide.{suffix}", icc_profile=told, **how)
    assert difference(written, colours()) > 30
    twin, wide = (tmp_path / f"{name}.{suffix}" for name in ("twin", "wide"))
    assert difference(read_picture(wide), read_picture(twin)) <= 4
    assert difference(read_resized(wide, 32, 16), read_resized(twin, 32, 16)) <= 4
    box = Box(8, 8, 40, 72)
    assert difference(read_picture(wide, box=box), read_picture(twin, box=box)) <= 4


def test_transparency_is_laid_over_black_in_srgb() -> None:
    rows = np.full((128, 64, 1), 255, np.uint8)
    rows[:64] = 0
    written = np.concatenate([in_wide_gamut(colours()), rows], axis=2)
    shown = as_rgb(with_profile(Image.fromarray(written), wide_gamut()))
    assert not np.asarray(shown)[:64].any()
    assert difference(np.asarray(shown)[64:], colours()[64:]) <= 4


def test_greys_of_another_curve_come_out_as_their_twins() -> None:
    levels = np.tile(np.arange(40, 240, dtype=np.uint8), (64, 1))
    written = Image.fromarray(in_grey(levels, 1.4))
    assert difference(np.asarray(written), levels) > 30
    shown = as_rgb(with_profile(written, profiles.grey(1.4)))
    assert difference(shown, levels[..., None]) <= 4


def test_palettes_have_profiles_too() -> None:
    written = Image.fromarray(in_wide_gamut(colours())).quantize(64)
    shown = as_rgb(with_profile(written, wide_gamut()))
    assert difference(shown, colours()) <= 4


def with_profile(picture: Image.Image, profile: bytes) -> Image.Image:
    file = BytesIO()
    picture.save(file, "TIFF", icc_profile=profile)
    return Image.open(file)


BROKEN: dict[str, Callable[[], bytes]] = {
    "sRGB": lambda: SRGB,
    "cut off": lambda: wide_gamut()[:200],
    "no profile": lambda: b"no profile at all",
    "of greys": lambda: profiles.grey(1.4),
    "overwritten": lambda: wide_gamut()[:128] + b"\xff" * 400,
    "too long": lambda: wide_gamut() + bytes(2**22),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_other_profiles_change_nothing(kind: str) -> None:
    plain = Image.fromarray(colours())
    assert difference(as_rgb(with_profile(plain, BROKEN[kind]())), plain) == 0


def test_threads_convert_as_one_does() -> None:
    pictures = [
        with_profile(Image.fromarray(in_wide_gamut(np.roll(colours(), i))), wide_gamut())
        for i in range(64)
    ]
    with ThreadPoolExecutor(8) as pool:
        shown = list(pool.map(as_rgb, pictures))
    for i, each in enumerate(shown):
        assert difference(each, np.roll(colours(), i)) <= 4
