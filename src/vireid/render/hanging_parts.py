"""Things that hang on a person or are carried: own surfaces, moved by the bones they hang on.

These are skirts, coats, collars, hair, brims, bags, suitcases and umbrellas; and the face, because
the body's own has holes for eyes and mouth that a coarse mesh turns into splinters.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vireid.render.bodies import HEAD, LEG, TORSO, Array, Body
from vireid.render.body_surface import Landmarks, Slot, on_face
from vireid.render.people import Person

HANGING = ("wrist.L", "wrist.R")
"""Joints that things hang from: carried along but not turned; weight columns after the bones'."""


ROLLING = ("wheels.L", "wheels.R")
"""Places on the floor below a wrist, which are also carried along but not turned; columns after
those of `HANGING`."""


@dataclass(frozen=True)
class Part:
    """A surface of its own, beside the body's."""

    vertices: Array
    triangles: NDArray[np.int32]
    weights: Array
    slot: Slot


@dataclass(frozen=True)
class Clothed:
    """A body with its close-fitting clothes on."""

    body: Body
    vertices: Array

    def weights(self, shares: Mapping[str, Array | float], count: int) -> Array:
        """Return the rows of the weight matrix for new vertices."""
        bones = self.body.skeleton.bones
        others = (*(f"hanging {joint}" for joint in HANGING), *ROLLING)
        columns = bones | {name: len(bones) + i for i, name in enumerate(others)}
        weights = np.zeros((count, len(columns)), np.float32)
        for bone, share in shares.items():
            weights[:, columns[bone]] += share
        shared: Array = weights / weights.sum(1, keepdims=True)
        return shared


def parts_worn(person: Person, marks: Landmarks, skin: Clothed) -> list[Part]:
    """Return all surfaces of a person that are not the body's own."""
    parts = [_face(person, marks, skin)]
    if person.scarf:
        parts += _scarf(marks, skin)
    skirt = 0.0
    if person.bottom in ("skirt", "long skirt", "dress"):
        skirt = 0.02 + 2.2 * person.looseness
        parts.append(_tube(person, marks, skin, person.leg_length, Slot.BOTTOM, skirt, 0.0))
    elif person.hem > 0.1 and person.outer in ("none", "vest"):
        wide = 0.8 * person.looseness
        parts.append(_tube(person, marks, skin, 0.25 * person.hem, Slot.TOP, wide, 0.0))
    if person.outer == "coat":
        opening = max(person.opening, 0.006)
        wide = 0.03 + 2 * person.looseness + skirt
        parts.append(_tube(person, marks, skin, person.coat_length, Slot.OUTER, wide, opening))
    if person.outer in ("jacket", "coat"):
        parts.append(_collar(marks, skin, Slot.OUTER, 0.05, max(person.opening, 0.02)))
    elif person.top == "shirt":
        parts.append(_collar(marks, skin, Slot.TOP, 0.035, 0.025))
    parts += _hair(person, marks, skin)
    if person.headgear in ("cap", "brim"):
        parts.append(_brim(person, marks, skin))
    return parts + _carried(person, marks, skin)


def _outline(points: Array, angles: Array) -> Array:
    """Return the distance from (0, 0) of a string around points seen from above, at angles."""
    towards = np.stack([np.sin(angles), -np.cos(angles)])
    furthest = (points @ towards).max(0)
    apart = np.cos(angles[:, None] - angles)
    reach = np.where(apart > 0.1, furthest / np.maximum(apart, 0.1), np.inf)
    around: Array = reach.min(1)
    return around


def _tube(
    person: Person,
    marks: Landmarks,
    skin: Clothed,
    length: float,
    slot: Slot,
    wide: float,
    opening: float,
) -> Part:
    """Return a skirt or the lower half of a coat or top, `wide` metres off the body at its hem."""
    rings, around = 10, 32
    regions = skin.body.skeleton.regions
    inside = skin.vertices[np.isin(regions, (TORSO, LEG))]
    heights = np.linspace(marks.waist + 0.02, marks.hip - length * marks.leg, rings)
    gap = opening / 0.2
    angles = np.linspace(gap, 2 * np.pi - gap, around)
    middle = float(np.median(inside[np.abs(inside[:, 2] - marks.hip) < 0.05][:, 1]))
    levels = []
    for z in heights:
        near = inside[np.abs(inside[:, 2] - z) < 0.04][:, :2] - np.array([0, middle])
        levels.append(_outline(near, angles))
    down = np.linspace(0, 1, rings)[:, None]
    radius = np.maximum.accumulate(np.stack(levels), 0) + (
        0.014 if slot is Slot.OUTER else 0.004
    ) * np.minimum(1, 5 * down)
    radius += wide * down
    radius *= 1 + min(0.035, wide) * down * np.sin(9 * angles + person.identity)
    x, y = radius * np.sin(angles), middle - radius * np.cos(angles)
    vertices = np.stack([x, y, np.broadcast_to(heights[:, None], x.shape)], -1).reshape(-1, 3)
    return Part(vertices, _grid(rings, around), _legwards(marks, skin, vertices), slot)


def _legwards(marks: Landmarks, skin: Clothed, vertices: Array) -> Array:
    """Return the weights of cloth that hangs from the waist and is pushed by both legs."""
    down = np.clip((marks.hip + 0.05 - vertices[:, 2]) / marks.leg, 0, 1)
    left = 1 / (1 + np.exp(-vertices[:, 0] / 0.04))
    legs = np.clip(2.4 * down, 0, 0.96)
    lower = np.clip((down - 0.38) * 2, 0, 0.85)
    shares: dict[str, Array | float] = {"spine05": 1 - legs}
    for side, share in (("L", left), ("R", 1 - left)):
        shares[f"upperleg02.{side}"] = legs * share * (1 - lower)
        shares[f"lowerleg01.{side}"] = legs * share * lower
    return skin.weights(shares, len(vertices))


def _scarf(marks: Landmarks, skin: Clothed) -> list[Part]:
    """Return a scarf wound around the neck, one end hanging down in front."""
    around, across = 24, 9
    angles, turns = np.meshgrid(
        np.linspace(0, 2 * np.pi, around), np.linspace(0, 2 * np.pi, across), indexing="ij"
    )
    ring = 0.074 + 0.03 * np.cos(turns)
    x, y = 1.05 * ring * np.sin(angles), marks.spine - 0.022 - 1.1 * ring * np.cos(angles)
    z = marks.neck + 0.012 + 0.042 * np.sin(turns) - 0.03 * np.cos(angles)
    vertices = np.stack([x, y, z], -1).reshape(-1, 3)
    weights = skin.weights({"spine01": 0.5, "neck01": 0.5}, len(vertices))
    chest = skin.vertices[np.abs(skin.vertices[:, 2] - marks.shoulder + 0.1) < 0.06]
    chest = chest[np.abs(chest[:, 0]) < 0.08]
    at = np.array([0.045, chest[:, 1].min() + 0.008, marks.shoulder - 0.07])
    end = _ball(at, np.array([0.05, 0.018, 0.16]), skin, "spine01", Slot.SCARF, square=4.0)
    return [Part(vertices, _grid(around, across), weights, Slot.SCARF), end]


def _face(person: Person, marks: Landmarks, skin: Clothed) -> Part:
    """Return a smooth face: the body's furthest point in each direction, rounded off."""
    rows, columns = 19, 23
    head = skin.body.vertices[skin.body.skeleton.regions == HEAD] - middle_of_head(marks)
    radius = np.linalg.norm(head, axis=1)
    lifted, aside = np.meshgrid(
        np.linspace(-1.02, 0.42, rows), np.linspace(-1.25, 1.25, columns), indexing="ij"
    )
    towards = np.stack(
        [np.cos(lifted) * np.sin(aside), -np.cos(lifted) * np.cos(aside), np.sin(lifted)], -1
    ).reshape(-1, 3)
    angle = np.arccos(np.clip(towards @ (head / radius[:, None]).T, -1, 1))
    near = np.exp(-0.5 * (angle / 0.11) ** 2 + 150 * (radius - radius.max()))
    reach = ((near @ radius) / near.sum(1)).reshape(rows, columns)
    at_eye = np.hypot(np.abs(aside) - 0.27, (lifted + 0.2) * 1.4)
    reach -= 0.005 * np.exp(-((at_eye / 0.13) ** 2))
    reach += 0.013 * np.exp(-((aside / 0.1) ** 2) - ((lifted + 0.36) / 0.13) ** 2)
    edge = np.maximum(np.abs(aside) - 0.75, np.maximum(-0.75 - lifted, lifted - 0.1))
    reach -= 0.002 + 0.012 * np.clip(edge / 0.4, 0, 1)
    vertices = middle_of_head(marks) + towards * reach.reshape(-1, 1)
    bearded = on_face(person, marks, vertices) == Slot.HAIR
    vertices += 0.008 * bearded[:, None] * towards
    return Part(
        vertices, _grid(rows, columns), skin.weights({"head": 1.0}, rows * columns), Slot.ON_BODY
    )


def middle_of_head(marks: Landmarks) -> Array:
    """Return the point from which a face is sampled in all directions."""
    return np.array([0, marks.head_centre[1], (marks.chin + marks.crown) / 2], np.float32)


def _collar(marks: Landmarks, skin: Clothed, slot: Slot, high: float, opening: float) -> Part:
    """Return a band that stands around the neck, open in front."""
    around = 20
    neck = skin.vertices[np.abs(skin.vertices[:, 2] - marks.neck - 0.01) < 0.03]
    neck = neck[np.abs(neck[:, 0]) < 0.1]
    middle = (neck.min(0) + neck.max(0)) / 2
    half = np.minimum(np.ptp(neck, axis=0) / 2, 0.085)
    angles = np.linspace(opening / 0.07, 2 * np.pi - opening / 0.07, around)
    rings = np.array([[1.22, -0.03], [1.1, high], [1.3, high - 0.025]])
    x = rings[:, :1] * (half[0] + 0.006) * np.sin(angles)
    y = middle[1] - rings[:, :1] * (half[1] + 0.006) * np.cos(angles)
    z = marks.neck + rings[:, 1:] - 0.035 * (1 + np.cos(angles)) / 2
    vertices = np.stack([x, y, z], -1).reshape(-1, 3)
    weights = skin.weights({"spine01": 0.6, "neck01": 0.4}, len(vertices))
    return Part(vertices, _grid(3, around), weights, slot)


def _hair(person: Person, marks: Landmarks, skin: Clothed) -> list[Part]:
    centre = marks.head_centre
    up = np.array([0, 0, 1])
    if person.hair == "bun":
        at = centre + np.array([0, 0.085, 0.055])
        return [_ball(at, np.array([0.042, 0.04, 0.042]), skin, "head", Slot.HAIR)]
    if person.hair == "ponytail":
        at = centre + np.array([0, 0.13, 0.0]) - up * 0.08
        return [_ball(at, np.array([0.03, 0.035, 0.13]), skin, "head", Slot.HAIR)]
    if person.hair == "braid":
        at = centre + np.array([0, 0.115, -0.1])
        half = np.array([0.028, 0.026, 0.045])
        steps = [np.array([0, 0.01 * i, -0.06 * i]) for i in range(5)]
        return [
            _ball(at + s, half * (1 - 0.08 * i), skin, "head", Slot.HAIR)
            for i, s in enumerate(steps)
        ]
    if person.hair not in ("medium", "long"):
        return []
    rows, across = 6, 14
    low = marks.shoulder - (0.12 if person.hair == "long" else -0.04)
    heights = np.linspace(centre[2] + 0.03, low, rows)
    angles = np.linspace(-1.75, 1.75, across)
    wide = np.linspace(0.095, 0.125, rows)[:, None]
    x = wide * np.sin(angles)
    y = centre[1] + 0.01 + (wide + 0.015) * np.cos(angles)
    z = np.broadcast_to(heights[:, None], x.shape)
    vertices = np.stack([x, y, z], -1).reshape(-1, 3)
    on_back = np.clip((centre[2] - vertices[:, 2]) / (centre[2] - low), 0, 1)
    weights = skin.weights({"head": 1 - on_back, "spine01": on_back}, len(vertices))
    return [Part(vertices, _grid(rows, across), weights, Slot.HAIR)]


def _brim(person: Person, marks: Landmarks, skin: Clothed) -> Part:
    centre = marks.head_centre
    z = marks.chin + 0.76 * (marks.crown - marks.chin)
    around = 20
    if person.headgear == "cap":
        angles, reach = np.linspace(-1.1, 1.1, around), 0.17
    else:
        angles, reach = np.linspace(-np.pi, np.pi, around), 0.17
    rings = np.linspace(0.085, reach, 3)[:, None]
    x = rings * np.sin(angles)
    y = centre[1] - rings * np.cos(angles) * 1.1
    heights = np.broadcast_to(z - 0.15 * (rings - 0.085), x.shape)
    vertices = np.stack([x, y, heights], -1).reshape(-1, 3)
    weights = skin.weights({"head": 1.0}, len(vertices))
    return Part(vertices, _grid(3, around), weights, Slot.HEADGEAR)


def _carried(person: Person, marks: Landmarks, skin: Clothed) -> list[Part]:
    """Return bags and umbrellas."""
    parts = []
    side = "L" if person.bag_side > 0 else "R"
    free = "R" if person.bag_side > 0 else "L"
    if person.bag in ("backpack", "big backpack"):
        parts.append(_backpack(person, marks, skin))
    if person.bag == "shoulder bag":
        parts.append(_shoulder_bag(person, marks, skin))
    if person.bag == "handbag":
        parts += _handbag(person, skin, side)
    if person.bag == "suitcase":
        parts += _suitcase(person, marks, skin, side)
    if person.umbrella == "closed":
        parts.append(_closed_umbrella(skin, free))
    if person.umbrella == "open":
        parts += _open_umbrella(skin, free)
    return parts


def _backpack(person: Person, marks: Landmarks, skin: Clothed) -> Part:
    big = person.bag == "big backpack"
    half = np.array([0.15, 0.085, 0.22 + 0.08 * big]) * person.bag_size
    near = skin.vertices[
        (skin.body.skeleton.regions == TORSO)
        & (np.abs(skin.vertices[:, 2] - marks.shoulder + 0.15) < 0.1)
    ]
    at = np.array([0, near[:, 1].max() + half[1] * 0.75, marks.shoulder + 0.05 - half[2]])
    return _ball(at, half, skin, "spine02", Slot.BAG, square=4.0)


def _shoulder_bag(person: Person, marks: Landmarks, skin: Clothed) -> Part:
    half = np.array([0.045, 0.15, 0.12]) * person.bag_size
    hips = skin.vertices[np.abs(skin.vertices[:, 2] - marks.hip) < 0.05]
    hips = hips[np.abs(hips[:, 0]) < 0.3]
    aside = person.bag_side * (np.abs(hips[:, 0]).max() + half[0] * 0.6)
    at = np.array([aside, 0.03, marks.hip + 0.02])
    return _ball(at, half, skin, "spine05", Slot.BAG, square=5.0)


def _grip(skin: Clothed, side: str) -> Array:
    """Return the point at which a hand holds things."""
    wrist = skin.body.joint(f"wrist.{side}")
    held: Array = wrist - np.array([0, 0, 0.075])
    return held


def _handbag(person: Person, skin: Clothed, side: str) -> list[Part]:
    bone = f"hanging wrist.{side}"
    half = np.array([0.045, 0.14, 0.1]) * person.bag_size
    grip = _grip(skin, side)
    at = grip - np.array([0, 0, 0.13 + half[2]])
    straps = [
        _rod(grip, at + np.array([0, y, half[2] * 0.9]), 0.008, skin, {bone: 1.0}, Slot.BAG)
        for y in (-0.07, 0.07)
    ]
    return [_ball(at, half, skin, bone, Slot.BAG, square=5.0), *straps]


def _suitcase(person: Person, marks: Landmarks, skin: Clothed, side: str) -> list[Part]:
    """Return a suitcase, pulled along behind by its handle and rolling on the floor."""
    wheels, hand = f"wheels.{side}", f"hanging wrist.{side}"
    half = np.array([0.17, 0.105, 0.26]) * person.bag_size
    grip = _grip(skin, side)
    at = np.array([grip[0], grip[1] + 0.36, marks.floor + half[2] + 0.05])
    case = _ball(at, half, skin, wheels, Slot.BAG, square=7.0)
    low = at + np.array([0, -half[1] * 0.6, half[2] * 0.9])
    parts = [case]
    for x in (-0.05, 0.05):
        aside = np.array([x, 0, 0])
        handle = _rod(grip + aside, low + aside, 0.007, skin, {wheels: 1.0}, Slot.TRIM)
        handle.weights[: len(handle.weights) // 2] = skin.weights({hand: 1.0}, 1)
        wheel = at + np.array([3 * x, 0, -half[2] - 0.025])
        parts += [handle, _ball(wheel, np.full(3, 0.028), skin, wheels, Slot.TRIM)]
    parts.append(_rod(grip - aside, grip + aside, 0.01, skin, {hand: 1.0}, Slot.TRIM))
    return parts


def _closed_umbrella(skin: Clothed, side: str) -> Part:
    grip = _grip(skin, side)
    bone = {f"hanging wrist.{side}": 1.0}
    return _rod(
        grip + np.array([0, -0.05, 0.06]),
        grip + np.array([0, 0.08, -0.6]),
        0.026,
        skin,
        bone,
        Slot.UMBRELLA,
    )


def _open_umbrella(skin: Clothed, side: str) -> list[Part]:
    """Return an umbrella held up in front of the shoulder: shaft and canopy."""
    rings, around, wide = 5, 17, 0.46
    bone = {f"hanging wrist.{side}": 1.0}
    grip = _grip(skin, side)
    inwards = -0.16 if side == "L" else 0.16
    tip = grip + np.array([inwards, 0.16, 0.82])
    reach = np.linspace(0.01, wide, rings)[:, None]
    angles = np.linspace(0, 2 * np.pi, around)
    ribs = 1 - 0.04 * np.cos(8 * angles)
    x, y = tip[0] + reach * ribs * np.sin(angles), tip[1] + reach * ribs * np.cos(angles)
    z = np.broadcast_to(tip[2] - 0.22 * (reach / wide) ** 2, x.shape)
    vertices = np.stack([x, y, z], -1).reshape(-1, 3)
    weights = skin.weights(bone, len(vertices))
    canopy = Part(vertices, _grid(rings, around), weights, Slot.UMBRELLA)
    return [canopy, _rod(grip, tip, 0.008, skin, bone, Slot.TRIM)]


def _rod(
    start: Array, end: Array, radius: float, skin: Clothed, shares: Mapping[str, float], slot: Slot
) -> Part:
    """Return a thin straight rod with six sides; its first half of vertices are at the start."""
    along = (end - start) / np.linalg.norm(end - start)
    aside = np.cross(along, [0.0, 1.0, 0.0] if abs(along[1]) < 0.9 else [1.0, 0.0, 0.0])
    aside /= np.linalg.norm(aside)
    angles = np.linspace(0, 2 * np.pi, 7)[:, None]
    ring = radius * (np.cos(angles) * aside + np.sin(angles) * np.cross(along, aside))
    vertices = np.concatenate([start + ring, end + ring])
    weights = skin.weights(shares, len(vertices))
    return Part(vertices, _grid(2, 7), weights, slot)


def _ball(
    at: Array, half: Array, skin: Clothed, bone: str, slot: Slot, square: float = 2.0
) -> Part:
    """Return a superellipsoid: a ball for `square` 2, a rounded box above."""
    rings, around = 7, 12
    lat = np.linspace(-np.pi / 2, np.pi / 2, rings)[:, None]
    lon = np.linspace(-np.pi, np.pi, around)[None]

    def power(v: Array) -> Array:
        shaped: Array = np.sign(v) * np.abs(v) ** (2 / square)
        return shaped

    unit = np.stack(
        [
            power(np.cos(lat)) * power(np.cos(lon)),
            power(np.cos(lat)) * power(np.sin(lon)),
            np.broadcast_to(power(np.sin(lat)), (rings, around)),
        ],
        -1,
    )
    vertices = unit.reshape(-1, 3) * half + at
    return Part(vertices, _grid(rings, around), skin.weights({bone: 1.0}, len(vertices)), slot)


def _grid(rows: int, columns: int) -> NDArray[np.int32]:
    """Return the triangles of a rows x columns grid of vertices."""
    i = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (v.reshape(-1) for v in (i[:-1, :-1], i[:-1, 1:], i[1:, 1:], i[1:, :-1]))
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)
