"""Plots of reliability: do chances come true, and how well do similarities tell people apart?"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vireid.reports.plots import as_png
from vireid.scoring.reliability import Curve, Reliability

COLOURS = {"pairs": "#4575b4", "hits": "#d73027", "nobody": "#1a9850"}
NAMES = {"pairs": "pairs", "hits": "ten best hits", "nobody": "nobody is the person"}


def plot(found: Sequence[Reliability]) -> bytes:
    """Return a PNG with the reliability curves and the DET curves of each direction."""
    whole = [each for each in found if each.camera is None]
    return as_png(lambda figure: _plot(figure, whole, found), 11, 4.6 * len(whole))


def _plot(figure: Any, whole: Sequence[Reliability], found: Sequence[Reliability]) -> None:
    parts = figure.subplots(len(whole), 2, squeeze=False)
    for (left, right), each in zip(parts, whole, strict=True):
        _plot_reliability(left, each)
        of_direction = [one for one in found if one.direction == each.direction]
        _plot_det(right, of_direction)


def _plot_reliability(axes: Any, each: Reliability) -> None:
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    curves: dict[str, Curve | None] = {
        "pairs": each.pairs,
        "hits": each.hits,
        "nobody": each.nobody,
    }
    for name, curve in curves.items():
        if curve:
            label = f"{NAMES[name]}, ECE {100 * curve.error:.1f} %"
            axes.plot(curve.chance, curve.share, "-", color=COLOURS[name], linewidth=1)
            sizes = 15 + 150 * np.sqrt(curve.weight)
            axes.scatter(curve.chance, curve.share, s=sizes, color=COLOURS[name], label=label)
    if not any(curves.values()):
        axes.text(0.5, 0.5, "not calibrated", ha="center", color="0.4")
    else:
        axes.legend(frameon=False, loc="upper left")
    axes.set(
        title=each.direction,
        xlabel="chance that was given",
        ylabel="share that came true",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
    )


def _plot_det(axes: Any, found: Sequence[Reliability]) -> None:
    for each in found:
        style = {"linewidth": 2.2, "color": "black"} if each.camera is None else {"linewidth": 1}
        x, y = np.array(each.false_match), np.array(each.false_non_match)
        drawn = x > 0
        axes.plot(x[drawn], y[drawn], label=each.camera or "all cameras", **style)
    axes.set(
        title="detection error trade-off, by camera of the query",
        xlabel="false matches (FMR)",
        ylabel="missed matches (FNMR)",
        xscale="log",
        xlim=(1e-4, 1),
        ylim=(0, 1),
    )
    ticks = (1e-4, 1e-3, 1e-2, 0.1, 1)
    axes.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
