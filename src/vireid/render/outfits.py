"""A person in clothes, as one mesh in the rest pose.

Close-fitting clothes are the body's own surface, smoothed and pushed outwards by the cloth's
thickness; the cloth at a point is chosen when the point is seen (`worn`). Things that hang are
surfaces of their own (`hanging`).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vireid.render.bodies import ARM, FOOT, HEAD, LEG, TORSO, Array, Body
from vireid.render.body_surface import Indices, Landmarks, Slot, landmarks_of, limbs_of, worn_at
from vireid.render.hanging_parts import HANGING, ROLLING, Clothed, middle_of_head, parts_worn
from vireid.render.materials import EYE, METAL, Cloth
from vireid.render.people import Person


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
    """Part of the body that each triangle belongs to."""
    slots: Indices
    """Slot of each triangle; ON_BODY where `worn_at` decides."""
    limbs: Array
    """Position of each vertex along its arm or leg: 0 shoulder or hip, 1 wrist or ankle."""
    cloths: tuple[Cloth, ...]
    """Material of each slot, in the order of `Slot`."""


def dress(person: Person, body: Body) -> Outfit:
    """Put a person's clothes on a body."""
    marks = landmarks_of(body)
    limbs = limbs_of(body)
    regions = body.skeleton.regions
    worn = worn_at(person, marks, regions, limbs, body.vertices)
    skin = Clothed(body, _clothed(person, body, marks, limbs, worn))
    parts = parts_worn(person, marks, skin)
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


def _clothed(person: Person, body: Body, marks: Landmarks, limbs: Array, worn: Indices) -> Array:
    """Return the vertices of the body under its close-fitting clothes, v x 3."""
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
    """Return each vertex's value moved to the mean of its neighbours' values, v x k."""
    here = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1)
    there = triangles[:, [1, 0, 2, 1, 0, 2]].reshape(-1)
    count = np.maximum(np.bincount(here, minlength=len(values)), 1)
    for _ in range(times):
        sums = [np.bincount(here, v[there], minlength=len(values)) for v in values.T]
        values = 0.5 * values + 0.5 * np.stack(sums, 1) / count[:, None]
    return values


def _sunk_face(head: Array, marks: Landmarks) -> Array:
    """Return a head with room for `_face`, which has no holes to see into."""
    away = head - middle_of_head(marks)
    aside = np.abs(np.arctan2(away[:, 0], -away[:, 1]))
    lifted = np.arctan2(away[:, 2], np.hypot(away[:, 0], away[:, 1]))
    behind = (aside < 0.9) & (lifted > -0.85) & (lifted < 0.2)
    sunk: Array = head - 0.09 * behind[:, None] * away
    return sunk


def _straightened(
    person: Person, body: Body, limbs: Array, worn: Indices, vertices: Array
) -> Array:
    """Let trouser legs and sleeves hang straight instead of following calves and wrists."""
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
    """Move the vertices of a limb's cloth out to a cone that is `end` metres wide at its end."""
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
    """Return the metres by which cloth stands off the skin."""
    loose = person.looseness
    quilted = 0.02 * (person.outer_cloth.pattern == "quilted")
    of_slot = np.zeros(len(Slot))
    of_slot[Slot.TOP] = 0.003 + 0.6 * loose + (0.01 if person.top == "sweater" else 0.0)
    of_slot[Slot.OUTER] = 0.016 + quilted + 0.9 * loose
    of_slot[Slot.TRIM] = of_slot[Slot.OUTER if person.outer != "none" else Slot.TOP]
    of_slot[Slot.BOTTOM] = 0.003 if person.bottom == "leggings" else 0.006 + 0.4 * loose
    of_slot[Slot.SHOES] = of_slot[Slot.SOLES] = 0.02
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
    """Return lips, red by blood, which the near infrared hardly sees."""
    r, g, b = skin.colour
    return replace(skin, colour=(0.8 * r, 0.5 * g, 0.55 * b), infrared=0.95 * skin.infrared)


def vertex_normals(vertices: Array, triangles: NDArray[np.int32]) -> Array:
    """Return unit normals, v x 3, weighted by the area of the triangles around each vertex."""
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


def _padded(weights: Array) -> Array:
    """Return weights with a column for each joint that things hang from."""
    padded: Array = np.pad(weights, ((0, 0), (0, len(HANGING) + len(ROLLING))))
    return padded
