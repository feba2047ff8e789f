"""A calibration, learnt from labelled pictures of people, or from judged hits.

`models.calibration` says what is learnt, and by which formulas it is applied. Of each direction
pairs are counted (`pairs`), two kinds of curve are compared by log loss on held-out people and the
better one is learnt again from everybody (`curves`), and so is the chance of `nobody`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from vireid import __version__
from vireid.models.calibration import Calibration, CalibrationError, Direction, direction
from vireid.models.centring import Means
from vireid.models.embedder import Embedder
from vireid.progress import counted
from vireid.records import ImageRecord, Modality
from vireid.scoring import evaluation
from vireid.scoring.calibrating.curves import KINDS, curve_of, held_out_loss
from vireid.scoring.calibrating.likeness import likeness_of
from vireid.scoring.calibrating.nobody import nobody_in
from vireid.scoring.calibrating.pairs import BINS, EDGES, FOLDS, Pairs, Search
from vireid.scoring.calibrating.people import people_of
from vireid.types.arrays import Vectors

NEEDED = 20
"""Number of people, seen in both spectra, from which a calibration is made."""
NEEDED_PAIRS = 10
"""Number of confirmed and of rejected hits from which a calibration is made."""
SHARES = (0.1, 0.01, 0.001)
"""Shares of the pairs of two people for which thresholds are kept."""


def calibrate_model(
    model: str, name: str | None = None, root: Path | None = None, *, trust_code: bool = False
) -> Calibration:
    """Learn what the similarities of a model are worth.

    Args:
        model: See `Embedder.open`.
        name: Name of a data set; by default the one that the model has learnt on.
        root: Folder of the data set.
        trust_code: See `Embedder.open`.

    Raises:
        VireidError: There are too few people, or none that the model may be calibrated on.
    """
    dataset = evaluation.dataset_of(model, name, root, trust_code=trust_code)
    embedder = Embedder.open(model, trust_code=trust_code)
    people = people_of(dataset, embedder, model)
    count = len({r.identity for r in people.records if r.identity is not None})
    if count < NEEDED:  # told before anything is embedded
        raise CalibrationError(
            f"there are {people.in_words}, and a calibration needs {NEEDED}; give more by --data"
        )
    vectors = embedder.embed_records(people.records)
    return calibrate(
        vectors,
        people.records,
        embedder.fingerprint,
        people.in_words,
        rooms=people.rooms,
        pictures=people.fingerprint,
    )


def calibrate(
    embeddings: Vectors,
    records: Sequence[ImageRecord],
    fingerprint: str,
    learnt_from: str,
    *,
    rooms: Sequence[tuple[str, str]] = (),
    pictures: str | None = None,
    seed: int = 0,
) -> Calibration:
    """Learn what similarities are worth from pictures of people whom a model has not learnt from.

    Args:
        embeddings: Unit vectors, one in a row for each record.
        records: Pictures with identities.
        fingerprint: Fingerprint of the model.
        learnt_from: The people in words, for the record.
        rooms: Pairs of cameras that stand in one room.
        pictures: Fingerprint of the pictures, for the record.
        seed: Seed of folds, resamples and galleries.

    Raises:
        CalibrationError: There are too few people, or all similarities are the same.
    """
    _check_people(records)
    known = np.array([record.identity is not None for record in records])
    kept = [record for record in records if record.identity is not None]
    vectors = np.asarray(embeddings[known], np.float32)
    each = list(_directions(vectors, kept, rooms, seed))
    if not each:
        raise CalibrationError(
            "all similarities of these pictures are the same, so nothing can be learnt from them; "
            "the model embeds every picture alike: train it anew"
        )
    likeness = {m: likeness_of(vectors, kept, m, seed) for m in Modality}
    return Calibration(
        vireid=__version__,
        model=fingerprint,
        learnt_from=learnt_from,
        pictures=pictures,
        directions=dict(each),
        likeness=likeness,
    )


def _check_people(records: Sequence[ImageRecord]) -> None:
    seen: dict[int, set[Modality]] = {}
    for record in records:
        if record.identity is not None:
            seen.setdefault(record.identity, set()).add(record.modality)
    both = sum(len(spectra) == 2 for spectra in seen.values())
    if both < NEEDED:
        raise CalibrationError(
            f"{both} people were seen in both spectra, and a calibration needs {NEEDED} of them; "
            "give more people by --data"
        )


def _directions(
    vectors: Vectors, records: Sequence[ImageRecord], rooms: Sequence[tuple[str, str]], seed: int
) -> Iterator[tuple[str, Direction]]:
    ways = list(product((False, True), Modality, Modality))
    centred = Means.of(vectors, records).less(vectors, records)
    for is_centred, query, gallery in counted(iter(ways), "calibrating directions", len(ways)):
        search = Search.among(centred if is_centred else vectors, records, query, gallery, rooms)
        pairs = search.pairs(seed)
        if pairs.people >= NEEDED and _vary(pairs):
            name = direction(query, gallery, centred=is_centred)
            yield name, learn_direction(pairs, search, seed)


def _vary(pairs: Pairs) -> bool:
    return bool(np.count_nonzero(sum(pairs.counted())) > 1)


def learn_direction(pairs: Pairs, search: Search | None = None, seed: int = 0) -> Direction:
    """Learn the curve of a direction and, of a search, the chance of nobody.

    Args:
        pairs: Pairs of at least two similarities.
        search: The search that they are from.
        seed: Seed of resamples and galleries.
    """
    losses = {kind: held_out_loss(kind, pairs) for kind in KINDS}
    best = min(KINDS, key=lambda kind: losses[kind])
    same, different = pairs.counted()
    rising = np.cumsum(different[::-1])[::-1]
    return Direction(
        curve=curve_of(best, pairs, seed),
        people=pairs.people,
        same=int(same.sum()),
        different=int(different.sum()),
        pictures_each=pairs.pictures_each,
        log_loss=losses,
        thresholds={
            f"{share:g}": float(EDGES[:-1][rising <= share * different.sum()].min(initial=1.0))
            for share in SHARES
        },
        nobody=None if search is None else nobody_in(search, seed),
    )


def from_judgements(
    judged: Mapping[str, Sequence[tuple[float, bool, str]]],
    fingerprint: str,
    learnt_from: str,
    usual: Calibration | None = None,
    seed: int = 0,
) -> Calibration:
    """Learn what similarities are worth from hits that somebody has confirmed or rejected.

    Such pairs are the hardest of their gallery, as only hits were looked at, so the chances are
    rather too low than too high.

    Args:
        judged: For each direction, similarity, whether both show one person, and the query, by
            which pairs are resampled.
        fingerprint: Fingerprint of the model.
        learnt_from: The pairs in words, for the record.
        usual: Calibration that other directions, and the chance of nobody, are taken from.
        seed: Seed of folds and resamples.

    Raises:
        CalibrationError: In no direction are there enough pairs.
    """
    learnt: dict[str, Direction] = {}
    told = []
    for name, hits in judged.items():
        same = sum(is_same for _, is_same, _ in hits)
        told.append(f"{name}: {same} confirmed and {len(hits) - same} rejected")
        if min(same, len(hits) - same) >= NEEDED_PAIRS:
            before = usual.directions.get(name) if usual else None
            learnt[name] = _of_hits(hits, before, seed)
    if not learnt:
        raise CalibrationError(
            f"a calibration needs {NEEDED_PAIRS} confirmed and {NEEDED_PAIRS} rejected hits of one "
            f"direction ({'; '.join(told) or 'there are none'}); judge more with "
            "`vireid gallery label GALLERY HIT --query PICTURE --same` (or `--different`)"
        )
    return Calibration(
        vireid=__version__,
        model=fingerprint,
        learnt_from=learnt_from,
        of_gallery=True,
        directions={**(usual.directions if usual else {}), **learnt},
        likeness=usual.likeness if usual else {},
    )


def _of_hits(
    hits: Sequence[tuple[float, bool, str]], before: Direction | None, seed: int
) -> Direction:
    queries = sorted({query for *_, query in hits})
    folds = np.random.default_rng(seed).permutation(len(queries)) % FOLDS
    same = np.zeros((len(queries), BINS), np.float32)
    different = np.zeros((len(queries), FOLDS, BINS), np.float32)
    for similarity, is_same, query in hits:
        place = queries.index(query)
        which = int(np.clip(np.digitize(similarity, EDGES) - 1, 0, BINS - 1))
        if is_same:
            same[place, which] += 1
        else:
            different[place, folds[place], which] += 1
    each = before.pictures_each if before else 1.0
    found = learn_direction(Pairs(same, different, folds, each), None, seed)
    return replace(found, nobody=before.nobody) if before else found
