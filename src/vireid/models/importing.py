"""A checkpoint that released code has written, as a run of vireid.

The run has the same weights under vireid's names, and embeds the same pictures to the same vectors.
It is scored, indexed with, exported and trained on from like any other; `run.json` says under
`imported` where it comes from.
"""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vireid.files import torch_files
from vireid.files.atomic import check_is_new, new_folder, writing_to
from vireid.files.checksums import sha256_of
from vireid.files.torch_files import UnreadableError
from vireid.method import Method
from vireid.models import import_formats, runs
from vireid.models.card import VISIBLE_ONLY
from vireid.models.import_formats._translation import CannotImportError, State, Translation, some
from vireid.recipes import recipe as recipes
from vireid.recipes.recipe import Recipe

UNKNOWN = "unknown"
"""Data set of a checkpoint of which nobody says what it has learnt on."""
PLACES = ("net", "state_dict", "model", "model_state_dict")
"""Names under which released code keeps weights beside other things."""
PARALLEL = re.compile("^(module\\.)+")
"""Prefix of names in states that DataParallel wrote."""
STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class Imported:
    """What was made of a checkpoint, and what a person has to know of it."""

    taken: int
    """Number of weights that were taken over."""
    identities: int | None
    """Number of people that its classifier tells apart; None where it has none any more."""
    left: Mapping[str, Sequence[str]]
    """Names of the weights that were not, by the reason."""
    remarks: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return what a person has to know of it, a line each."""
        lost = "it has no classifier any more, which embedding does not need"
        known = f"its classifier tells {self.identities} people apart"
        told = [lost if self.identities is None else known]
        told += [f"left out: {some(names)} ({reason})" for reason, names in self.left.items()]
        return [*told, *(f"taken for granted: {remark}" for remark in self.remarks)]


@dataclass(frozen=True)
class _Checkpoint:
    weights: dict[str, Tensor]
    beside: tuple[str, ...]
    """Names of what lies beside the weights: scores, the epoch, an optimizer."""


def import_checkpoint(
    name: str,
    path: Path,
    out: Path,
    overrides: Sequence[str] = (),
    *,
    without: Sequence[str] = (),
) -> Imported:
    """Write a run folder with the weights of a checkpoint; it appears whole or not at all.

    Args:
        name: Name of the format, see `vireid.models.import_formats`.
        path: A file that `torch.save` has written, or safetensors. Nothing in it is run.
        out: The folder to write.
        overrides: `key=value` as for a recipe: `data.dataset=sysu_mm01`, `data.height=384`.
        without: Beginnings of names of weights that are left out although the format does not know
            them.

    Raises:
        VireidError: The folder exists, the file is damaged, or vireid has not the same network.
    """
    check_is_new(out, CannotImportError)
    form = import_formats.find(name)
    checkpoint = _read(path)
    try:
        translation = form.translate(checkpoint.weights)
        left = _left(checkpoint, translation, without)
    except CannotImportError as error:
        raise CannotImportError(f"{path} cannot be imported as {name}: {error}") from None
    recipe = _recipe(translation, overrides)
    method = _filled(translation, recipe, path)
    origin = recipes.Imported(
        format=name,
        repository=form.ADDRESS,
        file=path.name,
        sha256=sha256_of(path),
        reads_text=translation.reads_text,
        visible_only=translation.visible_only,
    )
    details = runs.Details(
        dataset=recipe.data.dataset,
        num_identities=translation.identities or 1,
        imported=origin,
    )
    with writing_to(out), new_folder(out) as folder:
        runs.start(folder, recipe, details)
        runs.finish(folder, method, recipe)
    taken = len(translation.taken)
    remarks = translation.remarks
    if translation.visible_only:
        remarks = (*remarks, f"{VISIBLE_ONLY}; start_from in a recipe goes on from it")
    return Imported(taken, translation.identities, left, remarks)


def _read(path: Path) -> _Checkpoint:
    """Return the weights of a file, in float32 where they are narrower."""
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            content = torch_files.read(path, leave_objects=True)
    except (UnreadableError, SafetensorError, OSError) as error:
        raise CannotImportError(
            f"{path} is damaged or no checkpoint ({error}); one that torch wrote before 1.6 has to "
            "be loaded and saved anew by a later one"
        ) from error
    found = content if isinstance(content, dict) else {}
    place = next((p for p in PLACES if isinstance(found.get(p), dict)), None)
    named = found[place] if place else found
    weights = {PARALLEL.sub("", str(k)): v for k, v in named.items() if isinstance(v, Tensor)}
    if not weights:
        raise CannotImportError(f"{path} holds no weights by name")
    _check_finite(weights, path)
    beside = [k for k, v in named.items() if not isinstance(v, Tensor)]
    beside += [k for k in found if place and k != place]
    return _Checkpoint(weights, tuple(map(str, beside)))


def _check_finite(weights: State, path: Path) -> None:
    broken = sorted(name for name, value in weights.items() if not value.isfinite().all())
    if broken:
        raise CannotImportError(
            f"{path} holds numbers that are infinite or none at all, in {some(broken)}"
        )


def _left(
    checkpoint: _Checkpoint, translation: Translation, without: Sequence[str]
) -> dict[str, list[str]]:
    """Return what is not taken over, by the reason.

    Raises:
        CannotImportError: There is a weight that the format does not know.
    """
    left: dict[str, list[str]] = {}
    unknown: list[str] = []
    reasons = {**dict.fromkeys(without, "left out as asked"), **translation.unused}
    for name in checkpoint.weights:
        if name in translation.taken:
            continue
        reason = next((r for begin, r in reasons.items() if name.startswith(begin)), None)
        if reason is None:
            unknown.append(name)
        else:
            left.setdefault(reason, []).append(name)
    if unknown:
        first = unknown[0].partition(".")[0]
        raise CannotImportError(
            f"it has {some(unknown)} too, which this format has not, so it is another network; if "
            f"these take no part in embedding, leave them out by --without {first}"
        )
    if checkpoint.beside:
        left["no weights"] = list(checkpoint.beside)
    return left


def _recipe(translation: Translation, overrides: Sequence[str]) -> Recipe:
    """Return the recipe of the run, as if the network had been learnt by it."""
    data = {"dataset": UNKNOWN, "height": translation.height, "width": translation.width}
    table = {"method": translation.method, "data": data, "settings": dict(translation.settings)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "recipe.toml"
        file.write_text(tomli_w.dumps(table), encoding="utf-8")
        return recipes.read(file, overrides)


def _filled(translation: Translation, recipe: Recipe, path: Path) -> Method:
    """Return the method with the weights of a checkpoint.

    Raises:
        CannotImportError: Weights are missing, or of another shape.
    """
    method = runs.build(recipe, translation.identities or 1, pretrained=False)
    own = method.state_dict()
    needed = {name for name, _ in method.named_parameters()}
    needed |= {name for name in own if name.endswith(STATISTICS)}
    missing = sorted(
        name
        for name in needed - translation.weights.keys()
        if not name.startswith(translation.fresh)
    )
    other = [
        f"{name} {list(value.shape)} instead of {list(own[name].shape)}"
        for name, value in translation.weights.items()
        if name in own and own[name].shape != value.shape
    ]
    foreign = sorted(translation.weights.keys() - own.keys())
    faults = {
        "are missing": missing,
        "are of another shape": other,
        "have no place in it": foreign,
    }
    if told := [f"{some(names)} {fault}" for fault, names in faults.items() if names]:
        raise CannotImportError(
            f"{path} does not fit a network with these settings: {'; '.join(told)} (vireid's names)"
        )
    method.load_state_dict(translation.weights, strict=False)
    return method.eval()
