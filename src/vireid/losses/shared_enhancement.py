"""Modality-shared enhancement: a person's rows are equally far apart in and across spectra."""

import torch

from vireid.errors import VireidError
from vireid.types.tensors import Embeddings, Identities, Modalities, Scalar, can_be_read


def shared_enhancement(
    embeddings: Embeddings, identities: Identities, modalities: Modalities
) -> Scalar:
    """Return the mean over rows of (across - within)^2.

    `within` is the mean Euclidean distance of a row to the other rows of its person and modality,
    `across` that to the rows of its person in the other modality. With equally many rows in both
    modalities this is half the sum of the two modalities' means, as in CSDN. Computed in float32 or
    better, also under autocast.

    Source: Lu, Zou, Zhang, Learning Progressive Modality-shared Transformers for Effective
    Visible-Infrared Person Re-identification (PMT), AAAI 2023.

    Args:
        embeddings: Compared as they are, without normalisation.
        identities: Identity of each row.
        modalities: Modality of each row, one of two.

    Raises:
        VireidError: A row has no second one of its person and modality, or none in the other.
    """
    person = identities[:, None] == identities[None, :]
    alike = modalities[:, None] == modalities[None, :]
    itself = torch.eye(len(identities), dtype=torch.bool, device=identities.device)
    within, across = person & alike & ~itself, person & ~alike
    if can_be_read(person) and not bool((within.any(dim=1) & across.any(dim=1)).all()):
        raise VireidError(
            "the modality-shared enhancement needs two images of each identity in both spectra; "
            "raise settings.images_each or set settings.enhancement_weight to 0"
        )
    with torch.autocast(embeddings.device.type, enabled=False):
        points = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
        distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
        means = [(distances * rows).sum(dim=1) / rows.sum(dim=1) for rows in (across, within)]
        return (means[0] - means[1]).square().mean()
