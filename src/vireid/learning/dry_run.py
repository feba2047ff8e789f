"""What `vireid train --dry-run` does: all checks of a run, three steps, nothing kept."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any

import torch
from accelerate import Accelerator

from vireid.learning import devices, initial_weights, method_check, training
from vireid.learning.loop import StageLosses, pictures_in, place, take_step
from vireid.method import Method, Stage
from vireid.recipes import recipe as recipes
from vireid.recipes.recipe import Recipe

STEPS = 3
"""Number of steps that are timed, after a first one, which is slower than all others."""


@dataclass(frozen=True)
class Timing:
    """One stage: its amount of work, and the speed of its first steps."""

    name: str
    epochs: int
    steps: int
    """Steps of an epoch."""
    seconds: float | None = None
    """Median seconds of a step; None where steps were not timed."""
    pictures: int = 0
    """Pictures in a step."""

    def __str__(self) -> str:
        work = f"{self.name}: {self.epochs} epochs of {self.steps:,} steps"
        if self.seconds is None:
            return f"{work}, not timed"
        speed = f"{self.seconds:.3g} s a step"
        if self.pictures:
            speed += f", {self.pictures / self.seconds:,.0f} pictures/s"
        whole = timedelta(seconds=round(self.seconds * self.steps * self.epochs))
        return f"{work}, {speed}, about {whole} in all"


@dataclass(frozen=True)
class DryRun:
    """The result of a dry run."""

    recipe: Recipe
    label: str
    """Label of the data set."""
    people: int
    pictures: int
    device: str
    precision: str
    stages: Sequence[Timing]
    peak: int | None
    """Largest number of bytes of GPU memory; None on a processor."""

    def lines(self) -> list[str]:
        """Return the result for people, line by line."""
        lines = [
            f"{self.recipe.method}: {self.people} people, "
            f"{self.pictures:,} pictures of {self.label}",
            "recipe, embeddings of both spectra, checkpoint: as they should be",
            f"on {self.device} in {self.precision}",
            *map(str, self.stages),
        ]
        if self.peak is not None:
            lines.append(f"{self.peak / 2**30:.1f} GiB of GPU memory at most")
        return [*lines, "no run was begun; the same command without --dry-run learns it"]


def try_out(recipe: Recipe) -> DryRun:
    """Do all that `learn` does up to the first steps, in memory; pictures are packed as for a run.

    Steps of the first stage are timed. Later stages need what those before have learnt.

    Raises:
        VireidError: What `learn` raises before its first step.
    """
    recipes.check_can_be_read_back(recipe)
    initial_weights.check_read(recipe)
    recipe, dataset, data = training.opened(recipe)
    method = initial_weights.build(recipe, data.num_identities)
    method_check.check(method, data)
    device = devices.this_process().device
    accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="no")
    precision = devices.precision_for(recipe.precision, accelerator.device)
    first, *later = place(method, accelerator).stages(data)
    timed = _timed(method, first, accelerator, getattr(torch, precision))
    return DryRun(
        recipe=recipe,
        label=dataset.label,
        people=data.num_identities,
        pictures=len(data.records),
        device=devices.described(accelerator),
        precision=precision,
        stages=[timed, *map(_untimed, later)],
        peak=torch.cuda.max_memory_allocated() if device.type == "cuda" else None,
    )


def _untimed(stage: Stage[Any]) -> Timing:
    return Timing(stage.name, stage.epochs, len(stage.batches(0)) if stage.epochs else 0)


def _timed(
    method: Method, stage: Stage[Any], accelerator: Accelerator, dtype: torch.dtype
) -> Timing:
    if not stage.epochs:
        return _untimed(stage)
    if stage.prepare:
        method.eval()
        stage.prepare()
    stage.thaw(method)
    losses = accelerator.prepare_model(StageLosses(method, stage))
    taken, pictures = [], 0
    for _, batch in zip(range(STEPS + 1), stage.batches(0), strict=False):
        began = time.perf_counter()
        found = take_step(losses, stage, batch, 0, accelerator, dtype)
        [loss.item() for loss in found.values()]  # waits for the device
        taken.append(time.perf_counter() - began)
        pictures = pictures_in(batch) * accelerator.num_processes
    work = _untimed(stage)
    return Timing(work.name, work.epochs, work.steps, median(taken[1:] or taken), pictures)
