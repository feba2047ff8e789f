"""A picture of a person: who and what stands where, what each ray meets, what is hidden."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from vireid.render.bodies import Array
from vireid.render.body_surface import Indices, Slot, worn_at
from vireid.render.outfits import Outfit, vertex_normals
from vireid.render.people import draw_person
from vireid.render.places import Place, backdrop, bare_place, place
from vireid.render.poses import KEYPOINTS, Pose, draw_pose, keypoints, posed
from vireid.render.scenes import Camera, Light, Weather, draw_light, draw_weather, held_still
from vireid.render.sensors import Exposed, developed
from vireid.render.shading import (
    Seen,
    Shadow,
    Surface,
    dot,
    dressed_surface,
    in_daylight,
    in_near_infrared,
    in_thermal,
    sunned,
    unit,
)
from vireid.render.solids import Hits, Solid, Solids, before, behind, placed
from vireid.render.things import Thing
from vireid.render.views import Box, View, draw_view

HOLDABLE = ("height", "background", "box", "camera", "light", "pose", "occluders")
"""Factors that can be kept the same in all pictures, to find how much a result depends on them."""
HELD_HEIGHT = 1.7
"""Height of everybody in metres, without shoes, when height is held."""
OBJECT, BYSTANDER = 255, 254
"""In the parts mask: things and other people in front of the person; those behind are 0."""
MOST_HIDDEN = 0.35
"""Share of the person that may be hidden; things that hide more are taken away."""
LIMB = 0.18
"""Metres by which a joint inside the body may lie beneath its surface."""
WALKING_SPEED = 1.35
"""Metres a second at a usual stride (Bohannon, "Comfortable and maximum walking speed of adults",
Age and Ageing 26, 1997: 1.3 to 1.46)."""
_EDGE_RAYS = ((0.125, 0.375), (0.625, 0.125), (0.375, 0.875), (0.875, 0.625))
"""Column and row, within a pixel, of the rays that smooth an edge."""


@dataclass(frozen=True)
class Keypoint:
    """A joint in a picture: pixels from its upper left corner."""

    x: float
    y: float
    visible: bool
    """Whether it is in the picture and not behind another person, a thing or the person's own
    body."""


@dataclass(frozen=True)
class Truth:
    """The ground truth of a picture, known because it was rendered."""

    parts: NDArray[np.uint8]
    """Rows x columns: 0 background, 1 + Slot on the person, `OBJECT` or `BYSTANDER`."""
    keypoints: dict[str, Keypoint]
    """Keypoints by their names in `poses.KEYPOINTS`."""
    box: Box
    pose: dict[str, float]
    camera: dict[str, float]
    """Position of the camera: distance and height in metres; azimuth in radians from the person's
    front, to its left."""
    light: dict[str, float]
    """Figures of the light and the weather."""


@dataclass(frozen=True)
class Photograph:
    """A picture with its ground truth."""

    picture: Image.Image
    """RGB for a visible camera, one channel for an infrared one."""
    truth: Truth


@dataclass(frozen=True)
class Moment:
    """The person and all around at one moment, with the light and the view."""

    camera: Camera
    view: View
    there: Place
    shift: Array
    """Metres by which the place's floor (2) and walls (1) are moved."""
    light: Light
    weather: Weather
    settled: float
    """How long the person has been out of doors, for their warmth: 0 just came out, 1 long."""
    in_shadow: Shadow

    def light_from(self, surface: Surface) -> Array:
        """Return what the camera receives, n x channels; for a thermal one degrees Celsius."""
        if self.camera.spectrum == "visible":
            return in_daylight(surface, self.light, self.in_shadow)
        if self.camera.spectrum == "thermal":
            return in_thermal(surface, self.weather)[:, None]
        return in_near_infrared(surface, self.light, self.view.eye, self.view.distance)[:, None]


@dataclass(frozen=True)
class Step:
    """The position of a person in their walk, and in the place."""

    pose: Pose
    yaw: float
    """Radians by which they are turned to the left of the camera side of the place."""
    at: Array
    """Metres from the middle of the place, 2."""
    scale: float

    def placed(self, points: Array) -> Array:
        """Return points of the person in their pose, n x 3, in the place."""
        return placed(points * self.scale, self.yaw, self.at)

    def moved(self, view: View, middle: Array, seconds: float) -> tuple[float, float]:
        """Return columns and rows of the picture by which the person's middle moves in a time."""
        speed = WALKING_SPEED * min(self.pose.stride / 0.45, 1.4)
        ahead = np.array([np.sin(self.yaw), -np.cos(self.yaw), 0.0])
        ends = view.seen_at(np.stack([middle, middle + speed * seconds * ahead]))
        columns, rows = ends[1] - ends[0]
        return float(columns), float(rows)


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
    """Take a picture of a person, with pose, place, light and crop drawn anew.

    Two cameras of one place that differ in spectrum alone take the same moment when given equal
    generators: that is how aligned pairs are made.

    Args:
        outfit: The dressed person.
        camera: Camera that takes it.
        seed: Seed of the data set; decides what the camera's surroundings look like.
        rng: Source of this picture's random numbers.
        height: Rows of the picture.
        width: Columns of the picture.
        bystanders: Other people who may pass by.
        hold: Names among `HOLDABLE` of factors that are the same in all pictures.
    """
    dice = _dice(rng, hold)
    camera = held_still(camera) if "camera" in hold else camera
    step = _step(outfit, dice, hold)
    person = Solid(step.placed(posed(outfit, step.pose)), outfit.triangles, outfit)
    boxing = None if "box" in hold else dice["box"]
    view, box = draw_view(person.vertices, camera, dice["camera"], boxing, height, width)
    there = bare_place() if "background" in hold else place(seed, camera.place, camera.scenery)
    solids = [person]
    if "background" not in hold:
        solids += behind(there, camera, view, person, bystanders, dice["background"])
    if "occluders" not in hold:
        solids += before(camera, view, person, bystanders, dice["occluders"])
    standing, first, box = _cast(solids, view, box)
    moment = _moment(camera, view, there, standing, dice)
    radiance, parts = _traced(standing, first, moment)
    moved = step.moved(view, person.vertices.mean(0), camera.exposure)
    exposed = _exposed(radiance, parts, moment, moved)
    truth = Truth(
        parts,
        _keypoints(standing, view, step.placed(keypoints(outfit, step.pose))),
        box,
        {**_angles(step.pose), "yaw": step.yaw},
        _camera_numbers(view, person, step.yaw),
        _light_numbers(moment),
    )
    return Photograph(developed(exposed, moment.light, camera, dice["sensor"]), truth)


_DICE = ("pose", "camera", "box", "background", "occluders", "light", "sensor")


def _dice(rng: Generator, hold: frozenset[str]) -> dict[str, Generator]:
    """Return a generator for each factor; one that is held draws the same in every picture."""
    seeds = rng.integers(2**62, size=len(_DICE))
    return {
        name: np.random.default_rng(0 if name in hold else int(seed))
        for name, seed in zip(_DICE, seeds, strict=True)
    }


def _step(outfit: Outfit, dice: dict[str, Generator], hold: frozenset[str]) -> Step:
    pose = _pose(outfit, dice["pose"], held="pose" in hold)
    yaw = float(dice["pose"].uniform(0, 2 * np.pi))
    tall = float(np.ptp(outfit.body.vertices[:, 2]))
    scale = HELD_HEIGHT / tall if "height" in hold else 1.0
    return Step(pose, yaw, dice["camera"].uniform(-1.3, 1.3, 2), scale)


def _pose(outfit: Outfit, rng: Generator, held: bool) -> Pose:
    """Draw a pose of the person's own walk; a held pose is one of a stranger's walk."""
    own = draw_pose(outfit.person, rng)
    if not held:
        return own
    stranger = draw_pose(draw_person(0, 1), np.random.default_rng(0))
    angles: dict[str, Any] = _angles(stranger)
    return replace(own, **angles)


def _exposed(
    radiance: Array, parts: NDArray[np.uint8], moment: Moment, moved: tuple[float, float]
) -> Exposed:
    view = moment.view
    off_axis = (view.pixel_rays @ view.axes[2]).reshape(parts.shape).astype(np.float32)
    return Exposed(radiance, parts > 0, moved, off_axis, view.distance)


def _cast(solids: list[Solid], view: View, box: Box) -> tuple[Solids, Hits, Box]:
    """Return the solids, what one ray a pixel meets, and the box with its hidden share."""
    standing = Solids(solids)
    first = standing.cast(view.eye, view.pixel_rays)
    of_person = int(first.person_behind.sum())
    hidden = int((first.person_behind & (first.solids > 0)).sum()) / max(of_person, 1)
    if hidden > MOST_HIDDEN:
        return _cast([s for s in solids if not s.before], view, box)
    return standing, first, replace(box, hidden=hidden)


def _keypoints(standing: Solids, view: View, joints: Array) -> dict[str, Keypoint]:
    """Return joints; those more than a limb's thickness behind something are hidden."""
    away = joints - view.eye
    met = standing.cast(view.eye, unit(away).astype(np.float32))
    depth = np.linalg.norm(away, axis=1)
    covered = (met.solids >= 0) & (met.distances < depth - LIMB)
    places = view.seen_at(joints)
    inside = ((places >= 0) & (places < (view.columns, view.rows))).all(1)
    return {
        name: Keypoint(float(x), float(y), bool(seen))
        for name, (x, y), seen in zip(KEYPOINTS, places, inside & ~covered, strict=True)
    }


def _shadow(standing: Solids, light: Light, camera: Camera, rng: Generator) -> Shadow:
    """Return which points the sun or lamp does not reach; its width softens the edges."""
    leafy = camera.scenery == "garden" and camera.spectrum == "visible" and rng.random() < 0.5
    phases = rng.uniform(0, 2 * np.pi, 4)
    sun = light.sun.astype(np.float32)

    def in_shadow(points: Array) -> NDArray[np.bool_]:
        towards = unit(sun + light.softness * _scattered(len(points)))
        blocked = standing.blocks(points.astype(np.float32), towards)
        return blocked | _under_leaves(points, sun, phases) if leafy else blocked

    return in_shadow


def _scattered(n: int) -> Array:
    """Return points all over a ball; neighbours lie far apart, so a little blur makes them even.

    Roberts, "The unreasonable effectiveness of quasirandom sequences" (2018), in three dimensions.
    """
    return _many_scattered(1 << max(n - 1, 1).bit_length())[:n]


@cache
def _many_scattered(n: int) -> Array:
    steps = np.array([0.8191725134, 0.6710436067, 0.5497004779])
    scattered: Array = ((np.arange(n)[:, None] * steps) % 1 * 2 - 1).astype(np.float32)
    return scattered


def _under_leaves(points: Array, sun: Array, phases: Array) -> NDArray[np.bool_]:
    """Return the dappled shade of trees outside the picture."""
    x, y = (points[:, :2] - points[:, 2:] * (sun[:2] / max(float(sun[2]), 0.2))).T
    a, b, c, d = phases
    waves = np.sin(7 * x + 3 * y + a) + np.sin(-4 * x + 9 * y + b)
    waves += np.sin(17 * x - 6 * y + c) + np.sin(5 * x + 19 * y + d)
    penumbra = _scattered(len(points))[:, 0]
    shade: NDArray[np.bool_] = waves > 0.2 + penumbra
    return shade


def _moment(
    camera: Camera, view: View, there: Place, standing: Solids, dice: dict[str, Generator]
) -> Moment:
    rng = dice["light"]
    light = draw_light(camera, rng)
    return Moment(
        camera,
        view,
        there,
        dice["background"].uniform(0, 12, 3),
        light,
        draw_weather(camera, rng),
        float(rng.random()),
        _shadow(standing, light, camera, rng),
    )


def _traced(standing: Solids, first: Hits, moment: Moment) -> tuple[Array, NDArray[np.uint8]]:
    """Return the light in each pixel, rows x columns x channels, and the parts mask.

    One ray a pixel, four where the pixel's neighbours see something else.
    """
    view = moment.view
    edges = _edges(first, view)
    inside = np.flatnonzero(~edges)
    at_edge = np.repeat(np.flatnonzero(edges), len(_EDGE_RAYS))
    within = np.tile(np.array(_EDGE_RAYS), (len(at_edge) // len(_EDGE_RAYS), 1))
    finer = view.rays(at_edge % view.columns + within[:, 0], at_edge // view.columns + within[:, 1])
    directions = np.concatenate([view.pixel_rays[inside], finer])
    hits = _both(first, inside, standing.cast(view.eye, finer))
    light, parts = _met(standing, hits, directions, moment)
    channels = light.shape[1]
    image = np.empty((view.rows * view.columns, channels), np.float32)
    image[inside] = light[: len(inside)]
    mask = np.empty(len(image), np.uint8)
    mask[inside] = parts[: len(inside)]
    n = len(_EDGE_RAYS)
    image[at_edge[::n]] = light[len(inside) :].reshape(-1, n, channels).mean(1)
    mask[at_edge[::n]] = parts[len(inside) :: n]
    shape = (view.rows, view.columns)
    return image.reshape(*shape, channels), mask.reshape(shape)


def _edges(first: Hits, view: View) -> NDArray[np.bool_]:
    """Return n pixels beside one that sees another solid, or the same one much farther off."""
    solids = first.solids.reshape(view.rows, view.columns)
    depth = np.where(first.solids < 0, 0, first.distances).reshape(solids.shape)
    edges = np.zeros(solids.shape, bool)
    for a, b in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = (solids[a] != solids[b]) | (np.abs(depth[a] - depth[b]) > 0.06)
        edges[a] |= differ
        edges[b] |= differ
    return edges.reshape(-1)


def _both(first: Hits, kept: Indices, finer: Hits) -> Hits:
    return Hits(
        *(
            np.concatenate([a[kept], b])
            for a, b in zip(vars(first).values(), vars(finer).values(), strict=True)
        )
    )


def _met(
    standing: Solids, hits: Hits, directions: Array, moment: Moment
) -> tuple[Array, NDArray[np.uint8]]:
    """Return light along each ray, n x channels, and what it meets in the mask's numbers, n."""
    parts = np.zeros(len(directions), np.uint8)
    nothing = np.flatnonzero(hits.solids < 0)
    shone = moment.light_from(_background_surface(moment, directions[nothing]))
    light = np.empty((len(directions), shone.shape[1]), np.float32)
    light[nothing] = shone
    for i, solid in enumerate(standing.solids):
        rays = np.flatnonzero(hits.solids == i)
        if len(rays) == 0:
            continue
        if solid.outfit is not None:
            seen = _seen(solid.outfit, solid.vertices, moment.view.eye, directions, hits, rays)
            light[rays] = moment.light_from(_dressed(solid.outfit, seen, moment))
            parts[rays] = 1 + seen.slots if i == 0 else BYSTANDER * solid.before
        elif solid.thing is not None:
            light[rays] = moment.light_from(
                _thing_surface(solid.thing, directions, hits, rays, moment)
            )
            parts[rays] = OBJECT * solid.before
    return light, parts


def _dressed(outfit: Outfit, seen: Seen, moment: Moment) -> Surface:
    if moment.camera.spectrum == "thermal":
        return dressed_surface(outfit, seen, moment.weather, moment.settled)
    return dressed_surface(outfit, seen)


def _background_surface(moment: Moment, directions: Array) -> Surface:
    behind = backdrop(moment.there, moment.view.eye, directions, moment.shift)
    return Surface(
        behind.points,
        behind.normals,
        directions,
        behind.albedo[:, :3],
        behind.albedo[:, 3],
        temperature=_standing_temperature(behind.albedo, behind.normals, moment),
    )


def _standing_temperature(albedo: Array, normals: Array, moment: Moment) -> Array | float:
    """Return degrees Celsius of a surface that stands in sun and wind all day.

    A surface that looks up cools towards a clear sky by a tenth of the difference (inferred);
    `sunned` is for people, who spend half their time in the shade.
    """
    weather = moment.weather
    if moment.camera.spectrum != "thermal":
        return weather.air
    upward = np.clip(normals[:, 2], 0, 1)
    temperature: Array = weather.air + 2 * sunned(albedo, normals, weather)
    return temperature - np.float32(0.1 * (weather.air - weather.sky)) * upward


def _thing_surface(
    made: Thing, directions: Array, hits: Hits, rays: Indices, moment: Moment
) -> Surface:
    a, b, c = (made.vertices[made.triangles[hits.triangles[rays], i]] for i in range(3))
    normals = unit(np.cross(b - a, c - a)).astype(np.float32)
    normals[dot(normals, directions[rays]) > 0] *= -1
    points = moment.view.eye + directions[rays] * hits.distances[rays, None]
    wave = np.sin(points @ _WAVES) * np.sin(points @ _WAVES[:, ::-1] * np.float32(2.3))
    mottled = 1 + np.float32(made.mottle) * wave.sum(1)
    albedo = np.clip(made.albedo[hits.triangles[rays]] * mottled[:, None], 0.004, 0.9)
    return Surface(
        points,
        normals,
        directions[rays],
        albedo[:, :3],
        albedo[:, 3],
        gloss=made.gloss,
        temperature=_standing_temperature(albedo, normals, moment) + made.warmth,
    )


_WAVES = np.array([[31.0, 13.0, 7.0], [9.0, 27.0, 15.0], [23.0, 19.0, 29.0]], np.float32)


def _seen(
    outfit: Outfit, vertices: Array, eye: Array, directions: Array, hits: Hits, rays: Indices
) -> Seen:
    met, u, v = hits.triangles[rays], hits.u[rays], hits.v[rays]
    shares = np.stack([1 - u - v, u, v])
    corners = outfit.triangles[met].T

    def between(of_vertices: Array) -> Array:
        a, b, c = (
            of_vertices[corner].T * share for corner, share in zip(corners, shares, strict=True)
        )
        blended: Array = (a + b + c).T
        return blended

    normals = unit(between(vertex_normals(vertices, outfit.triangles)))
    normals[dot(normals, directions[rays]) > 0] *= -1
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
    points = eye + directions[rays] * hits.distances[rays, None]
    return Seen(
        rays,
        points.astype(np.float32),
        normals.astype(np.float32),
        directions[rays],
        rest,
        slots,
        limbs,
    )


def _angles(pose: Pose) -> dict[str, float]:
    return {name: value for name, value in vars(pose).items() if isinstance(value, float)}


def _camera_numbers(view: View, person: Solid, yaw: float) -> dict[str, float]:
    x, y = view.eye[:2] - person.vertices[:, :2].mean(0)
    azimuth = float((np.arctan2(x, -y) - yaw + np.pi) % (2 * np.pi) - np.pi)
    return {"distance": view.distance, "height": float(view.eye[2]), "azimuth": azimuth}


def _light_numbers(moment: Moment) -> dict[str, float]:
    light = moment.light
    numbers: dict[str, Any] = {
        "exposure": light.exposure,
        "sun_elevation": float(np.arcsin(light.sun[2])),
        "direct": float(np.mean(light.sun_colour)),
        "diffuse": float(np.mean(light.sky_colour)),
        **vars(moment.weather),
    }
    return numbers
