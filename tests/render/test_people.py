"""People: how many there are, who is alike, what they wear, hang and carry, how they stand."""

from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest

from vireid.render.bodies import ARM, HEAD, Body, shop
from vireid.render.body_surface import Slot, worn_at
from vireid.render.hanging_parts import HANGING, ROLLING
from vireid.render.materials import Cloth
from vireid.render.outfits import Outfit, dress
from vireid.render.people import FAMILY, Person, draw_person, traits_changed
from vireid.render.poses import KEYPOINTS, Held, Pose, draw_pose, keypoints, posed

SEED = 5
TRAIT_FIELDS = {
    "build": {"phenotype", "looseness"},
    "stature": {"phenotype"},
    "hair": {"hair", "hair_cloth", "fringe", "beard"},
    "headgear": {"headgear", "headgear_cloth"},
    "top": {"top_cloth", "sleeve"},
    "outer": {"outer", "outer_cloth", "outer_sleeve", "coat_length", "opening"},
    "bottom": {"bottom", "bottom_cloth", "leg_length", "flare"},
    "shoes": {"boots", "shoe_cloth", "sole_cloth"},
    "bag": {"bag", "bag_cloth", "bag_side", "bag_size"},
    "scarf": {"scarf", "scarf_cloth"},
}


@pytest.fixture(scope="module")
def body() -> Body:
    return shop().body(draw_person(SEED, 1).phenotype)


@pytest.fixture(scope="module")
def plain() -> Person:
    """Somebody with nothing on that is not asked for."""
    return replace(
        draw_person(SEED, 1),
        headgear="none",
        top="t-shirt",
        sleeve=0.3,
        hem=0.05,
        outer="none",
        bottom="trousers",
        leg_length=1.0,
        boots=1.0,
        bag="none",
        umbrella="none",
        scarf=False,
        gloves=False,
        stoop=0.0,
    )


def standing(person: Person) -> Pose:
    pose = draw_pose(person, np.random.default_rng(0))
    return replace(pose, stride=0.0, arm_swing=0.0, head_turn=0.0, head_nod=0.0)


def of_slot(outfit: Outfit, slot: Slot, pose: Pose) -> np.ndarray:
    """Posed corners of all triangles of one slot."""
    corners: np.ndarray = posed(outfit, pose)[outfit.triangles[outfit.slots == slot]]
    return corners.reshape(-1, 3)


BODILY = ("age", "build", "stature", "skin", "hair", "beard", "glasses")


def test_there_are_more_than_a_million_people_who_can_be_told_apart_in_words() -> None:
    """One over the chance that two people are described alike.

    Given the sex, what is bodily is drawn apart from clothes and things carried; the two chances
    are counted over pairs of people and multiplied. One more pair is counted than was found.
    """
    drawn = [draw_person(SEED, FAMILY * i + 1).attributes() for i in range(300)]
    alike = []
    for sex in ("man", "woman"):
        said = [
            {k: v for k, v in d.items() if isinstance(v, str)} for d in drawn if d["sex"] == sex
        ]
        bodies = [tuple(d[k] for k in BODILY) for d in said]
        clothes = [tuple(v for k, v in d.items() if k not in BODILY) for d in said]
        alike.append(pairs_alike(bodies) * pairs_alike(clothes))
    assert 1 / max(alike) > 1e6


def pairs_alike(said: list[tuple[str, ...]]) -> float:
    found = sum(n * (n - 1) / 2 for n in Counter(said).values())
    return (found + 1) / (len(said) * (len(said) - 1) / 2)


def test_half_of_all_families_are_alike_in_all_but_a_few_traits() -> None:
    families = [
        [draw_person(SEED, FAMILY * f + i) for i in range(1, FAMILY + 1)] for f in range(24)
    ]
    changed = [[traits_changed(SEED, p.identity) for p in family] for family in families]
    alike = [any(traits) for traits in changed]
    assert 0.2 < np.mean(alike) < 0.8
    for family, traits in zip(families, changed, strict=True):
        if not any(traits):
            assert not differing(family[0], family[1]) <= {"identity", "skin", "phenotype"}
            continue
        assert traits[0] == ()
        assert not set(traits[1]) & set(traits[2])
        for person, of_person in zip(family[1:], traits[1:], strict=True):
            assert 1 <= len(of_person) <= 3
            allowed = set().union(*(TRAIT_FIELDS[t] for t in of_person))
            assert differing(family[0], person) <= {"identity"} | allowed


def differing(one: Person, other: Person) -> set[str]:
    return {f.name for f in fields(Person) if getattr(one, f.name) != getattr(other, f.name)}


def test_changed_traits_show_in_the_near_infrared() -> None:
    """With every colour forgotten something still differs."""
    checked = 0
    for identity in range(1, 91):
        for trait in traits_changed(SEED, identity):
            first = draw_person(SEED, identity - (identity - 1) % FAMILY)
            person = draw_person(SEED, identity)
            assert unlike_without_colour(first, person, trait), (identity, trait)
            checked += 1
    assert checked > 20


def unlike_without_colour(one: Person, other: Person, trait: str) -> bool:
    for name in TRAIT_FIELDS[trait]:
        a, b = getattr(one, name), getattr(other, name)
        if isinstance(a, Cloth):
            a, b = (replace(c, colour=(0, 0, 0), second_colour=(0, 0, 0)) for c in (a, b))
        if a != b:
            return True
    return False


def test_the_same_person_comes_whoever_else_is_drawn() -> None:
    first = [draw_person(SEED, i) for i in (4, 5, 6)]
    assert [draw_person(SEED, i) for i in (6, 5, 4)] == first[::-1]
    assert draw_person(SEED + 1, 5) != first[1]


def test_crowds_wear_dark_trousers_more_than_anything_and_few_umbrellas() -> None:
    drawn = [draw_person(SEED, FAMILY * i + 1) for i in range(150)]
    dark = ("black", "navy", "charcoal", "dark indigo", "indigo")
    assert np.mean([p.bottom_cloth.dye in dark for p in drawn]) > 0.5
    assert np.mean([p.umbrella == "open" for p in drawn]) < 0.03
    assert not any(p.beard != "none" for p in drawn if p.phenotype.gender < 0.5)
    assert all(p.top == "tunic" for p in drawn if p.bottom == "dress")


def test_attributes_are_words_without_colour_codes() -> None:
    person = replace(draw_person(SEED, 2), outer="coat", opening=0.0, coat_length=0.7, bag="none")
    said = person.attributes()
    assert str(said["outer"]).startswith("closed ")
    assert str(said["outer"]).endswith("long coat")
    assert said["bag"] == "none"
    assert {type(v) for v in said.values()} == {str, float}
    assert not any(str(v).count("  ") for v in said.values())


def test_everybody_is_dressed_within_the_budget_and_in_finite_numbers() -> None:
    for identity in range(1, 16):
        person = draw_person(SEED, identity)
        outfit = dress(person, shop().body(person.phenotype))
        assert len(outfit.triangles) < 10_000
        assert np.isfinite(outfit.vertices).all()
        assert outfit.weights.sum(1) == pytest.approx(1, abs=1e-4)
        assert outfit.triangles.max() < len(outfit.vertices)
        assert len(outfit.slots) == len(outfit.regions) == len(outfit.triangles)


def test_cloth_is_outside_the_body_but_no_balloon(plain: Person, body: Body) -> None:
    loose = replace(plain, outer="jacket", outer_sleeve=1.0, opening=0.0, looseness=0.028)
    outfit = dress(loose, body)
    arms = body.skeleton.regions == ARM
    away = np.linalg.norm(outfit.vertices[: len(body.vertices)] - body.vertices, axis=1)
    assert 0.01 < np.median(away[arms]) < 0.06
    assert away.max() < 0.15


def test_a_long_coat_reaches_lower_than_a_short_one(plain: Person, body: Body) -> None:
    lowest = []
    for length in (0.25, 0.8):
        person = replace(plain, outer="coat", coat_length=length)
        lowest.append(of_slot(dress(person, body), Slot.OUTER, standing(person))[:, 2].min())
    assert lowest[0] - lowest[1] > 0.3


def test_skirts_follow_the_legs_of_a_walk(plain: Person, body: Body) -> None:
    person = replace(plain, bottom="skirt", leg_length=0.5)
    outfit = dress(person, body)
    still = standing(person)
    walking = replace(still, stride=0.5, phase=np.pi / 2)
    depth = [np.ptp(of_slot(outfit, Slot.BOTTOM, pose)[:, 1]) for pose in (still, walking)]
    assert depth[1] > depth[0] + 0.05


@pytest.mark.parametrize("stride", [0.0, 0.3, 0.58])
def test_a_suitcase_stays_on_the_floor_behind_and_its_handle_in_the_hand(
    plain: Person, body: Body, stride: float
) -> None:
    person = replace(plain, bag="suitcase", bag_side=1)
    outfit = dress(person, body)
    pose = replace(standing(person), stride=stride, phase=1.2)
    case = of_slot(outfit, Slot.BAG, pose)
    assert case[:, 2].min() == pytest.approx(0.05, abs=0.01)
    at = keypoints(outfit, pose)
    wrist = at[KEYPOINTS.index("left_wrist")]
    assert case[:, 1].mean() > at[KEYPOINTS.index("neck"), 1] + 0.1
    handle = of_slot(outfit, Slot.TRIM, pose)
    assert np.linalg.norm(handle - wrist, axis=1).min() < 0.12


def test_an_open_umbrella_is_above_the_head_and_a_closed_one_hangs(
    plain: Person, body: Body
) -> None:
    opened, closed = (replace(plain, umbrella=u) for u in ("open", "closed"))
    canopy = of_slot(dress(opened, body), Slot.UMBRELLA, standing(opened))
    top = keypoints(dress(plain, body), standing(plain))[KEYPOINTS.index("head_top"), 2]
    assert canopy[:, 2].min() > top - 0.1
    rolled = of_slot(dress(closed, body), Slot.UMBRELLA, standing(closed))
    assert 0 < rolled[:, 2].min() < rolled[:, 2].max() < 0.6 * top


def test_faces_have_eyes_brows_and_lips_unless_something_hides_them(
    plain: Person, body: Body
) -> None:
    person = replace(plain, glasses=True, beard="none", hair="short", fringe=False)
    outfit = dress(person, body)
    face = outfit.vertices[outfit.triangles[outfit.slots == Slot.ON_BODY]]
    face = face[outfit.regions[outfit.slots == Slot.ON_BODY] == HEAD].reshape(-1, 3)
    rng = np.random.default_rng(0)
    near = face[rng.integers(len(face), size=20_000)] + rng.normal(0, 0.006, (20_000, 3))
    worn = worn_at(
        person,
        outfit.landmarks,
        np.full(len(near), HEAD),
        np.zeros(len(near), np.float32),
        near.astype(np.float32),
    )
    assert {Slot.SKIN, Slot.EYES, Slot.LIPS, Slot.GLASSES, Slot.HAIR} <= set(worn.tolist())
    behind = near[:, 1] > outfit.landmarks.head_centre[1]
    assert not set(worn[behind].tolist()) & {Slot.EYES, Slot.LIPS, Slot.GLASSES}


def test_open_coats_show_what_is_below(plain: Person, body: Body) -> None:
    marks = dress(plain, body).landmarks
    chest = np.array([[0.0, marks.head_centre[1] - 0.1, marks.shoulder - 0.2]], np.float32)
    shown = [
        worn_at(
            replace(plain, outer="coat", opening=opening),
            marks,
            np.array([0]),
            np.zeros(1, np.float32),
            chest,
        )[0]
        for opening in (0.0, 0.06)
    ]
    assert shown[0] in (Slot.OUTER, Slot.TRIM)
    assert shown[1] == Slot.TOP


def test_keypoints_lie_inside_the_posed_body_and_in_order(plain: Person, body: Body) -> None:
    outfit = dress(plain, body)
    for seed in range(8):
        pose = draw_pose(plain, np.random.default_rng(seed))
        points = dict(zip(KEYPOINTS, keypoints(outfit, pose), strict=True))
        vertices = posed(outfit, pose)
        assert vertices[:, 2].min() == pytest.approx(0, abs=1e-4)
        for name, point in points.items():
            assert np.linalg.norm(vertices - point, axis=1).min() < 0.14, name
        heights = [
            points[n][2] for n in ("left_ankle", "left_knee", "left_hip", "neck", "head_top")
        ]
        assert heights == sorted(heights)
        assert points["left_hip"][0] > points["right_hip"][0]


def test_hands_that_hold_something_swing_less(plain: Person, body: Body) -> None:
    outfit = dress(plain, body)
    pose = replace(standing(plain), arm_swing=0.6)

    def reach(held: Held) -> float:
        ys = [
            keypoints(outfit, replace(pose, phase=phase, hand_full=(held, "nothing")))[
                KEYPOINTS.index("left_wrist"), 1
            ]
            for phase in (np.pi / 2, -np.pi / 2)
        ]
        return float(np.ptp(ys))

    assert reach("nothing") > 1.5 * reach("bag") > 1.5 * reach("handle")


def test_gait_belongs_to_the_person_and_the_moment_to_the_picture() -> None:
    quick, slow = (
        replace(draw_person(SEED, 3), stride=0.58),
        replace(draw_person(SEED, 3), stride=0.3),
    )
    strides = [
        np.median([draw_pose(p, np.random.default_rng(i)).stride for i in range(40)])
        for p in (quick, slow)
    ]
    assert strides[0] > 1.5 * strides[1]
    assert len({draw_pose(quick, np.random.default_rng(i)).phase for i in range(40)}) == 40


def test_weights_have_columns_for_what_hangs_and_rolls(plain: Person, body: Body) -> None:
    outfit = dress(plain, body)
    assert outfit.weights.shape[1] == len(body.skeleton.bones) + len(HANGING) + len(ROLLING)
    assert not outfit.weights[:, -len(ROLLING) :].any()
