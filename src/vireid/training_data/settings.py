"""Settings of the training data: the table `[data]` of a recipe."""

from dataclasses import dataclass
from typing import Literal

from vireid.errors import VireidError


@dataclass(frozen=True)
class Data:
    """Settings of the training data: the table `[data]`."""

    dataset: str
    """Name of a file in `vireid/datasets`, e.g. `sysu_mm01` or `nightwalk`; or user code."""
    root: str | None = None
    """Folder of the data set. NightWalk mini comes with the package and needs none."""
    trial: int | None = None
    """Number of the split, of several published ones (RegDB: 1 to 10); by default 1."""
    learn_from: Literal["train and validation", "train"] = "train and validation"
    """Groups of people to learn from. `train` leaves the validation people for choosing settings;
    `vireid train --validate` sets it."""
    height: int = 288
    """Rows of a picture as the method sees it (AGW's code: 288)."""
    width: int = 144
    """Columns of a picture as the method sees it (AGW's code: 144)."""
    workers: int = 2
    """Threads that make batches; the batches are the same with any number."""
    steps_per_epoch: int | None = None
    """Paired batches in an epoch; by default as many as it takes to draw as many pictures as the
    larger modality has."""
    unpaired: Literal["error", "drop"] = "error"
    """People seen in one spectrum only: refuse them, or leave them out."""
    unreadable: Literal["error", "skip"] = "error"
    """Pictures that cannot be read: refuse them, or learn from the others."""

    def __post_init__(self) -> None:
        named = {f"data.{n}": getattr(self, n) for n in ("height", "width", "steps_per_epoch")}
        check_at_least(1, **named)
        check_at_least(0, **{"data.workers": self.workers})


def check_at_least(least: int, **values: float | None) -> None:
    """Refuse values that are too small; None means not set.

    Raises:
        VireidError: The first that is, by its name.
    """
    for name, value in values.items():
        if value is not None and value < least:
            raise VireidError(f"{name} is {value}; it has to be {least} or more")
