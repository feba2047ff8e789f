"""The audit log: who searched, added, labelled and removed what, and when.

One JSON object a line in `audit.jsonl`, only ever added to. Each line holds the hash of the line
before and its own (SHA-256), so that a line that was changed, removed or put in is found; how many
lines there are is also written into the service's database, so that lines cut off the end are
missed. Somebody who may write both can forge both: send `vireid audit check --json`, which tells
the last hash, elsewhere now and then.
"""

import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vireid.files.atomic import writing_to
from vireid.service.database import Database

FILE = "audit.jsonl"
FIRST = "0" * 64
"""Hash before the first line."""
NOTHING: Sequence[object] = (None, [], {}, ())
"""Values that are not written."""


@dataclass(frozen=True)
class Asker:
    """Who asks, and by which request."""

    name: str
    """Name of the key, or the address of a caller without one."""
    request: str
    """Id of the request, as in the other log."""


@dataclass(frozen=True)
class Line:
    """What is written of one thing that was done."""

    action: str
    """What was done, such as `search`."""
    asker: Asker
    about: Mapping[str, Any]
    """What it was done to; what is None or empty is left out."""


@dataclass(frozen=True)
class Checked:
    """The result of checking a log."""

    lines: int
    hash: str
    """Hash of the last line; it stands for the whole log."""
    wrong: tuple[str, ...]
    """A line for each thing that is wrong."""


class Audit:
    """Writes the log. Threads may share it; one process writes it."""

    def __init__(self, folder: Path, database: Database) -> None:
        """Open the log, or begin it.

        A line that was not finished, because the process was killed, was never answered for: it is
        taken away.

        Raises:
            VireidError: It cannot be written.
        """
        self.path, self._database = folder / FILE, database
        self._lock = threading.Lock()
        self._whole: int | None = None
        """Bytes of the lines that are whole, where a write has failed behind them."""
        with writing_to(self.path):
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._lines, self._last = self._resumed()

    def _resumed(self) -> tuple[int, str]:
        with self.path.open("rb") as file:
            content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(self._file, whole)
        lines = content[:whole].splitlines()
        return len(lines), _told_hash(lines[-1]) if lines else FIRST

    def write(self, lines: Sequence[Line], *, is_change: bool = False) -> None:
        """Write lines before the answers to their requests are given, all of them or none.

        Args:
            lines: Lines, in their order.
            is_change: Whether something was changed; then the lines are on the disk, even if the
                power fails, before this returns.

        Raises:
            VireidError: The disk is full.
        """
        with self._lock, writing_to(self.path):
            time = datetime.now(UTC).isoformat(timespec="milliseconds")
            count, last, content = self._lines, self._last, ""
            for count, line in enumerate(lines, count + 1):  # noqa: B020
                said = {
                    "line": count,
                    "time": time,
                    "who": line.asker.name,
                    "action": line.action,
                    **{name: told for name, told in line.about.items() if told not in NOTHING},
                    "request": line.asker.request,
                    "before": last,
                }
                last = _hash(said)
                content += _as_json({**said, "hash": last}) + "\n"
            self._append(content.encode(), durably=is_change)
            self._lines, self._last = count, last
            if is_change:
                self._note_head()

    def _append(self, content: bytes, *, durably: bool) -> None:
        """Write lines whole or not at all."""
        if self._whole is not None:
            self._cut()
        self._whole = os.fstat(self._file).st_size
        try:
            if os.write(self._file, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if durably:
                os.fsync(self._file)
        except OSError:
            with suppress(OSError):  # if not now, then before the next line
                self._cut()
            raise
        self._whole = None

    def _cut(self) -> None:
        """Take away what a write that failed has left."""
        assert self._whole is not None
        os.ftruncate(self._file, self._whole)
        self._whole = None

    def _note_head(self) -> None:
        head = (FILE, self._lines, self._last)
        with self._database.changing() as db:
            db.execute("INSERT OR REPLACE INTO heads VALUES (?, ?, ?)", head)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._note_head()
            os.close(self._file)


def check(folder: Path) -> Checked:
    """Check the log of a service, also while it runs.

    Raises:
        VireidError: There is no service in the folder.
    """
    database = Database(folder, make=False)
    heads = database.rows("SELECT lines, hash FROM heads WHERE log = ?", FILE)
    database.close()
    last, count, wrong, at_head = FIRST, 0, list[str](), ""
    if heads and not heads[0]["lines"]:
        at_head = FIRST
    for count, (found, problem) in enumerate(_lines(folder / FILE, last), 1):
        if problem:
            wrong.append(f"line {count}: {problem}")
        last = found
        if heads and count == heads[0]["lines"]:
            at_head = found
    if heads and at_head != heads[0]["hash"]:
        known = heads[0]["lines"]
        what = f"it has {count} lines" if count < known else f"line {known} is another one"
        wrong.append(f"{what}, and the database knows of {known}: lines were removed or replaced")
    return Checked(count, last, tuple(wrong))


def _lines(path: Path, before: str) -> Iterator[tuple[str, str]]:
    """Yield the hash of each line, and what is wrong with it."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return  # is being written
            try:
                said = json.loads(line)
                hash_ = said.pop("hash")
                is_right = hash_ == _hash(said)
                follows = said["before"] == before
            except (ValueError, KeyError, TypeError, AttributeError):
                yield before, "it is damaged"
                continue
            problem = "" if is_right else "it was changed"
            if is_right and not follows:
                problem = "it does not follow the line before: lines were removed or put in"
            before = hash_
            yield hash_, problem


_as_json = json.JSONEncoder().encode
_sorted = json.JSONEncoder(sort_keys=True).encode


def _hash(said: dict[str, Any]) -> str:
    return hashlib.sha256(_sorted(said).encode()).hexdigest()


def _told_hash(line: bytes) -> str:
    try:
        return str(json.loads(line)["hash"])
    except (ValueError, KeyError, TypeError):
        return FIRST
