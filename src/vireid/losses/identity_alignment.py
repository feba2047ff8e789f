"""Identity alignment: pulls a person's centres in all modalities together, away from others'."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vireid.errors import VireidError
from vireid.types.tensors import Embeddings, Identities, Modalities, Scalar, can_be_read

Form = Literal["triplet", "pull", "aux_anchor"]
Centres = Float[Tensor, "p m d"]
"""Mean embeddings of each of p people in each of m modalities."""


def identity_alignment(
    embeddings: Embeddings,
    identities: Identities,
    modalities: Modalities,
    form: Form = "triplet",
    margin: float = 0.3,
) -> Scalar:
    """Return how far the centres of one person lie apart, by one of three formulas.

    With c_im the centre of person i in modality m, and Euclidean distances:

    * triplet: mean over i, m of max(0, margin + max_m' |c_im - c_im'| - min_j,m' |c_im - c_jm'|),
      m' another modality, j another person: hetero-centre triplet (Liu, Tan, Zhou, Parameter
      Sharing Exploration and Hetero-Center Triplet Loss, TMM 2021) with a third modality
    * aux_anchor: the same with the last modality's centres as anchors alone
    * pull: mean over i and pairs of modalities of |c_im - c_im'|^2: hetero-centre loss (Zhu et al.,
      Neurocomputing 2020), likewise

    MUN (Yu et al., ICCV 2023) aligns identity centres in three modalities; its formula is not
    known to us. Computed in float32 or better, also under autocast.

    Args:
        embeddings: Compared as they are, without normalisation.
        identities: Identity of each row.
        modalities: Modality of each row.
        form: Name of the formula.
        margin: Distance by which another person has to be farther away; "pull" has none.

    Raises:
        VireidError: All rows show one person, or someone is missing in a modality.
    """
    with torch.autocast(embeddings.device.type, enabled=False):
        points = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
        centres = centres_of(points, identities, modalities)
        if form == "pull":
            return _pull(centres)
        anchors = centres.shape[1] if form == "triplet" else 1
        return _triplet(centres, margin)[:, -anchors:].mean()


def centres_of(embeddings: Embeddings, identities: Identities, modalities: Modalities) -> Centres:
    """Return the mean embedding of each person in each modality; rows may be in any order.

    Raises:
        VireidError: There are fewer than two people, or someone is missing in a modality.
    """
    people, person = torch.unique(identities, return_inverse=True)
    kinds, kind = torch.unique(modalities, return_inverse=True)
    if len(people) < 2:
        raise VireidError(
            "an identity alignment needs two identities, but all images of the batch show one; "
            "raise settings.people"
        )
    rows = torch.nn.functional.one_hot(person * len(kinds) + kind, len(people) * len(kinds))
    counts = rows.sum(dim=0)
    if can_be_read(counts) and bool((counts == 0).any()):
        raise VireidError(
            "an identity alignment needs everyone in every modality, but the batch has someone "
            "without; give both spectra of each identity equally many images"
        )
    means = rows.to(embeddings.dtype).T @ embeddings / counts[:, None]
    return means.reshape(len(people), len(kinds), -1)


def _triplet(centres: Centres, margin: float) -> Float[Tensor, "p m"]:
    """Return the triplet loss of each centre as the anchor."""
    people, kinds = centres.shape[:2]
    flat = centres.flatten(0, 1)
    distances = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    same = _same_person(people, kinds, centres.device)
    farthest = distances.masked_fill(~same, -torch.inf).amax(dim=1)
    nearest = distances.masked_fill(same, torch.inf).amin(dim=1)
    return (margin + farthest - nearest).relu().reshape(people, kinds)


def _same_person(people: int, kinds: int, device: torch.device) -> Bool[Tensor, "pm pm"]:
    person = torch.arange(people, device=device).repeat_interleave(kinds)
    return person[:, None] == person[None, :]


def _pull(centres: Centres) -> Scalar:
    first, second = torch.triu_indices(centres.shape[1], centres.shape[1], 1, device=centres.device)
    return (centres[:, first] - centres[:, second]).square().sum(dim=2).mean()
