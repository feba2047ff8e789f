"""Things that stand about: in front of people, beside them, behind them.

Each is a mesh on the ground around (0, 0) with a front towards -y; sizes are those of the usual
articles (inferred).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from vireid.render.bodies import Array
from vireid.render.scenes import Scenery

Albedo = Array
"""Albedos of red, green, blue and near infrared, 4."""


@dataclass(frozen=True)
class Thing:
    """Something on the ground."""

    name: str
    vertices: Array
    """Vertices, v x 3, metres."""
    triangles: NDArray[np.integer[Any]]
    albedo: Array
    """Albedo of each triangle, t x 4."""
    mottle: float = 0.06
    """Unevenness: 0 painted, 0.5 leaves."""
    gloss: float = 0.05
    warmth: float = 0.0
    """Degrees above the air, such as those of a running engine."""

    def at(self, x: float, y: float, turned: float) -> "Thing":
        """Return the thing moved and turned about the vertical."""
        c, s = np.cos(turned), np.sin(turned)
        turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        moved = self.vertices @ turn + np.array([x, y, 0])
        return replace(self, vertices=moved.astype(np.float32))


BEHIND: dict[Scenery, tuple[str, ...]] = {
    "room": ("desk", "chair", "cabinet", "plant", "chair", "bin"),
    "gate": ("car", "car", "car", "post", "bicycle", "bin", "bush"),
    "garden": ("bush", "bush", "tree", "tree", "bench", "post", "bin"),
    "passage": ("bin", "bicycle", "post", "cabinet", "bench"),
}
"""Things that stand behind and beside people."""
BEFORE: dict[Scenery, tuple[str, ...]] = {
    "room": ("desk", "chair", "frame", "plant", "cabinet"),
    "gate": ("post", "bin", "bicycle", "railing", "bush"),
    "garden": ("bush", "tree", "railing", "bench", "bush"),
    "passage": ("post", "bin", "railing", "bicycle"),
}
"""Things that may stand between the camera and people."""


def thing(name: str, rng: Generator) -> Thing:
    """Draw one such thing, in its own size and colour."""
    return _MAKERS[name](rng)


def _joined(name: str, pieces: list[Thing], **of: float) -> Thing:
    first = np.cumsum([0] + [len(p.vertices) for p in pieces[:-1]])
    return Thing(
        name,
        np.concatenate([p.vertices for p in pieces]).astype(np.float32),
        np.concatenate([p.triangles + f for p, f in zip(pieces, first, strict=True)]).astype(
            np.int32
        ),
        np.concatenate([p.albedo for p in pieces]).astype(np.float32),
        **of,
    )


_CORNERS = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], float)
_SIDES = np.array(
    [
        [0, 1, 5], [0, 5, 4], [1, 3, 7], [1, 7, 5], [3, 2, 6], [3, 6, 7],
        [2, 0, 4], [2, 4, 6], [4, 5, 7], [4, 7, 6], [0, 3, 1], [0, 2, 3],
    ]
)  # fmt: skip


def _block(
    size: tuple[float, float, float], at: tuple[float, float, float], albedo: Albedo
) -> Thing:
    """Return a box, given its size and the middle of its underside."""
    vertices = (_CORNERS - [0.5, 0.5, 0]) * size + at
    return Thing("block", vertices, _SIDES, np.tile(albedo, (len(_SIDES), 1)))


def _pipe(radii: Array, heights: Array, albedo: Albedo, at: tuple[float, float] = (0, 0)) -> Thing:
    """Return rings of some radii, one above the other, the top one closed."""
    around, rings = 14, len(radii)
    angles = np.linspace(0, 2 * np.pi, around, endpoint=False)
    x = radii[:, None] * np.cos(angles) + at[0]
    y = radii[:, None] * np.sin(angles) + at[1]
    z = np.broadcast_to(heights[:, None], x.shape)
    vertices = np.concatenate(
        [np.stack([x, y, z], -1).reshape(-1, 3), [[at[0], at[1], heights[-1]]]]
    )
    i = np.arange(around)
    j = (i + 1) % around
    sides = [
        np.stack([i + r, j + r, j + r + around], 1) for r in range(0, (rings - 1) * around, around)
    ]
    sides += [
        np.stack([i + r, j + r + around, i + r + around], 1)
        for r in range(0, (rings - 1) * around, around)
    ]
    top = (rings - 1) * around
    lid = np.stack([i + top, j + top, np.full(around, rings * around)], 1)
    triangles = np.concatenate([*sides, lid])
    return Thing("pipe", vertices, triangles, np.tile(albedo, (len(triangles), 1)))


def _leaves(rng: Generator, centre: Array, half: Array, count: int, size: float) -> Thing:
    """Return leaves all over an ellipsoid, most of them near its surface."""
    out = rng.normal(size=(count, 3))
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    middles = centre + out * half * rng.uniform(0.72, 1.06, (count, 1))
    along = rng.normal(size=(count, 3)) * size
    across = rng.normal(size=(count, 3)) * size * 0.6
    corners = np.stack([middles - along, middles + across, middles + along, middles - across], 1)
    corners[..., 2] = np.maximum(corners[..., 2], 0.01)
    i = 4 * np.arange(count)[:, None]
    triangles = np.concatenate([i + np.array([0, 1, 2]), i + np.array([0, 2, 3])])
    green = np.array([0.06, 0.13, 0.03]) * rng.uniform(0.6, 1.6, 3)
    shade = rng.uniform(0.6, 1.3, (count, 1))
    one = np.concatenate([green * shade, 0.42 * np.sqrt(shade)], 1)
    return Thing("leaves", corners.reshape(-1, 3), triangles, np.concatenate([one, one]))


def _painted(rng: Generator) -> Albedo:
    """Draw paint or plastics of street furniture: grey, black, green, blue, red."""
    colours = ((0.3, 0.3, 0.3), (0.05, 0.05, 0.05), (0.04, 0.15, 0.06), (0.05, 0.1, 0.3))
    chosen = (*colours, (0.4, 0.05, 0.04), (0.6, 0.6, 0.58))[int(rng.integers(6))]
    return np.append(np.array(chosen) * rng.uniform(0.6, 1.4), rng.uniform(0.08, 0.5))


def _woody(rng: Generator) -> Albedo:
    return np.array([0.3, 0.18, 0.09, 0.5]) * rng.uniform(0.5, 1.5)


def _post(rng: Generator) -> Thing:
    radius, height = rng.uniform(0.04, 0.12), rng.uniform(2.6, 4.0)
    if rng.random() < 0.4:
        height = rng.uniform(0.7, 1.1)
    pole = _pipe(np.full(2, radius), np.array([0, height]), _painted(rng))
    return _joined("post", [pole], gloss=0.15)


def _bin(rng: Generator) -> Thing:
    height, radius = rng.uniform(0.6, 1.05), rng.uniform(0.2, 0.32)
    albedo = _painted(rng)
    body = _pipe(np.array([0.85, 1.0, 1.0]) * radius, np.array([0, 0.85, 1]) * height, albedo)
    rim = _pipe(np.full(2, radius * 1.08), height * np.array([0.86, 0.92]), albedo * 0.6)
    return _joined("bin", [body, rim], gloss=0.1)


def _railing(rng: Generator) -> Thing:
    albedo, height, length = _painted(rng), rng.uniform(0.85, 1.15), rng.uniform(1.5, 3.0)
    pieces = [_block((length, 0.05, 0.05), (0, 0, height - 0.05), albedo)]
    pieces.append(_block((length, 0.03, 0.03), (0, 0, 0.12), albedo))
    bars = np.arange(-length / 2, length / 2 + 0.01, rng.uniform(0.12, 0.3))
    pieces += [_block((0.025, 0.025, height), (float(x), 0, 0), albedo) for x in bars]
    return _joined("railing", pieces, gloss=0.1)


def _desk(rng: Generator) -> Thing:
    albedo, width, height = _woody(rng), rng.uniform(1.0, 1.6), rng.uniform(0.7, 0.78)
    pieces = [_block((width, 0.7, 0.03), (0, 0, height), albedo)]
    pieces += _legs(width / 2 - 0.05, 0.3, height, 0.05, albedo * 0.5)
    if rng.random() < 0.6:
        pieces.append(_block((width * 0.95, 0.02, 0.4), (0, -0.28, height - 0.42), albedo * 0.8))
    if rng.random() < 0.6:
        screen = np.array([0.02, 0.02, 0.02, 0.04])
        pieces.append(
            _block((0.52, 0.03, 0.32), (rng.uniform(-0.3, 0.3), 0.1, height + 0.12), screen)
        )
    return _joined("desk", pieces)


def _legs(x: float, y: float, height: float, thick: float, albedo: Albedo) -> list[Thing]:
    """Return four legs at (+-x, +-y)."""
    corners = [(a, b) for a in (-x, x) for b in (-y, y)]
    return [_block((thick, thick, height), (a, b, 0), albedo) for a, b in corners]


def _chair(rng: Generator) -> Thing:
    albedo = _painted(rng)
    pieces = [
        _block((0.46, 0.46, 0.06), (0, 0, 0.42), albedo),
        _block((0.44, 0.05, 0.5), (0, 0.22, 0.5), albedo),
    ]
    pieces += _legs(0.2, 0.2, 0.42, 0.03, albedo * 0.4)
    return _joined("chair", pieces)


def _cabinet(rng: Generator) -> Thing:
    albedo = _painted(rng) if rng.random() < 0.5 else _woody(rng)
    width, height = rng.uniform(0.5, 1.0), rng.uniform(0.8, 1.9)
    pieces = [_block((width, 0.45, height), (0, 0, 0), albedo)]
    gaps = [(0.0, -0.23, height * i / 4) for i in range(1, 4)]
    pieces += [_block((width * 0.96, 0.01, 0.012), at, albedo * 0.3) for at in gaps]
    return _joined("cabinet", pieces)


def _frame(rng: Generator) -> Thing:
    """Return the edge of a doorway."""
    wall = np.array([0.55, 0.54, 0.5, 0.55]) * rng.uniform(0.5, 1.2)
    return _joined("frame", [_block((rng.uniform(0.12, 0.3), 0.2, 2.6), (0, 0, 0), wall)])


def _plant(rng: Generator) -> Thing:
    height = rng.uniform(0.5, 0.9)
    pot = _pipe(np.array([0.13, 0.18]), np.array([0, 0.35]), _painted(rng))
    leaves = _leaves(
        rng, np.array([0, 0, 0.35 + height / 2]), np.array([0.28, 0.28, height / 2]), 160, 0.07
    )
    return _joined("plant", [pot, leaves], mottle=0.2)


def _bush(rng: Generator) -> Thing:
    half = np.array([rng.uniform(0.4, 0.9), 0.4, rng.uniform(0.35, 0.65)])
    dark = np.array([0.008, 0.016, 0.006, 0.12])
    core = _pipe(np.array([0.75, 0.75, 0.45]), np.array([0, 0.9, 1.5]), dark)
    core = replace(core, vertices=core.vertices * half)
    leaves = _leaves(rng, np.array([0, 0, half[2]]), half, 600, 0.05)
    return _joined("bush", [core, leaves], mottle=0.3)


def _tree(rng: Generator) -> Thing:
    radius = rng.uniform(0.07, 0.2)
    bark = np.array([0.13, 0.1, 0.07, 0.3]) * rng.uniform(0.5, 1.5)
    trunk = _pipe(radius * np.array([1.3, 1.0, 0.9, 0.8]), np.array([0, 0.3, 1.5, 3.5]), bark)
    return _joined("tree", [trunk], mottle=0.35)


def _bench(rng: Generator) -> Thing:
    albedo, width = _woody(rng), rng.uniform(1.2, 1.8)
    pieces = [_block((width, 0.1, 0.03), (0, y, 0.43), albedo) for y in (-0.15, 0.0, 0.15)]
    pieces += [_block((width, 0.03, 0.1), (0, 0.24, z), albedo) for z in (0.55, 0.72)]
    for x in (-width / 2 + 0.1, width / 2 - 0.1):
        pieces.append(_block((0.06, 0.45, 0.43), (x, 0, 0), np.array([0.05, 0.05, 0.05, 0.1])))
    return _joined("bench", pieces)


def _bicycle(rng: Generator) -> Thing:
    """Return two wheels and a frame of bars."""
    dark, colour = np.array([0.03, 0.03, 0.03, 0.06]), _painted(rng)
    pieces = [_wheel(x, dark) for x in (-0.52, 0.52)]
    for size, at in (
        ((0.9, 0.03, 0.035), (0.0, 0.0, 0.8)),
        ((0.03, 0.03, 0.6), (-0.15, 0.0, 0.33)),
        ((0.03, 0.03, 0.65), (0.45, 0.0, 0.34)),
        ((0.6, 0.03, 0.035), (-0.2, 0.0, 0.34)),
        ((0.25, 0.14, 0.05), (-0.18, 0.0, 0.93)),
        ((0.03, 0.5, 0.03), (0.45, 0.0, 1.0)),
    ):
        pieces.append(_block(size, at, colour if size[0] < 0.2 or at[2] > 0.5 else dark))
    return _joined("bicycle", pieces, gloss=0.1)


def _wheel(x: float, albedo: Albedo, radius: float = 0.33, thick: float = 0.03) -> Thing:
    """Return a ring that stands on the ground."""
    around = 18
    angles = np.linspace(0, 2 * np.pi, around, endpoint=False)
    rings = [
        np.stack([x + r * np.cos(angles), np.full(around, y), radius + r * np.sin(angles)], 1)
        for r, y in ((radius, 0.0), (radius - thick, thick / 2), (radius - thick, -thick / 2))
    ]
    i = np.arange(around)
    j = (i + 1) % around
    triangles = np.concatenate(
        [
            np.concatenate([np.stack([i + a, j + a, j + b], 1), np.stack([i + a, j + b, i + b], 1)])
            for a, b in ((0, around), (around, 2 * around), (2 * around, 0))
        ]
    )
    return Thing("wheel", np.concatenate(rings), triangles, np.tile(albedo, (len(triangles), 1)))


_CAR = np.array(
    [
        [-2.1, 0.35], [2.1, 0.35], [2.15, 0.75], [1.9, 0.92], [1.0, 1.0],
        [0.35, 1.45], [-1.2, 1.45], [-1.9, 0.98], [-2.15, 0.9],
    ]
)  # fmt: skip
_CAR_WINDOWS = np.array([[0.85, 1.0], [0.3, 1.38], [-1.1, 1.38], [-1.65, 1.0]])


def _car(rng: Generator) -> Thing:
    """Return a saloon: a side outline drawn out to its width, with windows and wheels."""
    greys = (0.03, 0.12, 0.35, 0.7)
    paint = np.full(4, greys[int(rng.integers(4))])
    if rng.random() < 0.35:
        blue_or_red = ((0.02, 0.06, 0.25), (0.3, 0.02, 0.02))[int(rng.integers(2))]
        paint = np.append(np.array(blue_or_red) * rng.uniform(0.5, 1.5), 0.3)
    glass = np.array([0.03, 0.035, 0.04, 0.04])
    pieces = [_drawn_out(_CAR, 0.85, paint), _drawn_out(_CAR_WINDOWS, 0.86, glass)]
    tyre = np.array([0.03, 0.03, 0.03, 0.05])
    for x in (-1.3, 1.35):
        disc = np.stack([x + 0.33 * np.cos(_TURN), 0.33 + 0.33 * np.sin(_TURN)], 1)
        pieces.append(_drawn_out(disc, 0.87, tyre))
        hub = np.stack([x + 0.2 * np.cos(_TURN), 0.33 + 0.2 * np.sin(_TURN)], 1)
        pieces.append(_drawn_out(hub, 0.88, np.array([0.35, 0.35, 0.36, 0.35])))
    return _joined("car", pieces, mottle=0.02, gloss=0.4, warmth=3.0)


_TURN = np.linspace(0, 2 * np.pi, 16, endpoint=False)


def _drawn_out(outline: Array, half: float, albedo: Albedo) -> Thing:
    """Return a convex side outline (x, z), drawn out to y of -half to half."""
    n = len(outline)
    near, far = (np.stack([outline[:, 0], np.full(n, y), outline[:, 1]], 1) for y in (-half, half))
    i = np.arange(n)
    j = (i + 1) % n
    fan = np.stack([np.zeros(n - 2, int), i[1:-1], i[2:]], 1)
    triangles = np.concatenate(
        [fan, fan + n, np.stack([i, j, j + n], 1), np.stack([i, j + n, i + n], 1)]
    )
    return Thing(
        "side", np.concatenate([near, far]), triangles, np.tile(albedo, (len(triangles), 1))
    )


_MAKERS = {
    "post": _post,
    "bin": _bin,
    "railing": _railing,
    "desk": _desk,
    "chair": _chair,
    "cabinet": _cabinet,
    "frame": _frame,
    "plant": _plant,
    "bush": _bush,
    "tree": _tree,
    "bench": _bench,
    "bicycle": _bicycle,
    "car": _car,
}
