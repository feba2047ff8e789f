"""Moving: a gallery goes from a folder to a server, or back, and nothing is lost on the way."""

import hashlib
from dataclasses import dataclass

from vireid.gallery.addresses import create_store, exists, open_store, parsed
from vireid.gallery.copying import MARK, copy_all, length_of, missing_notes
from vireid.gallery.milvus.address import MilvusAddress
from vireid.gallery.store import NOTE_KINDS, SETTING, Address, GalleryError, Storage, Store
from vireid.progress import counted

COPYING, DONE = "copying", "done"
TRIES = 3
"""How often what was changed meanwhile is copied once more."""
PATIENCE = 10.0


@dataclass(frozen=True)
class Moved:
    """What was moved, as it was compared at the end."""

    source: str
    target: str
    pictures: int
    copied: int
    """Pictures that this run has copied; others were there from a run that was stopped."""
    vectors: str
    """Hash of all vectors in the order of the source (BLAKE2b, 16 bytes), equal in both."""
    kept: bool
    """Whether the source is still there."""


def move(
    source: Address, target: Address, *, keep: bool = False, storage: Storage | None = None
) -> Moved:
    """Move a gallery to another address, from a folder to a server or the other way round.

    The source stays until the target was read back and found equal: pictures, what is known of
    them, vectors, notes and the model. After an interruption the same call goes on where it
    stopped.

    Args:
        source: Address of the gallery.
        target: Address where nothing is yet, or an empty gallery, or what an interrupted call has
            left.
        keep: Whether the source stays for good.
        storage: Number format of the target's vectors; by default that of the source, and float32
            on a server.

    Raises:
        GalleryError: Something else is at the target, the two differ at the end, or somebody goes
            on writing to the source.
    """
    if parsed(source) == parsed(target):
        raise GalleryError(f"{source} is where it is already; give another address")
    from_ = open_store(source, PATIENCE)
    try:
        to = _begun(from_, target, storage)
        try:
            copied, version = _copied(from_, to)
            pictures, vectors = _compare(from_, to)
            if from_.version() != version:
                raise _busy(from_)
            if not keep:
                to.note({MARK: [from_.address, DONE]})
                from_.delete()
            to.note({MARK: None})
        finally:
            to.close()
    finally:
        from_.close()
    return Moved(str(source), str(target), pictures, copied, vectors, keep)


def _begun(source: Store, target: Address, storage: Storage | None) -> Store:
    """Return the target: a new gallery, or one that is being filled from this source."""
    if not exists(target):
        on_server = isinstance(parsed(target), MilvusAddress)
        create_store(target, source.model, storage or ("float32" if on_server else source.storage))
        new = open_store(target, PATIENCE)
        new.note({MARK: [source.address, COPYING]})
        return new
    begun = open_store(target, PATIENCE)
    comes_from = begun.notes(SETTING).get(MARK[1]) or [None]
    is_empty = not begun.count() and not any(map(begun.notes, NOTE_KINDS))
    if is_empty and begun.model == source.model:  # stopped before it was marked
        begun.note({MARK: [source.address, COPYING]})
        return begun
    if comes_from[0] != source.address or begun.model != source.model:
        begun.close()
        raise GalleryError(f"{target} is there already; give an address where nothing is")
    return begun


def _copied(source: Store, target: Store) -> tuple[int, int]:
    """Make the target equal to the source; return how much was copied, and of which version."""
    if target.notes(SETTING)[MARK[1]] == [source.address, DONE]:
        return 0, source.version()  # all that was left to do was to delete the source
    copied = 0
    for _ in range(TRIES):
        version = source.version()
        copied += copy_all(source, target, "moving pictures")
        _remove_others(source, target)
        if source.version() == version:
            return copied, version
    raise _busy(source)


def _remove_others(source: Store, target: Store) -> None:
    """Remove what is no longer in the source."""
    if target.count() == source.count():
        return
    for page in target.pages():
        keys = [entry.record.key for entry in page.entries]
        here = source.entries_of(keys)
        target.remove([key for key in keys if key not in here])


def _compare(source: Store, target: Store) -> tuple[int, str]:
    """Read both, and return the number of pictures and the hash of their vectors.

    Raises:
        GalleryError: They differ.
    """
    read, wrote, count = _hash(), _hash(), 0
    exact = target.storage == "float32" or source.storage == "float16"
    for page in counted(source.pages(), "comparing pictures", source.count(), length_of):
        keys = [entry.record.key for entry in page.entries]
        there = target.entries_of(keys)
        if [there.get(key) for key in keys] != list(page.entries):
            raise _unequal(source, target, "what is known of some pictures")
        kept = "float32" if exact else "float16"
        read.update(page.read_vectors().astype(kept).tobytes())
        wrote.update(target.vectors_of(keys).astype(kept).tobytes())
        count += len(keys)
    if read.digest() != wrote.digest():
        raise _unequal(source, target, "vectors")
    if count != target.count() or count != source.count():
        raise _unequal(source, target, "the numbers of pictures")
    if missing_notes(source, target):
        raise _unequal(source, target, "notes")
    if source.model != target.model:
        raise _unequal(source, target, "models")
    return count, read.hexdigest()


def _hash() -> "hashlib.blake2b":
    return hashlib.blake2b(digest_size=16)


def _unequal(source: Store, target: Store, what: str) -> GalleryError:
    return GalleryError(
        f"{what} in {target.address} are not those of {source.address}, which stays as it is; look "
        "at both with `vireid gallery check`, remove the target and do it again"
    )


def _busy(source: Store) -> GalleryError:
    return GalleryError(
        f"{source.address} is being written to; stop what writes there and do it again: it goes on "
        "where it stopped"
    )
