"""Pictures for the page: thumbnails, whole pictures and frames, made anew from the pixels.

No byte of a picture's file is handed on: what a browser gets was encoded here, so that a file that
is a picture and a script too is a picture only, and EXIF (places, names) stays at home. Files that
are no longer what was indexed, such as a link that leads elsewhere now, are not shown.
"""

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

from PIL import Image

from vireid.files.untrusted import content_of
from vireid.gallery.store import Entry
from vireid.pictures import MOST_BYTES, PictureError, picture_in
from vireid.service.problems import Problem

Look = Literal["thumbnail", "image", "frame"]
HEIGHTS = (64, 1024)
"""Least and largest height of a thumbnail."""
STEP = 32
"""Heights of thumbnails are multiples of it, so that few are kept."""


@dataclass(frozen=True)
class Encoded:
    """A picture as it is sent."""

    content: bytes
    tag: str
    """Changes with the content (ETag)."""
    media_type: str = "image/jpeg"


class Thumbnails:
    """Makes pictures, and keeps the latest small ones in memory. Threads may share it."""

    def __init__(self, megabytes: int) -> None:
        self._most = megabytes * 2**20
        self._size = 0
        self._kept: OrderedDict[tuple[object, ...], Encoded] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, entry: Entry, look: Look = "thumbnail", height: int = 192) -> Encoded:
        """Return a picture.

        Args:
            entry: Picture of a gallery.
            look: `thumbnail` and `image` show its box, `frame` all of the file.
            height: Rows of a thumbnail.

        Raises:
            Problem: The file is gone, or is no longer the one that was indexed.
        """
        height = min(max(height, HEIGHTS[0]), HEIGHTS[1]) // STEP * STEP
        rows = height if look == "thumbnail" else None
        key = (entry.record.key, entry.content, entry.stamp, look, rows)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = _encoded(entry, look, rows)
        if look == "thumbnail":
            self._keep(key, made)
        return made

    def _keep(self, key: tuple[object, ...], made: Encoded) -> None:
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = made
            self._size += len(made.content)
            while self._size > self._most:
                self._size -= len(self._kept.popitem(last=False)[1].content)

    def forget(self) -> None:
        """Forget all thumbnails, as when people were removed."""
        with self._lock:
            self._kept.clear()
            self._size = 0


def _encoded(entry: Entry, look: Look, rows: int | None) -> Encoded:
    record = entry.record
    try:
        content = content_of(record.path, MOST_BYTES)
    except OSError as error:
        raise Problem(410, "the file of this picture is gone; index its folder again") from error
    now = hashlib.blake2b(content, digest_size=16).hexdigest()
    if entry.content is not None and now != entry.content:
        raise Problem(
            410, "the file of this picture has changed since it was indexed; index it again"
        )
    try:
        enough = (rows, rows) if rows and not record.box else None
        picture = picture_in(content, record.path.name, enough)
    except PictureError as error:
        raise Problem(410, f"the file of this picture: {error.reason}") from error
    if record.box and look != "frame":
        picture = picture.crop(record.box.corners)
    if rows and picture.height > rows:
        size = (max(1, round(picture.width * rows / picture.height)), rows)
        picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    picture.info.clear()  # Pillow would write the comment of the file into the new one
    file = BytesIO()
    picture.save(file, "JPEG", quality=82 if look == "thumbnail" else 92)
    tag = hashlib.blake2b(file.getbuffer(), digest_size=12).hexdigest()
    return Encoded(file.getvalue(), f'"{tag}"')
