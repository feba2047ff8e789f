"""The command line: reads what was asked and hands it on, nothing more.

A command imports what it needs when it runs, so that `vireid --help` answers at once.
"""

import sys
from collections.abc import Iterator

import click

from vireid import __version__, console
from vireid.cli import (
    calibration,
    cutting,
    data,
    detector,
    gallery,
    learning,
    listing,
    models,
    recipes,
    scoring,
    search,
    service,
    watching,
)
from vireid.cli.options import examples
from vireid.errors import Interrupted, VireidError, explain_missing_module
from vireid.progress import on_terminal

INTERRUPTED = 128 + 2
"""Exit status after Ctrl-C, as shells have it for SIGINT."""


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
    scoring.report,
    calibration.calibrate,
    models.show_auxiliary,
    models.show_measures,
    models.export,
    models.import_,
    models.join,
    models.adapt,
    cutting.cut,
    watching.watch,
    search.index,
    search.search,
    search.verify,
    gallery.gallery,
    detector.detector,
    service.serve,
    service.keys,
    service.audit,
    recipes.recipes,
    listing.list_,
    data.data,
):
    vireid.add_command(command)


def main() -> None:
    """Run the command line; what a person can put right is shown as one line."""
    console.take_any_text()
    console.show_all_by_lines()
    try:
        # Standing alone, click would call an interruption "Aborted!" and end with 1.
        with console.flushed(), on_terminal():
            sys.exit(vireid(prog_name="vireid", standalone_mode=False) or 0)
    except click.ClickException as error:
        console.remark(*_lines(error))
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        stop("interrupted", status=INTERRUPTED)
    except Interrupted as stopped:
        stop(stopped.sentence, status=INTERRUPTED, colour="yellow")
    except VireidError as error:
        stop(error.sentence, *error.listed)
    except ModuleNotFoundError as error:
        explained = explain_missing_module(error)
        if explained is None:
            raise
        stop(str(explained))
    except OSError as error:
        stop(
            f"{error.filename}: {error.strerror}"
            if error.filename
            else error.strerror or str(error)
        )


def _lines(error: click.ClickException) -> Iterator[str]:
    """Return what click itself would print, but for line breaks in what was typed."""
    if isinstance(error, click.UsageError) and error.ctx:
        yield from error.ctx.get_usage().split("\n")
        yield f"Try '{error.ctx.command_path} --help' for help."
        yield ""
    told = error.format_message().replace(error.message, console.printable(error.message))
    yield from f"Error: {told}".expandtabs().split("\n")


def stop(why: str, *listed: str, status: int = 1, colour: str = "red") -> None:
    """End with one line on standard error, what it is about below, and an exit status."""
    console.remark(f"vireid: {why}", *(f"  {each}" for each in listed), colour=colour)
    sys.exit(status)
