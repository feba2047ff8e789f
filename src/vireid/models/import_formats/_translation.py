"""What a format makes of a checkpoint, and what several formats share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from vireid.errors import VireidError

State = Mapping[str, Tensor]
"""Weights by name."""


class CannotImportError(VireidError):
    """A checkpoint of which vireid cannot make the same network."""


@dataclass(frozen=True)
class Translation:
    """A checkpoint in vireid's words."""

    method: str
    settings: Mapping[str, Any]
    """Settings of the method; those that are not here have their defaults."""
    weights: State
    """Weights under vireid's names."""
    identities: int | None
    """Number of people that the classifier tells apart; None where it has none any more."""
    height: int
    """Rows of a picture, unless the user says otherwise."""
    width: int
    """Columns of a picture, unless the user says otherwise."""
    taken: frozenset[str]
    """Their names of the weights that were taken over."""
    unused: Mapping[str, str] = field(default_factory=dict)
    """Beginnings of their names that embedding does not need, each with the reason."""
    reads_text: bool = True
    """Whether sentences can be embedded, if the method reads text."""
    fresh: tuple[str, ...] = ()
    """Beginnings of vireid's names of weights that may be missing, as embedding does without."""
    visible_only: bool = False
    """Whether it has learnt from visible pictures alone."""
    remarks: tuple[str, ...] = ()
    """What the checkpoint does not tell, and what is taken for granted."""


def renamed(
    state: State, beginnings: Mapping[str, str]
) -> tuple[dict[str, Tensor], frozenset[str]]:
    """Return weights under other names, and the names they had.

    Args:
        state: Weights by name.
        beginnings: New beginnings of names by old ones; weights that begin otherwise are left out.
    """
    names = {
        name: new + name.removeprefix(old)
        for name in state
        for old, new in beginnings.items()
        if name.startswith(old)
    }
    return {new: state[old] for old, new in names.items()}, frozenset(names)


def check_biasless(state: State, names: Sequence[str], code: str) -> None:
    """Check that the biases of necks are 0, where vireid has none.

    Raises:
        CannotImportError: One is not.
    """
    if any(name in state and bool(state[name].any()) for name in names):
        raise CannotImportError(
            f"its neck has a bias that is not 0; {code} keeps it 0, and vireid has none"
        )


def some(names: Iterable[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more
