"""Removals: pictures that were removed, can come back for some minutes, and then leave no trace."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vireid.gallery import GalleryError, removals
from vireid.gallery.store import Entry
from vireid.service.database import Database
from vireid.service.galleries import AllServed, Served
from vireid.service.messages import Removal
from vireid.service.problems import Problem, not_found


class Removals:
    """All removals of one service. Threads may share it."""

    def __init__(self, folder: Path, database: Database, minutes: int) -> None:
        """Take the folder in which removed pictures are kept until they are final."""
        self._folder, self._database, self._minutes = folder, database, minutes

    def remove(self, served: Served, entries: Sequence[Entry]) -> Removal:
        """Remove pictures.

        Raises:
            VireidError: Another process is writing, or the disk is full.
        """
        id_ = secrets.token_urlsafe(9)
        until = datetime.now(UTC) + timedelta(minutes=self._minutes)
        with self._database.changing() as db:
            # First: whatever happens from here on, nothing stays for longer.
            db.execute(
                "INSERT INTO removals VALUES (?, ?, ?)", (id_, served.name, until.isoformat())
            )
        removed = removals.remove(served.searcher.gallery, entries)
        if not self._minutes:
            self._finish(served, id_, removed)
            return Removal(id=id_, removed=len(entries), undo_until=None)
        removals.write(removed, self._file(id_))
        shown = until.isoformat(timespec="seconds")
        return Removal(id=id_, removed=len(entries), undo_until=shown)

    def undo(self, served: Served, id_: str) -> int:
        """Bring pictures back; return how many came.

        Raises:
            Problem: There is no such removal, or it is final.
            VireidError: Another process is writing, or the disk is full.
        """
        asked = "SELECT until FROM removals WHERE id = ? AND gallery = ?"
        rows = self._database.rows(asked, id_, served.name)
        if not rows:
            raise not_found("such removal, or it is final")
        if datetime.fromisoformat(rows[0]["until"]) <= datetime.now(UTC):
            raise Problem(410, "this removal is final; index the pictures again")
        try:
            removed = removals.read(self._file(id_))
        except GalleryError as error:
            raise Problem(410, "this removal is final; index the pictures again") from error
        count = removals.undo(served.searcher.gallery, removed)
        self._forget(id_)
        return count

    def files(self, served: Served) -> set[Path]:
        """Return the files of the pictures of a gallery that can come back."""
        found = set[Path]()
        for row in self._database.rows("SELECT id FROM removals WHERE gallery = ?", served.name):
            with suppress(GalleryError):
                kept = removals.read(self._file(row["id"]))
                found |= {entry.record.path for entry in kept.entries}
        return found

    def finish_old(self, galleries: AllServed) -> bool:
        """Take away every trace of what can no longer be undone; return whether there was any."""
        now, done = datetime.now(UTC).isoformat(), False
        for row in self._database.rows("SELECT * FROM removals WHERE until <= ?", now):
            served = next((each for each in galleries if each.name == row["gallery"]), None)
            if served is None:
                continue
            removed = None
            with suppress(GalleryError):
                removed = removals.read(self._file(row["id"]))
            self._finish(served, row["id"], removed)
            done = True
        return done

    def _finish(self, served: Served, id_: str, removed: removals.Removed | None) -> None:
        gallery = served.searcher.gallery
        gallery.compact()
        entries = removed.entries if removed else ()
        again = gallery.entries_of([entry.record for entry in entries])
        for path in _own(entries, again, served.uploads):
            path.unlink(missing_ok=True)
        self._forget(id_)

    def _forget(self, id_: str) -> None:
        self._file(id_).unlink(missing_ok=True)
        with self._database.changing() as db:
            db.execute("DELETE FROM removals WHERE id = ?", (id_,))

    def _file(self, id_: str) -> Path:
        return self._folder / f"{id_}.json"


def _own(entries: Sequence[Entry], again: Sequence[Entry | None], uploads: Path) -> Iterator[Path]:
    """Yield the files of removed pictures that were sent to the service, which are its own."""
    for entry, here in zip(entries, again, strict=True):
        if here is None and entry.record.path.is_relative_to(uploads):
            yield entry.record.path
