"""How long NightWalk's pictures take, whether memory stays flat, and beside which renderers.

    python benchmarks/rendering.py --write

Figures are processor time of one core: what else the machine does does not count. The peers are
asked for what shading needs: which triangle of a dressed, posed person each pixel sees, in the
view of a 288 x 144 picture, the scene being built anew as every picture's pose requires. They are
no dependencies of vireid; those that cannot be imported are left out (`pip install vtk moderngl
pyrender`). The rasteriser in NumPy stands in this file.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from vireid.render import nightwalk
from vireid.render.bodies import shop
from vireid.render.layouts import Shot, shots_of
from vireid.render.outfits import Outfit, dress
from vireid.render.people import draw_person
from vireid.render.plans import SIZES
from vireid.render.poses import draw_pose, posed

RESULTS = Path(__file__).parent / "results" / "rendering.md"
PLAN = SIZES["sysu"]["standard"]
ROWS, COLUMNS = PLAN.height, PLAN.width
EYE, MIDDLE = np.array([0.0, -6.0, 1.6]), np.array([0.0, 0.0, 0.9])
VERTICAL_ANGLE = 2 * np.arctan(1.05 / 6)
NEAR, FAR = 0.5, 30.0
NOTHING = -1
SYSTEM_PACKAGES = {
    "embreex": "none",
    "NumPy rasteriser": "none",
    "VTK": "libegl1, libgl1-mesa-dri",
    "moderngl": "libegl1, libgl1-mesa-dri",
    "pyrender": "libegl1, libgl1-mesa-dri",
}

REMARK = """pyrender smooths edges, which mixes the colours that are numbers. Kept: embreex. It
needs pip alone, and the same scene answers what light reaches a point and what hides a joint, for
which a rasteriser draws the scene again from every lamp."""

Seen = NDArray[np.int64]
"""The triangle that each pixel sees, rows x columns; `NOTHING` for none."""
Floats = NDArray[np.floating[Any]]
Triangles = NDArray[np.int32]


# What a picture takes.


def outfits(count: int) -> dict[int, Outfit]:
    """The first people of the set, dressed."""
    people = [draw_person(PLAN.seed, identity) for identity in range(1, count + 1)]
    return {p.identity: dress(p, shop().body(p.phenotype)) for p in people}


def shots(people: int) -> Iterator[Shot]:
    """Pictures of some people, all cameras in turn, without end."""
    taken = [shot for identity in range(1, people + 1) for shot in shots_of(PLAN, identity)]
    order = np.random.default_rng(0).permutation(len(taken))
    return cycle([taken[i] for i in order])


def seconds_a_picture(count: int) -> dict[str, list[float]]:
    """Processor seconds of every picture, encoding included, by camera."""
    dressed = outfits(8)
    order = shots(8)
    for shot in islice(order, 20):  # places and passers-by are made once
        nightwalk._photograph(PLAN, dressed[shot.identity], shot)
    taken: dict[str, list[float]] = {}
    for shot in islice(order, count):
        start = time.process_time()
        photograph = nightwalk._photograph(PLAN, dressed[shot.identity], shot)
        nightwalk._encoded(photograph.picture, PLAN, shot)
        taken.setdefault(shot.camera.name, []).append(time.process_time() - start)
    return taken


def megabytes() -> float:
    """Of memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory_over_pictures(counts: tuple[int, ...]) -> dict[int, float]:
    """Megabytes after so many pictures."""
    dressed, order, held = outfits(8), shots(8), {}
    for number in range(1, max(counts) + 1):
        shot = next(order)
        nightwalk._photograph(PLAN, dressed[shot.identity], shot)
        if number in counts:
            held[number] = megabytes()
    return held


# What each pixel sees, by five renderers.


def somebody(number: int) -> tuple[Floats, Triangles]:
    """Vertices in metres, v x 3, and triangles of a walking, dressed person."""
    person = draw_person(PLAN.seed, number)
    outfit = dress(person, shop().body(person.phenotype))
    vertices = posed(outfit, draw_pose(person, np.random.default_rng(number)))
    return np.ascontiguousarray(vertices, np.float32), outfit.triangles


def axes() -> Floats:
    """Right, up and forward of the camera, 3 x 3."""
    forward = (MIDDLE - EYE) / np.linalg.norm(MIDDLE - EYE)
    right = np.array([1.0, 0, 0])
    return np.stack([right, np.cross(right, forward), forward])


def in_camera(vertices: Floats) -> tuple[Floats, Floats]:
    """Columns and rows in pixels, v x 2, and depths in metres, v."""
    x, y, z = ((vertices - EYE) @ axes().T).T
    focal = ROWS / 2 / np.tan(VERTICAL_ANGLE / 2)
    return np.stack([COLUMNS / 2 + focal * x / z, ROWS / 2 - focal * y / z], 1), z


def by_embreex(vertices: Floats, triangles: Triangles) -> Seen:
    """Rays through the pixels' middles."""
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    scene = EmbreeScene()
    TriangleMesh(scene, vertices, triangles)
    row, column = np.divmod(np.arange(ROWS * COLUMNS), COLUMNS)
    focal = ROWS / 2 / np.tan(VERTICAL_ANGLE / 2)
    in_view = np.stack([column + 0.5 - COLUMNS / 2, ROWS / 2 - row - 0.5], 1) / focal
    rays = np.concatenate([in_view, np.ones((len(in_view), 1))], 1) @ axes()
    eyes = np.broadcast_to(EYE, rays.shape).astype(np.float32).copy()
    met = scene.run(eyes, rays.astype(np.float32), output=True)["primID"]
    return np.asarray(met, np.int64).reshape(ROWS, COLUMNS)


def by_numpy(vertices: Floats, triangles: Triangles) -> Seen:
    """A rasteriser: all pixels of each triangle's bounding box, the nearest triangle wins."""
    places, depths = in_camera(vertices)
    corners, depth = places[triangles], depths[triangles]
    least = np.clip(np.ceil(corners.min(1) - 0.5), 0, (COLUMNS, ROWS)).astype(np.int64)
    most = np.clip(np.floor(corners.max(1) - 0.5) + 1, 0, (COLUMNS, ROWS)).astype(np.int64)
    size = np.maximum(most - least, 0)
    owners = np.repeat(np.arange(len(triangles)), size.prod(1))
    if len(owners) == 0:
        return np.full((ROWS, COLUMNS), NOTHING)
    number = np.arange(len(owners)) - np.repeat(size.prod(1).cumsum() - size.prod(1), size.prod(1))
    column = least[owners, 0] + number % size[owners, 0]
    row = least[owners, 1] + number // size[owners, 0]
    shares = _barycentric(corners[owners], np.stack([column + 0.5, row + 0.5], 1))
    inside = (shares >= 0).all(1)
    # 1 / depth is what is linear across a picture.
    nearness = (shares[inside] / depth[owners[inside]]).sum(1)
    pixel, owner = (row * COLUMNS + column)[inside], owners[inside]
    order = np.lexsort((nearness, pixel))
    seen = np.full(ROWS * COLUMNS, NOTHING)
    seen[pixel[order]] = owner[order]
    return seen.reshape(ROWS, COLUMNS)


def _barycentric(corners: Floats, points: Floats) -> Floats:
    """Shares of three corners, n x 3 x 2, in points, n x 2; one is negative outside."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]

    def area(p: Floats, q: Floats, r: Floats) -> Floats:
        (px, py), (qx, qy), (rx, ry) = p.T, q.T, r.T
        doubled: Floats = (qx - px) * (ry - py) - (qy - py) * (rx - px)
        return doubled

    whole = area(a, b, c)
    safe = np.where(whole == 0, np.nan, whole)
    parts = np.stack([area(points, b, c), area(a, points, c), area(a, b, points)], 1)
    shares: Floats = np.nan_to_num(parts / safe[:, None], nan=-1)
    return shares


def by_vtk(vertices: Floats, triangles: Triangles) -> Seen:
    """Off screen; a triangle's colour is its number."""
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

    mesh, points, cells = vtk.vtkPolyData(), vtk.vtkPoints(), vtk.vtkCellArray()
    points.SetData(numpy_to_vtk(vertices))
    cells.SetData(3, numpy_to_vtk(triangles.reshape(-1).astype(np.int64), deep=True))
    mesh.SetPoints(points)
    mesh.SetPolys(cells)
    mesh.GetCellData().SetScalars(numpy_to_vtk(_colours(len(triangles))))
    mapper, actor, camera = vtk.vtkPolyDataMapper(), vtk.vtkActor(), vtk.vtkCamera()
    mapper.SetInputData(mesh)
    actor.SetMapper(mapper)
    actor.GetProperty().LightingOff()
    camera.SetPosition(*EYE)
    camera.SetFocalPoint(*MIDDLE)
    camera.SetViewUp(0, 0, 1)
    camera.SetViewAngle(np.degrees(VERTICAL_ANGLE))
    camera.SetClippingRange(NEAR, FAR)
    renderer, window = vtk.vtkRenderer(), vtk.vtkRenderWindow()
    renderer.AddActor(actor)
    renderer.SetActiveCamera(camera)
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    window.SetSize(COLUMNS, ROWS)
    window.AddRenderer(renderer)
    renderer.SetBackground(1, 1, 1)
    window.Render()
    grabbed = vtk.vtkWindowToImageFilter()
    grabbed.SetInput(window)
    grabbed.ReadFrontBufferOff()
    grabbed.Update()
    pixels = vtk_to_numpy(grabbed.GetOutput().GetPointData().GetScalars())
    seen = _numbers(pixels.reshape(ROWS, COLUMNS, 3)[::-1].copy())
    window.Finalize()
    return seen


def moderngl_renderer() -> Callable[[Floats, Triangles], Seen]:
    """A context is made once; buffers are filled for every picture."""
    import moderngl

    context = moderngl.create_standalone_context(backend="egl")
    program = context.program(
        vertex_shader="""#version 330
            in vec4 place; in vec3 number; flat out vec3 colour;
            void main() { gl_Position = place; colour = number; }""",
        fragment_shader="""#version 330
            flat in vec3 colour; out vec4 drawn;
            void main() { drawn = vec4(colour, 1.0); }""",
    )
    target = context.simple_framebuffer((COLUMNS, ROWS), components=3)

    def seen(vertices: Floats, triangles: Triangles) -> Seen:
        places, z = in_camera(vertices)
        ndc = places / (COLUMNS / 2, ROWS / 2) - 1
        deep = (FAR + NEAR - 2 * FAR * NEAR / z) / (FAR - NEAR)
        clip = np.stack([ndc[:, 0], -ndc[:, 1], deep, np.ones_like(z)], 1) * z[:, None]
        numbers = np.repeat(_colours(len(triangles)) / 255, 3, axis=0)
        rows = np.concatenate([clip[triangles].reshape(-1, 4), numbers], 1).astype("f4")
        buffer = context.buffer(rows.tobytes())
        target.use()
        context.enable(moderngl.DEPTH_TEST)
        context.clear(1, 1, 1)
        array = context.vertex_array(program, [(buffer, "4f 3f", "place", "number")])
        array.render()
        rgb = np.frombuffer(target.read(components=3), np.uint8).reshape(ROWS, COLUMNS, 3)[::-1]
        array.release()
        buffer.release()
        return _numbers(rgb)

    return seen


def pyrender_renderer() -> Callable[[Floats, Triangles], Seen]:
    """Flat colours, off screen."""
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    import pyrender
    import trimesh

    renderer = pyrender.OffscreenRenderer(COLUMNS, ROWS)
    right, up, forward = axes()
    pose = np.eye(4)
    pose[:3] = np.stack([right, up, -forward, EYE], 1)

    def seen(vertices: Floats, triangles: Triangles) -> Seen:
        apart = vertices[triangles].reshape(-1, 3)
        mesh = trimesh.Trimesh(apart, np.arange(len(apart)).reshape(-1, 3), process=False)
        colours = np.repeat(_colours(len(triangles)), 3, axis=0)
        mesh.visual = trimesh.visual.ColorVisuals(mesh, vertex_colors=colours)
        scene = pyrender.Scene(bg_color=(255, 255, 255))
        scene.add(pyrender.Mesh.from_trimesh(mesh, smooth=False))
        scene.add(pyrender.PerspectiveCamera(VERTICAL_ANGLE, NEAR, FAR, COLUMNS / ROWS), pose=pose)
        rgb, _ = renderer.render(scene, flags=pyrender.RenderFlags.FLAT)
        return _numbers(rgb)

    return seen


def _colours(count: int) -> NDArray[np.uint8]:
    """The numbers from 0 as red, green and blue."""
    number = np.arange(count)
    return np.stack([number >> 16, number >> 8 & 255, number & 255], 1).astype(np.uint8)


def _numbers(rgb: NDArray[np.uint8]) -> Seen:
    """Numbers from colours; white is nothing."""
    wide = rgb.astype(np.int64)
    number = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return np.where(number == 0xFFFFFF, NOTHING, number)


MAKERS: dict[str, Callable[[], Callable[[Floats, Triangles], Seen]]] = {
    "embreex": lambda: by_embreex,
    "NumPy rasteriser": lambda: by_numpy,
    "VTK": lambda: by_vtk,
    "moderngl": moderngl_renderer,
    "pyrender": pyrender_renderer,
}


def compared(name: str, rounds: int = 12) -> str:
    """A row of the table: how long a renderer takes, and where it agrees with embreex."""
    try:
        render = MAKERS[name]()
        render(*somebody(1))
    except Exception as error:  # whatever a peer's installation lacks
        return f"| {name} | - | - | - | {type(error).__name__}: {str(error)[:60]} |"
    milliseconds, same_shape, same_triangle = [], [], []
    for number in range(2, 2 + rounds):
        vertices, triangles = somebody(number)
        start = time.process_time()
        seen = render(vertices, triangles)
        milliseconds.append(1000 * (time.process_time() - start))
        ours = by_embreex(vertices, triangles)
        same_shape.append(np.mean((seen >= 0) == (ours >= 0)))
        same_triangle.append(np.mean((seen == ours)[ours >= 0]))
    return (
        f"| {name} | {statistics.median(milliseconds):.0f} | {100 * np.mean(same_shape):.2f} % | "
        f"{100 * np.mean(same_triangle):.1f} % | {SYSTEM_PACKAGES[name]} |"
    )


# Reporting.


def report(pictures: int) -> str:
    """All tables."""
    assert __doc__
    parts = [
        "# Rendering\n",
        __doc__,
        f"\n## A picture of {ROWS} x {COLUMNS}, encoding included\n",
        *_times(seconds_a_picture(pictures)),
        "\n## Memory of a process\n",
        *_memory(memory_over_pictures((20, 70, 120, 170, 220))),
        "\n## Which triangle each pixel sees\n",
        "| renderer | ms | same outline as embreex | same triangle | needs of the system |",
        "|---|---|---|---|---|",
        *_in_processes_of_their_own(),
        f"\n{REMARK}",
    ]
    return "\n".join(parts) + "\n"


def _times(taken: dict[str, list[float]]) -> Iterator[str]:
    yield "| camera | pictures | median s | 9 of 10 below |"
    yield "|---|---|---|---|"
    everything = {"all": [t for times in taken.values() for t in times], **taken}
    for camera, times in sorted(everything.items()):
        below = np.quantile(times, 0.9)
        yield f"| {camera} | {len(times)} | {statistics.median(times):.3f} | {below:.3f} |"


def _memory(held: dict[int, float]) -> Iterator[str]:
    yield "| pictures | MB |"
    yield "|---|---|"
    yield from (f"| {count} | {size:.0f} |" for count, size in held.items())


def _in_processes_of_their_own() -> Iterator[str]:
    """A peer that crashes takes nothing with it."""
    for name in MAKERS:
        command = [sys.executable, __file__, "--renderer", name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
        yield rows[-1] if rows else f"| {name} | - | - | - | ended with status {done.returncode} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=120)
    parser.add_argument("--renderer", choices=list(MAKERS), help="compare this one alone")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS}")
    asked = parser.parse_args()
    if asked.renderer:
        print(compared(asked.renderer))
        return
    threadpool_limits(1, "blas")  # as in a process that renders
    text = report(asked.pictures)
    print(text)
    if asked.write:
        RESULTS.write_text(text)


if __name__ == "__main__":
    main()
