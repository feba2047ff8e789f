"""Commands that learn: train, sweep."""

from pathlib import Path
from typing import Any

import click

from vireid import console
from vireid.cli.options import EXISTING_FILE, TO_WRITE, examples, recipe_file


@click.command(
    epilog=examples(
        "vireid train agw_nightwalk_mini",
        "vireid train agw_sysu data.root=/data/SYSU-MM01 settings.epochs=40",
        "vireid train agw_nightwalk_mini --dry-run    does it work, how fast?",
        "vireid train agw_nightwalk_mini --resume",
        "vireid train agw_regdb data.root=/data/RegDB --trials 1-10",
        "vireid train agw_sysu settings.width=0.5 --validate    to choose a setting",
        "vireid train clip4vi_reid_sysu --weights RN50.pt",
        "torchrun --nproc_per_node 4 -m vireid train agw_sysu",
    ),
)
@click.argument("recipe", callback=recipe_file)
@click.argument("overrides", nargs=-1, metavar="[key=value]...")
@click.option(
    "--out", type=TO_WRITE, help="Run folder.  [default: runs/RECIPE-NUMBER, resumed: the last]"
)
@click.option("--resume", is_flag=True, help="Go on with a run that was broken off.")
@click.option(
    "--trials", help="A run for each of these splits of the data set, e.g. 1-10 of RegDB."
)
@click.option(
    "--validate",
    is_flag=True,
    help="Leave out the validation people, to choose settings on: evaluate with --validate.",
)
@click.option(
    "--validate-every",
    type=click.IntRange(min=1),
    metavar="EPOCHS",
    help="With --validate: score the validation people every so often, to look at; nothing is "
    "chosen by it.",
)
@click.option(
    "--track",
    "trackers",
    multiple=True,
    metavar="NAME",
    help="Tell a tracker that accelerate knows: tensorboard, trackio, wandb, mlflow ...",
)
@click.option(
    "--weights",
    type=EXISTING_FILE,
    help="ImageNet's, or CLIP's, in a file: settings.weights, and settings.pretrained=true.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check everything, time three steps, say how long it will take; leave no run behind.",
)
def train(
    recipe: Path,
    overrides: tuple[str, ...],
    out: Path | None,
    resume: bool,
    trials: str | None,
    validate: bool,
    validate_every: int | None,
    trackers: tuple[str, ...],
    weights: Path | None,
    dry_run: bool,
) -> None:
    """Learn what RECIPE says, a file or the name of a recipe that comes with vireid.

    Any setting of the recipe can be given anew as key=value. Ctrl-C saves; --resume goes on.
    """
    from vireid.experiments import validation_curve
    from vireid.learning.training import folder_for, learn, learn_trials
    from vireid.recipes import recipe as recipes

    left_out = ("data.learn_from=train",) if validate else ()
    begin = {"weights": str(weights), "pretrained": True} if weights else {}
    looked = {"validate_every": validate_every} if validate_every else {}
    wanted = recipes.read(recipe, (*overrides, *left_out), {"settings": begin, **looked})
    if dry_run:
        from vireid.learning.dry_run import try_out

        console.say(*try_out(wanted).lines())
        return
    splits = None if trials is None else recipes.numbers(trials)
    folder = out or folder_for(recipe.stem, resume=resume)
    if splits:
        how: Any = {"resume": resume, "curve": validation_curve.curve, "trackers": trackers}
        learn_trials(wanted, folder, splits, **how)
        return
    look = validation_curve.curve(wanted, folder)
    learn(wanted, folder, resume=resume, after_epoch=look, trackers=trackers)
    _plot(folder)


def _plot(folder: Path) -> None:
    """Plot the curves of a run, where matplotlib is there."""
    from importlib.util import find_spec

    from vireid.learning.devices import this_process
    from vireid.learning.training_history import LOSSES
    from vireid.reports import learning_curves

    has_epochs = (folder / LOSSES).exists()
    if has_epochs and this_process().is_main_process and find_spec("matplotlib"):
        learning_curves.write(folder)


@click.command(
    epilog=examples(
        "vireid sweep mun_ablation",
        "vireid sweep mun_ablation settings.epochs=2 --out quick",
        "vireid sweep mun_ablation --validate    to choose among the rows",
    ),
)
@click.argument("sweep", callback=recipe_file)
@click.argument("overrides", nargs=-1, metavar="[key=value]...")
@click.option("--out", type=TO_WRITE, help="Folder of all runs.  [default: runs/SWEEP]")
@click.option("--validate", is_flag=True, help="Score on validation people, not learnt from.")
def sweep(sweep: Path, overrides: tuple[str, ...], out: Path | None, validate: bool) -> None:
    """Learn and score the rows of SWEEP, a file or one that comes with vireid.

    Each row is learnt with each seed.

    Writes table.md, table.json and plot.png. After Ctrl-C the same command goes on.
    """
    from vireid.experiments import sweep as sweeps

    wanted = sweeps.read(sweep)
    folder = out or Path("runs") / wanted.name
    rows = sweeps.run(wanted, folder, overrides, validate=validate)
    console.show(sweeps.table(rows))
