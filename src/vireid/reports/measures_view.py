"""A plot of what the stages of a run have measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vireid.errors import VireidError
from vireid.files.whole import write_whole
from vireid.learning import history
from vireid.learning.history import MEASURES, Measured
from vireid.reports.plots import as_png

COLOURS = ("#1a9850", "#66bd63", "#d73027", "#f46d43", "#4575b4", "#74add1")


def write(run: Path, out: Path) -> None:
    """Write a PNG with a line for each measure, over the stages.

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
    return history.read_measures(path)


def plot(lines: Sequence[Measured]) -> bytes:
    """Return a PNG of measures that are shares of 1."""
    return as_png(lambda figure: _plot_lines(figure.subplots(), lines), 8, 4)


def _plot_lines(axes: Any, lines: Sequence[Measured]) -> None:
    names = list(dict.fromkeys(name for line in lines for name in line.figures))
    for number, name in enumerate(names):
        found = [line.figures.get(name) for line in lines]
        values = [float("nan") if each is None else 100 * each for each in found]
        colour = COLOURS[number % len(COLOURS)]
        dashes = "--" if number % 2 else "-"
        axes.plot(values, dashes, marker="o", color=colour, label=name)
    axes.set_xticks(range(len(lines)), [f"{line.when} {line.stage}" for line in lines])
    axes.set(ylabel="%", ylim=(-2, 102))
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
