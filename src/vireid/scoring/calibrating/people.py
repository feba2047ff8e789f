"""Whom a model may be calibrated on: people whom it has not learnt from and is not scored on."""

from collections.abc import Sequence
from dataclasses import dataclass

from vireid.datasets import Dataset
from vireid.models.calibration import CalibrationError
from vireid.models.embedder import Embedder
from vireid.models.opening import is_shipped
from vireid.records import ImageRecord, pictures_fingerprint
from vireid.scoring import evaluation, named_protocols

OWN = "folder"
"""Data set of one's own pictures, whose people are in one group: they are there for the asking."""


@dataclass(frozen=True)
class People:
    """Labelled pictures to calibrate on."""

    records: Sequence[ImageRecord]
    in_words: str
    rooms: tuple[tuple[str, str], ...]
    """Pairs of cameras that stand in one room."""
    fingerprint: str


def people_of(dataset: Dataset, embedder: Embedder, model: str) -> People:
    """Return the validation people of a data set, or all of one's own.

    Args:
        dataset: A data set.
        embedder: Model that is to be calibrated.
        model: Name that it was opened by.

    Raises:
        VireidError: There are no validation people, or the model has learnt from them.
    """
    own = dataset.name == OWN
    records = dataset.test if own else dataset.validation
    if not records:
        raise CalibrationError(
            f"{dataset.label} has no validation people, and its test people are for scoring alone; "
            "calibrate on a data set that has some, or on a folder of your own: "
            f"--data {OWN} --root FOLDER"
        )
    if not own and not is_shipped(model):  # the people of those are in no other set
        evaluation.check_validation(dataset, evaluation.scored_model(embedder))
    count = len({r.identity for r in records if r.identity is not None})
    group = "people" if own else "validation people"
    rooms = {pair for p in named_protocols.choose(dataset) for pair in p.hidden_cameras}
    return People(
        records,
        f"{count} {group} of {dataset.label}",
        tuple(sorted(rooms)),
        pictures_fingerprint(records, dataset.root),
    )
