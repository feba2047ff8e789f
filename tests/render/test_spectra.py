"""Materials, light and warmth: what physics forbids does not happen in any of the three spectra."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng

from vireid.render import materials, warmth
from vireid.render.bodies import Array, shop
from vireid.render.body_surface import Slot
from vireid.render.materials import (
    FABRICS,
    GREEN,
    NEAR_INFRARED,
    Cloth,
    OnCloth,
    Pattern,
    draw_cloth,
    draw_hair,
    draw_skin,
    hair_reflectance,
    pattern_at,
    skin_reflectance,
)
from vireid.render.outfits import Outfit, dress
from vireid.render.people import draw_person
from vireid.render.scenes import Light, Weather
from vireid.render.shading import (
    Seen,
    Surface,
    apparent_temperature,
    auto_gain,
    band_radiance,
    dressed_surface,
    in_daylight,
    in_near_infrared,
    in_thermal,
    lamp_at,
)
from vireid.render.warmth import cloth_temperature, skin_temperature

GARMENTS = sorted(materials._GARMENTS)
PRINTS: tuple[Pattern, ...] = ("print", "dots", "camouflage")
EYE = np.zeros(3, np.float32)
DRY, WET = Weather(15.0, 5.0, 0.0, 0.0), Weather(15.0, 5.0, 0.0, 1.0)
NIGHT = Light(np.array([0, 0, 1.0]), np.zeros(3), np.zeros(3), 1.0)


def many(garment: str, patterns: tuple[Pattern, ...] = ("plain",), n: int = 400) -> list[Cloth]:
    rng = default_rng(0)
    return [draw_cloth(rng, patterns, garment) for _ in range(n)]


def facing(metres: float, **fields: float) -> Surface:
    """One point straight ahead that faces the camera."""
    ahead = np.array([[0, 1, 0]], np.float32)
    albedo = np.full((1, 3), 0.5, np.float32)
    return Surface(ahead * metres, -ahead, ahead, albedo, albedo[:, 0], **fields)


def somebody() -> Outfit:
    person = replace(draw_person(1, 1), outer="none", bottom="trousers", sleeve=0.3)
    return dress(person, shop().body(person.phenotype))


def seen_of(outfit: Outfit, slot: Slot) -> Seen:
    """Every vertex of somebody, as if all were of one slot and seen from the front."""
    n = len(outfit.vertices)
    ahead = np.tile(np.array([[0, 1, 0]], np.float32), (n, 1))
    slots = np.full(n, int(slot))
    rest = outfit.vertices.astype(np.float32)
    return Seen(np.arange(n), rest, -ahead, ahead, rest, slots, outfit.limbs)


@pytest.mark.parametrize("garment", GARMENTS)
def test_nothing_reflects_more_light_than_it_gets(garment: str) -> None:
    for cloth in many(garment, ("plain", "stripes", "print", "blocks", "worn"), 100):
        for value in (
            *cloth.colour,
            *cloth.second_colour,
            cloth.infrared,
            cloth.second_infrared,
        ):
            assert 0 < value <= 0.9
        assert 0 < cloth.emissivity < 1
        assert cloth.thickness > 0


def test_the_same_numbers_draw_the_same_cloth() -> None:
    one, other = (draw_cloth(default_rng(5), ("plain", "print"), "coat") for _ in range(2))
    assert one == other


def test_cloths_reflect_as_much_near_infrared_as_was_measured() -> None:
    for name, fabric in FABRICS.items():
        assert 0.04 <= fabric.infrared <= 0.67, name


def test_blacks_are_bright_and_dark_in_the_near_infrared() -> None:
    blacks = np.array([c.infrared for c in many("t-shirt", n=800) if c.dye == "black"])
    assert 0.2 < (blacks < 0.15).mean() < 0.5
    assert (blacks > 0.35).mean() > 0.3


def test_denim_is_dark_to_the_eye_and_bright_in_the_near_infrared() -> None:
    jeans = [c for c in many("trousers") if c.fabric == "denim" and "indigo" in c.dye]
    assert np.mean([np.mean(c.colour) for c in jeans]) < 0.2
    assert np.mean([c.infrared for c in jeans]) > 0.35


def test_prints_lose_most_of_their_contrast_in_the_near_infrared() -> None:
    def contrast(one: float, other: float) -> float:
        return abs(one - other) / (one + other)

    prints = many("t-shirt", PRINTS)
    seen = [contrast(sum(c.colour), sum(c.second_colour)) for c in prints]
    left = [contrast(c.infrared, c.second_infrared) for c in prints]
    assert np.median(left) < 0.1 * np.median(seen)
    assert np.mean(left) < np.mean(seen)


def test_colour_hardly_tells_the_near_infrared() -> None:
    """It may a little: carbon black is black in both."""
    cloths = many("t-shirt", n=800)
    grey = [np.mean(c.colour) for c in cloths]
    assert np.corrcoef(grey, [c.infrared for c in cloths])[0, 1] < 0.55


def test_a_crowd_wears_dark_colours() -> None:
    dyes = [c.dye for c in many("coat", n=600)]
    assert dyes.count("black") > 150
    assert dyes.count("black") + dyes.count("navy") + dyes.count("charcoal") > 300


def test_skin_is_brighter_in_the_near_infrared_and_differs_less() -> None:
    light, dark = draw_skin(default_rng(0), 0.0), draw_skin(default_rng(0), 1.0)
    assert light.infrared > light.colour[1]
    assert dark.infrared > dark.colour[1]
    assert light.infrared / dark.infrared < 0.5 * light.colour[1] / dark.colour[1]
    assert 0.3 < dark.infrared < light.infrared < 0.7
    assert skin_reflectance(0.02, 0.003, NEAR_INFRARED) < skin_reflectance(0.01, 0.003, GREEN) + 0.5


def test_hair_gets_brighter_with_the_wave_and_keeps_its_order() -> None:
    for green in (0.03, 0.1, 0.3):
        assert hair_reflectance(green, GREEN) == pytest.approx(green)
        assert green < hair_reflectance(green, NEAR_INFRARED) < 0.8
    drawn = [draw_hair(default_rng(i)) for i in range(50)]
    black = [h.infrared for h in drawn if h.dye == "black hair"]
    blond = [h.infrared for h in drawn if h.dye in ("blond hair", "grey hair")]
    assert max(black) < min(blond)


@pytest.mark.parametrize("pattern", sorted(Pattern.__args__))  # type: ignore[attr-defined]
def test_every_pattern_shows_within_its_limits(pattern: Pattern) -> None:
    cloth = replace(draw_cloth(default_rng(1), (pattern,), "trousers"), pattern=pattern, pitch=0.06)
    points = default_rng(2).uniform(-0.3, 0.3, (4000, 3)).astype(np.float32)
    sleeve = points[:, 0] > 0.2
    on = OnCloth(
        points[:, 0], points[:, 2], points[:, 1], sleeve, ~sleeve & (points[:, 2] < 0), 0.1
    )
    share, height = pattern_at(cloth, on)
    assert (share is None and height is None) == (pattern == "plain")
    for values, low in ((share, 0.0), (height, -1.6)):
        if values is not None:
            assert values.shape == (4000,)
            assert low <= values.min() < values.max() <= 1


def test_the_lamp_falls_off_with_the_square_of_the_distance() -> None:
    near, far = (lamp_at(facing(d).points, EYE, 6.0) for d in (6.0, 12.0))
    assert near[0] == pytest.approx(1)
    assert near[0] / far[0] == pytest.approx(4)
    brightness = [in_near_infrared(facing(d), NIGHT, EYE, 6.0)[0] for d in (6.0, 12.0)]
    assert brightness[0] == pytest.approx(0.5)
    assert brightness[0] / brightness[1] == pytest.approx(4)


def test_reflective_strips_outshine_white_paper_beside_the_lamp_and_nowhere_else() -> None:
    strip = facing(5.0, retroreflection=materials.RETROREFLECTION)
    assert in_near_infrared(strip, NIGHT, EYE, 5.0)[0] > 5
    day = Light(np.array([0, -1.0, 0]), np.ones(3), np.ones(3), 1.0)
    seen = [in_daylight(s, day, _never)[0] for s in (strip, facing(5.0))]
    assert np.array_equal(*seen)


def _never(points: Array) -> np.ndarray:
    return np.zeros(len(points), bool)


def test_shadow_takes_the_sun_and_leaves_the_sky() -> None:
    day = Light(np.array([0, -1.0, 0]), np.ones(3), np.full(3, 0.2), 1.0)
    lit = in_daylight(facing(5.0), day, _never)
    shaded = in_daylight(facing(5.0), day, lambda points: np.ones(len(points), bool))
    assert lit.max() == pytest.approx(0.5 * (1 + 0.65 * 0.2))
    assert shaded.max() == pytest.approx(0.5 * 0.65 * 0.2)


def test_soft_skin_shines_round_the_edge_but_no_brighter() -> None:
    hard, soft = facing(5.0), facing(5.0, softness=0.35)
    turned = np.array([[0.995, -0.1, 0]], np.float32)
    assert in_near_infrared(soft, NIGHT, EYE, 5.0) == pytest.approx(
        in_near_infrared(hard, NIGHT, EYE, 5.0)
    )
    edges = [in_near_infrared(replace(s, normals=turned), NIGHT, EYE, 5.0)[0] for s in (hard, soft)]
    assert edges[1] > 2 * edges[0]


def test_a_black_body_seems_as_warm_as_it_is_and_metal_mirrors_the_sky() -> None:
    celsius = np.array([-40.0, 0.0, 33.0, 60.0])
    assert apparent_temperature(band_radiance(celsius)) == pytest.approx(celsius, abs=0.05)
    assert band_radiance(26.85) == pytest.approx(54.5, rel=0.03)
    cold = Weather(10.0, -40.0, 0.0, 0.0)
    black = in_thermal(facing(5.0, emissivity=1.0, temperature=30.0), DRY)[0]
    assert black == pytest.approx(30.0, abs=0.05)
    skin, metal = (
        in_thermal(facing(5.0, emissivity=e, temperature=33.0), cold)[0] for e in (0.98, 0.2)
    )
    assert 31 < skin < 33
    assert metal < 5


def test_cloth_is_between_skin_and_air_and_cooler_the_thicker_and_the_wetter() -> None:
    skin = np.full(6, 33.0, np.float32)
    resistance = np.array([0.0, 0.01, 0.03, 0.1, 0.3, 1.0], np.float32)
    dry, wet = cloth_temperature(skin, resistance, DRY), cloth_temperature(skin, resistance, WET)
    assert (np.diff(dry) < 0).all()
    assert (dry <= 33).all()
    assert (dry > DRY.air).all()
    assert (wet[1:] < dry[1:]).all()
    assert (wet > DRY.air - 8).all()


def test_skin_at_rest_is_at_34_and_hands_cool_first() -> None:
    parts = np.arange(6.0)
    comfort, cold = skin_temperature(parts, 24.0), skin_temperature(parts, 5.0)
    assert 32 < comfort.mean() < 34.5
    lost = comfort - cold
    assert lost.argmax() == 3
    assert lost.argmin() == 1
    assert (cold > 5).all()
    assert (skin_temperature(parts, 38.0) <= 37).all()
    assert (skin_temperature(parts, 5.0, 1.0) > cold).all()


@pytest.mark.parametrize("air", [-5.0, 12.0, 25.0])
def test_somebody_is_warmer_than_the_air_and_no_warmer_than_blood(air: float) -> None:
    outfit, weather = somebody(), Weather(air, air - 10, 0.0, 0.0)
    skin, top, bag = (
        np.asarray(dressed_surface(outfit, seen_of(outfit, slot), weather).temperature)
        for slot in (Slot.SKIN, Slot.TOP, Slot.BAG)
    )
    for warm in (skin, top, bag):
        assert (warm > air - 0.1).all()
        assert (warm < 37).all()
    assert bag.mean() < top.mean() < skin.mean()
    assert bag.mean() < air + 0.2 * (33 - air)


def test_tight_legs_are_warmer_than_loose_ones_and_leaving_a_house_keeps_clothes_warm() -> None:
    outfit, cold = somebody(), Weather(2.0, -10.0, 0.0, 0.0)
    tight = replace(outfit, person=replace(outfit.person, bottom="leggings", looseness=0.002))
    loose = replace(outfit, person=replace(outfit.person, bottom="wide trousers", looseness=0.028))

    def legs(wearer: Outfit, settled: float = 1.0) -> float:
        seen = seen_of(wearer, Slot.BOTTOM)
        return float(np.mean(dressed_surface(wearer, seen, cold, settled).temperature))

    assert legs(tight) > legs(loose) + 2
    assert legs(loose, settled=0.0) > legs(loose) + 3


def test_the_sun_warms_black_more_than_white() -> None:
    outfit, sunny = somebody(), Weather(20.0, 5.0, 12.0, 0.0)
    cloth = replace(outfit.cloths[Slot.TOP], pattern="plain")
    warm = []
    for shade in (0.02, 0.8):
        of_slot = list(outfit.cloths)
        of_slot[Slot.TOP] = replace(cloth, colour=(shade,) * 3, infrared=shade)
        dressed = replace(outfit, cloths=tuple(of_slot))
        surface = dressed_surface(dressed, seen_of(dressed, Slot.TOP), sunny)
        warm.append(float(np.mean(surface.temperature)))
    assert 1 < warm[0] - warm[1] < 12


def test_auto_gain_fills_the_range_but_does_not_blow_up_noise() -> None:
    scene = np.full((40, 20), 10.0, np.float32)
    scene[10:30, 5:15] = 30.0
    stretched = auto_gain(scene)
    assert stretched.min() == 0
    assert stretched.max() == 1
    noise = 10 + 0.05 * default_rng(0).standard_normal((40, 20))
    assert np.ptp(auto_gain(noise)) < 0.1


def test_thicker_fabrics_insulate_more() -> None:
    outfit = somebody()
    between = []
    for fabric in ("jersey", "wool knit", "down"):
        of_slot = list(outfit.cloths)
        of_slot[Slot.TOP] = replace(of_slot[Slot.TOP], thickness=FABRICS[fabric].thickness)
        between.append(warmth.resistances(replace(outfit, cloths=tuple(of_slot)))[Slot.TOP])
    assert between == sorted(between)
    assert between[-1] > 3 * 0.155, "down is worth more than 3 clo"


def test_shading_a_person_gives_finite_single_precision_numbers() -> None:
    outfit = somebody()
    for slot in Slot:
        surface = dressed_surface(outfit, seen_of(outfit, slot), DRY)
        day = Light(np.array([0, -0.6, 0.8]), np.ones(3), np.ones(3), 1.0)
        for values in (
            in_daylight(surface, day, _never),
            in_near_infrared(surface, NIGHT, np.array([0, -5, 1], np.float32), 5.0),
            in_thermal(surface, DRY),
        ):
            assert values.dtype == np.float32
            assert np.isfinite(values).all()
