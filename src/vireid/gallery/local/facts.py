"""What a gallery knows about its pictures, in SQLite; a commit here makes vectors count."""

import errno
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import quote

import numpy as np

from vireid.errors import VireidError
from vireid.gallery.local.vectors import Rows, Storage
from vireid.models.card import ModelCard
from vireid.records import ImageRecord, Modality

T = TypeVar("T")

FORMAT = 1
FILE = "facts.sqlite"
SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE vectors (modality TEXT PRIMARY KEY, rows INTEGER NOT NULL, gone INTEGER NOT NULL);
CREATE TABLE pictures (
    modality TEXT NOT NULL,
    row INTEGER NOT NULL,
    path TEXT NOT NULL UNIQUE,
    identity INTEGER,
    camera TEXT,
    size INTEGER,
    mtime_ns INTEGER,
    PRIMARY KEY (modality, row)
) WITHOUT ROWID;
CREATE INDEX by_camera ON pictures (camera, modality);
"""
AT_ONCE = 5_000
"""Values in one question; SQLite takes 32,766."""


class GalleryError(VireidError):
    """A gallery that cannot be opened, filled or searched, and what can be done about it."""


class Stamp(NamedTuple):
    """By which a file is taken to be unchanged."""

    size: int
    mtime_ns: int


class Known(NamedTuple):
    """A picture that the gallery holds."""

    record: ImageRecord
    stamp: Stamp | None


class Facts:
    """The SQLite file of one gallery. Many processes may read it while one writes."""

    def __init__(self, gallery: Path, patience: float) -> None:
        self.gallery = gallery
        address = f"file:{quote(str((gallery / FILE).absolute()))}?mode=rw"
        with explained(gallery):
            self._db = sqlite3.connect(
                address, patience, isolation_level=None, check_same_thread=False, uri=True
            )
            self._db.execute("PRAGMA synchronous = FULL")
            about = dict(self._db.execute("SELECT key, value FROM about"))
        if int(about["format"]) != FORMAT:
            way_out = "index the pictures again into another gallery, or use that version"
            raise GalleryError(f"{gallery} was written by another version of vireid; {way_out}")
        self.model = ModelCard(**json.loads(about["model"]))
        self.storage: Storage = json.loads(about["storage"])

    @staticmethod
    def create(folder: Path, model: ModelCard, storage: Storage) -> None:
        """Write the file of an empty gallery."""
        db = sqlite3.connect(folder / FILE, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(SCHEMA)
            about = {"format": FORMAT, "model": asdict(model), "storage": storage}
            rows = [(key, json.dumps(value)) for key, value in about.items()]
            db.executemany("INSERT INTO about VALUES (?, ?)", rows)
            db.executemany("INSERT INTO vectors VALUES (?, 0, 0)", [(m.value,) for m in Modality])
            db.execute("PRAGMA user_version = 1")
        finally:
            db.close()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """All questions inside are answered as of the same commit."""
        with explained(self.gallery):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All changes inside happen together or not at all; one process at a time gets here."""
        with explained(self.gallery):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has already rolled it back
                    self._db.execute("ROLLBACK")
                raise

    def rows(self) -> dict[Modality, tuple[int, int]]:
        """Vectors that are committed, and how many of them belong to no picture any more."""
        found = self._db.execute("SELECT modality, rows, gone FROM vectors")
        return {Modality(modality): (rows, gone) for modality, rows, gone in found}

    def count(self, modality: Modality | None) -> int:
        """Pictures held."""
        return sum(n - gone for m, (n, gone) in self.rows().items() if modality in (None, m))

    def cameras(self) -> list[str]:
        """Names of all cameras."""
        asked = "SELECT DISTINCT camera FROM pictures WHERE camera IS NOT NULL ORDER BY camera"
        return [camera for (camera,) in self._db.execute(asked)]

    def has_camera(self, camera: str) -> bool:
        """Whether any picture was taken by a camera."""
        asked = "SELECT 1 FROM pictures WHERE camera = ? LIMIT 1"
        return self._db.execute(asked, (camera,)).fetchone() is not None

    def rows_of(self, modality: Modality, camera: str | None) -> Rows:
        """Rows of the pictures of one spectrum, or of one camera in it; sorted."""
        asked = "SELECT row FROM pictures WHERE modality = ?"
        if camera is None:
            found = self._db.execute(f"{asked} ORDER BY row", (modality,))
        else:
            found = self._db.execute(f"{asked} AND camera = ? ORDER BY row", (modality, camera))
        return np.fromiter((row for (row,) in found), np.int64)

    def records(self, modality: Modality, rows: Iterable[int]) -> dict[int, ImageRecord]:
        """Facts about the pictures in some rows."""
        asked = "SELECT row, path, identity, camera FROM pictures WHERE modality = ? AND row IN"
        return {
            row: ImageRecord(Path(path), modality, identity, camera)
            for some in _in_parts(rows)
            for row, path, identity, camera in self._db.execute(
                f"{asked} ({_marks(some)})", (modality, *some)
            )
        }

    def known(self, paths: Iterable[str]) -> dict[str, Known]:
        """Those of some pictures that are already here."""
        asked = "SELECT path, modality, identity, camera, size, mtime_ns FROM pictures"
        return {
            path: Known(
                ImageRecord(Path(path), Modality(modality), identity, camera),
                None if size is None else Stamp(size, mtime_ns),
            )
            for some in _in_parts(paths)
            for path, modality, identity, camera, size, mtime_ns in self._db.execute(
                f"{asked} WHERE path IN ({_marks(some)})", some
            )
        }

    def remove(self, paths: Sequence[str]) -> None:
        """Forget pictures; their vectors stay behind and no longer count."""
        for path in paths:
            asked = "DELETE FROM pictures WHERE path = ? RETURNING modality"
            for (modality,) in self._db.execute(asked, (path,)).fetchall():
                gone = "UPDATE vectors SET gone = gone + 1 WHERE modality = ?"
                self._db.execute(gone, (modality,))

    def insert(
        self,
        modality: Modality,
        first_row: int,
        pictures: Sequence[tuple[str, ImageRecord, Stamp | None]],
    ) -> None:
        """Add pictures whose vectors lie in consecutive rows."""
        self._db.executemany(
            "INSERT INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (modality, row, path, record.identity, record.camera, *(stamp or (None, None)))
                for row, (path, record, stamp) in enumerate(pictures, first_row)
            ],
        )
        asked = "UPDATE vectors SET rows = ? WHERE modality = ?"
        self._db.execute(asked, (first_row + len(pictures), modality))

    def relabel(self, path: str, identity: int | None, camera: str | None) -> None:
        """Change who is seen on a picture, and where."""
        asked = "UPDATE pictures SET identity = ?, camera = ? WHERE path = ?"
        self._db.execute(asked, (identity, camera, path))

    def version(self) -> int:
        """Another number after every commit."""
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def raise_version(self) -> None:
        """To be done in every change."""
        self._db.execute(f"PRAGMA user_version = {self.version() % 2**30 + 1}")


@contextmanager
def explained(gallery: Path) -> Iterator[None]:
    """Turn what SQLite and the operating system say into what can be done about it."""
    try:
        yield
    except sqlite3.Error as error:
        raise GalleryError(f"{gallery}: {_meaning(error, gallery)}") from error
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
