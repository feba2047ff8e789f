"""Addresses: the names of galleries, and the stores that they mean.

An address is the path of a folder, or `milvus://host:port/name` for a gallery on a Milvus server.
Other addresses such as `scheme://host/name` are refused.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from vireid.errors import MissingExtraError
from vireid.gallery.local.store import LocalStore
from vireid.gallery.milvus.address import SCHEME, MilvusAddress
from vireid.gallery.store import Address, GalleryError, Storage, Store
from vireid.models.card import ModelCard

if TYPE_CHECKING:
    from vireid.gallery.milvus.store import MilvusStore

URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


def parsed(address: Address) -> Path | MilvusAddress:
    """Return what an address means.

    Raises:
        VireidError: It is an address of another scheme, or none of a Milvus server.
    """
    if isinstance(address, MilvusAddress):
        return address
    if isinstance(address, str) and (scheme := URL.match(address)):
        if scheme[1].lower() == SCHEME:
            return MilvusAddress.parse(address)
        raise GalleryError(
            f"{address}: there are no galleries at {scheme[1]}://; give a folder, or "
            "milvus://HOST:PORT/NAME"
        )
    return Path(address)


def absolute(address: Address) -> str:
    """Return the text of an address that means the same from any folder; links keep their names."""
    place = parsed(address)
    return str(place) if isinstance(place, MilvusAddress) else os.path.abspath(place)  # noqa: PTH100


def exists(address: Address) -> bool:
    """Whether something is at an address, which need not be a gallery.

    Raises:
        GalleryError: Its server does not answer.
    """
    place = parsed(address)
    return _milvus().exists(place) if isinstance(place, MilvusAddress) else place.exists()


def open_store(address: Address, patience: float) -> Store:
    """Open the store of a gallery.

    Args:
        address: Address of the gallery.
        patience: Seconds to wait for another process that is writing.

    Raises:
        GalleryError: No gallery is there, it is damaged, or its server does not answer.
    """
    place = parsed(address)
    if isinstance(place, MilvusAddress):
        return _milvus()(place, patience)
    return LocalStore(place, patience)


def create_store(address: Address, model: ModelCard, storage: Storage) -> None:
    """Make the store of an empty gallery.

    Args:
        address: Address where nothing is yet.
        model: Card of the model whose embeddings it will hold.
        storage: Number format of its vectors.

    Raises:
        GalleryError: Something is there already, the disk is full, or the server does not answer.
    """
    place = parsed(address)
    if isinstance(place, MilvusAddress):
        _milvus().create(place, model, storage)
    else:
        LocalStore.create(place, model, storage)


def restore_store(archive: Path, address: Address) -> None:
    """Make the store of a gallery that was backed up.

    Args:
        archive: File that `Store.backup` has written.
        address: Address where nothing is yet.

    Raises:
        GalleryError: Something is there already, the archive is damaged or none of a gallery, or
            the disk is full.
    """
    place = parsed(address)
    if isinstance(place, MilvusAddress):
        _milvus().restore(archive, place)
    else:
        LocalStore.restore(archive, place)


def _milvus() -> "type[MilvusStore]":
    """Return the store of galleries on Milvus, whose packages are not always installed."""
    try:
        from vireid.gallery.milvus.store import MilvusStore
    except ModuleNotFoundError as error:
        if error.name in {"pymilvus", "grpc"}:
            raise MissingExtraError("pymilvus", "milvus") from error
        raise
    return MilvusStore
