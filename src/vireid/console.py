"""Printing for people: nothing is cut, neither on a terminal nor in a pipe or a file."""

import copy
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

import click

from vireid.errors import VireidError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Column, Table

UNLIMITED = 10_000
"""Columns of a pipe or a file, where lines are as long as they need to be."""
NARROW = 12
"""Columns that a text is left before lines become longer than the terminal is wide."""
CUT_OFF = 128 + 13
"""Exit status of a command whose output nobody reads to its end, as shells have it for SIGPIPE."""


def take_any_text() -> None:
    r"""Have standard output and standard error write every text, whatever their encoding is.

    Characters that they cannot write are replaced by their numbers: `\u7167`. A stream that is
    closed takes everything and shows nothing.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def flushed() -> Iterator[None]:
    """Write at the end what standard output still holds, also what others have printed.

    Raises:
        SystemExit: See `say`, also for the error.
        VireidError: Standard output cannot be written.
    """
    stream = sys.stdout
    try:
        yield
    except SystemExit as ended:
        if sys.stdout is not stream:  # so click ends if nobody reads the help that it prints
            _discard(stream)
            ended.code = CUT_OFF
        raise
    finally:
        with _printing():
            sys.stdout.flush()


def say(text: str) -> None:
    """Print a text on standard output.

    Raises:
        SystemExit: Whoever read standard output has closed it, as `head` does.
        VireidError: Standard output cannot be written.
    """
    with _printing():
        click.echo(text, sys.stdout)


def answer(value: object) -> None:
    """Print a value for programs, as JSON, on standard output."""
    say(json.dumps(value, indent=2))


def remark(text: str, colour: str | None = None) -> None:
    """Print a text on standard error, in colour if that is a terminal.

    Nothing rests on it: where standard error cannot be written, work goes on in silence.
    """
    try:
        # click would pass by a stream that says it is ASCII, but for one that it is given.
        click.secho(text, sys.stderr, fg=colour)
    except OSError:
        _discard(sys.stderr)


@contextmanager
def _printing() -> Iterator[None]:
    try:
        yield
    except (BrokenPipeError, SystemExit):  # Rich ends for a closed pipe
        _discard(sys.stdout)
        raise SystemExit(CUT_OFF) from None
    except OSError as error:
        _discard(sys.stdout)
        told = f"standard output could not be written ({error.strerror})"
        raise VireidError(f"{told}; make room or send it elsewhere") from error


def _discard(stream: TextIO) -> None:
    """Send what a stream still holds nowhere, or Python would try and fail once more at its end."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def show(*renderables: "RenderableType") -> None:
    """Print tables and texts on standard output.

    On a terminal the texts in a table are folded to its width. Numbers, which are the columns that
    stand on the right or do not wrap, stay whole: where even narrow texts leave them too little
    room, lines are longer than the terminal is wide.

    Raises:
        SystemExit: See `say`, also for the error.
        VireidError: Standard output cannot be written.
    """
    from rich.table import Table

    for renderable in renderables:
        shown = _folding(renderable) if isinstance(renderable, Table) else renderable
        with _printing():
            _console(_width(shown)).print(shown)


def _console(width: int | None = None) -> "Console":
    """Make a console that prints texts as they are: `[b]` and `:key:` in a name are no markup."""
    from rich.console import Console

    return Console(width=width, markup=False, emoji=False, highlight=False)


def _width(shown: "RenderableType") -> int:
    from rich.table import Table

    console = _console()
    if not console.file.isatty():
        return UNLIMITED
    return max(console.width, _least_width(shown) if isinstance(shown, Table) else 0)


def _least_width(table: "Table") -> int:
    narrow = _with_columns(table, lambda c: c if c.no_wrap else replace(c, max_width=NARROW))
    return _console(UNLIMITED).measure(narrow).maximum


def _folding(table: "Table") -> "Table":
    def folding(column: "Column") -> "Column":
        is_number = column.no_wrap or column.justify == "right"
        return replace(column, no_wrap=is_number, overflow="fold")

    return _with_columns(table, folding)


def _with_columns(table: "Table", change: "Callable[[Column], Column]") -> "Table":
    changed = copy.copy(table)
    changed.columns = [change(column) for column in table.columns]
    return changed
