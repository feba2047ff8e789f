"""Identity loss: cross-entropy over the training identities."""

from torch.nn import functional as F  # noqa: N812

from vireid.shapes import Identities, Logits, Scalar


def identity_loss(logits: Logits, identities: Identities, smoothing: float = 0.0) -> Scalar:
    """Return the mean over images of -log softmax(logits)[identity].

    Computed in float32, also under autocast.

    Args:
        logits: One row per image, one column per training identity.
        identities: Columns of the right identities.
        smoothing: Share of the target spread evenly over all identities (Szegedy et al., CVPR
            2016).
    """
    return F.cross_entropy(logits.float(), identities, label_smoothing=smoothing)
