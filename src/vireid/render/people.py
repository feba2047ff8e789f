"""People: body, gait, hair, clothes and things carried, drawn from a seed.

Garments follow a crowd's frequencies by season (inferred, not counted), as their colours do
(`materials.draw_cloth`). Half of all people come in families of three who are alike in everything
but one to three traits, so that a method has to find the trait.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.random import Generator

from vireid.render.bodies import Phenotype
from vireid.render.materials import Cloth, Pattern, draw_cloth, draw_hair, draw_skin

Hair = Literal["bald", "short", "curly", "medium", "long", "bun", "ponytail", "braid"]
Beard = Literal["none", "moustache", "short beard", "full beard"]
Headgear = Literal["none", "cap", "beanie", "brim", "hood"]
Top = Literal["tank", "t-shirt", "shirt", "sweater", "tunic"]
Outer = Literal["none", "vest", "jacket", "coat"]
Bottom = Literal["trousers", "wide trousers", "leggings", "shorts", "skirt", "long skirt", "dress"]
Bag = Literal["none", "backpack", "big backpack", "shoulder bag", "handbag", "suitcase"]
Umbrella = Literal["none", "closed", "open"]
Season = Literal["warm", "mild", "cold"]

FAMILY = 3
"""Number of consecutive identities that may be alike."""


@dataclass(frozen=True)
class Person:
    """All properties of a person that stay the same from picture to picture."""

    identity: int
    phenotype: Phenotype
    skin: Cloth
    hair: Hair
    hair_cloth: Cloth
    fringe: bool
    beard: Beard
    glasses: bool
    headgear: Headgear
    headgear_cloth: Cloth
    top: Top
    top_cloth: Cloth
    sleeve: float
    """Reach of the sleeves: 0 shoulder, 0.5 elbow, 1 wrist."""
    hem: float
    """Reach of the top below the hips, in quarters of the leg; up to 0.1 it is tucked in."""
    outer: Outer
    outer_cloth: Cloth
    outer_sleeve: float
    opening: float
    """Half the width in metres of an open coat's or jacket's front; 0 is closed."""
    coat_length: float
    """Reach of the coat down the leg: 0 hip, 0.5 knee, 1 ankle."""
    bottom: Bottom
    bottom_cloth: Cloth
    leg_length: float
    """Reach of trousers or skirt: 0.5 knee, 1 ankle."""
    flare: float
    """Metres that cloth stands off the leg at its end."""
    boots: float
    """Height of the shoes: 1 ankle, 0.5 knee."""
    shoe_cloth: Cloth
    sole_cloth: Cloth
    bag: Bag
    bag_cloth: Cloth
    bag_side: int
    """Side of the bag: +1 left, -1 right."""
    bag_size: float
    umbrella: Umbrella
    umbrella_cloth: Cloth
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
    toe_out: float
    """Radians that the feet point outwards."""
    elbow: float
    """Radians that the arms are bent by habit."""

    def attributes(self) -> dict[str, str | float]:
        """The person in words good enough for sentences, and gait in radians."""
        body = self.phenotype
        return {
            "sex": "man" if body.gender > 0.5 else "woman",
            "age": _step(body.age, 0.6, 0.76, ("young", "middle-aged", "old")),
            "build": _step(body.weight, 0.38, 0.68, ("slim", "medium", "heavy")),
            "stature": _step(body.height, 0.42, 0.64, ("short", "medium", "tall")),
            "skin": self.skin.dye,
            "hair": self._hair_words(),
            "beard": self.beard,
            "glasses": "glasses" if self.glasses else "none",
            "headgear": self._headgear_words(),
            "top": self._top_words(),
            "outer": self._outer_words(),
            "bottom": self._bottom_words(),
            "shoes": f"{cloth_words(self.shoe_cloth)} {self._shoe_word()}",
            "bag": self._bag_words(),
            "umbrella": self._umbrella_words(),
            "gloves": "gloves" if self.gloves else "none",
            "scarf": cloth_words(self.scarf_cloth) + " scarf" if self.scarf else "none",
            "fit": _step(self.looseness, 0.009, 0.02, ("tight", "regular", "loose")),
            "stride": self.stride,
            "arm swing": self.arm_swing,
            "stoop": self.stoop,
            "toes out": self.toe_out,
        }

    def _hair_words(self) -> str:
        if self.hair == "bald":
            return "bald"
        hair, fringe = self.hair_cloth.dye, " with a fringe" if self.fringe else ""
        if self.hair in ("bun", "ponytail", "braid"):
            return f"{hair} in a {self.hair}{fringe}"
        return f"{self.hair} {hair}{fringe}"

    def _headgear_words(self) -> str:
        if self.headgear == "none":
            return "none"
        if self.headgear == "hood":
            return "hood up"
        noun = "hat with a brim" if self.headgear == "brim" else self.headgear
        return f"{cloth_words(self.headgear_cloth)} {noun}"

    def _top_words(self) -> str:
        if self.top == "tunic":
            return "none"
        sleeves = "" if self.top in ("tank", "t-shirt") else _sleeve_words(self.sleeve)
        noun = "tank top" if self.top == "tank" else self.top
        return f"{cloth_words(self.top_cloth)} {sleeves}{noun}"

    def _outer_words(self) -> str:
        if self.outer == "none":
            return "none"
        length = _step(self.coat_length, 0.35, 0.58, ("short ", "knee-length ", "long "))
        words = f"{cloth_words(self.outer_cloth)} {length if self.outer == 'coat' else ''}"
        state = "open" if self.opening else "closed"
        return f"{state} {words}{self.outer}"

    def _bottom_words(self) -> str:
        cloth = self.top_cloth if self.bottom == "dress" else self.bottom_cloth
        lengths = ("short ", "knee-length ", "long ")
        length = _step(self.leg_length, 0.38, 0.6, lengths)
        if "trousers" in self.bottom or self.bottom in ("leggings", "long skirt"):
            length = ""
        return f"{cloth_words(cloth)} {length}{self.bottom}"

    def _shoe_word(self) -> str:
        if self.boots < 1:
            return _step(self.boots, 0.72, 1.0, ("high boots", "boots", "boots"))
        return "trainers" if self.sole_cloth.colour[0] > 0.4 else "shoes"

    def _bag_words(self) -> str:
        if self.bag == "none":
            return "none"
        side = ("on the left" if self.bag_side > 0 else "on the right") * ("pack" not in self.bag)
        return f"{cloth_words(self.bag_cloth)} {self.bag} {side}".rstrip()

    def _umbrella_words(self) -> str:
        if self.umbrella == "none":
            return "none"
        return f"{self.umbrella} {cloth_words(self.umbrella_cloth)} umbrella"


def draw_person(seed: int, identity: int) -> Person:
    """Draw the person of a number; the same for the same seed, whoever else is drawn."""
    rng = np.random.default_rng([seed, identity, 0])
    family = _family(seed, (identity - 1) // FAMILY)
    if family is None:
        return _drawn(rng, _season(rng), bool(rng.random() < 0.5), identity)
    season, first, of_member = family
    person = replace(first, identity=identity)
    changed = of_member[(identity - 1) % FAMILY]
    for trait in changed:
        person = _redrawn(rng, person, trait, season, set(changed))
    return person


def traits_changed(seed: int, identity: int) -> tuple[str, ...]:
    """Return the traits in which a person differs from the first of their family.

    No two members share one. Empty for the first, and where a family is not alike.
    """
    family = _family(seed, (identity - 1) // FAMILY)
    return () if family is None else family[2][(identity - 1) % FAMILY]


@lru_cache(maxsize=64)
def _family(seed: int, number: int) -> tuple[Season, Person, list[tuple[str, ...]]] | None:
    """Return season, first member and each member's changed traits; None where nobody is alike."""
    rng = np.random.default_rng([seed, number, 1_000_005])
    if rng.random() >= _ALIKE:
        return None
    season = _season(rng)
    first = _drawn(rng, season, bool(rng.random() < 0.5), number * FAMILY + 1)
    changeable = sorted(set(_TRAITS) - _hidden_traits(first) - _never_in(season))
    order = [str(trait) for trait in rng.permutation(changeable)]
    second, third = (int(n) for n in rng.integers(1, 4, 2))
    return season, first, [(), tuple(order[:second]), tuple(order[second : second + third])]


_ALIKE = 0.5
"""Share of families whose members are alike."""

_TRAITS: dict[str, tuple[str, ...]] = {
    "build": ("phenotype.weight", "phenotype.muscle", "looseness"),
    "stature": ("phenotype.height", "phenotype.proportions"),
    "hair": ("hair", "hair_cloth", "fringe", "beard"),
    "headgear": ("headgear", "headgear_cloth"),
    "top": ("top_cloth", "sleeve"),
    "outer": ("outer", "outer_cloth", "outer_sleeve", "coat_length", "opening"),
    "bottom": ("bottom", "bottom_cloth", "leg_length", "flare"),
    "shoes": ("boots", "shoe_cloth", "sole_cloth"),
    "bag": ("bag", "bag_cloth", "bag_side", "bag_size"),
    "scarf": ("scarf", "scarf_cloth"),
}
"""Groups of a person's fields that are drawn anew together."""

_NOTICED = {
    "phenotype.weight": 0.3,
    "phenotype.height": 0.25,
    "sleeve": 0.2,
    "coat_length": 0.2,
    "leg_length": 0.2,
    "opening": 0.05,
    "boots": 0.15,
}
"""Smallest difference of a number that can be seen."""


def _never_in(season: Season) -> set[str]:
    """Return the traits that hardly anybody has in a season."""
    return set() if season == "cold" else {"scarf"}


def _hidden_traits(person: Person) -> set[str]:
    """Return the traits that this person's other clothes hide."""
    covered = person.outer in ("jacket", "coat") and not person.opening
    hidden = {
        "top": covered and person.bottom != "dress",
        "hair": person.headgear == "hood",
        "bottom": person.outer == "coat" and person.coat_length > 0.6,
    }
    return {trait for trait, is_hidden in hidden.items() if is_hidden}


def _redrawn(rng: Generator, base: Person, trait: str, season: Season, changed: set[str]) -> Person:
    """Return a person like `base` but for one trait, in which both spectra show the difference.

    None of the traits `changed` may be hidden by it.
    """
    names, female = _TRAITS[trait], base.phenotype.gender < 0.5
    for _ in range(_TRIES):
        other = _with(base, _drawn(rng, season, female, base.identity), names)
        dressed_alike = (other.bottom == "dress") == (base.bottom == "dress")
        if dressed_alike and not changed & _hidden_traits(other) and _differ(base, other, names):
            return other
    raise AssertionError(f"nobody with another {trait} than {base}")


_TRIES = 10_000


def _with(base: Person, other: Person, names: tuple[str, ...]) -> Person:
    bodily = [n.removeprefix("phenotype.") for n in names if n.startswith("phenotype.")]
    phenotype = replace(base.phenotype, **{n: getattr(other.phenotype, n) for n in bodily})
    worn: dict[str, Any] = {n: getattr(other, n) for n in names if not n.startswith("phenotype.")}
    return replace(base, phenotype=phenotype, **worn)


def _differ(one: Person, other: Person, names: tuple[str, ...]) -> bool:
    """Whether two people would look different in the near infrared too; dyes do not count."""
    pairs = [(n, _looked_up(one, n), _looked_up(other, n)) for n in names]
    for name, a, b in pairs:
        if isinstance(a, Cloth):
            seen = abs(a.infrared - b.infrared) > 0.2 or a.pattern != b.pattern
            if seen and not _absent(one, name) and not _absent(other, name):
                return True
        elif isinstance(a, float):
            if abs(a - b) > _NOTICED.get(name, 9.0):
                return True
        elif a != b and name not in ("bag_side", "fringe"):
            return True
    return False


def _absent(person: Person, cloth: str) -> bool:
    """Whether a person wears nothing of this cloth."""
    worn = getattr(person, cloth.removesuffix("_cloth"), "here")
    return worn in ("none", "bald", False)


def _looked_up(person: Person, name: str) -> Any:
    if name.startswith("phenotype."):
        return getattr(person.phenotype, name.removeprefix("phenotype."))
    return getattr(person, name)


def _season(rng: Generator) -> Season:
    season: Season = _choose(rng, {"warm": 0.38, "mild": 0.36, "cold": 0.26})
    return season


def _drawn(rng: Generator, season: Season, female: bool, identity: int) -> Person:
    phenotype = _phenotype(rng, female)
    return Person(
        identity=identity,
        phenotype=phenotype,
        **_head(rng, female, phenotype, season),
        **_clothes(rng, female, season),
        **_carried(rng, season),
        **_gait(rng, phenotype.age),
    )


def _head(rng: Generator, female: bool, phenotype: Phenotype, season: Season) -> dict[str, Any]:
    hats = {"none": 0.86, "cap": 0.1, "brim": 0.04}
    if season != "warm":
        hats = {"none": 0.8, "cap": 0.08, "beanie": 0.06, "hood": 0.06}
    if season == "cold":
        hats = {"none": 0.56, "cap": 0.05, "beanie": 0.2, "brim": 0.03, "hood": 0.16}
    beards = {"none": 0.62, "moustache": 0.08, "short beard": 0.18, "full beard": 0.12}
    hair = _choose(rng, _hair(female))
    return {
        "skin": draw_skin(rng, _darkness(rng, phenotype)),
        "hair": hair,
        "hair_cloth": draw_hair(rng),
        "fringe": hair != "bald" and bool(rng.random() < (0.4 if female else 0.15)),
        "beard": "none" if female else _choose(rng, beards),
        "glasses": bool(rng.random() < (0.2 if phenotype.age < 0.7 else 0.45)),
        "headgear": _choose(rng, hats),
        "headgear_cloth": draw_cloth(rng, ("plain", "plain", "ribbed"), garment="headgear"),
    }


def _darkness(rng: Generator, phenotype: Phenotype) -> float:
    """Draw the skin's darkness, 0 to 1, which loosely goes with the rest of the body (inferred)."""
    middle = 0.12 + 0.7 * phenotype.african + 0.15 * phenotype.asian
    return float(np.clip(middle + rng.normal(0, 0.1), 0, 1))


def _clothes(rng: Generator, female: bool, season: Season) -> dict[str, Any]:
    bottom: Bottom = _choose(rng, _bottoms(female, season))
    outer: Outer = _choose(rng, _OUTERS[season])
    top: Top = "tunic" if bottom == "dress" else _choose(rng, _TOPS[season])
    bare_legs = bottom in ("shorts", "skirt", "dress")
    high = rng.random() < {"warm": 0.04, "mild": 0.15, "cold": 0.35}[season] * (1 + bare_legs)
    fit = {"leggings": 0.0, "wide trousers": rng.uniform(0.02, 0.045)}
    return {
        "top": top,
        "top_cloth": draw_cloth(rng, _TOP_PATTERNS, top),
        "sleeve": _sleeve(rng, top, season),
        "hem": float(rng.choice([0.05, rng.uniform(0.12, 0.35), rng.uniform(0.12, 0.6)])),
        "outer": outer,
        "outer_cloth": draw_cloth(
            rng, _OUTER_PATTERNS[outer], "jacket" if outer == "none" else outer
        ),
        "outer_sleeve": -0.1 if outer == "vest" else float(rng.uniform(0.9, 1.0)),
        "opening": float(rng.uniform(0.04, 0.1)) if rng.random() < _OPEN[season] else 0.0,
        "coat_length": float(rng.uniform(0.22, 0.8)),
        "bottom": bottom,
        "bottom_cloth": draw_cloth(rng, _BOTTOM_PATTERNS, bottom),
        "leg_length": _leg_length(rng, bottom),
        "flare": float(fit.get(bottom, rng.uniform(0.0, 0.02))),
        "boots": float(rng.uniform(0.55, 0.85)) if high else 1.0,
        "shoe_cloth": draw_cloth(rng, ("plain",), garment="shoes"),
        "sole_cloth": _SOLES[int(rng.random() < 0.45)],
        "looseness": float(rng.uniform(0.002, 0.028)),
    }


def _carried(rng: Generator, season: Season) -> dict[str, Any]:
    bag: Bag = _choose(rng, _BAGS)
    umbrella = _choose(rng, {"none": 0.955, "closed": 0.037, "open": 0.008})
    warmly = {"warm": 0.0, "mild": 0.06, "cold": 0.35}[season]
    return {
        "bag": bag,
        "bag_cloth": draw_cloth(rng, _BAG_PATTERNS, garment="bag"),
        "bag_side": int(rng.choice([-1, 1])),
        "bag_size": float(rng.uniform(0.75, 1.2)),
        "umbrella": umbrella,
        "umbrella_cloth": draw_cloth(rng, ("plain",), garment="umbrella"),
        "gloves": bool(rng.random() < warmly * 0.8),
        "scarf": bool(rng.random() < warmly),
        "scarf_cloth": draw_cloth(rng, ("plain", "bands", "checks", "ribbed"), garment="scarf"),
    }


def _gait(rng: Generator, age: float) -> dict[str, Any]:
    tired = max(0.0, age - 0.7)
    return {
        "stride": float(rng.uniform(0.3, 0.58) * (1 - tired)),
        "arm_swing": float(rng.uniform(0.12, 0.65)),
        "stoop": float(rng.normal(0.02, 0.04) + 0.6 * tired),
        "toe_out": float(rng.normal(0.1, 0.12)),
        "elbow": float(rng.uniform(-0.15, 0.25)),
    }


_SOLES = (
    Cloth((0.02, 0.02, 0.02), 0.06, dye="black", fabric="rubber and cloth"),
    Cloth((0.7, 0.69, 0.66), 0.6, dye="white", fabric="rubber and cloth"),
)
_TOP_PATTERNS: tuple[Pattern, ...] = (
    *("plain",) * 11, "stripes", "bands", "bands", "checks", "checks", "print", "print", "print",
    "dots", "blocks", "sleeves", "ribbed", "cable",
)  # fmt: skip
_PLAIN_OUTER: tuple[Pattern, ...] = (
    *("plain",) * 16, *("quilted",) * 6, "ribbed", "blocks", "blocks", "bands", "sleeves",
    "camouflage", "reflective",
)  # fmt: skip
_OUTER_PATTERNS: dict[Outer, tuple[Pattern, ...]] = {
    "none": ("plain",),
    "vest": ("plain", "plain", "quilted", "quilted", "ribbed", "reflective"),
    "jacket": _PLAIN_OUTER,
    "coat": (*("plain",) * 12, "quilted", "quilted", "quilted", "checks"),
}
_BOTTOM_PATTERNS: tuple[Pattern, ...] = (
    *("plain",) * 15, "stripes", "checks", "ribbed", "side stripes", "dots",
)  # fmt: skip
_BAG_PATTERNS: tuple[Pattern, ...] = (
    *("plain",) * 9, "blocks", "blocks", "quilted", "print", "reflective",
)  # fmt: skip
_TOPS = {
    "warm": {"tank": 0.12, "t-shirt": 0.58, "shirt": 0.3},
    "mild": {"t-shirt": 0.3, "shirt": 0.34, "sweater": 0.36},
    "cold": {"t-shirt": 0.06, "shirt": 0.34, "sweater": 0.6},
}
_OUTERS = {
    "warm": {"none": 0.9, "vest": 0.05, "jacket": 0.05},
    "mild": {"none": 0.38, "vest": 0.09, "jacket": 0.43, "coat": 0.1},
    "cold": {"none": 0.06, "vest": 0.04, "jacket": 0.5, "coat": 0.4},
}
_OPEN = {"warm": 0.8, "mild": 0.55, "cold": 0.25}
_BAGS = {
    "none": 0.44,
    "backpack": 0.2,
    "big backpack": 0.05,
    "shoulder bag": 0.15,
    "handbag": 0.11,
    "suitcase": 0.05,
}


def _bottoms(female: bool, season: Season) -> dict[str, float]:
    bare = {"warm": 1.0, "mild": 0.25, "cold": 0.04}[season]
    if not female:
        return {"trousers": 0.68, "wide trousers": 0.14, "shorts": 0.4 * bare}
    return {
        "trousers": 0.36,
        "wide trousers": 0.12,
        "leggings": 0.16,
        "shorts": 0.18 * bare,
        "skirt": 0.05 + 0.13 * bare,
        "long skirt": 0.07,
        "dress": 0.05 + 0.14 * bare,
    }


def _hair(female: bool) -> dict[str, float]:
    if female:
        return {
            "short": 0.1,
            "curly": 0.08,
            "medium": 0.22,
            "long": 0.3,
            "bun": 0.11,
            "ponytail": 0.14,
            "braid": 0.05,
        }
    return {"bald": 0.13, "short": 0.64, "curly": 0.07, "medium": 0.1, "long": 0.03, "bun": 0.03}


def _choose(rng: Generator, shares: dict[str, Any]) -> Any:
    names = list(shares)
    steps = np.cumsum(list(shares.values()))
    return names[int(np.searchsorted(steps, rng.random() * steps[-1], side="right"))]


def _phenotype(rng: Generator, female: bool) -> Phenotype:
    origin = rng.dirichlet((0.7, 0.7, 0.7))
    return Phenotype(
        gender=float(rng.uniform(0.0, 0.15) if female else rng.uniform(0.85, 1.0)),
        age=float(rng.uniform(0.45, 0.9)),
        muscle=float(rng.uniform(0.3, 0.75)),
        weight=float(rng.uniform(0.15, 0.92)),
        height=float(rng.uniform(0.2, 0.85)),
        proportions=float(rng.uniform(0.35, 0.8)),
        african=float(origin[0]),
        asian=float(origin[1]),
        caucasian=float(origin[2]),
    )


def _sleeve(rng: Generator, top: str, season: Season) -> float:
    low, high = {"tank": (-0.2, -0.05), "t-shirt": (0.2, 0.48)}.get(top, (0.9, 1.0))
    if top in ("shirt", "tunic") and season != "cold" and rng.random() < 0.5:
        low, high = 0.2, 0.7
    return float(rng.uniform(low, high))


def _leg_length(rng: Generator, bottom: str) -> float:
    low, high = {
        "shorts": (0.22, 0.55),
        "skirt": (0.25, 0.55),
        "dress": (0.3, 0.85),
        "long skirt": (0.7, 0.92),
        "leggings": (0.75, 1.0),
    }.get(bottom, (0.93, 1.03))
    return float(rng.uniform(low, high))


def cloth_words(cloth: Cloth) -> str:
    """Return colours and pattern of a cloth, such as "white and red striped"."""
    first = _DENIM_WORDS.get(cloth.dye, cloth.dye)
    second, pattern = cloth.second_dye, _PATTERN_WORDS.get(cloth.pattern, cloth.pattern)
    return f"{first} and {second} {pattern}" if second else f"{first} {pattern}".rstrip()


_DENIM_WORDS = {
    "dark indigo": "dark blue denim",
    "indigo": "blue denim",
    "pale indigo": "pale blue denim",
}


_PATTERN_WORDS: dict[Pattern, str] = {
    "plain": "",
    "stripes": "striped",
    "bands": "banded",
    "checks": "checked",
    "dots": "dotted",
    "print": "printed",
    "blocks": "two-tone",
    "sleeves": "two-tone",
    "side stripes": "side-striped",
    "reflective": "reflective",
}


def _step(value: float, low: float, high: float, words: tuple[str, str, str]) -> str:
    return words[0] if value < low else words[1] if value < high else words[2]


def _sleeve_words(sleeve: float) -> str:
    return "short-sleeved " if sleeve < 0.55 else "" if sleeve < 0.85 else "long-sleeved "
