"""The state of a gallery on Milvus: which change counts, and who is writing.

Milvus has no transactions. What it does at most once is to rename a collection: of several who
rename the same one, one succeeds. So the state is the name of a small, empty collection, and a
change counts from the moment at which that name says so. Readers find the collection by an alias,
which stays.
"""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from pymilvus import MilvusException

from vireid.gallery.milvus.server import MissingError, Server
from vireid.gallery.store import GalleryError

FREE = "free"
LEASE = 8.0
"""Seconds after which a writer that gives no sign of life has lost its turn."""
BEAT = 2.0
"""Seconds between two signs of life of a writer."""
WAITING = 0.02
"""Seconds between two looks at whether another writer has finished."""


@dataclass(frozen=True)
class State:
    """What the name of the small collection says."""

    generation: str
    """Which collections hold pictures and facts; another one when another model has filled it."""
    version: int
    """Number of the last change that counts."""
    last: int
    """Number of the last change that was begun; those between the two came to nothing."""
    swept: int
    """Number of a change: rows that it has hidden may have been deleted since."""
    timestamp: int
    """Timestamp of the server up to which everything that counts was written."""
    holder: str
    """Who is writing, or `free`."""
    beat: int
    """Rises while the holder is alive."""

    def name(self, prefix: str) -> str:
        """Return the name of the collection."""
        numbers = (self.version, self.last, self.swept, self.timestamp)
        said = (self.generation, *map(str, numbers), self.holder, str(self.beat))
        return f"{prefix}__state__{'_'.join(said)}"

    @classmethod
    def from_name(cls, name: str, prefix: str) -> "State | None":
        """Return what the name of a collection says; None where it is no such name."""
        parts = name.removeprefix(f"{prefix}__state__").split("_")
        if not name.startswith(f"{prefix}__state__") or len(parts) != 7:
            return None
        generation, version, last, swept, timestamp, holder, beat = parts
        try:
            numbers = (int(version), int(last), int(swept), int(timestamp))
            return cls(generation, *numbers, holder, int(beat))
        except ValueError:
            return None


def token() -> str:
    """Return a word that nobody else has."""
    return secrets.token_hex(6)


class States:
    """Reads and changes the state of one gallery."""

    def __init__(self, server: Server, prefix: str) -> None:
        self._server, self._prefix = server, prefix
        self._own = token()

    def now(self) -> State | None:
        """Return the state; None where there is no gallery.

        Raises:
            GalleryError: There is something else of that name.
        """
        try:
            found = self._server.call("describe_alias", self._prefix)["collection_name"]
        except MissingError:
            if not self._server.call("has_collection", self._prefix):
                return None
            found = self._prefix
        state = State.from_name(found, self._prefix)
        if state is None:
            raise GalleryError(
                f"{self._server.address}: the server's collection {self._prefix} was not made by "
                "vireid; give the gallery another name"
            )
        return state

    def swap(self, old: State, new: State) -> bool:
        """Put a new state in the place of an old one; return whether the old one was there."""
        try:
            self._server.call("rename_collection", old.name(self._prefix), new.name(self._prefix))
        except GalleryError as error:
            cause = error.__cause__
            if not isinstance(cause, MilvusException):
                raise
            # It may have been done by a request whose answer was lost.
            now = self.now()
            if now == old:
                raise
            return now == new
        return True

    def begin(self, patience: float) -> "Turn":
        """Wait for one's turn to write, and take it.

        Raises:
            GalleryError: Another process is writing for longer than that.
        """
        until, seen, since = time.monotonic() + patience, None, time.monotonic()
        while True:
            state = self.now()
            if state is None:
                raise GalleryError(f"{self._server.address} is no longer a gallery")
            if state != seen:
                seen, since = state, time.monotonic()
            is_lost = time.monotonic() - since > LEASE
            if state.holder in (FREE, self._own) or is_lost:
                mine = replace(state, last=state.last + 1, holder=self._own, beat=0)
                if self.swap(state, mine):
                    return Turn(self, mine, str(self._server.address))
                continue
            if time.monotonic() > until:
                raise GalleryError(
                    f"{self._server.address}: another process is writing to this gallery; wait "
                    "until it has finished"
                )
            time.sleep(WAITING)


class Turn:
    """The turn of one writer, held by signs of life until it ends."""

    def __init__(self, states: States, state: State, address: str) -> None:
        self._states, self._state, self._address = states, state, address
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="vireid-milvus", daemon=True)
        self._thread.start()

    @property
    def state(self) -> State:
        """The state as this writer has made it."""
        return self._state

    @property
    def number(self) -> int:
        """Number of the change."""
        return self._state.last

    def say(self, make: Callable[[State], State]) -> None:
        """Change the state.

        Raises:
            GalleryError: Another process has taken the turn meanwhile.
        """
        with self._lock:
            new = make(self._state)
            if not self._states.swap(self._state, new):
                raise GalleryError(
                    f"{self._address}: this process gave no sign of life for {LEASE:.0f} s and "
                    "another one has taken its turn to write; this step has changed nothing: do it "
                    "again"
                )
            self._state = new

    def end(self, version: int | None, **said: object) -> None:
        """End the turn; with a version, its change counts from now on.

        Raises:
            GalleryError: As for `say`.
        """
        self._ended.set()
        self._thread.join()
        version = self._state.version if version is None else version
        self.say(lambda s: replace(s, version=version, holder=FREE, beat=0, **said))  # type: ignore[arg-type]

    def _live(self) -> None:
        while not self._ended.wait(BEAT):
            try:
                self.say(lambda s: replace(s, beat=s.beat + 1))
            except GalleryError:
                return  # whoever writes finds out when the change is to count
