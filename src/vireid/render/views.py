"""Views: a camera's place, its lens's distortion, and the box cut out of its frame."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.random import Generator

from vireid.render.bodies import Array
from vireid.render.scenes import Camera


@dataclass(frozen=True)
class Box:
    """Fit of the picture's frame to the person; shares of the person's height or width."""

    cut_top: float = 0.0
    cut_bottom: float = 0.0
    cut_left: float = 0.0
    cut_right: float = 0.0
    looseness: float = 0.0
    """Picture height over the person's height, minus 1."""
    hidden: float = 0.0
    """Share of the person's pixels in the frame that something stands in front of."""


@dataclass(frozen=True)
class View:
    """A camera's place and lens, and the part of its image that is the picture."""

    eye: Array
    axes: Array
    """Directions right, up and forward, 3 x 3, rows of unit length."""
    distortion: float
    left: float
    """Edges of the picture in the camera's image, in focal lengths from its middle."""
    right: float
    top: float
    bottom: float
    rows: int
    columns: int
    distance: float
    """Metres to the person."""

    def seen_at(self, points: Array) -> Array:
        """Return column and row, in pixels from the upper left corner, of n points; n x 2."""
        xy = in_image(points, self.eye, self.axes, self.distortion)
        column = (xy[:, 0] - self.left) / (self.right - self.left) * self.columns
        row = (self.top - xy[:, 1]) / (self.top - self.bottom) * self.rows
        return np.stack([column, row], 1)

    @property
    def across(self) -> Array:
        """Direction to the camera's right, on the ground; 2, unit length."""
        right: Array = self.axes[0][:2] / np.linalg.norm(self.axes[0][:2])
        return right

    @cached_property
    def pixel_rays(self) -> Array:
        """Return directions through the middle of each pixel, row by row."""
        pixels = np.arange(self.rows * self.columns)
        return self.rays(pixels % self.columns + 0.5, pixels // self.columns + 0.5)

    def rays(self, columns: Array, rows: Array) -> Array:
        """Return directions, n x 3, unit length, through places in the picture in pixels."""
        x = self.left + columns * ((self.right - self.left) / self.columns)
        y = self.top - rows * ((self.top - self.bottom) / self.rows)
        ux, uy = x, y
        for _ in range(2 if self.distortion else 0):
            straight = 1 / (1 + self.distortion * (ux * ux + uy * uy))
            ux, uy = x * straight, y * straight
        length = 1 / np.sqrt(1 + ux * ux + uy * uy)
        in_camera = np.stack([ux * length, uy * length, length], 1).astype(np.float32)
        return np.ascontiguousarray(in_camera @ self.axes.astype(np.float32))


def in_image(points: Array, eye: Array, axes: Array, distortion: float) -> Array:
    """Return where a lens images n points, in focal lengths from the image's middle; n x 2."""
    inside = (points - eye) @ axes.T
    xy = inside[:, :2] / np.maximum(inside[:, 2:], 0.05)
    bent: Array = xy * (1 + distortion * (xy * xy).sum(1, keepdims=True))
    return bent


def draw_view(
    vertices: Array,
    camera: Camera,
    standing: Generator,
    boxing: Generator | None,
    rows: int,
    columns: int,
) -> tuple[View, Box]:
    """Draw a camera that sees a person, and a box around them as a detector cuts it.

    Args:
        vertices: Vertices of the person, v x 3.
        camera: Camera that takes the picture.
        standing: Random numbers that decide from where it sees the person.
        boxing: Random numbers that decide how loose, shifted and cut the box is; None for a tight,
            centred one.
        rows: Rows of the picture.
        columns: Columns of the picture.
    """
    middle = (vertices.min(0) + vertices.max(0)) / 2
    distance = float(standing.uniform(*camera.distance))
    azimuth = camera.azimuth + standing.normal(0, 0.2)
    eye = middle + distance * np.array([np.sin(azimuth), -np.cos(azimuth), 0])
    eye[2] = camera.height + standing.normal(0, 0.06)
    axes = _axes(azimuth, camera, standing)
    eye += camera.beside * axes[0]
    xy = in_image(vertices, eye, axes, camera.distortion)
    (left, right, top, bottom), box = _boxed(xy, boxing, columns / rows)
    view = View(
        eye.astype(np.float32),
        axes,
        camera.distortion,
        left,
        right,
        top,
        bottom,
        rows,
        columns,
        float(np.linalg.norm(middle - eye)),
    )
    return view, box


def _axes(azimuth: float, camera: Camera, rng: Generator) -> Array:
    """Return axes that look at the middle of where people pass; they are seldom in its middle."""
    aside = azimuth + rng.uniform(-0.6, 0.6) * np.arctan(320 / camera.focal)
    down = np.arctan2(camera.height - 1.0, np.mean(camera.distance))
    forward = np.array([-np.sin(aside), np.cos(aside), -np.tan(down)])
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    roll = rng.normal(0, 0.015)
    c, s = np.cos(roll), np.sin(roll)
    return np.stack([c * right + s * up, c * up - s * right, forward])


Edges = tuple[float, float, float, float]
SLIMMEST, BROADEST = 0.36, 0.62
"""Width over height of boxes; every box is stretched to the picture's shape, as loaders do."""


def _boxed(xy: Array, rng: Generator | None, shape: float) -> tuple[Edges, Box]:
    """Return edges (left, right, top, bottom) of a box around image points, and how it fits."""
    (west, south), (east, north) = xy.min(0), xy.max(0)
    broad, tall = float(east - west), float(north - south)
    if rng is None:
        high = max(tall, broad / shape) * 1.02
        wide, cx, cy = high * shape, (west + east) / 2, (south + north) / 2
        left, right, top, bottom = cx - wide / 2, cx + wide / 2, cy + high / 2, cy - high / 2
    else:
        high = tall * rng.uniform(1.0, 1.14)
        wide = broad * rng.uniform(1.0, 1.3)
        high = max(high, wide / BROADEST / 1.08)
        wide = float(np.clip(wide, SLIMMEST * high, BROADEST * high))
        cx = (west + east) / 2 + rng.normal(0, 0.05) * broad
        cy = (south + north) / 2 + rng.normal(0, 0.02) * tall
        left, right, top, bottom = _cut_off(
            (cx - wide / 2, cx + wide / 2, cy + high / 2, cy - high / 2), rng
        )
    box = Box(
        cut_top=max(0.0, float(north - top)) / tall,
        cut_bottom=max(0.0, float(bottom - south)) / tall,
        cut_left=max(0.0, float(left - west)) / broad,
        cut_right=max(0.0, float(east - right)) / broad,
        looseness=float(top - bottom) / tall - 1,
    )
    return (float(left), float(right), float(top), float(bottom)), box


def _cut_off(edges: Edges, rng: Generator) -> Edges:
    """Draw which part is missing now and then: mostly feet, seldom the head or a side."""
    left, right, top, bottom = edges
    high, wide, kind, share = top - bottom, right - left, rng.random(), rng.uniform(0.04, 0.2)
    if kind < 0.09:
        bottom += share * high
    elif kind < 0.115:
        top -= 0.5 * share * high
    elif kind < 0.14:
        left += share * wide
    elif kind < 0.165:
        right -= share * wide
    return left, right, top, bottom
