"""The calibration that a gallery keeps: given, or learnt from hits that somebody has judged."""

from dataclasses import replace

import numpy as np

from vireid.errors import VireidError
from vireid.gallery import Filters, Gallery
from vireid.gallery.judgements import Judgement
from vireid.gallery.store import Address
from vireid.models.calibration import Calibration, CalibrationError, direction
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord, Key, Modality
from vireid.scoring.calibrating.learning import from_judgements
from vireid.search.queries import embedded, understood
from vireid.search.searcher import Searcher
from vireid.types.arrays import Vector

Hits = dict[str, list[tuple[float, bool, str]]]


def keep(gallery: Address, found: Calibration) -> None:
    """Have a gallery keep a calibration of its model, which comes before the model's own.

    Raises:
        CalibrationError: The gallery was filled by another model.
    """
    with Gallery.open(gallery) as opened:
        if opened.model.fingerprint != found.model:
            raise CalibrationError(
                f"{gallery} was filled by model {opened.model.name}; calibrate that one: "
                f"vireid calibrate {opened.model.source} --gallery {gallery}"
            )
        opened.calibration = replace(found, of_gallery=True)


def learn_from_judgements(gallery: Address, *, trust_code: bool = False) -> Calibration:
    """Calibrate by the judged hits of a gallery, which keeps the result.

    Raises:
        VireidError: There are too few, or the gallery's model cannot be opened.
    """
    with Searcher.open(gallery, trust_code=trust_code) as searcher:
        found = calibrate_by_judgements(searcher.gallery, searcher.embedder)
        searcher.gallery.calibration = found
    return found


def calibrate_by_judgements(gallery: Gallery, embedder: Embedder) -> Calibration:
    """Learn what similarities are worth from the judged hits of a gallery.

    Other directions, and the chance of nobody, stay those of the model.

    Args:
        gallery: Gallery with judgements.
        embedder: Its model.

    Raises:
        CalibrationError: There are too few judgements.
        VireidError: A query can be read no more.
    """
    gallery.check(embedder)
    judgements = gallery.judgements()
    held = _held(gallery, judgements)
    queries = {each.query: _query(each, held, embedder) for each in judgements}
    hits: Hits = {}
    for each in judgements:
        if each.hit not in held:
            continue
        record, vector = held[each.hit]
        modality, asked = queries[each.query]
        name = direction(modality, record.modality)
        hits.setdefault(name, []).append((float(asked @ vector), each.same, str(each.query)))
    same = sum(each.same for each in judgements)
    words = f"{same} confirmed and {len(judgements) - same} rejected hits of {gallery.name}"
    return from_judgements(hits, embedder.fingerprint, words, embedder.calibration)


def _held(gallery: Gallery, judgements: list[Judgement]) -> dict[Key, tuple[ImageRecord, Vector]]:
    """Return records and vectors of the pictures that are judged, and of queries in the gallery."""
    wanted = {each.hit for each in judgements} | {(each.query, None) for each in judgements}
    held: dict[Key, tuple[ImageRecord, Vector]] = {}
    for page in gallery.pages(Filters()):
        keys = [entry.record.key for entry in page.entries]
        if any(key in wanted for key in keys):
            vectors = page.read_vectors()
            for row, key in enumerate(keys):
                if key in wanted:
                    held[key] = page.entries[row].record, vectors[row]
    return held


def _query(
    judgement: Judgement, held: dict[Key, tuple[ImageRecord, Vector]], embedder: Embedder
) -> tuple[Modality, Vector]:
    found = held.get((judgement.query, None))
    if found:
        return found[0].modality, found[1]
    query = understood(judgement.query)
    if not isinstance(query, ImageRecord):
        raise VireidError(f"{judgement.query} is no picture")
    return query.modality, np.asarray(embedded(query, judgement.query, embedder)[0])
