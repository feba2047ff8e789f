"""The picture that `make demo` leaves behind: scores, learning curve, queries with their hits."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from vireid.reports import contact_sheet
from vireid.reports.plots import DPI, as_png
from vireid.scoring.scores import Scores

LEARNT, NOT_LEARNT = "#1a9850", "#8d99ae"


def write(
    scores: Sequence[Scores],
    losses: Mapping[str, Sequence[float]],
    sheets: Sequence[Image.Image],
    path: Path,
) -> None:
    """Write the report as a PNG: plots on top, contact sheets below."""
    width = max(sheet.width for sheet in sheets)
    parts = [plots(scores, losses, width), *sheets]
    report = Image.new("RGB", (width, sum(part.height for part in parts)), "white")
    top = 0
    for part in parts:
        report.paste(part, (0, top))
        top += part.height
    contact_sheet.save(report, path)


def plots(
    scores: Sequence[Scores], losses: Mapping[str, Sequence[float]], width: int
) -> Image.Image:
    """Return a plot of the scores beside the learning curve, as wide as asked for."""

    def plot(figure: Any) -> None:
        grid = figure.add_gridspec(1, 2, width_ratios=[3, 2])
        plot_scores(figure.add_subplot(grid[0]), scores)
        plot_losses(figure.add_subplot(grid[1]), losses)

    return Image.open(io.BytesIO(as_png(plot, width / DPI, 4.4))).convert("RGB")


def plot_scores(axes: Any, scores: Sequence[Scores]) -> None:
    """Plot a pair of bars for every row of the table, in percent."""
    rows = scores[::-1]
    for place, row in enumerate(rows):
        colour = LEARNT if "model" in row.model.name else NOT_LEARNT
        for offset, metric, alpha in ((0.2, "R1", 1.0), (-0.2, "mAP", 0.55)):
            value = 100 * row.mean[metric]
            axes.barh(place + offset, value, 0.38, color=colour, alpha=alpha)
            axes.text(value, place + offset, f" {metric} {value:.1f}", va="center", fontsize=10)
    axes.set_yticks(range(len(rows)), [row.model.name for row in rows])
    axes.set_xlim(0, 1.2 * max(100 * row.mean["R1"] for row in rows) + 5)
    axes.set_xlabel("%, infrared queries among visible pictures, people never seen before")


def plot_losses(axes: Any, losses: Mapping[str, Sequence[float]]) -> None:
    """Plot each named loss, epoch by epoch."""
    for name, values in losses.items():
        axes.plot(range(1, len(values) + 1), values, label=name, linewidth=2)
    axes.set_xlabel("epoch of learning on NightWalk mini")
    axes.set_ylabel("loss")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
