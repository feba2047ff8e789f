"""JSON and TOML files, decoded into the types of those who own them.

Files are damaged, edited by hand, made by another version or by strangers. A field that is missing,
null, of a wrong type or out of its range is found here, before anybody computes with it, and told
in one line with the file's name. What a field may hold is said by its type alone: `Count` and
`Annotated[int, msgspec.Meta(ge=1, le=4096)]` are types.
"""

import re
import tomllib
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from types import GenericAlias, UnionType
from typing import Annotated, Any, TypeVar

import msgspec

from vireid.errors import VireidError
from vireid.files.atomic import write_whole
from vireid.files.untrusted import MOST_OF_A_CARD, content_of, what_is_wrong

T = TypeVar("T")

MOST_OF_A_TABLE = 2**18
"""Largest size in bytes of a TOML file; recipes that come with vireid have a hundredth of it."""
_LONG_KEY = re.compile(
    r"""(?<![\w-])(?:(?:[\w-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')[ \t]*\.[ \t]*){64}"""
)
"""Matches a dotted key of more than 64 parts, for which tomllib takes the square in memory."""
GZIP = 31
"""The number by which zlib knows gzip's format."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A whole number that counts something."""


@dataclass(frozen=True)
class _Head:
    format: int


def read_json(
    path: Path,
    kind: type[T] | GenericAlias | UnionType,
    way_out: str,
    error: type[VireidError] = VireidError,
    formats: Collection[int] | None = None,
    most: int = MOST_OF_A_CARD,
) -> T:
    """Read a JSON file.

    Args:
        path: Of the file.
        kind: Type of its content, such as a dataclass. Fields that it does not have are ignored.
        way_out: What to do if the file is damaged.
        error: Kind of error to raise.
        formats: Values of the field `format` that can be read; None for files without it.
        most: Largest size of the file in bytes.

    Raises:
        VireidError: Of the kind `error`: it cannot be read, is of another format, or holds
            something else than its type says.
    """
    content = _content(path, most, way_out, error)
    if formats is not None:
        found = _decoded(path, content, _Head, way_out, error).format
        if found not in formats:
            newest = max(formats)
            raise error(f"{path} has format {found}, this vireid reads {newest}; {way_out}")
    return _decoded(path, content, kind, way_out, error)


def typed(
    place: Path | str,
    value: Any,
    kind: type[T] | GenericAlias | UnionType,
    way_out: str,
    error: type[VireidError] = VireidError,
) -> T:
    """Return a value that has been read already in its type; `place` says where it stands.

    Raises:
        VireidError: Of the kind `error`: it is something else than its type says.
    """
    return _typed(place, lambda: msgspec.convert(value, kind, str_keys=True), way_out, error)


def write_json(path: Path, content: object) -> None:
    """Replace a JSON file by what `read_json` reads; the whole file is written, or nothing.

    Raises:
        VireidError: Disk full, no permission.
    """
    write_whole(path, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


def read_lines(
    path: Path,
    kind: type[T] | GenericAlias | UnionType,
    way_out: str,
    error: type[VireidError] = VireidError,
    *,
    is_growing: bool = False,
    most: int = MOST_OF_A_CARD,
) -> list[T]:
    """Read a file of one JSON value a line, perhaps packed by gzip.

    Parameters and errors are those of `read_json`, and `is_growing`: a file that is written line by
    line, whose last one is left out if it does not end, as whoever wrote it was stopped.
    """
    content = _content(path, most, way_out, error)
    if path.suffix == ".gz":
        content = _typed(path, lambda: _unpacked(content), way_out, error)
    lines = content.split(b"\n")
    numbered = enumerate(lines if lines[-1] and not is_growing else lines[:-1], start=1)
    return [_decoded(f"{path}, line {n},", line, kind, way_out, error) for n, line in numbered]


def as_line(content: object) -> bytes:
    """Return a line that `read_lines` reads; what is not a finite number becomes null."""
    return msgspec.json.encode(content) + b"\n"


def read_toml(
    path: Path,
    kind: type[T] | GenericAlias | UnionType,
    way_out: str,
    error: type[VireidError] = VireidError,
) -> T:
    """Read a TOML file; parameters and errors are those of `read_json`."""
    content = _content(path, MOST_OF_A_TABLE, way_out, error)
    try:
        text = content.decode()
        if _LONG_KEY.search(text):
            raise ValueError("a key has more than 64 parts")
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as reason:
        raise error(f"{path} is not TOML: {reason}") from reason
    return typed(path, table, kind, way_out, error)


def _decoded(
    place: Path | str,
    content: bytes,
    kind: type[T] | GenericAlias | UnionType,
    way_out: str,
    error: type[VireidError],
) -> T:
    return _typed(place, lambda: msgspec.json.decode(content, type=kind), way_out, error)


def _typed(
    place: Path | str, convert: Callable[[], T], way_out: str, error: type[VireidError]
) -> T:
    try:
        return convert()
    except Exception as reason:  # a tensor in the place of a table leads anywhere
        why = " ".join(str(reason).split())
        raise error(f"{place} is damaged or something else ({why}); {way_out}") from reason


def _unpacked(content: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=GZIP)
    try:
        unpacked = unpacker.decompress(content, MOST_OF_A_CARD)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not unpacker.eof:
        raise ValueError("it is cut off, or unpacks to too much")
    return unpacked


def _content(path: Path, most: int, way_out: str, error: type[VireidError]) -> bytes:
    try:
        return content_of(path, most)
    except OSError as reason:
        raise error(f"{path} {what_is_wrong(path, reason)}; {way_out}") from reason
