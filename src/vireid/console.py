"""Printing for people: nothing is cut, neither on a terminal nor in a pipe or a file."""

import copy
import io
import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

import click

from vireid.errors import VireidError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Column, Table
    from rich.text import Text

UNLIMITED = 10_000
"""Columns of a pipe or a file, where lines are as long as they need to be."""
NARROW = 12
"""Columns that a text is left before lines become longer than the terminal is wide."""
MOST_LETTERS = 60
"""Letters that are shown of a name or a value, which a stranger may have made as long as a book."""
CUT_OFF = 128 + 13
"""Exit status of a command whose output nobody reads to its end, as shells have it for SIGPIPE."""


STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that steer a terminal or stand for no letter: controls, line breaks, marks that turn
the direction of writing, and halves of characters."""


def printable(text: str) -> str:
    r"""Return a text as one line that steers no terminal: names are printed that strangers gave.

    Each character that does steer is replaced by what Python writes for it, such as `\x1b`, `\n` or
    `\u202e`; a byte of a file's name that is not UTF-8 becomes `\xff`.

    >>> print(printable("a\n\x1b[2Jb"))
    a\n\x1b[2Jb
    """
    return STEERING.sub(_by_number, text)


def shortened(text: str, most: int = MOST_LETTERS) -> str:
    """Return the beginning of a text that is longer than people read."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _by_number(found: re.Match[str]) -> str:
    character = found[0]
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return ascii(character)[1:-1]


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


def say(*lines: str) -> None:
    """Print lines on standard output.

    Raises:
        SystemExit: Whoever read standard output has closed it, as `head` does.
        VireidError: Standard output cannot be written.
    """
    with _printing():
        click.echo("\n".join(map(printable, lines)), sys.stdout)


def answer(value: object) -> None:
    """Print a value for programs, as JSON, on standard output."""
    # JSON writes what steers a terminal by numbers, all but one character.
    say(*json.dumps(value, indent=2).replace("\x7f", r"\u007f").split("\n"))


def remark(*lines: str, colour: str | None = None) -> None:
    """Print lines on standard error, in colour if that is a terminal.

    Nothing rests on it: where standard error cannot be written, work goes on in silence.
    """
    try:
        # click would pass by a stream that says it is ASCII, but for one that it is given.
        click.secho("\n".join(map(printable, lines)), sys.stderr, fg=colour)
    except OSError:
        _discard(sys.stderr)


class LogLines(logging.Handler):
    """Prints one line for one message of vireid, above the bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it."""
        told = self.format(record)
        remark(*([told] if record.name.startswith("vireid") else told.split("\n")))


def show_all_by_lines() -> None:
    """Have warnings that nobody logs, and tracebacks, printed by `remark`."""
    logging.lastResort = LogLines(logging.WARNING)
    sys.excepthook = _show_fault


def _show_fault(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    told = "".join(traceback.format_exception(kind, error, trace))
    remark(*told.rstrip("\n").split("\n"))


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


def plain(*lines: str, style: str = "") -> "Text":
    """Return lines for a cell, a title or a caption of a table: no markup, and `printable`."""
    from rich.text import Text

    return Text("\n".join(map(printable, lines)), style)


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
