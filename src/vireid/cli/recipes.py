"""Commands about the recipes that come with vireid: recipes, recipes show, recipes copy."""

from dataclasses import asdict
from pathlib import Path

import click

from vireid.cli.options import TO_WRITE, examples
from vireid.console import answer, say


@click.group(
    invoke_without_command=True,
    epilog=examples(
        "vireid recipes                        list them",
        "vireid recipes show agw_sysu          print one",
        "vireid recipes copy agw_sysu mine     to change it: mine/agw_sysu.toml",
        "vireid train agw_sysu data.root=/data/SYSU-MM01",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
@click.pass_context
def recipes(context: click.Context, as_json: bool) -> None:
    """List the recipes and sweeps that come with vireid.

    `vireid train` takes a recipe by its name or from a file, `vireid sweep` a sweep.
    """
    if context.invoked_subcommand:
        return
    from vireid.cli import inventory
    from vireid.cli.listing import show_lines

    found = {kind: inventory.entries(kind) for kind in ("recipes", "sweeps")}
    if as_json:
        answer({k: [asdict(e) for e in es] for k, es in found.items()})
    else:
        show_lines(found)


@recipes.command()
@click.argument("name")
def show(name: str) -> None:
    """Print the recipe NAME."""
    from vireid import recipes as shipped

    say(*shipped.shipped(name).text.rstrip("\n").split("\n"))


@recipes.command()
@click.argument("name")
@click.argument("folder", type=TO_WRITE, required=False, default=Path())
def copy(name: str, folder: Path) -> None:
    """Write the recipe NAME to FOLDER (here, if you give none) for you to change."""
    from vireid import recipes as shipped

    path = shipped.copy(name, folder)
    say(f"{path}: change it, then `vireid {_command(name)} {path}`")


def _command(name: str) -> str:
    from vireid import recipes as shipped

    return "sweep" if shipped.shipped(name).kind == "sweep" else "train"
