"""Commands that learn: train, sweep."""

import sys
from pathlib import Path

import click

from vireid.cli.options import EXISTING_FILE, TO_WRITE, examples


@click.command(
    epilog=examples(
        "vireid train recipes/agw_nightwalk_mini.toml",
        "vireid train recipes/agw_sysu.toml data.root=/data/SYSU-MM01 settings.epochs=40",
        "vireid train recipes/agw_nightwalk_mini.toml --dry-run    does it work, how fast?",
        "vireid train recipes/agw_nightwalk_mini.toml --resume",
        "vireid train recipes/agw_regdb.toml data.root=/data/RegDB --trials 1-10",
        "vireid train recipes/agw_sysu.toml settings.width=0.5 --validate    to choose a setting",
        "vireid train recipes/clip4vi_reid_sysu.toml --weights RN50.pt",
        "torchrun --nproc_per_node 4 -m vireid train recipes/agw_sysu.toml",
    ),
)
@click.argument("recipe", type=EXISTING_FILE)
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
    "--weights",
    type=EXISTING_FILE,
    help="CLIP's, in a file: settings.weights, and settings.pretrained=true.",
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
    weights: Path | None,
    dry_run: bool,
) -> None:
    """Learn what RECIPE says.

    Any setting of the recipe can be given anew as key=value. Ctrl-C saves; --resume goes on.
    """
    from vireid import recipe as recipes
    from vireid.learning.learn import folder_for, learn, learn_trials
    from vireid.learning.stop_requests import Interrupted

    left_out = ("data.learn_from=train",) if validate else ()
    begin = {"weights": str(weights), "pretrained": True} if weights else {}
    wanted = recipes.read(recipe, (*overrides, *left_out), {"settings": begin})
    if dry_run:
        from vireid.learning.rehearsal import rehearse

        click.echo(rehearse(wanted))
        return
    splits = recipes.numbers(trials) if trials else None
    folder = out or folder_for(recipe.stem, resume=resume)
    try:
        if splits:
            learn_trials(wanted, folder, splits, resume=resume)
        else:
            learn(wanted, folder, resume=resume)
    except Interrupted as stopped:
        click.secho(f"vireid: {stopped}", fg="yellow", err=True)
        sys.exit(130)


@click.command(
    epilog=examples(
        "vireid sweep recipes/mun_ablation.toml",
        "vireid sweep recipes/mun_ablation.toml settings.epochs=2 --out quick",
        "vireid sweep recipes/mun_ablation.toml --validate    to choose among the rows",
    ),
)
@click.argument("sweep", type=EXISTING_FILE)
@click.argument("overrides", nargs=-1, metavar="[key=value]...")
@click.option("--out", type=TO_WRITE, help="Folder of all runs.  [default: runs/SWEEP]")
@click.option("--validate", is_flag=True, help="Score on validation people, not learnt from.")
def sweep(sweep: Path, overrides: tuple[str, ...], out: Path | None, validate: bool) -> None:
    """Learn and score the rows of SWEEP, each with all its seeds.

    Writes table.md, table.json and plot.png. After Ctrl-C the same command goes on.
    """
    import rich

    from vireid import sweep as sweeps
    from vireid.learning.stop_requests import Interrupted

    wanted = sweeps.read(sweep)
    folder = out or Path("runs") / wanted.name
    try:
        rows = sweeps.run(wanted, folder, overrides, validate=validate)
    except Interrupted as stopped:
        click.secho(f"vireid: {stopped}; the same sweep goes on", fg="yellow", err=True)
        sys.exit(130)
    rich.print(sweeps.table(rows))
