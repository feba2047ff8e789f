"""Runs of training, opened to embed in torch on the fastest device there is."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vireid.method import FromText, Method
from vireid.models import runs
from vireid.models.card import ModelCard, caveat_of
from vireid.models.network import Network, Reader, Text
from vireid.models.runs import Details
from vireid.recipes.recipe import Recipe
from vireid.records import Modality
from vireid.types.arrays import Pictures, Vectors
from vireid.types.tensors import images_of

WORDLESS = (
    "{name} was imported from a checkpoint that holds too few words to read sentences; search by "
    "sentences in a gallery that was indexed by a model which was learnt here"
)


def open_run(
    folder: Path, source: str, original: str, *, trust_code: bool = False
) -> tuple[tuple[ModelCard, Network, Text], Details]:
    """Open the model that a run has learnt; also return what `run.json` says of it.

    Args:
        folder: A run folder.
        source: Name that the model was opened by, for its card.
        original: Name that opens the model which the run began with, for the caveat about
            sentences.
        trust_code: Run the code of a method that is not vireid's.

    Raises:
        VireidError: The run has not finished, its weights are damaged, or its code is not trusted.
    """
    method, recipe = runs.load_method(folder, trust_code=trust_code)
    details = runs.read_details(folder)
    card = card_of(method, recipe, folder.absolute().name, source, details.learnt)
    card = replace(card, learnt_in=details.learnt_in, caveat=caveat_of(details.imported))
    network, read = in_torch(method)
    text = Text(read) if read else Text()
    if isinstance(method, FromText):
        text = Text(read, caveat=method.text_caveat(recipe.settings, card.name, original))
    if details.imported and not details.imported.reads_text:
        text = Text(refusal=WORDLESS)
    return (card, network, text), details


def card_of(method: Method, recipe: Recipe, name: str, source: str, fingerprint: str) -> ModelCard:
    """Return the card of a method of a run."""
    return ModelCard(
        name=name,
        source=source,
        fingerprint=fingerprint,
        precision="float32",
        height=recipe.data.height,
        width=recipe.data.width,
        embedding_dim=method.embedding_dim,
    )


def open_checkpoint(
    folder: Path, source: str, *, trust_code: bool = False
) -> tuple[tuple[ModelCard, Network, Text], Details, str]:
    """Open what a run has learnt so far; also return what `run.json` says, and where it stood.

    Raises:
        VireidError: No run folder, or it has saved no checkpoint yet.
    """
    method, recipe, stood = runs.load_checkpoint(folder, trust_code=trust_code)
    details = runs.read_details(folder)
    about = recipe.settings, recipe.data.height, recipe.data.width, method.state_dict()
    mark = runs.model_fingerprint(recipe.method, *about)
    card = card_of(method, recipe, f"{folder.absolute().name} ({stood})", source, mark)
    network, read = in_torch(method)
    text = Text(read) if read else Text()
    return (replace(card, learnt_in=details.learnt_in), network, text), details, stood


def open_original(
    run: Path, source: str, *, trust_code: bool = False
) -> tuple[ModelCard, Network, Text]:
    """Open the model of pictures and sentences that a run began with.

    Raises:
        VireidError: No run folder, it did not begin with such a model, or that cannot be had again.
    """
    model, recipe = runs.load_original(run, trust_code=trust_code)
    height, width = recipe.data.height, recipe.data.width
    card = ModelCard(
        name=f"original of {run.absolute().name}",
        source=source,
        fingerprint=runs.model_fingerprint("original", {}, height, width, model.state_dict()),
        precision="float32",
        height=height,
        width=width,
        embedding_dim=model.embedding_dim,
    )
    network, read = in_torch(model)
    return card, network, Text(read)


def in_torch(model: Any) -> tuple[Network, Reader | None]:
    """Return a function that embeds pictures, and one that embeds sentences or None."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device).eval()

    def embed(pictures: Pictures, modality: Modality) -> Vectors:
        images = images_of(torch.from_numpy(pictures).to(device))
        with torch.inference_mode():
            return np.asarray(model.embed(images, modality).cpu().numpy())

    def read(sentences: Sequence[str]) -> Vectors:
        with torch.inference_mode():
            return np.asarray(model.embed_text(sentences).cpu().numpy())

    return embed, read if hasattr(model, "embed_text") else None
