"""Reindexing: the pictures of a gallery embedded anew by another model."""

from dataclasses import dataclass
from pathlib import Path

from vireid.gallery import Gallery, GalleryError
from vireid.gallery.addresses import exists
from vireid.models.embedder import Embedder
from vireid.pictures import PictureError
from vireid.search import indexing


@dataclass(frozen=True)
class Reindexed:
    """The result of reindexing."""

    embedded: int
    removed: tuple[PictureError, ...]
    """Errors of the pictures that could not be read any more and were removed."""


def reindex(gallery: Gallery, embedder: Embedder, *, prune: bool = False) -> Reindexed:
    """Embed all pictures of a gallery by another model, and then switch to it at once.

    The gallery answers by its old model until everything is embedded. After an interruption the
    same call goes on where it stopped.

    Args:
        gallery: Gallery, beside which the new vectors are gathered.
        embedder: The new model.
        prune: Remove pictures whose files can no longer be read.

    Raises:
        GalleryError: A picture cannot be read and `prune` is not set, another process is writing,
            or the disk is full. The gallery is as it was.
    """
    with _begun(gallery, embedder) as new:
        records = [entry.record for entry in gallery.entries()]
        here = {record.key for record in records}
        new.remove([e.record for e in new.entries() if e.record.key not in here])
        done = indexing.index(records, embedder, new)
        if done.skipped and not prune:
            first = done.skipped[0]
            raise GalleryError(
                f"{len(done.skipped)} pictures of {gallery.address} cannot be read, for instance "
                f"{first.path}: {first.reason}; bring them back, or remove them with --prune"
            )
        bad = {Path(error.path) for error in done.skipped}
        count = len(new)
        gallery.remove([record for record in records if record.path in bad])
        gallery.adopt(new)
        new.delete()
    return Reindexed(count, done.skipped)


def _begun(gallery: Gallery, embedder: Embedder) -> Gallery:
    """Return the gallery of new vectors: the one that was begun, if it is this model's."""
    if exists(gallery.beside):
        begun = Gallery.open(gallery.beside)
        try:
            begun.check(embedder)
        except GalleryError:
            begun.delete()
            begun.close()
        else:
            return begun
    return Gallery.create(gallery.beside, embedder, gallery.storage)
