"""Going on learning: an exported model's own method, from one's own people beside rendered ones.

What is learnt, and how, is what the recipe of the exported model says, but for three things: it
begins with the model's weights, further pictures may be other ones, and some people of each batch
are one's own (`data.own`). The runs are those of `vireid train`.
"""

import csv
import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vireid import datasets
from vireid.errors import Interrupted, VireidError
from vireid.files import user_code
from vireid.files.atomic import write_whole
from vireid.learning.training import learn
from vireid.models import export
from vireid.models.card import Exported, read_exported
from vireid.models.embedder import Embedder
from vireid.models.opening import folder_of, is_shipped
from vireid.models.runs import RUN, WEIGHTS
from vireid.recipes import recipe as recipes
from vireid.recipes.recipe import Recipe
from vireid.records import ImageRecord

RECIPE = "recipe.toml"
COLUMNS = ("path", "modality", "identity", "left", "top", "right", "bottom")


@dataclass(frozen=True)
class FurtherLearning:
    """How a model goes on learning, and where its runs lie."""

    recipe: Recipe
    """What is learnt, without one's own people."""
    folder: Path
    """Folder of the runs, which is made."""
    known: Exported
    """Card of the model, whose caveat and licence stay true."""
    trust_code: bool = False

    def embedder(self, name: str, people: Sequence[ImageRecord]) -> Embedder:
        """Return the model as it has learnt further from these people; see `run_of`."""
        return Embedder.open(self.run_of(name, people), trust_code=self.trust_code)

    def exported(self, name: str, people: Sequence[ImageRecord]) -> Path:
        """Return the folder of the model that has learnt further from these people, exported."""
        run, out = self.run_of(name, people), self.folder / "model"
        if out.exists():
            shutil.rmtree(out)
        told = {"caveat": self.known.caveat, "licence": self.known.licence}
        export.export(run, out, trust_code=self.trust_code, **told)
        return out

    def run_of(self, name: str, people: Sequence[ImageRecord]) -> Path:
        """Learn from these people, unless that is done already; return the run folder.

        Args:
            name: Name of the run, below the folder of all.
            people: Pictures of one's own people, in both spectra.

        Raises:
            Interrupted: Ctrl-C; the run was saved, and the same call goes on with it.
            VireidError: What `learn` raises.
        """
        own, place = self.folder / f"{name}.csv", self.folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(own, _as_list(people).encode())
        data = replace(self.recipe.data, own=str(own.absolute()))
        begun = (place / RUN).exists()
        try:
            learn(replace(self.recipe, data=data), place, resume=begun)
        except Interrupted as stopped:
            raise Interrupted(f"{stopped}; the same command goes on") from stopped
        return place


def of_model(
    model: str,
    beside: Sequence[str],
    folder: Path,
    overrides: Sequence[str] = (),
    *,
    trust_code: bool = False,
) -> FurtherLearning:
    """Return how an exported model goes on learning.

    Args:
        model: Name of an exported or shipped model.
        beside: Data sets to learn from beside one's own people, each as `NAME:FOLDER`; the first
            may be a name alone if it comes with vireid. At least one.
        folder: Folder for the runs.
        overrides: Settings of its recipe as `key=value`, such as `settings.epochs=8`.
        trust_code: Run the code of a method that is not vireid's.

    Raises:
        VireidError: The model has no weights or recipe to go on with, or learns nothing; a data
            set is not there; a setting does not exist.
    """
    source = folder_of(model)
    for name in (RECIPE, WEIGHTS):
        if not (source / name).is_file():
            raise VireidError(
                f"{model} cannot go on learning, as it has no {name}; take one that `vireid "
                "export` has made of a run, such as stripes_learnt, or leave out --beside"
            )
    outline = recipes.outline_of(source / RECIPE)
    user_code.check_trusted([outline.method or ""], source, trust_code=trust_code)
    name, root = _parted(beside[0])
    dataset = datasets.read(name, root)
    learn_from = outline.data.learn_from if outline.data and dataset.validation else None
    begins_anew = {"pretrained": False, "weights": None}
    changes = {
        "start_from": model if is_shipped(model) else str(source.absolute()),
        "data": {
            "dataset": name,
            "root": root,
            "trial": dataset.trial,
            "also": [":".join(filter(None, _parted(other))) for other in beside[1:]],
            "learn_from": learn_from or "train and validation",
        },
        "settings": {n: value for n, value in begins_anew.items() if n in outline.settings},
    }
    recipe = recipes.read(source / RECIPE, overrides, changes)
    if getattr(recipe.settings, "epochs", None) == 0:
        raise VireidError(
            f"{model} learns nothing: settings.epochs of its recipe is 0; take another model, such "
            "as stripes_learnt, or leave out --beside"
        )
    return FurtherLearning(recipe, folder, read_exported(source), trust_code)


def _parted(beside: str) -> tuple[str, str | None]:
    """Return the name of a data set and its folder, where one is given."""
    name, _, root = beside.partition(":")
    return name, str(Path(root).absolute()) if root else None


def _as_list(people: Sequence[ImageRecord]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for record in people:
        box = record.box
        sides = ("",) * 4 if box is None else (box.left, box.top, box.right, box.bottom)
        rows.writerow([record.path.absolute(), record.modality, record.who, *sides])
    return text.getvalue()
