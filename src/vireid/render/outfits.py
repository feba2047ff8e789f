"""A person in clothes, as one mesh in the rest pose.

Close-fitting clothes are the body's own surface, pushed outwards by the cloth's thickness;
which cloth a point of it wears is decided where it is seen (`worn_at`), so that seams are sharp.
Skirts, coats, hair, brims and bags are surfaces of their own, carried by the bones they hang on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from vireid.render.bodies import ARM, FOOT, HAND, HEAD, LEG, NECK, TORSO, Array, Body
from vireid.render.materials import EYE, METAL, Cloth
from vireid.render.people import Person

Indices = NDArray[np.int64]

HANGING = ("wrist.L", "wrist.R")
"""Joints that things hang from: carried along but not turned; weight columns after the bones'."""
ROLLING = ("wheels.L", "wheels.R")
"""Places on the floor below a wrist, likewise; columns after those of `HANGING`."""


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
    GLASSES = 10
    TRIM = 11
    """Buttons, zips, belts."""
    SOLES = 12
    UMBRELLA = 13
    EYES = 14
    LIPS = 15
    ON_BODY = 16
    """Decided where it is seen."""


@dataclass(frozen=True)
class Landmarks:
    """Heights and places on a body in the rest pose, in metres."""

    hip: float
    waist: float
    shoulder: float
    neck: float
    spine: float
    """How far back the neck is."""
    chin: float
    crown: float
    head_centre: Array
    eye: Array
    """Middle of the left one."""
    mouth: Array
    floor: float
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
    skin = _Surface(body, _clothed(person, body, marks, limbs, worn))
    parts = _parts(person, marks, skin)
    first = np.cumsum([len(skin.vertices)] + [len(p.vertices) for p in parts])[:-1]
    triangles = [
        body.skeleton.triangles,
        *(p.triangles + f for p, f in zip(parts, first, strict=True)),
    ]
    loose_regions = np.concatenate(
        [np.full(len(p.triangles), HEAD if p.slot is Slot.ON_BODY else TORSO) for p in parts]
    )
    return Outfit(
        person=person,
        body=body,
        landmarks=marks,
        vertices=np.concatenate([skin.vertices, *(p.vertices for p in parts)]).astype(np.float32),
        triangles=np.concatenate(triangles).astype(np.int32),
        weights=np.concatenate([_padded(body.skeleton.weights), *(p.weights for p in parts)]),
        regions=np.concatenate([_region_of_triangles(body), loose_regions]),
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
    trunk = torso | (regions == NECK)
    shoulder = np.maximum(np.abs(x) - 0.07, 0)
    neckline = z - marks.neck - 0.45 * (y - marks.spine) - 2 * shoulder
    worn[trunk & (neckline < 0.008)] = Slot.TOP
    worn[(torso | leg) & (z < bottom_top)] = Slot.BOTTOM
    length = person.leg_length if person.bottom in _WITH_LEGS else 0.05
    worn[leg & (limbs > length)] = Slot.SKIN
    worn[torso & (z > hangs_over) & (z < bottom_top) & (person.hem > 0.1)] = Slot.TOP
    if person.top == "tank":
        straps = (np.abs(np.abs(x) - 0.085) < 0.02) & (regions == TORSO)
        worn[trunk & (z > marks.shoulder - 0.01) & ~straps] = Slot.SKIN
    worn[arm & (limbs < person.sleeve)] = Slot.TOP
    if person.outer != "none":
        low = marks.hip - 0.03 if person.outer != "coat" else marks.hip - 0.2
        open_front = (np.abs(x) < person.opening) & (y < marks.head_centre[1])
        worn[(trunk | leg) & (z > low) & (neckline < 0.035) & ~open_front] = Slot.OUTER
        worn[arm & (limbs < person.outer_sleeve)] = Slot.OUTER
    _fasten(person, marks, worn, points)
    foot = leg | (regions == FOOT)
    worn[foot & ((z < marks.floor + 0.078) | (limbs > person.boots + 0.01))] = Slot.SHOES
    worn[foot & (z < marks.floor + 0.018)] = Slot.SOLES
    if person.gloves:
        worn[(regions == HAND) | (arm & (limbs > 0.95))] = Slot.GLOVES
    worn[torso & _under_straps(person, marks, points)] = Slot.BAG
    head = (regions == HEAD) | ((regions == NECK) & (neckline > 0.02))
    covered = _on_head(person, marks, points[head])
    worn[head] = np.where(covered > 0, covered, worn[head])
    return worn


_WITH_LEGS = ("trousers", "wide trousers", "leggings", "shorts")


def _fasten(person: Person, marks: Landmarks, worn: Indices, points: Array) -> None:
    """Buttons, zips and belts."""
    x, y, z = points.T
    front = y < marks.head_centre[1]
    on_line = front & (np.abs(x) < 0.006)
    if person.outer in ("jacket", "vest") and not person.opening:
        worn[on_line & (worn == Slot.OUTER)] = Slot.TRIM
    if person.outer == "coat" and not person.opening:
        button = front & (np.hypot(x - 0.03, (z % 0.13) - 0.065) < 0.013)
        worn[button & (worn == Slot.OUTER)] = Slot.TRIM
    if person.top == "shirt":
        button = front & (np.hypot(x, (z % 0.09) - 0.045) < 0.009)
        worn[button & (worn == Slot.TOP)] = Slot.TRIM
    if person.hem <= 0.1 and person.bottom in ("trousers", "wide trousers", "shorts"):
        belt = (z < marks.waist) & (z > marks.waist - 0.035)
        worn[belt & (worn == Slot.BOTTOM)] = Slot.TRIM


def _on_head(person: Person, marks: Landmarks, points: Array) -> Indices:
    """What covers a head; 0 where it is skin."""
    up = (points[:, 2] - marks.chin) / (marks.crown - marks.chin)
    back = (points[:, 1] - marks.head_centre[1]) / 0.1
    covered = _on_face(person, marks, points)
    hairline = np.interp(back, _HAIRLINE[0], _HAIRLINE[1 if person.hair == "short" else 2])
    if person.fringe:
        hairline = np.where(back < -0.3, np.minimum(hairline, 0.66), hairline)
    covered[(up > hairline) & (person.hair != "bald")] = Slot.HAIR
    edge = {"cap": 0.7, "brim": 0.72, "beanie": 0.64, "hood": 9.0}.get(person.headgear, 9.0)
    covered[up > edge - 0.12 * np.clip(back, 0, 1)] = Slot.HEADGEAR
    if person.headgear == "hood":
        face = (back < -0.3) & (up < 0.9) & (np.abs(points[:, 0]) < 0.075)
        covered[~face & (up > -0.35)] = Slot.HEADGEAR
    return covered


_HAIRLINE = (
    (-1.3, -0.75, -0.5, -0.3, -0.1, 0.2, 1.2),
    (0.86, 0.83, 0.74, 0.5, 0.42, 0.3, 0.1),
    (0.86, 0.8, 0.68, 0.4, 0.05, -0.2, -0.6),
)
"""Decimetres behind the middle of the head; how high hair begins there if short, and if longer."""


def _on_face(person: Person, marks: Landmarks, points: Array) -> Indices:
    """Eyes, brows, lips, beard and glasses; 0 elsewhere."""
    covered = np.zeros(len(points), np.int64)
    front = points[:, 1] < marks.head_centre[1] - 0.03
    aside = np.abs(np.abs(points[:, 0]) - marks.eye[0])
    above = points[:, 2] - marks.eye[2]
    below = points[:, 2] - marks.mouth[2]
    across = np.abs(points[:, 0])
    beard = {
        "none": np.zeros(len(points), bool),
        "moustache": (below > 0.004) & (below < 0.018) & (across < 0.032),
        "short beard": (below < 0.018) & (below > -0.09),
        "full beard": (below < 0.022) & (below > -0.12),
    }[person.beard]
    covered[front & beard] = Slot.HAIR
    covered[front & (np.abs(below) < 0.008) & (across < 0.025)] = Slot.LIPS
    covered[front & (np.hypot(aside / 0.016, above / 0.008) < 1)] = Slot.EYES
    covered[front & (np.abs(above - 0.022 + 8 * aside**2) < 0.005) & (aside < 0.021)] = Slot.HAIR
    if person.glasses:
        around = np.hypot(aside / 0.027, (above + 0.003) / 0.021)
        bridge = (across < 0.012) & (np.abs(above - 0.004) < 0.003)
        covered[front & (((around > 0.82) & (around < 1.08)) | bridge)] = Slot.GLASSES
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


def _clothed(person: Person, body: Body, marks: Landmarks, limbs: Array, worn: Indices) -> Array:
    """Vertices of the body under its close-fitting clothes, v x 3."""
    triangles, regions = body.skeleton.triangles, body.skeleton.regions
    vertices = body.vertices.copy()
    vertices[regions == HEAD] = _sunk_face(vertices[regions == HEAD], marks)
    smoothing = np.zeros(len(Slot))
    smoothing[[Slot.OUTER, Slot.SHOES, Slot.SOLES, Slot.SCARF, Slot.BAG, Slot.TRIM]] = 1.0
    smoothing[Slot.TOP] = min(1.0, 0.6 + 30 * person.looseness)
    smoothing[Slot.BOTTOM] = 0.0 if person.bottom == "leggings" else 0.8
    amount = (smoothing[worn] * np.isin(regions, (TORSO, ARM, LEG, FOOT)))[:, None]
    vertices += amount * (_smoothed(vertices, triangles, 4) - vertices)
    shod = np.isin(worn, (Slot.SHOES, Slot.SOLES)) & (regions == FOOT)
    vertices[shod] = _smoothed(vertices, triangles, 14)[shod]
    thickness = _thickness(person, worn)
    thickness = 0.4 * thickness + 0.6 * _smoothed(thickness[:, None], triangles, 1)[:, 0]
    vertices += vertex_normals(vertices, triangles) * thickness[:, None]
    return _straightened(person, body, limbs, worn, vertices).astype(np.float32)


def _smoothed(values: Array, triangles: NDArray[np.int32], times: int) -> Array:
    """Each vertex's value moved to the mean of its neighbours' values, v x k."""
    here = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1)
    there = triangles[:, [1, 0, 2, 1, 0, 2]].reshape(-1)
    count = np.maximum(np.bincount(here, minlength=len(values)), 1)
    for _ in range(times):
        sums = [np.bincount(here, v[there], minlength=len(values)) for v in values.T]
        values = 0.5 * values + 0.5 * np.stack(sums, 1) / count[:, None]
    return values


def _sunk_face(head: Array, marks: Landmarks) -> Array:
    """A head whose face has made room for `_face`, which has no holes to see into."""
    away = head - _middle_of_head(marks)
    aside = np.abs(np.arctan2(away[:, 0], -away[:, 1]))
    lifted = np.arctan2(away[:, 2], np.hypot(away[:, 0], away[:, 1]))
    behind = (aside < 0.9) & (lifted > -0.85) & (lifted < 0.2)
    sunk: Array = head - 0.09 * behind[:, None] * away
    return sunk


def _middle_of_head(marks: Landmarks) -> Array:
    return np.array([0, marks.head_centre[1], (marks.chin + marks.crown) / 2], np.float32)


def _straightened(
    person: Person, body: Body, limbs: Array, worn: Indices, vertices: Array
) -> Array:
    """Trouser legs and sleeves hang straight instead of following calves and wrists."""
    regions = body.skeleton.regions
    loose = person.looseness
    cuts = []
    if person.bottom in ("trousers", "wide trousers", "shorts"):
        cuts.append((LEG, Slot.BOTTOM, 0.062 + 0.8 * loose + person.flare))
    if person.outer in ("jacket", "coat"):
        cuts.append((ARM, Slot.OUTER, 0.052 + 0.5 * loose))
    if person.top in ("shirt", "sweater"):
        cuts.append((ARM, Slot.TOP, 0.042 + 0.4 * loose))
    for region, slot, end in cuts:
        for side in (1, -1):
            on_limb = (regions == region) & (body.vertices[:, 0] * side > 0)
            inside = on_limb & (worn == slot)
            if inside.any():
                vertices[inside] = _widened(vertices, limbs, on_limb, inside, end)
    return vertices


def _widened(
    vertices: Array, limbs: Array, on_limb: NDArray[np.bool_], inside: NDArray[np.bool_], end: float
) -> Array:
    """Vertices of a limb's cloth moved out to a cone that is `end` metres wide at its end."""
    places = np.array([0.15, 0.5, 0.92])
    bands = [vertices[on_limb & (np.abs(limbs - p) < 0.08)] for p in places]
    if any(len(band) < 3 for band in bands):
        return vertices[inside]
    middles = np.stack([(band.min(0) + band.max(0)) / 2 for band in bands])
    at = limbs[inside]
    axis = np.stack([np.interp(at, places, middles[:, i]) for i in range(3)], 1)
    along = middles[2] - middles[0]
    along /= np.linalg.norm(along)
    away = vertices[inside] - axis
    away -= (away @ along)[:, None] * along
    wide = np.linalg.norm(away, axis=1)
    start = float(np.linalg.norm(np.ptp(bands[0], axis=0)[:2])) * 0.3
    least = np.interp(at, [0.2, 1.0], [min(start, 1.3 * end), end])
    grown = np.where(at > 0.2, np.maximum(wide, least), wide)
    moved: Array = vertices[inside] + away * (grown / np.maximum(wide, 1e-3) - 1)[:, None]
    return moved


def _thickness(person: Person, worn: Indices) -> Array:
    """Metres by which cloth stands off the skin."""
    loose = person.looseness
    quilted = 0.02 * (person.outer_cloth.pattern == "quilted")
    of_slot = np.zeros(len(Slot))
    of_slot[Slot.TOP] = 0.003 + 0.6 * loose + (0.01 if person.top == "sweater" else 0.0)
    of_slot[Slot.OUTER] = 0.016 + quilted + 0.9 * loose
    of_slot[Slot.TRIM] = of_slot[Slot.OUTER if person.outer != "none" else Slot.TOP]
    of_slot[Slot.BOTTOM] = 0.003 if person.bottom == "leggings" else 0.006 + 0.4 * loose
    of_slot[Slot.SHOES] = of_slot[Slot.SOLES] = 0.02
    of_slot[Slot.SCARF] = 0.04
    of_slot[Slot.BAG] = of_slot[Slot.OUTER if person.outer != "none" else Slot.TOP] + 0.004
    of_slot[Slot.GLOVES] = 0.006
    of_slot[Slot.HAIR] = {"short": 0.012, "bald": 0.003, "curly": 0.055}.get(person.hair, 0.026)
    if person.headgear != "none":
        of_slot[Slot.HAIR] = min(of_slot[Slot.HAIR], 0.018)
    of_slot[Slot.HEADGEAR] = {"hood": 0.035, "beanie": 0.028}.get(person.headgear, 0.024)
    return of_slot[worn].astype(np.float32)


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
        Slot.GLASSES: _DARK,
        Slot.TRIM: METAL
        if person.outer != "none" and person.outer_cloth.colour[0] < 0.15
        else _DARK,
        Slot.SOLES: person.sole_cloth,
        Slot.UMBRELLA: person.umbrella_cloth,
        Slot.EYES: EYE,
        Slot.LIPS: _lips(person.skin),
        Slot.ON_BODY: person.skin,
    }
    return tuple(of_slot[slot] for slot in Slot)


_DARK = Cloth((0.02, 0.02, 0.02), 0.08, gloss=0.3)


def _lips(skin: Cloth) -> Cloth:
    """Red by blood, which the near infrared hardly sees."""
    r, g, b = skin.colour
    return replace(skin, colour=(0.8 * r, 0.5 * g, 0.55 * b), infrared=0.95 * skin.infrared)


def _landmarks(body: Body) -> Landmarks:
    head = body.vertices[body.skeleton.regions == HEAD]
    hip = float(body.joint("upperleg01.L")[2])
    shoulder = float(body.joint("upperarm01.L")[2])
    crown = float(head[:, 2].max())
    skull = head[head[:, 2] > crown - 0.12]
    return Landmarks(
        hip=hip,
        waist=hip + 0.22 * (shoulder - hip),
        shoulder=shoulder,
        neck=float(body.joint("neck01")[2]),
        spine=float(body.joint("neck01")[1]),
        chin=float(body.joint("head")[2]) - 0.02,
        crown=crown,
        head_centre=skull.mean(0),
        eye=body.joint("eye.L"),
        mouth=body.joint("jaw") - np.array([0, 0, 0.014], np.float32),
        floor=float(body.vertices[:, 2].min()),
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

    def weights(self, shares: Mapping[str, Array | float], count: int) -> Array:
        """Rows of the weight matrix for new vertices."""
        bones = self.body.skeleton.bones
        others = (*(f"hanging {joint}" for joint in HANGING), *ROLLING)
        columns = bones | {name: len(bones) + i for i, name in enumerate(others)}
        weights = np.zeros((count, len(columns)), np.float32)
        for bone, share in shares.items():
            weights[:, columns[bone]] += share
        shared: Array = weights / weights.sum(1, keepdims=True)
        return shared


def _padded(weights: Array) -> Array:
    """With a column for each joint that things hang from."""
    padded: Array = np.pad(weights, ((0, 0), (0, len(HANGING) + len(ROLLING))))
    return padded


def _parts(person: Person, marks: Landmarks, skin: _Surface) -> list[Part]:
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
    """How far a tight string around points seen from above is from (0, 0), at angles."""
    towards = np.stack([np.sin(angles), -np.cos(angles)])
    furthest = (points @ towards).max(0)
    apart = np.cos(angles[:, None] - angles)
    reach = np.where(apart > 0.1, furthest / np.maximum(apart, 0.1), np.inf)
    around: Array = reach.min(1)
    return around


def _tube(
    person: Person,
    marks: Landmarks,
    skin: _Surface,
    length: float,
    slot: Slot,
    wide: float,
    opening: float,
) -> Part:
    """A skirt or the lower half of a coat or top, `wide` metres off the body at its hem."""
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


def _legwards(marks: Landmarks, skin: _Surface, vertices: Array) -> Array:
    """Weights of cloth that hangs from the waist and is pushed by both legs."""
    down = np.clip((marks.hip + 0.05 - vertices[:, 2]) / marks.leg, 0, 1)
    left = 1 / (1 + np.exp(-vertices[:, 0] / 0.04))
    legs = np.clip(2.4 * down, 0, 0.96)
    lower = np.clip((down - 0.38) * 2, 0, 0.85)
    shares: dict[str, Array | float] = {"spine05": 1 - legs}
    for side, share in (("L", left), ("R", 1 - left)):
        shares[f"upperleg02.{side}"] = legs * share * (1 - lower)
        shares[f"lowerleg01.{side}"] = legs * share * lower
    return skin.weights(shares, len(vertices))


def _face(person: Person, marks: Landmarks, skin: _Surface) -> Part:
    """A smooth face: the furthest of all that the body has in each direction, rounded off."""
    rows, columns = 19, 23
    head = skin.body.vertices[skin.body.skeleton.regions == HEAD] - _middle_of_head(marks)
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
    vertices = _middle_of_head(marks) + towards * reach.reshape(-1, 1)
    bearded = _on_face(person, marks, vertices) == Slot.HAIR
    vertices += 0.008 * bearded[:, None] * towards
    return Part(
        vertices, _grid(rows, columns), skin.weights({"head": 1.0}, rows * columns), Slot.ON_BODY
    )


def _scarf(marks: Landmarks, skin: _Surface) -> list[Part]:
    """Wound around the neck, one end hanging down in front."""
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


def _collar(marks: Landmarks, skin: _Surface, slot: Slot, high: float, opening: float) -> Part:
    """A band that stands around the neck, open in front."""
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


def _hair(person: Person, marks: Landmarks, skin: _Surface) -> list[Part]:
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


def _brim(person: Person, marks: Landmarks, skin: _Surface) -> Part:
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


def _carried(person: Person, marks: Landmarks, skin: _Surface) -> list[Part]:
    """Bags and umbrellas."""
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


def _backpack(person: Person, marks: Landmarks, skin: _Surface) -> Part:
    big = person.bag == "big backpack"
    half = np.array([0.15, 0.085, 0.22 + 0.08 * big]) * person.bag_size
    near = skin.vertices[
        (skin.body.skeleton.regions == TORSO)
        & (np.abs(skin.vertices[:, 2] - marks.shoulder + 0.15) < 0.1)
    ]
    at = np.array([0, near[:, 1].max() + half[1] * 0.75, marks.shoulder + 0.05 - half[2]])
    return _ball(at, half, skin, "spine02", Slot.BAG, square=4.0)


def _shoulder_bag(person: Person, marks: Landmarks, skin: _Surface) -> Part:
    half = np.array([0.045, 0.15, 0.12]) * person.bag_size
    hips = skin.vertices[np.abs(skin.vertices[:, 2] - marks.hip) < 0.05]
    hips = hips[np.abs(hips[:, 0]) < 0.3]
    aside = person.bag_side * (np.abs(hips[:, 0]).max() + half[0] * 0.6)
    at = np.array([aside, 0.03, marks.hip + 0.02])
    return _ball(at, half, skin, "spine05", Slot.BAG, square=5.0)


def _grip(skin: _Surface, side: str) -> Array:
    """Where a hand holds things."""
    wrist = skin.body.joint(f"wrist.{side}")
    held: Array = wrist - np.array([0, 0, 0.075])
    return held


def _handbag(person: Person, skin: _Surface, side: str) -> list[Part]:
    bone = f"hanging wrist.{side}"
    half = np.array([0.045, 0.14, 0.1]) * person.bag_size
    grip = _grip(skin, side)
    at = grip - np.array([0, 0, 0.13 + half[2]])
    straps = [
        _rod(grip, at + np.array([0, y, half[2] * 0.9]), 0.008, skin, {bone: 1.0}, Slot.BAG)
        for y in (-0.07, 0.07)
    ]
    return [_ball(at, half, skin, bone, Slot.BAG, square=5.0), *straps]


def _suitcase(person: Person, marks: Landmarks, skin: _Surface, side: str) -> list[Part]:
    """Pulled along behind by its handle; it rolls on the floor."""
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


def _closed_umbrella(skin: _Surface, side: str) -> Part:
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


def _open_umbrella(skin: _Surface, side: str) -> list[Part]:
    """Held up in front of the shoulder: shaft and canopy."""
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
    start: Array, end: Array, radius: float, skin: _Surface, shares: Mapping[str, float], slot: Slot
) -> Part:
    """A thin straight thing with six sides; its first half of vertices are at the start."""
    along = (end - start) / np.linalg.norm(end - start)
    aside = np.cross(along, [0.0, 1.0, 0.0] if abs(along[1]) < 0.9 else [1.0, 0.0, 0.0])
    aside /= np.linalg.norm(aside)
    angles = np.linspace(0, 2 * np.pi, 7)[:, None]
    ring = radius * (np.cos(angles) * aside + np.sin(angles) * np.cross(along, aside))
    vertices = np.concatenate([start + ring, end + ring])
    weights = skin.weights(shares, len(vertices))
    return Part(vertices, _grid(2, 7), weights, slot)


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
