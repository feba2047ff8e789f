"""A curve of validation while a run learns: looked at, never chosen by.

Training knows nothing of scores, so it is handed a function that looks at what was learnt so far.
Every so many epochs that scores the model on the validation people, under the first variant of the
data set's usual protocol, and writes a line of `validation.jsonl`.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vireid import datasets
from vireid.errors import VireidError
from vireid.files import documents
from vireid.files.atomic import write_whole, writing_to
from vireid.learning import training_history
from vireid.learning.checkpoints import Position
from vireid.learning.loop import AfterEpoch
from vireid.learning.training_history import VALIDATION, Validated
from vireid.method import Method, Stage
from vireid.models.card import Training
from vireid.models.embedder import Embedder
from vireid.models.torch_network import card_of, in_torch
from vireid.recipes.recipe import Recipe
from vireid.scoring import METRICS, evaluation, named_protocols

log = logging.getLogger(__name__)


def curve(recipe: Recipe, folder: Path) -> AfterEpoch | None:
    """Return a function that scores a method on validation people after every so many epochs.

    Args:
        recipe: Recipe of the run, which says how often; the last epoch of a stage is scored too.
        folder: Folder of the run.

    Returns:
        None where the recipe asks for no curve.

    Raises:
        VireidError: The run learns from the validation people, or there are none.
    """
    epochs = recipe.validate_every
    if epochs is None:
        return None
    if recipe.data.learn_from != "train":
        raise VireidError(
            "the run would learn from the validation people too, so they cannot judge it; leave "
            "them out with --validate"
        )
    dataset = datasets.read(recipe.data.dataset, recipe.data.root, recipe.data.trial)
    if not dataset.validation:
        raise VireidError(f"{dataset.label} has no validation people; leave validate_every out")
    protocol = named_protocols.choose(dataset)[0]
    people = len({record.identity for record in dataset.train})

    def look(method: Method, stage: Stage[Any], position: Position) -> Mapping[str, float] | None:
        if position.epoch % epochs and position.epoch != stage.epochs:
            return None
        network, _ = in_torch(method)
        card = card_of(method, recipe, folder.name, str(folder), "unfinished")
        training = Training(recipe.data.learn_from, people, recipe.seed)
        embedder = Embedder(card, network, dataset.label, training)
        mean = evaluation.score(embedder, dataset, protocol, "validation").mean
        log.info(
            "validation people after %s %d/%d: R1 %.1f  mAP %.1f",
            *(stage.name, position.epoch, stage.epochs, 100 * mean["R1"], 100 * mean["mAP"]),
        )
        metrics = {name: mean[name] for name in METRICS}
        _keep(folder, Validated(stage.name, position.stage, position.epoch, metrics))
        return metrics

    return look


def _keep(folder: Path, line: Validated) -> None:
    """Write a line in place of those of the same epoch and of later ones, which are run again."""
    path = folder / VALIDATION
    before = training_history.read_validation(path) if path.exists() else []
    place = line.stage_number, line.epoch
    kept = [each for each in before if (each.stage_number, each.epoch) < place]
    with writing_to(path, "make room and go on with --resume"):
        write_whole(path, b"".join(map(documents.as_line, [*kept, line])))
