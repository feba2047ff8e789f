"""Settings of the training data: the table `[data]` of a recipe."""

from dataclasses import dataclass
from typing import Annotated, Literal

from vireid.types.ranges import Count, Pixels, Range, check_ranges


@dataclass(frozen=True)
class Data:
    """Settings of the training data: the table `[data]`."""

    dataset: str
    """Name of a file in `vireid/datasets`, e.g. `sysu_mm01` or `nightwalk`; or user code."""
    root: str | None = None
    """Folder of the data set. NightWalk mini comes with the package and needs none."""
    also: tuple[str, ...] = ()
    """Further data sets to learn from, each as `NAME:FOLDER`, such as `regdb:nightwalk_thermal`.
    Their people are others than those of `dataset`."""
    own: str | None = None
    """People of one's own cameras to learn from beside these: a folder or list, such as `vireid cut
    --pair` writes. If some of them are in a folder `train`, only those."""
    own_people: Count = 4
    """People of each paired batch who are one's own; all of them where they are fewer."""
    trial: Count | None = None
    """Number of the split, of several published ones (RegDB: 1 to 10); by default 1."""
    learn_from: Literal["train and validation", "train"] = "train and validation"
    """Groups of people to learn from. `train` leaves the validation people for choosing settings;
    `vireid train --validate` sets it."""
    height: Pixels = 288
    """Rows of a picture as the method sees it (AGW's code: 288)."""
    width: Pixels = 144
    """Columns of a picture as the method sees it (AGW's code: 144)."""
    workers: Annotated[int, Range(0, 1_000)] = 2
    """Threads that make batches; the batches are the same with any number."""
    steps_per_epoch: Count | None = None
    """Paired batches in an epoch; by default as many as it takes to draw as many pictures as the
    larger modality has."""
    pairing: Literal["person", "moment"] = "person"
    """Pairs of a paired batch: any two pictures of a `person`, or two of one `moment`, with the
    same crop and the same side to the left, where a data set has such pairs (RegDB and NightWalk in
    its layout)."""
    unpaired: Literal["error", "drop"] = "error"
    """People seen in one spectrum only: refuse them, or leave them out."""
    unreadable: Literal["error", "skip"] = "error"
    """Pictures that cannot be read: refuse them, or learn from the others."""

    def __post_init__(self) -> None:
        check_ranges(self, "data.")
