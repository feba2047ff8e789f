"""The surface of a person: which cloth, skin or hair is at a point of the body.

It is decided when a point is seen, so that seams, hems, hairlines and buttons are sharp however
coarse the mesh.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from vireid.render.bodies import ARM, FOOT, HAND, HEAD, LEG, NECK, TORSO, Array, Body
from vireid.render.people import Person

Indices = NDArray[np.int64]


class Slot(IntEnum):
    """Kinds of material at a point of the surface."""

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
    """Buttons, zips and belts."""
    SOLES = 12
    UMBRELLA = 13
    EYES = 14
    LIPS = 15
    ON_BODY = 16
    """Skin or close-fitting cloth: `worn_at` decides where a ray meets it."""


@dataclass(frozen=True)
class Landmarks:
    """Heights and places on a body in the rest pose, in metres."""

    hip: float
    waist: float
    shoulder: float
    neck: float
    spine: float
    """Distance by which the neck is back."""
    chin: float
    crown: float
    head_centre: Array
    eye: Array
    """Middle of the left eye."""
    mouth: Array
    floor: float
    leg: float
    """Length of a leg from hip to ankle."""


def worn_at(
    person: Person, marks: Landmarks, regions: Indices, limbs: Array, points: Array
) -> Indices:
    """Return the slot of each point of a body.

    Args:
        person: Person who wears the clothes.
        marks: Places of the body's hip, waist, ...
        regions: Part of the body that each point belongs to, n.
        limbs: Position of each point along its limb, n.
        points: Places of the points in the rest pose, n x 3.

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
    """Put on buttons, zips and belts."""
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
    """Return what covers a head; 0 where it is skin."""
    up = (points[:, 2] - marks.chin) / (marks.crown - marks.chin)
    back = (points[:, 1] - marks.head_centre[1]) / 0.1
    covered = on_face(person, marks, points)
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


def on_face(person: Person, marks: Landmarks, points: Array) -> Indices:
    """Return eyes, brows, lips, beard and glasses; 0 elsewhere."""
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


def landmarks_of(body: Body) -> Landmarks:
    """Return the places of a body's hip, waist, ..."""
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


def limbs_of(body: Body) -> Array:
    """Return the position of each vertex along its arm or leg."""
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
    """Return the position along a bent limb: 0 at its start, 0.5 at its joint, 1 at its end."""
    first = (points - start) @ (middle - start) / ((middle - start) ** 2).sum()
    second = (points - middle) @ (end - middle) / ((end - middle) ** 2).sum()
    along: Array = np.where(second > 0, 0.5 + 0.5 * second, 0.5 * np.minimum(first, 1))
    return along
