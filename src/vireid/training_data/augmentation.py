"""Random changes of training pictures, so that a model does not learn them by heart.

Works on uint8 pictures, one batch at a time; no torch. torchvision's transforms would draw one
random number for a whole batch, so they would have to be called for each picture.

Sources: AGW (Ye et al., TPAMI 2021, arXiv:2001.04193) pads, crops and flips; CAJ (Ye et al., ICCV
2021) adds channel exchange and erasing, code in
https://github.com/mangye16/Cross-Modal-Re-ID-baseline; random erasing is Zhong et al.,
arXiv:1708.04896.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from vireid.errors import check_settings
from vireid.records import Modality
from vireid.training_data.bridging import LUMINANCE, Bridging
from vireid.types.arrays import Pictures, Pixels
from vireid.types.ranges import Positive, Share, Whole, check_ranges

FILL = np.array([0.4914, 0.4822, 0.4465], dtype=np.float32)
"""Colour that fills erased boxes, as in CAJ."""
ERASED = np.round(FILL * 255).astype(np.uint8)
MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], dtype=np.float32)
"""ImageNet's mean and deviation, which CAJ's code subtracts and divides by before it erases."""
INFRARED_EXCHANGE, INFRARED_GREY = 7 / 8, 1 / 7
"""`channel_exchange` and `grey` of infrared pictures in CAJ's code."""
NO_CHANNEL, GREY = -1, 3
PIXEL = np.dtype("V3")
ATTEMPTS = 10
"""Number of boxes drawn, of which the first that fits into the picture is erased."""


@dataclass(frozen=True)
class Augmentation(Bridging):
    """Settings of the changes of training pictures; if all are zero, nothing is changed."""

    pad: Whole = 10
    """Pixels of black around a picture, before a random part of the old size is cut out. AGW: 10 at
    288 x 144; 4 or 5 go with 128 x 64."""
    flip: Share = 0.5
    """Probability that a picture is mirrored (AGW: 0.5)."""
    channel_exchange: Share = 0.5
    """Probability that one colour of a visible picture, drawn at random, replaces all three
    (AGW: 0; CAJ: always, on a second copy of the batch; DNS: 2/3 with `grey=0.25`)."""
    grey: Share = 0.0
    """Share of the exchanged pictures that get their luminance instead of one colour (CAJ's gray
    parameter: 2 is 0 here, 3 is 0.25)."""
    random_erasing: Share = 0.5
    """Probability that a box is blanked out (AGW: 0; CAJ: 0.5)."""
    erased_area: tuple[Share, Share] = (0.02, 0.4)
    """Smallest and largest share of the picture that is blanked out (CAJ)."""
    erased_shape: tuple[Positive, Positive] = (0.3, 1 / 0.3)
    """Smallest and largest height / width of the erased box (CAJ)."""
    colours: Literal["pixels", "normalised"] = "pixels"
    """When colours are exchanged and boxes erased: in the picture, in this order; or, as in CAJ's
    code, after mean and deviation have been subtracted, in the other order. The latter fills boxes
    with (0.60, 0.56, 0.51) and tints what is exchanged, also 7 of 8 infrared pictures."""
    infrared_jitter: Share = 0.0
    """Brightness and contrast of infrared pictures are each multiplied by a factor drawn between 1
    - this value and 1 + this value."""

    def __post_init__(self) -> None:
        check_ranges(self, "augmentation.")
        check = partial(check_settings, self, table="augmentation.")
        check(["erased_area"], lambda of: 0 < of[0] <= of[1] < 1, "rising, between 0 and 1")
        check(["erased_shape"], lambda of: 0 < of[0] <= of[1], "rising, above 0")


@dataclass(frozen=True)
class Changes:
    """The changes of each picture of a batch, all drawn already."""

    shift: Int[np.ndarray, "n 2"]
    """Shift in pixels: rows down and columns to the right."""
    flipped: Bool[np.ndarray, " n"]
    channel: Int[np.ndarray, " n"]
    """Number of the colour that replaces all three; 3 for the luminance, -1 for none."""
    erased: Int[np.ndarray, "n 4"]
    """Top, left, height and width of the erased box; height 0 for none."""
    jitter: Float[np.ndarray, "n 2"]
    """Factors of brightness and contrast."""
    bridging: Int[np.ndarray, "n 2"]
    """Seed of what bridges spectra, and number of the picture of the batch that lends to it."""

    def uncoloured(self) -> "Changes":
        """Return the same without exchanged colours and erased boxes."""
        return replace(
            self,
            channel=np.full_like(self.channel, NO_CHANNEL),
            erased=np.zeros_like(self.erased),
        )

    def placed_as(self, other: "Changes") -> "Changes":
        """Return the same with the crops of others, and mirrored where those are."""
        return replace(self, shift=other.shift, flipped=other.flipped)

    def of(self, rows: slice) -> "Changes":
        """Return the changes of some of the pictures."""
        return Changes(
            self.shift[rows],
            self.flipped[rows],
            self.channel[rows],
            self.erased[rows],
            self.jitter[rows],
            self.bridging[rows],
        )


def draw_changes(
    settings: Augmentation,
    modality: Modality,
    shape: tuple[int, int, int],
    rng: np.random.Generator,
) -> Changes:
    """Draw the changes of n pictures of one modality.

    Args:
        settings: Probabilities and strengths of the changes.
        modality: Modality of all the pictures. Colours are exchanged in visible ones, in infrared
            ones only with `colours = "normalised"`; jitter is for infrared ones.
        shape: Number of pictures, rows, columns.
        rng: Source of the random numbers.
    """
    n = shape[0]
    visible = modality is Modality.VISIBLE
    jitter = 0.0 if visible else settings.infrared_jitter
    return Changes(
        shift=rng.integers(-settings.pad, settings.pad, (n, 2), endpoint=True),
        flipped=rng.random(n) < settings.flip,
        channel=_draw_channel(settings, modality, n, rng),
        erased=_draw_boxes(settings, shape, rng),
        jitter=rng.uniform(1 - jitter, 1 + jitter, (n, 2)),
        bridging=_draw_bridging(settings, n, rng),
    )


def augment(pictures: Sequence[Pixels], changes: Changes) -> Pictures:
    """Return changed copies of pictures of one size."""
    changed = np.zeros((len(pictures), *pictures[0].shape), dtype=np.uint8)
    for i, picture in enumerate(pictures):
        _move(picture, changed[i], changes.shift[i], bool(changes.flipped[i]))
        _replace_colours(changed[i], int(changes.channel[i]))
        _jitter(changed[i], *changes.jitter[i])
        top, left, height, width = changes.erased[i]
        changed[i, top : top + height, left : left + width] = ERASED
    return changed


def recolour(pictures: Float[np.ndarray, "n h w 3"], changes: Changes) -> None:
    """Erase boxes and exchange colours in place, as if mean and deviation had been subtracted.

    Args:
        pictures: In [0, 1], already moved; exchanged ones may leave it a little.
        changes: Changes of each picture.
    """
    for i, picture in enumerate(pictures):
        top, left, height, width = changes.erased[i]
        picture[top : top + height, left : left + width] = FILL * DEVIATION + MEAN
        channel = changes.channel[i]
        if channel == NO_CHANNEL:
            continue
        normal = (picture - MEAN) / DEVIATION
        shade = normal @ LUMINANCE if channel == GREY else normal[..., channel]
        picture[:] = shade[..., None] * DEVIATION + MEAN


def _draw_channel(
    settings: Augmentation, modality: Modality, n: int, rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    exchanged, grey = settings.channel_exchange, settings.grey
    if modality is Modality.INFRARED:
        if settings.colours == "pixels":
            return np.full(n, NO_CHANNEL)
        exchanged, grey = INFRARED_EXCHANGE, INFRARED_GREY
    colour = np.where(rng.random(n) < grey, GREY, rng.integers(3, size=n))
    return np.where(rng.random(n) < exchanged, colour, NO_CHANNEL)


def _draw_bridging(
    settings: Augmentation, n: int, rng: np.random.Generator
) -> Int[np.ndarray, "n 2"]:
    """Draw nothing where nothing bridges, so that the batches of former recipes stay the same."""
    if not settings.bridges:
        return np.zeros((n, 2), np.int64)
    return np.stack([rng.integers(2**62, size=n), rng.integers(n, size=n)], axis=1)


def _draw_boxes(
    settings: Augmentation, shape: tuple[int, int, int], rng: np.random.Generator
) -> Int[np.ndarray, "n 4"]:
    """Draw several boxes and take the first that fits, as the code of random erasing does."""
    n, rows, columns = shape
    area = rng.uniform(*settings.erased_area, (n, ATTEMPTS)) * rows * columns
    ratio = rng.uniform(*settings.erased_shape, (n, ATTEMPTS))
    height = np.round(np.sqrt(area * ratio)).astype(np.int64)
    width = np.round(np.sqrt(area / ratio)).astype(np.int64)
    fits = (height < rows) & (width < columns)
    wanted = fits.any(1) & (rng.random(n) < settings.random_erasing)
    first = (np.arange(n), fits.argmax(1))
    height, width = (np.where(wanted, side[first], 0) for side in (height, width))
    top, left = rng.integers(rows - height + 1), rng.integers(columns - width + 1)
    return np.stack([top, left, height, width], axis=1)


def _move(picture: Pixels, into: Pixels, shift: Int[np.ndarray, "2"], flipped: bool) -> None:
    """Copy a picture moved by some pixels, mirrored or not, onto a black one."""
    rows, columns = picture.shape[:2]
    down, right = (int(step) for step in shift)
    part = picture[max(0, -down) : rows - down, max(0, -right) : columns - right]
    target = into[:, ::-1] if flipped else into
    target = target[max(0, down) : rows + down, max(0, right) : columns + right]
    # As whole pixels instead of three numbers each: mirroring takes less than half the time.
    target.view(PIXEL)[:] = part.view(PIXEL)


def _replace_colours(picture: Pixels, channel: int) -> None:
    if channel == NO_CHANNEL:
        return
    if channel == GREY:
        shade = np.round(picture @ LUMINANCE).astype(np.uint8)
    else:
        shade = picture[..., channel].copy()
    for colour in range(3):
        picture[..., colour] = shade


def _jitter(picture: Pixels, brightness: float, contrast: float) -> None:
    """Change brightness, then contrast about the mean, by a table of the 256 shades."""
    if brightness == contrast == 1:
        return
    shades = np.arange(256) * brightness
    middle = picture.mean() * brightness
    table = np.clip(np.round((shades - middle) * contrast + middle), 0, 255).astype(np.uint8)
    table.take(picture, out=picture, mode="clip")
