"""The command that says what there is: list."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from vireid.cli.options import examples
from vireid.console import answer, plain, say, show

if TYPE_CHECKING:
    from rich.table import Table

    from vireid.cli.inventory import Entry, Setting


@click.command(
    name="list",
    epilog=examples(
        "vireid list                       everything, a line each",
        "vireid list methods agw           a method with its settings",
        "vireid list methods mine.py       one of your own",
        "vireid list datasets regdb        licence, and how to obtain it",
        "vireid list --json                all of it, for programs",
    ),
)
@click.argument("kind", required=False)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
def list_(kind: str | None, name: str | None, as_json: bool) -> None:
    """Say what methods, data sets, protocols, recipes, sweeps, models and formats there are.

    KIND is one of these words (datasets for data sets; sets for those of frames, which `vireid data
    cut` reads), NAME one of that kind.
    """
    from vireid.cli import inventory

    if kind and name:
        found = {kind: [inventory.entry(kind, name)]}
    else:
        found = {each: inventory.entries(each) for each in ([kind] if kind else inventory.KINDS)}
    if as_json:
        answer({k: [asdict(e) for e in es] for k, es in found.items()})
    elif kind:
        show_in_full(found[kind])
    else:
        show_lines(found)
        say("One of them in full: vireid list methods agw")


def show_lines(found: "Mapping[str, Sequence[Entry]]") -> None:
    """Print a line for each thing, by kind."""
    from rich.text import Text

    for kind, entries in found.items():
        table = _grid()
        for entry in entries:
            table.add_row(plain(f"  {entry.name}"), plain(entry.description))
        show(Text(kind, "bold"), table, "")


def show_in_full(entries: "Iterable[Entry]") -> None:
    """Print all that is known of things."""
    from rich.text import Text

    for entry in entries:
        details = _grid()
        for heading, text in entry.details.items():
            details.add_row(plain(f"  {heading}"), plain(text))
        show(
            Text.assemble(plain(entry.name, style="bold"), plain(f"  {entry.description}")), details
        )
        if entry.settings:
            show(_settings(entry.settings))
        show("")


def _grid() -> "Table":
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    return table


def _settings(settings: "Sequence[Setting]") -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("setting", no_wrap=True)
    for heading in ("default", "type", "meaning"):
        table.add_column(heading)
    for each in settings:
        table.add_row(*map(plain, (each.name, each.default, each.kind, each.meaning)))
    return table
