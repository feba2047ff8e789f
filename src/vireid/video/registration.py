"""Do two pictures show the same at the same pixels? Told by their edges.

Where two spectra are registered, strong edges of one lie on strong edges of the other, and moving
one picture against the other by a little loses that. So edges are correlated at every shift, on
average over several pairs, and the best shift has to be near none and better than far ones. All
frequencies count alike (phase correlation; Kuglin and Hines, 1975): else large forms, which fit at
many shifts, make pictures of different places look registered.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image

LOOKED_AT = (128, 160)
"""Rows and columns that pictures are brought to."""
BORDER = 4
"""Pixels at the edge that do not count: many cameras draw a frame there."""
FARTHEST = 0.06
"""Share of the picture by which the best shift may differ from none, as boxes may."""
SMOOTH = 1.0
"""Pixels over which neighbouring shifts count together, as lenses are never quite the same."""
LEAST_CLEARNESS = 10.0
"""Standard deviations by which the best shift has to stand above all, to be one at all. Three
instants of registered cameras reach 13 and more, of different places 8 at most."""


@dataclass(frozen=True)
class Registration:
    """The shift at which two pictures fit best."""

    down: float
    """Share of the height by which the second picture has to be moved up to fit the first."""
    right: float
    """Share of the width by which it has to be moved to the left."""
    clearness: float
    """Standard deviations by which the correlation there stands above those of all shifts."""

    @property
    def is_told(self) -> bool:
        """Whether one shift fits clearly better than others."""
        return self.clearness >= LEAST_CLEARNESS

    @property
    def is_registered(self) -> bool:
        """Whether the pictures show the same at the same pixels, as far as edges tell."""
        return self.is_told and max(abs(self.down), abs(self.right)) <= FARTHEST

    def __str__(self) -> str:
        if not self.is_told:
            return "no shift makes their edges fit"
        return (
            f"their edges fit best when one is moved by {100 * self.right:+.0f} % of the width and "
            f"{100 * self.down:+.0f} % of the height"
        )


def registration(pairs: Iterable[tuple[Image.Image, Image.Image]]) -> Registration | None:
    """Compare the edges of pairs of pictures that one pair of cameras took.

    Args:
        pairs: Visible and infrared pictures of the same instants; a few are enough.

    Returns:
        The best shift; None where there is no pair, or the pictures have no edges.
    """
    total = sum((_correlation(*map(_edges, pair)) for pair in pairs), np.zeros(LOOKED_AT))
    spread = float(total.std())
    if spread < 1e-9:
        return None
    best = np.unravel_index(int(total.argmax()), total.shape)
    down, right = (
        (int(at) + size // 2) % size - size // 2 for at, size in zip(best, LOOKED_AT, strict=True)
    )
    clear = (float(total.max()) - float(total.mean())) / spread
    return Registration(down / LOOKED_AT[0], right / LOOKED_AT[1], clear)


def _correlation(
    one: Float[np.ndarray, "y x"], other: Float[np.ndarray, "y x"]
) -> Float[np.ndarray, "y x"]:
    """Return how well two pictures fit at every shift."""
    product = np.conj(np.fft.rfft2(one)) * np.fft.rfft2(other)
    size = np.abs(product)
    phase = product / np.maximum(size, 1e-9 * size.max() or 1.0)
    down, right = np.fft.fftfreq(LOOKED_AT[0])[:, None], np.fft.rfftfreq(LOOKED_AT[1])
    fine = np.exp(-2 * (np.pi * SMOOTH) ** 2 * (down**2 + right**2))
    return np.fft.irfft2(phase * fine, s=LOOKED_AT)


def _edges(picture: Image.Image) -> Float[np.ndarray, "y x"]:
    """Return the strength of edges, less what it is nearby, so that no large form counts most."""
    size = LOOKED_AT[::-1]
    grey = picture.convert("L").resize(size, Image.Resampling.BILINEAR)
    down, right = np.gradient(np.asarray(grey, np.float64))
    strength = np.sqrt(np.hypot(down, right))
    rows, columns = (np.hanning(n - 2 * BORDER) for n in LOOKED_AT)
    edges = np.zeros(LOOKED_AT)
    inner = strength[BORDER:-BORDER, BORDER:-BORDER]
    edges[BORDER:-BORDER, BORDER:-BORDER] = (inner - inner.mean()) * np.outer(rows, columns)
    norm = float(np.linalg.norm(edges))
    return edges / norm if norm > 1e-9 else np.zeros(LOOKED_AT)
