"""What things are made of, as three kinds of camera see it.

Colour is what a dye does to visible light, and near infrared does not see most dyes. What both
spectra share is shape (cut, length, folds, things carried), relief (quilting, ribs) and pigment
that is not a dye. Hence every cloth has a visible colour and, drawn on its own, a reflectance
in the near infrared; and a print is faint there.

Reflectances at 850 nm: dyed cotton and polyester lie between 0.4 and 0.8 whatever their colour,
pigment black and leather between 0.05 and 0.3; skin about 0.6; hair 0.2 to 0.6 and brighter than it
looks. (Inferred from the ranges that material-classification studies in the near infrared give;
not measured by us.)
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from vireid.render.bodies import Array

Colour = tuple[float, float, float]
Pattern = Literal["plain", "stripes", "bands", "checks", "quilted", "ribbed", "print", "blocks"]

_DYES: tuple[Colour, ...] = (
    (0.02, 0.02, 0.025),
    (0.03, 0.035, 0.07),
    (0.05, 0.08, 0.2),
    (0.1, 0.18, 0.4),
    (0.35, 0.36, 0.38),
    (0.12, 0.12, 0.13),
    (0.75, 0.74, 0.7),
    (0.6, 0.52, 0.38),
    (0.28, 0.18, 0.09),
    (0.12, 0.16, 0.06),
    (0.45, 0.03, 0.04),
    (0.25, 0.02, 0.05),
    (0.75, 0.3, 0.35),
    (0.8, 0.6, 0.08),
    (0.75, 0.25, 0.03),
    (0.05, 0.3, 0.15),
    (0.1, 0.4, 0.45),
    (0.25, 0.12, 0.35),
)


@dataclass(frozen=True)
class Cloth:
    """A material, as two kinds of camera see it. Albedos are linear, in [0, 1]."""

    colour: Colour
    infrared: float
    pattern: Pattern = "plain"
    second_colour: Colour = (0.5, 0.5, 0.5)
    second_infrared: float = 0.5
    """What the pattern's other half reflects in the near infrared; near `infrared` for a print."""
    pitch: float = 0.08
    """Metres from one repetition of the pattern to the next."""
    relief: float = 0.0
    """How strongly the pattern is felt rather than seen: shading that both spectra share."""
    gloss: float = 0.0
    """Strength of the highlight."""


def draw_skin(rng: Generator) -> Cloth:
    """Skin of somebody."""
    melanin = rng.random()
    light, dark = np.array([0.62, 0.4, 0.3]), np.array([0.1, 0.055, 0.035])
    colour = light * (1 - melanin) + dark * melanin
    return Cloth(
        _colour(colour), infrared=float(0.62 - 0.15 * melanin + rng.normal(0, 0.02)), gloss=0.1
    )


def draw_hair(rng: Generator) -> Cloth:
    """Hair of somebody."""
    shades = np.array([[0.01, 0.01, 0.01], [0.05, 0.025, 0.012], [0.3, 0.2, 0.09], [0.4, 0.4, 0.4]])
    i = int(rng.choice(4, p=[0.5, 0.3, 0.1, 0.1]))
    return Cloth(
        _colour(shades[i] * rng.uniform(0.7, 1.4)),
        infrared=float((0.22, 0.32, 0.5, 0.55)[i] + rng.normal(0, 0.04)),
        gloss=0.1,
    )


def draw_cloth(rng: Generator, patterns: tuple[Pattern, ...], gloss: float | None = None) -> Cloth:
    """A cloth with one of some patterns."""
    pattern = patterns[int(rng.integers(len(patterns)))]
    infrared = float(rng.uniform(0.06, 0.25) if rng.random() < 0.25 else rng.uniform(0.35, 0.8))
    woven_in = pattern == "blocks" or rng.random() < 0.35
    fade = 1.0 if woven_in else float(rng.uniform(0.0, 0.25))
    other = float(rng.uniform(0.06, 0.8))
    return Cloth(
        colour=_dye(rng),
        infrared=infrared,
        pattern=pattern,
        second_colour=_dye(rng),
        second_infrared=infrared + fade * (other - infrared),
        pitch=float(rng.uniform(0.05, 0.16)),
        relief=float(rng.uniform(0.35, 0.7)) if pattern in ("quilted", "ribbed") else 0.0,
        gloss=float(rng.choice([0.0, 0.0, 0.15, 0.4])) if gloss is None else gloss,
    )


def _dye(rng: Generator) -> Colour:
    return _colour(np.array(_DYES[int(rng.integers(len(_DYES)))]) * rng.uniform(0.7, 1.3, 3))


def _colour(values: NDArray[np.float64]) -> Colour:
    r, g, b = np.clip(values, 0.005, 0.9)
    return float(r), float(g), float(b)


def pattern_at(cloth: Cloth, rest: Array, limbs: Array, middle: float) -> tuple[Array, Array]:
    """Share of the second cloth, and height of the relief around 0, at points; n and n."""
    x, _, z = rest.T / cloth.pitch
    none = np.zeros(len(rest), np.float32)
    match cloth.pattern:
        case "stripes":
            return ((x % 1) < 0.4).astype(np.float32), none
        case "bands":
            return ((z % 1) < 0.45).astype(np.float32), none
        case "checks":
            return (((x % 1) < 0.4) * 0.5 + ((z % 1) < 0.4) * 0.5).astype(np.float32), none
        case "blocks":
            return ((rest[:, 2] > middle) | (limbs > 0.3)).astype(np.float32), none
        case "print":
            on_front = rest[:, 1] < 0
            patch = (np.abs(x) < 1.1) & (np.abs((rest[:, 2] - middle) / cloth.pitch) < 0.9)
            return (on_front & patch).astype(np.float32), none
        case "quilted":
            return none, np.sin(2 * np.pi * z).astype(np.float32)
        case "ribbed":
            return none, np.sin(4 * np.pi * x).astype(np.float32)
    return none, none
