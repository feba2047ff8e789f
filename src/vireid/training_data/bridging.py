"""Changes of training pictures that bridge the spectra, and rendered people and photographs.

What differs from camera to camera and says nothing of a person is drawn anew for every picture:
colours, curves of brightness, local contrast, which of warm and cold is bright, sharpness, rows,
noise, compression, what stands in front and what stands behind. All of it is off by default.

Sources: channels are exchanged or mixed at random in CAJ (Ye et al., ICCV 2021) and in Random
Linear Enhancement (Tan et al., arXiv:2312.00316); the rest are common in photography. Ranges are
vireid's own.
"""

import io
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageFilter, ImageOps

from vireid.records import Modality
from vireid.types.arrays import Pixels
from vireid.types.ranges import NotNegative, Share, ShareBelowOne, Whole

TILES = 4, 2
"""Rows and columns of the tiles whose contrast is stretched."""
LEAST_RANGE = 32
"""Grey levels between darkest and brightest below which a tile's contrast is stretched no more."""
QUALITIES = 20, 91
"""Qualities of JPEG, from the least to below the most."""
COVERED = 0.2, 0.5
"""Smallest and largest share of rows, and of columns, that something in front covers."""
LUMINANCE = np.array([0.2989, 0.5870, 0.1140], np.float32)
"""Weights of red, green and blue in the luminance (ITU-R BT.601, as CAJ rounds them)."""


@dataclass(frozen=True)
class Bridging:
    """Settings of changes that bridge spectra and kinds of pictures; zero leaves a change out."""

    channel_mix: Share = 0.0
    """Probability that each channel of a visible picture becomes a random mixture of all three; in
    half of these cases all channels become the same one."""
    colour: ShareBelowOne = 0.0
    """Each channel of a visible picture is multiplied by a factor drawn between 1 - this value and
    1 + this value."""
    gamma: NotNegative = 0.0
    """Brightness is raised to a power drawn between 1 / (1 + this value) and 1 + this value."""
    local_contrast: Share = 0.0
    """Probability that contrast is stretched part by part of the picture."""
    inverted: Share = 0.0
    """Probability that bright and dark are exchanged in an infrared picture, as cameras of heat can
    be set to show warm as dark."""
    equalised: Share = 0.0
    """Probability that all shades of an infrared picture become equally frequent."""
    blur: NotNegative = 0.0
    """Largest standard deviation of the blur, in pixels."""
    least_rows: Whole = 0
    """Least number of rows to which a picture is shrunk before it is enlarged again; 0 for none."""
    noise: NotNegative = 0.0
    """Largest standard deviation of the noise, in grey levels."""
    jpeg: Share = 0.0
    """Probability that a picture is compressed once more."""
    occlusion: Share = 0.0
    """Probability that a part of another picture of the batch covers a part of the picture."""
    backgrounds: Share = 0.0
    """Probability that a person stands before the background of another picture of the batch, where
    the data set knows both masks."""

    @property
    def bridges(self) -> bool:
        """Whether anything is to be changed."""
        return any(getattr(self, field.name) for field in fields(Bridging))


Mask = Bool[np.ndarray, "h w"]
"""Where a picture shows its person."""


def bridge(
    picture: Pixels,
    settings: Bridging,
    modality: Modality,
    rng: np.random.Generator,
    *,
    other: Pixels | None = None,
    masks: tuple[Mask, Mask] | None = None,
) -> Pixels:
    """Return a changed copy of a picture.

    Args:
        picture: A picture of one person.
        settings: Which changes, and how strong.
        modality: Modality of the picture.
        rng: Source of the random numbers.
        other: Another picture of this modality and size, which lends its background or covers a
            part; without it, neither is done.
        masks: Masks of both pictures, where they are known.
    """
    if other is not None and masks and rng.random() < settings.backgrounds:
        picture = before(picture, masks[0], other, masks[1])
    if other is not None and rng.random() < settings.occlusion:
        picture = _covered(picture, other, rng)
    shades = picture.astype(np.float32)
    if modality is Modality.VISIBLE:
        shades = _coloured(shades, settings, rng)
    shades = _curved(shades, settings, rng)
    if rng.random() < settings.local_contrast:
        shades = _locally_stretched(shades)
    if modality is Modality.INFRARED:
        shades = _rearranged(shades, settings, rng)
    return _recorded(_bytes(shades), settings, rng)


def before(picture: Pixels, mask: Mask, other: Pixels, other_mask: Mask) -> Pixels:
    """Return the person of one picture before the background of another.

    Where the other's person stood, each row has the mean of its background. The edge is soft.
    """
    behind = other.astype(np.float32)
    seen = ~other_mask
    overall = behind[seen].mean(axis=0) if seen.any() else behind.mean(axis=(0, 1))
    counts = seen.sum(axis=1, keepdims=True)
    sums = (behind * seen[..., None]).sum(axis=1)
    rows = np.where(counts > 0, sums / counts.clip(min=1), overall)
    behind = np.where(other_mask[..., None], rows[:, None], behind)
    edge = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(0.7))
    share = np.asarray(edge, np.float32)[..., None] / 255
    return _bytes(picture * share + behind * (1 - share))


def _covered(picture: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """Return a picture of which another covers a box that reaches in from an edge."""
    rows, columns = picture.shape[:2]
    height, width = (int(side * rng.uniform(*COVERED)) for side in (rows, columns))
    top = int(rng.choice([rng.integers(rows - height + 1), rows - height]))
    left = int(rng.choice([0, columns - width]))
    covered = picture.copy()
    covered[top : top + height, left : left + width] = other[
        top : top + height, left : left + width
    ]
    return covered


def _coloured(
    shades: Float[np.ndarray, "h w 3"], settings: Bridging, rng: np.random.Generator
) -> Float[np.ndarray, "h w 3"]:
    """Mix channels, and multiply each by a factor."""
    if rng.random() < settings.channel_mix:
        weights = rng.dirichlet(np.ones(3), 3).astype(np.float32)
        if rng.random() < 0.5:
            weights[:] = weights[0]
        shades = shades @ weights.T
    factors = rng.uniform(1 - settings.colour, 1 + settings.colour, 3)
    return shades * factors.astype(np.float32) if settings.colour else shades


def _curved(
    shades: Float[np.ndarray, "h w 3"], settings: Bridging, rng: np.random.Generator
) -> Float[np.ndarray, "h w 3"]:
    if not settings.gamma:
        return shades
    most = np.log1p(settings.gamma)
    power = np.float32(np.exp(rng.uniform(-most, most)))
    raised: Float[np.ndarray, "h w 3"] = 255 * (shades / 255).clip(0, 1) ** power
    return raised


def _locally_stretched(shades: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    """Stretch the brightness of each tile to all shades; between tiles, smoothly."""
    grey = shades @ LUMINANCE
    low, high = (_of_tiles(grey, share) for share in (2, 98))
    short = np.maximum(LEAST_RANGE - (high - low), 0) / 2
    low, high = (low - short)[..., None], (high + short)[..., None]
    stretched: Float[np.ndarray, "h w 3"] = (shades - low) * (255 / (high - low))
    return stretched


def _of_tiles(grey: Float[np.ndarray, "h w"], percentile: int) -> Float[np.ndarray, "h w"]:
    """Return a percentile of each tile, interpolated to every pixel."""
    tiles = [
        [np.percentile(part, percentile) for part in np.array_split(row, TILES[1], axis=1)]
        for row in np.array_split(grey, TILES[0])
    ]
    small = Image.fromarray(np.array(tiles, np.float32))
    return np.asarray(small.resize(grey.shape[::-1], Image.Resampling.BILINEAR))


def _rearranged(
    shades: Float[np.ndarray, "h w 3"], settings: Bridging, rng: np.random.Generator
) -> Float[np.ndarray, "h w 3"]:
    """Invert an infrared picture, and make its shades equally frequent."""
    if rng.random() < settings.inverted:
        shades = 255 - shades
    if rng.random() < settings.equalised:
        equal = ImageOps.equalize(Image.fromarray(_bytes(shades)))
        shades = np.asarray(equal, np.float32)
    return shades


def _recorded(picture: Pixels, settings: Bridging, rng: np.random.Generator) -> Pixels:
    """Blur, shrink, disturb and compress a picture, as lens, distance, sensor and file do."""
    seen = Image.fromarray(picture)
    if settings.blur:
        seen = seen.filter(ImageFilter.GaussianBlur(rng.uniform(0, settings.blur)))
    rows = seen.height
    if 0 < settings.least_rows < rows:
        kept = int(np.exp(rng.uniform(np.log(settings.least_rows), np.log(rows))))
        small = max(1, kept * seen.width // rows), max(1, kept)
        seen = seen.resize(small, Image.Resampling.BOX).resize(seen.size, Image.Resampling.BILINEAR)
    if settings.noise:
        spread = rng.uniform(0, settings.noise)
        noisy = np.asarray(seen, np.float32) + spread * rng.standard_normal(
            picture.shape, np.float32
        )
        seen = Image.fromarray(_bytes(noisy))
    if rng.random() < settings.jpeg:
        file = io.BytesIO()
        seen.save(file, "JPEG", quality=int(rng.integers(*QUALITIES)))
        seen = Image.open(file)
    return np.asarray(seen)


def _bytes(shades: Float[np.ndarray, "h w 3"]) -> Pixels:
    pixels: Pixels = np.clip(np.round(shades), 0, 255).astype(np.uint8)
    return pixels
