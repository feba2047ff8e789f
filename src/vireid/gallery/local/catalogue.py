"""The catalogue of a gallery: the records of its pictures, in SQLite.

A vector counts once it is committed here. Every row is written with a checksum, which is compared
whenever the row is read.
"""

import errno
import json
import os
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
import numpy as np

from vireid.errors import VireidError
from vireid.gallery.filters import Filters
from vireid.gallery.local.schema import (
    FORMAT,
    SCHEMA,
    VIEWS,
    migration,
    row_sum,
    without_views,
)
from vireid.gallery.local.similarities import Rows
from vireid.gallery.local.vectors import Sums
from vireid.gallery.store import (
    Counted,
    Entry,
    GalleryError,
    NoteChanges,
    Place,
    Stamp,
    Storage,
)
from vireid.models.card import ModelCard
from vireid.records import Box, ImageRecord, Key, Modality, moment

T = TypeVar("T")

FILE = "facts.sqlite"
COMMITS = "commits"
"""File that says how many commits there were: SQLite does not miss a journal that was lost."""
COLUMNS = (
    "path",
    "box",
    "identity",
    "person",
    "camera",
    "tracklet",
    "time",
    "moment",
    "size",
    "mtime_ns",
    "content",
    "source",
    "by_hand",
)
"""Columns of a picture, after spectrum and row and before the checksum."""
TAGS = """(
    SELECT json_group_array(tag) FROM tags
    WHERE tags.modality = pictures.modality AND tags.row = pictures.row
)"""
WHOLE_ROW = f"modality, row, {', '.join(COLUMNS)}, {TAGS}, sum"
"""Columns from which `_entry` makes an entry."""
AT_ONCE = 5_000
"""Number of values in one question; SQLite takes 32,766."""
REINDEX = "index the pictures again into another gallery, or restore a backup"


@dataclass(frozen=True)
class Committed:
    """What is committed of the vectors of one spectrum."""

    file: str
    """Name of their file."""
    rows: int
    gone: int
    """Number of these that belong to no picture."""
    sums: Sums
    """Checksums of their blocks."""


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
        commits = self._commits()
        with explained(self.gallery):
            secure = "PRAGMA secure_delete = ON"  # what is deleted is overwritten
            self._do(("PRAGMA synchronous = FULL", "PRAGMA temp_store = MEMORY", secure))
            self._viewed = self._format()
            self._do(VIEWS.get(self._viewed, ()))
            missing = commits - self.version()
        if missing > 0:
            was_left = f"{FILE}-wal was lost, or left behind by whoever copied the gallery"
            raise damaged(self.gallery, f"its last {missing} changes are missing: {was_left}")
        self.read_model()

    def read_model(self) -> None:
        """Read anew which model has filled the gallery, and how its vectors are stored."""
        with explained(self.gallery):
            about = self._about()
        try:
            self.model = msgspec.json.decode(about["model"], type=ModelCard)
            self.storage: Storage = msgspec.json.decode(about["storage"], type=Storage)
        except (KeyError, msgspec.MsgspecError) as error:
            raise damaged(self.gallery, f"what {FILE} says of its model is unreadable") from error

    def _commits(self) -> int:
        try:
            return int((self.gallery / COMMITS).read_text(encoding="ascii") or 0)
        except (OSError, ValueError):
            return 0

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
            rows = {key: json.dumps(value) for key, value in about.items()}
            rows["sum"] = str(_about_sum(rows))
            db.executemany("INSERT INTO about VALUES (?, ?)", rows.items())
            for modality in Modality:
                row = (modality.value, f"{modality}.{storage}", 0, 0)
                db.execute("INSERT INTO vectors VALUES (?, ?, ?, ?, ?)", (*row, row_sum(*row)))
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
                self._see_tables_as_they_are()
                yield
            finally:
                self._db.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[bool]:
        """Do all changes inside together or not at all; one process at a time gets here.

        Yields whether the gallery was of an earlier format until now, so that checksums of its
        vectors are missing.
        """
        with explained(self.gallery):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._see_tables_as_they_are()
                is_old = self._viewed < FORMAT
                if is_old:
                    self._migrate()
                yield is_old
                self.raise_version()
                version = self.version()
                self._db.execute("COMMIT")
                self._viewed = FORMAT
                with suppress(OSError):  # it only tells more; the commit is safe without it
                    (self.gallery / COMMITS).write_text(str(version), encoding="ascii")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has already rolled it back
                    self._db.execute("ROLLBACK")
                raise

    def _see_tables_as_they_are(self) -> None:
        """Take the views of an earlier format away once another process has changed it."""
        if self._viewed < FORMAT and self._format() == FORMAT:
            self._do(without_views(self._viewed))
            self._viewed = FORMAT

    def _migrate(self) -> None:
        self._do(migration(self._viewed))
        rows = self._db.execute(f"SELECT {WHOLE_ROW} FROM pictures")
        sums = ((_sum_of(row), *row[:2]) for row in rows.fetchall())
        self._db.executemany("UPDATE pictures SET sum = ? WHERE modality = ? AND row = ?", sums)
        self._sum_up()
        for modality, held in self.committed().items():
            self._commit(modality, held)

    def _sum_up(self) -> None:
        """Write the checksum of what is said of the whole gallery."""
        about = self._db.execute("SELECT key, value FROM about WHERE key != 'sum'")
        sum_ = str(_about_sum(dict(about.fetchall())))
        self._db.execute("INSERT OR REPLACE INTO about VALUES ('sum', ?)", (sum_,))

    def _about(self) -> dict[str, str]:
        """Return what is said of the whole gallery, as JSON.

        Raises:
            GalleryError: It is not what was written.
        """
        found = dict(self._db.execute("SELECT key, value FROM about"))
        self._check_format(found)
        sum_ = found.pop("sum", None)
        if sum_ is not None and sum_ != str(_about_sum(found)):
            raise damaged(self.gallery, f"what {FILE} says of its model has changed")
        return found

    def _check_format(self, about: Mapping[str, str]) -> None:
        """Refuse a file of a later version before anything else in it is read."""
        try:
            found = int(about["format"])
        except (KeyError, ValueError, TypeError) as error:
            raise damaged(self.gallery, f"{FILE} does not say its format") from error
        if found > FORMAT:
            raise GalleryError(
                f"{self.gallery} was written by a later version of vireid (its format is {found}, "
                f"this one reads up to {FORMAT}); use that version, or index the pictures again "
                "into another gallery"
            )

    def _format(self) -> int:
        return int(self._about()["format"])

    def _do(self, statements: Iterable[str]) -> None:
        for statement in statements:
            self._db.execute(statement)

    def committed(self) -> dict[Modality, Committed]:
        """Return what is committed of the vectors of each spectrum."""
        sums: dict[str, dict[int, int]] = {}
        for modality, block, sum_ in self._db.execute("SELECT modality, block, sum FROM blocks"):
            sums.setdefault(modality, {})[block] = sum_
        found = {}
        for *row, sum_ in self._db.execute("SELECT modality, file, rows, gone, sum FROM vectors"):
            if sum_ not in (None, row_sum(*row)) or Path(row[1]).name != row[1]:
                raise damaged(self.gallery, f"what {FILE} says of its vectors has changed")
            modality, file, rows, gone = row
            found[Modality(modality)] = Committed(file, rows, gone, sums.get(modality, {}))
        return found

    def commit(self, modality: Modality, held: Committed) -> None:
        """Say what is committed of the vectors of one spectrum."""
        before = self.committed()[modality].sums
        self._commit(modality, held)
        over = [(modality.value, block) for block in before if block not in held.sums]
        self._db.executemany("DELETE FROM blocks WHERE modality = ? AND block = ?", over)
        new = [(modality.value, *item) for item in held.sums.items() if item not in before.items()]
        self._db.executemany("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)", new)

    def _commit(self, modality: Modality, held: Committed) -> None:
        row = (modality.value, held.file, held.rows, held.gone)
        self._db.execute(
            "UPDATE vectors SET file = ?, rows = ?, gone = ?, sum = ? WHERE modality = ?",
            (*row[1:], row_sum(*row), modality.value),
        )

    def count(self, modality: Modality | None) -> int:
        """Return the number of pictures."""
        held = self.committed().items()
        return sum(it.rows - it.gone for m, it in held if modality in (None, m))

    def tally(self, what: Counted) -> dict[str, int]:
        """Return how many pictures there are of each that is named."""
        column = "substr(time, 1, 10)" if what == "day" else what
        table = "tags" if what == "tag" else "pictures"
        asked = f"SELECT {column}, COUNT(*) FROM {table} WHERE {column} IS NOT NULL GROUP BY 1"
        return {str(name): count for name, count in self._db.execute(f"{asked} ORDER BY 1")}

    def rows_of(self, modality: Modality, filters: Filters) -> Rows:
        """Return the sorted rows of one spectrum's pictures that the other filters let pass."""
        conditions = {"modality = ?": [modality], **_conditions(modality, filters)}
        asked = f"SELECT row FROM pictures WHERE {' AND '.join(conditions)} ORDER BY row"
        values = [value for some in conditions.values() for value in some]
        return np.fromiter((row for (row,) in self._db.execute(asked, values)), np.int64)

    def cameras_of(self, modality: Modality) -> tuple[Rows, list[str | None]]:
        """Return the rows of one spectrum's pictures, rising, and their cameras."""
        asked = "SELECT row, camera FROM pictures WHERE modality = ? ORDER BY row"
        found = self._db.execute(asked, (modality,)).fetchall()
        rows = np.fromiter((row for row, _ in found), np.int64, len(found))
        return rows, [camera for _, camera in found]

    def records(self, modality: Modality, rows: Iterable[int]) -> dict[int, ImageRecord]:
        """Return the records of the pictures in some rows."""
        asked = f"SELECT {WHOLE_ROW} FROM pictures WHERE modality = ? AND row IN"
        return {
            row[1]: self._entry(row).record
            for some in _in_parts(rows)
            for row in self._db.execute(f"{asked} ({_marks(some)})", (modality, *some))
        }

    def entries_of(self, keys: Iterable[Key]) -> dict[Key, Entry]:
        """Return the entries of some keys, without those that are not here."""
        wanted = set(keys)
        found = self._entries("path IN", {str(path) for path, _ in wanted})
        return {entry.record.key: entry for entry in found if entry.record.key in wanted}

    def with_content(self, contents: Iterable[str]) -> list[Entry]:
        """Return the entries of all pictures whose bytes have one of some hashes."""
        return list(self._entries("content IN", set(contents)))

    def _entries(self, condition: str, values: Iterable[object]) -> Iterator[Entry]:
        asked = f"SELECT {WHOLE_ROW} FROM pictures WHERE {condition}"
        for some in _in_parts(values):
            for row in self._db.execute(f"{asked} ({_marks(some)})", some):
                yield self._entry(row)

    def places_of(self, keys: Iterable[Key]) -> dict[Key, Place]:
        """Return spectrum and row of some keys, without those that are not here."""
        wanted, found = {_named(key): key for key in keys}, dict[Key, Place]()
        asked = "SELECT path, box, modality, row FROM pictures WHERE path IN"
        for some in _in_parts({path for path, _ in wanted}):
            for path, box, modality, row in self._db.execute(f"{asked} ({_marks(some)})", some):
                if (path, box) in wanted:
                    found[wanted[path, box]] = Modality(modality), row
        return found

    def page(
        self, modality: Modality, after: int, filters: Filters, most: int = AT_ONCE
    ) -> list[tuple[int, Entry]]:
        """Return the next pictures that the filters let pass, with their rows."""
        conditions = {"row > ?": [after], **_conditions(modality, filters)}
        where = " AND ".join(["modality = ?", *conditions])
        values = [modality, *(value for some in conditions.values() for value in some)]
        asked = f"SELECT {WHOLE_ROW} FROM pictures WHERE {where} ORDER BY row LIMIT {most}"
        return [(row[1], self._entry(row)) for row in self._db.execute(asked, values)]

    def all_of(self, modality: Modality) -> Iterator[tuple[int, Entry]]:
        """Yield all pictures of one spectrum, with their rows."""
        after = -1
        while page := self.page(modality, after, Filters()):
            yield from page
            after = page[-1][0]

    def replace_all(
        self, pictures: Iterable[tuple[Modality, int, Entry]], model: ModelCard, storage: Storage
    ) -> None:
        """Say anew in which rows the pictures are, and by which model they were embedded."""
        self._do(("DELETE FROM pictures", "DELETE FROM tags"))
        for modality, row, entry in pictures:
            self._write((modality.value, row), entry)
        about = [(json.dumps(asdict(model)), "model"), (json.dumps(storage), "storage")]
        self._db.executemany("UPDATE about SET value = ? WHERE key = ?", about)
        self._sum_up()

    def remove(self, keys: Iterable[Key]) -> int:
        """Remove pictures; their vectors stay in the file and no longer count."""
        removed = dict.fromkeys(Modality, 0)
        for key in keys:
            asked = "DELETE FROM pictures WHERE path = ? AND box = ? RETURNING modality, row"
            for place in self._db.execute(asked, _named(key)).fetchall():
                self._db.execute("DELETE FROM tags WHERE modality = ? AND row = ?", place)
                removed[Modality(place[0])] += 1
        for modality, held in self.committed().items():
            if removed[modality]:
                self._commit(modality, replace(held, gone=held.gone + removed[modality]))
        return sum(removed.values())

    def insert(self, modality: Modality, first_row: int, entries: Sequence[Entry]) -> None:
        """Add pictures whose vectors lie in consecutive rows."""
        for row, entry in enumerate(entries, first_row):
            self._write((modality.value, row), entry)

    def change(self, changes: Mapping[Key, Entry]) -> None:
        """Change what is known about pictures that are here, even their path."""
        places = {}
        for number, key in enumerate(changes):
            # Under names that no file has, so that two pictures may exchange theirs.
            asked = (
                "UPDATE pictures SET path = ? WHERE path = ? AND box = ? RETURNING modality, row"
            )
            for place in self._db.execute(asked, (f"\0{number}", *_named(key))).fetchall():
                places[key] = place
        self.remove(changes[key].record.key for key in places)
        for key, place in places.items():
            self._db.execute("DELETE FROM tags WHERE modality = ? AND row = ?", place)
            self._db.execute("DELETE FROM pictures WHERE modality = ? AND row = ?", place)
            self._write(place, changes[key])

    def _write(self, place: tuple[str, int], entry: Entry) -> None:
        tags = sorted(entry.record.tags)
        columns = (
            *_named(entry.record.key),
            *_labels(entry.record),
            *(entry.stamp or (None, None)),
            entry.content,
            str(entry.source) if entry.source else None,
            int(entry.by_hand),
        )
        row = (*place, *columns, row_sum(*place, *columns, *tags))
        self._db.execute(f"INSERT INTO pictures VALUES ({_marks(row)})", row)
        self._db.executemany("INSERT INTO tags VALUES (?, ?, ?)", [(*place, tag) for tag in tags])

    def living(self, modality: Modality, first: int) -> Rows:
        """Return the rows, from a first one on, that belong to pictures, sorted."""
        asked = "SELECT row FROM pictures WHERE modality = ? AND row >= ? ORDER BY row"
        found = self._db.execute(asked, (modality, first))
        return np.fromiter((row for (row,) in found), np.int64)

    def move(self, modality: Modality, rows: Iterable[tuple[int, int]]) -> None:
        """Say that vectors have moved, from one row to another that belonged to no picture."""
        asked = f"SELECT {WHOLE_ROW} FROM pictures WHERE modality = ? AND row = ?"
        for old, new in rows:
            place = (modality.value, old)
            entry = self._entry(self._db.execute(asked, place).fetchone())
            self._db.execute("DELETE FROM tags WHERE modality = ? AND row = ?", place)
            self._db.execute("DELETE FROM pictures WHERE modality = ? AND row = ?", place)
            self._write((modality.value, new), entry)

    def notes(self, kind: str) -> dict[str, Any]:
        """Return the notes of one kind."""
        found = self._db.execute("SELECT key, value FROM notes WHERE kind = ?", (kind,))
        try:
            return {key: msgspec.json.decode(value) for key, value in found}
        except msgspec.DecodeError as error:
            raise damaged(self.gallery, f"a note in {FILE} is unreadable") from error

    def all_notes(self) -> list[tuple[str, str, str]]:
        """Return kind, key and value of all notes, as they are stored."""
        return self._db.execute("SELECT kind, key, value FROM notes").fetchall()

    def replace_notes(self, notes: Iterable[tuple[str, str, str]]) -> None:
        """Keep these notes, as they are stored, and no others."""
        self._db.execute("DELETE FROM notes")
        self._db.executemany("INSERT INTO notes VALUES (?, ?, ?)", notes)

    def note(self, changes: NoteChanges) -> None:
        """Write notes, and take away those whose value is None."""
        for place, value in changes.items():
            self._db.execute("DELETE FROM notes WHERE kind = ? AND key = ?", place)
            if value is not None:
                row = (*place, json.dumps(value))
                self._db.execute("INSERT INTO notes VALUES (?, ?, ?)", row)

    def damage(self) -> list[str]:
        """Read everything, and return a line for each thing that is not as it was written."""
        wrong = [f"{FILE}: {line}" for (line,) in self._db.execute("PRAGMA integrity_check")]
        wrong = [] if wrong == [f"{FILE}: ok"] else wrong
        for modality, held in self.committed().items():
            count = 0
            asked = f"SELECT {WHOLE_ROW} FROM pictures WHERE modality = ?"
            for row in self._db.execute(asked, (modality,)):
                count += 1
                try:
                    self._entry(row)
                except GalleryError as error:
                    wrong.append(str(error))
            if count != held.rows - held.gone:
                counted = f"{held.rows - held.gone} {modality} pictures are counted"
                wrong.append(f"{FILE}: {counted}, {count} are there")
        return wrong

    def copy(self, path: Path) -> None:
        """Write the whole file, as of the present question, to another place."""
        target = sqlite3.connect(path, isolation_level=None)
        try:
            self._db.backup(target)
        finally:
            target.close()

    def wipe(self) -> None:
        """Write the file anew, so that nothing deleted is left between what is there.

        It has to be called outside of `writing`. Readers that are in the middle of a question keep
        the journal from being cut; it is cut once they have finished.
        """
        with explained(self.gallery):
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _entry(self, row: Sequence[Any]) -> Entry:
        """Return the entry of a row, if it is as it was written."""
        modality, _, path, box, identity, person, camera, tracklet, time, _, *rest, tags, sum_ = row
        size, mtime_ns, content, source, by_hand = rest
        if sum_ not in (None, _sum_of(row)):
            raise damaged(self.gallery, f"what {FILE} says of {path!a} has changed")
        try:
            record = ImageRecord(
                path=Path(path),
                modality=Modality(modality),
                identity=identity,
                person=person,
                camera=camera,
                tracklet=tracklet,
                time=datetime.fromisoformat(time) if time else None,
                box=Box.from_text(box) if box else None,
                tags=frozenset() if tags == "[]" else frozenset(json.loads(tags)),
            )
            stamp = None if size is None else Stamp(size, mtime_ns)
        except (ValueError, TypeError, VireidError) as error:
            raise damaged(self.gallery, f"what {FILE} says of {path!a} is unreadable") from error
        return Entry(record, stamp, content, Path(source) if source else None, bool(by_hand))

    def version(self) -> int:
        """Return a number that is different after every commit."""
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def raise_version(self) -> None:
        """Raise the version, as every change does."""
        self._db.execute(f"PRAGMA user_version = {self.version() + 1}")


def _address(gallery: Path) -> str:
    """Return the address for SQLite; on read-only media, without the files that it locks by."""
    there = f"file:{quote(os.fsencode((gallery / FILE).absolute()))}"
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
        ("person = ?", filters.person is not None, [filters.person]),
        ("path > ? AND path < ?", filters.below is not None, _paths_below(filters.below)),
        ("source = ?", filters.source is not None, [str(filters.source)]),
        (
            f"{tagged} {all_of}",
            bool(filters.tags),
            [modality, *sorted(filters.tags), len(filters.tags)],
        ),
    ]
    return {condition: values for condition, is_asked, values in asked if is_asked}


def _paths_below(folder: Path | None) -> list[str]:
    """Return what all paths in a folder lie between."""
    if folder is None:
        return []
    first = os.path.join(folder, "")  # noqa: PTH118  with the separator at its end
    return [first, first[:-1] + chr(ord(first[-1]) + 1)]


def _moments(time: datetime | None) -> list[int]:
    return [] if time is None else [moment(time)]


def _named(key: Key) -> tuple[str, str]:
    """Return path and box as they stand in the table."""
    path, box = key
    return str(path), str(box or "")


def _labels(record: ImageRecord) -> tuple[int | str | None, ...]:
    """Return identity, person, camera, tracklet, time and moment as they stand in the table."""
    time = record.time
    when = (None, None) if time is None else (time.isoformat(), moment(time))
    return record.identity, record.person, record.camera, record.tracklet, *when


def _sum_of(row: Sequence[Any]) -> int:
    """Return the checksum of a whole row."""
    *columns, tags, _ = row
    return row_sum(*columns, *sorted(json.loads(tags)))


def _about_sum(about: Mapping[str, str]) -> int:
    return row_sum(*sorted(about.items()))


def damaged(gallery: Path, what: str) -> GalleryError:
    """Return the error of a gallery that does not hold what was written into it."""
    return GalleryError(f"{gallery} is damaged ({what}); {REINDEX}")


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
    "the disk is full; this step has changed nothing, and all pictures from before are safe; "
    "make room and do it again"
)
MEANINGS = {
    "SQLITE_BUSY": "another process is writing to this gallery; wait until it has finished",
    "SQLITE_FULL": FULL,
    "SQLITE_IOERR_WRITE": FULL,
    "SQLITE_IOERR_SHMSIZE": FULL,
    "SQLITE_READONLY": "it may not be written to; change its permissions or copy it",
    "SQLITE_CANTOPEN": "it may not be opened; change its permissions or copy it",
    "SQLITE_NOTADB": f"it is damaged; {REINDEX}",
    "SQLITE_CORRUPT": f"it is damaged; {REINDEX}",
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
