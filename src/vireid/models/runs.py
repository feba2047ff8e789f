"""The folder that a run leaves behind.

recipe.toml        what was asked for, defaults too
user_code.json     of a method or a data set that is not vireid's: whence, and its hash; the file
                   itself lies beside it
run.json           what it was run with: versions, data set, numbers of people and pictures,
                   precision; whether it has finished, and the fingerprint of what was learnt
log.txt            what was said
losses.jsonl       one line an epoch
measures.jsonl     what stages measured, where they do
checkpoint.pt      all that is needed to go on
model.safetensors  the weights at the end
scores.json        written by `vireid evaluate`
calibration.json   written by `vireid calibrate`
"""

import dataclasses
import hashlib
import json
import logging
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import torch
from msgspec import Meta
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from vireid import __version__, methods
from vireid.errors import VireidError
from vireid.files import documents, torch_files, user_code
from vireid.files.atomic import new_folder, write_whole, writing_to
from vireid.files.documents import Count
from vireid.files.torch_files import UnreadableError
from vireid.files.untrusted import open_plain, what_is_wrong
from vireid.method import FromText, Method
from vireid.recipes import recipe as recipes
from vireid.recipes.recipe import Imported, Recipe

log = logging.getLogger(__name__)
FORMAT = 1
RUN = "run.json"
WEIGHTS = "model.safetensors"
CHECKPOINT = "checkpoint.pt"
WAY_OUT = "copy the whole folder again, or learn it anew"
MOST_PEOPLE = 1_000_000
"""Largest number of people that a run has learnt from; each takes a row of weights."""


class RunError(VireidError):
    """A folder that is no run, a run that has not finished, or one of another recipe."""


@dataclass(frozen=True, kw_only=True)
class Details:
    """The content of `run.json`: what a run was begun with, and what came of it."""

    format: int = FORMAT
    vireid: str | None = None
    python: str | None = None
    torch: str | None = None
    platform: str | None = None
    """Versions of vireid, Python, torch and the operating system that began it."""
    host: str | None = None
    """Name of the machine that began it."""
    device: str | None = None
    """Device, and number of processes, that began it."""
    commit: str | None = None
    """Commit of the Git repository in which it was begun; ends in + where files were changed."""
    began: datetime | None = None
    ended: datetime | None = None
    """Times in UTC; None for the latter before the run has finished."""
    dataset: str | None = None
    trial: int | None = None
    data: str | None = None
    """Fingerprint of the pictures learnt from."""
    num_identities: Annotated[int, Meta(ge=1, le=MOST_PEOPLE)]
    pictures: Count | None = None
    """Number of the pictures learnt from."""
    learnt_in: str | None = None
    """Precision of the forward passes."""
    imported: Imported | None = None
    """Origin of weights that released code has learnt, see `models.importing`."""
    finished: bool = False
    fingerprint: str | None = None
    """Fingerprint of what was learnt; None before the run has finished."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the weights' file, by its name; empty before the run has finished."""

    def __post_init__(self) -> None:
        if self.finished and self.fingerprint is None:
            raise ValueError("it says that the run has finished, but not its fingerprint")

    @property
    def learnt(self) -> str:
        """Fingerprint of what was learnt; the run has to have finished."""
        assert self.fingerprint is not None
        return self.fingerprint


def model_fingerprint(
    method: str, settings: Any, height: int, width: int, state: Mapping[str, Tensor]
) -> str:
    """Return 16 hexadecimal digits that are equal for models that embed alike.

    Args:
        method: Name of the method; a file of user code counts with its content.
        settings: Settings of the method, as its `Config` or as a mapping.
        height: Rows of the pictures that it is given.
        width: Columns of these pictures.
        state: `method.state_dict()`.
    """
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        settings = dataclasses.asdict(settings)
    details = {
        "method": user_code.identity(method),
        "settings": settings,
        "height": height,
        "width": width,
    }
    digest = hashlib.sha256(json.dumps(details, sort_keys=True).encode())
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        values = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(values.view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def next_folder(name: str, below: Path = Path("runs")) -> Path:
    """Return a folder for a new run of a recipe: `runs/<name>-<n>`, with the next free n."""
    return below / f"{name}-{max(_numbers(name, below), default=0) + 1}"


def last_folder(name: str, below: Path = Path("runs")) -> Path:
    """Return the folder of the latest run of a recipe.

    Raises:
        RunError: There is none.
    """
    numbers = _numbers(name, below)
    if not numbers:
        raise RunError(f"there is no run of {name} in {below} to resume; give its folder by --out")
    return below / f"{name}-{max(numbers)}"


def _numbers(name: str, below: Path) -> list[int]:
    pattern = re.compile(re.escape(name) + r"-(\d+)")
    found = (pattern.fullmatch(path.name) for path in below.glob("*"))
    return [int(match[1]) for match in found if match]


def start(folder: Path, recipe: Recipe, details: Details) -> None:
    """Make the folder of a new run.

    A folder that does not exist appears whole, so a process that is killed meanwhile leaves none.
    One that exists is filled where it is: it may be a mount point.

    Args:
        folder: Folder that does not exist, or is empty.
        recipe: Recipe to write into it.
        details: What is known of it, to write into it; its versions are filled in.

    Raises:
        RunError: There is something already, be it a single file of the user's.
        VireidError: The folder cannot be written.
    """
    if folder.exists() and not is_empty(folder):
        raise RunError(
            f"{folder} exists already; go on with that run by --resume, "
            "or start another in a new folder by --out"
        )
    with writing_to(folder), nullcontext(folder) if folder.exists() else new_folder(folder) as new:
        user_code.keep(_named(recipe), new)
        write_whole(new / "recipe.toml", recipes.as_toml(_beside_code(recipe)).encode())
        documents.write_json(new / RUN, _with_versions(details))


def is_empty(folder: Path) -> bool:
    """Whether a folder exists and holds nothing, so that a run may begin in it."""
    return folder.is_dir() and not any(folder.iterdir())


def check_same(folder: Path, recipe: Recipe, details: Details | None = None) -> None:
    """Refuse to resume a run under another recipe or on other data.

    Args:
        folder: Of the run.
        recipe: Under which it is to be resumed.
        details: About the data that it is to be resumed on; None if they do not matter any more.

    Raises:
        RunError: It differs; the message says in what.
    """
    old_details = read_details(folder)
    _check_same_code(folder, recipe)
    old_recipe = read_recipe(folder, trust_code=True)
    old, new = (_beside_code(each).as_dict() for each in (old_recipe, recipe))
    changed = recipes.differences(old, new)
    for harmless in HARMLESS:
        changed.pop(harmless, None)
    for name in OF_THE_DATA if details else ():
        before, now = getattr(old_details, name), getattr(details, name)
        if before != now:
            changed[name] = (before, now)
    if changed:
        told = "; ".join(f"{k} was {was}, is now {now}" for k, (was, now) in changed.items())
        raise RunError(
            f"{folder} cannot be resumed: {told}; resume with its own {folder / 'recipe.toml'}, "
            "or start another run by --out"
        )


def _check_same_code(folder: Path, recipe: Recipe) -> None:
    """Check that the user code of a run is that which the resuming recipe names."""
    changed = user_code.changed(_named(recipe), folder)
    if changed:
        raise RunError(
            f"{folder} cannot be resumed: {', '.join(changed)} is not what the run began with; "
            f"resume with its own {folder / 'recipe.toml'}, or start another run by --out"
        )


OF_THE_DATA = ("dataset", "trial", "data", "num_identities", "pictures")
"""Details in which a run may not change between its parts."""
HARMLESS = ("data.root", "data.workers", "save_minutes", "tensorboard", "validate_every")
"""Settings that may change between parts of a run: what is learnt does not depend on them."""


def finish(folder: Path, method: Method, recipe: Recipe) -> None:
    """Write the final weights of a run, and that it has finished."""
    state = {name: value.detach().cpu().contiguous() for name, value in method.state_dict().items()}
    mark = _fingerprint(recipes.read_back(recipe), state)
    weights = save(state, {"fingerprint": mark})
    write_whole(folder / WEIGHTS, weights)
    files = {WEIGHTS: hashlib.sha256(weights).hexdigest()}
    now = datetime.now(UTC)
    details = replace(read_details(folder), finished=True, fingerprint=mark, files=files, ended=now)
    documents.write_json(folder / RUN, details)


def load_method(folder: Path, *, trust_code: bool = False) -> tuple[Method, Recipe]:
    """Return the method that a run has learnt, on the CPU in eval mode, and its recipe.

    Raises:
        RunError: No run folder, it has not finished, or the fingerprint of what was loaded is not
            that of what was learnt.
        VireidError: What `read_recipe` raises.
    """
    recipe, details = read_recipe(folder, trust_code=trust_code), read_details(folder)
    if not details.finished:
        raise RunError(
            f"the run in {folder} has not finished; "
            f"finish it with: vireid train {folder / 'recipe.toml'} --out {folder} --resume, or "
            f"take what it has learnt so far: checkpoint:{folder}"
        )
    # User code has a hash of its own, and settings that its class alone can read as they were.
    own = user_code.parse(recipe.method) is None
    state = read_weights(folder / WEIGHTS, None if own else details.files.get(WEIGHTS))
    if own:
        _check_fingerprint(folder, recipe, details, state)
    try:
        method = build(recipe, details.num_identities, pretrained=False)
        method.load_state_dict(state)
    except (RuntimeError, MemoryError) as error:
        reason = " ".join(str(error).splitlines()[:2])
        raise RunError(
            f"the weights in {folder} are not those of its recipe ({reason}); {WAY_OUT}"
        ) from error
    return method.eval(), recipe


def _git(*words: str) -> str:
    ran = subprocess.run(
        ["git", *words], capture_output=True, text=True, timeout=10, check=True, errors="replace"
    )
    return ran.stdout.strip()


def load_checkpoint(folder: Path, *, trust_code: bool = False) -> tuple[Method, Recipe, str]:
    """Return the method of a run as its last checkpoint has it, the recipe, and where it stood.

    Raises:
        RunError: No run folder, or no checkpoint of it.
        VireidError: What `read_recipe` raises.
    """
    recipe, details = read_recipe(folder, trust_code=trust_code), read_details(folder)
    path = folder / CHECKPOINT
    if not path.exists():
        raise RunError(f"there is no {path}: the run has not saved where it stands yet")
    try:
        content = torch_files.read(path)
        stage, epoch, step = (content["position"][part] for part in ("stage", "epoch", "step"))
        method = build(recipe, details.num_identities, pretrained=False)
        method.load_state_dict(content["method"])
    except (UnreadableError, OSError, RuntimeError, TypeError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).splitlines()[:2])
        raise RunError(f"{path} is damaged or another run's ({reason}); {WAY_OUT}") from error
    return method.eval(), recipe, f"unfinished: stage {stage + 1}, epoch {epoch}, step {step}"


def _check_fingerprint(
    folder: Path, recipe: Recipe, details: Details, state: Mapping[str, Tensor]
) -> None:
    loaded = _fingerprint(recipe, state)
    if details.fingerprint in (loaded, _former_fingerprint(folder, recipe, state)):
        return
    told = (
        f"{folder / WEIGHTS}, recipe.toml or {RUN} is damaged or changed: they make a "
        f"model of fingerprint {loaded}, and {details.learnt} was learnt; {WAY_OUT}"
    )
    if details.files:
        raise RunError(told)
    log.warning("%s (unless it was learnt from Python, by an older vireid)", told)


def _fingerprint(recipe: Recipe, state: Mapping[str, Tensor]) -> str:
    data = recipe.data
    return model_fingerprint(recipe.method, recipe.settings, data.height, data.width, state)


def _former_fingerprint(folder: Path, recipe: Recipe, state: Mapping[str, Tensor]) -> str:
    """Return the fingerprint without settings that a method did not have when the run was begun.

    A run writes down all that are not None, so its recipe lacks those that have come since.
    """
    written = recipes.outline_of(folder / "recipe.toml").settings
    known = {
        name: value
        for name, value in dataclasses.asdict(recipe.settings).items()
        if name in written or value is None
    }
    data = recipe.data
    return model_fingerprint(recipe.method, known, data.height, data.width, state)


def read_weights(path: Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Return the tensors in a safetensors file.

    Args:
        path: Of the file.
        sha256: Of the file as it was written, to find damage; None where nothing tells it.

    Raises:
        RunError: It is not there, or damaged.
    """
    try:
        with open_plain(path) as file:
            if sha256 and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise RunError(f"{path} is damaged: it is not the file that was written; {WAY_OUT}")
            return load_file(path)
    except OSError as error:
        raise RunError(f"{path} {what_is_wrong(path, error)}; {WAY_OUT}") from error
    except SafetensorError as error:
        raise RunError(f"{path} is damaged ({error}); {WAY_OUT}") from error


def load_original(folder: Path, *, trust_code: bool = False) -> tuple[Any, Recipe]:
    """Return the CLIP that a run began with, a `PlainCLIP` on the CPU, and the run's recipe.

    The run need not have finished.

    Raises:
        VireidError: No run folder, it did not begin with a CLIP, or that cannot be had again.
    """
    recipe = read_recipe(folder, trust_code=trust_code)
    method = methods.find(recipe.method)
    if not issubclass(method, FromText):
        raise RunError(
            f"{folder} is a run of {recipe.method}, which does not begin with a CLIP; give a run "
            "of clip4vi_reid after original:"
        )
    return method.original(recipe.settings).eval(), recipe


def build(recipe: Recipe, num_identities: int, *, pretrained: bool = True) -> Method:
    """Return the method of a recipe.

    Args:
        recipe: Recipe that names the method and its settings.
        num_identities: Number of people to learn from.
        pretrained: With false nothing is downloaded, for weights that are loaded anyway: a
            `Config` that has a field of this name is given false.
    """
    settings = recipe.settings
    if not pretrained and hasattr(settings, "pretrained"):
        settings = dataclasses.replace(settings, pretrained=False)
    return methods.find(recipe.method)(settings, num_identities)


def read_recipe(folder: Path, *, trust_code: bool = False) -> Recipe:
    """Return the recipe of a run.

    Args:
        folder: A run folder.
        trust_code: Run the code of a method that is not vireid's, which lies in the folder or is
            installed.

    Raises:
        VireidError: No run folder, or its method or data set is not vireid's and nobody trusts it.
    """
    _check_is_run(folder)
    path = folder / "recipe.toml"
    outline = recipes.outline_of(path)
    named = (outline.method, outline.data.dataset if outline.data else None)
    names = [name for name in named if name is not None]
    user_code.check_trusted(names, folder, trust_code=trust_code)
    return recipes.read(path)


def _named(recipe: Recipe) -> tuple[str, str]:
    return recipe.method, recipe.data.dataset


def _beside_code(recipe: Recipe) -> Recipe:
    """Return the recipe as a run keeps it: user code lies beside it."""
    method, dataset = map(user_code.shown, _named(recipe))
    data = dataclasses.replace(recipe.data, dataset=dataset)
    return dataclasses.replace(recipe, method=method, data=data)


def read_details(folder: Path) -> Details:
    """Return the content of run.json.

    Raises:
        RunError: No run folder, or its run.json is damaged or of another version.
    """
    _check_is_run(folder)
    return documents.read_json(folder / RUN, Details, WAY_OUT, RunError, formats=[FORMAT])


def _check_is_run(folder: Path) -> None:
    for name in ("recipe.toml", RUN):
        if not os.path.lexists(folder / name):  # a link that leads nowhere is told when it is read
            raise RunError(f"{folder} is not a run folder: it has no {name}")


def _with_versions(details: Details) -> Details:
    return replace(
        details,
        vireid=__version__,
        python=platform.python_version(),
        torch=str(torch.__version__),
        platform=platform.platform(),
        host=platform.node(),
        commit=_commit(),
        began=datetime.now(UTC),
    )


def _commit() -> str | None:
    """Return the commit of the Git repository of this folder; None where there is none."""
    try:
        head = _git("rev-parse", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None
