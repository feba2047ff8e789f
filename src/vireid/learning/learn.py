"""From a recipe to a run folder: what `vireid train` does."""

import dataclasses
import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vireid import datasets, records, runs
from vireid import recipe as recipes
from vireid.datasets import Dataset
from vireid.errors import VireidError
from vireid.learning.devices import this_process
from vireid.learning.journal import console
from vireid.learning.loop import CHECKPOINT, fit, seed_of
from vireid.method import Method
from vireid.models.embedding import SHIPPED
from vireid.recipe import Recipe
from vireid.records import ImageRecord
from vireid.runs import RunError
from vireid.training_data.loading import PackedTrainingData
from vireid.whole_files import writing_to

log = logging.getLogger(__name__)


def learn(recipe: Recipe, folder: Path, *, resume: bool = False) -> Method:
    """Do what a recipe says, and leave a run folder behind.

    Args:
        recipe: What to learn, from what, how.
        folder: New or empty; with `resume`, that of a run of this recipe.
        resume: Go on where the run stands.

    Raises:
        VireidError: There is a run already, or it is another's; data or weights are missing.
    """
    process = this_process()
    dataset = datasets.read(recipe.data.dataset, recipe.data.root, recipe.data.trial)
    recipe = _of_trial(recipe, dataset.trial)
    _check_start(recipe, dataset)
    data = _open(dataset, recipe, process)
    facts = _facts(dataset, data)
    if resume:
        runs.check_same(folder, recipe, facts)
    elif process.is_main_process:
        runs.start(folder, recipe, facts)
    process.wait_for_everyone()
    mine = process.is_main_process and not resume
    log_file = folder / "log.txt" if process.is_main_process else None
    with _removed_if_nothing_learnt(folder) if mine else nullcontext(), logging_to(log_file):
        log.info("%s: %d people on %d pictures of %s", folder, *_sizes(data), dataset.label)
        method = begin(recipe, data.num_identities, anew=not (folder / CHECKPOINT).exists())
        fit(
            method,
            data,
            folder,
            seed=recipe.seed,
            precision=recipe.precision,
            save_minutes=recipe.save_minutes,
            resume=resume,
            tensorboard=recipe.tensorboard,
        )
        if process.is_main_process:
            runs.finish(folder, method)
            validate = " --validate" if recipe.data.learn_from == "train" else ""
            way = f"vireid evaluate {folder}{validate}"
            log.info("%s has finished; score it with: %s", folder, way)
    return method


def learn_trials(
    recipe: Recipe, folder: Path, trials: Sequence[int], *, resume: bool = False
) -> None:
    """One run for every split of a data set, in folders `trial-<number>`.

    Args:
        recipe: What to learn, from what, how; all but the number of the split.
        folder: Of these folders.
        trials: Numbers of splits.
        resume: Leave runs that have finished, go on with one that was broken off, begin the rest.

    Raises:
        VireidError: What `learn` raises.
    """
    folders = {trial: folder / f"trial-{trial}" for trial in trials}
    begun = {trial for trial in trials if resume and (folders[trial] / "run.json").exists()}
    this_process().wait_for_everyone()
    for trial in trials:
        learn(_of_trial(recipe, trial), folders[trial], resume=trial in begun)


def folder_for(name: str, *, resume: bool) -> Path:
    """The folder of a run whose folder nobody has named; the same in every process."""
    chosen: list[Any] = [None]
    if this_process().is_main_process:
        chosen = [runs.last_folder(name) if resume else runs.next_folder(name)]
    return Path(broadcast_object_list(chosen)[0])


@contextmanager
def logging_to(path: Path | None) -> Iterator[None]:
    """Show what vireid says on the console and append it to a file; without one, warnings only."""
    logger = logging.getLogger("vireid")
    handlers: list[logging.Handler] = [_ToConsole(logging.INFO if path else logging.WARNING)]
    if path is not None:
        file = _ToFile(path, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s  %(message)s"))
        handlers.append(file)
    before = logger.level
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(before)
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def start_from(method: Method, source: str) -> None:
    """Give a method the weights of another run where name and shape are the same.

    Args:
        method: Changed in place; what does not fit stays as it is, and is logged by name.
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


def _of_trial(recipe: Recipe, trial: int | None) -> Recipe:
    """With the number of the split, so that what was learnt knows whom it has seen."""
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, trial=trial))


def _check_start(recipe: Recipe, dataset: Dataset) -> None:
    """Weights that have seen people whom this run is to be scored on may not begin it.

    What comes with the package has learnt from people who are in no set but its own.
    """
    source, passed = recipe.start_from, set[str]()
    while source and source not in passed and not _is_shipped(source):
        earlier = recipes.table_of(_folder_of(source) / "recipe.toml")
        data = {"learn_from": "train and validation", **earlier.get("data", {})}
        if data.get("dataset") == dataset.name and data.get("trial") != dataset.trial:
            raise RunError(
                f"start_from leads to {source}, which has learnt on trial {data.get('trial')} of "
                f"{dataset.name}, and with it from people that trial {dataset.trial} is scored on; "
                "start from other weights"
            )
        if recipe.data.learn_from == "train" and data.get("dataset", dataset.name) == dataset.name:
            _check_left_out(source, data["learn_from"], dataset)
        passed.add(source)
        source = earlier.get("start_from")


def _check_left_out(source: str, learnt_from: str, dataset: Dataset) -> None:
    if learnt_from != "train":
        raise RunError(
            f"start_from leads to {source}, which may have learnt from the validation people of "
            f"{dataset.label}, so that they could not judge this run; start from other weights, "
            "such as those of a run with --validate"
        )


def _whole_parts(fresh: Iterable[str], known: Iterable[str]) -> list[str]:
    """Names of weights; where all of a part are fresh, the name of that part instead."""

    def part(name: str) -> str:
        above = accumulate(name.split("."), "{}.{}".format)
        return next(p for p in above if p == name or not any(k.startswith(f"{p}.") for k in known))

    return sorted(set(map(part, fresh)))


def begin(recipe: Recipe, num_identities: int, *, anew: bool = True) -> Method:
    """The method before its first step; one that is given a checkpoint needs no other weights."""
    torch.manual_seed(seed_of(recipe.seed, "weights"))
    method = runs.build(recipe, num_identities, pretrained=anew)
    if recipe.start_from and anew:
        start_from(method, recipe.start_from)
    return method


@contextmanager
def _removed_if_nothing_learnt(folder: Path) -> Iterator[None]:
    """A run that could not begin leaves no folder in the way of the next try."""
    try:
        yield
    except VireidError:
        if not any((folder / name).exists() for name in (CHECKPOINT, "losses.jsonl")):
            shutil.rmtree(folder)
        raise


def _is_shipped(source: str) -> bool:
    return source == Path(source).name and (SHIPPED / source).is_dir()


def _folder_of(source: str) -> Path:
    return SHIPPED / source if _is_shipped(source) else Path(source)


def _weights(source: str) -> dict[str, Tensor]:
    path = _folder_of(source) / "model.safetensors"
    if not path.is_file():
        raise RunError(f"start_from is '{source}', but there is no {path}; is that run finished?")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise RunError(f"{path} is damaged: {error}") from error


def _open(dataset: Dataset, recipe: Recipe, process: PartialState) -> PackedTrainingData:
    data = recipe.data
    return PackedTrainingData(
        _learnt_from(dataset, recipe),
        height=data.height,
        width=data.width,
        root=dataset.root,
        augmentation=recipe.augmentation,
        seed=recipe.seed,
        steps_per_epoch=data.steps_per_epoch,
        unpaired=data.unpaired,
        unreadable=data.unreadable,
        known=partial(datasets.people, dataset),
        rank=process.process_index,
        world=process.num_processes,
        workers=data.workers,
    )


def _learnt_from(dataset: Dataset, recipe: Recipe) -> tuple[ImageRecord, ...]:
    if recipe.data.learn_from == "train and validation":
        return dataset.train + dataset.validation
    if not dataset.validation:
        raise RunError(
            f"{dataset.label} has no validation people to leave out; train without --validate and "
            "data.learn_from"
        )
    return dataset.train


def _facts(dataset: Dataset, data: PackedTrainingData) -> dict[str, Any]:
    people, pictures = _sizes(data)
    return {
        "dataset": dataset.name,
        "trial": dataset.trial,
        "data": records.fingerprint(data.records, dataset.root),
        "num_identities": people,
        "pictures": pictures,
    }


def _sizes(data: PackedTrainingData) -> tuple[int, int]:
    return data.num_identities, len(data.records)


class _ToFile(logging.FileHandler):
    """What cannot be written stops the run, in place of a traceback for each message."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002  as logging has it
        with writing_to(Path(self.baseFilename), "make room and go on with --resume"):
            raise  # logging calls this where it has caught the error

    def close(self) -> None:
        """What could not be written has been told."""
        with suppress(OSError):
            super().close()


class _ToConsole(logging.Handler):
    """One line for one message, above the bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        console.print(self.format(record), markup=False, highlight=False, soft_wrap=True)
