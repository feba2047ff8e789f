"""Progress of long work: the work reports it, and whoever has asked is told.

    with progress.on_terminal():              # a bar
        index(records, embedder, gallery)
    with progress.told_to(job.note):          # anything that takes a `Step`
        index(records, embedder, gallery)

As with logging, functions need no argument for it, however deep the work is. If nobody asks, nobody
is told and nothing is shown. A new thread does not inherit its parent's listener; code that runs
work in a thread asks there.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from vireid.console import printable

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """The progress of one piece of work, which ends when all is done."""

    what: str
    """Name of the work, e.g. `embedding pictures`; the same in all its steps."""
    done: int
    total: int
    now: str = ""
    """Remark on the present step, e.g. its losses."""


Listener = Callable[[Step], None]


def _silent(_: Step) -> None:
    """Pass over a step: nobody has asked."""


_listener: ContextVar[Listener] = ContextVar("vireid.progress", default=_silent)


def tell(what: str, done: int, total: int, now: str = "") -> None:
    """Report the progress of the work; the arguments are those of a `Step`."""
    _listener.get()(Step(what, done, total, now))


def counted(
    items: Iterable[T], what: str, total: int, size: Callable[[T], int] = lambda _: 1
) -> Iterator[T]:
    """Yield each item, and report progress when the next one is asked for.

    Args:
        items: Items to work on.
        what: Name of the work, e.g. `embedding pictures`.
        total: Sum of the sizes of all items.
        size: Returns the size of an item, e.g. the pictures of a batch.
    """
    done = 0
    tell(what, done, total)
    for item in items:
        yield item
        done += size(item)
        tell(what, done, total)


@contextmanager
def told_to(listener: Listener) -> Iterator[None]:
    """Call a listener about all work in this block, in place of the listener before.

    Args:
        listener: Called at every step, in the thread that does the work; it should be quick.
    """
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


@contextmanager
def on_terminal() -> Iterator[None]:
    """Show a bar for the work in this block if standard error is a terminal, and nothing if not."""
    if not sys.stderr.isatty():
        yield
        return
    bar = _Bar()
    try:
        with told_to(bar):
            yield
    finally:
        bar.close()


class _Bar:
    """One bar on standard error, for the work that is going on; it vanishes with the work."""

    def __init__(self) -> None:
        self._what: str | None = None
        self._shown: Progress | None = None

    def __call__(self, step: Step) -> None:
        if step.what != self._what:
            self.close()
        if step.done >= step.total:
            self.close()
            return
        if self._shown is None:
            self._what, self._shown = step.what, _bar()
            self._shown.add_task(printable(step.what), total=step.total, now="")
            self._shown.start()
        task = self._shown.task_ids[0]
        self._shown.update(task, completed=step.done, total=step.total, now=printable(step.now))

    def close(self) -> None:
        """Remove the bar."""
        if self._shown is not None:
            self._shown.stop()
        self._what = self._shown = None


def _bar() -> "Progress":
    # Rich takes a while to import: only a command that works for long has to wait for it.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    what, now = (
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[now]}", markup=False),
    )
    return Progress(
        *(what, BarColumn(bar_width=20), MofNCompleteColumn(), Remaining(), now),
        console=Console(stderr=True),
        transient=True,
        # What is printed meanwhile stands above the bar; into a pipe it goes as it is.
        redirect_stdout=sys.stdout.isatty(),
    )
