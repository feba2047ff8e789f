"""A model's card, and what it has learnt from."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vireid import datasets
from vireid.errors import VireidError
from vireid.recipe import data_of, table_of

FORMAT = 1
"""Format of `model.json`, the card of an exported model."""


class ModelError(VireidError):
    """A model cannot be opened, or cannot do what was asked."""


@dataclass(frozen=True)
class ModelCard:
    """What tells one model from another; a gallery keeps the card of the model that filled it."""

    name: str
    source: str
    """Name that `Embedder.open` was given: `small`, or an absolute path."""
    fingerprint: str
    """Hash of weights, settings and picture size: vectors of equal fingerprints can be compared."""
    precision: str
    """Number format in which the network embeds, e.g. `float32`."""
    height: int
    width: int
    embedding_dim: int
    learnt_in: str | None = None
    """Precision of the forward passes by which it was learnt; None where nothing says it."""


@dataclass(frozen=True)
class Training:
    """The people that a model has learnt from, and its seed, as its recipe tells them."""

    learnt_from: str
    """Groups of people: `train and validation`, or `train` where the others were left out."""
    people: int | None
    """Number of these people; None where nothing says it."""
    seed: int

    def __str__(self) -> str:
        counted = "" if self.people is None else f"{self.people} "
        return f"the {counted}people of {self.learnt_from}"


def learnt_on(folder: Path) -> str:
    """Return the label of the data set that a run or an exported model has learnt on."""
    data = data_of(folder / "recipe.toml")
    name, trial = datasets.name_of(data.get("dataset", "unknown")), data.get("trial")
    return name if trial is None else f"{name} trial {trial}"


def chosen(folder: Path, card: str) -> str:
    """Return how the weights of a model were chosen among those of all epochs.

    Args:
        folder: A run or an exported model.
        card: The file in it that tells its origin, `run.json` or `model.json`.
    """
    origin = _facts(folder / card).get("imported")
    return f"imported from {origin['format']}, chosen by its authors" if origin else "last epoch"


def _facts(card: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(card.read_text(encoding="utf-8"))
    return facts


def training_of(folder: Path, card: str) -> Training | None:
    """Return what a model has learnt from; None where no recipe tells.

    Args:
        folder: A run or an exported model.
        card: The file in it that counts the people, `run.json` or `model.json`.
    """
    recipe = table_of(folder / "recipe.toml")
    if "data" not in recipe:
        return None
    people = _facts(folder / card).get("num_identities")
    groups = recipe["data"].get("learn_from", "train and validation")
    return Training(groups, people, recipe.get("seed", 0))
