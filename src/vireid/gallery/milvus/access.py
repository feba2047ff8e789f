"""Access to Milvus servers: user, password, token and TLS, from the environment or a file.

Every field of `Access` is a variable, such as VIREID_MILVUS_PASSWORD. VIREID_MILVUS_FILE names a
TOML file with the same names in small letters; a variable counts above it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from vireid.errors import VireidError, suggestion
from vireid.files.documents import read_toml

PREFIX = "VIREID_MILVUS_"
FILE = f"{PREFIX}FILE"


@dataclass(frozen=True)
class Access:
    """What a server wants to know before it answers; secrets are not shown in `repr`."""

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    """In place of user and password."""
    database: str = ""
    """Database on the server; its default one where empty."""
    tls: bool = False
    ca: str = ""
    """Certificate (PEM) by which the server's is checked; needed where no public one signed it."""
    certificate: str = ""
    """Certificate (PEM) of the client, where the server asks for one; with `key` and `ca`."""
    key: str = field(default="", repr=False)
    """File (PEM) of the client's key."""

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> "Access":
        """Read the environment, and the file that it names.

        Raises:
            VireidError: A setting is unknown or contradicts another, or a file is not there.
        """
        environment = os.environ if environment is None else environment
        said: dict[str, Any] = {}
        if name := environment.get(FILE):
            said |= _of_file(Path(name).expanduser())
        for each in fields(cls):
            if (text := environment.get(PREFIX + each.name.upper())) is not None:
                said[each.name] = text
        texts: dict[str, Any] = {name: str(value) for name, value in said.items()}
        access = cls(**texts | {"tls": _is_true(texts.get("tls", "0"))})
        access._check()
        return access

    def _check(self) -> None:
        if bool(self.user) != bool(self.password):
            raise VireidError(f"give {PREFIX}USER and {PREFIX}PASSWORD, both or neither")
        if (self.certificate or self.key) and not (self.certificate and self.key and self.ca):
            raise VireidError(f"a client's certificate needs {PREFIX}CERTIFICATE, KEY and CA")
        for name in ("ca", "certificate", "key"):
            if (path := getattr(self, name)) and not Path(path).is_file():
                raise VireidError(f"{PREFIX}{name.upper()} names {path}, which is no file")

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self.tls or bool(self.ca)


def _of_file(path: Path) -> dict[str, Any]:
    said = read_toml(path, dict[str, Any], f"{FILE} has to name a TOML file of access settings")
    known = [each.name for each in fields(Access)]
    for name in said:
        if name not in known:
            raise VireidError(f"{path}: there is no setting {name}; {suggestion(name, known)}")
    return said


def _is_true(word: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if word.lower() not in words:
        raise VireidError(f"{PREFIX}TLS is {word!r}; write 1 or 0")
    return words[word.lower()]
