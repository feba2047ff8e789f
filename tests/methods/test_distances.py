"""Figures of how far spectra, people and centres lie apart, beside their definitions."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from vireid.methods._distances import Rows, figures_of, told_apart

PEOPLE, EACH, DIM = 6, 3, 16


def rows(seed: int, gap: float, modalities: int = 3) -> Rows:
    """People around points of their own; each modality is moved by `gap` in a direction of its
    own."""
    chance = torch.Generator().manual_seed(seed)
    identities = torch.arange(PEOPLE).repeat_interleave(EACH).repeat(modalities)
    kinds = torch.arange(modalities).repeat_interleave(PEOPLE * EACH)
    people, noise = (torch.randn(n, DIM, generator=chance) for n in (PEOPLE, len(kinds)))
    points = people[identities] + noise / 4 + gap * torch.eye(DIM)[kinds]
    return Rows(F.normalize(points, dim=1), identities, kinds)


def squared(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a - b) ** 2).sum())


def test_distances_are_means_over_pairs_of_pictures_and_of_centres() -> None:
    batches = [rows(0, 1.0), rows(1, 1.0)]
    found = figures_of(batches)
    of = [tuple(v.numpy() for v in vars(batch).values()) for batch in batches]
    pairs: dict[str, list[list[float]]] = {"across the spectra": [], "within visible": []}
    for points, who, kinds in of:
        across, within = [], []
        for i, j in combinations(range(len(points)), 2):
            if who[i] == who[j] and {kinds[i], kinds[j]} == {0, 1}:
                across.append(squared(points[i], points[j]))
            if who[i] == who[j] and kinds[i] == kinds[j] == 0:
                within.append(squared(points[i], points[j]))
        pairs["across the spectra"].append(across)
        pairs["within visible"].append(within)
    for name, each in pairs.items():
        expected = np.mean([np.mean(of_batch) for of_batch in each])
        assert found[f"pictures of a person/{name}"] == pytest.approx(expected, rel=1e-5)
    points, who, kinds = (np.concatenate(parts) for parts in zip(*of, strict=True))
    for name, (first, second) in {
        "visible to infrared": (0, 1),
        "visible to auxiliary": (0, 2),
        "infrared to auxiliary": (1, 2),
    }.items():
        centres = [
            [points[(who == person) & (kinds == kind)].mean(axis=0) for kind in (first, second)]
            for person in range(PEOPLE)
        ]
        expected = np.mean([squared(*pair) for pair in centres])
        assert found[f"centres of a person/{name}"] == pytest.approx(expected, rel=1e-5)
    gap = squared(points[kinds == 0].mean(axis=0), points[kinds == 1].mean(axis=0))
    name = "gap between the spectra/means of all embeddings"
    assert found[name] == pytest.approx(gap, rel=1e-5)


def test_a_direction_tells_spectra_that_lie_apart_and_no_others() -> None:
    assert all(told_apart(rows(seed, 20.0)) == 1 for seed in range(10))
    # People it was not found on: by chance half, not more, as on those it was found on.
    shares = [told_apart(rows(seed, 0.0)) for seed in range(50)]
    assert 0.4 < sum(shares) / 50 < 0.6


def test_without_auxiliary_modality_there_are_two() -> None:
    found = figures_of([rows(0, 1.0, modalities=2)])
    centres = [name for name in found if name.startswith("centres of a person/")]
    assert centres == ["centres of a person/visible to infrared"]
