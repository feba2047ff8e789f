"""Modality confusion: makes embeddings equally similar to the prototypes of all modalities."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vireid.types.tensors import Embeddings, Scalar


def modality_confusion(
    embeddings: Embeddings, prototypes: Float[Tensor, "m d"], temperature: float = 0.1
) -> Scalar:
    """Return the mean of KL(uniform || q), q = softmax_m(cos(row, prototype m) / temperature).

    Zero where every row is equally similar to all prototypes. Computed in float32 or better, also
    under autocast. vireid's own loss, taken from no publication.

    Args:
        embeddings: Rows of any length.
        prototypes: One row for each modality; they get no gradient.
        temperature: The smaller it is, the more small differences count.
    """
    with torch.autocast(embeddings.device.type, enabled=False):
        dtype = torch.promote_types(embeddings.dtype, torch.float32)
        rows = F.normalize(embeddings.to(dtype), dim=1)
        wholes = F.normalize(prototypes.detach().to(dtype), dim=1)
        log_q = (rows @ wholes.T / temperature).log_softmax(dim=1)
        uniform = torch.full_like(log_q, 1 / len(prototypes))
        return F.kl_div(log_q, uniform, reduction="batchmean")
