"""A picture of somebody at a place: view, rays, background, lens and sensor."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from vireid.records import Modality
from vireid.render.bodies import Array
from vireid.render.outfits import Outfit, Slot, vertex_normals, worn_at
from vireid.render.poses import draw_pose, posed
from vireid.render.scenes import (
    FLOOR_METRES,
    WALL_HEIGHT,
    WALL_METRES,
    Camera,
    Light,
    Place,
    draw_light,
    looked_up,
    place,
)
from vireid.render.shading import (
    Seen,
    Shadow,
    dot,
    dressed_surface,
    in_daylight,
    in_near_infrared,
    lamp_at,
    unit,
)

OVERSAMPLING = 2
"""Rays a pixel, in either direction."""


HOLDABLE = ("height", "background", "box", "camera", "light", "pose", "occluders")
"""What can be kept the same in all pictures, to find how much of a result rests on it."""

OBJECT, BYSTANDER = 255, 254
"""In the parts mask: things and other people in front of the person; those behind are 0."""


@dataclass(frozen=True)
class Keypoint:
    """Where a joint is in a picture: pixels from its upper left corner."""

    x: float
    y: float
    visible: bool
    """Inside the picture and not behind another person or thing."""


@dataclass(frozen=True)
class Box:
    """How well the picture's frame fits the person; shares of the person's height or width."""

    cut_top: float = 0.0
    cut_bottom: float = 0.0
    cut_left: float = 0.0
    cut_right: float = 0.0
    looseness: float = 0.0
    """Picture height over the person's height, minus 1."""
    hidden: float = 0.0
    """Share of the person's pixels in the frame that something stands in front of."""


@dataclass(frozen=True)
class Truth:
    """What is known about a picture because it was rendered."""

    parts: NDArray[np.uint8]
    """Rows x columns: 0 background, 1 + Slot on the person, `OBJECT` or `BYSTANDER`."""
    keypoints: dict[str, Keypoint]
    """By COCO's names: nose, left_eye, ... right_ankle."""
    box: Box
    pose: dict[str, float]
    camera: dict[str, float]
    """distance and height in metres; azimuth in radians from the person's front, to its left."""
    light: dict[str, float]
    """Of the light and the weather."""


@dataclass(frozen=True)
class Photograph:
    """A picture and the truth about it."""

    picture: Image.Image
    """RGB for a visible camera, one channel for an infrared one."""
    truth: Truth


@dataclass(frozen=True)
class View:
    """One ray a point of the enlarged picture, from the camera's eye."""

    eye: Array
    directions: Array
    """n x 3, unit length"""
    shape: tuple[int, int]
    distance: float
    """Metres to the person."""

    def coarser(self) -> "View":
        """One ray a pixel: what is behind people needs no finer look."""
        rows, columns = self.shape
        pixels = self.directions.reshape(rows // OVERSAMPLING, OVERSAMPLING, -1, OVERSAMPLING, 3)
        directions = unit(pixels.sum((1, 3)).reshape(-1, 3))
        shape = (rows // OVERSAMPLING, columns // OVERSAMPLING)
        return replace(self, directions=directions, shape=shape)


def photograph(
    outfit: Outfit,
    camera: Camera,
    seed: int,
    rng: Generator,
    height: int = 192,
    width: int = 96,
    bystanders: Sequence[Outfit] = (),
    hold: frozenset[str] = frozenset(),
) -> Photograph:
    """A picture of somebody, with pose, place, light and crop drawn anew.

    Args:
        outfit: The dressed person.
        camera: Which camera takes it.
        seed: Of the data set; decides what the camera's surroundings look like.
        rng: Of this picture.
        height: Rows of the picture.
        width: Columns of the picture.
        bystanders: Other people who may pass by.
        hold: Names among `HOLDABLE` of what is to be the same in all pictures.
    """
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    vertices = _placed(posed(outfit, draw_pose(outfit.person, rng)), rng)
    view = _view(vertices, camera, rng, height * OVERSAMPLING, width * OVERSAMPLING)
    light = draw_light(camera, rng)
    scene = EmbreeScene()
    TriangleMesh(scene, vertices, outfit.triangles)

    def in_shadow(points: Array) -> NDArray[np.bool_]:
        towards = np.broadcast_to(light.sun.astype(np.float32), points.shape).copy()
        blocked: NDArray[np.bool_] = scene.run(points, towards, query="OCCLUDED") >= 0
        return blocked

    origins = np.broadcast_to(view.eye, view.directions.shape).astype(np.float32).copy()
    cast = scene.run(origins, view.directions, output=True)
    seen = _seen(outfit, vertices, view, cast)
    surface = dressed_surface(outfit, seen)
    there = place(seed, camera.place)
    if camera.modality is Modality.VISIBLE:
        behind = _background_in_daylight(there, view.coarser(), light, in_shadow, rng)
        person = in_daylight(surface, light, in_shadow)
    else:
        behind = _background_in_infrared(there, view.coarser(), light, rng)
        person = in_near_infrared(surface, light, view.eye, view.distance)[:, None]
    radiance = behind.reshape(height, width, 3).repeat(OVERSAMPLING, 0).repeat(OVERSAMPLING, 1)
    radiance.reshape(-1, 3)[seen.rays] = person
    truth = Truth(np.zeros((height, width), np.uint8), {}, Box(), {}, {}, {})
    return Photograph(_developed(radiance, light, camera, rng, height), truth)


def _placed(vertices: Array, rng: Generator) -> Array:
    """Turned and moved to somewhere in front of the camera."""
    yaw = rng.uniform(0, 2 * np.pi)
    c, s = np.cos(yaw), np.sin(yaw)
    turned = vertices @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]], np.float32)
    turned[:, :2] += rng.uniform(-1.5, 1.5, 2)
    return np.ascontiguousarray(turned, np.float32)


def _view(vertices: Array, camera: Camera, rng: Generator, rows: int, columns: int) -> View:
    """Rays through a loose and shifted box around the person."""
    azimuth = camera.azimuth + rng.normal(0, 0.12)
    middle = vertices.mean(0)
    distance = rng.uniform(*camera.distance)
    eye = middle + distance * np.array([np.sin(azimuth), -np.cos(azimuth), 0])
    eye[2] = camera.height + rng.normal(0, 0.1)
    forward = middle - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    relative = vertices - eye
    depth = relative @ forward
    x, y = relative @ right / depth, relative @ up / depth
    tall = float(np.ptp(y))
    high = max(tall, float(np.ptp(x)) * rows / columns * 0.85) * rng.uniform(1.0, 1.16)
    cx = (x.max() + x.min()) / 2 + rng.normal(0, 0.03) * tall
    cy = (y.max() + y.min()) / 2 + rng.normal(0, 0.025) * tall
    if rng.random() < 0.12:
        cut = rng.uniform(0.06, 0.2) * tall
        high, cy = high - cut, cy + cut / 2
    wide = high * columns / rows
    xs = cx + ((np.arange(columns) + 0.5) / columns - 0.5) * wide
    ys = cy - ((np.arange(rows) + 0.5) / rows - 0.5) * high
    directions = forward + xs[None, :, None] * right + ys[:, None, None] * up
    directions = unit(directions.reshape(-1, 3).astype(np.float32))
    return View(eye.astype(np.float32), directions, (rows, columns), distance)


def _seen(outfit: Outfit, vertices: Array, view: View, cast: dict[str, Array]) -> Seen:
    triangles_met = cast["primID"]
    rays = np.flatnonzero(triangles_met >= 0)
    met = triangles_met[rays]
    u, v = cast["u"][rays], cast["v"][rays]
    shares = np.stack([1 - u - v, u, v])
    corners = outfit.triangles[met].T

    def between(of_vertices: Array) -> Array:
        a, b, c = (
            of_vertices[corner].T * share for corner, share in zip(corners, shares, strict=True)
        )
        blended: Array = (a + b + c).T
        return blended

    normals = unit(between(vertex_normals(vertices, outfit.triangles)))
    normals[dot(normals, view.directions[rays]) > 0] *= -1
    rest, limbs = between(outfit.vertices), between(outfit.limbs)
    slots = outfit.slots[met].copy()
    on_body = slots == Slot.ON_BODY
    slots[on_body] = worn_at(
        outfit.person,
        outfit.landmarks,
        outfit.regions[met[on_body]],
        limbs[on_body],
        rest[on_body],
    )
    points = view.eye + view.directions[rays] * cast["tfar"][rays, None]
    return Seen(
        rays,
        points.astype(np.float32),
        normals.astype(np.float32),
        view.directions[rays],
        rest,
        slots,
        limbs,
    )


def _behind(there: Place, view: View, rng: Generator) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Albedo, point and whether it is floor, for every ray as if nobody were there."""
    d = view.directions
    to_floor = np.where(d[:, 2] < -1e-4, -view.eye[2] / np.minimum(d[:, 2], -1e-4), 1e4)
    wall_y = there.wall_distance
    to_wall = np.where(d[:, 1] > 1e-4, (wall_y - view.eye[1]) / np.maximum(d[:, 1], 1e-4), 1e4)
    is_floor = to_floor < to_wall
    points = view.eye + d * np.minimum(np.minimum(to_floor, to_wall), 60.0)[:, None]
    moved = rng.uniform(-6, 6)
    floor = looked_up(
        there.floor, points[:, 0] + moved, points[:, 1] + 8, FLOOR_METRES, FLOOR_METRES
    )
    wall = looked_up(there.wall, points[:, 0] + moved, points[:, 2], WALL_METRES, WALL_HEIGHT)
    return np.where(is_floor[:, None], floor, wall), points.astype(np.float32), is_floor


def _background_in_daylight(
    there: Place, view: View, light: Light, in_shadow: Shadow, rng: Generator
) -> Array:
    albedo, points, is_floor = _behind(there, view, rng)
    falls = np.where(is_floor, light.sun[2], max(-light.sun[1], 0.0))
    near = is_floor & (dot(points[:, :2], points[:, :2]) < 25)
    shaded = np.zeros(len(points), bool)
    shaded[near] = in_shadow(points[near] + np.array([0, 0, 0.005], np.float32))
    received = (falls * ~shaded)[:, None] * light.sun_colour + 0.75 * light.sky_colour
    lit: Array = (albedo[:, :3] * received).astype(np.float32)
    return lit


def _background_in_infrared(there: Place, view: View, light: Light, rng: Generator) -> Array:
    albedo, points, is_floor = _behind(there, view, rng)
    facing = np.abs(np.where(is_floor, view.directions[:, 2], view.directions[:, 1]))
    lamp = lamp_at(points, view.eye, view.distance)
    lit = albedo[:, 3] * (lamp * facing + light.sky_colour[0])
    return np.repeat(lit[:, None], 3, 1).astype(np.float32)


def _developed(
    radiance: Array, light: Light, camera: Camera, rng: Generator, height: int
) -> Image.Image:
    """Down to the picture's size, then exposure, gamma, blur and noise of a sensor."""
    rows, columns = radiance.shape[0] // OVERSAMPLING, radiance.shape[1] // OVERSAMPLING
    small = radiance.reshape(rows, OVERSAMPLING, columns, OVERSAMPLING, 3).mean((1, 3))
    grey = np.clip(small * light.exposure, 0, 1) ** (1 / 2.2) * 255
    picture = Image.fromarray(grey.astype(np.uint8))
    blur = camera.blur * rng.uniform(0.5, 2.0) * height / 192
    sharp = np.asarray(picture.filter(ImageFilter.GaussianBlur(blur)), np.float32)
    channels = 1 if camera.modality is Modality.INFRARED else 3
    noise = rng.normal(0, camera.noise * rng.uniform(0.5, 1.5), (rows, columns, channels))
    return Image.fromarray(np.clip(sharp + noise, 0, 255).astype(np.uint8))
