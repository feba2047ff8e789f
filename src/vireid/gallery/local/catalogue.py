"""The catalogue of a gallery: the records of its pictures, in SQLite.

A vector counts once it is committed here. Format 1, which had no boxes, is read as it is and
becomes format 2 with the first change.
"""

import errno
import json
import os
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import numpy as np

from vireid.gallery.filters import Filters, moment
from vireid.gallery.local.vectors import Rows
from vireid.gallery.store import Entry, GalleryError, Stamp, Storage
from vireid.models.card import ModelCard
from vireid.records import Box, ImageRecord, Key, Modality

T = TypeVar("T")

FORMAT = 2
FILE = "facts.sqlite"
PICTURES = (
    """CREATE TABLE pictures (
        modality TEXT NOT NULL,
        row INTEGER NOT NULL,
        path TEXT NOT NULL,
        box TEXT NOT NULL,
        identity INTEGER,
        camera TEXT,
        tracklet TEXT,
        time TEXT,
        moment INTEGER,
        size INTEGER,
        mtime_ns INTEGER,
        content TEXT,
        PRIMARY KEY (modality, row),
        UNIQUE (path, box)
    ) WITHOUT ROWID""",
    """CREATE TABLE tags (
        modality TEXT NOT NULL,
        row INTEGER NOT NULL,
        tag TEXT NOT NULL,
        PRIMARY KEY (modality, row, tag)
    ) WITHOUT ROWID""",
)
"""Table of the pictures. A box is `left,top,right,bottom`, or empty where the whole picture shows
one person; `time` is as given (ISO 8601), `moment` is the number by which times are compared."""
INDICES = (
    "CREATE INDEX by_camera ON pictures (camera, modality)",
    "CREATE INDEX by_identity ON pictures (identity, modality)",
    "CREATE INDEX by_tracklet ON pictures (tracklet) WHERE tracklet IS NOT NULL",
    "CREATE INDEX by_moment ON pictures (moment) WHERE moment IS NOT NULL",
    "CREATE INDEX by_tag ON tags (tag, modality)",
)
SCHEMA = (
    "CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE vectors "
    "(modality TEXT PRIMARY KEY, rows INTEGER NOT NULL, gone INTEGER NOT NULL)",
    *PICTURES,
    *INDICES,
)
FORMAT_1_AS_2 = (
    """CREATE TEMP VIEW pictures AS SELECT modality, row, path, '' AS box, identity, camera,
        NULL AS tracklet, NULL AS time, NULL AS moment, size, mtime_ns, NULL AS content
        FROM main.pictures""",
    "CREATE TEMP VIEW tags AS SELECT '' AS modality, 0 AS row, '' AS tag WHERE 0",
)
"""Views by which questions about format 2 are answered from tables of format 1."""
NOT_AS_2 = ("DROP VIEW temp.pictures", "DROP VIEW temp.tags")
FROM_1_TO_2 = (
    "ALTER TABLE pictures RENAME TO pictures_1",
    *PICTURES,
    """INSERT INTO pictures SELECT modality, row, path, '', identity, camera,
        NULL, NULL, NULL, size, mtime_ns, NULL FROM pictures_1""",
    "DROP TABLE pictures_1",
    *INDICES,
    "UPDATE about SET value = '2' WHERE key = 'format'",
)
RECORD = """path, box, identity, camera, tracklet, time, (
    SELECT json_group_array(tag) FROM tags
    WHERE tags.modality = pictures.modality AND tags.row = pictures.row
)"""
"""Columns from which `_record` makes a record."""
AT_ONCE = 5_000
"""Number of values in one question; SQLite takes 32,766."""


class Catalogue:
    """The SQLite file of one gallery. Many processes may read it while one writes."""

    def __init__(self, gallery: Path, patience: float) -> None:
        self.gallery = gallery
        with explained(gallery):
            self._db = sqlite3.connect(
                _address(gallery),
                timeout=patience,
                isolation_level=None,
                check_same_thread=False,
                uri=True,
            )
        # Also for who does not close it: from Python 3.13 on SQLite warns of what is left open.
        weakref.finalize(self, self._db.close)
        try:
            self._begin()
        except BaseException:
            self._db.close()
            raise

    def _begin(self) -> None:
        with explained(self.gallery):
            self._do(("PRAGMA synchronous = FULL", "PRAGMA temp_store = MEMORY"))
            about = self._about()
            self._is_format_1 = self._format() == 1
            self._do(FORMAT_1_AS_2 if self._is_format_1 else ())
        self.model = ModelCard(**json.loads(about["model"]))
        self.storage: Storage = json.loads(about["storage"])

    @staticmethod
    def create(folder: Path, model: ModelCard, storage: Storage) -> None:
        """Write the file of an empty gallery."""
        db = sqlite3.connect(folder / FILE, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("BEGIN")
            for statement in SCHEMA:
                db.execute(statement)
            about = {"format": FORMAT, "model": asdict(model), "storage": storage}
            rows = [(key, json.dumps(value)) for key, value in about.items()]
            db.executemany("INSERT INTO about VALUES (?, ?)", rows)
            db.executemany("INSERT INTO vectors VALUES (?, 0, 0)", [(m.value,) for m in Modality])
            db.execute("PRAGMA user_version = 1")
            db.execute("COMMIT")
        finally:
            db.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Answer all questions inside as of the same commit."""
        with explained(self.gallery):
            self._db.execute("BEGIN")
            try:
                if self._is_format_1 and self._format() > 1:  # another process has changed it
                    self._do(NOT_AS_2)
                    self._is_format_1 = False
                yield
            finally:
                self._db.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Do all changes inside together or not at all; one process at a time gets here."""
        with explained(self.gallery):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                if self._is_format_1:
                    self._do(NOT_AS_2)
                    self._do(FROM_1_TO_2 if self._format() == 1 else ())
                yield
                self._db.execute("COMMIT")
                self._is_format_1 = False
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has already rolled it back
                    self._db.execute("ROLLBACK")
                raise

    def _about(self) -> dict[str, str]:
        return dict(self._db.execute("SELECT key, value FROM about"))

    def _format(self) -> int:
        """Return the format of the file, and refuse one that cannot be read."""
        found = int(self._about()["format"])
        if found > FORMAT:
            raise GalleryError(
                f"{self.gallery} was written by a later version of vireid (its format is {found}, "
                f"this one reads up to {FORMAT}); use that version, or index the pictures again "
                "into another gallery"
            )
        return found

    def _do(self, statements: Iterable[str]) -> None:
        for statement in statements:
            self._db.execute(statement)

    def rows(self) -> dict[Modality, tuple[int, int]]:
        """Return how many vectors are committed, and how many of them belong to no picture."""
        found = self._db.execute("SELECT modality, rows, gone FROM vectors")
        return {Modality(modality): (rows, gone) for modality, rows, gone in found}

    def count(self, modality: Modality | None) -> int:
        """Return the number of pictures."""
        return sum(n - gone for m, (n, gone) in self.rows().items() if modality in (None, m))

    def cameras(self) -> list[str]:
        """Return the names of all cameras."""
        asked = "SELECT DISTINCT camera FROM pictures WHERE camera IS NOT NULL ORDER BY camera"
        return [camera for (camera,) in self._db.execute(asked)]

    def rows_of(self, modality: Modality, filters: Filters) -> Rows:
        """Return the sorted rows of one spectrum's pictures that the other filters let pass."""
        conditions = {"modality = ?": [modality], **_conditions(modality, filters)}
        asked = f"SELECT row FROM pictures WHERE {' AND '.join(conditions)} ORDER BY row"
        values = [value for some in conditions.values() for value in some]
        return np.fromiter((row for (row,) in self._db.execute(asked, values)), np.int64)

    def records(self, modality: Modality, rows: Iterable[int]) -> dict[int, ImageRecord]:
        """Return the records of the pictures in some rows."""
        asked = f"SELECT row, {RECORD} FROM pictures WHERE modality = ? AND row IN"
        return {
            row: _record(modality, *columns)
            for some in _in_parts(rows)
            for row, *columns in self._db.execute(f"{asked} ({_marks(some)})", (modality, *some))
        }

    def known(self, keys: Iterable[Key]) -> dict[Key, Entry]:
        """Return the entries of those of some pictures that are here."""
        asked = f"SELECT modality, size, mtime_ns, content, {RECORD} FROM pictures"
        wanted = set(keys)
        found = {}
        for some in _in_parts({str(path) for path, _ in wanted}):
            rows = self._db.execute(f"{asked} WHERE path IN ({_marks(some)})", some)
            for modality, size, mtime_ns, content, *columns in rows:
                record = _record(Modality(modality), *columns)
                stamp = None if size is None else Stamp(size, mtime_ns)
                found[record.key] = Entry(record, stamp, content)
        return {key: entry for key, entry in found.items() if key in wanted}

    def remove(self, keys: Iterable[Key]) -> int:
        """Remove pictures; their vectors stay in the file and no longer count."""
        removed = 0
        for key in keys:
            asked = "DELETE FROM pictures WHERE path = ? AND box = ? RETURNING modality, row"
            for place in self._db.execute(asked, _named(key)).fetchall():
                self._db.execute("DELETE FROM tags WHERE modality = ? AND row = ?", place)
                gone = "UPDATE vectors SET gone = gone + 1 WHERE modality = ?"
                self._db.execute(gone, place[:1])
                removed += 1
        return removed

    def insert(self, modality: Modality, first_row: int, entries: Sequence[Entry]) -> None:
        """Add pictures whose vectors lie in consecutive rows."""
        numbered = list(enumerate(entries, first_row))
        self._db.executemany(
            f"INSERT INTO pictures VALUES ({_marks(range(12))})",
            [
                (
                    *(modality, row, *_named(entry.record.key)),
                    *_labels(entry.record),
                    *(entry.stamp or (None, None)),
                    entry.content,
                )
                for row, entry in numbered
            ],
        )
        for row, entry in numbered:
            self._tag((modality, row), entry.record.tags)
        asked = "UPDATE vectors SET rows = ? WHERE modality = ?"
        self._db.execute(asked, (first_row + len(entries), modality))

    def relabel(self, record: ImageRecord) -> None:
        """Change what is said about a picture that is here."""
        asked = (
            "UPDATE pictures SET identity = ?, camera = ?, tracklet = ?, time = ?, moment = ? "
            "WHERE path = ? AND box = ? RETURNING modality, row"
        )
        changed = self._db.execute(asked, (*_labels(record), *_named(record.key))).fetchall()
        for place in changed:
            self._db.execute("DELETE FROM tags WHERE modality = ? AND row = ?", place)
            self._tag(place, record.tags)

    def _tag(self, place: tuple[str, int], tags: Iterable[str]) -> None:
        rows = [(*place, tag) for tag in tags]
        if rows:
            self._db.executemany("INSERT INTO tags VALUES (?, ?, ?)", rows)

    def version(self) -> int:
        """Return a number that is different after every commit."""
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def raise_version(self) -> None:
        """Raise the version; every change has to call this."""
        self._db.execute(f"PRAGMA user_version = {self.version() % 2**30 + 1}")


def _address(gallery: Path) -> str:
    """Return the address for SQLite; on read-only media, without the files that it locks by."""
    there = f"file:{quote(str((gallery / FILE).absolute()))}"
    return f"{there}?mode=ro&immutable=1" if _is_read_only(gallery) else f"{there}?mode=rw"


def _is_read_only(folder: Path) -> bool:
    """Whether nobody can write to a folder, as on a DVD; not so if only we may not.

    Not so either where a writer has left commits beside the file, which would be overlooked.
    """
    commits = folder / f"{FILE}-wal"
    if not hasattr(os, "statvfs") or (commits.exists() and commits.stat().st_size):
        return False
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _conditions(modality: Modality, filters: Filters) -> dict[str, Sequence[Any]]:
    """Return conditions in SQL, with the values of their question marks."""
    one_of = _marks(tuple(filters.cameras))
    tagged = "row IN (SELECT row FROM tags WHERE modality = ? AND tag IN"
    all_of = f"({_marks(tuple(filters.tags))}) GROUP BY row HAVING COUNT(*) = ?)"
    asked: list[tuple[str, bool, Sequence[Any]]] = [
        (f"camera IN ({one_of})", bool(filters.cameras), sorted(filters.cameras)),
        ("moment >= ?", filters.since is not None, _moments(filters.since)),
        ("moment < ?", filters.until is not None, _moments(filters.until)),
        ("tracklet = ?", filters.tracklet is not None, [filters.tracklet]),
        ("identity = ?", filters.identity is not None, [filters.identity]),
        (
            f"{tagged} {all_of}",
            bool(filters.tags),
            [modality, *sorted(filters.tags), len(filters.tags)],
        ),
    ]
    return {condition: values for condition, is_asked, values in asked if is_asked}


def _moments(time: datetime | None) -> list[int]:
    return [] if time is None else [moment(time)]


def _named(key: Key) -> tuple[str, str]:
    """Return path and box as they stand in the table."""
    path, box = key
    return str(path), str(box or "")


def _labels(record: ImageRecord) -> tuple[int | str | None, ...]:
    """Return identity, camera, tracklet, time and moment as they stand in the table."""
    time = record.time
    when = (None, None) if time is None else (time.isoformat(), moment(time))
    return record.identity, record.camera, record.tracklet, *when


def _record(
    modality: Modality,
    path: str,
    box: str,
    identity: int | None,
    camera: str | None,
    tracklet: str | None,
    time: str | None,
    tags: str,
) -> ImageRecord:
    return ImageRecord(
        path=Path(path),
        modality=modality,
        identity=identity,
        camera=camera,
        tracklet=tracklet,
        time=datetime.fromisoformat(time) if time else None,
        box=Box.from_text(box) if box else None,
        tags=frozenset() if tags == "[]" else frozenset(json.loads(tags)),
    )


@contextmanager
def explained(gallery: Path) -> Iterator[None]:
    """Turn errors of SQLite and the operating system into ones with a way out."""
    try:
        yield
    except sqlite3.Error as error:
        raise GalleryError(f"{gallery}: {_meaning(error, gallery)}") from error
    except OverflowError as error:
        what = "an identity is too large a number to be kept"
        raise GalleryError(f"{gallery}: {what}; correct it in the records") from error
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        raise GalleryError(f"{gallery}: {FULL}") from error


FULL = (
    "the disk is full; pictures of this batch were not added, those before are safe; "
    "make room and do it again"
)
MEANINGS = {
    "SQLITE_BUSY": "another process is writing to this gallery; wait until it has finished",
    "SQLITE_FULL": FULL,
    "SQLITE_IOERR_WRITE": FULL,
    "SQLITE_IOERR_SHMSIZE": FULL,
    "SQLITE_READONLY": "it may not be written to; change its permissions or copy it",
    "SQLITE_CANTOPEN": "it may not be opened; change its permissions or copy it",
    "SQLITE_NOTADB": "it is damaged; index the pictures again into another gallery",
    "SQLITE_CORRUPT": "it is damaged; index the pictures again into another gallery",
}


def _meaning(error: sqlite3.Error, gallery: Path) -> str:
    name = getattr(error, "sqlite_errorname", "")
    found = (text for start, text in MEANINGS.items() if name.startswith(start))
    return next(found, f"{error} ({name}); is {gallery / FILE} on a local disk?")


def _in_parts(values: Iterable[T]) -> Iterator[tuple[T, ...]]:
    remaining = iter(values)
    while some := tuple(islice(remaining, AT_ONCE)):
        yield some


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
