"""Rows of changes to one recipe, each learnt with several seeds, scored, and put into one table.

A sweep is a TOML file:

    recipe = "mine.toml"        # beside this file, or the name of a recipe that vireid has
    seeds = [0, 1, 2]

    [rows."fixed mean"]                     # as many rows as wanted, in this order
    settings.generator = "mean"

    [rows."as the recipe says"]

    [rows."another method"]
    recipe = "agw_sysu"         # instead of the one above

It may name a `protocol`; by default it is the first variant of the data set's usual one. All runs
are in one folder, a folder for each row and in it one for each seed. What is there is not done
again, so the same command goes on after an interruption and after rows were added.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeGuard

from rich import box
from rich.table import Table

from vireid import datasets
from vireid import recipes as shipped
from vireid.console import plain, printable, remark
from vireid.errors import Interrupted, VireidError
from vireid.experiments import validation_curve
from vireid.files import documents
from vireid.files.atomic import write_whole
from vireid.learning.training import learn
from vireid.models import runs
from vireid.models.embedder import Embedder
from vireid.recipes import recipe as recipes
from vireid.recipes.recipe import Recipe
from vireid.reports.plots import as_png
from vireid.scoring import evaluation, named_protocols, results
from vireid.scoring.scores import Group, Scores

SHOWN = ("R1", "mAP", "mINP")
"""Metrics in the table; the JSON file holds all."""
PLOTTED = {"R1": "#1a9850", "mAP": "#4575b4"}
"""Colours of the metrics that are plotted."""
KEYS = {"recipe", "seeds", "rows", "protocol"}


class SweepError(VireidError):
    """A sweep that cannot be read, or whose runs do not fit together."""


@dataclass(frozen=True)
class Sweep:
    """The content of a sweep's file."""

    name: str
    recipes: Mapping[str, Path]
    """Recipe of each row."""
    seeds: tuple[int, ...]
    rows: Mapping[str, Mapping[str, Any]]
    """Changes to its recipe as nested tables, by the row's name."""
    protocol: str | None = None

    def folder_of(self, row: str, seed: int) -> Path:
        """Return the folder of a run, below the sweep's own."""
        return Path(_as_file_name(row)) / f"seed-{seed}"


@dataclass(frozen=True)
class Row:
    """One row of the table: a result for every seed that has finished."""

    name: str
    changes: Mapping[str, Any]
    results: Mapping[int, Scores]

    def values(self, metric: str) -> list[float]:
        """Return the means over the trials, one for each seed, as fractions of 1."""
        return [result.mean[metric] for result in self.results.values()]

    def cell(self, metric: str) -> str:
        """Return mean and, for several seeds, sample standard deviation, in percent."""
        values = [100 * value for value in self.values(metric)]
        if not values:
            return ""
        return f"{fmean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def read(path: Path) -> Sweep:
    """Return the sweep in a file.

    Raises:
        SweepError: Not TOML, no recipe, seeds or rows, or something it has no place for.
    """
    table = documents.read_toml(path, dict, recipes.WAY_OUT, SweepError)
    unknown = sorted(table.keys() - KEYS)
    if unknown:
        raise SweepError(f"{path} says '{unknown[0]}'; a sweep has {', '.join(sorted(KEYS))}")
    _check(path, table)
    return Sweep(
        name=path.stem,
        recipes={
            name: _recipe_of(path, row.get("recipe", table.get("recipe")))
            for name, row in table["rows"].items()
        },
        seeds=tuple(table["seeds"]),
        rows={
            name: {key: value for key, value in row.items() if key != "recipe"}
            for name, row in table["rows"].items()
        },
        protocol=table.get("protocol"),
    )


def run(
    sweep: Sweep, folder: Path, overrides: Sequence[str] = (), *, validate: bool = False
) -> list[Row]:
    """Learn and score the runs that are missing; write `table.md`, `table.json` and `plot.png`.

    All files are written anew after each run.

    Args:
        sweep: Rows and seeds.
        folder: Folder of all runs of the sweep.
        overrides: Settings `key=value` for every run; none that a row changes itself.
        validate: Learn without the validation people and score on them, to choose a setting.

    Raises:
        Interrupted: Ctrl-C; the run was saved, and the same call goes on with it.
        VireidError: A row makes no recipe or has its changes overridden, a run cannot be learnt or
            scored, or runs were scored on different pictures.
    """
    import matplotlib  # noqa: F401  or it would be missed after the first run only

    wanted = _recipes(sweep, overrides, validate=validate)
    found: dict[tuple[str, int], Scores] = {}
    for number, ((name, seed), recipe) in enumerate(wanted.items(), 1):
        place = folder / sweep.folder_of(name, seed)
        remark(f"{number}/{len(wanted)}  {name}, seed {seed}")
        try:
            found[name, seed] = _result(recipe, place, sweep.protocol, validate=validate)
        except Interrupted as stopped:
            raise Interrupted(f"{stopped}; the same sweep goes on") from stopped
        rows = _rows(sweep, found)
        _write(sweep, rows, folder)
    return rows


def table(rows: Sequence[Row]) -> Table:
    """Return the table for people, in percent."""
    shown = Table(
        title=plain(_title(rows), style="table.title"),
        caption=plain(_caption(rows), style="table.caption"),
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    shown.add_column("row")
    for metric in SHOWN:
        shown.add_column(metric, justify="right", no_wrap=True)
    shown.add_column("seeds", justify="right")
    for row in rows:
        cells = [row.cell(metric) for metric in SHOWN]
        shown.add_row(plain(row.name), *cells, str(len(row.results)))
    return shown


def _check(path: Path, table: Mapping[str, Any]) -> None:
    rows, seeds = table.get("rows"), table.get("seeds")
    own = [row.get("recipe") for row in rows.values()] if _are_tables(rows) else [None]
    if not all(isinstance(each or table.get("recipe"), str) for each in own):
        raise SweepError(f'{path} names no recipe, e.g. recipe = "mun_sysu.toml"')
    if not (isinstance(seeds, list) and seeds and all(type(seed) is int for seed in seeds)):
        raise SweepError(f"{path} has no list of seeds, e.g. seeds = [0, 1, 2]")
    if len(set(seeds)) < len(seeds):
        raise SweepError(f"{path} has a seed twice: {seeds}")
    if not _are_tables(rows):
        raise SweepError(f'{path} has no rows; one begins with [rows."its name"]')
    if not isinstance(table.get("protocol"), str | None):
        raise SweepError(f'{path}: protocol is no name, e.g. protocol = "sysu/official"')
    names = [_as_file_name(row) for row in rows]
    for row, name in zip(rows, names, strict=True):
        if not name or names.count(name) > 1:
            raise SweepError(
                f"{path}: the row '{row}' would have no folder of its own ('{name}'); rename it"
            )


def _are_tables(rows: object) -> TypeGuard[dict[str, dict[str, Any]]]:
    return isinstance(rows, dict) and bool(rows) and all(isinstance(r, dict) for r in rows.values())


def _recipe_of(path: Path, name: str) -> Path:
    try:
        return shipped.find(name, path.parent)
    except VireidError as error:
        raise SweepError(f"{path}: {error}") from error


def _as_file_name(row: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", row.lower()).strip("-")


def _recipes(
    sweep: Sweep, overrides: Sequence[str], *, validate: bool
) -> dict[tuple[str, int], Recipe]:
    """Return the recipe of every run; the first seed of all rows comes first."""
    left_out = ["data.learn_from=train"] if validate else []
    for row, changes in sweep.rows.items():
        _check_kept(row, changes, overrides)
    wanted: dict[tuple[str, int], Recipe] = {}
    for seed in sweep.seeds:
        for row, changes in sweep.rows.items():
            told = [*overrides, f"seed={seed}", *left_out]
            try:
                wanted[row, seed] = recipes.read(sweep.recipes[row], told, changes)
            except VireidError as error:
                raise SweepError(f"row '{row}': {error}") from error
    return wanted


def _check_kept(row: str, changes: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Check that no override replaces what a row is about."""
    own = recipes.differences({}, changes)
    for override in overrides:
        if (key := override.partition("=")[0].strip()) in own:
            raise SweepError(
                f"{override} would undo what the row '{row}' is about, which sets {key} itself; "
                "change it in the sweep or in its recipe"
            )


def _result(recipe: Recipe, folder: Path, protocol: str | None, *, validate: bool) -> Scores:
    """Return the scores of one run, which is learnt and scored as far as it is not yet."""
    data = datasets.read(recipe.data.dataset, recipe.data.root, recipe.data.trial)
    recipe = replace(recipe, data=replace(recipe.data, trial=data.trial))
    begun = (folder / "run.json").exists()
    if begun and runs.read_details(folder).finished:
        runs.check_same(folder, recipe)
    else:
        learn(recipe, folder, resume=begun, after_epoch=validation_curve.curve(recipe, folder))
    wanted = named_protocols.choose(data, protocol)[0]
    group: Group = "validation" if validate else "test"
    known = _known_result(folder, f"{data.name} {group}: {wanted.title}")
    if known:
        return known
    # Its code is that of the sweep's own recipe: `learn` or `check_same` has seen to it.
    embedder = Embedder.open(folder, trust_code=True)
    scores = evaluation.score(embedder, data, wanted, group=group)
    results.keep([scores], folder / "scores.json")
    return scores


def _known_result(folder: Path, key: str) -> Scores | None:
    path = folder / "scores.json"
    learnt = runs.read_details(folder).fingerprint
    for result in results.read(path) if path.exists() else []:
        if (result.model.fingerprint, result.key) == (learnt, key):
            return result
    return None


def _rows(sweep: Sweep, found: Mapping[tuple[str, int], Scores]) -> list[Row]:
    columns = {json.dumps(result.column, default=str) for result in found.values()}
    if len(columns) > 1:
        raise SweepError(
            "the runs were scored on different pictures or galleries, so they make no table; "
            "remove their scores.json and give the command again"
        )
    return [
        Row(name, changes, {s: found[name, s] for s in sweep.seeds if (name, s) in found})
        for name, changes in sweep.rows.items()
    ]


def _write(sweep: Sweep, rows: Sequence[Row], folder: Path) -> None:
    write_whole(folder / "table.md", _markdown(sweep, rows).encode())
    write_whole(
        folder / "table.json", (json.dumps(_as_dict(sweep, rows), indent=1) + "\n").encode()
    )
    write_whole(folder / "plot.png", plot(rows))


def _title(rows: Sequence[Row]) -> str:
    return next(r.key for row in rows for r in row.results.values())


def _caption(rows: Sequence[Row]) -> str:
    trials = next(len(r.trials) for row in rows for r in row.results.values())
    return (
        "percent, mean ± standard deviation over the seeds, where a seed counts with its mean "
        f"over {trials} trials"
    )


def _markdown(sweep: Sweep, rows: Sequence[Row]) -> str:
    heads = ["row", *SHOWN, "seeds"]
    lines = [f"# {sweep.name}", "", f"{_title(rows)}; {_caption(rows)}.", ""]
    lines += [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    for row in rows:
        cells = [
            printable(row.name),
            *(row.cell(metric) for metric in SHOWN),
            str(len(row.results)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _as_dict(sweep: Sweep, rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "sweep": sweep.name,
        "recipes": {row: path.name for row, path in sweep.recipes.items()},
        "scored on": _title(rows),
        "rows": [
            {"name": row.name, "changes": row.changes, "seeds": dict(_seeds(row))} for row in rows
        ],
    }


def _seeds(row: Row) -> Iterator[tuple[str, Any]]:
    for seed, result in row.results.items():
        yield str(seed), {"model": result.model.fingerprint, "mean": result.mean}


def plot(rows: Sequence[Row]) -> bytes:
    """Return a PNG of mean and standard deviation of every row, its seeds as small dots below."""
    return as_png(lambda figure: _plot(figure, rows), 9, 1.4 + 0.45 * len(rows))


def _plot(figure: Any, rows: Sequence[Row]) -> None:
    parts = figure.subplots(1, len(PLOTTED), sharey=True)
    for axes, (metric, colour) in zip(parts, PLOTTED.items(), strict=True):
        _plot_metric(axes, rows, metric, colour)
    figure.suptitle(printable(_title(rows)), fontsize=10)


def _plot_metric(axes: Any, rows: Sequence[Row], metric: str, colour: str) -> None:
    for place, row in enumerate(rows):
        values = [100 * value for value in row.values(metric)]
        if not values:
            continue
        spread = stdev(values) if len(values) > 1 else 0.0
        style = {"fmt": "o", "capsize": 4, "linewidth": 2, "markersize": 8}
        axes.errorbar(fmean(values), place, xerr=spread, color=colour, **style)
        axes.scatter(values, [place + 0.22] * len(values), s=12, color=colour, alpha=0.5)
    axes.grid(axis="x", alpha=0.3)
    axes.set_yticks(range(len(rows)), [printable(row.name) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"{metric}, %")
