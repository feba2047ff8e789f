"""The history of a run: lines of losses, measures and validation, written while it learns."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vireid.files import documents
from vireid.files.documents import Count

LOSSES, MEASURES, VALIDATION = "losses.jsonl", "measures.jsonl", "validation.jsonl"
WAY_OUT = "take that line out of the file; what was learnt does not depend on it"
When = Literal["before", "during", "after"]
"""Whether something was measured before, during or after a stage."""


@dataclass(frozen=True)
class Epoch:
    """A line of `losses.jsonl`."""

    stage: str
    stage_number: Count
    epoch: Count
    """Number of the epoch, counted from 1."""
    steps: Count
    losses: Mapping[str, float]
    """Means over the steps, by name."""
    learning_rates: tuple[float, ...]
    """Learning rate of each group of weights."""
    seconds: float
    pictures_per_second: float


@dataclass(frozen=True)
class Measured:
    """A line of `measures.jsonl`: what a stage measured of itself."""

    stage: str
    stage_number: Count
    when: When
    figures: Mapping[str, float | None]
    """Figures by name; None where one was no number."""
    epoch: Count | None = None
    """Number of the epoch, counted from 1, after which it was measured; 0 before the first. None in
    files of former versions."""


@dataclass(frozen=True)
class Validated:
    """A line of `validation.jsonl`: what the model of an epoch scored on validation people.

    It is there to be looked at: nothing is chosen by it.
    """

    stage: str
    stage_number: Count
    epoch: Count
    """Number of the epoch, counted from 1, after which it was scored."""
    metrics: Mapping[str, float]
    """Means over the trials, as fractions of 1."""


def read_validation(path: Path) -> list[Validated]:
    """Return the lines of `validation.jsonl`.

    Raises:
        VireidError: A line is damaged; the message names it.
    """
    return documents.read_lines(path, Validated, WAY_OUT, is_growing=True)


def read_epochs(path: Path) -> list[Epoch]:
    """Return the lines of `losses.jsonl`.

    Raises:
        VireidError: A line is damaged; the message names it.
    """
    return documents.read_lines(path, Epoch, WAY_OUT, is_growing=True)


def read_measures(path: Path) -> list[Measured]:
    """Return the lines of `measures.jsonl`.

    Raises:
        VireidError: A line is damaged; the message names it.
    """
    return documents.read_lines(path, Measured, WAY_OUT, is_growing=True)
