"""Whether one row of a comparison beats another: seeds as one row, intervals, tests.

`statistics` has the formulas. Two rows are compared in a column where both have scored each query.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations, takewhile
from statistics import fmean, stdev
from typing import Any

import numpy as np
from jaxtyping import Float
from rich import box
from rich.table import Table

from vireid.console import plain
from vireid.scoring import METRICS, statistics
from vireid.scoring.results import FEW, Comparison
from vireid.scoring.scores import QueryScores, Scores
from vireid.scoring.statistics import Sums

LEVEL = 0.05
"""Largest corrected p-value, and share outside of an interval, of a difference that is settled."""


@dataclass(frozen=True)
class Row:
    """A row: one model, or the seeds of one recipe."""

    name: str
    scores: Mapping[str, tuple[Scores, ...]]
    """Scores of the seeds, by column."""

    def cell(self, column: str, metric: str, *, spread: bool = True) -> str:
        """Return a mean in percent, with the deviation over seeds where there are several."""
        values = self.values(column, metric)
        if not values:
            return "-"
        mean = f"{100 * fmean(values):.1f}"
        return f"{mean}±{100 * stdev(values):.1f}" if spread and len(values) > 1 else mean

    def values(self, column: str, metric: str) -> list[float]:
        """Return the scores of the seeds, as fractions of 1."""
        return [each.mean[metric] for each in self.scores.get(column, ())]


@dataclass(frozen=True)
class Difference:
    """How far two rows are apart, and whether that is more than chance."""

    column: str
    metric: str
    one: str
    other: str
    difference: float
    """Score of the one less that of the other, as a fraction of 1."""
    interval: tuple[float, float] | None
    """95 % interval over people, and over seeds where both have several; None for one person."""
    p: float
    """Of a permutation test over queries."""
    corrected: float
    """The same, corrected by Holm's method for all pairs and metrics of the column."""
    queries: int
    people: int
    seeds: tuple[int, int]

    @property
    def settled(self) -> bool:
        """Whether the interval leaves 0 out and the corrected p-value is small."""
        apart = self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]
        return apart and self.corrected <= LEVEL

    @property
    def verdict(self) -> str:
        """What can be said, in words."""
        if not self.settled:
            return "not settled"
        better = self.one if self.difference > 0 else self.other
        return f"{better} is better" + ("" if min(self.seeds) > 1 else ", as trained")

    def as_dict(self) -> dict[str, Any]:
        """Return the difference for programs."""
        return {**asdict(self), "settled": self.settled}


@dataclass(frozen=True)
class Settled:
    """A comparison with seeds as rows, and the differences of all pairs of rows."""

    comparison: Comparison
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    missing: tuple[str, ...] = ()
    """Remarks on runs that have no scores."""

    @property
    def has_seeds(self) -> bool:
        """Whether any row has several seeds."""
        return any(len(each) > 1 for row in self.rows for each in row.scores.values())

    @property
    def notes(self) -> list[str]:
        """Remarks that have to stand beside the numbers."""
        lone = [row.name for row in self.rows if max(map(len, row.scores.values())) == 1]
        told = []
        if self.has_seeds and lone:
            told.append(f"one seed only: {', '.join(lone)}; no spread over seeds is known")
        elif self.differences and lone:
            told.append("one seed each: trained again, rows may differ more than intervals say")
        if unknown := [row.name for row in self.rows if not _knows_queries(row)]:
            told.append(
                f"scored by an earlier vireid, without each query: {', '.join(unknown)}; score "
                "again with `vireid evaluate` to have differences tested"
            )
        return [*told, *self.missing]

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison for programs."""
        return {
            **self.comparison.as_dict(),
            "rows": [
                {
                    "name": row.name,
                    "scores": {
                        column: {
                            "seeds": [_seed(each) for each in scores],
                            "mean": {m: fmean(row.values(column, m)) for m in METRICS},
                            "sd": {m: stdev(row.values(column, m)) for m in METRICS}
                            if len(scores) > 1
                            else None,
                        }
                        for column, scores in row.scores.items()
                    },
                }
                for row in self.rows
            ],
            "differences": [difference.as_dict() for difference in self.differences],
            "notes": [*self.comparison.notes, *self.notes],
        }

    def grid(self, metrics: Sequence[str] = (), *, spread: bool = True) -> list[list[str]]:
        """Return the table of scores, its heading first."""
        columns = list(self.comparison.columns)
        metrics = metrics or (FEW if len(columns) > 1 else METRICS)
        heads = [f"{c} {m}" if len(columns) > 1 else m for c in columns for m in metrics]
        lines = [["model", "seeds", *heads]]
        for row in self.rows:
            cells = [row.cell(c, m, spread=spread) for c in columns for m in metrics]
            lines.append([row.name, str(max(map(len, row.scores.values()))), *cells])
        return lines

    def grid_of_differences(self) -> list[list[str]]:
        """Return the table of differences, its heading first; without rows where there are none."""
        several = len(self.comparison.columns) > 1
        lines = [["one", "other", "metric", "difference", "95 % interval", "p", "Holm", "verdict"]]
        for each in self.differences:
            metric = f"{each.column} {each.metric}" if several else each.metric
            ends = each.interval
            span = f"{100 * ends[0]:+.1f} to {100 * ends[1]:+.1f}" if ends else "one person"
            cells = (f"{100 * each.difference:+.1f}", span, _p(each.p), _p(each.corrected))
            lines.append([each.one, each.other, metric, *cells, each.verdict])
        return lines

    def tables(self, metrics: Sequence[str] = ()) -> list[Table]:
        """Return the tables for people: scores, then differences."""
        shown = [self._with_seeds(metrics) if self.has_seeds else self.comparison.table(metrics)]
        if self.differences:
            shown.append(self._of_differences())
        return shown

    def _with_seeds(self, metrics: Sequence[str]) -> Table:
        keys = self.comparison.columns.items()
        title = [f"{c}  {r.key}" if len(keys) > 1 else r.key for c, r in keys]
        told = [
            "percent, mean ± standard deviation over seeds, each seed's mean over trials",
            self.comparison.precisions,
            *self.comparison.notes,
        ]
        return _as_table(self.grid(metrics), title, told, words=1)

    def _of_differences(self) -> Table:
        pairs = {(each.queries, each.people) for each in self.differences}
        counted = " or ".join(f"{q:,} queries of {p} people" for q, p in sorted(pairs))
        told = [
            f"points; intervals over people (bootstrap), p over {counted} (permutation test), "
            "corrected for the number of pairs (Holm)",
        ]
        return _as_table(self.grid_of_differences(), ["Differences"], told, words=2)


def settle(comparison: Comparison, missing: Sequence[str] = ()) -> Settled:
    """Group seeds of one recipe, and test the differences of all pairs of rows.

    Args:
        comparison: Results by model and column.
        missing: Remarks on runs that have no scores.
    """
    rows = _rows(comparison)
    differences = [each for column in comparison.columns for each in _differences_in(column, rows)]
    return Settled(comparison, tuple(rows), tuple(differences), tuple(missing))


def _rows(comparison: Comparison) -> list[Row]:
    names = comparison.names()
    found = []
    for keys in _seeds_of_recipes(comparison):
        columns = [c for c in comparison.columns if any(c in comparison.rows[k] for k in keys)]
        scores = {
            c: tuple(comparison.rows[k][c] for k in keys if c in comparison.rows[k])
            for c in columns
        }
        found.append(Row(_name([names[key] for key in keys]), scores))
    taken = [row.name for row in found]
    return [
        replace(row, name=f"{row.name} ({number})") if taken.count(row.name) > 1 else row
        for number, row in enumerate(found, 1)
    ]


def _seeds_of_recipes(comparison: Comparison) -> Iterator[list[str]]:
    """Yield the models that are the seeds of one recipe together, every other one alone."""
    groups: dict[str, list[str]] = {}
    for key, of in comparison.rows.items():
        groups.setdefault(_group(key, next(iter(of.values()))), []).append(key)
    for keys in groups.values():
        training = [next(iter(comparison.rows[key].values())).model.training for key in keys]
        if len({each and each.seed for each in training}) == len(keys):
            yield keys
        else:  # copies, or what was made of one run: no seeds to take the mean of
            yield from ([key] for key in keys)


def _group(key: str, scores: Scores) -> str:
    """Return what the seeds of one recipe share; for any other model its own key."""
    model = scores.model
    if model.training is None or model.training.recipe is None:
        return key
    about = (model.training.recipe, model.learnt_on, model.training.learnt_from, model.precision)
    return " ".join(map(str, about))


def _name(names: Sequence[str]) -> str:
    """Return what names have in common, without what numbers they end in."""
    if len(names) == 1:
        return names[0]
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    common = "".join(letters[0] for letters in same).rstrip("0123456789").rstrip("-_ ")
    return common.removesuffix("seed").rstrip("-_ ") or names[0]


def _knows_queries(row: Row) -> bool:
    return all(each.queries is not None for of in row.scores.values() for each in of)


def _differences_in(column: str, rows: Sequence[Row]) -> Iterator[Difference]:
    known = [row for row in rows if row.scores.get(column) and _knows_queries(row)]
    found = [
        _difference(column, metric, *pair) for pair in combinations(known, 2) for metric in FEW
    ]
    told = [each for each in found if each]
    corrected = statistics.holm([each.p for each in told])
    yield from (replace(e, corrected=p) for e, p in zip(told, corrected, strict=True))


def _difference(column: str, metric: str, one: Row, other: Row) -> Difference | None:
    """Return the difference of two rows; None where their queries are not the same."""
    of_one, of_other = (_queries(row.scores[column]) for row in (one, other))
    people, weights = of_one[0].identities(), of_one[0].weights()
    for queries in (*of_one, *of_other):
        if not np.array_equal(queries.identities(), people):
            return None
    first, second = (_sums(of, metric) for of in (of_one, of_other))
    apart = _mean(of_one, metric) - _mean(of_other, metric)
    return Difference(
        column=column,
        metric=metric,
        one=one.name,
        other=other.name,
        difference=float(first.means.mean() - second.means.mean()),
        interval=statistics.interval_of_difference(first, second),
        p=(p := statistics.permutation_p(apart, weights)),
        corrected=p,
        queries=len(people),
        people=len(np.unique(people)),
        seeds=(len(of_one), len(of_other)),
    )


def _queries(scores: Sequence[Scores]) -> list[QueryScores]:
    return [each.queries for each in scores if each.queries is not None]


def _sums(of_seeds: Sequence[QueryScores], metric: str) -> Sums:
    first = of_seeds[0]
    values = [queries.values(metric) for queries in of_seeds]
    return statistics.by_person(values, first.weights(), first.identities())


def _mean(of_seeds: Sequence[QueryScores], metric: str) -> Float[np.ndarray, " q"]:
    return np.asarray(np.mean([queries.values(metric) for queries in of_seeds], axis=0))


def _seed(scores: Scores) -> dict[str, Any]:
    training = scores.model.training
    return {"model": scores.model.fingerprint, "seed": training and training.seed}


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _as_table(
    grid: Sequence[Sequence[str]], title: Sequence[str], told: Sequence[str], words: int
) -> Table:
    shown = Table(
        title=plain(*title, style="table.title"),
        title_justify="left",
        caption=plain(*told, style="table.caption"),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    for place, heading in enumerate(grid[0]):
        is_number = place >= words and heading != "verdict"
        shown.add_column(heading, justify="right" if is_number else "left", no_wrap=is_number)
    for line in grid[1:]:
        shown.add_row(*map(plain, line))
    return shown
