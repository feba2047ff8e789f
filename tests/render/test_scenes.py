"""Pictures of places: what is held stays, what is true is seen, what is drawn is physics."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from vireid.render import pictures
from vireid.render.bodies import shop
from vireid.render.outfits import Outfit, dress
from vireid.render.people import draw_person
from vireid.render.pictures import BYSTANDER, OBJECT, Photograph, Step, photograph
from vireid.render.places import bare_place, place
from vireid.render.poses import draw_pose, posed
from vireid.render.scenes import (
    CAMERAS,
    LLCM,
    REGDB,
    Camera,
    Light,
    colour_of,
    draw_light,
    draw_weather,
)
from vireid.render.sensors import Exposed, developed
from vireid.render.things import BEFORE, BEHIND, thing
from vireid.render.views import View, draw_view

BY_NAME = {camera.name: camera for camera in CAMERAS}
HEIGHT, WIDTH = 96, 48


@cache
def somebody(identity: int) -> Outfit:
    person = draw_person(1, identity)
    return dress(person, shop().body(person.phenotype))


def taken(
    camera: Camera | str,
    number: int = 0,
    identity: int = 1,
    hold: tuple[str, ...] = (),
    seed: int = 0,
) -> Photograph:
    return photograph(
        somebody(identity),
        BY_NAME[camera] if isinstance(camera, str) else camera,
        seed,
        np.random.default_rng(number),
        HEIGHT,
        WIDTH,
        (somebody(100), somebody(101)),
        frozenset(hold),
    )


def test_equal_generators_give_equal_pictures_and_truth_and_others_do_not() -> None:
    first, again, other = taken("cam4", 3), taken("cam4", 3), taken("cam4", 4)
    assert first.picture.tobytes() == again.picture.tobytes()
    assert np.array_equal(first.truth.parts, again.truth.parts)
    facts, same = ({**vars(photo.truth), "parts": None} for photo in (first, again))
    assert facts == same
    assert first.truth.camera != other.truth.camera
    assert first.picture.tobytes() != other.picture.tobytes()


@pytest.mark.parametrize("camera", [*CAMERAS, *REGDB, LLCM[0], LLCM[9]], ids=lambda c: c.name)
def test_infrared_has_one_channel_and_the_person_is_in_the_picture(camera: Camera) -> None:
    photo = taken(camera, 5)
    assert photo.picture.mode == ("RGB" if camera.spectrum == "visible" else "L")
    assert photo.picture.size == (WIDTH, HEIGHT)
    person = (photo.truth.parts > 0) & (photo.truth.parts < BYSTANDER)
    assert 0.08 < person.mean() < 0.8
    assert np.asarray(photo.picture).std() > 5


@pytest.mark.parametrize(("held", "numbers"), [("camera", "camera"), ("light", "light")])
def test_what_is_held_is_the_same_in_every_picture(held: str, numbers: str) -> None:
    def told(number: int, hold: tuple[str, ...]) -> dict[str, float]:
        truth = taken("cam5", number, hold=hold).truth
        return {k: v for k, v in getattr(truth, numbers).items() if k != "azimuth"}

    assert told(1, (held,)) == pytest.approx(told(2, (held,)), abs=0.02)
    assert told(1, ()) != pytest.approx(told(2, ()), abs=0.02)


def test_a_held_pose_tells_neither_the_moment_nor_whose_gait_it_is() -> None:
    poses = [taken("cam5", n, identity=n, hold=("pose",)).truth.pose for n in (1, 2)]
    assert poses[0] == poses[1]


def test_held_height_makes_everybody_equally_tall(monkeypatch: pytest.MonkeyPatch) -> None:
    tall = []

    def measure(vertices: np.ndarray, *rest: object) -> object:
        tall.append(float(np.ptp(vertices[: len(somebody(1).body.vertices), 2])))
        return draw_view(vertices, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(pictures, "draw_view", measure)
    for identity in range(1, 6):
        taken("cam4", identity=identity, hold=("pose",))
        taken("cam4", identity=identity, hold=("pose", "height"))
    assert np.std(tall[1::2]) < 0.35 * np.std(tall[::2])


def test_held_background_does_not_depend_on_the_place() -> None:
    held = [taken("cam1", hold=("background",), seed=s).picture.tobytes() for s in (0, 1)]
    free = [taken("cam1", seed=s).picture.tobytes() for s in (0, 1)]
    assert held[0] == held[1]
    assert free[0] != free[1]
    assert len(np.unique(bare_place().floor)) == len(np.unique(bare_place().walls)) == 1
    assert len(np.unique(place(0, 1, "room").walls)) > 50


def test_a_held_box_is_tight_and_others_are_loose_shifted_or_cut() -> None:
    held = [taken("cam4", n, hold=("box", "occluders")).truth for n in range(4)]
    for truth in held:
        rows = np.flatnonzero(truth.parts.any(1))
        assert truth.box.looseness < 0.35
        assert rows[0] >= 0
        assert (truth.box.cut_top, truth.box.cut_bottom) == (0, 0)
        columns = np.flatnonzero(truth.parts.any(0))
        assert abs((columns[0] + columns[-1]) / 2 - WIDTH / 2) <= 2
    free = [taken("cam4", n).truth.box for n in range(12)]
    assert any(box.cut_bottom > 0.03 for box in free)
    assert np.ptp([box.looseness for box in free]) > 0.05


def test_a_cut_box_cuts_the_mask() -> None:
    for number in range(12):
        truth = taken("cam4", number, hold=("occluders",)).truth
        if truth.box.cut_bottom > 0.03:
            assert truth.parts[-1].any()
        if truth.box.cut_bottom == 0 and truth.box.looseness > 0.08:
            assert not truth.parts[-1].any()


def test_the_share_that_is_hidden_is_what_the_mask_lacks() -> None:
    hidden = 0
    for number in range(20):
        covered = taken("cam5", number).truth
        if covered.box.hidden < 0.05:
            continue
        free = taken("cam5", number, hold=("occluders",)).truth
        person = (free.parts > 0) & (free.parts < BYSTANDER)
        lacking = person & np.isin(covered.parts, (OBJECT, BYSTANDER))
        assert lacking.sum() / person.sum() == pytest.approx(covered.box.hidden, abs=0.03)
        assert free.box.hidden == 0
        assert covered.box.hidden <= pictures.MOST_HIDDEN
        hidden += 1
    assert hidden >= 2


def test_visible_keypoints_lie_on_the_person() -> None:
    on_person = []
    for number in range(8):
        truth = taken("cam4", number, identity=2).truth
        for point in truth.keypoints.values():
            if point.visible:
                row, column = int(point.y), int(point.x)
                near = truth.parts[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
                on_person.append(((near > 0) & (near < BYSTANDER)).any())
    assert len(on_person) > 40
    assert np.mean(on_person) > 0.95


def test_an_aligned_pair_shows_one_moment() -> None:
    visible, thermal = (taken(camera, 6).truth.parts > 0 for camera in REGDB)
    assert (visible & thermal).sum() > 0.85 * (visible | thermal).sum()


def test_backgrounds_differ_from_picture_to_picture() -> None:
    photos = [taken("cam2", n, hold=("light", "camera", "box", "pose")) for n in range(2)]
    nobody = (photos[0].truth.parts == 0) & (photos[1].truth.parts == 0)
    first, second = (np.asarray(p.picture, float)[nobody] for p in photos)
    assert np.abs(first - second).mean() > 8


def _bar(moved: tuple[float, float], camera: Camera) -> np.ndarray:
    radiance = np.full((60, 60, 1), 0.02, np.float32)
    person = np.zeros((60, 60), bool)
    person[25:35, 25:35] = True
    radiance[person] = 0.8
    exposed = Exposed(radiance, person, moved, np.ones((60, 60), np.float32), 5.0)
    light = Light(np.array([0, 0, 1.0]), np.zeros(3), np.zeros(3), 1.0)
    return np.asarray(developed(exposed, light, camera, np.random.default_rng(0)), float)


def test_motion_smears_along_the_way_only() -> None:
    camera = replace(BY_NAME["cam6"], noise=0.0, blur=0.01)

    def spread(picture: np.ndarray) -> tuple[float, float]:
        weights = np.clip(picture - np.median(picture), 0, None)
        rows, columns = (weights.sum(axis) for axis in (1, 0))
        at = np.arange(60)
        return tuple(
            float(np.sqrt(np.average((at - np.average(at, weights=w)) ** 2, weights=w)))
            for w in (rows, columns)
        )  # type: ignore[return-value]

    still, across, down = (spread(_bar(m, camera)) for m in ((0, 0), (9, 0), (0, 9)))
    assert across[1] > still[1] + 0.5
    assert across[0] == pytest.approx(still[0], abs=0.2)
    assert down[0] > still[0] + 0.5
    assert down[1] == pytest.approx(still[1], abs=0.2)


def test_who_walks_towards_the_right_of_the_picture_moves_right() -> None:
    camera = BY_NAME["cam6"]
    for number in range(4):
        outfit = somebody(1)
        pose = draw_pose(outfit.person, np.random.default_rng(number))
        for yaw, sign in ((np.pi / 2 - camera.azimuth, 1), (-np.pi / 2 - camera.azimuth, -1)):
            step = Step(pose, yaw, np.zeros(2), 1.0)
            vertices = step.placed(posed(outfit, pose))
            view, _ = draw_view(vertices, camera, np.random.default_rng(1), None, 96, 48)
            columns, rows = step.moved(view, vertices.mean(0), camera.exposure)
            assert sign * columns > 0
            assert abs(rows) < abs(columns)


def _white(light: Light) -> float:
    """How bright a white sheet comes out."""
    return float(light.exposure * (0.7 * light.sun_colour + light.sky_colour).mean())


def test_dark_parts_are_less_noisy_and_dim_light_is_darker() -> None:
    camera = BY_NAME["cam6"]
    noisy = _bar((0, 0), replace(camera, noise=6.0)) - _bar((0, 0), replace(camera, noise=0.0))
    assert noisy[26:34, 26:34].std() > 1
    assert noisy.mean() == pytest.approx(0, abs=1)
    dim, bright = (
        np.median([_white(draw_light(camera, np.random.default_rng(n))) for n in range(50)])
        for camera in (LLCM[1], BY_NAME["cam5"])
    )
    assert dim < 0.6 * bright


def test_lens_and_rays_are_each_others_inverse() -> None:
    vertices = somebody(1).vertices
    for distortion in (0.0, -0.12):
        camera = replace(BY_NAME["cam4"], distortion=distortion)
        view, _ = draw_view(
            vertices, camera, np.random.default_rng(0), np.random.default_rng(1), 96, 48
        )
        columns, rows = np.array([0.5, 20, 47.5]), np.array([0.5, 90, 40.0])
        points = view.eye + 4 * view.rays(columns, rows)
        assert view.seen_at(points) == pytest.approx(np.stack([columns, rows], 1), abs=0.1)


def test_a_barrel_lens_bends_straight_lines_outwards() -> None:
    def bow(distortion: float) -> float:
        axes = np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
        view = View(np.zeros(3), axes, distortion, -1, 1, 1, -1, 100, 100, 5.0)
        edge = np.array([[0.8, 1, -0.8], [0.8, 1, 0], [0.8, 1, 0.8]])
        columns = view.seen_at(edge)[:, 0]
        return float(columns[1] - columns[[0, 2]].mean())

    assert bow(0.0) == pytest.approx(0, abs=1e-6)
    assert bow(-0.1) > 1


def test_colour_temperatures_are_those_of_black_bodies() -> None:
    assert colour_of(6600) == pytest.approx([1, 1, 1], abs=0.07)
    red, blue = np.array([colour_of(k)[[0, 2]] for k in (1800, 2700, 4000, 6500, 12000)]).T
    assert (np.diff(red) < 0).all()
    assert (np.diff(blue) > 0).all()
    assert colour_of(3999.9) == pytest.approx(colour_of(4000.1), abs=0.02)


def test_light_is_exposed_for_and_weather_is_possible() -> None:
    rng = np.random.default_rng(0)
    for camera in (*CAMERAS, *REGDB):
        for _ in range(20):
            light, weather = draw_light(camera, rng), draw_weather(camera, rng)
            assert np.linalg.norm(light.sun) == pytest.approx(1)
            assert light.sun[2] > 0
            assert camera.spectrum != "visible" or 0.3 < _white(light) < 3
            assert weather.sky <= weather.air
            assert camera.outdoors or (weather.sun_warming, weather.wet) == (0, 0)


@pytest.mark.parametrize(
    "name", sorted({n for d in (BEFORE, BEHIND) for k in d.values() for n in k})
)
def test_things_stand_on_the_ground(name: str) -> None:
    for seed in range(3):
        made = thing(name, np.random.default_rng(seed)).at(1.0, 2.0, 0.5)
        assert np.isfinite(made.vertices).all()
        assert made.vertices[:, 2].min() == pytest.approx(0, abs=0.36 if name == "car" else 0.03)
        assert 0.3 < made.vertices[:, 2].max() < 4.5
        assert made.triangles.max() == len(made.vertices) - 1
        assert made.albedo.shape == (len(made.triangles), 4)
        assert (made.albedo > 0).all()
        assert (made.albedo <= 1).all()
