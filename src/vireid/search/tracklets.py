"""Tracklets of a gallery: what all frames of one look like together, to search among.

The embedding of a tracklet is the mean of its frames', of length one again; by `quality`, each
frame counts by the detector's score times its sharpness, as the list of `vireid cut` has them. A
picture that is of no tracklet stands for itself.
"""

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from vireid.datasets._files import MOST_OF_A_LIST
from vireid.files.untrusted import content_of, is_file
from vireid.gallery import Filters, Gallery, GalleryError, Hit
from vireid.records import ImageRecord, Modality
from vireid.types.arrays import Queries, Vectors

Weighing = Literal["mean", "quality", "best"]
"""What counts of a tracklet: the mean of its frames, the same by their quality, or the best."""


@dataclass(frozen=True, eq=False)
class Tracklets:
    """The tracklets of a gallery that filters let pass."""

    vectors: Float[np.ndarray, "t d"]
    """Embedding of each tracklet, of length one."""
    frames: tuple[tuple[ImageRecord, ...], ...]
    """Frames of each tracklet, in the order of their times or names."""
    of_frames: tuple[Float[np.ndarray, "_ d"], ...]
    """Embeddings of these frames."""

    @classmethod
    def of(
        cls, gallery: Gallery, filters: Filters, weighing: Weighing = "mean", *, centred: bool
    ) -> "Tracklets":
        """Read a gallery once.

        Args:
            gallery: Gallery to read.
            filters: Conditions on frames; others do not count for their tracklet.
            weighing: What each frame counts.
            centred: Take each vector less the mean of its camera, as `Gallery.centred` does.

        Raises:
            GalleryError: There is no such camera or person, quality is asked for and no list
                tells it, or there are too few pictures to centre.
        """
        weights = _weights(gallery) if weighing == "quality" else {}
        records, vectors = list[ImageRecord](), list[Vectors]()
        for page in gallery.pages(replace(filters, min_similarity=None)):
            records += (entry.record for entry in page.entries)
            vectors.append(np.array(page.read_vectors(), np.float32))
        if not records:
            return cls(np.zeros((0, gallery.model.embedding_dim), np.float32), (), ())
        whole = np.concatenate(vectors)
        if centred:
            whole = _centred(gallery, whole, records)
        places = _by_tracklet(records)
        means = [_mean(whole[of], [weights.get(records[n].path) for n in of]) for of in places]
        return cls(
            np.stack(means),
            tuple(tuple(records[n] for n in of) for of in places),
            tuple(whole[of] for of in places),
        )

    def search(self, queries: Queries, top: int, least: float | None = None) -> tuple[Hit, ...]:
        """Return the tracklets that are most like any of the queries.

        Args:
            queries: Unit vectors of one person.
            top: Largest number of hits.
            least: Least similarity of a hit.

        Returns:
            Hits, most similar first. The record is that of the frame that is most similar, `frames`
            are all, each with its own similarity.
        """
        if not len(self.frames):
            return ()
        scores = (self.vectors @ queries.T).max(axis=1)
        order = np.argsort(-scores, kind="stable")[:top]
        found = [place for place in order if least is None or scores[place] >= least]
        return tuple(
            self._hit(int(place), float(scores[place]), rank, queries)
            for rank, place in enumerate(found, 1)
        )

    def _hit(self, place: int, score: float, rank: int, queries: Queries) -> Hit:
        of_frames = (self.of_frames[place] @ queries.T).max(axis=1)
        frames = self.frames[place]
        inside = tuple(
            Hit(number, float(similarity), record)
            for number, (similarity, record) in enumerate(zip(of_frames, frames, strict=True), 1)
        )
        return Hit(rank, score, frames[int(of_frames.argmax())], inside)


def _by_tracklet(records: Sequence[ImageRecord]) -> list[list[int]]:
    """Return the places of the frames of each tracklet, in the order of their times or names."""
    places: dict[object, list[int]] = {}
    for place, record in enumerate(records):
        # A name stands for one tracklet of one camera; two lists may use the same.
        name = (record.modality, record.camera, record.tracklet) if record.tracklet else place
        places.setdefault(name, []).append(place)
    return [sorted(of, key=lambda place: _order(records[place])) for of in places.values()]


def _order(record: ImageRecord) -> tuple[str, str]:
    return record.time.isoformat() if record.time else "", str(record.path)


def _mean(
    vectors: Float[np.ndarray, "f d"], weights: Sequence[float | None]
) -> Float[np.ndarray, " d"]:
    """Return the mean of frames at length one; a frame of unknown quality counts as the others."""
    known = [weight for weight in weights if weight is not None]
    usual = sum(known) / len(known) if known else 1.0
    shares = np.array([usual if weight is None else weight for weight in weights], np.float32)
    mean = shares @ vectors if shares.any() else vectors.sum(axis=0)
    length = float(np.linalg.norm(mean))
    # Vectors that cancel out have no mean direction; the first then stands for all.
    return np.asarray(mean / length if length > 1e-6 else vectors[0])


def _centred(gallery: Gallery, vectors: Vectors, records: Sequence[ImageRecord]) -> Vectors:
    of_cameras: dict[tuple[Modality, str | None], list[int]] = {}
    for place, record in enumerate(records):
        of_cameras.setdefault((record.modality, record.camera), []).append(place)
    centred = np.empty_like(vectors)
    for (modality, camera), places in of_cameras.items():
        centred[places] = gallery.centred(vectors[places], modality, camera)
    return centred


def _weights(gallery: Gallery) -> Mapping[Path, float]:
    """Return score times sharpness of each crop, as the lists that were indexed tell it.

    Raises:
        GalleryError: None of them tells it.
    """
    found = dict[Path, float]()
    for source in gallery.sources():
        if is_file(source.path):
            found.update(_in_list(source.path))
    if not found:
        raise GalleryError(
            f"{gallery.address} was filled from no list that tells the quality of frames; index "
            "the people.csv of `vireid cut`, or weigh all frames alike (--frames mean)"
        )
    return found


def _in_list(path: Path) -> Iterable[tuple[Path, float]]:
    try:
        text = content_of(path, MOST_OF_A_LIST).decode("utf-8", "replace")
    except OSError:
        return
    for row in csv.DictReader(io.StringIO(text, newline="")):
        try:
            quality = float(row["score"]) * float(row["sharpness"])
            named = os.path.abspath(path.parent / row["path"])  # noqa: PTH100  as a gallery does
        except (KeyError, TypeError, ValueError):
            continue
        if 0 <= quality < 1e6:
            yield Path(named), quality
