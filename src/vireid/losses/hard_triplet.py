"""Batch-hard triplet loss: the farthest positive against the nearest negative, with a margin."""

import torch

from vireid.errors import VireidError
from vireid.types.tensors import Embeddings, Identities, Scalar, can_be_read


def hard_triplet(embeddings: Embeddings, identities: Identities, margin: float = 0.3) -> Scalar:
    """Return the mean over anchors of max(0, margin + farthest positive - nearest negative).

    Euclidean distances. Computed in float32 or better, also under autocast. Source: Hermans,
    Beyer, Leibe, In Defense of the Triplet Loss for Person Re-Identification, 2017, eq. 5.

    Args:
        embeddings: Compared as they are, without normalisation.
        identities: Identity of each row.
        margin: Distance by which another person has to be farther away than the same one.

    Raises:
        VireidError: All rows show one person.
    """
    same = identities[:, None] == identities[None, :]
    if can_be_read(same) and bool(same.all()):
        raise VireidError(
            "a triplet needs two identities, but all images of the batch show one; "
            "raise settings.people"
        )
    with torch.autocast(embeddings.device.type, enabled=False):
        points = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
        distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
        farthest = distances.masked_fill(~same, -torch.inf).amax(dim=1)
        nearest = distances.masked_fill(same, torch.inf).amin(dim=1)
        return (margin + farthest - nearest).relu().mean()
