"""Weighted regularised triplet loss: all pairs count, hard ones more, and there is no margin."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vireid.errors import VireidError
from vireid.types.tensors import Embeddings, Identities, Scalar, can_be_read

TripletWeights = Literal["paper", "code"]
"""The two published forms of the weights."""
ADDED = 1e-6
"""Number that the released code adds to the sum that weights are divided by."""


def weighted_triplet(
    embeddings: Embeddings, identities: Identities, weights: TripletWeights = "paper"
) -> Scalar:
    """Return the mean over anchors i of log(1 + exp(sum_j w+_ij d_ij - sum_j w-_ij d_ij)).

    d is the Euclidean distance, w+ a softmax of d over images of the same identity (the anchor
    itself among them), w- a softmax of -d over all others. Computed in float32 or better, also
    under autocast.

    Source: Ye et al., Deep Learning for Person Re-identification: A Survey and Outlook, TPAMI
    2021, section 4 (weighted regularization triplet). The released code differs: it adds 1e-6 to
    the sum that weights are divided by, see docs/deviations.md.

    Args:
        embeddings: Compared as they are; AGW gives pooled features that are not normalised.
        identities: Identity of each row.
        weights: `paper` for the softmax above; `code` for that of the released code, whose weights
            of others fade where all of them are far away.

    Raises:
        VireidError: Some row has no second image of its identity, or no image of another one.
    """
    same = identities[:, None] == identities[None, :]
    if can_be_read(same):
        _check_pairs(same)
    with torch.autocast(embeddings.device.type, enabled=False):
        points = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
        # Not by way of a matrix product: that loses half the digits of small distances.
        distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
        alike = distances.masked_fill(~same, -torch.inf)
        unlike = (-distances).masked_fill(same, -torch.inf)
        if weights == "paper":
            hard_positives, hard_negatives = alike.softmax(dim=1), unlike.softmax(dim=1)
        else:
            hard_positives = _shares(alike - alike.amax(dim=1, keepdim=True))
            hard_negatives = _shares(unlike)
        return F.softplus(((hard_positives - hard_negatives) * distances).sum(dim=1)).mean()


def _shares(exponents: Tensor) -> Tensor:
    """Return weights of each row as the released code has them; their sum is below 1."""
    raised = exponents.exp()
    return raised / (raised.sum(dim=1, keepdim=True) + ADDED)


def _check_pairs(same: Tensor) -> None:
    alike = same.sum(dim=1)
    if bool((alike == len(same)).any()):
        raise VireidError(
            "a triplet needs two identities, but all images of the batch show one; "
            "raise settings.people"
        )
    if bool((alike < 2).any()):
        raise VireidError(
            "a triplet needs two images of each identity, but the batch has an identity with one; "
            "raise settings.images_each"
        )
