"""The service's own SQLite file: keys, jobs, removals that can be undone, the audit log's head.

Several processes may use it: `vireid keys` changes keys while the service runs.
"""

import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path

from vireid.errors import VireidError
from vireid.files.atomic import writing_to
from vireid.files.locks import locked

FILE, LOCK = "service.sqlite", "service.lock"
FORMAT = 2
SCHEMA = (
    """CREATE TABLE keys (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        hash TEXT NOT NULL,
        scopes TEXT NOT NULL,
        created TEXT NOT NULL,
        expires TEXT,
        revoked TEXT,
        per_minute REAL,
        most_bytes INTEGER
    )""",
    """CREATE TABLE jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        gallery TEXT NOT NULL,
        source TEXT NOT NULL,
        work TEXT NOT NULL,
        state TEXT NOT NULL,
        created TEXT NOT NULL,
        ended TEXT,
        by TEXT,
        result TEXT,
        error TEXT
    )""",
    """CREATE TABLE removals (
        id TEXT PRIMARY KEY,
        gallery TEXT NOT NULL,
        until TEXT NOT NULL
    )""",
    "CREATE TABLE heads (log TEXT PRIMARY KEY, lines INTEGER NOT NULL, hash TEXT NOT NULL)",
)
LATER = {
    1: (
        "ALTER TABLE keys ADD COLUMN per_minute REAL",
        "ALTER TABLE keys ADD COLUMN most_bytes INTEGER",
    ),
}
"""Statements that turn each earlier format into the next."""


class Database:
    """One connection, which threads share in turn."""

    def __init__(self, folder: Path, *, make: bool = True) -> None:
        """Open the file in a folder, or make it; only its owner may read it.

        Raises:
            VireidError: It is not there and shall not be made, or cannot be, or is of a later
                version.
        """
        self.path = folder / FILE
        if not make and not self.path.exists():
            raise VireidError(f"{folder} is no folder of a service; say by --data which is")
        self._lock = threading.RLock()
        self._held = ExitStack()
        with writing_to(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.touch(mode=0o600)
        try:
            self._db = sqlite3.connect(
                self.path, timeout=10, isolation_level=None, check_same_thread=False
            )
            # Also for who does not close it: from Python 3.13 on SQLite warns of what is left open.
            weakref.finalize(self, self._db.close)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA secure_delete = ON")
            self._begin()
        except sqlite3.Error as error:
            raise VireidError(
                f"{self.path} cannot be used ({error}); give another folder by --data"
            ) from error

    def _begin(self) -> None:
        with self.changing() as db:
            (found,) = db.execute("PRAGMA user_version").fetchone()
            if found > FORMAT:
                raise VireidError(
                    f"{self.path} was written by a later version of vireid; use that version"
                )
            steps = [SCHEMA] if found == 0 else [LATER[each] for each in range(found, FORMAT)]
            for statement in chain(*steps):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {FORMAT}")

    def hold(self) -> None:
        """Keep other services away from this folder, as long as this process lives.

        Raises:
            VireidError: One is at work here already.
        """
        taken = f"another service works in {self.path.parent}; stop it, or give another by --data"
        self._held.enter_context(locked(self.path.with_name(LOCK), taken))

    def rows(self, question: str, *values: object) -> list[sqlite3.Row]:
        """Return all rows that answer a question."""
        with self._lock:
            return self._db.execute(question, values).fetchall()

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Do all changes inside together or not at all."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file, and let other services in."""
        with self._lock:
            self._db.close()
            self._held.close()
