"""API keys: `vireid_` and an id and 256 random bits, which are shown once and kept as a hash.

A key is random, not chosen by a person, so nobody can guess it from its hash, however fast that is
computed: SHA-256 is enough, and a slow hash would only slow the service. Hashes are compared in
constant time, also where there is no such key.
"""

import hashlib
import hmac
import re
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from vireid.console import shortened
from vireid.errors import VireidError, suggestion
from vireid.service.database import Database

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "write", "admin")
"""What a key may do; each includes those before it. `admin` sees all jobs, metrics and keys."""
FORM = re.compile(r"vireid_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")
NAME = re.compile(r"[^\x00-\x1f\x7f]{1,64}")
PER_MINUTE = {"second": 60.0, "minute": 1.0, "hour": 1 / 60}
BYTES = {"kB": 1000, "MB": 10**6, "KiB": 2**10, "MiB": 2**20}
_NOBODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Limits:
    """How much a key may ask; None stands for what the settings of the service say."""

    per_minute: float | None = None
    """Requests a minute."""
    most_bytes: int | None = None
    """Bytes of one picture that is sent; never more than the settings allow."""

    @classmethod
    def from_words(cls, rate: str | None, most: str | None) -> "Limits":
        """Return limits in words, such as `60/minute` and `5MB`.

        Raises:
            VireidError: One of them is none.
        """
        return cls(_rate(rate) if rate else None, _size(most) if most else None)


NO_LIMITS = Limits()


@dataclass(frozen=True)
class Key:
    """A key, but for its secret."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    limits: Limits = NO_LIMITS

    @property
    def is_valid(self) -> bool:
        """Whether it has neither expired nor been revoked."""
        return self.revoked is None and (self.expires is None or datetime.now(UTC) < self.expires)

    def as_dict(self) -> dict[str, object]:
        """Return the key for programs."""
        state = "valid" if self.is_valid else "revoked" if self.revoked else "expired"
        return {
            "id": self.id,
            "name": self.name,
            "scope": self.scopes[-1],
            "created": self.created.isoformat(timespec="seconds"),
            "expires": self.expires and self.expires.isoformat(timespec="seconds"),
            "state": state,
            "requests_per_minute": self.limits.per_minute,
            "most_bytes": self.limits.most_bytes,
        }


class Keys:
    """The keys of one service."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        name: str,
        scope: Scope,
        lasts: timedelta | None = None,
        limits: Limits = NO_LIMITS,
    ) -> tuple[Key, str]:
        """Make a key; return it and its text, which is kept nowhere.

        Args:
            name: Name by which the log tells who did what.
            scope: Most that it may do: `read`, `write` or `admin`.
            lasts: Time for which it is valid; None for ever.
            limits: How much it may ask.

        Raises:
            VireidError: There is such a name already, or it is none.
        """
        check_name(name)
        id_, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        now = datetime.now(UTC)
        scopes = SCOPES[: SCOPES.index(scope) + 1]
        key = Key(id_, name, scopes, now, now + lasts if lasts else None, None, limits)
        known = (id_, name, _hash(secret), scope, now.isoformat(), _text(key.expires), None)
        row = (*known, limits.per_minute, limits.most_bytes)
        with self._database.changing() as db:
            if db.execute("SELECT 1 FROM keys WHERE name = ?", (name,)).fetchone():
                raise VireidError(f"there is a key of the name {name!r}; take another name")
            db.execute("INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        return key, f"vireid_{id_}_{secret}"

    def all(self) -> list[Key]:
        """Return all keys, also those that are not valid any more."""
        return list(_of_rows(self._database.rows("SELECT * FROM keys ORDER BY created")))

    def get(self, id_: str) -> Key | None:
        """Return the key of an id."""
        return next(_of_rows(self._database.rows("SELECT * FROM keys WHERE id = ?", id_)), None)

    def revoke(self, name: str) -> Key:
        """Make a key invalid, at once and for ever.

        Args:
            name: Its name or its id.

        Raises:
            VireidError: There is none.
        """
        known = self.all()
        found = next((key for key in known if name in (key.name, key.id)), None)
        if found is None:
            hint = suggestion(name, [key.name for key in known], "`vireid keys list` shows them")
            raise VireidError(f"there is no key {shortened(name)!r}; {hint}")
        with self._database.changing() as db:
            asked = "UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL"
            db.execute(asked, (datetime.now(UTC).isoformat(), found.id))
        return found

    def check(self, text: str) -> Key | None:
        """Return the valid key that a text is; None for all others."""
        form = FORM.fullmatch(text)
        id_, secret = form.groups() if form else ("", text)
        rows = self._database.rows("SELECT * FROM keys WHERE id = ?", id_)
        expected = rows[0]["hash"] if rows else _NOBODY
        is_right = hmac.compare_digest(_hash(secret), expected)
        key = next(_of_rows(rows), None)
        return key if key and is_right and key.is_valid else None


def check_name(name: str) -> None:
    """Refuse what is no name of a key.

    Raises:
        VireidError: It is none.
    """
    if not NAME.fullmatch(name) or not name.strip():
        raise VireidError(f"{shortened(name)!r} is no name of a key; take 1 to 64 letters")


def _rate(text: str) -> float:
    """Return requests a minute.

    >>> _rate("60/minute"), _rate("2/second"), _rate("90/hour")
    (60.0, 120.0, 1.5)
    """
    number, _, unit = text.partition("/")
    if re.fullmatch(r"[0-9]{1,7}", number) and int(number) and unit in PER_MINUTE:
        return int(number) * PER_MINUTE[unit]
    raise VireidError(f"{shortened(text)!r} is no rate; write 60/minute, 2/second or 500/hour")


def _size(text: str) -> int:
    """Return bytes.

    >>> _size("5MB"), _size("500kB"), _size("20MiB")
    (5000000, 500000, 20971520)
    """
    found = re.fullmatch(r"([0-9]{1,7}) ?(kB|MB|KiB|MiB)", text)
    size = int(found[1]) * BYTES[found[2]] if found else 0
    if 2**10 <= size <= 2**29:
        return size
    raise VireidError(
        f"{shortened(text)!r} is no size of a picture; write 500kB, 5MB or 20MiB, up to 512MiB"
    )


def _of_rows(rows: Iterable[sqlite3.Row]) -> Iterator[Key]:
    for row in rows:
        scopes = SCOPES[: SCOPES.index(row["scopes"]) + 1]
        created = datetime.fromisoformat(row["created"])
        later = (_time(row["expires"]), _time(row["revoked"]))
        limits = Limits(row["per_minute"], row["most_bytes"])
        yield Key(row["id"], row["name"], scopes, created, *later, limits)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
