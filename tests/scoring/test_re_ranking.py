"""Re-ranking is what its authors published, for any number of pictures."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vireid.errors import VireidError
from vireid.scoring import re_ranking
from vireid.scoring.metrics import score_ranking
from vireid.scoring.re_ranking import KReciprocal, re_rank


def re_rank_by_loops(
    queries: np.ndarray, gallery: np.ndarray, parameters: KReciprocal
) -> np.ndarray:
    """The definition again, one picture at a time and with sets."""
    k1, k2, weight = parameters.k1, parameters.k2, parameters.weight
    pictures = np.concatenate([queries, gallery]).astype(np.float64)
    n = len(pictures)
    squared = [[float(((a - b) ** 2).sum()) for b in pictures] for a in pictures]
    d = [[cell / (max(row) or 1) for cell in row] for row in squared]

    def nearest(i: int) -> list[int]:
        return [i, *sorted(set(range(n)) - {i}, key=lambda j: (squared[i][j], j))]

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in nearest(i)[: k + 1] if i in nearest(j)[: k + 1]}

    encoded = np.zeros((n, n))
    for i in range(n):
        members = set(mine := reciprocal(i, k1))
        for j in mine:
            theirs = reciprocal(j, round(k1 / 2))
            if 3 * len(theirs & mine) > 2 * len(theirs):
                members |= theirs
        for j in members:
            encoded[i, j] = np.exp(-d[i][j])
    encoded /= encoded.sum(axis=1, keepdims=True)
    averaged = np.array([encoded[nearest(i)[:k2]].mean(axis=0) for i in range(n)])
    result = np.empty((len(queries), len(gallery)))
    for i in range(len(queries)):
        for place, j in enumerate(range(len(queries), n)):
            least = sum(min(a, b) for a, b in zip(averaged[i], averaged[j], strict=True))
            most = sum(max(a, b) for a, b in zip(averaged[i], averaged[j], strict=True))
            result[i, place] = (1 - weight) * (1 - least / most) + weight * d[i][j]
    return 1 - result


PARAMETERS = st.builds(
    KReciprocal,
    k1=st.integers(1, 12),
    k2=st.integers(1, 14),
    weight=st.sampled_from([0.0, 0.3, 1.0]),
)


@st.composite
def searches(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Small whole numbers: equal pictures and equal distances are common, and exact."""
    dim = draw(st.integers(1, 3))
    numbers = st.integers(-2, 2).map(float)
    shapes = (draw(st.integers(1, 9)), dim), (draw(st.integers(1, 9)), dim)
    queries, gallery = (draw(arrays.arrays(np.float32, s, elements=numbers)) for s in shapes)
    return queries, gallery


@settings(max_examples=150)
@given(searches(), PARAMETERS)
def test_it_equals_the_definition_written_as_loops(
    search: tuple[np.ndarray, np.ndarray], parameters: KReciprocal
) -> None:
    found = re_rank(*search, parameters=parameters)
    np.testing.assert_allclose(found, re_rank_by_loops(*search, parameters), atol=2e-6)


def unit_vectors(people: int, images_each: int, dim: int = 24, seed: int = 0) -> np.ndarray:
    """Pictures of a person lie near one another; nobody's are together."""
    rng = np.random.default_rng(seed)
    vectors = np.tile(rng.standard_normal((people, dim)), (images_each, 1))
    vectors += rng.standard_normal(vectors.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def test_it_equals_the_definition_on_unit_vectors_with_the_parameters_of_the_paper() -> None:
    vectors = unit_vectors(8, 9)
    queries, gallery = vectors[:50], vectors[50:]
    expected = re_rank_by_loops(queries, gallery, KReciprocal())
    np.testing.assert_allclose(re_rank(queries, gallery), expected, atol=2e-6)


def test_how_the_work_is_divided_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = unit_vectors(8, 9)
    queries, gallery = vectors[:50], vectors[50:]
    whole = re_rank(queries, gallery)
    for cells in (1, 100, 1000):
        monkeypatch.setattr(re_ranking, "_CELLS_AT_A_TIME", cells)
        np.testing.assert_allclose(re_rank(queries, gallery), whole, atol=2e-6)


def test_what_is_hidden_from_a_query_is_not_there_for_it() -> None:
    """As if the gallery were another one, with all queries; other queries see it all."""
    vectors = unit_vectors(6, 10)
    queries, gallery = vectors[:40], vectors[40:]
    hidden = np.zeros((40, 20), bool)
    hidden[::2, 3:9] = True
    seen = ~hidden[0]
    similarity = re_rank(queries, gallery, hidden)
    whole, without = re_rank(queries, gallery), re_rank(queries, gallery[seen])
    np.testing.assert_allclose(similarity[1::2], whole[1::2], atol=2e-6)
    np.testing.assert_allclose(similarity[::2, seen], without[::2], atol=2e-6)
    assert (similarity[::2, ~seen] == -np.inf).all()
    assert not np.allclose(similarity[::2, seen], whole[::2, seen], atol=1e-3)


def test_a_query_that_may_see_nothing_is_given_nothing() -> None:
    vectors = unit_vectors(3, 4)
    hidden = np.zeros((6, 6), bool)
    hidden[2] = True
    similarity = re_rank(vectors[:6], vectors[6:], hidden)
    assert (similarity[2] == -np.inf).all()
    assert np.isfinite(np.delete(similarity, 2, axis=0)).all()


def test_it_helps_where_people_form_groups() -> None:
    vectors = unit_vectors(30, 8, dim=32)
    people = np.arange(240) % 30
    queries, gallery = slice(0, 120), slice(120, 240)

    def mean_ap(similarity: np.ndarray) -> float:
        return score_ranking(similarity, people[queries], people[gallery]).mean_ap

    plain = mean_ap(vectors[queries] @ vectors[gallery].T)
    re_ranked = re_rank(vectors[queries], vectors[gallery], parameters=KReciprocal(8, 3))
    assert 0.5 < plain < 0.95
    assert mean_ap(re_ranked) > plain + 0.02


def test_it_depends_on_all_queries_but_not_on_their_order_nor_on_that_of_the_gallery() -> None:
    vectors = unit_vectors(8, 9)
    queries, gallery = vectors[:50], vectors[50:]
    whole = re_rank(queries, gallery)
    rng = np.random.default_rng(0)
    q, g = rng.permutation(len(queries)), rng.permutation(len(gallery))
    shuffled = re_rank(queries[q], gallery[g])
    np.testing.assert_allclose(shuffled, whole[np.ix_(q, g)], atol=2e-6)
    assert not np.allclose(re_rank(queries[:25], gallery), whole[:25], atol=1e-3)


def test_inputs_are_not_changed() -> None:
    vectors = unit_vectors(4, 4)
    before = vectors.copy()
    hidden = np.zeros((8, 8), bool)
    for array in (vectors, hidden):
        array.flags.writeable = False
    re_rank(vectors[:8], vectors[8:], hidden)
    np.testing.assert_array_equal(vectors, before)
    assert not hidden.any()


def test_what_is_not_a_number_is_refused() -> None:
    vectors = unit_vectors(4, 4)
    vectors[3, 2] = np.nan
    with pytest.raises(VireidError, match="not numbers"):
        re_rank(vectors[:8], vectors[8:])


@pytest.mark.parametrize("wrong", [{"k1": 0}, {"k2": 0}, {"weight": -0.1}, {"weight": 1.1}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(VireidError, match="k1 and k2 are 1 or more, lambda is from 0 to 1"):
        KReciprocal(**wrong)  # type: ignore[arg-type]


def test_the_name_says_the_parameters() -> None:
    assert str(KReciprocal()) == "k-reciprocal k1=20 k2=6 lambda=0.3"


def test_it_needs_numpy_alone() -> None:
    script = "import sys, vireid.scoring.re_ranking; print({'torch', 'scipy'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert answer.stdout == "set()\n", answer.stderr
