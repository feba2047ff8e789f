"""Addresses: the names of galleries, and the stores that they mean.

An address is the path of a folder. Addresses such as `scheme://host/name` are reserved for stores
on servers; there are none yet.
"""

import re
from pathlib import Path

from vireid.gallery.local.store import LocalStore
from vireid.gallery.store import GalleryError, Storage, Store
from vireid.models.card import ModelCard

Address = Path | str

SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


def exists(address: Address) -> bool:
    """Whether something is at an address, which need not be a gallery."""
    return _folder(address).exists()


def open_store(address: Address, patience: float) -> Store:
    """Open the store of a gallery.

    Args:
        address: Address of the gallery.
        patience: Seconds to wait for another process that is writing.

    Raises:
        GalleryError: No gallery is there, or it is damaged.
    """
    return LocalStore(_folder(address), patience)


def create_store(address: Address, model: ModelCard, storage: Storage) -> None:
    """Make the store of an empty gallery.

    Args:
        address: Address where nothing is yet.
        model: Card of the model whose embeddings it will hold.
        storage: Number format of its vectors.

    Raises:
        GalleryError: Something is there already, or the disk is full.
    """
    LocalStore.create(_folder(address), model, storage)


def restore_store(archive: Path, address: Address) -> None:
    """Make the store of a gallery that was backed up.

    Args:
        archive: File that `Store.backup` has written.
        address: Address where nothing is yet.

    Raises:
        GalleryError: Something is there already, the archive is damaged or none of a gallery, or
            the disk is full.
    """
    LocalStore.restore(archive, _folder(address))


def _folder(address: Address) -> Path:
    if isinstance(address, str) and (scheme := SCHEME.match(address)):
        raise GalleryError(f"{address}: there are no galleries at {scheme[1]}://; give a folder")
    return Path(address)
