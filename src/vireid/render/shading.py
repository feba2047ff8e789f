"""How light, lamps and warmth make what a camera sees of a surface: one function a spectrum.

Visible: colour x (sky from above + sun or lamp, with shadows). Near infrared: the material's
own reflectance under a lamp beside the lens, falling off with distance; no shadow is seen because
lamp and lens look from one place.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vireid.render.bodies import Array
from vireid.render.materials import pattern_at
from vireid.render.outfits import Indices, Outfit, Slot
from vireid.render.scenes import Light

Shadow = Callable[[Array], NDArray[np.bool_]]
"""Of points, n x 3: which of them the sun does not reach."""


@dataclass(frozen=True)
class Seen:
    """What the rays that met a person found."""

    rays: Indices
    """Which rays."""
    points: Array
    normals: Array
    directions: Array
    """Of the rays, unit length."""
    rest: Array
    """The same points on the body at rest, where cloth is cut."""
    slots: Indices
    limbs: Array


@dataclass(frozen=True)
class Surface:
    """Points of anything that a camera sees; n of each."""

    points: Array
    """n x 3, metres"""
    normals: Array
    """n x 3, towards the camera, unit length"""
    directions: Array
    """Of the rays from the camera, n x 3, unit length."""
    colour: Array
    """Linear albedo, n x 3."""
    infrared: Array
    """Near infrared reflectance, n."""
    relief: Array
    """Brighter and darker by what is felt rather than seen, around 0, n."""
    gloss: Array
    """Strength of the highlight, n."""


def dressed_surface(outfit: Outfit, seen: Seen) -> Surface:
    """What a camera sees of somebody."""
    n = len(seen.rays)
    albedo = np.zeros((n, 4), np.float32)
    relief, gloss = np.zeros(n, np.float32), np.zeros(n, np.float32)
    middle = (outfit.landmarks.waist + outfit.landmarks.shoulder) / 2
    for slot in np.unique(seen.slots):
        here = seen.slots == slot
        cloth = outfit.cloths[slot]
        share, height = pattern_at(cloth, seen.rest[here], seen.limbs[here], middle)
        first = np.array([*cloth.colour, cloth.infrared])
        second = np.array([*cloth.second_colour, cloth.second_infrared])
        albedo[here] = first + share[:, None] * (second - first)
        relief[here], gloss[here] = cloth.relief * height, cloth.gloss
    return Surface(
        seen.points,
        _creased(seen, outfit),
        seen.directions,
        albedo[:, :3],
        albedo[:, 3],
        relief,
        gloss,
    )


def in_daylight(surface: Surface, light: Light, in_shadow: Shadow) -> Array:
    """Visible radiance, n x 3; linear, 1 is a white sheet in full light."""
    shaded = in_shadow(surface.points + 0.012 * surface.normals)
    direct = np.clip(surface.normals @ light.sun, 0, None) * ~shaded
    sky = 0.65 + 0.35 * surface.normals[:, 2]
    halfway = unit(light.sun.astype(np.float32) - surface.directions)
    shine = surface.gloss * np.clip(dot(surface.normals, halfway), 0, 1) ** 24 * ~shaded
    received = direct[:, None] * light.sun_colour + sky[:, None] * light.sky_colour
    lit = surface.colour * received * (1 + surface.relief[:, None])
    lit += shine[:, None] * light.sun_colour
    return lit.astype(np.float32)


def in_near_infrared(surface: Surface, light: Light, eye: Array, distance: float) -> Array:
    """Near infrared radiance under the camera's own lamp, n."""
    facing = np.clip(-dot(surface.normals, surface.directions), 0, 1)
    lamp = lamp_at(surface.points, eye, distance)
    lit = surface.infrared * (lamp * facing + light.sky_colour[0]) * (1 + surface.relief)
    lit += surface.gloss * facing**24 * lamp
    shone: Array = lit.astype(np.float32)
    return shone


def lamp_at(points: Array, eye: Array, distance: float) -> Array:
    """Light of the camera's own lamp, n; the camera's gain makes it 1 where the person is."""
    away = points - eye
    fallen_off: Array = np.minimum(distance**2 / np.maximum(dot(away, away), 0.1), 3.0)
    return fallen_off


def unit(vectors: Array) -> Array:
    """Rows at length one; a zero row stays zero."""
    length = np.sqrt(dot(vectors, vectors))
    of_length_one: Array = vectors / np.maximum(length, 1e-9)[:, None]
    return of_length_one


def dot(a: Array, b: Array) -> Array:
    """Inner product row by row, n."""
    product: Array = np.einsum("ij,ij->i", a, b)
    return product


def _creased(seen: Seen, outfit: Outfit) -> Array:
    """Normals with the folds of cloth in them."""
    depth = (0.1 + 6 * outfit.person.looseness) * (seen.slots >= Slot.TOP)
    waves = np.sin(seen.rest @ np.array([[41.0, 13.0, 7.0], [9.0, 37.0, 15.0], [23.0, 19.0, 29.0]]))
    return unit(seen.normals + (depth[:, None] * waves).astype(np.float32))
