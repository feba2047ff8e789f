"""The command line: reads what was asked and hands it on, nothing more.

A command imports what it needs when it runs, so that `vireid --help` answers at once.
"""

import sys

import click

from vireid import __version__
from vireid.cli import data, learning, listing, models, recipes, scoring, search
from vireid.cli.options import examples
from vireid.errors import VireidError, explain_missing_module
from vireid.progress import on_terminal


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "vireid train agw_nightwalk_mini   learn; leaves a run folder behind",
        "vireid evaluate runs/agw_nightwalk_mini-1      score it on people it has not seen",
        "vireid index photos --out site.gallery         remember the people in a folder",
        "vireid search site.gallery infrared/night.jpg  who is that?",
    ),
)
@click.version_option(__version__, prog_name="vireid", message="%(prog)s %(version)s")
def vireid() -> None:
    """Find a person across visible and infrared cameras: learn it, score it, search with it."""


for command in (
    data.render,
    learning.train,
    learning.sweep,
    scoring.evaluate,
    scoring.compare,
    models.show_auxiliary,
    models.show_measures,
    models.export,
    models.import_,
    search.index,
    search.search,
    recipes.recipes,
    listing.list_,
    data.data,
):
    vireid.add_command(command)


def main() -> None:
    """Run the command line; what a person can put right is shown as one line."""
    try:
        # Standing alone, click would call an interruption "Aborted!" and end with 1.
        with on_terminal():
            sys.exit(vireid(prog_name="vireid", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        stop("interrupted", 130)
    except VireidError as error:
        stop(str(error))
    except ModuleNotFoundError as error:
        explained = explain_missing_module(error)
        if explained is None:
            raise
        stop(str(explained))
    except OSError as error:
        stop(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def stop(why: str, status: int = 1) -> None:
    """End with one line on standard error and an exit status."""
    click.secho(f"vireid: {why}", fg="red", err=True)
    sys.exit(status)
