"""Searches: the latest ones, in case somebody says of a hit who it shows, or asks why."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vireid.service.answering import Query
from vireid.service.uploads import Upload

MOST = 10_000
"""Largest number of searches that are remembered."""


@dataclass(frozen=True, eq=False)
class Latest:
    """A search, as far as hits of it are judged and compared."""

    gallery: str
    who: str
    upload: Upload | None
    """First picture that was sent."""
    picture: str | None
    """Id of the first picture of the gallery."""
    queries: Sequence[Query] = ()
    several: Literal["mean", "best"] = "mean"
    centred: bool = False

    @property
    def size(self) -> int:
        """Bytes of what is kept."""
        sent = len(self.upload.content) if self.upload else 0
        return sent + sum(query.vector.nbytes for query in self.queries)


class Searches:
    """The pictures of the latest searches, kept in memory."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._size = most_bytes, 0
        self._lock = threading.Lock()
        self._of: OrderedDict[str, Latest] = OrderedDict()

    def keep(self, id_: str, search: Latest) -> None:
        """Keep the picture of a search."""
        with self._lock:
            self._of[id_] = search
            self._size += search.size
            while self._size > self._most or len(self._of) > MOST:
                self._size -= self._of.popitem(last=False)[1].size

    def get(self, id_: str, gallery: str, who: str) -> Latest | None:
        """Return a search of somebody; None where it is not known any more."""
        with self._lock:
            found = self._of.get(id_)
        return found if found and (found.gallery, found.who) == (gallery, who) else None
