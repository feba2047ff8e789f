"""Baselines that need no training: chance, raw pixels, colour histograms.

A baseline is scored like an `Embedder`: with the same pictures, trials and metrics.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vireid.arrays import Pixels, Vector, Vectors
from vireid.pictures import pixels_of
from vireid.progress import counted
from vireid.records import ImageRecord


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
    return Baseline("raw pixels", lambda record: _standardised(pixels_of(record, height, width)))


def colour_histograms(stripes: int = 6, bins: int = 8) -> Baseline:
    """Compare how often colours occur in horizontal stripes of the body.

    Vectors hold square roots of shares, so the inner product is Bhattacharyya's coefficient.
    """
    return Baseline(
        "colour histograms",
        lambda record: _histograms(pixels_of(record, 96, 48), stripes, bins),
    )


def _named(record: ImageRecord) -> str:
    path = "/".join(record.path.parts[-3:])
    return f"{path} {record.box}" if record.box else path


def _random_vector(key: str) -> Vector:
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(256)


def _standardised(pixels: Pixels) -> Vector:
    brightness: Vector = np.asarray(Image.fromarray(pixels).convert("L"), dtype=np.float64).ravel()
    return brightness - float(brightness.mean())


def _histograms(pixels: Pixels, stripes: int, bins: int) -> Vector:
    """Return histograms of hue by saturation, and of brightness, for every stripe."""
    hsv = np.asarray(Image.fromarray(pixels).convert("HSV")).astype(np.int64) * bins // 256
    counts = []
    for stripe in np.array_split(hsv, stripes):
        hue, saturation, brightness = stripe.reshape(-1, 3).T
        counts.append(np.bincount(hue * bins + saturation, minlength=bins * bins))
        counts.append(np.bincount(brightness, minlength=bins))
    return np.sqrt(np.concatenate(counts))
