"""Materials of things, as three kinds of camera see them.

**Visible** light meets dye: colours below are linear albedos.

**Near infrared** (lamps at 850 nm) goes through most dyes and meets fibre and pigment instead:
reactive, disperse and acid dyes are transparent there, so that red, navy and most blacks are alike
and prints fade; carbon black and sulphur dyes stay dark; some absorb half. Knitted wool, cotton
and polyester were measured to reflect between 4 and 67 % of it, by colour and construction (Bauer,
Gresser and Mark 2021, Effect of Structure, Color and Finish on the MIR Emission and NIR Absorption
of Knitted Textiles, JTSFT, ID 000674). Black cloth comes bright and dark (Damery, Near Infrared and
You, http://dew.globalsystemsscience.org); people in both spectra are shown by Mangold, Shaw and
Vollmer 2013, The physics of near-infrared photography, doi:10.1088/0143-0807/34/6/S51. As little as
0.05 g of carbon black in a kilogram of printing paste makes cloth visibly darker there (Effect of
carbon black nanoparticles on reflective behavior of printed cotton/nylon fabrics,
https://mallakpour.iut.ac.ir).

**Thermal** cameras (8 to 14 um) see temperature: what counts is thickness and emissivity.

Skin and hair follow published optics, see `skin_reflectance` and `hair_reflectance`. Inferred are:
which fabric has which value within the measured range, how often clothes have which colour, and
which share of dyes is of which kind. Values fall into three groups (bright, middle, dark), so that
many people share them and no single one tells who somebody is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from vireid.render.bodies import Array

Colour = tuple[float, float, float]
Pattern = Literal[
    "plain",
    "stripes",
    "bands",
    "checks",
    "dots",
    "print",
    "camouflage",
    "blocks",
    "sleeves",
    "side stripes",
    "worn",
    "reflective",
    "quilted",
    "ribbed",
    "cable",
]
Dyeing = Literal["bright", "middle", "dark"]
"""How much of a fibre's near-infrared reflectance a dye leaves."""

BLUE, GREEN, RED, NEAR_INFRARED = 460.0, 545.0, 610.0, 850.0
"""Wavelengths in nanometres at which pigments are evaluated for the four channels."""


@dataclass(frozen=True)
class Fabric:
    """A kind of cloth."""

    infrared: float
    """Reflectance at 850 nm where the dye is transparent."""
    emissivity: float
    """Emissivity at 8 to 12 um. Nylon 0.87, cotton 0.88, polyester 0.88, acrylic 0.82: measured,
    flat and dry
    (https://nij.ojp.gov/library/publications/study-mid-infrared-emissivity-dried-blood-fabrics);
    wool, leather, rubber and straw are inferred."""
    thickness: float
    """Thickness in metres."""
    grain: float
    """Depth of its own texture, as a share of its brightness."""
    gloss: float = 0.0


FABRICS: Mapping[str, Fabric] = {
    "jersey": Fabric(0.60, 0.88, 0.0008, 0.05),
    "poplin": Fabric(0.66, 0.88, 0.0004, 0.03),
    "flannel": Fabric(0.58, 0.88, 0.0010, 0.06),
    "wool knit": Fabric(0.50, 0.90, 0.0035, 0.14),
    "acrylic knit": Fabric(0.60, 0.82, 0.0035, 0.14),
    "fleece": Fabric(0.64, 0.88, 0.0040, 0.10),
    "sweatshirt cotton": Fabric(0.58, 0.88, 0.0020, 0.06),
    "polyester": Fabric(0.54, 0.88, 0.0005, 0.03, 0.08),
    "nylon": Fabric(0.44, 0.87, 0.0006, 0.03, 0.15),
    "softshell": Fabric(0.42, 0.88, 0.0020, 0.04, 0.05),
    "down": Fabric(0.48, 0.87, 0.0220, 0.05, 0.20),
    "wool cloth": Fabric(0.42, 0.90, 0.0022, 0.07),
    "suiting": Fabric(0.40, 0.90, 0.0007, 0.03),
    "chino": Fabric(0.56, 0.88, 0.0007, 0.04),
    "denim": Fabric(0.52, 0.88, 0.0011, 0.09),
    "corduroy": Fabric(0.50, 0.88, 0.0016, 0.06),
    "stretch": Fabric(0.46, 0.88, 0.0008, 0.02, 0.10),
    "canvas": Fabric(0.52, 0.88, 0.0012, 0.07),
    "leather": Fabric(0.40, 0.95, 0.0014, 0.05, 0.35),
    "rubber and cloth": Fabric(0.40, 0.93, 0.0040, 0.06, 0.15),
    "straw": Fabric(0.65, 0.93, 0.0020, 0.15),
    "hard shell": Fabric(0.45, 0.92, 0.0030, 0.0, 0.35),
}

DYES: Mapping[str, Colour] = {
    "black": (0.012, 0.012, 0.014),
    "charcoal": (0.035, 0.036, 0.04),
    "grey": (0.16, 0.16, 0.165),
    "light grey": (0.43, 0.43, 0.43),
    "white": (0.77, 0.76, 0.73),
    "navy": (0.012, 0.018, 0.05),
    "blue": (0.03, 0.08, 0.32),
    "light blue": (0.24, 0.4, 0.64),
    "dark indigo": (0.02, 0.034, 0.08),
    "indigo": (0.06, 0.115, 0.23),
    "pale indigo": (0.21, 0.31, 0.44),
    "khaki": (0.3, 0.23, 0.12),
    "beige": (0.54, 0.44, 0.3),
    "brown": (0.09, 0.045, 0.02),
    "olive": (0.075, 0.083, 0.03),
    "green": (0.03, 0.2, 0.07),
    "teal": (0.02, 0.19, 0.21),
    "red": (0.42, 0.02, 0.025),
    "burgundy": (0.12, 0.01, 0.022),
    "pink": (0.68, 0.32, 0.37),
    "orange": (0.7, 0.19, 0.02),
    "yellow": (0.74, 0.53, 0.05),
    "purple": (0.13, 0.04, 0.21),
}
"""Linear albedos of dyed cloth (inferred)."""

_VIVID = {"red": 6, "pink": 3, "orange": 2, "yellow": 3, "green": 3, "purple": 3, "teal": 3}
_TOP = {
    "black": 21, "white": 20, "grey": 10, "navy": 10, "light grey": 6, "blue": 6, "light blue": 6,
    "charcoal": 5, "beige": 4, "burgundy": 2, "brown": 2, "olive": 2, **_VIVID,
}  # fmt: skip
_OUTER = {
    "black": 36, "navy": 16, "charcoal": 11, "grey": 7, "olive": 7, "beige": 6, "brown": 5,
    "khaki": 3, "blue": 3, "red": 3, "white": 2, "burgundy": 2, "green": 1, "pink": 1, "yellow": 1,
}  # fmt: skip
_BOTTOM = {
    "black": 38, "navy": 15, "charcoal": 12, "grey": 9, "beige": 8, "khaki": 7, "olive": 4,
    "brown": 3, "white": 3, "burgundy": 1,
}  # fmt: skip
_HEAD = {"black": 36, "navy": 13, "grey": 14, "white": 9, "beige": 8, "olive": 3, **_VIVID}
_SHOES = {"black": 44, "white": 23, "brown": 12, "grey": 8, "navy": 5, "beige": 5, "red": 3}
_BAG = {
    "black": 44, "navy": 11, "brown": 11, "grey": 9, "charcoal": 8, "olive": 4, "beige": 4,
    "red": 4, "blue": 3, "pink": 2,
}  # fmt: skip
_LEGS = {"denim": 44, "chino": 24, "suiting": 16, "polyester": 14}
_SKIRTS = {"chino": 25, "suiting": 30, "denim": 20, "polyester": 25}
_JACKETS = {"nylon": 26, "softshell": 22, "down": 20, "denim": 9, "leather": 10, "fleece": 13}
_GARMENTS: Mapping[str, tuple[Mapping[str, float], Mapping[str, float]]] = {
    "tank": ({"jersey": 80, "polyester": 20}, _TOP),
    "t-shirt": ({"jersey": 84, "polyester": 16}, _TOP),
    "shirt": ({"poplin": 66, "flannel": 20, "polyester": 14}, _TOP),
    "tunic": ({"jersey": 40, "poplin": 25, "polyester": 35}, _TOP),
    "sweater": (
        {"sweatshirt cotton": 45, "wool knit": 25, "acrylic knit": 20, "fleece": 10},
        _TOP,
    ),
    "vest": ({"down": 45, "nylon": 30, "fleece": 25}, _OUTER),
    "jacket": (_JACKETS, _OUTER),
    "coat": ({"wool cloth": 60, "down": 25, "nylon": 8, "chino": 7}, _OUTER),
    "work vest": ({"polyester": 1}, {"yellow": 55, "orange": 45}),
    "trousers": (_LEGS, _BOTTOM),
    "wide trousers": (_LEGS, _BOTTOM),
    "shorts": (_LEGS, _BOTTOM),
    "leggings": ({"stretch": 1}, _BOTTOM),
    "skirt": (_SKIRTS, _BOTTOM),
    "long skirt": (_SKIRTS, _BOTTOM),
    "dress": ({"jersey": 40, "poplin": 25, "polyester": 35}, _TOP),
    "headgear": ({"acrylic knit": 30, "chino": 45, "wool cloth": 15, "straw": 8}, _HEAD),
    "shoes": ({"leather": 45, "rubber and cloth": 55}, _SHOES),
    "sole": ({"rubber and cloth": 1}, {"white": 45, "black": 55}),
    "bag": ({"nylon": 40, "canvas": 25, "leather": 35}, _BAG),
    "suitcase": ({"hard shell": 60, "nylon": 40}, _BAG),
    "scarf": ({"wool knit": 40, "acrylic knit": 40, "jersey": 20}, _HEAD),
    "umbrella": ({"polyester": 1}, _OUTER),
}
"""Fabrics and colours of each garment, by how often crowds wear them (inferred): black, navy, grey,
white and denim make up most."""
_DENIM = {"dark indigo": 40, "indigo": 28, "pale indigo": 12, "black": 20}
_FABRICS_WITH: Mapping[Pattern, Mapping[str, str]] = {
    "quilted": {"vest": "down", "jacket": "down", "coat": "down", "bag": "nylon"},
    "ribbed": {"sweater": "wool knit", "headgear": "acrylic knit", "scarf": "wool knit"}
    | dict.fromkeys(("trousers", "wide trousers", "shorts", "skirt"), "corduroy"),
    "cable": {"sweater": "wool knit"},
    "side stripes": {"trousers": "polyester", "shorts": "polyester"},
}
"""Fabrics that some patterns are made of."""
_RELIEF: Mapping[Pattern, tuple[float, float]] = {
    "quilted": (0.35, 0.6),
    "ribbed": (0.25, 0.5),
    "cable": (0.3, 0.55),
}
_PITCH: Mapping[Pattern, tuple[float, float]] = {
    "quilted": (0.05, 0.12),
    "ribbed": (0.016, 0.04),
    "cable": (0.05, 0.09),
    "dots": (0.035, 0.07),
    "camouflage": (0.12, 0.22),
    "print": (0.08, 0.16),
    "side stripes": (0.02, 0.05),
    "reflective": (0.04, 0.06),
}
_PRINTED: frozenset[Pattern] = frozenset({"print", "dots", "camouflage", "side stripes"})
_SEWN: frozenset[Pattern] = frozenset({"blocks", "sleeves"})
RETROREFLECTION = 8.0
"""Brightness of a reflective strip beside the lamp, in multiples of white paper. Sheeting on
garments returns hundreds of cd/(lx m2) where lamp and eye are 0.2 degrees apart, a thousand times
white paper; the lamps of a camera sit further off its lens. Inferred; any such value saturates."""


@dataclass(frozen=True)
class Cloth:
    """A material, as three kinds of camera see it. Albedos are linear, in [0, 1]."""

    colour: Colour
    infrared: float
    pattern: Pattern = "plain"
    second_colour: Colour = (0.5, 0.5, 0.5)
    second_infrared: float = 0.5
    """Near-infrared reflectance of the pattern's other half; near `infrared` for a print."""
    pitch: float = 0.08
    """Metres from one repetition of the pattern to the next."""
    relief: float = 0.0
    """Strength of the pattern's relief: shading that both spectra share."""
    gloss: float = 0.0
    """Strength of the highlight."""
    fabric: str = "jersey"
    """Key of FABRICS, or "skin" or "hair"."""
    dye: str = ""
    """Plain name of the colour."""
    second_dye: str = ""
    grain: float = 0.05
    """Depth of the fabric's own texture, as a share of its brightness."""
    softness: float = 0.0
    """How far light wanders beneath the surface, which softens shades."""
    retroreflection: float = 0.0
    """Retroreflection of the pattern's other half, or of all cloth without a pattern; see
    RETROREFLECTION."""
    emissivity: float = 0.88
    thickness: float = 0.0008
    """Thickness in metres."""
    motif: int = 0
    """Number of the shape that is printed."""


def skin_reflectance(melanosomes: float, blood: float, nanometres: float) -> float:
    """Return the diffuse reflectance of skin: dermis seen twice through epidermis.

    Absorption by melanosomes and bloodless skin: Jacques 1998, Skin Optics,
    https://omlc.org/news/jan98/skinoptics.html (also its 60 um of epidermis). Scattering: Jacques
    2013, Optical properties of biological tissues, doi:10.1088/0031-9155/58/11/R37 (mean of skin).
    Blood at 75 % oxygen: rounded from Prahl's compilation, https://omlc.org/spectra/hemoglobin/.
    The diffusion formula for the dermis is the usual one with a constant of 7.5 (inferred).
    Measured spectra to hold it against: Cooksey, Allen and Tsai 2017, doi:10.6028/jres.122.026.

    Args:
        melanosomes: Share of the epidermis' volume: 0.01 to 0.06 light, 0.2 to 0.4 dark.
        blood: Share of the dermis' volume, about 0.002 to 0.005.
        nanometres: BLUE, GREEN, RED or NEAR_INFRARED.
    """
    of_blood = {BLUE: 210.0, GREEN: 270.0, RED: 18.5, NEAR_INFRARED: 5.2}[nanometres]
    absorbed = 0.244 + 85.3 * np.exp(-(nanometres - 154) / 66.2) + blood * of_blood
    scattered = 46.0 * (nanometres / 500) ** -1.421
    dermis = np.exp(-7.5 / np.sqrt(3 * (1 + scattered / absorbed)))
    melanin = melanosomes * 6.6e11 * nanometres**-3.33
    return float(dermis * np.exp(-2 * 0.006 * melanin))


def hair_reflectance(green: float, nanometres: float) -> float:
    """Return the reflectance of hair that reflects `green` of green light, by Kubelka and Munk.

    Melanin absorbs less the longer the wave, with the exponent of skin (Jacques 1998); that hair's
    attenuation falls so between 409 and 1064 nm was measured on blond, grey, brown and black hair
    (doi:10.1117/1.3116712).
    """
    at_green = (1 - green) ** 2 / (2 * green)
    ratio = at_green * (nanometres / GREEN) ** -3.33
    return float(1 + ratio - np.sqrt(ratio**2 + 2 * ratio))


def draw_skin(rng: Generator, dark: float | None = None) -> Cloth:
    """Draw a person's skin; `dark` from 0 to 1 is drawn unless given."""
    dark = float(rng.random()) if dark is None else dark
    melanosomes = 0.012 * (0.28 / 0.012) ** dark * float(rng.lognormal(0, 0.12))
    blood = float(rng.uniform(0.002, 0.005))
    return Cloth(
        _colour([skin_reflectance(melanosomes, blood, nm) for nm in (RED, GREEN, BLUE)]),
        infrared=skin_reflectance(melanosomes, blood, NEAR_INFRARED),
        gloss=0.06,
        fabric="skin",
        dye=("pale", "light", "tan", "brown", "dark")[min(int(5 * dark), 4)] + " skin",
        grain=0.0,
        softness=0.35,
        emissivity=0.98,
        thickness=0.0,
    )


_HAIR = {"black": (0.03, 0.5), "brown": (0.07, 0.3), "blond": (0.24, 0.1), "grey": (0.4, 0.1)}


def draw_hair(rng: Generator) -> Cloth:
    """Draw a person's hair."""
    dye = _one_of(rng, {name: share for name, (_, share) in _HAIR.items()})
    green = _HAIR[dye][0] * float(rng.uniform(0.75, 1.3))
    red, blue = hair_reflectance(green, RED), hair_reflectance(green, BLUE)
    grey = dye == "grey"
    return Cloth(
        _colour([green, green, green] if grey else [red, green, blue]),
        infrared=hair_reflectance(green, NEAR_INFRARED),
        gloss=0.12,
        fabric="hair",
        dye=f"{dye} hair",
        grain=0.22,
        emissivity=0.95,
        thickness=0.01,
    )


def draw_cloth(
    rng: Generator,
    patterns: tuple[Pattern, ...],
    garment: str = "t-shirt",
    gloss: float | None = None,
) -> Cloth:
    """Draw a cloth with one of some patterns, in a fabric and colour as crowds wear them.

    Args:
        rng: Source of all random numbers.
        patterns: One is chosen; name one twice to have it twice as often.
        garment: Use of the cloth, a key of the table above: "t-shirt", "coat", "bag", ...
        gloss: Strength of the highlight, if not the fabric's.
    """
    pattern = patterns[int(rng.integers(len(patterns)))]
    fabrics, dyes = _GARMENTS[garment]
    name = _FABRICS_WITH.get(pattern, {}).get(garment) or _one_of(rng, fabrics)
    if name == "denim" and pattern == "plain" and rng.random() < 0.5:
        pattern = "worn"
    first = _one_of(rng, _DENIM if name == "denim" else dyes)
    second = first if pattern == "worn" else _second_dye(rng, first, dyes)
    return _woven(rng, name, pattern, (first, second), gloss)


def _woven(
    rng: Generator, name: str, pattern: Pattern, dyes: tuple[str, str], gloss: float | None
) -> Cloth:
    fabric = FABRICS[name]
    colour, second_colour = _dyed(rng, dyes[0]), _dyed(rng, dyes[1])
    infrared = _infrared(rng, fabric, _dyeing(rng, name, dyes[0], colour), colour)
    other = _second_infrared(rng, name, pattern, dyes[1], second_colour, infrared)
    low, high = _RELIEF.get(pattern, (0.0, 0.0))
    if pattern == "worn":
        second_colour, other = _colour(np.array(colour) * 2.2 + 0.02), min(infrared * 1.05, 0.8)
    if pattern == "reflective":
        second_colour, other = (0.4, 0.4, 0.41), 0.35
    return Cloth(
        colour=colour,
        infrared=infrared,
        pattern=pattern,
        second_colour=second_colour,
        second_infrared=other,
        pitch=float(rng.uniform(*_PITCH.get(pattern, (0.04, 0.15)))),
        relief=float(rng.uniform(low, high)),
        gloss=fabric.gloss if gloss is None else gloss,
        fabric=name,
        dye=dyes[0],
        second_dye=dyes[1] if pattern not in ("plain", "worn", *_RELIEF) else "",
        grain=fabric.grain,
        emissivity=fabric.emissivity,
        thickness=fabric.thickness,
        retroreflection=RETROREFLECTION if pattern == "reflective" else 0.0,
        motif=int(rng.integers(6)),
    )


def _one_of(rng: Generator, shares: Mapping[str, float]) -> str:
    weights = np.fromiter(shares.values(), float)
    return list(shares)[int(rng.choice(len(shares), p=weights / weights.sum()))]


def _second_dye(rng: Generator, first: str, dyes: Mapping[str, float]) -> str:
    """Draw another colour; one much lighter or darker than the first is likelier."""
    of_first = sum(DYES[first])
    shares = {
        name: share * (1.0 if abs(np.log(sum(DYES[name]) / of_first)) < 1 else 3.0)
        for name, share in (dyes if len(dyes) > 2 else _TOP).items()
        if name != first
    }
    return _one_of(rng, shares)


def _dyed(rng: Generator, dye: str) -> Colour:
    brightness = rng.lognormal(0, 0.15)
    return _colour(np.array(DYES[dye]) * brightness * rng.uniform(0.92, 1.08, 3))


def _colour(values: NDArray[np.float64] | list[float]) -> Colour:
    r, g, b = np.clip(values, 0.005, 0.9)
    return float(r), float(g), float(b)


def _dyeing(rng: Generator, fabric: str, dye: str, colour: Colour) -> Dyeing:
    """Draw the kind of dye of a colour; pigment black is in dark colours only."""
    if fabric == "denim":
        chances = (0.8, 0.1) if dye == "black" else (0.0, 0.08)
    elif fabric == "rubber and cloth" and dye == "black":
        chances = (0.75, 0.2)
    elif fabric == "leather" and max(colour) < 0.1:
        chances = (0.5, 0.3)
    elif dye == "black":
        chances = (0.35, 0.2)
    elif max(colour) < 0.12:
        chances = (0.15, 0.25)
    else:
        chances = (0.0, 0.12 if max(colour) < 0.6 else 0.03)
    drawn = rng.random()
    if drawn < chances[0]:
        return "dark"
    return "middle" if drawn < sum(chances) else "bright"


def _infrared(rng: Generator, fabric: Fabric, dyeing: Dyeing, colour: Colour) -> float:
    """Return the reflectance of dyed cloth; its density counts too (Bauer, Gresser, Mark 2021).

    Deep shades keep some of their absorption beyond the visible: up to 35 % (inferred).
    """
    if dyeing == "dark":
        return float(np.clip(0.08 * rng.lognormal(0, 0.25), 0.03, 0.15))
    deep = max(0.0, 1 - 6 * max(colour))
    left = (1.0 if dyeing == "bright" else 0.55) * (1 - 0.35 * deep * rng.random())
    return float(np.clip(fabric.infrared * left * rng.lognormal(0, 0.12), 0.1, 0.75))


def _second_infrared(
    rng: Generator, fabric: str, pattern: Pattern, dye: str, colour: Colour, infrared: float
) -> float:
    """Return the near-infrared reflectance of the pattern's other half.

    A print on cloth whose dye is transparent vanishes unless its ink is carbon black; white ink
    (titania, which scatters there too) stays bright on dark cloth. Yarns of a stripe are mostly
    dyed alike. Two cloths sewn together have nothing to do with each other.
    """
    own = _infrared(rng, FABRICS[fabric], _dyeing(rng, fabric, dye, colour), colour)
    if pattern in _SEWN:
        return own
    if pattern in _PRINTED:
        carbon = dye in ("black", "charcoal") and rng.random() < 0.35
        covering = dye in ("white", "light grey") and infrared < 0.2
        if carbon or covering:
            return min(infrared, 0.12) if carbon else 0.55
        return infrared * float(rng.uniform(0.88, 1.0))
    return own if rng.random() < 0.3 else infrared * float(rng.uniform(0.9, 1.1))


EYE = Cloth(
    (0.1, 0.09, 0.08), 0.3, fabric="skin", grain=0.0, gloss=0.15, emissivity=0.98, thickness=0.0,
    retroreflection=0.35,
)  # fmt: skip
"""An eye, half iris, half white. Its back returns the light of a lamp beside the lens; how much
differs a lot between people (Nguyen et al. 2002, Differences in the infrared bright pupil response
of human eyes, ETRA); 0.35 over the whole eye is inferred."""
METAL = Cloth(
    (0.3, 0.3, 0.31), 0.35, fabric="metal", grain=0.0, gloss=0.4, emissivity=0.2, thickness=0.001
)
"""Metal of frames, buckles and handles."""
GLASS = Cloth(
    (0.03, 0.03, 0.035), 0.04, fabric="glass", grain=0.0, gloss=0.6, emissivity=0.85, thickness=0.2
)
"""Glass of lenses: clear to the eye but opaque to thermal cameras, to which they are as cold as the
air; hence the thickness, which is that of still air. Emissivity: inferred."""


LEG_RADIUS = 0.075
"""Radius in metres by which distances around a leg are measured."""
QUARTER_LEG = LEG_RADIUS * np.pi / 2


@dataclass(frozen=True)
class OnCloth:
    """Positions of n points on a garment, in metres."""

    around: Array
    """Distance along the garment's girth from the front's middle, where it is 0."""
    along: Array
    """Distance up the body, or up the sleeve."""
    front: Array
    """Distance before the body's middle."""
    sleeve: NDArray[np.bool_]
    leg: NDArray[np.bool_]
    middle: float
    """Height of the chest's middle, measured as `along`."""


def pattern_at(cloth: Cloth, on: OnCloth) -> tuple[Array | None, Array | None]:
    """Return n shares of the second cloth and n heights of the relief around 0, or None."""
    u, v = on.around / np.float32(cloth.pitch), on.along / np.float32(cloth.pitch)
    if cloth.pattern == "plain":
        return None, None
    if cloth.pattern in _RELIEF:
        return None, _relief_at(cloth.pattern, u, v)
    return np.asarray(_share_at(cloth, on, u, v), np.float32), None


def _share_at(cloth: Cloth, on: OnCloth, u: Array, v: Array) -> Array | NDArray[np.bool_]:
    match cloth.pattern:
        case "stripes":
            return (u % 1) < 0.4
        case "bands":
            return (v % 1) < 0.45
        case "checks":
            return np.asarray(((u % 1) < 0.4) * 0.5 + ((v % 1) < 0.4) * 0.5, np.float32)
        case "dots":
            row = np.floor(v)
            return np.asarray(np.hypot((u + 0.5 * row) % 1 - 0.5, v - row - 0.5) < 0.27)
        case "camouflage":
            return _patches(u, v) > 0.15
        case "blocks":
            return on.sleeve | ((on.along > on.middle) & ~on.leg)
        case "sleeves":
            return on.sleeve
        case "side stripes":
            # A quarter of the way around the leg.
            return np.abs(np.abs(on.around) - QUARTER_LEG) < 0.5 * cloth.pitch
        case "worn":
            return _worn(on)
        case "reflective":
            low = on.middle - np.where(on.leg, 0.8, 0.12).astype(np.float32)
            return np.abs(on.along - low) < 0.5 * cloth.pitch
    return _printed(cloth.motif, u, (on.along - on.middle) / cloth.pitch, on)


def _relief_at(pattern: Pattern, u: Array, v: Array) -> Array:
    turn = 2 * np.pi
    height: Array
    match pattern:
        case "quilted":
            height = np.sqrt(np.abs(np.sin(turn / 2 * v))) * 2 - 1.5
        case "ribbed":
            height = np.sin(turn * u)
        case _:
            rope = np.sin(turn * u + np.sin(turn * v))
            height = rope * (0.6 + 0.4 * np.sin(turn * (v + u)))
    return height


def _patches(u: Array, v: Array) -> Array:
    """Return blotches about 1 across, around 0."""
    blotches: Array = np.sin(6.3 * u + 2 * np.sin(2.9 * v)) + np.sin(
        5.1 * v + 2 * np.sin(3.7 * u + 1)
    )
    return blotches / 2


def _worn(on: OnCloth) -> Array:
    """Return how far denim has faded, on thighs and behind knees."""
    faded: Array = np.exp(-np.square((np.abs(on.around) - 0.05) / 0.05))
    return faded * (0.5 + 0.2 * np.sin(on.along * 21))


def _printed(motif: int, u: Array, v: Array, on: OnCloth) -> NDArray[np.bool_]:
    """Return one of six shapes on the chest."""
    far = u * u + v * v
    shape: NDArray[np.bool_]
    match motif:
        case 0:
            shape = far < 0.8
        case 1:
            shape = (far < 0.9) & (far > 0.35)
        case 2:
            shape = (np.abs(u) < 1.1) & (np.abs(v) < 0.32)
        case 3:
            shape = (v > -0.7) & (np.abs(u) < 0.55 * (0.9 - v))
        case 4:
            shape = (np.abs(u) < 1.0) & (np.abs(v) < 0.8) & ((v * 3.1) % 1 < 0.5)
        case _:
            shape = np.abs(u) + np.abs(v) < 1.0
    return shape & (on.front > 0) & ~on.sleeve & ~on.leg
