"""Intervals and tests of `vireid compare`: time at SYSU-MM01's size, and how often they are right.

python benchmarks/differences.py [--runs 4000]
"""

import argparse
import time

import numpy as np

from vireid.scoring import statistics

PEOPLE, QUERIES = 96, 3803
"""Test people and queries of SYSU-MM01."""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--runs", type=int, default=4000)
    runs = asked.parse_args().runs
    time_at_full_size()
    for people in (20, 50, 96):
        print(f"coverage of 95 % intervals, {people} people: {coverage(people, runs):.3f}")
    print(f"rejected at 0.05 where one model was split in two: {rejected(runs):.3f}")


def time_at_full_size() -> None:
    generator = np.random.default_rng(0)
    people = np.sort(generator.integers(0, PEOPLE, QUERIES))
    one, other = generator.random(QUERIES), generator.random(QUERIES)
    weights = np.full(QUERIES, 10.0)
    begin = time.process_time()
    statistics.interval(statistics.by_person([one], weights, people))
    first = time.process_time()
    one_row, other_row = (statistics.by_person([v], weights, people) for v in (one, other))
    statistics.interval_of_difference(one_row, other_row)
    second = time.process_time()
    statistics.permutation_p(one - other, weights)
    third = time.process_time()
    print(f"{QUERIES:,} queries of {PEOPLE} people, {statistics.RESAMPLES:,} draws:")
    print(f"  interval {first - begin:.2f} s, of a difference {second - first:.2f} s, ", end="")
    print(f"permutation test {third - second:.2f} s of the processor")


def coverage(people: int, runs: int) -> float:
    """Return the share of intervals that hold the truth; queries of a person go together."""
    generator = np.random.default_rng(1)
    held = 0
    for run in range(runs):
        hardness = generator.beta(2, 2, people)
        numbers = np.repeat(np.arange(people), 1 + generator.integers(0, 40, people))
        values = (generator.random(len(numbers)) < hardness[numbers]).astype(float)
        sums = statistics.by_person([values], np.ones(len(values)), numbers)
        low, high = statistics.interval(sums, 1000, seed=run) or (0, 0)
        held += low <= 0.5 <= high
    return held / runs


def rejected(runs: int) -> float:
    """Return how often the permutation test rejects where nothing differs."""
    generator = np.random.default_rng(2)
    precisions = generator.beta(0.4, 0.8, (QUERIES // 2, 2))
    rows = np.arange(len(precisions))
    count = 0
    for run in range(runs):
        which = generator.integers(0, 2, len(precisions))
        apart = precisions[rows, which] - precisions[rows, 1 - which]
        count += statistics.permutation_p(apart, draws=400, seed=run) <= 0.05
    return count / runs


if __name__ == "__main__":
    main()
