"""Distances between spectra, people and their centres: figures of how far embeddings are aligned.

All distances are squared, between embeddings of length one or means of these: 0 to 4. A name with
a slash says in which plot a figure belongs and what it is called there.
"""

from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vireid.losses.identity_alignment import centres_of
from vireid.types.tensors import Embeddings, Identities, Modalities

NAMES = ("visible", "infrared", "auxiliary")
"""Names of the modalities by number."""


@dataclass(frozen=True)
class Rows:
    """Embeddings of a batch, of length one, and who and what they show."""

    embeddings: Embeddings
    identities: Identities
    modalities: Modalities
    """Modality of each row: 0 visible, 1 infrared, 2 auxiliary."""

    def of(self, chosen: Bool[Tensor, " n"]) -> "Rows":
        """Return some of the rows."""
        return Rows(self.embeddings[chosen], self.identities[chosen], self.modalities[chosen])


def joined(batches: list[Rows]) -> Rows:
    """Return the rows of several batches as one."""
    parts = zip(*(vars(rows).values() for rows in batches), strict=True)
    return Rows(*(torch.cat(part) for part in parts))


def figures_of(batches: list[Rows]) -> dict[str, float]:
    """Return the figures by name.

    Args:
        batches: Batches of two people or more, each in every modality with two pictures or more.
    """
    rows = joined(batches)
    of_a_person = [_within_people(batch) for batch in batches]
    return {
        "told apart by one direction": told_apart(rows),
        "gap between the spectra/means of all embeddings": _gap(rows),
        **{name: _mean([each[name] for each in of_a_person]) for name in of_a_person[0]},
        **{
            f"centres of a person/{name}": distance
            for name, distance in _between_centres(rows).items()
        },
    }


def told_apart(rows: Rows) -> float:
    """Return the share of rows whose spectrum one direction tells.

    The direction leads from the mean of the visible to that of the infrared embeddings of half of
    the people; the spectrum of the others is told by the side of the midpoint on which they lie.
    """
    spectra = rows.of(rows.modalities < 2)
    people = torch.unique(spectra.identities)
    is_known = torch.isin(spectra.identities, people[: len(people) // 2])
    visible, infrared = _means(spectra.of(is_known))
    others = spectra.of(~is_known)
    sides = (others.embeddings - (visible + infrared) / 2) @ (infrared - visible)
    return _number(((sides > 0) == (others.modalities == 1)).double().mean())


def between(points: Float[Tensor, "m d"]) -> dict[str, float]:
    """Return the squared distance of each two of the modalities' points, by their names."""
    return {
        f"{NAMES[first]} to {NAMES[second]}": _number(
            (points[first] - points[second]).square().sum()
        )
        for first, second in combinations(range(len(points)), 2)
    }


def _gap(rows: Rows) -> float:
    visible, infrared = _means(rows)
    return _number((visible - infrared).square().sum())


def _means(rows: Rows) -> Float[Tensor, "2 d"]:
    """Return the mean embedding of each spectrum."""
    return torch.stack([rows.embeddings[rows.modalities == m].mean(dim=0) for m in range(2)])


def _within_people(rows: Rows) -> dict[str, float]:
    """Return the mean distance of two pictures of a person, across and within the spectra."""
    distances = torch.cdist(rows.embeddings, rows.embeddings).square()
    others = ~torch.eye(len(distances), dtype=torch.bool, device=distances.device)
    is_same = (rows.identities[:, None] == rows.identities) & others
    visible, infrared = rows.modalities == 0, rows.modalities == 1
    wanted = {
        "across the spectra": (visible, infrared),
        "within visible": (visible, visible),
        "within infrared": (infrared, infrared),
    }
    return {
        f"pictures of a person/{name}": _number(distances[is_same & first[:, None] & second].mean())
        for name, (first, second) in wanted.items()
    }


def _between_centres(rows: Rows) -> dict[str, float]:
    """Return the mean distance between a person's centres, for each two modalities."""
    centres = centres_of(rows.embeddings, rows.identities, rows.modalities)
    of_people = [between(of_one) for of_one in centres]
    return {name: _mean([each[name] for each in of_people]) for name in of_people[0]}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _number(value: Tensor) -> float:
    return float(value.item())
