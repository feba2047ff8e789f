"""The training loop: one for every method, on one process or several."""

import hashlib
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from vireid.errors import Interrupted, VireidError
from vireid.learning import checkpoints, devices, run_trackers
from vireid.learning.checkpoints import Checkpoint, Position, Sums
from vireid.learning.devices import Wanted
from vireid.learning.reporting import Report
from vireid.learning.stop_requests import StopRequests
from vireid.learning.training_history import When
from vireid.method import Losses, Method, Stage, TrainingData
from vireid.models.runs import CHECKPOINT

log = logging.getLogger(__name__)


AfterEpoch = Callable[[Method, Stage[Any], Position], Mapping[str, float] | None]
"""Looks at a method after an epoch, and may return what it found."""


class DivergedError(VireidError):
    """A loss is infinite or not a number."""


def fit(
    method: Method,
    data: TrainingData,
    folder: Path,
    *,
    seed: int = 0,
    precision: Wanted = "auto",
    save_minutes: float = 10.0,
    resume: bool = False,
    tensorboard: bool = False,
    after_epoch: AfterEpoch | None = None,
    trackers: Sequence[str] = (),
) -> None:
    """Train through every stage; a step's random numbers depend on seed and position alone.

    Writes `checkpoint.pt` after each epoch, every few minutes and when stopped, `losses.jsonl`, and
    `measures.jsonl` where stages measure something.

    Args:
        method: Trained in place, on the device that accelerate finds.
        data: Source of batches; with several processes each has its own share.
        folder: Folder of the run; made if it does not exist.
        seed: Seed of everything random in a step.
        precision: Number format of forward passes; `devices.automatic` says what "auto" is.
        save_minutes: Minutes between two checkpoints within an epoch.
        resume: Go on from the checkpoint in the folder, if there is one.
        tensorboard: Write losses for TensorBoard too.
        after_epoch: Called after each epoch by one process, in eval mode, with the method, the
            stage and the position: to look at what was learnt so far.
        trackers: Names of trackers that accelerate knows, such as wandb or mlflow.

    Raises:
        Interrupted: Ctrl-C or SIGTERM came; where the run stood was saved.
        DivergedError: A loss became nan or infinite.
        CheckpointError: A checkpoint cannot be written, or is another method's.
    """
    run_trackers.check(trackers)
    accelerator = Accelerator(
        cpu=devices.this_process().device.type == "cpu",
        mixed_precision="no",
        log_with=list(trackers) or None,
        project_dir=folder,
    )
    folder.mkdir(parents=True, exist_ok=True)
    saved = checkpoints.read(folder / CHECKPOINT, method) if resume else None
    if saved:
        saved.restore_method(method)
    stages = place(method, accelerator).stages(data)
    if saved:
        saved.check_position(stages)
    begin = saved.position if saved else Position()
    passes = devices.precision_for(precision, accelerator.device)
    log.info("on %s in %s, seed %d", devices.described(accelerator), passes, seed)
    main = accelerator.is_main_process
    with (
        run_trackers.tracked_by(accelerator, trackers, folder, seed) as track,
        StopRequests() as stop,
        Report(
            folder, stages, begin, active=main, tensorboard=tensorboard, tell_trackers=track
        ) as report,
    ):
        fitting = _Fitting(
            method=method,
            stages=stages,
            checkpoint=folder / CHECKPOINT,
            accelerator=accelerator,
            dtype=getattr(torch, passes),
            seed=seed,
            save_seconds=60 * save_minutes,
            report=report,
            stop=stop,
            after_epoch=after_epoch if main else None,
        )
        for number in range(begin.stage, len(stages)):
            fitting.learn(number, saved if number == begin.stage else None)


def seed_of(*position: int | str) -> int:
    """Return 63 bits that depend on the position alone, on every machine and in every process."""
    digest = hashlib.sha256("/".join(map(str, position)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class StageLosses(nn.Module):
    """A stage as one module, so that DistributedDataParallel can wrap it."""

    def __init__(self, method: Method, stage: Stage[Any]) -> None:
        super().__init__()
        self.method = method
        self._losses = stage.losses

    def forward(self, batch: Any, epoch: int) -> Losses:
        """Return the stage's losses by name."""
        return self._losses(batch, epoch)


def take_step(
    losses: nn.Module,
    stage: Stage[Any],
    batch: Any,
    epoch: int,
    accelerator: Accelerator,
    dtype: torch.dtype,
) -> Losses:
    """Take one step of a stage, and return its losses.

    Args:
        losses: The stage as a module, `StageLosses`, prepared by the accelerator.
        stage: Stage whose optimizer takes the step.
        batch: Batch to learn from.
        epoch: Number of the epoch, counted from 0.
        accelerator: Device, and the other processes.
        dtype: Number format of the forward pass.
    """
    device = accelerator.device
    stage.optimizer.zero_grad()
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        found: Losses = losses(batch.to(device), epoch)
    accelerator.backward(sum(found.values()))
    stage.optimizer.step()
    return {name: loss.detach() for name, loss in found.items()}


@dataclass
class _Fitting:
    method: Method
    stages: Sequence[Stage[Any]]
    checkpoint: Path
    accelerator: Accelerator
    dtype: torch.dtype
    seed: int
    save_seconds: float
    report: Report
    stop: StopRequests
    after_epoch: AfterEpoch | None = None
    saved_at: float = 0.0

    def learn(self, number: int, saved: Checkpoint | None) -> None:
        """Run one stage, from its beginning or from where it was saved."""
        stage = self.stages[number]
        position = saved.position if saved else Position(number)
        sums = saved.sums if saved else Sums()
        if saved:
            saved.restore_stage(stage)
        else:
            self._prepare(number)
            if number == 0:
                self._measure(number, "before", 0)
        stage.thaw(self.method)
        losses = self.accelerator.prepare_model(StageLosses(self.method, stage))
        while position.epoch < stage.epochs:
            self._run_epoch(losses, position, sums)
            position, sums = Position(number, position.epoch + 1), Sums()
        self._measure(number, "after", stage.epochs)
        if self.accelerator.num_processes > 1:
            # Or this stage's DistributedDataParallel listens to gradients of the next.
            self.accelerator.free_memory()

    def _prepare(self, number: int) -> None:
        prepare = self.stages[number].prepare
        if prepare:
            # In eval mode, as a run is that goes on from here with the weights of a file.
            self.method.eval()
            torch.manual_seed(seed_of(self.seed, number, "prepare"))
            prepare()

    def _measure(self, number: int, when: When, epoch: int) -> None:
        stage = self.stages[number]
        if stage.measure:
            self.method.eval()
            with torch.no_grad():
                self.report.measured(number, when, epoch, stage.measure())

    def _measure_epoch(self, position: Position) -> None:
        """Measure after an epoch that is not the last, where the stage wants it."""
        stage = self.stages[position.stage]
        if stage.measures_every_epoch and position.epoch < stage.epochs:
            self._measure(position.stage, "during", position.epoch)
            for part in stage.trains:
                part.train()

    def _run_epoch(self, losses: nn.Module, begin: Position, sums: Sums) -> None:
        stage = self.stages[begin.stage]
        batches = stage.batches(begin.epoch)
        self.report.epoch_begins()
        self.saved_at = time.monotonic()
        unread = _Unread(self.accelerator)
        for step, batch in enumerate(batches.after(begin.step), begin.step):
            position = replace(begin, step=step + 1)
            torch.manual_seed(seed_of(self.seed, begin.stage, begin.epoch, step))
            found = take_step(losses, stage, batch, begin.epoch, self.accelerator, self.dtype)
            unread.add(found, batch)
            if unread.full or position.step == len(batches):
                self._read(unread, position, sums)
                self._save_if_due(position, len(batches), sums)
        self._end_epoch(replace(begin, epoch=begin.epoch + 1, step=0), sums)

    def _read(self, unread: "_Unread", position: Position, sums: Sums) -> None:
        pictures = unread.pictures
        for behind, losses in zip(count(1 - len(unread.losses)), unread.taken(), strict=False):
            self._check(losses, replace(position, step=position.step + behind))
            sums.add(losses)
        self.report.steps_done(position, losses, pictures)

    def _check(self, losses: dict[str, float], position: Position) -> None:
        wrong = {name: loss for name, loss in losses.items() if not math.isfinite(loss)}
        if wrong:
            stage = self.stages[position.stage]
            raise DivergedError(
                f"loss {' and '.join(f'{name!r} is {loss}' for name, loss in wrong.items())} in "
                f"stage '{stage.name}', epoch {position.epoch + 1}, step {position.step}; lower "
                "the learning rate and start anew, or look at the pictures"
            )

    def _save_if_due(self, position: Position, steps: int, sums: Sums) -> None:
        if position.step == steps:
            return  # The epoch's end saves.
        if self._asked_to_stop():
            self._save(position, sums)
            raise Interrupted(self._stopped_at(position))
        if time.monotonic() - self.saved_at > self.save_seconds:
            self._save(position, sums)

    def _end_epoch(self, position: Position, sums: Sums) -> None:
        stage = self.stages[position.stage]
        if stage.schedule:
            stage.schedule.step()
        self.report.epoch_ends(position, sums)
        self._measure_epoch(position)
        if self.after_epoch:
            self.method.eval()
            with torch.no_grad():
                found = self.after_epoch(self.method, stage, position)
            self.report.track({f"validation/{name}": v for name, v in (found or {}).items()})
            for part in stage.trains:
                part.train()
        self._save(position, Sums())
        if self._asked_to_stop():
            raise Interrupted(self._stopped_at(position))

    def _save(self, position: Position, sums: Sums) -> None:
        if self.accelerator.is_main_process:
            stage = self.stages[position.stage]
            checkpoints.write(self.checkpoint, self.method, stage, position, sums)
        self.saved_at = time.monotonic()

    def _asked_to_stop(self) -> bool:
        """Whether any process was asked to stop; all have to stop at the same step."""
        if self.stop.made:
            self.accelerator.set_trigger()
        return bool(self.accelerator.check_trigger())

    def _stopped_at(self, position: Position) -> str:
        stage = self.stages[position.stage]
        return (
            f"stopped in stage '{stage.name}' after {position.epoch} of {stage.epochs} epochs and "
            f"{position.step} steps; saved to {self.checkpoint}, go on with --resume"
        )


class _Unread:
    """Losses that are still on the device: reading each at once would let a GPU wait."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._patience = 1 if accelerator.device.type == "cpu" else 10
        self.losses: list[Losses] = []
        self.pictures = 0

    def add(self, losses: Losses, batch: Any) -> None:
        """Remember the losses of one more step."""
        self.losses.append(losses)
        self.pictures += pictures_in(batch) * self._accelerator.num_processes

    @property
    def full(self) -> bool:
        return len(self.losses) >= self._patience

    def taken(self) -> list[dict[str, float]]:
        """Return each step's losses as numbers, averaged over the processes; none are left."""
        names = [tuple(losses) for losses in self.losses]
        flat = torch.stack([loss.float() for losses in self.losses for loss in losses.values()])
        values = iter(self._accelerator.reduce(flat, "mean").tolist())
        self.losses, self.pictures = [], 0
        return [{name: next(values) for name in of_step} for of_step in names]


def pictures_in(batch: Any) -> int:
    """Return how many pictures a batch has; batches within it count."""
    if isinstance(batch, Tensor):
        return len(batch) if batch.ndim == 4 else 0
    return sum(map(pictures_in, vars(batch).values())) if is_dataclass(batch) else 0


def place(method: Method, accelerator: Accelerator) -> Method:
    """Put a method on its device; where that is CUDA, all processes share batch statistics."""
    method.to(accelerator.device)
    if accelerator.num_processes > 1:
        # As their gradients will lie, which DistributedDataParallel would have to copy otherwise.
        method.to(memory_format=torch.channels_last)
        if accelerator.device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(method)  # type: ignore[no-untyped-call]
    return method
