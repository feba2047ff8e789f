"""Checkpoints: where a run stands, written to disk whole or not at all, so they can be trusted."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from vireid import torch_files
from vireid.errors import VireidError
from vireid.method import Method, Stage
from vireid.torch_files import UnreadableError
from vireid.whole_files import whole_file

FORMAT = 1


class CheckpointError(VireidError):
    """A checkpoint that cannot be written, cannot be read, or is of another run."""


@dataclass(frozen=True, order=True)
class Position:
    """How far a run has come: the stage, its epoch and the steps done in it, all counted from 0."""

    stage: int = 0
    epoch: int = 0
    step: int = 0


@dataclass
class Sums:
    """Sums of an epoch's losses so far."""

    steps: int = 0
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

    position: Position
    sums: Sums
    states: dict[str, Any]
    """States of method, optimizer and schedule, by those names."""

    def restore_method(self, method: Method) -> None:
        """Load the method's weights and buffers.

        Raises:
            CheckpointError: They are of a method of other settings or other people.
        """
        try:
            method.load_state_dict(self.states["method"])
        except RuntimeError as error:
            reason = " ".join(str(error).splitlines()[:2])
            way_out = "resume with the recipe it was begun with, or start anew in another folder"
            raise CheckpointError(
                f"the checkpoint does not fit the method ({reason}); {way_out}"
            ) from error

    def restore_stage(self, stage: Stage[Any]) -> None:
        """Load the state of the stage's optimizer and schedule."""
        stage.optimizer.load_state_dict(self.states["optimizer"])
        if stage.schedule:
            stage.schedule.load_state_dict(self.states["schedule"])


def content_of(method: Method, stage: Stage[Any], position: Position, sums: Sums) -> dict[str, Any]:
    """Return all that a checkpoint holds."""
    return {
        "format": FORMAT,
        "kind": _kind(method),
        "position": asdict(position),
        "sums": asdict(sums),
        "method": method.state_dict(),
        "optimizer": stage.optimizer.state_dict(),
        "schedule": stage.schedule.state_dict() if stage.schedule else None,
    }


def write(path: Path, method: Method, stage: Stage[Any], position: Position, sums: Sums) -> None:
    """Replace the checkpoint at once; one that cannot be written leaves the old as it is.

    Raises:
        CheckpointError: Disk full, no permission.
    """
    content = content_of(method, stage, position, sums)
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
    except UnreadableError as error:
        raise _damaged(path, error) from error
    _check(path, content, method)
    try:
        states = {name: content[name] for name in ("method", "optimizer", "schedule")}
        return Checkpoint(Position(**content["position"]), Sums(**content["sums"]), states)
    except (KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def _check(path: Path, content: Any, method: Method) -> None:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} was not written by this version of vireid")
    if content.get("kind") != _kind(method):
        raise CheckpointError(
            f"{path} is a checkpoint of {content.get('kind')}, not of {_kind(method)}; "
            "resume with the recipe it was begun with, or start anew in another folder"
        )


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged or no checkpoint ({error}); delete it to start from the beginning"
    )


def _kind(method: Method) -> str:
    return type(method).__qualname__


def _reason(error: BaseException) -> str:
    """Return the operating system's reason, found at the bottom of a chain of errors."""
    while error.__context__ and not isinstance(error, OSError):
        error = error.__context__
    return getattr(error, "strerror", None) or str(error)
