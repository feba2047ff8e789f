"""From light to grey levels: motion, lens, exposure, noise."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from vireid.render.bodies import Array
from vireid.render.scenes import Camera, Light
from vireid.render.shading import NOISE_KELVIN, auto_gain

GAMMA = 2.2
SHOT = 0.97
"""Share of the noise's variance at middle grey that comes from the number of photons (and so grows
with brightness); the rest is read-out noise. Inferred."""
MIDDLE_GREY = 0.2
PERSON_METRES = 1.7


@dataclass(frozen=True)
class Exposed:
    """Light that reached the sensor."""

    radiance: Array
    """Linear radiance, rows x columns x channels."""
    person: NDArray[np.bool_]
    """Share of the person in each pixel, rows x columns."""
    moved: tuple[float, float]
    """Columns and rows by which the person moves while the shutter is open."""
    off_axis: Array
    """Cosine of each pixel's angle to the camera's axis, rows x columns."""
    distance: float
    """Metres to the person."""


def developed(exposed: Exposed, light: Light, camera: Camera, rng: Generator) -> Image.Image:
    """Return the picture that the camera makes: three channels, or one for an infrared camera."""
    if camera.spectrum == "thermal":
        return _warm(exposed, camera, rng)
    image = _moved(exposed)
    image *= exposed.off_axis[..., None] ** 4
    image *= (light.exposure * np.asarray(light.balance, np.float32)[: image.shape[2]]).astype(
        np.float32
    )
    image = _softened(image, _blur(exposed, camera, rng))
    np.clip(image, 0, 1, out=image)
    image += _noise(image, camera, rng)
    np.clip(image, 0, 1, out=image)
    levels = (image ** np.float32(1 / GAMMA) * 255 + 0.5).astype(np.uint8)
    return Image.fromarray(levels if image.shape[2] == 3 else levels[..., 0])


def _warm(exposed: Exposed, camera: Camera, rng: Generator) -> Image.Image:
    """Return apparent temperatures, blurred by lens and slow sensor, stretched by the gain."""
    celsius = _softened(_moved(exposed), _blur(exposed, camera, rng))[..., 0]
    rows, columns = celsius.shape
    celsius += NOISE_KELVIN * camera.noise * rng.standard_normal((rows, columns), np.float32)
    celsius += NOISE_KELVIN * rng.standard_normal((1, columns), np.float32)
    return Image.fromarray((auto_gain(celsius) * 255 + 0.5).astype(np.uint8))


def _blur(exposed: Exposed, camera: Camera, rng: Generator) -> float:
    """Return the standard deviation in pixels: defocus, and few rows of the sensor per person."""
    rows = exposed.radiance.shape[0]
    defocus = camera.blur * rng.uniform(0.6, 2.0) * rows / 192
    filled = camera.focal * PERSON_METRES / exposed.distance
    return float(np.hypot(defocus, 0.4 * rows / filled))


def _moved(exposed: Exposed) -> Array:
    """Return the picture smeared along the person's way, where the person is."""
    length = float(np.hypot(*exposed.moved))
    if length < 0.7:
        return exposed.radiance.copy()
    taps = int(np.ceil(length)) + 1
    smeared = np.zeros_like(exposed.radiance)
    share = np.zeros(exposed.person.shape, np.float32)
    person = exposed.person.astype(np.float32)
    for at in np.linspace(-0.5, 0.5, taps):
        shift = (round(at * exposed.moved[1]), round(at * exposed.moved[0]))
        smeared += _shifted(exposed.radiance, shift)
        share += _shifted(person, shift)
    share = np.minimum(share * (2 / taps), 1)[..., None]
    blended: Array = exposed.radiance + share * (smeared / taps - exposed.radiance)
    return blended


def _shifted(image: Array, by: tuple[int, int]) -> Array:
    """Return rows moved down and right; a gap at an edge repeats the edge."""
    rows = np.clip(np.arange(image.shape[0]) - by[0], 0, image.shape[0] - 1)
    columns = np.clip(np.arange(image.shape[1]) - by[1], 0, image.shape[1] - 1)
    return image[rows][:, columns]


def _softened(image: Array, sigma: float) -> Array:
    from scipy.ndimage import correlate1d

    reach = max(1, int(np.ceil(2.5 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        image = correlate1d(image, kernel, axis, mode="nearest")
    return image


def _noise(image: Array, camera: Camera, rng: Generator) -> Array:
    """Add noise: photon noise grows with brightness, read-out noise does not.

    It is a little smoothed and its colour suppressed, as cameras do; columns of an infrared sensor
    differ.
    """
    slope = 255 / GAMMA * MIDDLE_GREY ** (1 / GAMMA - 1)
    variance = (camera.noise * rng.uniform(0.6, 1.4) / slope) ** 2
    size = np.sqrt(variance * (SHOT * image / MIDDLE_GREY + 1 - SHOT)).astype(np.float32)
    grain = rng.standard_normal(image.shape, np.float32)
    grain[1:] += 0.5 * grain[:-1]
    grain[:, 1:] += 0.5 * grain[:, :-1]
    if image.shape[2] == 1:
        grain += 0.4 * rng.standard_normal((1, image.shape[1], 1), np.float32)
    else:
        grain = 0.3 * grain + 0.95 * grain[..., 1:2]
    noise: Array = grain * size * np.float32(0.8)
    return noise
