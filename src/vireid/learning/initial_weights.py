"""The weights that a run begins with, and whether it may begin with them."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import fields
from itertools import accumulate

import torch
from torch import Tensor

from vireid import datasets
from vireid.datasets import Dataset
from vireid.files.untrusted import is_file
from vireid.learning.loop import seed_of
from vireid.method import Method
from vireid.models import runs
from vireid.models.card import CARD, read_exported
from vireid.models.opening import folder_of, is_shipped
from vireid.models.runs import RunError
from vireid.recipes import recipe as recipes
from vireid.recipes.recipe import DataOutline, Recipe

log = logging.getLogger(__name__)


def build(recipe: Recipe, num_identities: int, *, anew: bool = True) -> Method:
    """Return the method before its first step; one with a checkpoint needs no other weights."""
    torch.manual_seed(seed_of(recipe.seed, "weights"))
    method = runs.build(recipe, num_identities, pretrained=anew)
    if recipe.start_from and anew:
        start_from(method, recipe.start_from)
    return method


def check_read(recipe: Recipe) -> None:
    """Refuse, for a new run, a file of weights beside `pretrained = false`: nobody would read it.

    A run that is opened again may have both, as it needs the file no more.

    Raises:
        RunError: The recipe has both.
    """
    settings = recipe.settings
    weights = getattr(settings, "weights", None)
    usual = {field.name: field.default for field in fields(settings)}.get("weights")
    if not getattr(settings, "pretrained", True) and weights not in (None, usual):
        raise RunError(
            f"settings.weights is '{weights}', but settings.pretrained is false, so it would not "
            "be read; set settings.pretrained to true, or leave settings.weights out"
        )


def start_from(method: Method, source: str) -> None:
    """Give a method the weights of another run where name and shape are the same.

    Args:
        method: Method to change in place; weights that do not fit stay, and are logged by name.
        source: A shipped model (`small`), a run folder, or an exported model.

    Raises:
        RunError: There are no such weights, or fewer than half of them fit the method.
    """
    state, own = _weights(source), method.state_dict()
    fitting = {name: v for name, v in state.items() if name in own and own[name].shape == v.shape}
    if len(fitting) < len(state) / 2:
        raise RunError(
            f"of the {len(state)} weights in {source}, {len(fitting)} fit this method; "
            "use its [settings] (trunk, width), or leave out start_from"
        )
    fresh = method.load_state_dict(fitting, strict=False).missing_keys
    log.info("%d weights from %s", len(fitting), source)
    if fresh:
        log.info("left fresh: %s", ", ".join(_whole_parts(fresh, fitting)))


def check(recipe: Recipe, dataset: Dataset) -> None:
    """Refuse weights that have seen people whom this run is to be scored on.

    Shipped models are accepted: their training people are in no other set.
    """
    source, passed = recipe.start_from, set[str]()
    while source and source not in passed and not is_shipped(source):
        earlier = recipes.outline_of(folder_of(source) / "recipe.toml")
        data = earlier.data or DataOutline()
        learnt_on = datasets.name_of(data.dataset or "unknown")
        if learnt_on == dataset.name and data.trial != dataset.trial:
            raise RunError(
                f"start_from leads to {source}, which has learnt on trial {data.trial} of "
                f"{dataset.name}, and with it from people that trial {dataset.trial} is scored on; "
                "start from other weights"
            )
        if recipe.data.learn_from == "train" and learnt_on in ("unknown", dataset.name):
            _check_left_out(source, data.learn_from, dataset)
        passed.add(source)
        source = earlier.start_from


def _check_left_out(source: str, learnt_from: str, dataset: Dataset) -> None:
    if learnt_from != "train":
        raise RunError(
            f"start_from leads to {source}, which may have learnt from the validation people of "
            f"{dataset.label}, so that they could not judge this run; start from other weights, "
            "such as those of a run with --validate"
        )


def _whole_parts(fresh: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return names of weights, or of a part where all weights of that part are fresh."""

    def part(name: str) -> str:
        above = accumulate(name.split("."), "{}.{}".format)
        return next(p for p in above if p == name or not any(k.startswith(f"{p}.") for k in known))

    return sorted(set(map(part, fresh)))


def _weights(source: str) -> dict[str, Tensor]:
    folder = folder_of(source)
    path = folder / runs.WEIGHTS
    if not is_file(path):
        why = "is that run finished?"
        if (folder / CARD).exists():
            why = "start from one of the models that it was made of"
        raise RunError(f"start_from is '{source}', but there is no {path}; {why}")
    files: Mapping[str, str] = {}
    if (folder / CARD).exists():
        files = read_exported(folder).files
    elif (folder / runs.RUN).exists():
        files = runs.read_details(folder).files
    return runs.read_weights(path, files.get(runs.WEIGHTS))
