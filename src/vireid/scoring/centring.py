"""Centring: embeddings less the mean of their camera, which is no person."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from vireid.records import ImageRecord


def centred_by_camera(
    vectors: Float[np.ndarray, "n d"], records: Sequence[ImageRecord]
) -> Float[np.ndarray, "n d"]:
    """Return vectors less the mean of their cameras, at length one.

    The only picture of a camera is less the mean of all, or nothing of it would be left.
    """
    cameras = np.array([f"{record.modality} {record.camera or ''}" for record in records])
    centred = vectors.astype(np.float32)
    for camera in np.unique(cameras):
        own = cameras == camera
        centred[own] -= vectors[own].mean(axis=0) if own.sum() > 1 else vectors.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True).clip(min=1e-12)
    return np.asarray(centred / lengths)
