"""Six cameras, as in SYSU-MM01: where they stand, what is behind the people, what light there is.

| camera | spectrum | place |
|---|---|---|
| cam1 | visible | room 1 |
| cam2 | visible | room 2 |
| cam3 | near infrared | room 2 in the dark |
| cam4 | visible | gate, outdoors |
| cam5 | visible | garden, outdoors |
| cam6 | near infrared | passage at night, outdoors |
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from vireid.records import Modality
from vireid.render.bodies import Array

FLOOR_METRES, WALL_METRES, WALL_HEIGHT = 16.0, 16.0, 5.0
_PIXELS_A_METRE = 24
BICUBIC = Image.Resampling.BICUBIC

Spectrum = Literal["visible", "near infrared", "thermal"]


@dataclass(frozen=True)
class Camera:
    """One camera; metres and radians."""

    name: str
    spectrum: Spectrum
    place: int
    outdoors: bool
    height: float
    distance: tuple[float, float]
    azimuth: float
    """Direction it looks from: 0 is in front of the place's long wall."""
    blur: float
    """Standard deviation of its blur in pixels of a 192-pixel picture."""
    noise: float
    """Standard deviation of its noise in grey levels of 255."""

    @property
    def modality(self) -> Modality:
        """Visible, or either kind of infrared."""
        return Modality.VISIBLE if self.spectrum == "visible" else Modality.INFRARED


@dataclass(frozen=True)
class Weather:
    """What decides how warm things outdoors and indoors are, for a thermal camera."""

    air: float
    """Degrees Celsius."""
    sky: float
    """Degrees Celsius at which the sky overhead radiates: far below `air` when it is clear."""
    sun_warming: float
    """Degrees by which dark surfaces in the sun are warmer than the air; 0 at night and indoors."""
    wet: float
    """0 dry to 1 raining: wet cloth is cooler by evaporation."""


CAMERAS = (
    Camera("cam1", "visible", 1, False, 2.4, (3.2, 6.0), 0.2, 0.4, 3.0),
    Camera("cam2", "visible", 2, False, 2.7, (3.0, 5.5), -0.4, 0.6, 4.0),
    Camera("cam3", "near infrared", 2, False, 2.7, (3.0, 5.5), -0.3, 0.6, 5.0),
    Camera("cam4", "visible", 3, True, 3.2, (4.5, 8.0), 0.0, 0.5, 2.5),
    Camera("cam5", "visible", 4, True, 2.8, (4.0, 8.0), 0.5, 0.5, 2.5),
    Camera("cam6", "near infrared", 5, True, 3.0, (4.0, 7.5), -0.1, 0.7, 6.0),
)


@dataclass(frozen=True)
class Light:
    """The light of one picture; linear, 1 is what turns a white sheet white."""

    sun: Array
    """Direction towards the sun or lamp, unit length."""
    sun_colour: Array
    sky_colour: Array
    exposure: float


def draw_light(camera: Camera, rng: Generator) -> Light:
    """Daylight or lamps for a visible camera; the camera's own lamp for an infrared one."""
    if camera.modality is Modality.INFRARED:
        ambient = float(rng.uniform(0.02, 0.08))
        return Light(
            np.array([0, 0, 1.0]), np.zeros(3), np.full(3, ambient), float(rng.uniform(0.6, 1.1))
        )
    elevation = rng.uniform(0.5, 1.1) if camera.outdoors else rng.uniform(0.9, 1.4)
    azimuth = rng.uniform(0, 2 * np.pi)
    sun = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
    warmth = rng.uniform(-0.12, 0.12) if camera.outdoors else rng.uniform(-0.05, 0.25)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    cloud = rng.uniform(0.3, 1.0)
    direct = (1.3 if camera.outdoors else 0.7) * (1.1 - cloud)
    return Light(
        sun,
        direct * tint,
        (0.45 + 0.35 * cloud) * np.array([1 - warmth / 2, 1.0, 1 + warmth / 2]),
        float(rng.uniform(0.8, 1.2)),
    )


@dataclass(frozen=True)
class Place:
    """Floor and wall as pictures: red, green, blue and near infrared albedo, rows x columns x 4."""

    floor: Array
    wall: Array
    wall_distance: float


@cache
def place(seed: int, number: int) -> Place:
    """Where some cameras stand; the same for the same seed."""
    rng = np.random.default_rng([seed, 1_000_003, number])
    outdoors = number >= 3
    return Place(
        floor=_floor(rng, outdoors),
        wall=_wall(rng, outdoors, leafy=number == 4),
        wall_distance=2.5 if not outdoors else 4.0,
    )


def looked_up(texture: Array, across: Array, up: Array, metres: float, height: float) -> Array:
    """Albedo at points of a floor or wall, n x 4; outside its edge the texture repeats."""
    rows, columns = texture.shape[:2]
    column = (np.floor((across / metres + 0.5) * columns).astype(np.int64)) % columns
    row = (np.floor(up / height * rows).astype(np.int64)) % rows
    found: Array = texture[row, column]
    return found


def _floor(rng: Generator, outdoors: bool) -> Array:
    side = int(FLOOR_METRES * _PIXELS_A_METRE)
    texture = _plain(rng, side, side, 0.1 if outdoors else 0.25, 0.45)
    tile = int(rng.integers(8, 30))
    if rng.random() < 0.7:
        texture[::tile] *= 0.75
        texture[:, ::tile] *= 0.75
    return _clipped(texture * _mottle(rng, side, side, 0.25))


def _wall(rng: Generator, outdoors: bool, leafy: bool) -> Array:
    rows, columns = int(WALL_HEIGHT * _PIXELS_A_METRE), int(WALL_METRES * _PIXELS_A_METRE)
    texture = _plain(rng, rows, columns, 0.15, 0.6)
    for _ in range(int(rng.integers(8, 18))):
        h, w = int(rng.integers(10, 70)), int(rng.integers(8, 60))
        row, column = int(rng.integers(0, rows - h)), int(rng.integers(0, columns - w))
        texture[row : row + h, column : column + w] = _plain(rng, h, w, 0.03, 0.7)
    if leafy:
        leaves = np.clip(_mottle(rng, rows, columns, 1.2), 0, 1)
        green = np.array([0.05, 0.12, 0.03, 0.6]) * _mottle(rng, rows, columns, 0.8)
        texture = (leaves * green + (1 - leaves) * texture).astype(np.float32)
    return _clipped(texture * _mottle(rng, rows, columns, 0.3 if outdoors else 0.12))


def _plain(rng: Generator, rows: int, columns: int, low: float, high: float) -> Array:
    grey = rng.uniform(low, high)
    colour = grey * rng.uniform(0.75, 1.25, 3)
    infrared = 0.4 * grey + 0.6 * rng.uniform(0.1, 0.6)
    return (
        np.broadcast_to(np.append(colour, infrared), (rows, columns, 4)).astype(np.float32).copy()
    )


def _mottle(rng: Generator, rows: int, columns: int, strength: float) -> Array:
    """Clouds of two sizes, around 1, rows x columns x 1."""
    cloud = np.ones((rows, columns))
    for grain in (3, 24):
        coarse = rng.normal(0, strength / 2, (rows // grain + 2, columns // grain + 2))
        smooth = Image.fromarray(coarse.astype(np.float32)).resize((columns, rows), BICUBIC)
        cloud += np.asarray(smooth)
    return cloud[..., None].astype(np.float32)


def _clipped(texture: Array) -> NDArray[np.float32]:
    return np.clip(texture, 0.01, 0.9).astype(np.float32)
