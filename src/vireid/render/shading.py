"""Shading: what a camera sees of a surface by light and warmth; one function a spectrum.

Visible: colour x (sky from above + sun or lamp, with shadows). Near infrared: the material's
own reflectance under a lamp beside the lens, falling off with the square of the distance; no shadow
is seen because lamp and lens look from one place, eyes and reflective strips send the light back.
Thermal: the temperature of the surface, see `warmth`, and a little of what it mirrors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vireid.render.bodies import Array
from vireid.render.body_surface import Indices, Slot
from vireid.render.materials import LEG_RADIUS, Cloth, OnCloth, pattern_at
from vireid.render.outfits import Outfit
from vireid.render.scenes import Light, Weather
from vireid.render.warmth import worn_temperature

Shadow = Callable[[Array], NDArray[np.bool_]]
"""Tells which of n x 3 points the sun does not reach."""


@dataclass(frozen=True)
class Seen:
    """The points of a person that rays have met."""

    rays: Indices
    """Numbers of the rays."""
    points: Array
    normals: Array
    directions: Array
    """Directions of the rays, unit length."""
    rest: Array
    """The same points on the body at rest, where cloth is cut."""
    slots: Indices
    limbs: Array


@dataclass(frozen=True)
class Surface:
    """Points of anything that a camera sees; n of each, or one number for all."""

    points: Array
    """Points, n x 3, metres."""
    normals: Array
    """Normals, n x 3, towards the camera, unit length."""
    directions: Array
    """Directions of the rays from the camera, n x 3, unit length."""
    colour: Array
    """Linear albedo, n x 3."""
    infrared: Array
    """Near infrared reflectance, n."""
    relief: Array | float = 0.0
    """Shading by the relief of the surface, brighter and darker around 0."""
    gloss: Array | float = 0.0
    """Strength of the highlight."""
    softness: Array | float = 0.0
    """How far light wanders beneath the surface, 0 to 1: shades are softened by it."""
    retroreflection: Array | float = 0.0
    """Brightness beside the lamp, in multiples of white paper."""
    emissivity: Array | float = 0.95
    """Emissivity at 8 to 14 um; 0.95 is brick, concrete, asphalt, soil and leaves; bare metal is
    0.1 to 0.3."""
    temperature: Array | float = 20.0
    """Temperature in degrees Celsius."""


def in_daylight(surface: Surface, light: Light, in_shadow: Shadow) -> Array:
    """Return visible radiance, n x 3; linear, 1 is a white sheet in full light."""
    sun = light.sun.astype(np.float32)
    lit = ~in_shadow(surface.points + np.float32(0.012) * surface.normals)
    towards = surface.normals @ sun
    direct = _softened(towards, 0.4 * surface.softness) * lit
    sky = np.float32(0.65) + np.float32(0.35) * surface.normals[:, 2]
    second = np.clip(surface.normals @ light.second.astype(np.float32), 0, None)
    received = np.stack([direct, sky, second]) * (1 + surface.relief)
    colours = np.array([light.sun_colour, light.sky_colour, light.second_colour], np.float32)
    radiance: Array = surface.colour * (received.T @ colours)
    if np.any(surface.gloss):
        # The halfway vector between sun and eye, without ever making it.
        to_eye = dot(surface.normals, surface.directions)
        length = np.sqrt(np.maximum(2 - 2 * (surface.directions @ sun), 1e-6))
        shine = surface.gloss * _narrow(np.clip((towards - to_eye) / length, 0, 1)) * lit
        radiance += np.multiply.outer(shine, light.sun_colour.astype(np.float32))
    return radiance


def in_near_infrared(surface: Surface, light: Light, eye: Array, distance: float) -> Array:
    """Return near-infrared radiance under the camera's own lamp, n."""
    cosine = np.clip(-dot(surface.normals, surface.directions), 0, 1)
    lamp = lamp_at(surface.points, eye, distance)
    facing = _softened(cosine, surface.softness)
    ambient = np.float32(light.sky_colour[0])
    radiance: Array = surface.infrared * (lamp * facing + ambient) * (1 + surface.relief)
    radiance += surface.gloss * _narrow(cosine) * lamp
    return radiance + surface.retroreflection * np.sqrt(cosine) * lamp


def lamp_at(points: Array, eye: Array, distance: float) -> Array:
    """Return light of the camera's own lamp, n; the camera's gain makes it 1 at the person."""
    away = points - eye
    fallen_off: Array = np.minimum(np.float32(distance**2) / np.maximum(dot(away, away), 0.1), 3.0)
    return fallen_off


def in_thermal(surface: Surface, weather: Weather) -> Array:
    """Return apparent temperatures in degrees Celsius, n: what a thermal camera reads.

    A surface mirrors what it does not emit: the sky where it looks up, else things as warm as the
    air. Both add up as radiance between 8 and 14 um. Surfaces seen at a slant mirror more (Hejazi
    and Spangler, Theoretical modeling of skin emissivity; the form is Schlick's, halved for rough
    surfaces: inferred).
    """
    cosine = np.clip(-dot(surface.normals, surface.directions), 0, 1)
    slant: Array = (np.float32(1) - cosine) ** 5
    emissivity = surface.emissivity * (1 - np.float32(0.5) * slant)
    upward = np.float32(0.5) + np.float32(0.5) * surface.normals[:, 2]
    sky, around = float(band_radiance(weather.sky)), float(band_radiance(weather.air))
    mirrored = around + upward * (sky - around)
    emitted = band_radiance(np.asarray(surface.temperature))
    return apparent_temperature(emissivity * emitted + (1 - emissivity) * mirrored)


def sunned(albedo: Array, normals: Array, weather: Weather) -> Array:
    """Return degrees by which the sun warms a surface, n: most where it is dark or looks up.

    Args:
        albedo: Red, green, blue and near infrared, n x 4: each about a quarter of the sun's power.
        normals: Normals of the surface, n x 3.
        weather: Weather whose `sun_warming` is that of something black that lies flat; people move
            in and out of the sun, which halves it (inferred).
    """
    upward = np.float32(0.6) + np.float32(0.4) * normals[:, 2]
    warmer: Array = np.float32(0.5 * weather.sun_warming) * (1 - albedo.mean(1)) * upward
    return warmer


def band_radiance(celsius: Array | float) -> Array:
    """Return a black body's radiance from 8 to 14 um, W/(m2 sr); Planck's law, integrated."""
    temperatures, radiances = _planck()
    found: Array = np.asarray(np.interp(celsius, temperatures, radiances), np.float32)
    return found


def apparent_temperature(radiance: Array) -> Array:
    """Return degrees Celsius of the black body with this radiance between 8 and 14 um."""
    temperatures, radiances = _planck()
    found: Array = np.interp(radiance, radiances, temperatures).astype(np.float32)
    return found


@cache
def _planck() -> tuple[Array, Array]:
    celsius = np.linspace(-90, 150, 481)
    wave = np.linspace(8e-6, 14e-6, 121)
    first, second = 1.191042972e-16, 1.438776877e-2
    exponent = second / (wave * (celsius[:, None] + 273.15))
    radiance = np.trapezoid(first / wave**5 / np.expm1(exponent), wave, axis=1)
    return celsius, np.asarray(radiance)


def auto_gain(celsius: Array, tail: float = 0.01, least_span: float = 8.0) -> Array:
    """Return a white-hot picture in [0, 1], stretched from apparent temperatures as cameras do.

    Linear between two tails of the histogram, and no steeper than `least_span` degrees over the
    whole range; the linear mode of FLIR's Tau 2 (application note 102-PS242-100-01: tail rejection,
    maximum gain, midpoint). Add the sensor's noise before: NOISE_KELVIN.

    Args:
        celsius: Apparent temperatures, rows x columns.
        tail: Share of pixels beyond either end.
        least_span: Smallest number of degrees from black to white.
    """
    low, high = np.quantile(celsius, [tail, 1 - tail])
    span = max(float(high - low), least_span)
    stretched: Array = np.clip((celsius - (low + high) / 2) / np.float32(span) + 0.5, 0, 1)
    return stretched.astype(np.float32)


NOISE_KELVIN = 0.05
"""Standard deviation of an uncooled thermal sensor's noise: 50 mK is what data sheets promise."""


def dressed_surface(
    outfit: Outfit, seen: Seen, weather: Weather | None = None, settled: float = 1.0
) -> Surface:
    """Return the surface that a camera sees of a person.

    Args:
        outfit: The dressed person.
        seen: Points at which rays met the person.
        weather: Weather for temperatures; only needed for a thermal camera.
        settled: Time outdoors: 0 just came from a heated house, 1 has been outside for long.
    """
    made_of = np.take(_table(outfit.cloths), seen.slots, axis=1)
    albedo = made_of[:4].T
    grain, gloss, softness, emissivity, back = made_of[4:]
    relief = grain * _grain(seen.rest) - _seams(outfit, seen)
    _weave(outfit, seen, made_of[:4], relief, back)
    temperature: Array | float = 20.0
    if weather is not None:
        temperature = worn_temperature(
            outfit, seen.slots, seen.rest, seen.limbs, weather, settled
        ) + sunned(albedo, seen.normals, weather)
    return Surface(
        seen.points,
        _creased(seen, outfit),
        seen.directions,
        albedo[:, :3],
        albedo[:, 3],
        relief,
        gloss,
        softness,
        back,
        emissivity,
        temperature,
    )


def _weave(outfit: Outfit, seen: Seen, channels: Array, relief: Array, back: Array) -> None:
    """Add patterns to a plain surface: four channels x n, relief, retroreflection."""
    for slot in np.flatnonzero(np.bincount(seen.slots)).tolist():
        cloth = outfit.cloths[slot]
        if cloth.pattern == "plain":
            continue
        here = np.flatnonzero(seen.slots == slot)
        share, height = pattern_at(cloth, _on_cloth(outfit, seen, here))
        if share is not None:
            firsts = (*cloth.colour, cloth.infrared)
            seconds = (*cloth.second_colour, cloth.second_infrared)
            for channel, first, second in zip(channels, firsts, seconds, strict=True):
                channel[here] = first + share * np.float32(second - first)
            back[here] *= share
        if height is not None:
            relief[here] += cloth.relief * height


def _table(cloths: tuple[Cloth, ...]) -> Array:
    """Return albedos and the other numbers of a `Surface` for each cloth, 9 x k."""
    rows = [
        (*c.colour, c.infrared, c.grain, c.gloss, c.softness, c.emissivity, c.retroreflection)
        for c in cloths
    ]
    return np.ascontiguousarray(np.array(rows, np.float32).T)


def _seams(outfit: Outfit, seen: Seen) -> Array:
    """Return how much darker seams are, n: at arm holes and at ends of tops, sleeves, legs.

    A hem is a fold: the cloth is double there and ends in a shadow. Both spectra see it.
    """
    person, marks, limbs, slots = outfit.person, outfit.landmarks, seen.limbs, seen.slots
    ends = np.full(len(Slot), 9.0, np.float32)
    ends[[Slot.TOP, Slot.OUTER]] = person.sleeve, person.outer_sleeve
    ends[Slot.BOTTOM] = person.leg_length
    before_end = ends[slots] - limbs
    on_limb = limbs > 0
    top = slots == Slot.TOP
    hangs = marks.waist if person.hem <= 0.1 else marks.hip - 0.25 * person.hem * marks.leg
    above = seen.rest[:, 2] - np.float32(hangs)
    hem = (on_limb & (before_end < 0.07) & (before_end > -0.02)) | (top & (above < 0.025))
    stitch = on_limb & (before_end > 0.055) & (before_end < 0.07)
    hole = on_limb & (limbs < 0.04) & (top | (slots == Slot.OUTER))
    under = (slots == Slot.BOTTOM) & (above < 0) & (above > -0.02)
    seams: Array = np.float32(0.3) * (hole | stitch | under) + np.float32(0.12) * hem
    return seams


def _on_cloth(outfit: Outfit, seen: Seen, here: Indices) -> OnCloth:
    marks, rest, limbs = outfit.landmarks, seen.rest[here], seen.limbs[here]
    x, y, z = rest.T
    sleeve = (limbs > 0) & ((z > marks.hip + 0.06) | (np.abs(x) > 0.36))
    leg = (limbs > 0) & ~sleeve
    front = np.float32(marks.head_centre[1] + 0.04) - y
    off_axis = np.where(leg, np.float32(0.11) * np.sign(x), np.float32(0))
    radius = np.where(leg, np.float32(LEG_RADIUS), np.float32(0.16))
    around = np.where(sleeve, y, np.arctan2(x - off_axis, front) * radius)
    along = np.where(sleeve, np.float32(marks.shoulder) - np.float32(0.5) * limbs, z)
    middle = (marks.waist + marks.shoulder) / 2
    return OnCloth(around, along, front, sleeve, leg, middle)


def _grain(rest: Array) -> Array:
    """Return the mottle of cloth about a centimetre across, around 0, n."""
    x, y, z = rest.T
    coarse = np.sin(310 * x + 4 * np.sin(170 * z)) * np.sin(290 * z + 3 * np.sin(190 * (x + y)))
    fine = np.sin(730 * (x - y)) * np.sin(690 * z + 5 * x)
    mottle: Array = 0.8 * coarse + 0.6 * fine
    return mottle


def _softened(cosine: Array, softness: Array | float) -> Array:
    """Soften the shade of a surface beneath which light wanders: it reaches into the dark."""
    lit: Array = np.clip(cosine + softness, 0, None) / (1 + softness)
    return lit


def _narrow(cosine: Array) -> Array:
    """Return the 24th power, cheaply: the shape of a highlight."""
    eighth: Array = np.square(np.square(np.square(cosine)))
    return eighth * eighth * eighth


def unit(vectors: Array) -> Array:
    """Return rows at length one; a zero row stays zero."""
    length = np.sqrt(dot(vectors, vectors))
    of_length_one: Array = vectors / np.maximum(length, 1e-9)[:, None]
    return of_length_one


def dot(a: Array, b: Array) -> Array:
    """Return the inner product of each pair of rows, n."""
    product: Array = np.einsum("ij,ij->i", a, b)
    return product


_FOLDS = np.array([[41.0, 13.0, 7.0], [9.0, 37.0, 15.0], [23.0, 19.0, 29.0]], np.float32)


def _creased(seen: Seen, outfit: Outfit) -> Array:
    """Return normals with the folds of cloth in them."""
    deep = np.float32(0.1 + 6 * outfit.person.looseness)
    cloth = (seen.slots >= Slot.TOP) & (seen.slots <= Slot.GLOVES)
    depth = np.where(cloth, deep, np.float32(0))
    return unit(seen.normals + depth[:, None] * np.sin(seen.rest @ _FOLDS))
