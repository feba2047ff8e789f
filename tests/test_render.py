"""Rendered people: the same from the same seed, dressed, in both spectra, in SYSU-MM01's layout."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vireid.errors import VireidError
from vireid.records import Modality
from vireid.render import nightwalk
from vireid.render.bodies import shop
from vireid.render.outfits import Slot, dress, worn_at
from vireid.render.people import Person, draw_person
from vireid.render.pictures import photograph
from vireid.render.poses import draw_pose, posed
from vireid.render.scenes import CAMERAS

BY_NAME = {camera.name: camera for camera in CAMERAS}
SMALL = nightwalk.Plan(
    seed=5,
    train_people=2,
    validation_people=1,
    test_people=1,
    visible_frames=1,
    infrared_frames=1,
    test_visible_frames=1,
    test_infrared_frames=2,
    height=64,
    width=32,
)


def picture(person: Person, camera: str, frame: int = 0) -> np.ndarray:
    outfit = dress(person, shop().body(person.phenotype))
    rng = np.random.default_rng(frame)
    taken = photograph(outfit, BY_NAME[camera], 5, rng, 64, 32).picture
    return np.asarray(taken.convert("RGB"), np.float32)


def test_the_same_seed_draws_the_same_person_whoever_else_is_drawn() -> None:
    first = draw_person(3, 17)
    draw_person(3, 18)
    assert draw_person(3, 17) == first
    assert draw_person(4, 17) != first


def test_a_body_stands_on_the_floor_in_every_pose() -> None:
    outfit = dress(draw_person(1, 1), shop().body(draw_person(1, 1).phenotype))
    for seed in range(5):
        vertices = posed(outfit, draw_pose(outfit.person, np.random.default_rng(seed)))
        assert np.isfinite(vertices).all()
        assert vertices[:, 2].min() == pytest.approx(0, abs=1e-5)
        assert 1.0 < vertices[:, 2].max() < 2.4


def test_dye_colours_vanish_in_the_near_infrared_and_the_material_stays() -> None:
    person = replace(draw_person(1, 2), outer="none", bag="none")
    plain = replace(person.top_cloth, pattern="plain", colour=(0.7, 0.05, 0.05), infrared=0.7)
    red = replace(person, top_cloth=plain)
    blue = replace(person, top_cloth=replace(plain, colour=(0.05, 0.05, 0.7)))
    dark = replace(person, top_cloth=replace(plain, infrared=0.05))
    assert np.abs(picture(red, "cam4") - picture(blue, "cam4")).max() > 60
    assert np.array_equal(picture(red, "cam6"), picture(blue, "cam6"))
    assert np.abs(picture(red, "cam6") - picture(dark, "cam6")).max() > 40
    assert np.array_equal(picture(red, "cam4"), picture(dark, "cam4"))


def test_infrared_pictures_are_grey_and_visible_ones_are_not() -> None:
    person = draw_person(1, 3)
    for camera in CAMERAS:
        pixels = picture(person, camera.name)
        grey = np.ptp(pixels, axis=2).max() == 0
        assert grey == (camera.modality is Modality.INFRARED)


def test_pose_place_and_light_are_drawn_anew_for_each_picture() -> None:
    person = draw_person(1, 4)
    assert np.abs(picture(person, "cam1", 0) - picture(person, "cam1", 1)).mean() > 10


def test_sleeves_end_where_the_person_says() -> None:
    person = replace(draw_person(1, 5), outer="none", gloves=False, sleeve=0.4)
    outfit = dress(person, shop().body(person.phenotype))
    arm = outfit.body.skeleton.regions == 3
    limbs = outfit.limbs[: len(arm)][arm]
    worn = worn_at(
        person,
        outfit.landmarks,
        np.full(len(limbs), 3),
        limbs,
        outfit.body.vertices[arm],
    )
    assert set(worn[limbs < 0.4]) == {Slot.TOP}
    assert set(worn[limbs >= 0.4]) == {Slot.SKIN}


def test_a_rendered_set_is_complete_and_the_same_with_more_processes(tmp_path: Path) -> None:
    for folder, processes in (("one", 1), ("two", 2)):
        written = sum(nightwalk.render(tmp_path / folder, SMALL, processes))
        assert written == nightwalk.pictures_in(SMALL)
    one = sorted((tmp_path / "one").rglob("*.jpg"))
    assert len(one) == nightwalk.pictures_in(SMALL)
    for path in one:
        assert (
            path.read_bytes()
            == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
        )
        with Image.open(path) as opened:
            assert opened.size == (32, 64)


def test_a_broken_off_rendering_is_completed_and_keeps_what_is_there(tmp_path: Path) -> None:
    plan = replace(SMALL, train_people=1, validation_people=0)
    list(nightwalk.render(tmp_path, plan, processes=1))
    kept, lost = sorted(tmp_path.rglob("*.jpg"))[:2]
    kept.write_bytes(b"kept")
    was = lost.read_bytes()
    lost.unlink()
    list(nightwalk.render(tmp_path, plan, processes=1))
    assert kept.read_bytes() == b"kept"
    assert lost.read_bytes() == was


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    for out in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(VireidError, match="choose another --out"):
            list(nightwalk.render(out, SMALL))
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_damaged_facts_are_refused(tmp_path: Path) -> None:
    (tmp_path / nightwalk.FACTS_FILE).write_text("{")
    with pytest.raises(VireidError, match="damaged"):
        list(nightwalk.render(tmp_path, SMALL))


def test_another_plan_is_refused(tmp_path: Path) -> None:
    nightwalk._begin(tmp_path, SMALL)
    with pytest.raises(VireidError, match="another plan"):
        list(nightwalk.render(tmp_path, replace(SMALL, seed=6)))


@pytest.mark.parametrize(
    "wrong", [{"train_people": 0}, {"visible_frames": 256}, {"seed": -1}, {"test_people": 9_998}]
)
def test_a_plan_that_cannot_be_rendered_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(VireidError, match=r"give|numbered"):
        replace(SMALL, **wrong)


def test_everybody_is_seen_in_both_spectra() -> None:
    for identity in range(1, 200):
        seen = {camera.modality for camera in nightwalk.cameras_passed(0, identity)}
        assert seen == set(Modality)
