"""In whose folders and lists a NightWalk is written: the readers of real sets then serve it too.

A layout says which pictures of somebody are to be taken, what their files are called, and what
lists stand beside them.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from vireid.render.plans import Plan, frames_of
from vireid.render.scenes import CAMERAS, Camera

TRIALS = 10
"""Rows of the permutation file that the official SYSU-MM01 draw reads, and splits of RegDB."""


@dataclass(frozen=True)
class Shot:
    """A picture to be taken."""

    identity: int
    camera: Camera
    frame: int
    """Counts the pictures of a person in a camera from 1."""
    path: str
    """Below the folder of the set, with forward slashes."""
    drawn_from: tuple[int, ...]
    """Besides the seed, what decides pose, place, light, ...: two shots that share it differ in
    what depends on the camera alone."""


@dataclass(frozen=True)
class Layout:
    """Of folders and lists."""

    folders: tuple[str, ...]
    """There even if nobody is in them."""
    shots: Callable[[Plan, int], list[Shot]]
    """Of one person."""
    lists: Callable[[Plan], Iterator[tuple[str, bytes]]]
    """Files that name pictures or people, written when all pictures are there."""


def _sysu_shots(plan: Plan, identity: int) -> list[Shot]:
    """`cam1/0001/0001.jpg`, frames counted from 1 without a gap."""
    return [
        Shot(
            identity,
            camera,
            frame,
            f"{camera.name}/{identity:04d}/{frame:04d}.jpg",
            (identity, int(camera.name[-1]) + 10, frame),
        )
        for camera, count in frames_of(plan, identity).items()
        for frame in range(1, count + 1)
    ]


def _sysu_lists(plan: Plan) -> Iterator[tuple[str, bytes]]:
    """Id files of one line with commas, and the permutations of the official galleries."""
    everybody: dict[str, list[int]] = {"available": list(range(1, plan.people + 1))}
    everybody.update(plan.splits())
    for name, identities in everybody.items():
        yield f"exp/{name}_id.txt", ",".join(map(str, identities)).encode()
    yield "exp/rand_perm_cam.mat", _permutations(plan)


def _permutations(plan: Plan) -> bytes:
    """SYSU-MM01's `rand_perm_cam.mat`: for each camera and identity, ten orders of its pictures."""
    from scipy.io import savemat

    cells = np.empty((len(CAMERAS), 1), object)
    for c, camera in enumerate(CAMERAS):
        of_camera = np.empty((plan.people, 1), object)
        for identity in range(1, plan.people + 1):
            frames = frames_of(plan, identity).get(camera, 0)
            rng = np.random.default_rng([plan.seed, identity, c, 3])
            rows = [1 + rng.permutation(frames) for _ in range(TRIALS)]
            of_camera[identity - 1, 0] = np.array(rows, np.uint8).reshape(TRIALS, frames)
        cells[c, 0] = of_camera
    content = io.BytesIO()
    savemat(content, {"rand_perm_cam": cells}, do_compression=True)
    # The header's text says when it was made; equal content is to be equal bytes.
    return b"MATLAB 5.0 MAT-file".ljust(116) + content.getvalue()[116:]


LAYOUTS = {
    "sysu": Layout(tuple(camera.name for camera in CAMERAS), _sysu_shots, _sysu_lists),
}
