"""Ids of pictures, by which programs ask for them: letters, digits, - and _.

An id names the source and the file in it, without the folders of this machine above the source. Of
a picture that was found in no source, such as one that `vireid watch` has cut out, it holds the
whole path, which is sealed. It says nothing about what may be seen: it is looked up in the gallery,
and what is not there is not found, whatever path it spells.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from vireid.errors import VireidError
from vireid.records import Box, ImageRecord, Key

BETWEEN = "\0"
MARK = 16
"""Bytes of the hash that a sealed path begins with."""
MOST = 8_192
"""Largest number of letters of an id; paths have up to 4,096 bytes."""
_LETTERS = re.compile(r"[A-Za-z0-9_-]+")


def seal_of(address: object) -> bytes:
    """Return the key by which a gallery's ids hide paths, from its address.

    Like the names of sources in ids it stays the same while the gallery stays where it is.
    """
    return hashlib.blake2b(str(address).encode("utf-8", "surrogateescape")).digest()


def id_of(record: ImageRecord, roots: Iterable[Path], seal: bytes) -> str:
    """Return the id of a picture.

    Args:
        record: Record with an absolute path.
        roots: Sources of the gallery.
        seal: Its `seal_of`.
    """
    root, name = _split(record.path, roots)
    told = BETWEEN.join((name, str(record.box or ""))).encode("utf-8", "surrogateescape")
    begin, rest = (_tag(root).encode(), told) if root else (b"", _sealed(told, seal))
    return base64.urlsafe_b64encode(begin + BETWEEN.encode() + rest).decode().rstrip("=")


def key_of(id_: str, roots: Iterable[Path], seal: bytes) -> Key | None:
    """Return the key that an id names; None where it is no id, or of a source that is not there."""
    if len(id_) > MOST or not _LETTERS.fullmatch(id_):
        return None
    try:
        tag, _, told = base64.urlsafe_b64decode(id_ + "=" * (-len(id_) % 4)).partition(b"\0")
        name, box = (told if tag else _opened(told, seal)).decode().split(BETWEEN)
        place = Box.from_text(box) if box else None
    except (binascii.Error, ValueError, TypeError, VireidError):
        return None
    if not tag:
        return Path(name), place
    root = next((root for root in roots if _tag(root).encode() == tag), None)
    return None if root is None else (root / name, place)


def _sealed(told: bytes, seal: bytes) -> bytes:
    """Return bytes that nobody can read without the seal; of the same, always the same.

    They begin with a keyed hash of what is hidden, from which the stream is drawn that hides it (a
    synthetic initialisation vector, RFC 5297, of BLAKE2b and SHAKE256).
    """
    mark = hashlib.blake2b(told, key=seal, digest_size=MARK).digest()
    stream = hashlib.shake_256(seal + mark).digest(len(told))
    return mark + bytes(a ^ b for a, b in zip(told, stream, strict=True))


def _opened(sealed: bytes, seal: bytes) -> bytes:
    """Return what `_sealed` has hidden.

    Raises:
        ValueError: It has hidden nothing here.
    """
    mark, hidden = sealed[:MARK], sealed[MARK:]
    stream = hashlib.shake_256(seal + mark).digest(len(hidden))
    told = bytes(a ^ b for a, b in zip(hidden, stream, strict=True))
    if not hmac.compare_digest(hashlib.blake2b(told, key=seal, digest_size=MARK).digest(), mark):
        raise ValueError("this was sealed elsewhere, or nowhere")
    return told


def shown(path: Path, roots: Iterable[Path]) -> str:
    """Return a path as clients see it: from its source on, or else the name of the file."""
    root, name = _split(path, roots)
    return f"{root.name}/{name}" if root else path.name


def _split(path: Path, roots: Iterable[Path]) -> tuple[Path | None, str]:
    """Return the innermost source that a path lies in, and the path from there on."""
    text, found, length = str(path), None, 0
    for root in roots:
        begin = f"{root}{os.sep}"
        if len(begin) > length and text.startswith(begin):
            found, length = root, len(begin)
    return found, text[length:]


@lru_cache(1000)
def _tag(root: Path) -> str:
    return hashlib.blake2b(str(root).encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
