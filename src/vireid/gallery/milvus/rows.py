"""Rows of a gallery on Milvus: pictures and facts as its collections hold them.

The id of a row begins with the number of the change that wrote it. So rows are never written over
by another change, a change that is sent twice writes the same rows, and those of changes that do
not count are told by their ids.

What filters compare is kept as numbers: the hash (BLAKE2b, 8 bytes) of a kind and a value. A name
in a filter is then no text that a server would have to parse.
"""

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from vireid.errors import VireidError
from vireid.gallery.entry_json import EntryDocument, document_of, entry_of, record_of
from vireid.gallery.filters import Filters
from vireid.gallery.store import Counted, Entry, GalleryError
from vireid.records import ImageRecord, Key, moment
from vireid.types.arrays import Vector

BITS = 24
MOST_ROWS = 2**BITS - 4096
"""Largest number of rows of one change; the ids above are those of the change's own document."""
NEVER = -(2**63)
"""Moment of pictures without a time."""
MOST_LETTERS = 65_535
"""Largest length of a text in bytes, by Milvus."""
MOST_WORDS = 1_024
"""Largest number of tags and folders of a picture."""
ROW_BYTES = 2_000
"""About how many bytes a row takes beside its vector."""

Row = dict[str, Any]
T = TypeVar("T")


def first_id(change: int) -> int:
    """Return the first id that a change may give."""
    return change << BITS


def number_of(kind: str, value: object) -> int:
    """Return the number by which a value of some kind is compared; 0 for None."""
    if value is None:
        return 0
    digest = hashlib.blake2b(f"{kind}\0{value}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def number_of_key(key: Key) -> int:
    """Return the number by which a picture's key is looked up."""
    path, box = key
    return number_of("key", f"{path}\0{box or ''}")


@lru_cache(4096)
def folder_numbers(folder: Path) -> tuple[int, ...]:
    """Return the numbers of a folder and of all folders that it lies in."""
    return tuple(number_of("below", each) for each in (folder, *folder.parents))


def picture_row(entry: Entry, vector: Vector) -> Row:
    """Return the row of a picture, all but its id.

    Raises:
        GalleryError: Something in it is larger than Milvus can keep.
    """
    record = entry.record
    if record.identity is not None and not -(2**63) <= record.identity < 2**63:
        raise GalleryError(
            f"{record.path}: an identity is too large a number to be kept; correct it"
        )
    words = [number_of("tag", tag) for tag in sorted(record.tags)]
    words += folder_numbers(record.path.parent)
    text = msgspec.json.encode(document_of(entry)).decode()
    if len(text.encode()) > MOST_LETTERS - 16 or len(words) > MOST_WORDS:
        raise GalleryError(
            f"{record.path}: what is said of it takes more than Milvus keeps (64 kB, "
            f"{MOST_WORDS:,} tags and folders); shorten path or tags"
        )
    numbers = np.ascontiguousarray(vector, np.float32)
    return {
        "vector": numbers,
        "key": number_of_key(record.key),
        "camera": number_of("camera", record.camera),
        "person": number_of("person", record.person),
        "identity": number_of("identity", record.identity),
        "tracklet": number_of("tracklet", record.tracklet),
        "source": number_of("source", entry.source),
        "content": number_of("content", entry.content),
        "moment": NEVER if record.time is None else moment(record.time),
        "words": words,
        "sum": zlib.crc32(text.encode(), zlib.crc32(numbers.data)),
        "entry": text,
    }


DECODER = msgspec.json.Decoder(EntryDocument)
SHOWN = ("entry",)
"""Fields from which `entry_from` makes an entry."""


def entry_from(row: Row, address: object) -> Entry:
    """Return the entry of a row.

    Raises:
        GalleryError: It is not what was written.
    """
    return _made(entry_of, row, address)


def record_from(row: Row, address: object) -> ImageRecord:
    """Return the record of a row, in half the time of its entry.

    Raises:
        GalleryError: It is not what was written.
    """
    return _made(record_of, row, address)


def _made(make: Callable[[EntryDocument], T], row: Row, address: object) -> T:
    try:
        return make(DECODER.decode(row["entry"]))
    except (KeyError, ValueError, msgspec.MsgspecError, VireidError) as error:
        raise GalleryError(
            f"{address} is damaged (picture {row.get('id')} is unreadable); restore a backup, or "
            "index the pictures again into another gallery"
        ) from error


def is_sound(row: Row) -> bool:
    """Whether a row, read with its vector, is as it was written."""
    vector = np.asarray(row["vector"], np.float32)
    return int(row["sum"]) == zlib.crc32(row["entry"].encode(), zlib.crc32(vector.data))


def counted(entry: Entry) -> list[tuple[Counted, str]]:
    """Return under what a picture is counted."""
    record = entry.record
    said: list[tuple[Counted, object]] = [
        ("modality", record.modality.value),
        ("camera", record.camera),
        ("person", record.person),
        ("identity", record.identity),
        ("day", record.time.isoformat()[:10] if record.time else None),
        ("source", entry.source),
        *(("tag", tag) for tag in record.tags),
    ]
    return [(what, str(name)) for what, name in said if name is not None]


def condition_of(filters: Filters) -> list[str]:
    """Return the conditions of filters, but for the modality, as Milvus writes them."""
    cameras = [number_of("camera", camera) for camera in sorted(filters.cameras)]
    words = [number_of("tag", tag) for tag in sorted(filters.tags)]
    words += [number_of("below", filters.below)] if filters.below is not None else []
    found = [f"camera in {cameras}"] if cameras else []
    found += [f"moment >= {moment(filters.since)}"] if filters.since is not None else []
    if filters.until is not None:
        found += [f"moment < {moment(filters.until)}", f"moment > {NEVER + 1}"]
    for name in ("tracklet", "identity", "person", "source"):
        value = getattr(filters, name)
        found += [f"{name} == {number_of(name, value)}"] if value is not None else []
    return found + ([f"array_contains_all(words, {words})"] if words else [])


def one_of(field: str, numbers: Iterable[int]) -> str:
    """Return the condition that a field has one of some numbers."""
    return f"{field} in {sorted(numbers)}"


def fact_row(kind: str, key: str, value: object) -> Row:
    """Return the row of a fact, all but its id.

    Raises:
        GalleryError: It is larger than Milvus can keep.
    """
    text = packed(msgspec.json.encode([key, value]))
    if len(text) > MOST_LETTERS:
        raise GalleryError(f"the note {kind} {key[:60]!a} takes more than Milvus keeps (64 kB)")
    return {
        "vector": np.zeros(2, np.float32),
        "kind": number_of("kind", kind),
        "key": number_of(kind, key),
        "value": text,
    }


def fact_from(row: Row) -> tuple[str, Any]:
    """Return key and value of a fact."""
    key, value = msgspec.json.decode(unpacked(row["value"]))
    return key, value


def packed(content: bytes) -> str:
    """Return JSON as a text, made shorter where it is long."""
    if len(content) < 16_000:
        return content.decode()
    return "z" + base64.b85encode(zlib.compress(content)).decode()


def unpacked(text: str) -> bytes:
    """Return what `packed` was given."""
    if not text.startswith("z"):
        return text.encode()
    return zlib.decompress(base64.b85decode(text[1:]))


def in_parts(values: Sequence[int], size: int = 2_000) -> list[Sequence[int]]:
    """Return values in parts, each short enough for one condition."""
    return [values[start : start + size] for start in range(0, len(values), size)]
