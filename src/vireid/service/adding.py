"""Adding: pictures that were sent become pictures of a gallery; their files are kept here."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from vireid.files.atomic import write_whole
from vireid.gallery.labelling import named
from vireid.gallery.sources import Source
from vireid.gallery.store import Entry, Stamp
from vireid.pictures import PictureError, taken_at
from vireid.records import ImageRecord, Modality
from vireid.service.batching import Decoded
from vireid.service.galleries import Served
from vireid.service.messages import Added, Refused
from vireid.service.service import Service
from vireid.service.uploads import Upload, decoded, suffix_of
from vireid.types.arrays import Vector


@dataclass(frozen=True)
class Said:
    """What is said of all pictures that are sent."""

    modality: Modality | None = None
    """Spectrum; None to guess it by the colours."""
    camera: str | None = None
    time: datetime | None = None
    """Time when they were taken; None to take the one that is written in them (EXIF)."""
    person: str | None = None
    tags: frozenset[str] = frozenset()


async def added(service: Service, served: Served, said: Said, uploads: Sequence[Upload]) -> Added:
    """Add pictures to a gallery.

    Those that cannot be used, are here already, or were removed for good, are told.

    Raises:
        VireidError: Another process is writing, or the disk is full.
    """
    skipped, sound = list[Refused](), list[tuple[Upload, Decoded]]()
    batcher = served.batcher
    known = await service.work(_known, served, uploads)
    for upload in uploads:
        why = known.get(upload.hash)
        if why is None:
            try:
                picture = await service.work(decoded, upload, batcher.embedder, said.modality)
                sound.append((upload, picture))
                known[upload.hash] = "the same picture was sent twice"
                continue
            except PictureError as error:
                why = error.reason
        skipped.append(Refused(where=upload.where, reason=why))
    spectra = [picture.modality for _, picture in sound]
    reads = [lambda picture=picture: picture for _, picture in sound]
    embedded = await asyncio.gather(*map(batcher.embedded, reads))
    vectors = [each.vector for each in embedded]
    kept = [upload for upload, _ in sound]
    ids = await service.work(_put, served, said, kept, spectra, vectors) if kept else []
    return Added(ids=ids, skipped=skipped)


def _known(served: Served, uploads: Sequence[Upload]) -> dict[str, str]:
    """Return why pictures cannot be added that are here, or shall not be, by their hashes."""
    gallery, removed = served.searcher.gallery, served.searcher.gallery.removed()
    here = {entry.content for entry in gallery.with_content({each.hash for each in uploads})}
    gone = (each.hash for each in uploads if each.hash in removed)
    told = dict.fromkeys(gone, "it was removed from this gallery for good")
    return told | {hash_: "it is in this gallery already" for hash_ in here if hash_}


def _put(
    served: Served,
    said: Said,
    uploads: Sequence[Upload],
    spectra: Sequence[Modality],
    vectors: Sequence[Vector],
) -> list[str]:
    gallery, folder = served.searcher.gallery, served.uploads / f"{datetime.now(UTC):%Y-%m}"
    if not any(source.path == served.uploads for source in gallery.sources()):
        gallery.remember(Source(served.uploads))
    entries, written = list[Entry](), list[Path]()
    try:
        for upload, modality in zip(uploads, spectra, strict=True):
            path = folder / f"{upload.hash}{suffix_of(upload.content)}"
            write_whole(path, upload.content)
            written.append(path)
            time = said.time or taken_at(path)
            record = ImageRecord(path, modality, camera=said.camera, time=time)
            entry = Entry(record, Stamp.of(path), upload.hash, served.uploads)
            entries.append(named(entry, said.person, said.tags))
        gallery.put(np.stack(list(vectors)), entries)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return [served.id_of(entry.record) for entry in entries]
