"""A model's card, and what it has learnt from."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec

from vireid import datasets
from vireid.errors import VireidError
from vireid.files import documents
from vireid.files.documents import Count
from vireid.recipes.recipe import Imported, outline_of
from vireid.types.engine_options import Engine, Precision

CARD = "model.json"
FORMAT = 1
"""Format of `model.json`, the card of an exported model."""
Side = Annotated[int, msgspec.Meta(ge=1, le=4096)]
"""Rows or columns of the pictures that a model is given."""
Dim = Annotated[int, msgspec.Meta(ge=1, le=2**20)]
"""Length of an embedding."""

LAST_EPOCH = "last epoch"
VISIBLE_ONLY = "learnt from visible pictures only, so infrared ones are seldom recognised"
"""Caveat of a model that knows one spectrum."""
ABOUT_A_RUN = ("seed", "save_minutes", "tensorboard", "track", "validate_every")
"""Keys of a recipe that change nothing about what is learnt, and the seed."""


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
    height: Side
    width: Side
    embedding_dim: Dim
    learnt_in: str | None = None
    """Precision of the forward passes by which it was learnt; None where nothing says it."""
    caveat: str | None = None
    """What whoever reads its answers has to know, such as on which pictures it fails."""

    def as_dict(self) -> dict[str, str | None]:
        """Return what programs are told of the model beside its answers."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "precision": self.precision,
            "caveat": self.caveat,
        }


@dataclass(frozen=True)
class Training:
    """The people that a model has learnt from, and its seed, as its recipe tells them."""

    learnt_from: str
    """Groups of people: `train and validation`, or `train` where the others were left out."""
    people: int | None
    """Number of these people; None where nothing says it."""
    seed: int
    recipe: str | None = None
    """Hash of the recipe but for its seed and places on disk: runs of equal ones are repetitions.
    None in files of former versions."""

    def __str__(self) -> str:
        counted = "" if self.people is None else f"{self.people} "
        return f"the {counted}people of {self.learnt_from}"


@dataclass(frozen=True, kw_only=True)
class Parity:
    """A model in another precision, or by another engine, beside the same in float32."""

    people: str
    """People on whose pictures both were compared, in words; never test people."""
    largest_difference: float
    """Largest difference of a number of an embedding, whose length is one."""
    r1: tuple[float, float]
    """Rank 1 of the model in float32, and of this one, as fractions: each picture searched among
    all of the other spectrum, the mean of both directions."""
    mean_ap: tuple[float, float]
    """mAP of both."""


@dataclass(frozen=True, kw_only=True)
class ExportedText:
    """The reader of sentences of an exported model."""

    most_words: Dim
    """Largest number of words and parts of words of a sentence, with its two signs."""
    caveat: str | None = None
    """What a person who searches by a sentence has to know."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The content of `model.json`: what an exported model says of itself."""

    format: int = FORMAT
    vireid: str | None = None
    """Version of vireid that exported it."""
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the method."""
    height: Side
    width: Side
    embedding_dim: Dim
    grid: tuple[Side, Side] | None = None
    """Parts of the picture that the numbers of an embedding stand for, see `Method.grid`."""
    reads_text: bool = False
    """Whether the run that it was exported from embeds sentences."""
    text: ExportedText | None = None
    """Its reader of sentences, if it was exported too."""
    precision: Precision
    """Number format in which the network computes."""
    engine: Engine = "auto"
    """Engine that it is run by unless another is asked for; see `models.engines`."""
    parity: Parity | None = None
    """How far it is from the model in float32 that it was made from."""
    fingerprint: str
    dataset: str | None = None
    num_identities: Count | None = None
    learnt_in: str | None = None
    imported: Imported | None = None
    """Origin of a model that released code has learnt, see `models.importing`."""
    caveat: str | None = None
    """What whoever reads its answers has to know."""
    licence: str | None = None
    """Licence of the weights, and where they come from."""
    name: str
    files: Mapping[str, str]
    """SHA-256 of the other files of the folder, by name."""

    def __post_init__(self) -> None:
        """Refuse a grid that does not fit the embedding."""
        if self.grid and self.embedding_dim % (self.grid[0] * self.grid[1]):
            raise ValueError("the grid does not fit the length of an embedding")

    def card(self, source: str) -> ModelCard:
        """Return the card, for a model that was opened by a name."""
        return ModelCard(
            name=self.name,
            source=source,
            fingerprint=self.fingerprint,
            precision=self.precision,
            height=self.height,
            width=self.width,
            embedding_dim=self.embedding_dim,
            learnt_in=self.learnt_in,
            caveat=self.caveat,
        )


def read_exported(folder: Path) -> Exported:
    """Read the `model.json` of an exported or shipped model.

    Raises:
        ModelError: It is damaged, or another version's.
    """
    way_out = "export the model again, or copy the whole folder again"
    return documents.read_json(folder / CARD, Exported, way_out, ModelError, formats=[FORMAT])


def learnt_on(folder: Path) -> str:
    """Return the label of the data set that a run or an exported model has learnt on."""
    data = outline_of(folder / "recipe.toml").data
    if data is None or data.dataset is None:
        return "unknown"
    name = datasets.name_of(data.dataset)
    return name if data.trial is None else f"{name} trial {data.trial}"


def chosen(imported: Imported | None) -> str:
    """Return how the weights of a model were chosen among those of all epochs.

    Args:
        imported: Origin of a model that released code has learnt; None for vireid's own.
    """
    return f"imported from {imported.format}, chosen by its authors" if imported else LAST_EPOCH


def caveat_of(imported: Imported | None) -> str | None:
    """Return what whoever reads an imported model's answers has to know, if there is anything."""
    return VISIBLE_ONLY if imported and imported.visible_only else None


def training_of(folder: Path, people: int | None) -> Training | None:
    """Return what a model has learnt from; None where no recipe tells.

    Args:
        folder: A run or an exported model.
        people: Number of people that it has learnt from, if its card tells.
    """
    recipe = outline_of(folder / "recipe.toml")
    if not recipe.data:
        return None
    return Training(recipe.data.learn_from, people, recipe.seed, recipe_hash(folder))


def recipe_hash(folder: Path) -> str | None:
    """Return a hash of what a run was to learn, but for its seed; None where no recipe tells."""
    path = folder / "recipe.toml"
    if not path.exists():
        return None
    table = documents.read_toml(path, dict[str, Any], "learn it anew", ModelError)
    said = {name: value for name, value in table.items() if name not in ABOUT_A_RUN}
    if isinstance(said.get("data"), dict):
        said["data"] = {n: v for n, v in said["data"].items() if n not in ("root", "workers")}
    told = json.dumps(said, sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:16]
