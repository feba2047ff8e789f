"""Addresses of galleries on Milvus servers: `milvus://host:port/name`."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from vireid.errors import VireidError

SCHEME = "milvus"
PORT = 19530
"""The port that Milvus listens on unless told otherwise."""
NAME = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*")
MOST_LETTERS = 64
FORM = "write milvus://HOST:PORT/NAME"


class AddressError(VireidError):
    """An address of a gallery on a server is none."""


@dataclass(frozen=True)
class MilvusAddress:
    """The address of a gallery on a Milvus server."""

    host: str
    port: int
    name: str
    """Name of the gallery on that server."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{SCHEME}://{host}:{self.port}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> "MilvusAddress":
        """Read an address.

        Raises:
            AddressError: It is none, or names a user; the message does not repeat what it names.
        """
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise AddressError(f"an address of a Milvus server has no such port; {FORM}") from None
        if parts.username is not None or parts.password is not None:
            raise AddressError(
                "an address that names a user ends up in logs; leave it out and set "
                "VIREID_MILVUS_USER and VIREID_MILVUS_PASSWORD, or VIREID_MILVUS_FILE"
            )
        if not host or parts.query or parts.fragment:
            raise AddressError(f"{text} names no Milvus server; {FORM}")
        name = parts.path.strip("/")
        if not NAME.fullmatch(name) or len(name) > MOST_LETTERS:
            what = f"{name!r} is no name of a gallery on Milvus" if name else f"{text} has no name"
            raise AddressError(
                f"{what}; take up to {MOST_LETTERS} letters, digits and single _, a letter first"
            )
        return cls(host, port or PORT, name)
