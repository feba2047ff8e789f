"""Curves of a run: losses, learning rates and what was validated, epoch by epoch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vireid.files.atomic import write_whole
from vireid.learning import training_history
from vireid.learning.training_history import LOSSES, VALIDATION, Epoch, Validated
from vireid.reports.plots import as_png

PNG = "learning.png"


def write(run: Path) -> Path:
    """Write the curves of a run as a PNG into its folder, and return where."""
    out = run / PNG
    write_whole(out, plot(training_history.read_epochs(run / LOSSES), run))
    return out


def plot(epochs: Sequence[Epoch], run: Path | None = None) -> bytes:
    """Return a PNG with a plot of losses for each stage, of learning rates, and of validation.

    Args:
        epochs: Lines of `losses.jsonl`.
        run: Folder of the run, for what was validated.
    """
    path = run / VALIDATION if run else None
    validated = training_history.read_validation(path) if path and path.exists() else []
    stages = list(dict.fromkeys((line.stage_number, line.stage) for line in epochs))
    count = len(stages) + 1 + bool(validated)
    return as_png(lambda figure: _plot(figure, epochs, stages, validated, count), 4.6 * count, 3.4)


def _plot(
    figure: Any,
    epochs: Sequence[Epoch],
    stages: Sequence[tuple[int, str]],
    validated: Sequence[Validated],
    count: int,
) -> None:
    places = figure.subplots(1, count, squeeze=False)[0]
    for axes, (number, name) in zip(places, stages, strict=False):
        lines = [line for line in epochs if line.stage_number == number]
        for loss in dict.fromkeys(loss for line in lines for loss in line.losses):
            values = [line.losses.get(loss, float("nan")) for line in lines]
            axes.plot([line.epoch for line in lines], values, marker=".", label=loss)
        axes.set(title=f"{name}: losses", xlabel="epoch")
    for axes in places[: len(stages)]:
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    rates = places[len(stages)]
    rates.plot(range(1, len(epochs) + 1), [max(line.learning_rates) for line in epochs])
    rates.set(title="largest learning rate", xlabel="epoch, over all stages")
    rates.grid(alpha=0.3)
    if validated:
        _plot_validated(places[-1], validated)


def _plot_validated(axes: Any, validated: Sequence[Validated]) -> None:
    for metric in ("R1", "mAP"):
        values = [100 * line.metrics[metric] for line in validated]
        axes.plot([line.epoch for line in validated], values, marker="o", label=metric)
    axes.set(title="validation people, %", xlabel="epoch", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
