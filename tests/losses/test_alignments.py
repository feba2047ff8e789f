"""Alignments and the hard triplet equal second versions written with loops, with their limits."""

import math
from collections.abc import Callable
from itertools import combinations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vireid.errors import VireidError
from vireid.losses.hard_triplet import hard_triplet
from vireid.losses.identity_alignment import Form, identity_alignment
from vireid.losses.modality_alignment import ModalityAlignment
from vireid.losses.modality_confusion import modality_confusion

FORMS: tuple[Form, ...] = ("triplet", "pull", "aux_anchor")
PEOPLE = torch.tensor([4, 4, 7, 7, 9, 9]).repeat(3)
MODALITIES = torch.arange(3).repeat_interleave(6)
Rows = list[list[float]]


def points(seed: int = 0, scale: float = 1.0, rows: int = 18) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, 5, dtype=torch.float64, generator=generator)


def mean(rows: Rows) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def centres_by_loops(
    rows: Rows, people: list[int], modalities: list[int]
) -> dict[tuple[int, int], list[float]]:
    keys = sorted(set(zip(people, modalities, strict=True)))
    return {
        key: mean([r for r, i, m in zip(rows, people, modalities, strict=True) if (i, m) == key])
        for key in keys
    }


def identity_alignment_by_loops(
    rows: Rows, people: list[int], modalities: list[int], form: Form
) -> float:
    centres = centres_by_loops(rows, people, modalities)
    last = max(modalities)
    costs = []
    for (i, m), centre in centres.items():
        own = [math.dist(centre, c) for (j, n), c in centres.items() if j == i and n != m]
        others = [math.dist(centre, c) for (j, _), c in centres.items() if j != i]
        if form == "pull":
            costs += [d**2 for d in own]
        elif form == "triplet" or m == last:
            costs.append(max(0.0, 0.3 + max(own) - min(others)))
    return sum(costs) / len(costs)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scale", [0.1, 1, 10])
@pytest.mark.parametrize("kinds", [2, 3])
def test_identity_alignment_is_its_formula(form: Form, scale: float, kinds: int) -> None:
    rows, people, modalities = (x[: 6 * kinds] for x in (points(1, scale), PEOPLE, MODALITIES))
    expected = identity_alignment_by_loops(
        rows.tolist(), people.tolist(), modalities.tolist(), form
    )
    found = identity_alignment(rows, people, modalities, form).item()
    assert found == pytest.approx(expected, rel=1e-9)
    assert found > 0


@pytest.mark.parametrize("form", FORMS)
def test_identity_alignment_does_not_ask_for_an_order(form: Form) -> None:
    rows, generator = points(), torch.Generator().manual_seed(1)
    # Within each modality another order, then all of it in another.
    order = torch.cat([6 * m + torch.randperm(6, generator=generator) for m in range(3)])
    for shuffle in (order, torch.randperm(18, generator=generator)):
        torch.testing.assert_close(
            identity_alignment(rows[shuffle], PEOPLE[shuffle], MODALITIES[shuffle], form),
            identity_alignment(rows, PEOPLE, MODALITIES, form),
        )


@pytest.mark.parametrize("form", FORMS)
def test_identity_alignment_vanishes_where_centres_meet_and_people_are_apart(form: Form) -> None:
    apart = F.one_hot(PEOPLE).double() * 10
    # The pictures of a person differ, their mean is the same in every modality.
    spread = (
        torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(9)[:, None]
        * (1 + MODALITIES)[:, None]
    )
    loss = identity_alignment(apart + spread, PEOPLE, MODALITIES, form)
    assert loss.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("form", "limit"), [("triplet", 0.3), ("aux_anchor", 0.3), ("pull", 0)])
def test_identity_alignment_of_one_point_can_be_learnt_from(form: Form, limit: float) -> None:
    same = torch.ones(18, 5, requires_grad=True)
    loss = identity_alignment(same, PEOPLE, MODALITIES, form)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(limit)
    assert same.grad is not None
    assert bool(same.grad.isfinite().all())


@pytest.mark.parametrize("form", FORMS)
def test_gradient_of_identity_alignment(form: Form) -> None:
    rows = points().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: identity_alignment(x, PEOPLE, MODALITIES, form), (rows,)
    )


@pytest.mark.parametrize(
    ("people", "modalities", "told"),
    [
        ([3, 3, 3], [0, 1, 2], "two identities.*raise settings.people"),
        ([1, 1, 2, 2], [0, 1, 0, 0], "everyone in every modality.*equally many images"),
    ],
)
def test_identity_alignment_refuses_what_has_no_centres(
    people: list[int], modalities: list[int], told: str
) -> None:
    with pytest.raises(VireidError, match=told):
        identity_alignment(
            torch.rand(len(people), 5), torch.tensor(people), torch.tensor(modalities)
        )


def unit(row: list[float]) -> list[float]:
    length = math.hypot(*row)
    return [x / length for x in row]


def modality_alignment_by_loops(batches: list[Rows], momentum: float, kinds: int) -> list[float]:
    """The loss of every step; rows of a batch come modality by modality, as many of each."""
    prototypes: Rows = []
    losses = []
    for rows in batches:
        each = len(rows) // 3
        means = [mean([unit(r) for r in rows[m * each :][:each]]) for m in range(3)]
        mu = momentum if prototypes else 0.0
        prototypes = prototypes or means
        prototypes = [
            [mu * p + (1 - mu) * b for p, b in zip(old, new, strict=True)]
            for old, new in zip(prototypes, means, strict=True)
        ]
        pairs = list(combinations(prototypes[:kinds], 2))
        losses.append(sum(math.dist(a, b) ** 2 for a, b in pairs) / len(pairs) / (1 - mu))
    return losses


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("kinds", [2, 3])
def test_modality_alignment_is_its_formula(momentum: float, kinds: int) -> None:
    alignment = ModalityAlignment(3, 5, momentum, kinds).double()
    batches = [points(seed) for seed in range(4)]
    found = [alignment(batch, MODALITIES).item() for batch in batches]
    expected = modality_alignment_by_loops([b.tolist() for b in batches], momentum, kinds)
    assert found == pytest.approx(expected, rel=1e-6)


def test_modality_alignment_is_zero_at_every_step_where_modalities_are_equal() -> None:
    alignment = ModalityAlignment(3, 5)
    for seed in range(5):
        same = points(seed, rows=6).float().repeat(3, 1)
        assert alignment(same, MODALITIES).item() == pytest.approx(0, abs=1e-12)


def test_prototypes_move_in_training_alone_and_are_kept_with_the_weights() -> None:
    alignment = ModalityAlignment(3, 5)
    alignment(points().float(), MODALITIES)
    before = alignment.prototypes.clone()
    alignment.eval()(points(1).float(), MODALITIES)
    assert torch.equal(alignment.prototypes, before)
    other = ModalityAlignment(3, 5)
    other.load_state_dict(alignment.state_dict())
    batch = points(2).float()
    torch.testing.assert_close(other(batch, MODALITIES), alignment.train()(batch, MODALITIES))
    assert not torch.equal(alignment.prototypes, before)
    assert torch.equal(other.prototypes, alignment.prototypes)


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.99])
def test_gradient_of_modality_alignment_is_as_large_with_memory_as_without(momentum: float) -> None:
    rows = points().requires_grad_()
    alignment = ModalityAlignment(3, 5, momentum).double()
    alignment(rows, MODALITIES)  # From now on the prototypes are where this batch is.
    (remembered,) = torch.autograd.grad(alignment.eval()(rows, MODALITIES), rows)
    (alone,) = torch.autograd.grad(ModalityAlignment(3, 5, 0.0).double()(rows, MODALITIES), rows)
    torch.testing.assert_close(remembered, alone, rtol=1e-4, atol=1e-9)


def test_gradient_of_modality_alignment() -> None:
    alignment = ModalityAlignment(3, 5).double()
    alignment(points(1), MODALITIES)
    alignment.eval()
    rows = points().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: alignment(x, MODALITIES), (rows,))


def gap_after(momentum: float, steps: int = 300) -> float:
    """How much of an offset between two modalities is left when people differ by batch."""
    generator = torch.Generator().manual_seed(0)
    people = torch.randn(200, 64, generator=generator)
    offset = (5.45 * F.normalize(torch.randn(64, generator=generator), dim=0)).requires_grad_()
    alignment = ModalityAlignment(2, 64, momentum)
    rows = torch.arange(2).repeat_interleave(8)
    sgd = torch.optim.SGD([offset], lr=1.0)
    for _ in range(steps):
        seen = people[torch.randperm(200, generator=generator)[:8]]
        sgd.zero_grad()
        alignment(torch.cat([seen + offset, seen]), rows).backward()
        sgd.step()
    return float(offset.detach().norm())


def test_an_offset_between_modalities_goes_unless_memory_is_too_long() -> None:
    without, usual, too_long = map(gap_after, (0.0, 0.9, 0.99))
    assert without < 0.01
    assert usual < 0.01
    assert 1 < too_long < 2


@pytest.mark.parametrize("momentum", [-0.1, 1.0, math.nan])
def test_a_memory_that_never_changes_is_refused(momentum: float) -> None:
    with pytest.raises(ValueError, match="momentum"):
        ModalityAlignment(3, 5, momentum)


def test_modality_confusion_is_its_formula() -> None:
    rows, prototypes = points(rows=4), points(1, rows=3)
    expected = 0.0
    for row in rows.tolist():
        alike = [
            sum(a * b for a, b in zip(unit(row), unit(p), strict=True)) / 0.1
            for p in prototypes.tolist()
        ]
        everything = math.log(sum(math.exp(x) for x in alike))
        expected += sum(math.log(1 / 3) - (x - everything) for x in alike) / 3
    found = modality_confusion(rows, prototypes).item()
    assert found == pytest.approx(expected / 4, rel=1e-9)


def test_modality_confusion_vanishes_where_prototypes_are_one_and_is_never_negative() -> None:
    same = torch.ones(3, 5)
    assert modality_confusion(points().float(), same).item() == pytest.approx(0, abs=1e-6)
    assert modality_confusion(points(), points(1, rows=3)).item() > 0
    rows = points().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: modality_confusion(x, points(1, rows=3)), (rows,))


@pytest.mark.parametrize("scale", [0.1, 1, 10])
def test_hard_triplet_is_its_formula(scale: float) -> None:
    rows, people = points(scale=scale).tolist(), PEOPLE.tolist()
    total = 0.0
    for anchor, who in zip(rows, people, strict=True):
        distances = [(math.dist(anchor, r), p == who) for r, p in zip(rows, people, strict=True)]
        farthest = max(d for d, same in distances if same)
        total += max(0.0, 0.3 + farthest - min(d for d, same in distances if not same))
    found = hard_triplet(points(scale=scale), PEOPLE).item()
    assert found == pytest.approx(total / 18, rel=1e-9)


def test_limits_of_the_hard_triplet() -> None:
    assert hard_triplet(torch.ones(18, 5), PEOPLE).item() == pytest.approx(0.3)
    assert hard_triplet(F.one_hot(PEOPLE).float() * 10, PEOPLE).item() == 0
    rows = points().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: hard_triplet(x, PEOPLE), (rows,))
    with pytest.raises(VireidError, match=r"settings\.people"):
        hard_triplet(torch.rand(3, 5), torch.tensor([1, 1, 1]))


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "identity alignment": lambda x: identity_alignment(x, PEOPLE, MODALITIES),
    "modality alignment": lambda x: ModalityAlignment(3, 5)(x, MODALITIES),
    "modality confusion": lambda x: modality_confusion(x, points(1, rows=3).float()),
    "hard triplet": lambda x: hard_triplet(x, PEOPLE),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_float32_under_autocast(name: str) -> None:
    rows = points().bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = LOSSES[name](rows)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, LOSSES[name](rows.float()), rtol=0, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_no_number_is_not_hidden(name: str) -> None:
    rows = points().float()
    rows[3, 2] = math.inf
    assert not LOSSES[name](rows).isfinite()
