"""Layouts: the folders and lists of a real set, so that its reader serves a NightWalk too.

A layout says how a person's pictures are named and which lists stand beside them. Sources: the
READMEs and loaders of https://github.com/wuancong/SYSU-MM01 (SYSU-MM01),
https://github.com/mangye16/Cross-Modal-Re-ID-baseline (RegDB) and https://github.com/ZYK100/LLCM.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from vireid.records import Modality
from vireid.render.plans import CAMERAS_OF, Group, Plan, frames_of, group_of
from vireid.render.scenes import CAMERAS, Camera

TRIALS = 10
"""Number of rows in the permutation file of the official SYSU-MM01 draw, and of splits of RegDB."""


@dataclass(frozen=True)
class Shot:
    """A picture to be taken."""

    identity: int
    camera: Camera
    frame: int
    """Number of the picture among those of its person and camera, from 1."""
    path: str
    """Path below the folder of the set, with forward slashes."""
    drawn_from: tuple[int, ...]
    """Numbers that, with the seed, draw pose, place, light, ...: two shots that share them differ
    only in what depends on the camera."""


@dataclass(frozen=True)
class Layout:
    """A layout of folders and lists."""

    folders: tuple[str, ...]
    """Folders that exist even if nobody is in them."""
    path: Callable[[Group, Camera, int, int], str]
    """Returns the path of a picture, given group, camera, identity and frame."""
    moment: Callable[[Camera], int]
    """Number of each camera; cameras with one number take their pictures at one moment."""
    lists: Callable[[Plan], Iterator[tuple[str, bytes]]]
    """Files that name pictures or people, written when all pictures are there."""


def shots_of(plan: Plan, identity: int) -> list[Shot]:
    """Return the pictures to be taken of a person."""
    layout, group = LAYOUTS[plan.layout], group_of(plan, identity)
    return [
        Shot(
            identity,
            camera,
            frame,
            layout.path(group, camera, identity, frame),
            (identity, layout.moment(camera), frame),
        )
        for camera, count in frames_of(plan, identity).items()
        for frame in range(1, count + 1)
    ]


def _number(camera: Camera) -> int:
    """Return the number of a camera such as `cam3`."""
    return int(camera.name[-1])


def _one_line(identities: Iterable[int]) -> bytes:
    return ",".join(map(str, identities)).encode()


# SYSU-MM01: cam1/0001/0001.jpg, frames counted from 1 without a gap.


def _sysu_path(_group: Group, camera: Camera, identity: int, frame: int) -> str:
    return f"{camera.name}/{identity:04d}/{frame:04d}.jpg"


def _sysu_lists(plan: Plan) -> Iterator[tuple[str, bytes]]:
    """Yield id files of one line with commas, and the permutations of the official galleries."""
    for group, identities in plan.groups().items():
        name = "val" if group == "validation" else group
        yield f"exp/{name}_id.txt", _one_line(identities)
    yield "exp/available_id.txt", _one_line(range(1, plan.people + 1))
    yield "exp/rand_perm_cam.mat", _permutations(plan)


def _permutations(plan: Plan) -> bytes:
    """Return SYSU-MM01's `rand_perm_cam.mat`: ten orders of each identity's pictures per camera."""
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


# RegDB: Visible/1/person_walking_v_00001_1.bmp, where RegDB has a sex and a side in the name; the
# thermal picture of the same number is of the same moment. Ten splits into halves.


def _regdb_path(_group: Group, camera: Camera, identity: int, frame: int) -> str:
    folder = camera.name.title()
    return f"{folder}/{identity}/person_walking_{camera.name[0]}_{frame:05d}_{identity}.bmp"


def _regdb_lists(plan: Plan) -> Iterator[tuple[str, bytes]]:
    for trial in range(1, TRIALS + 1):
        groups = plan.groups(trial)
        for half in ("train", "test"):
            for camera in CAMERAS_OF["regdb"]:
                listed = _labelled(plan, groups[half], camera.modality)
                yield f"idx/{half}_{camera.name}_{trial}.txt", listed


def _labelled(plan: Plan, identities: Iterable[int], modality: Modality) -> bytes:
    """Return lines with a path and a label from 0."""
    return "".join(
        f"{shot.path} {label}\n"
        for label, identity in enumerate(identities)
        for shot in shots_of(plan, identity)
        if shot.camera.modality is modality
    ).encode()


# LLCM: vis/0001/0001_c01_s1_f00001_vis.jpg to learn from, test_vis/cam1/0001/... to score on.


def _llcm_path(group: Group, camera: Camera, identity: int, frame: int) -> str:
    kind = _llcm_kind(camera.modality)
    folder = f"test_{kind}/{camera.name}" if group == "test" else kind
    name = f"{identity:04d}_c{_number(camera):02d}_s1_f{frame:05d}_{kind}.jpg"
    return f"{folder}/{identity:04d}/{name}"


def _llcm_kind(modality: Modality) -> str:
    return "vis" if modality is Modality.VISIBLE else "nir"


def _llcm_moment(camera: Camera) -> int:
    return _number(camera) + (20 if camera.modality is Modality.VISIBLE else 40)


def _llcm_lists(plan: Plan) -> Iterator[tuple[str, bytes]]:
    groups = plan.groups()
    for half in ("train", "test"):
        for modality in Modality:
            listed = _labelled(plan, groups[half], modality)
            yield f"idx/{half}_{_llcm_kind(modality)}.txt", listed
    yield "idx/test_id.txt", _one_line(groups["test"])


LAYOUTS = {
    "sysu": Layout(
        tuple(camera.name for camera in CAMERAS),
        _sysu_path,
        lambda camera: 10 + _number(camera),
        _sysu_lists,
    ),
    "regdb": Layout(("Visible", "Thermal"), _regdb_path, lambda _: 100, _regdb_lists),
    "llcm": Layout(
        (
            "vis",
            "nir",
            *(f"test_{_llcm_kind(c.modality)}/{c.name}" for c in CAMERAS_OF["llcm"]),
        ),
        _llcm_path,
        _llcm_moment,
        _llcm_lists,
    ),
}
"""Layouts by the name of the real set."""
