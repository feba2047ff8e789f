"""Solids of a picture: who and what stands where, and what rays meet there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from vireid.render.bodies import Array
from vireid.render.outfits import Outfit
from vireid.render.places import Place
from vireid.render.poses import draw_pose, posed
from vireid.render.scenes import Camera
from vireid.render.things import BEFORE, BEHIND, Thing, thing
from vireid.render.views import View


@dataclass(frozen=True)
class Solid:
    """A person or thing that rays may meet."""

    vertices: Array
    triangles: NDArray[np.integer[Any]]
    outfit: Outfit | None = None
    thing: Thing | None = None
    before: bool = False
    """Whether it stands between the camera and the person."""


@dataclass(frozen=True)
class Hits:
    """The first things that n rays meet."""

    solids: NDArray[np.integer[Any]]
    """Index of the solid, -1 for none; 0 is the person."""
    triangles: NDArray[np.integer[Any]]
    u: Array
    v: Array
    distances: Array
    person_behind: NDArray[np.bool_]
    """Whether the ray meets the person, perhaps behind something else."""


class Solids:
    """Solids at which rays can be cast; the first is the person."""

    def __init__(self, solids: Sequence[Solid]) -> None:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self.solids = solids
        self._person, self._others = EmbreeScene(), EmbreeScene()
        for i, solid in enumerate(solids):
            TriangleMesh(self._others if i else self._person, solid.vertices, solid.triangles)

    def cast(self, eye: Array, directions: Array) -> Hits:
        """Return what rays from the camera meet."""
        origins = np.broadcast_to(eye, directions.shape).astype(np.float32).copy()
        met = self._person.run(origins, directions, output=True)
        first = Hits(
            np.where(met["primID"] >= 0, 0, -1),
            met["primID"],
            met["u"],
            met["v"],
            met["tfar"],
            met["primID"] >= 0,
        )
        if len(self.solids) == 1:
            return first
        other = self._others.run(origins, directions, output=True)
        nearer = (other["primID"] >= 0) & ((first.solids < 0) | (other["tfar"] < first.distances))
        return Hits(
            np.where(nearer, other["geomID"] + 1, first.solids),
            np.where(nearer, other["primID"], first.triangles),
            np.where(nearer, other["u"], first.u),
            np.where(nearer, other["v"], first.v),
            np.where(nearer, other["tfar"], first.distances),
            first.person_behind,
        )

    def blocks(self, points: Array, directions: Array) -> NDArray[np.bool_]:
        """Return which points are blocked by a solid in some directions."""
        blocked: NDArray[np.bool_] = self._person.run(points, directions, query="OCCLUDED") >= 0
        if len(self.solids) > 1:
            blocked |= self._others.run(points, directions, query="OCCLUDED") >= 0
        return blocked


def placed(vertices: Array, yaw: float, at: Array) -> Array:
    """Turn a mesh about the vertical and move it in front of the camera."""
    c, s = np.cos(yaw), np.sin(yaw)
    turned = vertices @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]], np.float32)
    turned[:, :2] += at
    return np.ascontiguousarray(turned, np.float32)


def behind(
    there: Place,
    camera: Camera,
    view: View,
    person: Solid,
    bystanders: Sequence[Outfit],
    rng: Generator,
) -> list[Solid]:
    """Draw things and people farther off than the person, where the camera may see them."""
    middle = person.vertices[:, :2].mean(0)
    forward, right = middle - view.eye[:2], view.across
    forward = forward / np.linalg.norm(forward)
    found = []
    for _ in range(int(rng.choice(4, p=[0.3, 0.35, 0.25, 0.1]))):
        name = BEHIND[camera.scenery][int(rng.integers(len(BEHIND[camera.scenery])))]
        least = 2.4 if name == "car" else 0.9
        at = middle + rng.uniform(least, 5.0) * forward + rng.uniform(-1.3, 1.3) * right
        turned = float(rng.uniform(-0.5, 0.5) + np.pi * rng.integers(2))
        made = thing(name, rng).at(float(at[0]), float(at[1]), turned)
        if _inside(there, at):
            found.append(Solid(made.vertices, made.triangles, thing=made))
    for outfit in bystanders:
        if rng.random() < 0.35 / max(1, len(bystanders)) * 1.5:
            at = middle + rng.uniform(0.8, 4.0) * forward + rng.uniform(-1.0, 1.0) * right
            if _inside(there, at):
                found.append(_passer_by(outfit, at, rng))
    return found


def _inside(there: Place, at: Array) -> bool:
    return bool(at[1] < there.depth - 0.25 and abs(at[0]) < there.half_width - 0.25)


def _passer_by(outfit: Outfit, at: Array, rng: Generator, before: bool = False) -> Solid:
    vertices = posed(outfit, draw_pose(outfit.person, rng))
    return Solid(
        placed(vertices, float(rng.uniform(0, 2 * np.pi)), at),
        outfit.triangles,
        outfit,
        before=before,
    )


def before(
    camera: Camera, view: View, person: Solid, bystanders: Sequence[Outfit], rng: Generator
) -> list[Solid]:
    """Draw, in a third of the pictures, something or somebody before the person."""
    middle = person.vertices[:, :2].mean(0)
    eye = view.eye[:2].astype(np.float64)
    away = float(np.linalg.norm(middle - eye))
    right = view.across
    kind = rng.random()
    if kind < 0.07 and len(bystanders) > 0:
        near = 1 - rng.uniform(0.6, 1.3) / away
        side = rng.choice([-1, 1]) * rng.uniform(0.25, 0.5)
        other = bystanders[int(rng.integers(len(bystanders)))]
        return [_passer_by(other, eye + near * (middle - eye) + side * right, rng, before=True)]
    if kind > 0.33:
        return []
    name = BEFORE[camera.scenery][int(rng.integers(len(BEFORE[camera.scenery])))]
    made = thing(name, rng)
    top, up_to = float(made.vertices[:, 2].max()), rng.uniform(0.15, 0.75)
    near = (view.eye[2] - top) / (view.eye[2] - up_to) if top < 1.6 else rng.uniform(0.4, 0.85)
    clear = 1.6 if name == "car" else 0.55
    near = float(np.clip(near, 0.3, 1 - clear / away))
    aside = rng.uniform(-0.45, 0.45) * near
    x, y = eye + near * (middle - eye) + aside * right
    turned = float(np.arctan2(*(middle - eye))) * -1 + rng.normal(0, 0.25)
    made = made.at(float(x), float(y), turned)
    return [Solid(made.vertices, made.triangles, thing=made, before=True)]
