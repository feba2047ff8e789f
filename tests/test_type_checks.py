"""What a function takes and gives is checked while tests run, whatever kind of function it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from tests import event_loops
from tests.type_checks import checked

from vireid import threads
from vireid.types.arrays import Queries, Vectors
from vireid.types.tensors import images_of


def doubled(number: float) -> float:
    return 2 * number


def as_it_is(value: object) -> float:
    return value  # type: ignore[return-value]


async def doubled_later(number: float) -> float:
    return 2 * number


def similarity(queries: Queries, vectors: Vectors) -> Any:
    return queries @ vectors.T


@checked
@dataclass
class Half:
    of: float

    def _name(self) -> str:
        return self.of  # type: ignore[return-value]

    name = checked(property(_name))

    @checked
    @classmethod
    def of_double(cls, number: float) -> "Half":
        return cls(number * 2)

    @checked
    @staticmethod
    def doubled(number: float) -> float:
        return number * 2


KINDS: list[Callable[[Any], Any]] = [
    checked(doubled),
    lambda number: event_loops.run(checked(doubled_later)(number)),
    Half,
    Half.of_double,
    Half.doubled,
]


@pytest.mark.parametrize(
    "kind", KINDS, ids=["function", "coroutine", "class", "of class", "static"]
)
def test_wrong_arguments_are_refused(kind: Callable[[Any], Any]) -> None:
    kind(1)
    kind(1.5)
    with pytest.raises(TypeError, match="float"):
        kind("1")


def test_a_wrong_answer_is_refused() -> None:
    with pytest.raises(TypeError, match="float"):
        checked(as_it_is)("1")
    with pytest.raises(TypeError, match="str"):
        _ = Half(1).name


def test_letters_of_shapes_mean_one_number_in_a_call() -> None:
    compared = checked(similarity)
    queries, vectors = np.zeros((2, 3), np.float32), np.zeros((5, 3), np.float32)
    assert compared(queries, vectors).shape == (2, 5)
    with pytest.raises(TypeError, match="vectors"):
        compared(queries, vectors[:, :2])


def test_functions_of_vireid_are_checked() -> None:
    with pytest.raises(TypeError, match="pixels"):
        images_of(torch.zeros(1, 4, 4, 3))
    with pytest.raises(TypeError, match="items"):
        list(threads.in_threads(str, 5, "nothing"))  # type: ignore[arg-type]
