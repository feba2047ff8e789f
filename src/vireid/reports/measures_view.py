"""A plot of what the stages of a run have measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vireid.errors import VireidError
from vireid.files.atomic import write_whole
from vireid.learning import training_history
from vireid.learning.training_history import MEASURES, Measured
from vireid.reports.plots import as_png

COLOURS = ("#1a9850", "#66bd63", "#d73027", "#f46d43", "#4575b4", "#74add1")
MARKERS = "o^s"
"""Marks of the points; the next where all colours have been used."""
COLUMNS = 2
"""Plots beside one another."""
MOST_TICKS = 12
"""Names below a plot that stand beside one another without touching."""


def write(run: Path, out: Path) -> None:
    """Write a PNG with a line for each measure, over stages and epochs.

    Args:
        run: Folder of a run, finished or not.
        out: PNG file to write.

    Raises:
        VireidError: Nothing has been measured there.
    """
    write_whole(out, plot(measured(run)))


def measured(run: Path) -> list[Measured]:
    """Return what the stages of a run have measured, in order.

    Raises:
        VireidError: There is no such file, or it is damaged.
    """
    path = run / MEASURES
    if not path.exists():
        raise VireidError(
            f"there is no {path}: the first stage has not begun, or the method measures nothing"
        )
    return training_history.read_measures(path)


def plot(lines: Sequence[Measured]) -> bytes:
    """Return a PNG of all measures.

    A measure called `plot/line` is in the plot of that name, on a scale of its own from zero; the
    others are shares of 1 and in one plot, in percent.
    """
    plots = _plots(lines)
    columns = min(len(plots), COLUMNS)
    rows = -(-len(plots) // columns)
    size = (8, 4) if columns == 1 else (6.5 * columns, 0.5 + 2.6 * rows)
    return as_png(lambda figure: _plot(figure, plots, lines), *size)


def _plots(lines: Sequence[Measured]) -> dict[str, list[str]]:
    """Return the names of the measures of each plot, by its title; shares have none."""
    plots: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for line in lines for name in line.figures):
        title, slash, _ = name.partition("/")
        plots.setdefault(title if slash else "", []).append(name)
    return plots


def _plot(figure: Any, plots: dict[str, list[str]], lines: Sequence[Measured]) -> None:
    columns = min(len(plots), COLUMNS)
    places = figure.subplots(-(-len(plots) // columns), columns, squeeze=False).flatten()
    for axes, (title, names) in zip(places, plots.items(), strict=False):
        _plot_lines(axes, names, lines, factor=1 if title else 100)
        axes.set(title=title) if title else axes.set(ylabel="%", ylim=(-2, 102))
        _name_places(axes, lines)
    for axes in places[len(plots) :]:
        axes.remove()


def _name_places(axes: Any, lines: Sequence[Measured]) -> None:
    """Name the places on the axis: numbers of epochs where there is one stage with several."""
    is_by_epoch = any(line.when == "during" for line in lines)
    is_one_stage = len({line.stage_number for line in lines}) == 1
    every = -(-len(lines) // MOST_TICKS)
    shown = range(0, len(lines), every)
    axes.set_xticks(
        shown,
        [
            str(line.epoch)
            if line.when == "during" or (is_by_epoch and is_one_stage)
            else f"{line.when} {line.stage}"
            for line in (lines[place] for place in shown)
        ],
    )
    if is_by_epoch:
        axes.set_xlabel("epoch")


def _plot_lines(axes: Any, names: Sequence[str], lines: Sequence[Measured], factor: float) -> None:
    for number, name in enumerate(names):
        found = [line.figures.get(name) for line in lines]
        values = [float("nan") if each is None else factor * each for each in found]
        colour = COLOURS[number % len(COLOURS)]
        dashes = "--" if number % 2 else "-"
        label = name.partition("/")[2] or name
        marker = MARKERS[number // len(COLOURS) % len(MARKERS)]
        axes.plot(values, dashes, marker=marker, markersize=4, color=colour, label=label)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]) if _has_negatives(names, lines) else 0)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))


def _has_negatives(names: Sequence[str], lines: Sequence[Measured]) -> bool:
    return any((line.figures.get(name) or 0) < 0 for line in lines for name in names)
