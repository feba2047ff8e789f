"""Intervals hold the truth as often as they say, and tests reject as seldom as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vireid.scoring import statistics


def coverage(people: int, runs: int, resamples: int = 1000) -> float:
    """Share of 95 % intervals that hold the truth; queries of one person go together."""
    generator = np.random.default_rng(1)
    held = 0
    for run in range(runs):
        hardness = generator.beta(2, 2, people)
        numbers = np.repeat(np.arange(people), 1 + generator.integers(0, 20, people))
        values = (generator.random(len(numbers)) < hardness[numbers]).astype(float)
        sums = statistics.by_person([values], np.ones(len(values)), numbers)
        low, high = statistics.interval(sums, resamples, seed=run) or (0, 0)
        held += low <= 0.5 <= high
    return held / runs


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    assert 0.925 <= coverage(60, 400) <= 0.975  # benchmarks/differences.py: more runs


def test_the_permutation_test_rejects_at_its_level_when_one_model_is_split_in_two() -> None:
    """Each pair of queries of one model is given to two rows by chance, so they do not differ."""
    generator = np.random.default_rng(2)
    rejected = 0
    runs = 400
    precisions = generator.beta(0.4, 0.8, (300, 2))
    for run in range(runs):
        which = generator.integers(0, 2, 300)
        one, other = precisions[np.arange(300), which], precisions[np.arange(300), 1 - which]
        rejected += statistics.permutation_p(one - other, draws=400, seed=run) <= 0.05
    assert 0.02 <= rejected / runs <= 0.08


def test_a_real_difference_is_found() -> None:
    generator = np.random.default_rng(3)
    values = generator.random(400)
    better = np.clip(values + 0.05 + 0.1 * generator.standard_normal(400), 0, 1)
    assert statistics.permutation_p(better - values) < 0.001
    people = np.repeat(np.arange(40), 10)
    one, other = (statistics.by_person([v], np.ones(400), people) for v in (better, values))
    low, high = statistics.interval_of_difference(one, other) or (0, 0)
    assert 0 < low < 0.05 < high < 0.1


def test_seeds_widen_an_interval() -> None:
    generator = np.random.default_rng(4)
    people = np.repeat(np.arange(50), 4)
    values = generator.random(200)
    of_seeds = [values, values + 0.1, values - 0.1]
    one = statistics.interval(statistics.by_person([values], np.ones(200), people)) or (0, 0)
    several = statistics.interval(statistics.by_person(of_seeds, np.ones(200), people)) or (0, 0)
    assert several[1] - several[0] > 1.3 * (one[1] - one[0])


def test_one_person_has_no_interval() -> None:
    sums = statistics.by_person([np.ones(5)], np.ones(5), np.zeros(5, np.int64))
    assert statistics.interval(sums) is None
    assert statistics.interval_of_difference(sums, sums) is None


def test_quantiles_of_student_are_those_of_tables() -> None:
    for freedom, t in ((5, 2.571), (10, 2.228), (30, 2.042), (100, 1.984)):
        assert statistics.student(0.975, freedom) == pytest.approx(t, abs=0.003)


def test_holm_corrects_as_in_a_textbook() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_raises_every_p_and_keeps_their_order(p_values: list[float]) -> None:
    corrected = statistics.holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, corrected, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert list(np.array(corrected)[order]) == sorted(corrected)


def test_differences_of_nought_are_no_difference() -> None:
    assert statistics.permutation_p(np.zeros(10)) == 1.0
