"""Warmth of a person's outside: skin by part of the body, cloth between skin and air.

In steady state as much heat comes through the clothes as leaves them for the air, so that a
surface lies between skin and air as the resistances on either side do. Sources:

* 1 clo is 0.155 m2 K/W (ISO 9920:2007). Cloth and the still air under it insulate by their
  thickness, about 1.6 clo a centimetre (the textbook figure of 4 clo an inch; thickness and fit of
  garments are inferred).
* The air outside: 0.085 m2 K/W standing (boundary layer in ISO 9920), a quarter less walking
  (inferred).
* Wet cloth: evaporation adds 16.5 K/kPa (Lewis relation, ASHRAE Handbook of Fundamentals) times the
  convective exchange; vapour pressure by Magnus' formula.
* Skin at rest is at 34 on average (35.7 - 0.028 x metabolic rate; Fanger 1970, ISO 7730), warmest
  on head and trunk. In the cold hands and feet cool most, fingers by 2 to 17 degrees more than
  hands at 0 (doi:10.1007/BF00599699), nose and cheeks faster than neck and eyes (Briggs, Gillespie
  and Brown 2017, doi:10.1007/s00484-017-1368-3). The numbers by part are inferred.
"""

import numpy as np

from vireid.render.bodies import Array
from vireid.render.body_surface import Indices, Slot
from vireid.render.outfits import Outfit
from vireid.render.scenes import Weather

COMFORT = 24.0
"""Air in degrees Celsius in which a lightly dressed person is neither warm nor cold."""
HEATED = 22.0
"""Air in degrees Celsius of the house that a person may have come from."""
_OF_METRE = 24.0
"""Insulation of a metre of cloth or still air, m2 K/W."""
_OUTSIDE = 0.75 * 0.085
"""Resistance of the air around a person who walks, m2 K/W."""
_CONVECTION = 8.0
"""Convection of a person who walks at 1 m/s, W/(m2 K) (inferred: 8 to 9 in ASHRAE's handbook)."""
_STILL = 0.008
"""Most metres of air under cloth that insulate; in wider gaps the air moves."""

_HEAD, _TRUNK, _ARM, _HAND, _LEG, _FOOT = range(6)
_IN_COMFORT = np.array([34.4, 34.0, 33.0, 32.5, 33.0, 31.0], np.float32)
_COOLED = np.array([0.22, 0.04, 0.14, 0.5, 0.14, 0.35], np.float32)
"""Degrees that skin loses by each degree that the air is colder than comfort; half when covered."""


def skin_temperature(parts: Array, air: float, covered: Array | float = 0.0) -> Array:
    """Return degrees Celsius of skin on parts of the body, n; never below the air.

    Args:
        parts: 0 head, 1 trunk, 2 arm, 3 hand, 4 leg, 5 foot, and anything between two.
        air: Air temperature in degrees Celsius.
        covered: How far it is covered: 0 bare, 1 under clothes.
    """
    colder = COMFORT - air
    slope = np.interp(parts, range(6), _COOLED).astype(np.float32) * (1 - 0.5 * covered)
    warm: Array = np.interp(parts, range(6), _IN_COMFORT).astype(np.float32) - slope * colder
    return np.clip(warm, min(air, 10.0) + 2.0, 37.0)


def cloth_temperature(skin: Array, resistance: Array | float, weather: Weather) -> Array:
    """Return degrees Celsius of the outside of clothes, n: between skin and air, less if wet.

    Args:
        skin: Temperature of the skin beneath in degrees Celsius, n.
        resistance: Resistance of all that is between skin and surface, m2 K/W, n; 0 is bare skin.
        weather: Weather, for air and wetness.
    """
    inside = 1 / np.maximum(resistance, np.float32(1e-3))
    saturated, slope = _vapour(weather.air)
    drying = weather.wet * 16.5 * _CONVECTION
    outside = 1 / _OUTSIDE + drying * slope
    evaporated = drying * (1 - _humidity(weather)) * saturated
    warm: Array = (inside * skin + outside * weather.air - evaporated) / (inside + outside)
    return warm.astype(np.float32)


def resistances(outfit: Outfit) -> Array:
    """Return the resistance between skin and surface in each slot of `Slot`, m2 K/W."""
    person, cloths = outfit.person, outfit.cloths
    gap = min(0.3 * person.looseness, _STILL)
    of_slot = [_OF_METRE * cloth.thickness for cloth in cloths]
    of_slot[Slot.TOP] += _OF_METRE * gap
    of_slot[Slot.OUTER] += of_slot[Slot.TOP] + _OF_METRE * 0.5 * _STILL
    of_slot[Slot.BOTTOM] += _OF_METRE * _gap_at_legs(outfit)
    of_slot[Slot.SHOES] += 0.08
    of_slot[Slot.SOLES] += 0.2
    of_slot[Slot.HEADGEAR] += 0.5 * of_slot[Slot.HAIR]
    of_slot[Slot.SCARF] += 0.06
    of_slot[Slot.GLOVES] += 0.03
    of_slot[Slot.TRIM] = of_slot[Slot.TOP if person.outer == "none" else Slot.OUTER]
    of_slot[Slot.BAG] = 8 * _OUTSIDE
    of_slot[Slot.GLASSES] = of_slot[Slot.UMBRELLA] = 20 * _OUTSIDE
    return np.array(of_slot, np.float32)


def worn_temperature(
    outfit: Outfit, slots: Indices, rest: Array, limbs: Array, weather: Weather, settled: float = 1
) -> Array:
    """Return degrees Celsius of a person's outside at points, n.

    Args:
        outfit: The dressed person.
        slots: Slot of each point, n.
        rest: Places of the points on the body at rest, n x 3.
        limbs: Position of each point along its limb, n.
        weather: Weather, for air and wetness.
        settled: Time outdoors: 0 just came from a heated house, so that clothes are warmer; 1 long
            outside.
    """
    parts = _parts(outfit, rest, limbs)
    between = resistances(outfit)[slots]
    bare = between == 0
    skin = skin_temperature(parts, weather.air, (~bare).astype(np.float32))
    between *= _folds(rest)
    outside = cloth_temperature(skin, between, weather)
    inside = HEATED + (skin - HEATED) * _OUTSIDE / (_OUTSIDE + between)
    warm = outside + (1 - settled) * _KEPT * np.maximum(inside - outside, 0)
    return np.where(bare, skin - _cool_nose(outfit, rest, weather.air), warm)


_KEPT = 0.7
"""Share of a house's warmth that clothes and bags still have at the door (inferred)."""


def _parts(outfit: Outfit, rest: Array, limbs: Array) -> Array:
    """Return the part of the body of each point, as `skin_temperature` needs it, n."""
    marks, height = outfit.landmarks, rest[:, 2]
    on_arm = (limbs > 0) & ((height > marks.hip + 0.06) | (np.abs(rest[:, 0]) > 0.36))
    down_arm = 2 + np.clip((limbs - 0.85) / 0.2, 0, 1)
    down_leg = 4 + np.clip((limbs - 0.6) / 0.5, 0, 1)
    limb = np.where(on_arm, down_arm, down_leg)
    trunk = np.where(height > marks.neck, 0, 1)
    parts: Array = np.where(limbs > 0, limb, trunk).astype(np.float32)
    return parts


def _folds(rest: Array) -> Array:
    """Return how much more or less cloth insulates in folds or where it lies on, around 1, n."""
    x, y, z = rest.T
    waves = np.sin(31 * x + 2 * np.sin(9 * z)) * np.sin(17 * z + 3 * np.sin(13 * (x + y)))
    folded: Array = 1 + 0.35 * waves
    return folded


def _cool_nose(outfit: Outfit, rest: Array, air: float) -> Array:
    """Return degrees by which nose and cheeks are colder than the rest of the face."""
    eye = outfit.body.joint("eye.L")
    low, tip = rest[:, 2] - np.float32(eye[2] - 0.035), rest[:, 1] - np.float32(eye[1] - 0.035)
    near = np.exp(-(np.square(rest[:, 0]) + np.square(low) + np.square(tip)) / np.float32(0.0012))
    cool: Array = np.float32(0.12 * max(COMFORT + 6 - air, 0)) * near
    return cool


def _gap_at_legs(outfit: Outfit) -> float:
    fits = {"leggings": 0.0, "trousers": 0.002, "shorts": 0.003}
    loose = min(0.25 * outfit.person.looseness, _STILL)
    return min(fits.get(outfit.person.bottom, 0.005) + loose, _STILL)


def _humidity(weather: Weather) -> float:
    """Return the relative humidity; in rain the air is nearly full (inferred)."""
    return 0.6 + 0.3 * weather.wet


def _vapour(celsius: float) -> tuple[float, float]:
    """Return saturated vapour pressure over water in kPa, and its rise by a degree."""
    saturated = 0.6112 * np.exp(17.62 * celsius / (243.12 + celsius))
    return float(saturated), float(saturated * 17.62 * 243.12 / (243.12 + celsius) ** 2)
