"""Places behind people: floors and walls, painted once for each place and seed.

A texture holds red, green, blue and near-infrared albedo. Near-infrared values follow what the
materials are: leaves about 0.5, wood and paper bright whatever their colour, glass and asphalt dark
(inferred from the usual courses of such spectra, as in https://speclib.jpl.nasa.gov).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from vireid.render.bodies import Array
from vireid.render.scenes import Scenery

DENSITY = 80
"""Texture pixels in a metre."""
WALL_METRES, WALL_HEIGHT, FLOOR_METRES = 20.0, 4.5, 12.0
Albedo = tuple[float, float, float, float]


@dataclass(frozen=True)
class Place:
    """A floor and walls on three sides; the walls are one strip, left to right."""

    floor: NDArray[np.uint32]
    walls: NDArray[np.uint32]
    """Texture of the walls, lowest row first."""
    depth: float
    """Metres from the middle of the place to the wall behind it."""
    half_width: float
    """Metres from the middle to the walls at either side."""


@dataclass(frozen=True)
class Backdrop:
    """Surfaces that n rays meet behind everybody."""

    points: Array
    normals: Array
    albedo: Array
    """Albedos, n x 4."""
    is_floor: NDArray[np.bool_]


@cache
def place(seed: int, number: int, scenery: Scenery) -> Place:
    """Return the place of some cameras, the same for the same seed."""
    rng = np.random.default_rng([seed, 1_000_003, number])
    depth, half_width = {
        "room": (rng.uniform(2.6, 4.0), rng.uniform(3.0, 4.5)),
        "gate": (rng.uniform(5.0, 8.0), 30.0),
        "garden": (rng.uniform(4.0, 6.5), 30.0),
        "passage": (rng.uniform(7.0, 10.0), rng.uniform(2.0, 2.8)),
    }[scenery]
    paint_floor, paint_walls = _PAINTERS[scenery]
    floor = _canvas(FLOOR_METRES, FLOOR_METRES, _grey(rng, 0.1, 0.4))
    walls = _canvas(WALL_METRES, WALL_HEIGHT, _paint(rng))
    return Place(
        _packed(paint_floor(rng, floor)),
        _packed(paint_walls(rng, walls)),
        float(depth),
        float(half_width),
    )


@cache
def bare_place() -> Place:
    """Return grey floor and grey walls: a place that tells nothing."""
    floor = _canvas(FLOOR_METRES, FLOOR_METRES, (0.25, 0.25, 0.25, 0.25))
    walls = _canvas(WALL_METRES, WALL_HEIGHT, (0.35, 0.35, 0.35, 0.35))
    return Place(_packed(floor), _packed(walls), 4.0, 30.0)


def backdrop(there: Place, eye: Array, directions: Array, shift: Array) -> Backdrop:
    """Return the floor or wall that rays meet.

    Args:
        there: Place that the rays are in.
        eye: Start of the rays, 3.
        directions: Directions of the rays, n x 3, unit length.
        shift: Metres by which the floor's two axes and the walls are moved, 3.
    """
    dx, dy, dz = directions.T
    far = np.float32(60.0)
    with np.errstate(divide="ignore"):
        to_floor = np.where(dz < 0, -eye[2] / dz, far)
        to_back = np.where(dy > 0, (there.depth - eye[1]) / dy, far)
        to_side = (np.sign(dx) * there.half_width - eye[0]) / dx
    to_back[to_back <= 0] = far
    to_side[~(to_side > 0)] = far
    distance = np.minimum(np.minimum(to_floor, far), np.minimum(to_back, to_side))
    points = (eye + directions * distance[:, None]).astype(np.float32)
    is_floor, at_back = to_floor <= distance, to_back <= distance
    normals = np.zeros_like(points)
    normals[:, 2] = is_floor
    normals[:, 1] = -(at_back & ~is_floor).astype(np.float32)
    normals[:, 0] = np.where(is_floor | at_back, 0, -np.sign(dx))
    x, y, z = points.T
    turned = np.where(at_back, x, np.sign(x) * (there.half_width + there.depth - y))
    albedo = np.empty((len(points), 4), np.float32)
    albedo[is_floor] = _looked_up(
        there.floor, x[is_floor] + shift[0], y[is_floor] + shift[1], wraps=True
    )
    albedo[~is_floor] = _looked_up(
        there.walls, turned[~is_floor] + shift[2], z[~is_floor], wraps=False
    )
    return Backdrop(points, normals, albedo, is_floor)


def _looked_up(texture: NDArray[np.uint32], across: Array, up: Array, wraps: bool) -> Array:
    rows, columns = texture.shape
    column = np.floor(across * DENSITY).astype(np.int64) % columns
    row = np.floor(up * DENSITY).astype(np.int64)
    row = row % rows if wraps else np.clip(row, 0, rows - 1)
    found = texture[row, column].view(np.uint8).reshape(-1, 4)
    albedo: Array = _UNPACKED[found]
    return albedo


_UNPACKED = ((np.arange(256) / 255) ** 2).astype(np.float32)


def _packed(canvas: Array) -> NDArray[np.uint32]:
    """Pack four albedos into one number, as square roots: steps are finer in the dark."""
    roots = np.sqrt(np.clip(canvas, 0.005, 0.9)) * 255
    packed: NDArray[np.uint32] = roots.astype(np.uint8).view(np.uint32)[..., 0]
    return packed


def _canvas(across: float, up: float, albedo: Albedo) -> Array:
    shape = (int(up * DENSITY), int(across * DENSITY), 4)
    return np.broadcast_to(np.array(albedo, np.float32), shape).copy()


def _fill(
    canvas: Array, left: float, low: float, width: float, height: float, albedo: Albedo | Array
) -> None:
    """Paint a rectangle, given in metres. Across, the canvas has no end."""
    rows = slice(max(round(low * DENSITY), 0), max(round((low + height) * DENSITY), 0))
    columns = np.arange(round(left * DENSITY), round((left + width) * DENSITY)) % canvas.shape[1]
    canvas[rows, columns] = albedo


def _grey(rng: Generator, low: float, high: float) -> Albedo:
    """Draw a mineral's albedo: hardly coloured, a little brighter in the near infrared."""
    grey = rng.uniform(low, high)
    r, g, b = grey * (1 + np.array([0.06, 0.0, -0.08]) * rng.uniform(-0.6, 1.6))
    return float(r), float(g), float(b), float(grey * rng.uniform(1.0, 1.3))


def _paint(rng: Generator) -> Albedo:
    """Draw wall paint: mostly pale; white pigment stays bright in the near infrared."""
    pale = rng.random() < 0.7
    grey = rng.uniform(0.45, 0.75) if pale else rng.uniform(0.12, 0.4)
    r, g, b = np.clip(grey * (1 + rng.normal(0, 0.04 if pale else 0.08, 3)), 0.02, 0.9)
    return float(r), float(g), float(b), float(np.clip(grey * rng.uniform(0.6, 1.0), 0.1, 0.6))


def _any_colour(rng: Generator) -> Albedo:
    """Draw the colour of printed matter, doors or signs."""
    r, g, b = rng.beta(1.2, 2.0, 3)
    return float(r), float(g), float(b), float(rng.uniform(0.25, 0.75))


def _wood(rng: Generator) -> Albedo:
    r, g, b = np.array([0.35, 0.2, 0.1]) * rng.uniform(0.4, 1.7)
    return float(r), float(g), float(b), float(rng.uniform(0.4, 0.6))


_GLASS: Albedo = (0.06, 0.075, 0.08, 0.05)
_LINE: Albedo = (0.03, 0.03, 0.03, 0.05)


def _clouds(rng: Generator, canvas: Array, strength: float, *metres: float) -> Array:
    """Return brighter and darker patches of some sizes, around 1; rows x columns x 1."""
    rows, columns = canvas.shape[:2]
    cloud = np.ones((rows, columns), np.float32)
    for size in metres:
        grain = max(size * DENSITY, 1.0)
        coarse = rng.normal(0, strength, (int(rows / grain) + 2, int(columns / grain) + 2))
        smooth = Image.fromarray(coarse.astype(np.float32))
        cloud += np.asarray(smooth.resize((columns, rows), Image.Resampling.BICUBIC))
    return np.maximum(cloud, 0.1)[..., None]


def _room_floor(rng: Generator, canvas: Array) -> Array:
    kind = rng.random()
    if kind < 0.55:
        _tiles(rng, canvas, rng.uniform(0.3, 0.8), rng.uniform(0.75, 0.95))
    elif kind < 0.8:
        canvas[:] = _wood(rng)
        for i in range(int(FLOOR_METRES / 0.12)):
            _fill(
                canvas,
                0,
                i * 0.12,
                FLOOR_METRES,
                0.12,
                np.array(_wood(rng)) * 0.3 + canvas[0, 0] * 0.7,
            )
    return canvas * _clouds(rng, canvas, 0.05, 0.02, 0.5)


def _room_walls(rng: Generator, canvas: Array) -> Array:
    if rng.random() < 0.35:
        _fill(canvas, 0, 0, WALL_METRES, rng.uniform(0.9, 1.3), _paint(rng))
    canvas *= _clouds(rng, canvas, 0.03, 0.03, 0.7)
    _fill(canvas, 0, 0, WALL_METRES, 0.1, _grey(rng, 0.05, 0.5))
    door, at = _wood(rng) if rng.random() < 0.6 else _paint(rng), 0.0
    while at < WALL_METRES - 2:
        at += rng.uniform(0.3, 1.6)
        piece = _PIECES[int(rng.choice(len(_PIECES), p=[0.2, 0.4, 0.15, 0.25]))]
        at += piece(rng, canvas, at) if piece else _door(rng, canvas, at, door)
    return canvas


def _door(rng: Generator, canvas: Array, at: float, door: Albedo) -> float:
    frame = _grey(rng, 0.2, 0.7)
    _fill(canvas, at, 0, 1.06, 2.13, frame)
    _fill(canvas, at + 0.08, 0, 0.9, 2.05, door)
    _fill(canvas, at + 0.86, 1.0, 0.09, 0.03, (0.4, 0.4, 0.4, 0.4))
    if rng.random() < 0.4:
        _fill(canvas, at + 0.35, 1.3, 0.36, 0.6, _GLASS)
    return 1.1


def _window(rng: Generator, canvas: Array, at: float) -> float:
    width = rng.uniform(1.0, 2.2)
    _fill(canvas, at, 0.9, width, 1.5, _grey(rng, 0.3, 0.8))
    bright = rng.random() < 0.5
    glass = (0.75, 0.8, 0.85, 0.3) if bright else _GLASS
    panes = int(rng.integers(1, 4))
    for i in range(panes):
        _fill(canvas, at + 0.06 + i * width / panes, 0.96, width / panes - 0.1, 1.38, glass)
    _fill(canvas, at - 0.05, 0.85, width + 0.1, 0.06, _grey(rng, 0.4, 0.8))
    return float(width)


def _poster(rng: Generator, canvas: Array, at: float) -> float:
    width, height = rng.uniform(0.3, 1.2), rng.uniform(0.4, 1.0)
    low = rng.uniform(1.0, 1.6)
    _fill(canvas, at, low, width, height, _any_colour(rng))
    for _ in range(int(rng.integers(0, 4))):
        w, h = width * rng.uniform(0.2, 0.7), height * rng.uniform(0.1, 0.5)
        x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
        _fill(canvas, at + x, low + y, w, h, _any_colour(rng))
    for i in range(int(rng.integers(0, 6))):
        length = width * rng.uniform(0.4, 0.8)
        _fill(canvas, at + 0.1 * width, low + height * (0.9 - 0.08 * i), length, 0.012, _LINE)
    return float(width)


def _cupboard(rng: Generator, canvas: Array, at: float) -> float:
    width, height = rng.uniform(0.6, 1.6), rng.uniform(0.8, 2.0)
    body = _wood(rng) if rng.random() < 0.6 else _grey(rng, 0.2, 0.6)
    _fill(canvas, at, 0, width, height, body)
    for i in range(int(rng.integers(1, 5))):
        _fill(canvas, at, height * (i + 1) / 5, width, 0.012, np.array(body) * 0.3)
    _fill(canvas, at + width / 2, 0, 0.012, height, np.array(body) * 0.3)
    return float(width)


_PIECES = (_window, _poster, _cupboard, None)


def _tiles(rng: Generator, canvas: Array, side: float, joint: float) -> None:
    """Paint tiles of one size, each a little different, and joints between them."""
    step = FLOOR_METRES / max(round(FLOOR_METRES / side), 1)
    count = round(FLOOR_METRES / step)
    shades = rng.normal(1, 0.04, (count, count)).astype(np.float32)
    index = np.minimum((np.arange(canvas.shape[0]) / DENSITY / step).astype(int), count - 1)
    canvas *= shades[np.ix_(index, index)][..., None]
    lines = np.abs(np.arange(canvas.shape[0]) / DENSITY % step) < 0.018
    canvas[lines] *= joint
    canvas[:, lines] *= joint


def _gate_floor(rng: Generator, canvas: Array) -> Array:
    if rng.random() < 0.6:
        _tiles(rng, canvas, rng.uniform(0.25, 0.6), 0.7)
    else:
        canvas[:] = _grey(rng, 0.07, 0.14)
        _fill(canvas, 3.0, 0, 0.12, FLOOR_METRES, (0.6, 0.6, 0.55, 0.6))
    return canvas * _clouds(rng, canvas, 0.07, 0.015, 0.25, 1.5)


def _gate_walls(rng: Generator, canvas: Array) -> Array:
    canvas[:] = _grey(rng, 0.2, 0.5)
    if rng.random() < 0.5:
        _bricks(rng, canvas)
    _fill(canvas, 0, 0, WALL_METRES, rng.uniform(0.3, 0.7), _grey(rng, 0.12, 0.35))
    canvas *= _clouds(rng, canvas, 0.06, 0.02, 0.6)
    at = 0.0
    while at < WALL_METRES - 3:
        at += rng.uniform(0.6, 2.0)
        kind = rng.random()
        if kind < 0.35:
            at += _window(rng, canvas, at)
        elif kind < 0.55:
            at += _door(rng, canvas, at, _any_colour(rng))
        elif kind < 0.8:
            at += _bars(rng, canvas, at)
        else:
            _fill(canvas, at, 0, 0.5, WALL_HEIGHT, _grey(rng, 0.3, 0.6))
            at += 0.5
    return canvas


def _bars(rng: Generator, canvas: Array, at: float) -> float:
    """Paint a gate of upright bars with greenery behind."""
    width, metal = rng.uniform(1.5, 3.5), _grey(rng, 0.03, 0.2)
    columns = slice(int(at * DENSITY), int((at + width) * DENSITY))
    part = canvas[: int(2.2 * DENSITY), columns]
    part[:] = _leaves(rng, part)
    for i in range(int(width / 0.13)):
        _fill(canvas, at + i * 0.13, 0, 0.025, 2.2, metal)
    for low in (0.15, 1.1, 2.1):
        _fill(canvas, at, low, width, 0.05, metal)
    return float(width)


def _bricks(rng: Generator, canvas: Array) -> None:
    red = np.array([0.3, 0.13, 0.08, 0.35]) * rng.uniform(0.6, 1.4)
    rows, columns = canvas.shape[:2]
    course = (np.arange(rows) / DENSITY / 0.075).astype(int)
    along = np.arange(columns)[None] / DENSITY + 0.12 * (course[:, None] % 2)
    brick = (along / 0.24).astype(int)
    shades = rng.normal(1, 0.14, (course.max() + 1, brick.max() + 1))
    canvas[:] = red * shades[course[:, None], brick][..., None]
    joints = (along % 0.24 < 0.013) | (np.arange(rows)[:, None] / DENSITY % 0.075 < 0.013)
    canvas[joints] = (0.4, 0.38, 0.35, 0.45)


def _leaves(rng: Generator, canvas: Array) -> Array:
    """Paint foliage: green in clumps of light and dark, bright in the near infrared."""
    green = np.array([0.05, 0.11, 0.025, 0.42], np.float32)
    green = green * np.array([*rng.uniform(0.7, 1.5, 3), 1.0], np.float32)
    clumps = _clouds(rng, canvas, 0.35, 0.05, 0.12, 0.5) ** 1.5
    gaps = np.clip(_clouds(rng, canvas, 0.5, 0.04, 0.15) - 0.35, 0.08, 1)
    leaves: Array = np.clip(green * clumps * gaps, 0.004, 0.8)
    return leaves


def _garden_floor(rng: Generator, canvas: Array) -> Array:
    _tiles(rng, canvas, rng.uniform(0.15, 0.5), 0.75)
    path = canvas * _clouds(rng, canvas, 0.08, 0.02, 0.3, 1.5)
    grass = np.array([0.09, 0.14, 0.04, 0.4], np.float32) * _clouds(
        rng, canvas, 0.18, 0.03, 0.15, 1
    )
    edge = 5.0 + 0.25 * _clouds(rng, canvas, 1.0, 0.5)[..., 0]
    beyond = np.arange(canvas.shape[0])[:, None] / DENSITY > edge + 2.5
    return np.where(beyond[..., None], grass, path)


def _garden_walls(rng: Generator, canvas: Array) -> Array:
    canvas[:] = _leaves(rng, canvas)
    hedge = rng.uniform(0.8, 1.4)
    rows = int(hedge * DENSITY)
    canvas[:rows] = _leaves(rng, canvas[:rows]) * 1.3
    for _ in range(int(rng.integers(4, 9))):
        bark = np.array([0.12, 0.09, 0.06, 0.3]) * rng.uniform(0.5, 1.6)
        _fill(canvas, rng.uniform(0, WALL_METRES), 0, rng.uniform(0.12, 0.4), WALL_HEIGHT, bark)
    at = rng.uniform(0, WALL_METRES)
    _fill(canvas, at, 0, rng.uniform(2, 5), rng.uniform(0.5, 3.0), _grey(rng, 0.2, 0.5))
    return canvas * _clouds(rng, canvas, 0.1, 0.03)


def _passage_floor(rng: Generator, canvas: Array) -> Array:
    _tiles(rng, canvas, rng.uniform(0.3, 0.9), 0.7)
    return canvas * _clouds(rng, canvas, 0.08, 0.02, 0.4, 2.0)


def _passage_walls(rng: Generator, canvas: Array) -> Array:
    canvas[:] = _grey(rng, 0.15, 0.4)
    if rng.random() < 0.4:
        _bricks(rng, canvas)
    canvas *= _clouds(rng, canvas, 0.08, 0.03, 0.5, 1.5)
    at = 0.0
    while at < WALL_METRES - 3:
        at += rng.uniform(0.6, 2.5)
        kind = rng.random()
        if kind < 0.3:
            at += _door(rng, canvas, at, _any_colour(rng))
        elif kind < 0.5:
            at += _poster(rng, canvas, at)
        elif kind < 0.75:
            _fill(canvas, at, 0, 0.1, WALL_HEIGHT, _grey(rng, 0.1, 0.6))
        else:
            at += _window(rng, canvas, at)
    return canvas


_PAINTERS = {
    "room": (_room_floor, _room_walls),
    "gate": (_gate_floor, _gate_walls),
    "garden": (_garden_floor, _garden_walls),
    "passage": (_passage_floor, _passage_walls),
}
