"""Reports of a run while it learns: progress, a line an epoch, losses.jsonl, TensorBoard."""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from operator import mul
from pathlib import Path
from typing import Any, Self

from vireid.files import documents
from vireid.files.atomic import write_whole, writing_to
from vireid.learning import training_history
from vireid.learning.checkpoints import Position, Sums
from vireid.learning.run_trackers import Track
from vireid.learning.training_history import LOSSES, MEASURES, Epoch, Measured, When
from vireid.method import Stage
from vireid.progress import tell

log = logging.getLogger(__name__)
COLLAPSED = math.log(2)
"""Weighted triplet loss log(1 + exp(0)) of a model whose embeddings are all the same."""


class Report:
    """Records every step and every epoch: prints, writes and warns.

    Only one process of a run reports; the others have `active` false and say nothing.
    """

    def __init__(
        self,
        folder: Path,
        stages: Sequence[Stage[Any]],
        begin: Position,
        *,
        active: bool = True,
        tensorboard: bool = False,
        tell_trackers: Track | None = None,
    ) -> None:
        self._tell_trackers, self._epochs = tell_trackers, 0
        self._stages = stages
        self._steps = [len(s.batches(0)) if s.epochs else 0 for s in stages]
        """Steps of an epoch, for each stage."""
        self._active = active
        self._losses = folder / LOSSES
        self._measures = folder / MEASURES
        self._board = _open_board(folder) if active and tensorboard else None
        self._pictures, self._since = 0, time.perf_counter()
        self._collapsed_epochs = 0
        if active:
            _forget_lines_after(self._losses, begin)
            _forget_measures_after(self._measures, begin)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._board:
            self._board.close()

    def epoch_begins(self) -> None:
        """Start the clock."""
        self._pictures, self._since = 0, time.perf_counter()

    def steps_done(self, position: Position, losses: Mapping[str, float], pictures: int) -> None:
        """Report the progress of the run.

        Args:
            position: Position after these steps.
            losses: Losses of the last of these steps.
            pictures: Number of pictures in these steps, over all processes.
        """
        if not self._active:
            return
        self._pictures += pictures
        stage = self._stages[position.stage]
        where = f"{stage.name} {position.epoch + 1}/{stage.epochs}"
        now = f"{where}  {_in_words(losses)}{self._speed_in_words()}"
        total = self._steps_before(Position(len(self._stages)))
        tell("learning", self._steps_before(position), total, now)

    def epoch_ends(self, position: Position, sums: Sums) -> None:
        """Write the line of the epoch that ends at this position."""
        if not self._active:
            return
        stage = self._stages[position.stage]
        rates = [float(group["lr"]) for group in stage.optimizer.param_groups]
        seconds = time.perf_counter() - self._since
        log.info(
            "%s %d/%d  %s%s  %.1f s  learning rate %s%s",
            *(stage.name, position.epoch, stage.epochs, _in_words(sums.means)),
            *(self._speed_in_words(), seconds, "/".join(f"{rate:.3g}" for rate in rates)),
            self._left_in_words(position, seconds, sums.steps),
        )
        line = Epoch(
            stage=stage.name,
            stage_number=position.stage,
            epoch=position.epoch,
            steps=sums.steps,
            losses=sums.means,
            learning_rates=tuple(rates),
            seconds=round(seconds, 3),
            pictures_per_second=round(self._speed, 1),
        )
        _append(self._losses, line)
        self._epochs = sum(s.epochs for s in self._stages[: position.stage]) + position.epoch
        told = {f"{stage.name}/{name}": loss for name, loss in sums.means.items()}
        told |= {"learning rate": max(rates), "pictures a second": self._speed}
        self.track(told)
        if self._board:
            for name, loss in sums.means.items():
                self._board.add_scalar(f"{stage.name}/{name}", loss, position.epoch)
        self._watch_for_collapse(sums.means)

    def measured(self, stage: int, when: When, epoch: int, figures: Mapping[str, float]) -> None:
        """Write the line of what was measured of a stage after an epoch."""
        if not self._active:
            return
        name = self._stages[stage].name
        if when != "during":
            log.info("%s %s  %s", when, name, _in_words(figures))
        self.track({f"{name}/{each}": value for each, value in figures.items()})
        _append(self._measures, Measured(name, stage, when, figures, epoch))

    def track(self, values: Mapping[str, float]) -> None:
        """Tell trackers values of the epoch that has ended last."""
        if self._active and self._tell_trackers and values:
            self._tell_trackers(values, self._epochs)

    def _left_in_words(self, position: Position, seconds: float, steps: int) -> str:
        """Return how long the run will take from here, at the speed of this epoch."""
        left = self._steps_before(Position(len(self._stages))) - self._steps_before(position)
        if not left or not steps:
            return ""
        return f"  {_duration(left * seconds / steps)} left"

    def _steps_before(self, position: Position) -> int:
        epochs = [*(stage.epochs for stage in self._stages[: position.stage]), position.epoch]
        done: int = sum(map(mul, epochs, self._steps))
        return done + position.step

    @property
    def _speed(self) -> float:
        """Return the pictures a second in this epoch."""
        return self._pictures / max(1e-9, time.perf_counter() - self._since)

    def _speed_in_words(self) -> str:
        """Return the speed in words; nothing where batches hold features, not pictures."""
        return f"  {self._speed:,.0f} pictures/s" if self._pictures else ""

    def _watch_for_collapse(self, losses: Mapping[str, float]) -> None:
        stuck = abs(losses.get("triplet", 0.0) - COLLAPSED) < 1e-3
        self._collapsed_epochs = self._collapsed_epochs + 1 if stuck else 0
        if self._collapsed_epochs == 3:
            log.warning(
                "the triplet loss has stood at ln 2 for three epochs: all pictures may have got "
                "one embedding; lower the learning rate, or give it more epochs to warm up"
            )


def _duration(seconds: float) -> str:
    """Return a duration in the two units that matter."""
    minutes, hours = round(seconds / 60), int(seconds // 3600)
    if hours:
        return f"{hours} h {round(seconds % 3600 / 60)} min"
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"


def _in_words(losses: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {loss:.4f}" for name, loss in losses.items())


def _forget_lines_after(path: Path, begin: Position) -> None:
    """Drop the lines of epochs that will be run again."""
    if not path.exists():
        return
    lines = training_history.read_epochs(path)
    kept = [line for line in lines if Position(line.stage_number, line.epoch) <= begin]
    write_whole(path, b"".join(map(documents.as_line, kept)))


def _forget_measures_after(path: Path, begin: Position) -> None:
    """Drop what will be measured again."""
    if not path.exists():
        return
    kept = [line for line in training_history.read_measures(path) if _stays(line, begin)]
    write_whole(path, b"".join(map(documents.as_line, kept)))


def _stays(line: Measured, begin: Position) -> bool:
    """Return whether a run that begins at a position does not measure this again."""
    if line.when == "before":
        return begin > Position()
    if line.when == "after":
        return line.stage_number < begin.stage
    return Position(line.stage_number, line.epoch or 0) <= begin


def _append(path: Path, line: Epoch | Measured) -> None:
    """Add a line to a file; a part of one, left by a full disk, goes when the run goes on."""
    with writing_to(path, "make room and go on with --resume"), path.open("ab") as file:
        file.write(documents.as_line(line))


def _open_board(folder: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"))
