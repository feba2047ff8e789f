"""Training from a recipe to a run folder, as `vireid train` does it."""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from vireid import datasets, records
from vireid.datasets import Dataset, nightwalk
from vireid.files import user_code
from vireid.learning import devices, initial_weights, method_check, run_trackers
from vireid.learning.devices import Precision, Wanted, this_process
from vireid.learning.loop import AfterEpoch, fit
from vireid.learning.run_log import logging_to
from vireid.learning.training_history import LOSSES
from vireid.method import Method
from vireid.models import runs
from vireid.models.runs import CHECKPOINT, Details, RunError
from vireid.recipes import recipe as recipes
from vireid.recipes.recipe import Recipe
from vireid.records import ImageRecord
from vireid.training_data.loading import PackedTrainingData

log = logging.getLogger(__name__)


def learn(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    after_epoch: AfterEpoch | None = None,
    trackers: Sequence[str] = (),
) -> Method:
    """Train by a recipe, and leave a run folder behind.

    Args:
        recipe: Recipe that says what to learn, from what and how.
        folder: A new or empty folder; with `resume`, that of a run of this recipe.
        resume: Continue the run where it stopped.
        after_epoch: Looks at what was learnt after each epoch; see `loop.fit`.
        trackers: Names of trackers; see `loop.fit`.

    Raises:
        VireidError: There is a run already, or it is another's; data or weights are missing.
    """
    run_trackers.check(trackers)
    process = this_process()
    recipes.check_can_be_read_back(recipe)
    resume = resume and not runs.is_empty(folder)
    if not resume:
        initial_weights.check_read(recipe)
    recipe, dataset, data = opened(recipe)
    details = replace(_details(dataset, data), device=devices.described(process))
    if resume:
        runs.check_same(folder, recipe, details)
    precision = _precision(recipe, folder, process, resume=resume)
    if process.is_main_process and not resume:
        runs.start(folder, recipe, replace(details, learnt_in=precision))
    process.wait_for_everyone()
    mine = process.is_main_process and not resume
    log_file = folder / "log.txt" if process.is_main_process else None
    with _removed_if_nothing_learnt(folder) if mine else nullcontext(), logging_to(log_file):
        log.info("%s: %d people on %d pictures of %s", folder, *_sizes(data), dataset.label)
        if mine:
            _tell_of_bfloat16(recipe.precision, precision, process)
        anew = not (folder / CHECKPOINT).exists()
        method = initial_weights.build(recipe, data.num_identities, anew=anew)
        if anew:
            method_check.check(method, data)
        fit(
            method,
            data,
            folder,
            seed=recipe.seed,
            precision=precision,
            save_minutes=recipe.save_minutes,
            resume=resume,
            tensorboard=recipe.tensorboard,
            after_epoch=after_epoch,
            trackers=trackers,
        )
        if process.is_main_process:
            runs.finish(folder, method, recipe)
            _tell_how_to_score(folder, recipe)
    return method


def opened(recipe: Recipe) -> tuple[Recipe, Dataset, PackedTrainingData]:
    """Read the training data of a recipe; the recipe then names its split.

    Raises:
        VireidError: Data are missing, or weights to begin with have seen people to be scored on.
    """
    dataset = datasets.read(recipe.data.dataset, recipe.data.root, recipe.data.trial)
    recipe = _of_trial(recipe, dataset.trial)
    initial_weights.check(recipe, dataset)
    return recipe, dataset, _open(dataset, recipe, this_process())


def learn_trials(
    recipe: Recipe,
    folder: Path,
    trials: Sequence[int],
    *,
    resume: bool = False,
    curve: Callable[[Recipe, Path], AfterEpoch | None] | None = None,
    trackers: Sequence[str] = (),
) -> None:
    """Train one run for every split of a data set, in folders `trial-<number>`.

    Args:
        recipe: Recipe without the number of the split.
        folder: Folder of these run folders.
        trials: Numbers of splits.
        resume: Leave runs that have finished, go on with one that was broken off, begin the rest.
        curve: Returns for each recipe and folder what looks at a run after each epoch.
        trackers: Names of trackers; see `loop.fit`.

    Raises:
        VireidError: What `learn` raises.
    """
    for trial in trials:  # before the first of them is learnt
        datasets.check_trial(recipe.data.dataset, trial)
    folders = {trial: folder / f"trial-{trial}" for trial in trials}
    begun = {trial for trial in trials if resume and (folders[trial] / "run.json").exists()}
    this_process().wait_for_everyone()
    for trial in trials:
        wanted, place = _of_trial(recipe, trial), folders[trial]
        look = curve(wanted, place) if curve else None
        learn(wanted, place, resume=trial in begun, after_epoch=look, trackers=trackers)


def folder_for(name: str, *, resume: bool) -> Path:
    """Return the folder of a run for which none is named; the same in every process."""
    chosen: list[Any] = [None]
    if this_process().is_main_process:
        chosen = [runs.last_folder(name) if resume else runs.next_folder(name)]
    return Path(broadcast_object_list(chosen)[0])


def _precision(recipe: Recipe, folder: Path, process: PartialState, *, resume: bool) -> Precision:
    """Return the precision of all processes: a run keeps the one it began in, on any device."""
    begun = runs.read_details(folder).learnt_in if resume else None
    of_all = [begun or devices.precision_for(recipe.precision, process.device)]
    precision: Precision = broadcast_object_list(of_all)[0]
    return precision


def _tell_of_bfloat16(wanted: Wanted, precision: Precision, process: PartialState) -> None:
    if (wanted, precision) == ("auto", "float32") and devices.computes_in_bfloat16(process.device):
        log.info(
            "this processor also computes in bfloat16, which rounds more and was 1.7 times as fast "
            "where it was measured: precision=bfloat16"
        )


def _tell_how_to_score(folder: Path, recipe: Recipe) -> None:
    options = " --validate" if recipe.data.learn_from == "train" else ""
    options += " --trust-code" if user_code.kept_files(folder) else ""
    log.info("%s has finished; score it with: vireid evaluate %s%s", folder, folder, options)


def _of_trial(recipe: Recipe, trial: int | None) -> Recipe:
    """Return the recipe with the number of the split, so that the run knows its people."""
    return replace(recipe, data=replace(recipe.data, trial=trial))


@contextmanager
def _removed_if_nothing_learnt(folder: Path) -> Iterator[None]:
    """Remove the folder of a run that ended before its first epoch or checkpoint."""
    try:
        yield
    except BaseException:
        if not any((folder / name).exists() for name in (CHECKPOINT, LOSSES)):
            shutil.rmtree(folder)
        raise


def _open(dataset: Dataset, recipe: Recipe, process: PartialState) -> PackedTrainingData:
    further = [_named(name) for name in recipe.data.also]
    roots = [dataset.root, *(other.root for other in further)]
    own = _own(recipe.data.own)

    def packed(
        pictures: Sequence[ImageRecord], unseen: Any = None, own_from: int | None = None
    ) -> PackedTrainingData:
        return PackedTrainingData(
            pictures,
            recipe.data,
            recipe.augmentation,
            recipe.seed,
            root=None if further or own else dataset.root,
            descriptions=partial(datasets.people, recipe.data.dataset, dataset.root),
            unseen=unseen,
            mask=partial(_mask, roots),
            own_from=own_from,
            rank=process.process_index,
            world=process.num_processes,
        )

    is_left_out = recipe.data.learn_from == "train" and bool(dataset.validation)
    unseen = partial(packed, dataset.validation) if is_left_out else None
    pictures = _learnt_from(dataset, recipe)
    for other in further:
        pictures = _together(pictures, other.train)
    own_from = _free_identity(pictures) if own else None
    return packed(_together(pictures, own), unseen, own_from)


def _named(name: str) -> Dataset:
    """Return the data set that is given as `NAME:FOLDER`."""
    kind, _, folder = name.partition(":")
    if not folder:
        raise RunError(
            f"data.also has '{name}', which names no folder; give NAME:FOLDER, such as "
            "nightwalk:people_of_mine"
        )
    return datasets.read(kind, folder)


def _own(source: str | None) -> tuple[ImageRecord, ...]:
    """Return the pictures of one's own people to learn from."""
    if source is None:
        return ()
    dataset = datasets.read("folder", source)
    pictures = dataset.train or dataset.test
    if not pictures:
        raise RunError(
            f"data.own is {source}, which names nobody; make a list with `vireid cut --pair`"
        )
    return pictures


def _together(
    pictures: tuple[ImageRecord, ...], others: tuple[ImageRecord, ...]
) -> tuple[ImageRecord, ...]:
    """Return pictures and those of other people, who get numbers of their own."""
    first = _free_identity(pictures)
    return pictures + tuple(
        replace(r, identity=first + r.identity) for r in others if r.identity is not None
    )


def _free_identity(pictures: Sequence[ImageRecord]) -> int:
    return 1 + max(r.identity for r in pictures if r.identity is not None)


def _mask(roots: Sequence[Path], record: ImageRecord) -> Any:
    """Return where a rendered picture shows its person; None where that is not known."""
    root = next((root for root in roots if record.path.is_relative_to(root)), None)
    return nightwalk.person_mask(record.path, root) if root else None


def _learnt_from(dataset: Dataset, recipe: Recipe) -> tuple[ImageRecord, ...]:
    if recipe.data.learn_from == "train and validation":
        return dataset.train + dataset.validation
    if not dataset.validation:
        raise RunError(
            f"{dataset.label} has no validation people to leave out; train without --validate and "
            "data.learn_from"
        )
    return dataset.train


def _details(dataset: Dataset, data: PackedTrainingData) -> Details:
    people, pictures = _sizes(data)
    return Details(
        dataset=dataset.name,
        trial=dataset.trial,
        data=records.pictures_fingerprint(data.records, dataset.root),
        num_identities=people,
        pictures=pictures,
    )


def _sizes(data: PackedTrainingData) -> tuple[int, int]:
    return data.num_identities, len(data.records)
