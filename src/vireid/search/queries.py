"""Queries: the persons searched for, and what they are searched by."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from vireid.datasets import folder
from vireid.errors import VireidError
from vireid.models.embedder import Embedder
from vireid.pictures import Picture, PictureQuery, in_memory
from vireid.records import ImageRecord, Modality, TextQuery, VectorQuery

Query = ImageRecord | TextQuery | PictureQuery | VectorQuery
Asked = Picture | ImageRecord | TextQuery
"""Things that one can search by. An array is a picture, or a vector if it has one dimension or is
one row of floats, as `Embedder.embed` gives it."""


def understood(
    asked: Asked, modality: Modality | str | None = None, identity: int | None = None
) -> Query:
    """Return the query, with all that is known about the picture.

    Args:
        asked: Picture or vector; a path is that of a picture, a sentence comes as a `TextQuery`.
        modality: Spectrum of the picture; of a file, by default the one that its folders name.
        identity: Identity of the person, if known; of a file, by default the one that its folders
            name.

    Raises:
        VireidError: Nothing says the spectrum of a picture, or a sentence is given one.
    """
    if isinstance(asked, TextQuery):
        if modality:
            raise VireidError("a sentence has no spectrum; leave the query's out")
        return asked if identity is None else replace(asked, identity=identity)
    if isinstance(asked, ImageRecord):
        known = asked.identity if identity is None else identity
        return replace(asked, modality=Modality(modality or asked.modality), identity=known)
    if isinstance(asked, np.ndarray) and _is_vector(asked):
        return VectorQuery(Modality(modality) if modality else None, identity)
    if isinstance(asked, Path | str):
        return _filed(Path(asked), modality, identity)
    if modality is None:
        raise VireidError("a picture in memory does not say its spectrum; give query_modality")
    return PictureQuery(in_memory(asked), Modality(modality), identity)


def embedded(query: Query, asked: Asked, embedder: Embedder) -> Float[np.ndarray, "1 d"]:
    """Return the vector of a query.

    Args:
        query: Result of `understood` for `asked`.
        asked: Vector of a `VectorQuery`; otherwise ignored.
        embedder: Model that embeds all other queries.

    Raises:
        VireidError: The picture cannot be read, or the model reads no text.
    """
    match query:
        case TextQuery():
            return embedder.embed_text([query.text])
        case ImageRecord():
            return embedder.embed_records([query])
        case PictureQuery():
            return embedder.embed([query.picture], query.modality)
        case VectorQuery():
            return np.asarray(asked, np.float32).reshape(1, -1)


def _is_vector(array: Shaped[np.ndarray, "..."]) -> bool:
    one_row = array.ndim == 2 and len(array) == 1 and np.issubdtype(array.dtype, np.floating)
    return array.ndim == 1 or one_row


def _filed(path: Path, modality: Modality | str | None, identity: int | None) -> ImageRecord:
    by_name = folder.labels_of(path)
    spectrum = modality or by_name.modality
    if spectrum is None:
        way_out = "give --query-modality visible or --query-modality infrared"
        raise VireidError(f"{path}: no folder's name says its spectrum; {way_out}")
    known = by_name.identity if identity is None else identity
    return ImageRecord(path, Modality(spectrum), known, by_name.camera)
