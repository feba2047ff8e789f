"""Settings of the service: a TOML file, above it the environment, above that the command line.

    host = "127.0.0.1"
    [galleries]
    site = "/data/site.gallery"

In the environment a setting is called VIREID_ and its name in capitals, such as VIREID_PORT; lists
have commas between their items, and galleries are written NAME=PATH.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec

from vireid.console import shortened
from vireid.errors import VireidError, suggestion
from vireid.files.documents import read_toml, typed
from vireid.gallery.addresses import parsed
from vireid.gallery.store import Address

PREFIX = "VIREID_"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Names of galleries, which are a part of addresses."""


def _said(text: str, **bounds: Any) -> msgspec.Meta:
    return msgspec.Meta(description=text, **bounds)


@dataclass(frozen=True)
class Settings:
    """Everything that can be set; the description in a field's type says what it is for."""

    galleries: Annotated[
        dict[str, str], _said("Folders or addresses of the galleries by their names.")
    ] = field(default_factory=dict)
    host: Annotated[str, _said("Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, _said("Port to listen on; 0 for any free one.", ge=0, le=65535)] = 8750
    data: Annotated[str, _said("Folder for keys, audit log, jobs and uploads.")] = "vireid-service"
    keys: Annotated[
        Literal["auto", "required"],
        _said(
            "`required`: nobody gets in without a key. `auto`: required unless bound to loopback."
        ),
    ] = "auto"
    hosts: Annotated[
        list[str],
        _said(
            "Names under which the service is reached, such as `people.example.org`. Empty: any "
            "where keys are required, else this machine's own names."
        ),
    ] = field(default_factory=list)
    sources: Annotated[
        list[str], _said("Folders whose pictures jobs may index, with all folders below.")
    ] = field(default_factory=list)
    trusted_proxies: Annotated[
        list[str], _said("Addresses of reverse proxies that may say who asks (X-Forwarded-For).")
    ] = field(default_factory=list)
    requests_per_minute: Annotated[
        int,
        _said(
            "Requests of one key that has no rate of its own, or of one address.", ge=1, le=10**6
        ),
    ] = 1200
    most_bytes: Annotated[int, _said("Bytes of one picture that is sent.", ge=2**10, le=2**29)] = (
        20 * 2**20
    )
    most_pictures: Annotated[int, _said("Pictures in one request.", ge=1, le=1000)] = 32
    most_waiting: Annotated[
        int,
        _said(
            "Searches and additions in work at once; further ones are told to come again.",
            ge=1,
            le=10**4,
        ),
    ] = 64
    request_seconds: Annotated[
        float, _said("Time that a client has to send a request.", gt=0, le=3600)
    ] = 30.0
    session_hours: Annotated[
        int, _said("Hours for which the page stays signed in.", ge=1, le=720)
    ] = 12
    undo_minutes: Annotated[
        int,
        _said(
            "Minutes for which a removal can be undone; then the gallery is compacted.",
            ge=0,
            le=10_080,
        ),
    ] = 10
    stop_seconds: Annotated[
        float, _said("Time for running requests to finish on a stop.", gt=0, le=3600)
    ] = 20.0
    thumbnails_mb: Annotated[int, _said("Memory for thumbnails, in MiB.", ge=1, le=10**5)] = 64
    log_format: Annotated[
        Literal["text", "json"], _said("Form of the lines of the log, on standard error.")
    ] = "text"

    @cached_property
    def needs_keys(self) -> bool:
        """Whether nobody gets in without a key."""
        return self.keys == "required" or not is_loopback(self.host)

    @property
    def folder(self) -> Path:
        """Folder for everything that the service keeps."""
        return Path(os.path.abspath(os.path.expanduser(self.data)))  # noqa: PTH100, PTH111

    @classmethod
    def read(
        cls,
        file: Path | None = None,
        environment: Mapping[str, str] | None = None,
        **given: Any,
    ) -> "Settings":
        """Return the settings of a file, the environment, and what is given (but for None).

        Raises:
            VireidError: A setting is unknown, or has a value that it cannot have.
        """
        told: dict[str, Any] = {}
        if file is not None:
            told |= read_toml(file, dict[str, Any], "correct it")
            _refuse_unknown(told, file)
        told |= _of_environment(os.environ if environment is None else environment)
        told |= {name: value for name, value in given.items() if value is not None}
        settings = typed("settings", told, cls, "correct it, see docs/service.md")
        settings.check()
        return settings

    def check(self) -> None:
        """Refuse what cannot be served.

        Raises:
            VireidError: A name is no name, or the hosts are not.
        """
        for name in self.galleries:
            if not NAME.fullmatch(name):
                raise VireidError(
                    f"{shortened(name)!r} is no name of a gallery; take letters, digits, . _ -"
                )

    def with_galleries(self, paths: Iterable[Address]) -> "Settings":
        """Return settings that serve galleries under names of their own, too.

        Raises:
            VireidError: Two have the same name.
        """
        galleries = dict(self.galleries)
        for path in paths:
            name = name_of(path)
            if galleries.setdefault(name, str(path)) != str(path):
                raise VireidError(
                    f"two galleries are called {name}; name them in a settings file, [galleries]"
                )
        return replace(self, galleries=galleries)


def name_of(address: Address) -> str:
    """Return the name under which a gallery is served: that of its folder, or on its server.

    >>> name_of(Path("/data/north gate.gallery"))
    'north-gate'
    """
    place = parsed(address)
    if not isinstance(place, Path):
        return place.name
    stem = Path(os.path.abspath(place)).name.removesuffix(".gallery")  # noqa: PTH100
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:64] or "gallery"


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _of_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    types, told = get_type_hints(Settings), dict[str, Any]()
    for each in fields(Settings):
        if (text := environment.get(PREFIX + each.name.upper())) is not None:
            told[each.name] = _from_text(each.name, text, types[each.name])
    return told


def _from_text(name: str, text: str, kind: Any) -> Any:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if kind == list[str]:
        return words
    if kind == dict[str, str]:
        pairs = [word.partition("=") for word in words]
        return {left.strip(): right.strip() for left, _, right in pairs}
    if kind is str or "Literal" in str(kind):
        return text
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise VireidError(f"{PREFIX}{name.upper()} is {shortened(text)!r}, no number") from None


def _refuse_unknown(told: Mapping[str, Any], file: Path) -> None:
    known = [each.name for each in fields(Settings)]
    for name in told:
        if name not in known:
            raise VireidError(f"{file}: there is no setting {name}; {suggestion(name, known)}")


def table() -> list[str]:
    """Return the rows of the table of settings in Markdown, for docs/service.md."""
    types = get_type_hints(Settings, include_extras=True)
    rows = ["| setting | default | is |", "|---|---|---|"]
    for each in fields(Settings):
        default = getattr(Settings(), each.name)
        shown = f"`{default}`" if default not in ("", [], {}) else ""
        (_, about, *_) = get_args(types[each.name])
        rows.append(f"| `{each.name}` | {shown} | {about.description} |")
    return rows
