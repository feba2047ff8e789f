"""Results side by side: the content of `scores.json`, and one table of comparable scores.

A file of results can hold any number of models, protocols and data sets. A result is replaced only
by another of the same model under the same protocol on the same pictures.

Two results stand in one column of a table if all that a score depends on, except for the model, is
the same for both: every field of the protocol with what is done at test time, the data set, the
group, its pictures, and the galleries drawn. The precision in which pictures are embedded belongs
to the model: whoever uses the model gets that score.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, combinations
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from rich import box
from rich.table import Table

from vireid.console import plain
from vireid.errors import VireidError
from vireid.files import documents
from vireid.files.atomic import write_whole
from vireid.models.opening import folder_of
from vireid.scoring import METRICS
from vireid.scoring.scores import ScoredModel, Scores
from vireid.scoring.tables import matched, precisions

FORMAT = 3
"""Format of `scores.json`."""
READ = (2, 3)
"""Formats that can be read; in 2 the group was called people."""
CONTROLS = "controls.json"
"""File of the scores of what learns nothing, beside those of a model."""
FEW = ("R1", "mAP")
"""Metrics shown where there are several columns."""


@dataclass(frozen=True)
class _File:
    scores: list[dict[str, Any]]


class ResultsError(VireidError):
    """Results that cannot be read, or cannot be compared."""


def read(path: Path) -> list[Scores]:
    """Return the results in a file.

    Raises:
        ResultsError: It is none, or another version's.
    """
    way_out = "move it away and score again with `vireid evaluate`"
    content = documents.read_json(path, _File, way_out, ResultsError, formats=READ)
    return [Scores.from_dict(each, path, ResultsError) for each in content.scores]


def find(source: str) -> list[Scores]:
    """Return the results of a file, or of a run, exported or shipped model that holds one.

    Raises:
        ResultsError: There are none.
    """
    folder = folder_of(source)
    path = folder / "scores.json" if folder.is_dir() else folder
    if not path.is_file():
        way_out = f"make them: vireid evaluate {source}" if folder.is_dir() else "check the name"
        raise ResultsError(f"there are no results in {path}; {way_out}")
    return read(path)


def found_in(sources: Sequence[str]) -> tuple[list[Scores], list[str]]:
    """Return the results of several sources, and remarks on runs and models that have none.

    Raises:
        ResultsError: A source is no file and no folder, or damaged.
    """
    found: list[Scores] = []
    missing: list[str] = []
    for source in sources:
        folder = folder_of(source)
        if folder.is_dir() and not (folder / "scores.json").exists():
            missing.append(f"{source} has no scores; make them: vireid evaluate {source}")
        else:
            found += find(source)
    return found, missing


def controls_of(sources: Sequence[str]) -> list[Scores]:
    """Return the scores of what learns nothing that stand beside results, each once.

    Raises:
        ResultsError: There are none.
    """
    folders = [folder_of(source) for source in sources]
    places = {folder if folder.is_dir() else folder.parent for folder in folders}
    found = {
        _identity(each): each
        for place in sorted(places)
        if (place / CONTROLS).exists()
        for each in read(place / CONTROLS)
    }
    if not found:
        raise ResultsError(
            f"no {CONTROLS} stands beside these results; make one: vireid evaluate MODEL --controls"
        )
    return list(found.values())


def of_protocols(results: Sequence[Scores], named: Sequence[str]) -> list[Scores]:
    """Return the results whose key holds one of some texts, such as `sysu/official all`.

    Raises:
        ResultsError: No result does.
    """
    kept = [each for each in results if not named or any(name in each.key for name in named)]
    if not kept:
        there = "; ".join(dict.fromkeys(each.key for each in results)) or "none"
        raise ResultsError(f"no result is of {' or '.join(named)}; there are {there}")
    return kept


def kept_in(path: Path) -> list[Scores]:
    """Return the results that new ones will stand beside; none where there is no file yet.

    Raises:
        ResultsError: There is a folder, or a file that holds no results, or another version's.
    """
    if path.is_dir():
        raise ResultsError(f"{path} is a folder; name a file in it, such as {path / 'scores.json'}")
    return read(path) if path.is_file() else []


def keep(results: Sequence[Scores], path: Path) -> None:
    """Add results to a file; the whole file is written, or nothing.

    Args:
        results: Results to add.
        path: A new file, or a file of results.

    Raises:
        ResultsError: There is a file that holds no results, or another version's.
    """
    kept = kept_in(path)
    told = {_identity(result): result for result in [*kept, *results]}
    content = {"format": FORMAT, "scores": [result.as_dict() for result in told.values()]}
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())


@dataclass(frozen=True)
class Comparison:
    """Results of some models, by column."""

    columns: Mapping[str, Scores]
    """One result of each column, by letter."""
    rows: Mapping[str, Mapping[str, Scores]]
    """Results of each model, by model and letter."""

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison for programs."""
        return {
            "columns": {
                letter: {"key": result.key, **result.column}
                for letter, result in self.columns.items()
            },
            "models": [
                {**asdict(next(iter(row.values())).model), "scores": _numbers(row)}
                for row in self.rows.values()
            ],
            "notes": self.notes,
        }

    @property
    def notes(self) -> list[str]:
        """Remarks that have to stand beside the numbers."""
        told = (self._matched(), self._differences(), self._learnt_from_few(), self._within_noise())
        return [*chain.from_iterable(told)]

    @property
    def precisions(self) -> str:
        """The precision in which the models were learnt and embedded."""
        models, names = self._models(), self.names()
        return precisions({names[row]: model for row, model in models.items()})

    def table(self, metrics: Sequence[str] = ()) -> Table:
        """Return a table in percent: a row per model, and for every column its metrics."""
        several = len(self.columns) > 1
        metrics = metrics or (FEW if several else METRICS)
        told = ["percent, mean ± standard deviation over the trials", self.precisions, *self.notes]
        titles = [f"{letter}  {r.key}" for letter, r in self.columns.items()]
        shown = Table(
            title=plain(*(titles if several else (titles[0][3:],)), style="table.title"),
            title_justify="left" if several else "center",
            caption=plain(*told, style="table.caption"),
            caption_justify="left",
            box=box.SIMPLE_HEAD,
            padding=0,
        )
        shown.add_column("model")
        for letter in self.columns:
            for metric in metrics:
                head = f"{letter} {metric}" if several else metric
                shown.add_column(head, justify="right", no_wrap=True)
        for model, name in self.names().items():
            cells = (_cell(self.rows[model].get(c), m) for c in self.columns for m in metrics)
            shown.add_row(plain(name), *cells)
        return shown

    def names(self) -> dict[str, str]:
        """Return the shortest name of each model that no other has."""
        offered = {row: _names_of(model) for row, model in self._models().items()}
        taken = Counter(name for names in offered.values() for name in names)
        return {
            row: next((name for name in names if taken[name] == 1), names[-1])
            for row, names in offered.items()
        }

    def _models(self) -> dict[str, ScoredModel]:
        return {row: next(iter(of.values())).model for row, of in self.rows.items()}

    def _matched(self) -> Iterator[str]:
        """Yield remarks on columns in which some queries have no match."""
        for letter, result in self.columns.items():
            if told := matched(result):
                yield f"{letter}: {told}" if len(self.columns) > 1 else told

    def _differences(self) -> Iterator[str]:
        """Yield what keeps two columns apart, where their titles do not say it."""
        for (a, one), (b, other) in combinations(self.columns.items(), 2):
            if one.key == other.key:
                told = "; ".join(differences(one, other))
                yield f"{a} and {b} do not compare: {told}"

    def _learnt_from_few(self) -> Iterator[str]:
        for model, name in self.names().items():
            training = next(iter(self.rows[model].values())).model.training
            if training and training.learnt_from == "train":
                yield f"{name} has learnt from {training} only"

    def _within_noise(self) -> Iterator[str]:
        """Yield differences from the best that another draw of galleries could reverse."""
        names = self.names()
        for letter in self.columns:
            scored = {m: row[letter] for m, row in self.rows.items() if letter in row}
            for metric in FEW:
                best = max(scored, key=lambda model: scored[model].mean[metric])
                for model in scored.keys() - {best}:
                    error = _error_of_difference(scored[best], scored[model], metric)
                    gap = scored[best].mean[metric] - scored[model].mean[metric]
                    if error is not None and gap < error:
                        where = f"{letter} {metric}" if len(self.columns) > 1 else metric
                        yield (
                            f"{where}: {names[best]} and {names[model]} differ by {100 * gap:.1f}, "
                            f"less than the error of drawing galleries, {100 * error:.1f}"
                        )


def compare(results: Sequence[Scores]) -> Comparison:
    """Arrange results: a row per model, a column for results that can be compared.

    Raises:
        ResultsError: There is no result.
    """
    if not results:
        raise ResultsError("there are no results to compare")
    columns: dict[str, Scores] = {}
    rows: dict[str, dict[str, Scores]] = {}
    for result in results:
        same = (letter for letter, other in columns.items() if other.column == result.column)
        letter = next(same, None) or _letter(len(columns))
        columns.setdefault(letter, result)
        rows.setdefault(_model_of(result), {})[letter] = result
    return Comparison(columns, rows)


def sort(comparison: Comparison, by: str) -> Comparison:
    """Sort the models, the best one first.

    Args:
        comparison: Comparison to sort.
        by: A metric in the first column, or one in another column, as in `B mAP`.

    Raises:
        ResultsError: There is no such column or metric.
    """
    letter, _, metric = by.rpartition(" ")
    letter = letter or next(iter(comparison.columns))
    if letter not in comparison.columns or metric not in METRICS:
        raise ResultsError(
            f"cannot sort by '{by}'; give one of {', '.join(METRICS)}, with a column before it "
            f"({', '.join(comparison.columns)}) if it is not the first"
        )

    def score(model: str) -> float:
        result = comparison.rows[model].get(letter)
        return -math.inf if result is None else result.mean[metric]

    best_first = sorted(comparison.rows, key=score, reverse=True)
    return Comparison(comparison.columns, {model: comparison.rows[model] for model in best_first})


def check_one_column(comparison: Comparison) -> None:
    """Refuse results of different protocols, data sets or pictures.

    Raises:
        ResultsError: There are; the message names what differs.
    """
    first, *others = comparison.columns.values()
    told = [f"{r.key}: {'; '.join(differences(first, r))}" for r in others]
    if told:
        raise ResultsError(f"these do not belong into one column with {first.key}:", listed=told)


def differences(one: Scores, other: Scores) -> list[str]:
    """Return what keeps two results out of one column, each with both values."""
    a, b = one.column, other.column
    names = dict.fromkeys([*a, *b])
    return [f"{n} is {a.get(n)}, and {b.get(n)}" for n in names if a.get(n) != b.get(n)]


def _model_of(result: Scores) -> str:
    """Return a model's name with what tells it from others of that name."""
    return f"{result.model.name} {result.model.fingerprint} {result.model.precision}"


def _names_of(model: ScoredModel) -> tuple[str, str, str]:
    """Return a model's name, and longer ones that tell it from others of that name."""
    with_fingerprint = f"{model.name} {model.fingerprint[:8]}"
    return model.name, with_fingerprint, f"{with_fingerprint} {model.precision}"


def _identity(result: Scores) -> str:
    return json.dumps([_model_of(result), result.column], sort_keys=True)


def _letter(number: int) -> str:
    """Return the name of a column: A, B, .. Z, AA, AB, .."""
    more, last = divmod(number, len(ascii_uppercase))
    return (_letter(more - 1) if more else "") + ascii_uppercase[last]


def _numbers(row: Mapping[str, Scores]) -> dict[str, Any]:
    return {
        letter: {"mean": r.mean, "sd": r.sd, "trials": len(r.trials)} for letter, r in row.items()
    }


def _cell(result: Scores | None, metric: str) -> str:
    if result is None:
        return "-"
    sd = result.sd
    mean = f"{100 * result.mean[metric]:.1f}"
    return mean if sd is None else f"{mean}±{100 * sd[metric]:.1f}"


def _error_of_difference(one: Scores, other: Scores, metric: str) -> float | None:
    errors = one.draw_error(metric), other.draw_error(metric)
    return None if None in errors else math.hypot(*(error or 0.0 for error in errors))
