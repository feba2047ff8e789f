"""Losses that bring embeddings of pictures and of texts about the same person together."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vireid.types.tensors import Embeddings, Identities, Scalar


def contrast(anchors: Embeddings, others: Embeddings, identities: Identities) -> Scalar:
    """Return the supervised contrastive loss of two kinds of rows about the same people.

        -1/n sum_i 1/|P(i)| sum_{p in P(i)} log( exp(a_i . o_p) / sum_j exp(a_i . o_j) ),
        P(i) = all rows of the identity of row i, its own among them

    Dot products are neither normalised nor divided by a temperature. With k rows of every identity
    the smallest possible value is log k. Images are the anchors of image-to-text, texts those of
    text-to-image. Computed in float32 or better, also under autocast.

    Source: Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, L_out, between two kinds
    of rows as in CLIP-ReID (Li, Sun, Li, AAAI 2023), eq. 5, https://github.com/Syliz517/CLIP-ReID.

    Args:
        anchors: Rows whose partners are searched for.
        others: Rows in which they are searched for, about the same people in the same order.
        identities: Identity of row i of both.
    """
    with torch.autocast(anchors.device.type, enabled=False):
        logits = _similarities(anchors, others)
        return matching(logits, identities[:, None] == identities[None, :])


def matching(logits: Float[Tensor, "n m"], right: Bool[Tensor, "n m"]) -> Scalar:
    """Return the cross-entropy of finding the right columns of each row, all right ones equal.

        -1/n sum_i 1/|R(i)| sum_{r in R(i)} log( exp(l_ir) / sum_j exp(l_ij) )

    With one right column in each row this is the cross-entropy of CLIP (Radford et al., ICML 2021,
    https://arxiv.org/abs/2103.00020, figure 3). The smallest possible value is the mean of log
    |R(i)|.

    Args:
        logits: Similarities at any temperature, in float32 or better.
        right: True where row and column belong together; at least once in every row.
    """
    share = right.to(logits.dtype) / right.sum(dim=1, keepdim=True)
    return -(logits.log_softmax(dim=1) * share).sum(dim=1).mean()


def text_logits(images: Embeddings, texts: Float[Tensor, "k d"]) -> Float[Tensor, "n k"]:
    """Return dot products of images with all people's texts, for a cross-entropy over people."""
    with torch.autocast(images.device.type, enabled=False):
        return _similarities(images, texts)


def _similarities(rows: Tensor, columns: Tensor) -> Tensor:
    dtype = torch.promote_types(torch.promote_types(rows.dtype, columns.dtype), torch.float32)
    return rows.to(dtype) @ columns.to(dtype).T
