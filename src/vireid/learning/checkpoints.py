"""Checkpoints: where a run stands, written to disk whole or not at all, so they can be trusted."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vireid.errors import VireidError
from vireid.files import documents, torch_files
from vireid.files.atomic import whole_file
from vireid.files.documents import Count
from vireid.files.torch_files import UnreadableError
from vireid.method import Method, Stage

FORMAT = 1
DELETE_IT = "delete it to start from the beginning"
OTHERWISE = "resume with the recipe it was begun with, or start anew in another folder"
NUMBERS = (int, float, Tensor)
SHAPED_AS_WEIGHTS = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer"}
"""What torch's optimizers keep of each number of a weight."""


class CheckpointError(VireidError):
    """A checkpoint that cannot be written, cannot be read, or is of another run."""


@dataclass(frozen=True, order=True)
class Position:
    """How far a run has come: the stage, its epoch and the steps done in it, all counted from 0."""

    stage: Count = 0
    epoch: Count = 0
    step: Count = 0


@dataclass
class Sums:
    """Sums of an epoch's losses so far."""

    steps: Count = 0
    of: dict[str, float] = field(default_factory=dict)

    def add(self, losses: dict[str, float]) -> None:
        """Add the losses of one more step."""
        self.steps += 1
        for name, loss in losses.items():
            self.of[name] = self.of.get(name, 0.0) + loss

    @property
    def means(self) -> dict[str, float]:
        """Mean losses of a step, by name."""
        return {name: total / self.steps for name, total in self.of.items()}


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on; a step's random numbers depend on seed and position alone."""

    format: int
    kind: str
    """Name of the method's class."""
    position: Position
    sums: Sums
    method: dict[str, Tensor]
    """State of the method; the next two are those of the stage's optimizer and schedule."""
    optimizer: dict[str, Any]
    schedule: dict[str, Any] | None

    @classmethod
    def of(cls, method: Method, stage: Stage[Any], position: Position, sums: Sums) -> "Checkpoint":
        """Return the checkpoint of a run that stands here."""
        return cls(
            format=FORMAT,
            kind=_kind(method),
            position=position,
            sums=sums,
            method=method.state_dict(),
            optimizer=stage.optimizer.state_dict(),
            schedule=stage.schedule.state_dict() if stage.schedule else None,
        )

    def content(self) -> dict[str, Any]:
        """Return it in containers, numbers, texts and tensors, as it is written."""
        parts = {"position": asdict(self.position), "sums": asdict(self.sums)}
        return {f.name: parts.get(f.name, getattr(self, f.name)) for f in fields(self)}

    def restore_method(self, method: Method) -> None:
        """Load the method's weights and buffers.

        Raises:
            CheckpointError: They are of a method of other settings or other people.
        """
        try:
            method.load_state_dict(self.method)
        except RuntimeError as error:
            reason = " ".join(str(error).splitlines()[:2])
            raise _unfitting(reason) from error

    def check_position(self, stages: Sequence[Stage[Any]]) -> None:
        """Refuse a position that a run of these stages cannot come to.

        Raises:
            CheckpointError: It is one.
        """
        place = self.position
        stage = stages[place.stage] if place.stage < len(stages) else None
        within = place.step and stage and stage.epochs and len(stage.batches(place.epoch))
        if stage is None or place.epoch > stage.epochs or place.step > (within or 0):
            raise _unfitting(f"it stands at {place}, which this recipe does not come to")

    def restore_stage(self, stage: Stage[Any]) -> None:
        """Load the state of the stage's optimizer and schedule.

        Raises:
            CheckpointError: They are of another optimizer or schedule.
        """
        own = stage.optimizer.state_dict()
        _check_alike("optimizer", own, self.optimizer)
        with _explained():
            stage.optimizer.load_state_dict(self.optimizer)
        for mine, loaded in zip(own["param_groups"], stage.optimizer.param_groups, strict=True):
            if missing := mine.keys() - loaded.keys():
                raise _unfitting(f"the state of the optimizer has no {', '.join(sorted(missing))}")
        for weight, state in stage.optimizer.state.items():
            for name in SHAPED_AS_WEIGHTS & state.keys():
                if getattr(state[name], "shape", None) != weight.shape:
                    raise _unfitting(f"the optimizer's {name} has not the shape of its weight")
            if not isinstance(state.get("step", 0), NUMBERS):
                raise _unfitting("the optimizer's step is no number")
        if stage.schedule:
            _check_alike("schedule", stage.schedule.state_dict(), self.schedule)
            with _explained():
                stage.schedule.load_state_dict(self.schedule or {})


def write(path: Path, method: Method, stage: Stage[Any], position: Position, sums: Sums) -> None:
    """Replace the checkpoint at once; one that cannot be written leaves the old as it is.

    Raises:
        CheckpointError: Disk full, no permission.
    """
    content = Checkpoint.of(method, stage, position, sums).content()
    try:
        with whole_file(path) as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:
        # torch wraps what the file system says in a RuntimeError of its own.
        raise CheckpointError(
            f"{path} could not be written ({_reason(error)}); the one before it is as it was: "
            "make room and go on with --resume"
        ) from error


def read(path: Path, method: Method) -> Checkpoint | None:
    """Return the checkpoint of a run of this method; None where none has been written yet.

    Raises:
        CheckpointError: Damaged, or another method's.
    """
    if not path.exists():
        return None
    try:
        content = torch_files.read(path)
    except (UnreadableError, OSError) as error:
        raise CheckpointError(
            f"{path} is damaged or no checkpoint ({error}); {DELETE_IT}"
        ) from error
    saved = documents.typed(path, content, Checkpoint, DELETE_IT, CheckpointError)
    if saved.format != FORMAT:
        raise CheckpointError(
            f"{path} has format {saved.format}, this vireid reads {FORMAT}; {DELETE_IT}"
        )
    if saved.kind != _kind(method):
        raise CheckpointError(
            f"{path} is a checkpoint of {saved.kind}, not of {_kind(method)}; {OTHERWISE}"
        )
    return saved


def _unfitting(reason: str) -> CheckpointError:
    return CheckpointError(f"the checkpoint does not fit the method ({reason}); {OTHERWISE}")


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # another's state leads anywhere: value, key and type errors
        raise _unfitting(repr(error)) from error


def _check_alike(name: str, own: Any, saved: Any) -> None:
    if not _are_alike(own, saved):
        raise _unfitting(f"the state of the {name} is another's")


def _are_alike(own: Any, saved: Any) -> bool:
    """Whether a saved state is made of the same parts as one's own; versions may add some."""
    if isinstance(own, dict):
        is_one = isinstance(saved, dict)
        return is_one and all(_are_alike(v, saved[k]) for k, v in own.items() if k in saved)
    if isinstance(own, (list, tuple)):
        is_one = isinstance(saved, (list, tuple)) and len(saved) == len(own)
        return is_one and all(map(_are_alike, own, saved))
    if own is None or isinstance(own, bool):  # a choice, which nothing changes while one learns
        return own is saved
    return isinstance(saved, NUMBERS) == isinstance(own, NUMBERS)


def _kind(method: Method) -> str:
    return type(method).__qualname__


def _reason(error: BaseException) -> str:
    """Return the operating system's reason, found at the bottom of a chain of errors."""
    while error.__context__ and not isinstance(error, OSError):
        error = error.__context__
    return getattr(error, "strerror", None) or str(error)
