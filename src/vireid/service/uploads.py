"""Uploads: pictures that came with a request, read in bounds; addresses are never fetched."""

import asyncio
import hashlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from fastapi import UploadFile

from vireid.models.embedder import Embedder
from vireid.pictures import picture_in, resize, resized_in
from vireid.records import ImageRecord, Modality
from vireid.service.batching import Decoded
from vireid.service.galleries import Served
from vireid.service.keys import Key
from vireid.service.problems import Problem
from vireid.service.settings import Settings
from vireid.video.spectrum import COLOURED, GREY, colourfulness

SUFFIXES = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG": ".png",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
}

LARGE = 2**17
"""Bytes of a file from which its hash is found in a thread."""


@dataclass(frozen=True)
class Upload:
    """A file that came with a request."""

    where: str
    """Place in the request, such as `images[0]`; names that clients give are not used."""
    content: bytes

    @cached_property
    def hash(self) -> str:
        """Hash of the bytes, as galleries have it; found once."""
        return hashlib.blake2b(self.content, digest_size=16).hexdigest()


def suffix_of(content: bytes) -> str:
    """Return the suffix for a picture by the bytes that it begins with."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for begin, suffix in SUFFIXES.items() if content.startswith(begin)), ".img")


def kept_at(upload: Upload, served: Served) -> Path:
    """Return where a picture that was searched with is kept once somebody judges a hit of it."""
    return served.uploads / "queries" / f"{upload.hash}{suffix_of(upload.content)}"


async def received(
    files: Sequence[UploadFile], settings: Settings, key: Key | None
) -> list[Upload]:
    """Read the files of a request.

    Args:
        files: The files.
        settings: Settings, which limit them.
        key: Key of who sends them, which may limit them further.

    Raises:
        Problem: There are too many, or one is too large.
    """
    if len(files) > settings.most_pictures:
        raise Problem(413, f"{len(files)} pictures; send at most {settings.most_pictures} at once")
    most = settings.most_bytes
    if key and key.limits.most_bytes:
        most = min(most, key.limits.most_bytes)
    uploads = []
    for number, file in enumerate(files):
        content = await file.read(most + 1)
        if len(content) > most:
            shown = f"{most / 1e6:.3g} MB"
            raise Problem(413, f"images[{number}] has more than {shown}; send a smaller one")
        upload = Upload(f"images[{number}]", content)
        if len(content) > LARGE:  # nobody else shall wait while it is read
            await asyncio.to_thread(getattr, upload, "hash")
        uploads.append(upload)
    return uploads


def decoded(upload: Upload, embedder: Embedder, modality: Modality | None = None) -> Decoded:
    """Decode an upload and bring it to the size of a model.

    Args:
        upload: File that came with a request.
        embedder: Model.
        modality: Spectrum; None to guess it by the colours: infrared pictures are grey.

    Raises:
        PictureError: It is no picture that can be used.
    """
    size = embedder.height, embedder.width
    if modality is not None:
        pixels = resized_in(upload.content, upload.where, *size)
        return Decoded(pixels, modality, guessed=False)
    picture = picture_in(upload.content, upload.where, size)
    pixels = resize(picture, *size)
    is_grey = colourfulness(np.asarray(picture)) < (GREY + COLOURED) / 2
    return Decoded(pixels, Modality.INFRARED if is_grey else Modality.VISIBLE, guessed=True)


def sweep(served: Served, kept: AbstractSet[Path]) -> int:
    """Remove the files of pictures that were sent and never got into the gallery.

    Somebody has killed the process between the two; nobody was told that the picture was added.

    Args:
        served: Gallery whose files are looked at.
        kept: Files that have to stay, because their removal can be undone.
    """
    files = [path for path in served.uploads.glob("????-??/*") if path.is_file()]
    records = [ImageRecord(path, Modality.VISIBLE) for path in files]
    found = served.searcher.gallery.entries_of(records)
    lost = [path for path, entry in zip(files, found, strict=True) if entry is None]
    lost = [path for path in lost if path not in kept]
    for path in lost:
        path.unlink(missing_ok=True)
    return len(lost)
