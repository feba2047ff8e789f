"""Numbers of ours beside numbers of theirs.

In double precision all that is compared is equal to 1e-5 of the largest number of its tensor. In
single precision it is equal to 1e-4 or, where that is more, to twice what theirs itself lacks
beside its own double precision: a rounding error that turns one ReLU on or off changes a gradient
by more than 1e-4, in two runs of the same code too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

TOLERANCES = {torch.float64: 1e-5, torch.float32: 1e-4}
"""Largest difference that counts as equal, by precision."""
ROUNDED = 2.0
"""Multiple of their own rounding error that counts as equal, as both round."""
LEAST = 1e-3
"""Share of the largest number of all tensors below which a tensor's own largest does not count."""
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Row:
    """One comparison."""

    what: str
    kind: str
    """Precision, or what is counted."""
    difference: float
    """Largest difference of any number, as a share of the largest number of its tensor."""
    tolerance: float | None
    """Largest difference that counts as equal; None where a setting is left as it is, to show what
    it amounts to."""
    rounding: float | None = None
    """The same difference between theirs in single and in double precision, where it is known."""
    where: str = ""
    """Tensor of the largest difference, and how many there are."""

    @property
    def equal(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.tolerance is None or self.difference <= self.tolerance


@dataclass
class Findings:
    """What the comparison with one repository found."""

    repository: str
    address: str
    commit: str
    show: Callable[[Row], None]
    """Called with each row as soon as it is known."""
    rows: list[Row] = field(default_factory=list)
    switched: Sequence[str] = ()
    """Known differences, each with the setting that takes it away for the comparison."""
    kept: Sequence[str] = ()
    """Known differences that are left in place, as they are within the tolerance."""
    not_compared: Sequence[str] = ()
    exact: dict[str, Tensors] = field(default_factory=dict)
    """What theirs had in double precision, by row."""

    def compare(
        self,
        what: str,
        ours: Tensors | Tensor,
        theirs: Tensors | Tensor,
        *,
        control: bool = False,
        tolerance: float | None = None,
    ) -> None:
        """Add a row about tensors, which have the same names.

        Args:
            what: Name of the row.
            ours: Tensors of vireid.
            theirs: Tensors of the released code.
            control: Whether to show the difference only, as a setting is left as it is.
            tolerance: Another tolerance than that of the precision.
        """
        mine, others = _named(ours), _named(theirs)
        found = _differences(mine, others)
        worst = max(found, key=lambda name: found[name])
        precision = next(iter(others.values())).dtype
        allowed, rounding = tolerance or TOLERANCES[precision], None
        if precision == torch.float64:
            self.exact[what] = {name: value.detach().clone() for name, value in others.items()}
        elif what in self.exact:
            rounding = max(_differences(others, self.exact[what]).values())
            allowed = max(allowed, ROUNDED * rounding)
        self.add(
            Row(
                what,
                str(precision).removeprefix("torch."),
                found[worst],
                None if control else allowed,
                rounding,
                f"{worst} of {len(found)}" if len(found) > 1 else worst,
            )
        )

    def add(self, row: Row) -> None:
        """Add a row."""
        self.rows.append(row)
        self.show(row)

    @property
    def unequal(self) -> list[Row]:
        """The rows whose difference is above the tolerance."""
        return [row for row in self.rows if not row.equal]


def _named(tensors: Tensors | Tensor) -> Tensors:
    return {"": tensors} if isinstance(tensors, Tensor) else tensors


def _differences(ours: Tensors, theirs: Tensors) -> dict[str, float]:
    if ours.keys() != theirs.keys():
        raise ValueError(f"other tensors, {sorted(ours.keys() ^ theirs.keys())[:4]}")
    most = max(float(value.detach().abs().max()) for value in theirs.values())
    return {name: _difference(ours[name], theirs[name], LEAST * most) for name in theirs}


def _difference(ours: Tensor, theirs: Tensor, least: float) -> float:
    if ours.shape != theirs.shape:
        raise ValueError(f"shapes {tuple(ours.shape)} and {tuple(theirs.shape)}")
    if not bool(ours.isfinite().all() and theirs.isfinite().all()):
        return float("inf")
    scale = max(float(theirs.detach().abs().max()), least)
    apart = float((ours - theirs).detach().abs().max())
    return apart / scale if apart else 0.0


class Watch:
    """Keeps the latest output of some modules."""

    def __init__(self, **modules: nn.Module) -> None:
        self.seen: dict[str, Any] = {}
        for name, module in modules.items():
            module.register_forward_hook(self._keep(name))

    def _keep(self, name: str) -> Callable[..., None]:
        def keep(_module: nn.Module, _given: Any, output: Any) -> None:
            self.seen[name] = output

        return keep


def gradients(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of all gradients that there are, by the parameter's name."""
    return {k: p.grad.clone() for k, p in module.named_parameters() if p.grad is not None}


def weights(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of the parameters."""
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def statistics(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of the running means and variances of all batch normalisations."""
    return {
        name: value.clone()
        for name, value in module.named_buffers()
        if name.endswith(("running_mean", "running_var"))
    }
