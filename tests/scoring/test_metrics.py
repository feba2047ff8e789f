"""Rankings are scored as the published evaluations define it, ties and oddities included."""

import doctest
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vireid.errors import VireidError
from vireid.scoring import metrics
from vireid.scoring.metrics import CmcVariant, RankingScores, score_ranking


def score_by_loops(
    similarity: np.ndarray,
    query_identities: np.ndarray,
    gallery_identities: np.ndarray,
    hidden: np.ndarray,
    cmc: CmcVariant,
) -> RankingScores:
    """The definitions again, one query and one picture at a time."""
    valid, ranks, precisions, penalties = [], [], [], []
    for query, identity in enumerate(query_identities):
        seen = [g for g in range(len(gallery_identities)) if not hidden[query, g]]
        ranked = [gallery_identities[g] for g in sorted(seen, key=lambda g: -similarity[query, g])]
        places = [place for place, person in enumerate(ranked, start=1) if person == identity]
        if not places:
            continue
        valid.append(query)
        people_until_found = len(set(ranked[: places[0]]))
        ranks.append(people_until_found if cmc == "identity" else places[0])
        precisions.append(sum(nth / place for nth, place in enumerate(places, 1)) / len(places))
        penalties.append(len(places) / places[-1])
    if not ranks:
        raise VireidError("none of the queries has a match")
    length = len(set(gallery_identities)) if cmc == "identity" else len(gallery_identities)
    return RankingScores(
        cmc=np.array([np.mean([rank <= k for rank in ranks]) for k in range(1, length + 1)]),
        mean_ap=float(np.mean(precisions)),
        mean_inp=float(np.mean(penalties)),
        queries=len(query_identities),
        valid_queries=len(ranks),
        valid=np.array(valid),
        ranks=np.array(ranks),
        average_precisions=np.array(precisions),
        inverse_penalties=np.array(penalties),
    )


@st.composite
def rankings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, CmcVariant]:
    """Few people and few values, so that ties, strangers and people seen once are common."""
    queries, pictures = draw(st.integers(1, 8)), draw(st.integers(1, 15))
    people = st.integers(-3, draw(st.integers(-3, 4)))
    values = st.sampled_from([-np.inf, -1.0, -1e-45, -0.0, 0.0, 1e-45, 0.25, 0.3, 1.0, np.inf])
    return (
        draw(arrays.arrays(np.float32, (queries, pictures), elements=values)),
        draw(arrays.arrays(np.int64, queries, elements=people)),
        draw(arrays.arrays(np.int64, pictures, elements=people)),
        draw(arrays.arrays(np.bool_, (queries, pictures))),
        draw(st.sampled_from(["identity", "plain"])),
    )


@settings(max_examples=400, deadline=None)
@given(rankings())
def test_scores_equal_those_of_the_definitions_written_as_loops(
    ranking: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, CmcVariant],
) -> None:
    try:
        expected = score_by_loops(*ranking)
    except VireidError:
        with pytest.raises(VireidError, match="has a match"):
            score_ranking(*ranking)
        return
    scores = score_ranking(*ranking)
    np.testing.assert_allclose(scores.cmc, expected.cmc, rtol=0, atol=1e-12)
    assert scores.mean_ap == pytest.approx(expected.mean_ap, abs=1e-12)
    assert scores.mean_inp == pytest.approx(expected.mean_inp, abs=1e-12)
    assert (scores.queries, scores.valid_queries) == (expected.queries, expected.valid_queries)


def many_queries() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """More pairs than are worked on at a time; rounded, so that many similarities are equal."""
    generator = np.random.default_rng(0)
    similarity = generator.standard_normal((700, 450)).round(1).astype(np.float32)
    identities = generator.integers(0, 40, 700), generator.integers(5, 45, 450)
    return similarity, *identities, generator.random((700, 450)) < 0.2


@pytest.mark.parametrize("cmc", ["identity", "plain"])
def test_scores_do_not_depend_on_how_queries_are_divided(cmc: CmcVariant) -> None:
    ranking = many_queries()
    assert ranking[0].size > 2 * metrics._KEYS_AT_A_TIME
    scores, expected = score_ranking(*ranking, cmc), score_by_loops(*ranking, cmc)
    np.testing.assert_allclose(scores.cmc, expected.cmc, rtol=0, atol=1e-12)
    assert scores.mean_ap == pytest.approx(expected.mean_ap, abs=1e-12)
    assert scores.mean_inp == pytest.approx(expected.mean_inp, abs=1e-12)
    assert scores.valid_queries == expected.valid_queries < 700


def test_a_hand_made_example() -> None:
    """Three people; camera 2 is hidden from the first query; nobody is a match for the third."""
    gallery = np.array([1, 2, 2, 3, 1])
    similarity = np.array(
        [[0.9, 0.8, 0.7, 0.6, 0.5], [0.9, 0.1, 0.8, 0.7, 0.6], [0.5, 0.4, 0.3, 0.2, 0.1]],
        dtype=np.float32,
    )
    hidden = np.zeros((3, 5), dtype=bool)
    hidden[0, 0] = True
    scores = score_ranking(similarity, np.array([1, 2, 9]), gallery, hidden)
    # query 1 sees 2 2 3 1: identity rank 3, AP 1/4, INP 1/4
    # query 2 sees 1 2 3 1 2: identity rank 2, AP (1/2 + 2/5) / 2, INP 2/5
    assert scores.cmc.tolist() == [0, 0.5, 1]
    assert scores.mean_ap == pytest.approx((0.25 + 0.45) / 2)
    assert scores.mean_inp == pytest.approx((0.25 + 0.4) / 2)
    assert (scores.queries, scores.valid_queries) == (3, 2)


def test_a_curve_keeps_its_length_when_people_are_hidden() -> None:
    similarity = np.array([[0.9, 0.8, 0.7]], dtype=np.float32)
    hidden = np.array([[True, True, False]])
    scores = score_ranking(similarity, np.array([3]), np.array([1, 2, 3]), hidden)
    assert scores.cmc.tolist() == [1, 1, 1]
    assert scores.rank(1) == scores.rank(20) == 1


def test_identity_ranks_are_never_worse_and_equal_at_the_first() -> None:
    ranking = many_queries()
    people, pictures = score_ranking(*ranking, "identity"), score_ranking(*ranking, "plain")
    assert people.rank(1) == pictures.rank(1)
    assert (people.cmc >= pictures.cmc[: len(people.cmc)]).all()
    assert people.rank(5) > pictures.rank(5)


def test_equal_similarities_keep_the_order_of_the_gallery() -> None:
    similarity = np.zeros((1, 3), dtype=np.float32)
    similarity[0, 1] = -0.0
    first = score_ranking(similarity, np.array([1]), np.array([1, 2, 3]))
    last = score_ranking(similarity, np.array([3]), np.array([1, 2, 3]))
    assert first.mean_ap == 1
    assert last.mean_ap == pytest.approx(1 / 3)


def test_scores_do_not_depend_on_the_order_of_queries_nor_without_ties_of_the_gallery() -> None:
    _, queries, gallery, hidden = many_queries()
    generator = np.random.default_rng(1)
    similarity = generator.permuted(
        np.tile(np.arange(len(gallery), dtype=np.float32), (len(queries), 1)), axis=1
    )
    q, g = generator.permutation(len(queries)), generator.permutation(len(gallery))
    scores = score_ranking(similarity, queries, gallery, hidden)
    shuffled = score_ranking(similarity[q][:, g], queries[q], gallery[g], hidden[q][:, g])
    np.testing.assert_array_equal(scores.cmc, shuffled.cmc)
    assert scores.mean_ap == pytest.approx(shuffled.mean_ap, abs=1e-12)


def test_inputs_are_not_changed() -> None:
    ranking = many_queries()
    before = [array.copy() for array in ranking]
    for array in ranking:
        array.flags.writeable = False
    score_ranking(*ranking)
    for array, copy in zip(ranking, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_a_similarity_that_is_not_a_number_is_refused() -> None:
    similarity = np.array([[0.5, np.nan]], dtype=np.float32)
    with pytest.raises(VireidError, match=r"1 similarities are not numbers"):
        score_ranking(similarity, np.array([1]), np.array([1, 2]))


@pytest.mark.parametrize(("queries", "pictures"), [(0, 3), (3, 0)])
def test_nothing_to_rank_is_refused(queries: int, pictures: int) -> None:
    with pytest.raises(VireidError, match=r"there are no (queries|gallery pictures)"):
        score_ranking(
            np.zeros((queries, pictures), dtype=np.float32),
            np.zeros(queries, dtype=np.int64),
            np.zeros(pictures, dtype=np.int64),
        )


def test_queries_without_any_match_are_refused_together() -> None:
    with pytest.raises(VireidError, match="none of the 2 queries has a match among the 3 gallery"):
        score_ranking(np.zeros((2, 3), dtype=np.float32), np.array([1, 2]), np.array([3, 4, 5]))


def test_the_worked_examples_hold() -> None:
    assert doctest.testmod(metrics).attempted > 0
    assert doctest.testmod(metrics).failed == 0


def test_scoring_starts_without_torch() -> None:
    script = "import sys, vireid.scoring.evaluation, vireid.scoring.baselines; "
    script += "print({'torch', 'scipy'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert answer.stdout == "set()\n", answer.stderr
