"""Losses equal a second version written with loops, and what they tend to in the limits."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from vireid.errors import VireidError
from vireid.losses.identity import identity_loss
from vireid.losses.weighted_triplet import weighted_triplet

PEOPLE = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])


def points(seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(len(PEOPLE), 5, dtype=torch.float64, generator=generator)


def triplet_by_loops(rows: list[list[float]], people: list[int]) -> float:
    total = 0.0
    for anchor, who in zip(rows, people, strict=True):
        alike: list[float] = []
        unlike: list[float] = []
        for other, whose in zip(rows, people, strict=True):
            (alike if whose == who else unlike).append(math.dist(anchor, other))
        pull = sum(d * math.exp(d) for d in alike) / sum(math.exp(d) for d in alike)
        push = sum(d * math.exp(-d) for d in unlike) / sum(math.exp(-d) for d in unlike)
        total += math.log(1 + math.exp(pull - push))
    return total / len(rows)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scale", [0.1, 1, 10])
def test_weighted_triplet_is_its_formula(seed: int, scale: float) -> None:
    rows = points(seed, scale)
    expected = triplet_by_loops(rows.tolist(), PEOPLE.tolist())
    assert weighted_triplet(rows, PEOPLE).item() == pytest.approx(expected, rel=1e-9)


def test_weighted_triplet_does_not_ask_for_an_order() -> None:
    rows, order = points(), torch.randperm(len(PEOPLE), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        weighted_triplet(rows[order], PEOPLE[order]), weighted_triplet(rows, PEOPLE)
    )


def test_weighted_triplet_of_one_point_is_log_two_and_can_be_learnt_from() -> None:
    same = torch.ones(len(PEOPLE), 5, requires_grad=True)
    loss = weighted_triplet(same, PEOPLE)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(math.log(2))
    assert same.grad is not None
    assert bool(same.grad.isfinite().all())


def test_weighted_triplet_vanishes_where_people_are_far_apart() -> None:
    far = torch.nn.functional.one_hot(PEOPLE).double() * 100
    assert weighted_triplet(far, PEOPLE).item() == pytest.approx(0, abs=1e-12)


def test_weighted_triplet_stays_finite_for_distances_beyond_the_range_of_exp() -> None:
    rows = points(scale=1e4).float().requires_grad_()
    loss = weighted_triplet(rows, PEOPLE)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite()
    assert rows.grad is not None
    assert bool(rows.grad.isfinite().all())


def test_gradient_of_weighted_triplet() -> None:
    rows = points().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: weighted_triplet(x, PEOPLE), (rows,))


def test_losses_are_float32_under_autocast() -> None:
    rows = points().bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        triplet = weighted_triplet(rows, PEOPLE)
        identity = identity_loss(rows, PEOPLE)
    assert triplet.dtype == identity.dtype == torch.float32
    torch.testing.assert_close(triplet, weighted_triplet(rows.float(), PEOPLE), rtol=0, atol=0)
    torch.testing.assert_close(identity, identity_loss(rows.float(), PEOPLE), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("people", "way_out"),
    [([3, 3, 3, 3], "settings.people"), ([0, 1, 2, 3], "images_each"), ([0, 0, 1], "images_each")],
)
def test_weighted_triplet_refuses_what_has_no_triplet(people: list[int], way_out: str) -> None:
    with pytest.raises(VireidError, match=way_out):
        weighted_triplet(torch.rand(len(people), 5), torch.tensor(people))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_identity_loss_is_its_formula(smoothing: float) -> None:
    logits = points().float()
    expected = 0.0
    for row, person in zip(logits.tolist(), PEOPLE.tolist(), strict=True):
        everything = math.log(sum(math.exp(x) for x in row))
        rest = sum(everything - x for x in row) / len(row)
        expected += (1 - smoothing) * (everything - row[person]) + smoothing * rest
    found = identity_loss(logits, PEOPLE, smoothing).item()
    assert found == pytest.approx(expected / len(PEOPLE), rel=1e-6)


def test_gradient_of_identity_loss_in_float32() -> None:
    logits = points().float().requires_grad_()
    identity_loss(logits, PEOPLE).backward()  # type: ignore[no-untyped-call]
    truth = torch.nn.functional.one_hot(PEOPLE, 5)
    expected = (logits.detach().softmax(dim=1) - truth) / len(PEOPLE)
    torch.testing.assert_close(logits.grad, expected)


def triplet_of_the_code(rows: np.ndarray, people: np.ndarray) -> float:
    """AGW's released loss in NumPy: both sums of weights have 1e-6 more, negatives no shift."""
    distances = np.sqrt(((rows[:, None] - rows[None]) ** 2).sum(axis=2))
    total = 0.0
    for away, whose in zip(distances, people, strict=True):
        alike, unlike = away[people == whose], away[people != whose]
        near = np.exp(alike - alike.max())
        far = np.exp(-unlike)
        gap = alike @ near / (near.sum() + 1e-6) - unlike @ far / (far.sum() + 1e-6)
        total += np.log1p(np.exp(gap))
    return float(total / len(rows))


@pytest.mark.parametrize("scale", [0.1, 1, 10])
def test_weighted_triplet_of_the_released_code(scale: float) -> None:
    rows = points(scale=scale)
    expected = triplet_of_the_code(rows.numpy(), PEOPLE.numpy())
    assert weighted_triplet(rows, PEOPLE, "code").item() == pytest.approx(expected, rel=1e-9)
    learnt = (rows.requires_grad_(),)
    assert torch.autograd.gradcheck(lambda x: weighted_triplet(x, PEOPLE, "code"), learnt)


def test_weights_of_the_released_code_fade_where_others_are_far_away() -> None:
    rows = points(scale=30)
    pushed = weighted_triplet(rows, PEOPLE, "paper").item()
    faded = weighted_triplet(rows, PEOPLE, "code").item()
    furthest = torch.cdist(rows, rows).masked_fill(PEOPLE[:, None] != PEOPLE, 0).amax(dim=1)
    assert faded == pytest.approx(furthest.mean().item(), rel=1e-3)  # Nothing is pushed away.
    assert pushed < faded / 2


def test_losses_of_doubles_are_doubles() -> None:
    rows = points()
    expected = torch.logsumexp(rows, dim=1) - rows[torch.arange(len(rows)), PEOPLE]
    assert identity_loss(rows, PEOPLE).item() == pytest.approx(expected.mean().item(), rel=1e-14)
