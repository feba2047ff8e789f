"""Sessions: the page signs in with a key and gets a cookie that scripts cannot read.

They are kept in memory, as hashes, and end with the process. A revoked key ends its sessions.
"""

import hashlib
import secrets
import threading
import time
from collections import OrderedDict

COOKIE = "vireid_session"
HEADER = "X-Vireid"
"""Header that the page sends with everything that changes something; other sites cannot (CSRF)."""
MOST = 10_000


class Sessions:
    """Who has signed in on the page."""

    def __init__(self, hours: int) -> None:
        self.seconds = hours * 3600
        self._lock = threading.Lock()
        self._of: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def begin(self, key_id: str) -> str:
        """Begin a session of a key; return the content of the cookie."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._of[_hash(token)] = key_id, time.monotonic() + self.seconds
            while len(self._of) > MOST:
                self._of.popitem(last=False)
        return token

    def key_of(self, token: str) -> str | None:
        """Return the id of the key that a session has begun with; None if it has ended."""
        with self._lock:
            key_id, ends = self._of.get(_hash(token), ("", 0.0))
        return key_id if time.monotonic() < ends else None

    def end(self, token: str) -> None:
        """End a session."""
        with self._lock:
            self._of.pop(_hash(token), None)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
