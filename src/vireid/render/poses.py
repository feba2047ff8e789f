"""Walking and standing: where a dressed body's vertices are at one moment."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from vireid.render.bodies import Array, Body
from vireid.render.outfits import HANGING, Outfit
from vireid.render.people import Person

LOWERED = 0.62
"""Radians from anny's rest pose down to hanging arms."""


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


def draw_pose(person: Person, rng: Generator) -> Pose:
    """A moment of this person's walk; one time in five they stand."""
    walks = rng.random() < 0.8
    return Pose(
        phase=float(rng.uniform(0, 2 * np.pi)),
        stride=person.stride * float(rng.uniform(0.85, 1.15)) * (1.0 if walks else 0.12),
        arm_swing=person.arm_swing * float(rng.uniform(0.7, 1.3)) * (1.0 if walks else 0.15),
        elbow=float(rng.uniform(-0.2, 0.3)),
        stoop=person.stoop + float(rng.normal(0, 0.02)),
        head_turn=float(rng.normal(0, 0.3)),
        head_nod=float(rng.normal(0.05, 0.1)),
        spread=float(rng.uniform(-0.02, 0.14)),
    )


def posed(outfit: Outfit, pose: Pose) -> Array:
    """Vertices of an outfit in a pose, v x 3, standing on z = 0, by linear blend skinning."""
    transforms = _transforms(outfit.body, pose).reshape(-1, 12)
    blended = (outfit.weights @ transforms).reshape(-1, 3, 4)
    vertices = np.einsum("vij,vj->vi", blended[:, :, :3], outfit.vertices) + blended[:, :, 3]
    vertices[:, 2] -= vertices[:, 2].min()
    moved: Array = vertices.astype(np.float32)
    return moved


def _transforms(body: Body, pose: Pose) -> Array:
    """World transform of every bone against the rest pose, b x 3 x 4."""
    turns = _turns(pose)
    bones = body.skeleton.bones
    rotation_of = {bones[name]: turn for name, turn in turns.items()}
    world = np.zeros((len(bones) + len(HANGING), 3, 4), np.float32)
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
    return world


def _turns(pose: Pose) -> dict[str, Array]:
    """Rotation of the bones that move; forward is -y, so a forward swing turns about -x."""
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
        turns[f"foot.{side}"] = _about_x(0.4 * forward - 0.25 * knee)
        lowered = _about_y(sign * (LOWERED - pose.spread))
        turns[f"upperarm01.{side}"] = _about_x(sign * pose.arm_swing * swing) @ lowered
        bend = pose.elbow + 0.3 * pose.arm_swing * max(0.0, -sign * swing)
        turns[f"lowerarm01.{side}"] = lowered.T @ _about_x(-bend) @ lowered
    return turns


def _about_x(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]], np.float32)


def _about_y(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)


def _about_z(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
