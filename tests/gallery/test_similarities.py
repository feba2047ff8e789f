import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vireid.gallery.local import similarities
from vireid.gallery.local.similarities import best


class Held:
    """Vectors in memory."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors

    def __len__(self) -> int:
        return len(self.vectors)

    def part(self, start: int, stop: int) -> np.ndarray:
        return self.vectors[start:stop]

    def at(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.vectors[rows])


@given(
    vectors=arrays(np.float32, (60, 1), elements=st.sampled_from([-1, -0.5, 0, 0.5, 1])),
    top=st.integers(1, 70),
    most=st.sampled_from([16, 2**24]),
)
def test_the_highest_are_found_and_of_equal_ones_the_first(
    vectors: np.ndarray, top: int, most: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarities, "MOST_SCORES", most)
        patch.setattr(similarities, "HALF_ROWS", 8)
        patch.setattr(similarities, "SAMPLED", 4)
        scores, rows = best(Held(vectors), np.ones((2, 1), np.float32), top)
    expected = np.argsort(-vectors[:, 0], kind="stable")[:top]
    for row in rows:
        assert row.tolist() == expected.tolist()
    np.testing.assert_array_equal(scores[0], vectors[expected, 0])


@pytest.mark.parametrize("storage", ["float32", "float16"])
@pytest.mark.parametrize("queries", [1, 4, 5])
def test_what_is_found_is_what_a_product_of_matrices_finds(storage: str, queries: int) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((3000, 16)).astype(storage)
    asked = rng.standard_normal((queries, 16)).astype(np.float32)
    scores, rows = best(Held(vectors), asked, 20)
    products = asked.astype(storage).astype(float) @ vectors.astype(float).T
    expected = -np.sort(-products, axis=1)[:, :20]
    bound = 1e-5 if storage == "float32" else 2e-2
    np.testing.assert_allclose(scores, expected, atol=bound)
    np.testing.assert_allclose(np.take_along_axis(products, rows, 1), expected, atol=bound)
