"""Occlusion: the places of two pictures that make them similar, for any model.

A window of one picture is covered with the picture's mean colour, and the similarity to the other
picture is measured again. What the similarity loses is what the model saw there (Zeiler and
Fergus, "Visualizing and understanding convolutional networks", ECCV 2014). It takes no layer of the
network, so that runs, exported and shipped models are explained alike, and without torch.
"""

import numpy as np
from jaxtyping import Float

from vireid.models.embedder import Embedder
from vireid.records import Modality
from vireid.types.arrays import Pictures, Pixels, Vector

ROWS, COLUMNS = 8, 4
"""Number of places down and across a picture."""

Places = Float[np.ndarray, "rows columns"]


def places_alike(embedder: Embedder, picture: Pixels, modality: Modality, other: Vector) -> Places:
    """Return how much of a similarity each place of a picture accounts for.

    Args:
        embedder: Model that embeds the picture.
        picture: Picture of the model's size.
        modality: Spectrum of the picture.
        other: Unit vector of the other picture.

    Returns:
        What the similarity loses when a window around each place is covered; below zero where the
        pictures are more alike without it.
    """
    covered = np.concatenate([picture[None], _covered(picture)])
    similarities = embedder.embed_pixels(covered, modality) @ other
    return np.asarray(similarities[0] - similarities[1:]).reshape(ROWS, COLUMNS)


def _covered(picture: Pixels) -> Pictures:
    """Return the picture with a window covered, once for each place; neighbours overlap by half."""
    height, width = picture.shape[:2]
    colour = picture.mean(axis=(0, 1)).round().astype(np.uint8)
    found = np.repeat(picture[None], ROWS * COLUMNS, axis=0)
    for place, each in enumerate(found):
        row, column = divmod(place, COLUMNS)
        each[_window(row, ROWS, height), _window(column, COLUMNS, width)] = colour
    return found


def _window(place: int, places: int, pixels: int) -> slice:
    """Return the pixels of a place and of half a place on both sides of it."""
    each = pixels / places
    return slice(max(0, round((place - 0.5) * each)), round((place + 1.5) * each))
