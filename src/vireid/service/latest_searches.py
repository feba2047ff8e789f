"""Searches: the pictures of the latest ones, in case somebody says of a hit who it shows."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from vireid.service.uploads import Upload


class Searches:
    """The pictures of the latest searches, kept in memory."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._size = most_bytes, 0
        self._lock = threading.Lock()
        self._of: OrderedDict[str, tuple[str, tuple[Upload, ...], str]] = OrderedDict()

    def keep(self, id_: str, gallery: str, uploads: Sequence[Upload], who: str) -> None:
        """Keep the uploads of a search."""
        with self._lock:
            self._of[id_] = gallery, tuple(uploads), who
            self._size += sum(len(upload.content) for upload in uploads)
            while self._size > self._most:
                _, (_, gone, _) = self._of.popitem(last=False)
                self._size -= sum(len(upload.content) for upload in gone)

    def get(self, id_: str, gallery: str, who: str) -> Upload | None:
        """Return the picture of a search of somebody; None where it is not known any more."""
        with self._lock:
            found = self._of.get(id_)
        if found is None or found[0] != gallery or found[2] != who or not found[1]:
            return None
        return found[1][0]
