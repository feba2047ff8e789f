"""Who somebody is: body, gait, hair, clothes and things carried, drawn from a seed."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.random import Generator

from vireid.render.bodies import Phenotype
from vireid.render.materials import Cloth, Pattern, draw_cloth, draw_hair, draw_skin

Hair = Literal["bald", "short", "medium", "long", "bun", "ponytail"]
Headgear = Literal["none", "cap", "beanie", "brim", "hood"]
Top = Literal["tank", "t-shirt", "shirt", "sweater", "tunic"]
Outer = Literal["none", "vest", "jacket", "coat"]
Bottom = Literal["trousers", "wide trousers", "leggings", "shorts", "skirt", "long skirt", "dress"]
Bag = Literal["none", "backpack", "shoulder bag", "handbag", "big backpack"]


@dataclass(frozen=True)
class Person:
    """Everything about somebody that stays the same from picture to picture."""

    identity: int
    phenotype: Phenotype
    skin: Cloth
    hair: Hair
    hair_cloth: Cloth
    headgear: Headgear
    headgear_cloth: Cloth
    top: Top
    top_cloth: Cloth
    sleeve: float
    """How far sleeves reach: 0 shoulder, 0.5 elbow, 1 wrist."""
    hem: float
    """How far the top hangs below the hips, in quarters of the leg; up to 0.1 it is tucked in."""
    outer: Outer
    outer_cloth: Cloth
    outer_sleeve: float
    opening: float
    """Half the width in metres of an open coat or jacket's front; 0 is closed."""
    coat_length: float
    """How far a coat reaches down the leg: 0 hip, 0.5 knee, 1 ankle."""
    bottom: Bottom
    bottom_cloth: Cloth
    leg_length: float
    """How far trousers reach: 0.5 knee, 1 ankle; likewise for skirts."""
    flare: float
    """Metres that cloth stands off the leg at its end."""
    boots: float
    """How high shoes reach: 1 ankle, 0.5 knee."""
    shoe_cloth: Cloth
    bag: Bag
    bag_cloth: Cloth
    bag_side: int
    """+1 left, -1 right."""
    bag_size: float
    gloves: bool
    scarf: bool
    scarf_cloth: Cloth
    looseness: float
    """Metres that cloth stands off the body."""
    stride: float
    """Amplitude of the legs in radians."""
    arm_swing: float
    stoop: float
    """Forward bend of the trunk in radians."""


def draw_person(seed: int, identity: int) -> Person:
    """The person with this number; the same for the same seed, whoever else is drawn."""
    rng = np.random.default_rng([seed, identity, 0])
    female = rng.random() < 0.5
    bottom = _choose(rng, _bottoms(female))
    outer = _choose(rng, {"none": 0.42, "vest": 0.08, "jacket": 0.32, "coat": 0.18})
    top: Top = "tunic" if bottom == "dress" else _choose(rng, _TOPS)
    bare_legs = bottom in ("shorts", "skirt", "dress")
    return Person(
        identity=identity,
        phenotype=_phenotype(rng, female),
        skin=draw_skin(rng),
        hair=_choose(rng, _hair(female)),
        hair_cloth=draw_hair(rng),
        headgear=_choose(
            rng, {"none": 0.62, "cap": 0.12, "beanie": 0.1, "brim": 0.06, "hood": 0.1}
        ),
        headgear_cloth=draw_cloth(rng, ("plain",)),
        top=top,
        top_cloth=draw_cloth(rng, _TOP_PATTERNS),
        sleeve=_sleeve(rng, top),
        hem=float(rng.uniform(0.0, 0.35)),
        outer=outer,
        outer_cloth=draw_cloth(rng, _OUTER_PATTERNS),
        outer_sleeve=-0.1 if outer == "vest" else float(rng.uniform(0.85, 1.0)),
        opening=float(rng.uniform(0.04, 0.12)) if rng.random() < 0.5 else 0.0,
        coat_length=float(rng.uniform(0.25, 0.8)),
        bottom=bottom,
        bottom_cloth=draw_cloth(rng, _BOTTOM_PATTERNS),
        leg_length=_leg_length(rng, bottom),
        flare=float(rng.uniform(0.03, 0.09)) if bottom == "wide trousers" else 0.008,
        boots=float(rng.uniform(0.55, 0.8)) if rng.random() < (0.4 if bare_legs else 0.15) else 1.0,
        shoe_cloth=draw_cloth(rng, ("plain",), gloss=0.3),
        bag=_choose(rng, _BAGS),
        bag_cloth=draw_cloth(rng, ("plain", "blocks"), gloss=0.15),
        bag_side=int(rng.choice([-1, 1])),
        bag_size=float(rng.uniform(0.75, 1.25)),
        gloves=bool(rng.random() < 0.08),
        scarf=bool(rng.random() < 0.12),
        scarf_cloth=draw_cloth(rng, ("plain", "stripes", "checks")),
        looseness=float(rng.uniform(0.002, 0.03)),
        stride=float(rng.uniform(0.28, 0.6)),
        arm_swing=float(rng.uniform(0.1, 0.7)),
        stoop=float(rng.normal(0.03, 0.05)),
    )


_TOPS = {"tank": 0.08, "t-shirt": 0.36, "shirt": 0.28, "sweater": 0.28}
_TOP_PATTERNS: tuple[Pattern, ...] = (
    "plain",
    "plain",
    "stripes",
    "bands",
    "checks",
    "print",
    "blocks",
    "ribbed",
)
_OUTER_PATTERNS: tuple[Pattern, ...] = ("plain", "plain", "quilted", "ribbed", "blocks", "bands")
_BOTTOM_PATTERNS: tuple[Pattern, ...] = ("plain", "plain", "plain", "stripes", "checks", "ribbed")
_BAGS = {
    "none": 0.4,
    "backpack": 0.22,
    "shoulder bag": 0.18,
    "handbag": 0.12,
    "big backpack": 0.08,
}


def _bottoms(female: bool) -> dict[str, float]:
    if female:
        return {
            "trousers": 0.3,
            "wide trousers": 0.12,
            "leggings": 0.15,
            "shorts": 0.08,
            "skirt": 0.13,
            "long skirt": 0.1,
            "dress": 0.12,
        }
    return {"trousers": 0.6, "wide trousers": 0.18, "shorts": 0.22}


def _hair(female: bool) -> dict[str, float]:
    if female:
        return {"short": 0.12, "medium": 0.22, "long": 0.34, "bun": 0.14, "ponytail": 0.18}
    return {"bald": 0.14, "short": 0.62, "medium": 0.16, "long": 0.05, "bun": 0.03}


def _choose(rng: Generator, shares: dict[str, float]) -> Any:
    names = list(shares)
    weights = np.array(list(shares.values()))
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def _phenotype(rng: Generator, female: bool) -> Phenotype:
    origin = rng.dirichlet((0.7, 0.7, 0.7))
    return Phenotype(
        gender=float(rng.uniform(0.0, 0.2) if female else rng.uniform(0.8, 1.0)),
        age=float(rng.uniform(0.45, 0.9)),
        muscle=float(rng.uniform(0.25, 0.8)),
        weight=float(rng.uniform(0.15, 0.95)),
        height=float(rng.uniform(0.2, 0.85)),
        proportions=float(rng.uniform(0.3, 0.8)),
        african=float(origin[0]),
        asian=float(origin[1]),
        caucasian=float(origin[2]),
    )


def _sleeve(rng: Generator, top: str) -> float:
    low, high = {"tank": (-0.2, -0.05), "t-shirt": (0.2, 0.48)}.get(top, (0.8, 1.0))
    return float(rng.uniform(low, high))


def _leg_length(rng: Generator, bottom: str) -> float:
    low, high = {
        "shorts": (0.2, 0.55),
        "skirt": (0.25, 0.55),
        "dress": (0.25, 0.85),
        "long skirt": (0.7, 0.95),
        "leggings": (0.75, 1.0),
    }.get(bottom, (0.9, 1.02))
    return float(rng.uniform(low, high))
