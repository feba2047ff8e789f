"""Occlusion finds the place that a similarity rests on, and nothing elsewhere."""

import numpy as np

from vireid.models.card import ModelCard
from vireid.models.embedder import Embedder
from vireid.models.occlusion import COLUMNS, ROWS, places_alike
from vireid.records import Modality
from vireid.types.arrays import Pictures, Vectors

HEIGHT, WIDTH = 8 * ROWS, 8 * COLUMNS


def sees_a_bag(pictures: Pictures, _: Modality) -> Vectors:
    """Embed pictures by how bright they are where a bag is, which is one place alone."""
    bright = pictures[:, 16:24, 24:32].mean(axis=(1, 2, 3)) / 255
    return np.column_stack([bright, np.sqrt(1 - bright**2)]).astype(np.float32)


def test_the_place_that_counts_is_found() -> None:
    card = ModelCard("toy", "toy", "0" * 16, "float32", HEIGHT, WIDTH, 2)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[16:24, 24:32] = 255  # the bag: third place down, the last across
    other = np.array([1, 0], np.float32)
    before = picture.copy()
    places = places_alike(Embedder(card, sees_a_bag), picture, Modality.VISIBLE, other)
    assert places.shape == (ROWS, COLUMNS)
    assert divmod(int(places.argmax()), COLUMNS) == (2, COLUMNS - 1)
    # A window covers half of each neighbouring place; what is farther off does not matter.
    assert places[1, COLUMNS - 1] > 0.3
    assert np.all(places[[0, 4, 5, 6, 7]] == 0)
    assert np.all(places[:, : COLUMNS - 2] == 0)
    assert np.array_equal(picture, before)
