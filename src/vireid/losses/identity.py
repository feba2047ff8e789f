"""Identity loss: cross-entropy over the training identities."""

import torch
from torch.nn import functional as F  # noqa: N812

from vireid.types.tensors import Identities, Logits, Scalar


def identity_loss(logits: Logits, identities: Identities, smoothing: float = 0.0) -> Scalar:
    """Return the mean over images of -log softmax(logits)[identity].

    Computed in float32 or better, also under autocast.

    Args:
        logits: One row per image, one column per training identity.
        identities: Columns of the right identities.
        smoothing: Share of the target spread evenly over all identities (Szegedy et al., CVPR
            2016).
    """
    widened = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(widened, identities, label_smoothing=smoothing)
