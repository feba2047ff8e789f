"""A person in clothes, as one mesh in the rest pose.

Close-fitting clothes are the body's own surface, pushed outwards by the cloth's thickness;
which cloth a point of it wears is decided where it is seen (`worn_at`), so that seams are sharp.
Skirts, coats, hair, brims and bags are surfaces of their own, carried by the bones they hang on.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from vireid.render.bodies import ARM, FOOT, HAND, HEAD, LEG, NECK, TORSO, Array, Body
from vireid.render.materials import Cloth
from vireid.render.people import Person

Indices = NDArray[np.int64]

HANGING = ("wrist.L", "wrist.R")
"""Joints that things hang from: carried along but not turned; weight columns after the bones'."""


class Slot(IntEnum):
    """What a point of the surface is made of."""

    SKIN = 0
    HAIR = 1
    HEADGEAR = 2
    TOP = 3
    OUTER = 4
    BOTTOM = 5
    SHOES = 6
    BAG = 7
    SCARF = 8
    GLOVES = 9
    ON_BODY = 10
    """Decided where it is seen."""


@dataclass(frozen=True)
class Landmarks:
    """Heights and places on a body in the rest pose, in metres."""

    hip: float
    waist: float
    shoulder: float
    neck: float
    chin: float
    crown: float
    head_centre: Array
    leg: float
    """Length of a leg from hip to ankle."""


@dataclass(frozen=True)
class Part:
    """A surface of its own."""

    vertices: Array
    triangles: NDArray[np.int32]
    weights: Array
    slot: Slot


@dataclass(frozen=True)
class Outfit:
    """A dressed person in the rest pose."""

    person: Person
    body: Body
    landmarks: Landmarks
    vertices: Array
    triangles: NDArray[np.int32]
    weights: Array
    regions: Indices
    """Part of the body of each triangle."""
    slots: Indices
    """Slot of each triangle; ON_BODY where `worn_at` decides."""
    limbs: Array
    """How far down its arm or leg each vertex is: 0 shoulder or hip, 1 wrist or ankle."""
    cloths: tuple[Cloth, ...]
    """What each slot is made of, in the order of `Slot`."""


def dress(person: Person, body: Body) -> Outfit:
    """Put somebody's clothes on a body."""
    marks = _landmarks(body)
    limbs = _limbs(body)
    regions = body.skeleton.regions
    worn = worn_at(person, marks, regions, limbs, body.vertices)
    thickness = _thickness(person, regions, limbs, worn)
    outward = vertex_normals(body.vertices, body.skeleton.triangles)
    skin = _Surface(body, body.vertices + outward * thickness[:, None])
    parts = _parts(person, marks, skin)
    first = np.cumsum([len(skin.vertices)] + [len(p.vertices) for p in parts])[:-1]
    triangles = [
        body.skeleton.triangles,
        *(p.triangles + f for p, f in zip(parts, first, strict=True)),
    ]
    loose = sum(len(p.triangles) for p in parts)
    return Outfit(
        person=person,
        body=body,
        landmarks=marks,
        vertices=np.concatenate([skin.vertices, *(p.vertices for p in parts)]).astype(np.float32),
        triangles=np.concatenate(triangles).astype(np.int32),
        weights=np.concatenate([_padded(body.skeleton.weights), *(p.weights for p in parts)]),
        regions=np.concatenate([_region_of_triangles(body), np.full(loose, TORSO)]),
        slots=np.concatenate(
            [np.full(len(body.skeleton.triangles), Slot.ON_BODY)]
            + [np.full(len(p.triangles), p.slot) for p in parts]
        ),
        limbs=np.concatenate([limbs, np.zeros(sum(len(p.vertices) for p in parts))]).astype(
            np.float32
        ),
        cloths=_cloths(person),
    )


def worn_at(
    person: Person, marks: Landmarks, regions: Indices, limbs: Array, points: Array
) -> Indices:
    """What covers points of the body.

    Args:
        person: Who wears it.
        marks: Where the body has its hip, waist, ...
        regions: Part of the body each point belongs to, n.
        limbs: How far down its limb each point is, n.
        points: Where the points are in the rest pose, n x 3.

    Returns:
        A slot for each point, n.
    """
    x, y, z = points.T
    torso, arm, leg = regions == TORSO, regions == ARM, regions == LEG
    worn = np.full(len(points), int(Slot.SKIN))
    hangs_over = marks.hip - person.hem * 0.25 * marks.leg
    bottom_top = marks.waist if person.bottom != "dress" else marks.hip
    worn[torso] = Slot.TOP
    worn[(torso | leg) & (z < bottom_top)] = Slot.BOTTOM
    length = person.leg_length if person.bottom in _WITH_LEGS else 0.05
    worn[leg & (limbs > length)] = Slot.SKIN
    worn[(torso | leg) & (z > hangs_over) & (z < bottom_top) & (person.hem > 0.1)] = Slot.TOP
    if person.top == "tank":
        worn[torso & (z > marks.shoulder - 0.01)] = Slot.SKIN
    worn[arm & (limbs < person.sleeve)] = Slot.TOP
    if person.outer != "none":
        low = marks.hip - 0.03 if person.outer != "coat" else marks.hip - 0.2
        open_front = (np.abs(x) < person.opening) & (y < marks.head_centre[1])
        worn[(torso | leg) & (z > low) & ~open_front] = Slot.OUTER
        worn[arm & (limbs < person.outer_sleeve)] = Slot.OUTER
        worn[(regions == NECK) & (z < marks.neck + 0.03)] = Slot.OUTER
    worn[(regions == FOOT) | (leg & (limbs > person.boots))] = Slot.SHOES
    if person.gloves:
        worn[(regions == HAND) | (arm & (limbs > 0.95))] = Slot.GLOVES
    if person.scarf:
        worn[(regions == NECK) | (torso & (z > marks.shoulder + 0.03))] = Slot.SCARF
    worn[torso & _under_straps(person, marks, points)] = Slot.BAG
    head = (regions == HEAD) | (regions == NECK)
    covered = _on_head(person, marks, points[head])
    worn[head] = np.where(covered > 0, covered, worn[head])
    return worn


_WITH_LEGS = ("trousers", "wide trousers", "leggings", "shorts")


def _on_head(person: Person, marks: Landmarks, points: Array) -> Indices:
    """HAIR or HEADGEAR where a head is covered, 0 elsewhere."""
    up = (points[:, 2] - marks.chin) / (marks.crown - marks.chin)
    back = (points[:, 1] - marks.head_centre[1]) / 0.1
    covered = np.zeros(len(points), np.int64)
    hairline = {"bald": 9.0, "short": 0.42}.get(person.hair, 0.2)
    hair = (up > 0.86) | ((back > -0.25) & (up > hairline)) | ((up > 0.72) & (back > -0.65))
    covered[hair & (person.hair != "bald")] = Slot.HAIR
    edge = {"cap": 0.72, "brim": 0.74, "beanie": 0.62, "hood": 9.0}.get(person.headgear, 9.0)
    covered[up > edge - 0.12 * np.clip(back, 0, 1)] = Slot.HEADGEAR
    if person.headgear == "hood":
        face = (back < -0.35) & (up < 0.88) & (np.abs(points[:, 0]) < 0.065)
        covered[~face & (up > -0.35)] = Slot.HEADGEAR
    return covered


def _under_straps(person: Person, marks: Landmarks, points: Array) -> NDArray[np.bool_]:
    x, y, z = points.T
    if person.bag in ("backpack", "big backpack"):
        front = (y < marks.head_centre[1]) & (z > marks.waist + 0.08)
        top = z > marks.shoulder
        over_shoulder: NDArray[np.bool_] = (front | top) & (np.abs(np.abs(x) - 0.11) < 0.024)
        return over_shoulder
    if person.bag == "shoulder bag":
        along = (z - marks.hip) / (marks.shoulder - marks.hip)
        line = person.bag_side * 0.17 * (1 - 2 * along)
        across: NDArray[np.bool_] = np.abs(x - line) < 0.026
        above_hip: NDArray[np.bool_] = across & (z > marks.hip)
        return above_hip
    return np.zeros(len(points), bool)


def _thickness(person: Person, regions: Indices, limbs: Array, worn: Indices) -> Array:
    """Metres by which cloth stands off the skin."""
    loose = person.looseness
    of_slot = np.zeros(len(Slot))
    of_slot[Slot.TOP] = 0.004 + loose + (0.012 if person.top == "sweater" else 0.0)
    of_slot[Slot.OUTER] = 0.022 + 1.3 * loose
    of_slot[Slot.BOTTOM] = 0.003 if person.bottom == "leggings" else 0.014 + 0.7 * loose
    of_slot[Slot.SHOES] = 0.012
    of_slot[Slot.SCARF] = 0.045
    of_slot[Slot.BAG] = 0.024 + loose
    of_slot[Slot.GLOVES] = 0.006
    of_slot[Slot.HAIR] = {"short": 0.012, "bald": 0.0}.get(person.hair, 0.028)
    of_slot[Slot.HEADGEAR] = {"hood": 0.04, "beanie": 0.026}.get(person.headgear, 0.02)
    thickness = of_slot[worn]
    widening = (regions == LEG) & (worn == Slot.BOTTOM)
    thickness[widening] += person.flare * np.clip(limbs[widening], 0, 1)
    return thickness.astype(np.float32)


def _cloths(person: Person) -> tuple[Cloth, ...]:
    of_slot = {
        Slot.SKIN: person.skin,
        Slot.HAIR: person.hair_cloth,
        Slot.HEADGEAR: person.outer_cloth
        if person.headgear == "hood" and person.outer != "none"
        else person.headgear_cloth,
        Slot.TOP: person.top_cloth,
        Slot.OUTER: person.outer_cloth,
        Slot.BOTTOM: person.top_cloth if person.bottom == "dress" else person.bottom_cloth,
        Slot.SHOES: person.shoe_cloth,
        Slot.BAG: person.bag_cloth,
        Slot.SCARF: person.scarf_cloth,
        Slot.GLOVES: replace(person.headgear_cloth, pattern="plain"),
        Slot.ON_BODY: person.skin,
    }
    return tuple(of_slot[slot] for slot in Slot)


def _landmarks(body: Body) -> Landmarks:
    head = body.vertices[body.skeleton.regions == HEAD]
    hip = float(body.joint("upperleg01.L")[2])
    shoulder = float(body.joint("upperarm01.L")[2])
    crown = float(head[:, 2].max())
    skull = head[head[:, 2] > crown - 0.12]
    return Landmarks(
        hip=hip,
        waist=hip + 0.3 * (shoulder - hip),
        shoulder=shoulder,
        neck=float(body.joint("neck01")[2]),
        chin=float(body.joint("head")[2]) - 0.02,
        crown=crown,
        head_centre=skull.mean(0),
        leg=hip - float(body.joint("foot.L")[2]),
    )


def _limbs(body: Body) -> Array:
    """How far down its arm or leg each vertex is."""
    limbs = np.zeros(len(body.vertices), np.float32)
    regions, left = body.skeleton.regions, body.vertices[:, 0] > 0
    for side, on_side in (("L", left), ("R", ~left)):
        for ends, members in (
            (("upperarm01", "lowerarm01", "wrist"), (ARM, HAND)),
            (("upperleg01", "lowerleg01", "foot"), (LEG, FOOT)),
        ):
            chosen = np.isin(regions, members) & on_side
            a, b, c = (body.joint(f"{bone}.{side}") for bone in ends)
            limbs[chosen] = _along(body.vertices[chosen], a, b, c)
    return limbs


def _along(points: Array, start: Array, middle: Array, end: Array) -> Array:
    """0 at the start of a bent limb, 0.5 at its joint, 1 at its end."""
    first = (points - start) @ (middle - start) / ((middle - start) ** 2).sum()
    second = (points - middle) @ (end - middle) / ((end - middle) ** 2).sum()
    along: Array = np.where(second > 0, 0.5 + 0.5 * second, 0.5 * np.minimum(first, 1))
    return along


def vertex_normals(vertices: Array, triangles: NDArray[np.int32]) -> Array:
    """Unit normals, v x 3, weighted by the area of the triangles around each vertex."""
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    faces = np.cross(b - a, c - a)
    normals = np.stack(
        [
            np.bincount(triangles.reshape(-1), np.repeat(faces[:, i], 3), minlength=len(vertices))
            for i in range(3)
        ],
        1,
    )
    length = np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    unit: Array = (normals / length).astype(np.float32)
    return unit


def _region_of_triangles(body: Body) -> Indices:
    of_corners = np.sort(body.skeleton.regions[body.skeleton.triangles], axis=1)
    middle: Indices = of_corners[:, 1]
    return middle


@dataclass(frozen=True)
class _Surface:
    """A body after its close-fitting clothes were put on."""

    body: Body
    vertices: Array

    def weights(self, shares: dict[str, Array | float], count: int) -> Array:
        """Rows of the weight matrix for new vertices."""
        bones = self.body.skeleton.bones
        columns = bones | {f"hanging {joint}": len(bones) + i for i, joint in enumerate(HANGING)}
        weights = np.zeros((count, len(columns)), np.float32)
        for bone, share in shares.items():
            weights[:, columns[bone]] += share
        shared: Array = weights / weights.sum(1, keepdims=True)
        return shared


def _padded(weights: Array) -> Array:
    """With a column for each joint that things hang from."""
    padded: Array = np.pad(weights, ((0, 0), (0, len(HANGING))))
    return padded


def _parts(person: Person, marks: Landmarks, skin: _Surface) -> list[Part]:
    parts = []
    if person.bottom in ("skirt", "long skirt", "dress"):
        parts.append(_tube(person, marks, skin, person.leg_length, Slot.BOTTOM, 0.012, 0.0))
    if person.outer == "coat":
        opening = max(person.opening, 0.01)
        parts.append(_tube(person, marks, skin, person.coat_length, Slot.OUTER, 0.03, opening))
    parts += _hair(person, marks, skin)
    if person.headgear in ("cap", "brim"):
        parts.append(_brim(person, marks, skin))
    if person.bag != "none":
        parts.append(_bag(person, marks, skin))
    return parts


def _tube(
    person: Person,
    marks: Landmarks,
    skin: _Surface,
    length: float,
    slot: Slot,
    clearance: float,
    opening: float,
) -> Part:
    """A skirt or the lower half of a coat: rings from the waist to the hem."""
    rings, around = 9, 28
    regions = skin.body.skeleton.regions
    inside = skin.vertices[np.isin(regions, (TORSO, LEG))]
    top, bottom = marks.waist, marks.hip - length * marks.leg
    heights = np.linspace(top, bottom, rings)
    width = depth = 0.0
    widths, depths, middles = [], [], []
    for z in heights:
        near = inside[np.abs(inside[:, 2] - z) < 0.04]
        width = max(width, float(np.abs(near[:, 0]).max()))
        middle = float(near[:, 1].min() + near[:, 1].max()) / 2
        depth = max(depth, float(np.ptp(near[:, 1])) / 2)
        widths.append(width)
        depths.append(depth)
        middles.append(middle)
    spread = clearance + (0.03 + 2.5 * person.looseness) * np.linspace(0, 1, rings)
    gap = opening / 0.25
    angles = np.linspace(gap, 2 * np.pi - gap, around)
    pleats = 1 + 0.05 * np.linspace(0, 1, rings)[:, None] * np.sin(7 * angles + person.identity)
    x = (np.array(widths) + spread)[:, None] * np.sin(angles) * pleats
    y = np.array(middles)[:, None] - (np.array(depths) + spread)[:, None] * np.cos(angles) * pleats
    z = np.broadcast_to(heights[:, None], x.shape)
    vertices = np.stack([x, y, z], -1).reshape(-1, 3)
    down = np.clip((marks.hip + 0.05 - vertices[:, 2]) / marks.leg, 0, 1)
    left = 1 / (1 + np.exp(-vertices[:, 0] / 0.05))
    legs = np.clip(2.2 * down, 0, 0.85)
    lower = np.clip((down - 0.35) * 1.5, 0, 0.7)
    shares: dict[str, Array | float] = {"spine05": 1 - legs}
    for side, share in (("L", left), ("R", 1 - left)):
        shares[f"upperleg02.{side}"] = legs * share * (1 - lower)
        shares[f"lowerleg01.{side}"] = legs * share * lower
    weights = skin.weights(shares, len(vertices))
    return Part(vertices, _grid(rings, around), weights, slot)


def _hair(person: Person, marks: Landmarks, skin: _Surface) -> list[Part]:
    centre = marks.head_centre
    up = np.array([0, 0, 1])
    if person.hair == "bun":
        at = centre + np.array([0, 0.09, 0.09])
        return [_ball(at, np.array([0.045, 0.045, 0.045]), skin, "head", Slot.HAIR)]
    if person.hair == "ponytail":
        at = centre + np.array([0, 0.13, 0.0]) - up * 0.08
        return [_ball(at, np.array([0.03, 0.035, 0.13]), skin, "head", Slot.HAIR)]
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


def _brim(person: Person, marks: Landmarks, skin: _Surface) -> Part:
    centre = marks.head_centre
    z = marks.chin + 0.76 * (marks.crown - marks.chin)
    around = 20
    if person.headgear == "cap":
        angles, reach = np.linspace(-1.1, 1.1, around), 0.185
    else:
        angles, reach = np.linspace(-np.pi, np.pi, around), 0.17
    rings = np.linspace(0.085, reach, 3)[:, None]
    x = rings * np.sin(angles)
    y = centre[1] - rings * np.cos(angles) * 1.1
    heights = np.broadcast_to(z - 0.15 * (rings - 0.085), x.shape)
    vertices = np.stack([x, y, heights], -1).reshape(-1, 3)
    weights = skin.weights({"head": 1.0}, len(vertices))
    return Part(vertices, _grid(3, around), weights, Slot.HEADGEAR)


def _bag(person: Person, marks: Landmarks, skin: _Surface) -> Part:
    size = person.bag_size
    body = skin.body
    if person.bag in ("backpack", "big backpack"):
        big = person.bag == "big backpack"
        half = np.array([0.15, 0.085, 0.22 + 0.08 * big]) * size
        near = skin.vertices[
            (body.skeleton.regions == TORSO)
            & (np.abs(skin.vertices[:, 2] - marks.shoulder + 0.15) < 0.1)
        ]
        at = np.array([0, near[:, 1].max() + half[1] * 0.8, marks.shoulder + 0.06 - half[2]])
        return _ball(at, half, skin, "spine02", Slot.BAG, square=5.0)
    if person.bag == "shoulder bag":
        half = np.array([0.05, 0.15, 0.12]) * size
        hips = skin.vertices[np.abs(skin.vertices[:, 2] - marks.hip) < 0.05]
        hips = hips[np.abs(hips[:, 0]) < 0.3]
        at = np.array(
            [person.bag_side * (np.abs(hips[:, 0]).max() + half[0] * 0.6), 0.02, marks.hip]
        )
        return _ball(at, half, skin, "spine05", Slot.BAG, square=5.0)
    side = "L" if person.bag_side > 0 else "R"
    half = np.array([0.045, 0.13, 0.11]) * size
    at = body.joint(f"wrist.{side}") - np.array([0, 0, 0.12 + half[2]])
    return _ball(at, half, skin, f"hanging wrist.{side}", Slot.BAG, square=5.0)


def _ball(
    at: Array, half: Array, skin: _Surface, bone: str, slot: Slot, square: float = 2.0
) -> Part:
    """A superellipsoid: a ball for `square` 2, a rounded box above."""
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
    """Triangles of a rows x columns grid of vertices."""
    i = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (v.reshape(-1) for v in (i[:-1, :-1], i[:-1, 1:], i[1:, 1:], i[1:, :-1]))
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)
