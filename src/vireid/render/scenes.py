"""Cameras, light and weather.

| camera | spectrum | place |
|---|---|---|
| cam1 | visible | room 1 |
| cam2 | visible | room 2 |
| cam3 | near infrared | room 2 in the dark |
| cam4 | visible | gate, outdoors |
| cam5 | visible | garden, outdoors |
| cam6 | near infrared | passage at night, outdoors |

Places and spectra are SYSU-MM01's (Wu et al., "RGB-Infrared Cross-Modality Person
Re-Identification", ICCV 2017, section 3: Kinect V1 cameras indoors, surveillance cameras
outdoors). Heights, distances, blur and noise are inferred, for the paper gives none; the Kinect's
field of view of 62 degrees over 640 pixels is a focal length of about 530 pixels.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.random import Generator

from vireid.records import Modality
from vireid.render.bodies import Array

Spectrum = Literal["visible", "near infrared", "thermal"]
Scenery = Literal["room", "gate", "garden", "passage"]


@dataclass(frozen=True)
class Camera:
    """One camera; metres and radians."""

    name: str
    spectrum: Spectrum
    place: int
    scenery: Scenery
    height: float
    distance: tuple[float, float]
    """Nearest and farthest distance at which people pass."""
    azimuth: float
    """Direction from which it looks: 0 is in front of the place's long wall."""
    focal: float
    """Focal length in pixels of its sensor: decides how many rows a person fills."""
    distortion: float
    """Barrel distortion: image radius r becomes r (1 + distortion r^2), r in focal lengths."""
    exposure: float
    """Seconds that its shutter is open, during which people walk on."""
    blur: float
    """Standard deviation of its defocus in pixels of a 192-pixel picture."""
    noise: float
    """Standard deviation of its noise at middle grey, in grey levels of 255."""
    dim: float = 0.0
    """Darkness for a visible camera at night: 0 well lit to 1 hardly lit."""
    beside: float = 0.0
    """Metres that it sits to the right of the camera it is paired with."""

    @property
    def modality(self) -> Modality:
        """Modality: visible, or infrared for either kind."""
        return Modality.VISIBLE if self.spectrum == "visible" else Modality.INFRARED

    @property
    def outdoors(self) -> bool:
        """Whether it stands under the sky."""
        return self.scenery != "room"


CAMERAS = (
    Camera("cam1", "visible", 1, "room", 2.0, (3.0, 6.0), 0.2, 530, -0.06, 1 / 60, 0.35, 2.5),
    Camera("cam2", "visible", 2, "room", 2.3, (2.8, 5.5), -0.4, 530, -0.06, 1 / 50, 0.5, 3.0),
    Camera("cam3", "near infrared", 2, "room", 2.2, (2.8, 5.5), -0.3, 530, -0.04, 1 / 40, 0.5, 3.0),
    Camera("cam4", "visible", 3, "gate", 3.0, (4.5, 9.0), 0.0, 900, -0.1, 1 / 200, 0.45, 2.2),
    Camera("cam5", "visible", 4, "garden", 2.9, (4.0, 8.5), 0.5, 850, -0.1, 1 / 120, 0.45, 2.5),
    Camera(
        "cam6", "near infrared", 5, "passage", 2.8, (3.8, 7.5), -0.1, 700, -0.12, 1 / 30, 0.6, 3.5
    ),
)
"""Cameras as in SYSU-MM01."""

REGDB = (
    Camera("visible", "visible", 6, "gate", 2.6, (4.0, 9.0), 0.1, 600, -0.05, 1 / 100, 0.5, 3.0),
    Camera(
        "thermal",
        "thermal",
        6,
        "gate",
        2.6,
        (4.0, 9.0),
        0.1,
        350,
        -0.05,
        0.01,
        0.9,
        1.5,
        beside=0.1,
    ),
)
"""Cameras as in RegDB: a visible and a thermal one side by side that take one moment (Nguyen et
al., "Person Recognition System Based on a Combination of Body Images from Visible Light and Thermal
Cameras", Sensors 17, 2017). A microbolometer takes about 10 ms to warm up; a thermal camera's noise
counts in `NOISE_KELVIN`. What the paper leaves open is inferred."""


def _dual(number: int, scenery: Scenery) -> tuple[Camera, Camera]:
    """Return a camera that sees little by lamps at night, and one with its own infrared lamp."""
    rng = np.random.default_rng([7, number])
    near, azimuth = float(rng.uniform(3.0, 4.5)), float(rng.uniform(-0.6, 0.6))
    by_lamps = Camera(
        f"cam{number}",
        "visible",
        10 + number,
        scenery,
        height=float(rng.uniform(2.3, 3.3)),
        distance=(near, near + float(rng.uniform(3.0, 5.0))),
        azimuth=azimuth,
        focal=float(rng.uniform(500, 900)),
        distortion=float(rng.uniform(-0.12, -0.04)),
        exposure=1 / 25,
        blur=float(rng.uniform(0.5, 0.8)),
        noise=float(rng.uniform(3.5, 5.5)),
        dim=float(rng.uniform(0.4, 0.9)),
    )
    return by_lamps, replace(by_lamps, spectrum="near infrared", exposure=1 / 30, noise=4.0, dim=0)


_NINE: tuple[Scenery, ...] = ("gate", "passage", "garden", "room") * 2 + ("passage",)
_PAIRS = tuple(_dual(number, scenery) for number, scenery in enumerate(_NINE, start=1))
LLCM = tuple(pair[0] for pair in _PAIRS) + tuple(pair[1] for pair in _PAIRS)
"""Cameras as in LLCM: nine at night, each in both spectra; the visible nine come first (Zhang and
Wang, "Diverse Embedding Expansion Network and Low-Light Cross-Modality Benchmark for
Visible-Infrared Person Re-identification", CVPR 2023). Where they stand is inferred."""


def held_still(camera: Camera) -> Camera:
    """Return the camera with the common height, distance, lens and sensor."""
    return replace(
        camera,
        height=2.4,
        distance=(5.0, 5.0),
        azimuth=0.0,
        focal=700,
        distortion=0.0,
        exposure=0.0,
        blur=0.5,
        noise=3.0,
        beside=0.0,
    )


@dataclass(frozen=True)
class Weather:
    """The weather, which decides how warm things are for a thermal camera."""

    air: float
    """Air temperature in degrees Celsius."""
    sky: float
    """Degrees Celsius at which the sky overhead radiates: far below `air` when it is clear."""
    sun_warming: float
    """Degrees by which dark surfaces in the sun are warmer than the air; 0 at night and indoors."""
    wet: float
    """Wetness from 0 dry to 1 raining: wet cloth is cooler by evaporation."""


@dataclass(frozen=True)
class Light:
    """The light of one picture; linear, 1 is what turns a white sheet white."""

    sun: Array
    """Direction towards the sun or the nearest lamp, unit length."""
    sun_colour: Array
    sky_colour: Array
    """Colour of the light from all around."""
    exposure: float
    softness: float = 0.005
    """Angular radius of the sun or lamp in radians, which softens its shadows."""
    second: Array = field(default_factory=lambda: np.array([0, 0, 1.0]))
    """Direction towards another lamp; it casts no shadow."""
    second_colour: Array = field(default_factory=lambda: np.zeros(3))
    balance: Array = field(default_factory=lambda: np.ones(3))
    """Factors of red, green and blue by which the camera makes the light's colour white."""


def draw_light(camera: Camera, rng: Generator) -> Light:
    """Draw daylight or lamps for a visible camera; an infrared one has its own lamp."""
    if camera.spectrum != "visible":
        ambient = float(rng.uniform(0.005, 0.04))
        exposure = float(np.exp(rng.normal(-0.15, 0.2)))
        return Light(np.array([0, 0, 1.0]), np.zeros(3), np.full(3, ambient), exposure)
    if camera.dim > 0:
        return _dim(camera, rng)
    return _daylight(rng) if camera.outdoors else _lamps(rng)


def draw_weather(camera: Camera, rng: Generator) -> Weather:
    """Draw a day's weather; indoors a heated room.

    A clear sky radiates as if 20 degrees colder than the air, a cloudy one about as warm (Swinbank,
    "Long-wave radiation from clear skies", QJRMS 89, 1963: 0.0552 air^1.5 in kelvin).
    """
    if not camera.outdoors:
        room = float(rng.uniform(17, 26))
        return Weather(room, room, 0.0, 0.0)
    air, cloud = float(rng.uniform(2, 30)), float(rng.random())
    clear_sky = 0.0552 * (air + 273.15) ** 1.5 - 273.15
    sky = clear_sky + cloud * (air - 2 - clear_sky)
    rain = float(rng.uniform(0.2, 1.0)) if cloud > 0.8 and rng.random() < 0.5 else 0.0
    sun = float(rng.uniform(0, 14) * (1 - cloud))
    return Weather(air, sky, sun, rain)


def colour_of(kelvin: float) -> Array:
    """Return the linear sRGB of a black body at a colour temperature, green at 1; 3.

    Kim et al., "Design of advanced color temperature control system for HDTV applications"
    (J. Korean Phys. Soc. 41, 2002): cubic fits to the Planckian locus, 1667 to 25000 K; then the
    matrix of IEC 61966-2-1 (sRGB). Red and blue are kept above 0.05.
    """
    t = 1e3 / kelvin
    if kelvin < 4000:
        x = ((-0.2661239 * t - 0.2343589) * t + 0.8776956) * t + 0.179910
        y = ((-0.9549476 * x - 1.37418593) * x + 2.09137015) * x - 0.16748867
    else:
        x = ((-3.0258469 * t + 2.1070379) * t + 0.2226347) * t + 0.240390
        y = ((3.0817580 * x - 5.8733867) * x + 3.75112997) * x - 0.37001483
    xyz = np.array([x / y, 1.0, (1 - x - y) / y])
    rgb = _XYZ_TO_SRGB @ xyz
    colour: Array = np.maximum(rgb / rgb[1], 0.05)
    return colour


_XYZ_TO_SRGB = np.array(
    [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
)


def _daylight(rng: Generator) -> Light:
    """Return sun and sky by the sun's height and by cloud.

    The direct beam is weakened by the air it crosses as 0.7^(AM^0.678) (Meinel and Meinel, "Applied
    Solar Energy", 1976), AM = 1 / sin(elevation). Sunlight of 4300 to 5700 K, blue sky of 8000 to
    12000 K, cloud of 6500 K (CIE daylight); the sky gives a fifth of what a high sun gives.
    """
    elevation, cloud = rng.uniform(0.3, 1.2), rng.beta(0.8, 0.8)
    high = np.sin(elevation)
    direct = 1.25 * 0.7 ** (high**-0.678) / 0.7 * (1 - cloud) ** 1.5
    diffuse = 0.28 * (1 - cloud) + 0.95 * cloud
    beam = direct * colour_of(3900 + 1800 * high)
    sky = diffuse * colour_of(6500 + (1 - cloud) * rng.uniform(800, 3500))
    return Light(
        _towards(rng.uniform(0, 2 * np.pi), elevation),
        beam,
        sky,
        _exposure(beam * (0.3 + 0.5 * high) + sky, rng),
        softness=0.005 + 0.2 * float(cloud),
        balance=_balance(0.7 * beam + sky, 0.85, rng),
    )


def _lamps(rng: Generator) -> Light:
    """Return a near lamp, one on the other side, and what walls throw back; 2900 to 6500 K."""
    kelvin = rng.uniform(2900, 6500)
    lamp = rng.uniform(0.3, 0.75) * colour_of(kelvin)
    lamp[1] *= rng.uniform(1.0, 1.06)
    other = rng.uniform(0.1, 0.45) * colour_of(kelvin if rng.random() < 0.7 else 7500)
    around = rng.uniform(0.3, 0.5) * colour_of(kelvin * 0.95)
    side = rng.uniform(0, 2 * np.pi)
    return Light(
        _towards(side, rng.uniform(0.75, 1.4)),
        lamp,
        around,
        _exposure(0.6 * lamp + 0.4 * other + around, rng),
        softness=float(rng.uniform(0.08, 0.25)),
        second=_towards(side + np.pi + rng.normal(0, 0.6), rng.uniform(0.4, 1.2)),
        second_colour=other,
        balance=_balance(lamp + other + around, 0.75, rng),
    )


def _dim(camera: Camera, rng: Generator) -> Light:
    """Return lamps at night: sodium of 2000 K, LEDs of 3000 to 5000 K, shop fronts.

    The camera opens up as far as it can: pictures stay dark, by up to `dim` stops times three.
    """
    kelvins = [2000.0, float(rng.uniform(3000, 5000)), 6000.0]
    lamp = rng.uniform(0.4, 1.0) * colour_of(kelvins[int(rng.integers(3))])
    other = rng.uniform(0.1, 0.6) * colour_of(kelvins[int(rng.integers(3))])
    around = rng.uniform(0.08, 0.25) * colour_of(4000)
    side = rng.uniform(0, 2 * np.pi)
    return Light(
        _towards(side, rng.uniform(0.6, 1.4)),
        lamp,
        around,
        _exposure(0.6 * lamp + 0.4 * other + around, rng)
        * float(2 ** (-3 * camera.dim * rng.uniform(0.3, 1.0))),
        softness=float(rng.uniform(0.02, 0.15)),
        second=_towards(side + np.pi + rng.normal(0, 1.0), rng.uniform(0.3, 1.0)),
        second_colour=other,
        balance=_balance(lamp + other + around, 0.6, rng),
    )


def _towards(azimuth: float, elevation: float) -> Array:
    return np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )


def _exposure(received: Array, rng: Generator) -> float:
    """Draw a factor that brings a white sheet near white, half a stop off now and then."""
    return float(1.2 / received.mean() * 2 ** rng.normal(-0.1, 0.3))


def _balance(received: Array, corrected: float, rng: Generator) -> Array:
    """Draw an automatic white balance, which removes most of the light's colour and errs by 3 %."""
    cast = received / received[1]
    gains = cast**-corrected * np.exp(rng.normal(0, 0.03, 3))
    balance: Array = gains / gains[1]
    return balance
