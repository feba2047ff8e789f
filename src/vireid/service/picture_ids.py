"""Ids of pictures, by which programs ask for them: letters, digits, - and _.

An id names the source and the file in it, without the folders of this machine above the source. It
says nothing about what may be seen: it is looked up in the gallery, and what is not there is not
found, whatever path it spells.
"""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from vireid.errors import VireidError
from vireid.records import Box, ImageRecord, Key

BETWEEN = "\0"
MOST = 8_192
"""Largest number of letters of an id; paths have up to 4,096 bytes."""
_LETTERS = re.compile(r"[A-Za-z0-9_-]+")


def id_of(record: ImageRecord, roots: Iterable[Path]) -> str:
    """Return the id of a picture.

    Args:
        record: Record with an absolute path.
        roots: Sources of the gallery.
    """
    root, name = _split(record.path, roots)
    told = BETWEEN.join((_tag(root) if root else "", name, str(record.box or "")))
    packed = base64.urlsafe_b64encode(told.encode("utf-8", "surrogateescape"))
    return packed.decode().rstrip("=")


def key_of(id_: str, roots: Iterable[Path]) -> Key | None:
    """Return the key that an id names; None where it is no id, or of a source that is not there."""
    if len(id_) > MOST or not _LETTERS.fullmatch(id_):
        return None
    try:
        told = base64.urlsafe_b64decode(id_ + "=" * (-len(id_) % 4)).decode()
        tag, name, box = told.split(BETWEEN)
        place = Box.from_text(box) if box else None
    except (binascii.Error, ValueError, TypeError, VireidError):
        return None
    if not tag:
        return (Path(name), place) if name.startswith("/") else None
    root = next((root for root in roots if _tag(root) == tag), None)
    return None if root is None else (root / name, place)


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
