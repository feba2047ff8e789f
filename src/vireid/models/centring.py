"""Centring: embeddings less the mean of their camera, by one rule for search and for scores.

A camera with 20 pictures or more has a mean of its own; others take that of all pictures of their
spectrum. Where these are fewer than 20 too, nothing is centred: their mean would be the people.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vireid.errors import VireidError
from vireid.records import ImageRecord, Modality
from vireid.types.arrays import Vector

LEAST_TO_CENTRE = 20
"""Number of pictures from which their mean says what they share: their camera, not the people."""


@dataclass(frozen=True)
class Means:
    """The mean embeddings of cameras, as a gallery would hold them."""

    of_cameras: dict[tuple[Modality, str | None], Vector]
    """Means of cameras with enough pictures, and under None that of a whole spectrum."""

    @classmethod
    def of(cls, vectors: Float[np.ndarray, "n d"], records: Sequence[ImageRecord]) -> "Means":
        """Return the means of some pictures.

        Args:
            vectors: Row i is the embedding of record i.
            records: Pictures, each once.

        Raises:
            VireidError: There are too few pictures of a spectrum.
        """
        found = dict[tuple[Modality, str | None], Vector]()
        for modality in dict.fromkeys(record.modality for record in records):
            cameras = np.array([r.camera or "" for r in records if r.modality is modality])
            own = vectors[[r.modality is modality for r in records]].astype(np.float32)
            if len(own) < LEAST_TO_CENTRE:
                raise VireidError(
                    f"there are {len(own)} {modality} pictures, and a mean that says what they "
                    f"share needs {LEAST_TO_CENTRE}; leave out --centre"
                )
            found[modality, None] = own.mean(axis=0)
            for camera in set(cameras.tolist()) - {""}:
                if (is_of := cameras == camera).sum() >= LEAST_TO_CENTRE:
                    found[modality, camera] = own[is_of].mean(axis=0)
        return cls(found)

    def less(
        self, vectors: Float[np.ndarray, "n d"], records: Sequence[ImageRecord]
    ) -> Float[np.ndarray, "n d"]:
        """Return embeddings less the mean of their camera, at length one."""
        known = self.of_cameras
        means = [known.get((r.modality, r.camera), known[r.modality, None]) for r in records]
        left = vectors.astype(np.float32) - np.stack(means)
        return np.asarray(left / np.linalg.norm(left, axis=1, keepdims=True).clip(min=1e-12))
