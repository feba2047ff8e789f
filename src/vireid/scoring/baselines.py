"""Baselines that learn nothing: a model counts only where it is above them.

A baseline is scored like an `Embedder`: with the same pictures, trials and metrics. Each looks at
one thing that is no person: at colours, at edges, at what lies around the person, at how large the
picture is. Where two pictures were cut from one frame, or by one box, such a thing alone finds
most: registered people are found by the shape of a common box in 100 of 100 cases.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from vireid.models.embedder import Embedder
from vireid.pictures import picture_of, pixels_of, size_of
from vireid.progress import counted
from vireid.records import ImageRecord, Modality
from vireid.types.arrays import Pixels, Vector, Vectors

CELL = 8
"""Height and width in pixels of a cell, over which edge directions are counted."""
DIRECTIONS = 9
"""Number of directions that are told apart, over half a turn."""


@dataclass(frozen=True)
class Baseline:
    """A way to embed pictures without training."""

    name: str
    embed: Callable[[ImageRecord], Vector]
    """Embeds a record as a vector of any length."""
    checkpoint: str = "nothing learnt"
    learnt_on: str = "nothing"

    @property
    def fingerprint(self) -> str:
        """The name of the baseline, as there are no weights."""
        return self.name

    def embed_records(self, records: Sequence[ImageRecord]) -> Vectors:
        """Return unit vectors; row i is that of record i, as an `Embedder` gives it."""
        with ThreadPoolExecutor() as pool:
            vectors = pool.map(self.embed, records)
            doing = f"embedding pictures by {self.name}"
            rows = np.stack(list(counted(vectors, doing, len(records)))).astype(np.float32)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True).clip(min=1e-12)
        unit: Vectors = rows / lengths
        return unit


def chance(seed: int = 0) -> Baseline:
    """Rank at random: by Gaussian vectors drawn from the seed and the picture's key.

    This is one draw, not the analytic expectation: it passes through the same trials, so hidden
    cameras and unequal numbers of matches count as they do for a model.
    """
    return Baseline("chance", lambda record: _random_vector(f"{seed} {_named(record)}"))


def raw_pixels(height: int = 48, width: int = 24) -> Baseline:
    """Compare brightness place by place, without each picture's own mean and contrast."""
    return Baseline("raw pixels", lambda record: _standardised(_brightness(record, height, width)))


def colour_histograms(stripes: int = 6, bins: int = 8) -> Baseline:
    """Compare how often colours occur in horizontal stripes of the body.

    Vectors hold square roots of shares, so the inner product is Bhattacharyya's coefficient.
    """
    return Baseline(
        "colour histograms",
        lambda record: _histograms(pixels_of(record, 96, 48), stripes, bins),
    )


Cells = Callable[[ImageRecord], Float[np.ndarray, "v u k"]]
"""Counts the edge directions of a picture, over cells of it."""


def cells_of(height: int = 128, width: int = 64) -> Cells:
    """Return what counts edge directions, and remembers them: two baselines look at them."""
    known = dict[ImageRecord, Float[np.ndarray, "v u k"]]()

    def cells(record: ImageRecord) -> Float[np.ndarray, "v u k"]:
        if record not in known:
            known[record] = _cells(_brightness(record, height, width)).astype(np.float32)
        return known[record]

    return cells


def edges(cells: Cells | None = None) -> Baseline:
    """Compare histograms of edge directions, without their sign: bright on dark is dark on bright.

    Dalal and Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005: 9 directions,
    cells of 8 x 8 pixels, blocks of 2 x 2 cells.
    """
    cells = cells or cells_of()
    return Baseline("edges (HOG)", lambda record: _blocks(cells(record)))


def edges_of_background(cells: Cells | None = None) -> Baseline:
    """Compare the edges outside of the ellipse that the person fills.

    Whoever is found by these was found by the place, not by the person.
    """
    cells = cells or cells_of()
    return Baseline("edges of background", lambda record: _blocks(_outside(cells(record))))


def box_shape(steps: int = 24) -> Baseline:
    """Compare the shapes and the heights of pictures, or of boxes in a frame, and no pixels.

    The inner product of two vectors falls with the difference of log(height / width) and of
    log(height).
    """
    return Baseline("box shape", lambda record: _shape(*size_of(record), steps))


def controls() -> tuple[Baseline, ...]:
    """Return the baselines that stand below every model's scores, chance first."""
    cells = cells_of()
    return (
        chance(),
        box_shape(),
        raw_pixels(),
        colour_histograms(),
        edges_of_background(cells),
        edges(cells),
    )


class WithoutPerson:
    """A model that is shown pictures in which the person is blanked.

    What it finds then, it finds by the place. Blanked is the ellipse that `edges_of_background`
    leaves out, by the mean of what is around it.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.name = f"{embedder.name}{WITHOUT_PERSON}"
        self.fingerprint = f"{embedder.fingerprint} without the person"
        self.checkpoint, self.learnt_on = embedder.checkpoint, embedder.learnt_on

    def embed_records(self, records: Sequence[ImageRecord]) -> Vectors:
        """Return unit vectors; row i is that of record i."""
        rows = np.zeros((len(records), self._embedder.card.embedding_dim), np.float32)
        for modality in Modality:
            places = [n for n, record in enumerate(records) if record.modality is modality]
            for start in range(0, len(places), AT_ONCE):
                some = places[start : start + AT_ONCE]
                blanked = [_blanked(picture_of(records[n])) for n in some]
                rows[some] = self._embedder.embed(blanked, modality)
        return rows


WITHOUT_PERSON = ", person blanked"
AT_ONCE = 64
"""Pictures that are blanked before they are embedded."""


def _blanked(picture: Image.Image) -> Image.Image:
    """Return a picture whose person is covered by the mean colour of what is around."""
    pixels = np.array(picture.convert("RGB"))
    inside = _ellipse(*pixels.shape[:2])
    if (~inside).any():
        pixels[inside] = pixels[~inside].mean(axis=0).round().astype(np.uint8)
    return Image.fromarray(pixels)


def _ellipse(rows: int, columns: int) -> Bool[np.ndarray, "y x"]:
    """Return where the ellipse is that a person fills."""
    y, x = (np.linspace(-1, 1, 2 * n + 1)[1::2] for n in (rows, columns))
    return np.asarray(np.hypot(y[:, None] / 0.95, x[None] / 0.8) < 1)


def _named(record: ImageRecord) -> str:
    path = "/".join(record.path.parts[-3:])
    return f"{path} {record.box}" if record.box else path


def _random_vector(key: str) -> Vector:
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(256)


def _brightness(record: ImageRecord, height: int, width: int) -> Float[np.ndarray, "y x"]:
    pixels = pixels_of(record, height, width)
    return np.asarray(Image.fromarray(pixels).convert("L"), dtype=np.float64)


def _standardised(brightness: Float[np.ndarray, "y x"]) -> Vector:
    vector: Vector = brightness.ravel() - float(brightness.mean())
    return vector


def _cells(brightness: Float[np.ndarray, "y x"]) -> Float[np.ndarray, "v u k"]:
    """Return histograms of edge directions over cells."""
    down, right = np.gradient(np.sqrt(brightness))
    strength = np.hypot(down, right)
    place = np.arctan2(down, right) % np.pi / np.pi * DIRECTIONS
    lower = np.floor(place).astype(int)
    size = (*np.floor_divide(brightness.shape, CELL), DIRECTIONS)
    rows, columns = np.indices(brightness.shape) // CELL
    cells = np.zeros(size)
    for step, share in ((0, 1 - (place - lower)), (1, place - lower)):
        places = np.ravel_multi_index((rows, columns, (lower + step) % DIRECTIONS), size)
        cells += np.bincount(places.ravel(), (strength * share).ravel(), cells.size).reshape(size)
    return cells


def _outside(cells: Float[np.ndarray, "v u k"]) -> Float[np.ndarray, "v u k"]:
    """Return cells without those that the person fills."""
    left = cells.copy()
    left[_ellipse(*cells.shape[:2])] = 0
    return left


def _blocks(cells: Float[np.ndarray, "v u k"]) -> Vector:
    """Return cells in blocks of 2 x 2, each at length one, as one vector."""
    corners = (cells[:-1, :-1], cells[:-1, 1:], cells[1:, :-1], cells[1:, 1:])
    blocks = np.concatenate(corners, axis=2)
    for most in (0.2, np.inf):  # no edge counts for more than a fifth
        blocks = blocks / np.sqrt((blocks**2).sum(axis=2, keepdims=True) + 1e-6)
        blocks = blocks.clip(max=most)
    vector: Vector = blocks.ravel()
    return vector


def _shape(width: int, height: int, steps: int) -> Vector:
    """Return a bump at the place of a shape and a height, on a grid."""
    grid = np.linspace(0, 1, steps)
    places = np.log(height / width) / 3 + 0.25, np.log(height) / np.log(4096)
    bumps = [np.exp(-((grid - place) ** 2) * steps**2 / 2) for place in places]
    vector: Vector = np.outer(*bumps).ravel()
    return vector


def _histograms(pixels: Pixels, stripes: int, bins: int) -> Vector:
    """Return histograms of hue by saturation, and of brightness, for every stripe."""
    hsv = np.asarray(Image.fromarray(pixels).convert("HSV")).astype(np.int64) * bins // 256
    counts = []
    for stripe in np.array_split(hsv, stripes):
        hue, saturation, brightness = stripe.reshape(-1, 3).T
        counts.append(np.bincount(hue * bins + saturation, minlength=bins * bins))
        counts.append(np.bincount(brightness, minlength=bins))
    return np.sqrt(np.concatenate(counts))
