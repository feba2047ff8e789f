"""Uploads: pictures that came with a request, read in bounds; addresses are never fetched."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from fastapi import UploadFile
from PIL import Image

from vireid.models.embedder import Embedder
from vireid.pictures import picture_in
from vireid.records import Modality
from vireid.service.problems import Problem
from vireid.service.settings import Settings
from vireid.video.spectrum import COLOURED, GREY, colourfulness


@dataclass(frozen=True)
class Upload:
    """A file that came with a request."""

    where: str
    """Place in the request, such as `images[0]`; names that clients give are not used."""
    content: bytes

    @property
    def hash(self) -> str:
        """Hash of the bytes, as galleries have it."""
        return hashlib.blake2b(self.content, digest_size=16).hexdigest()


async def received(files: Sequence[UploadFile], settings: Settings) -> list[Upload]:
    """Read the files of a request.

    Raises:
        Problem: There are too many, or one is too large.
    """
    if len(files) > settings.most_pictures:
        raise Problem(413, f"{len(files)} pictures; send at most {settings.most_pictures} at once")
    uploads = []
    for number, file in enumerate(files):
        content = await file.read(settings.most_bytes + 1)
        if len(content) > settings.most_bytes:
            most = settings.most_bytes / 2**20
            raise Problem(413, f"images[{number}] has more than {most:.0f} MiB; send a smaller one")
        uploads.append(Upload(f"images[{number}]", content))
    return uploads


def decoded(upload: Upload, embedder: Embedder) -> Image.Image:
    """Decode an upload, as large as the model needs it.

    Raises:
        PictureError: It is no picture that can be used.
    """
    return picture_in(upload.content, upload.where, (embedder.height, embedder.width))


def spectrum_of(picture: Image.Image) -> Modality:
    """Guess the spectrum of a picture by its colours: infrared ones are grey."""
    is_grey = colourfulness(np.asarray(picture)) < (GREY + COLOURED) / 2
    return Modality.INFRARED if is_grey else Modality.VISIBLE
