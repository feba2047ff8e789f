"""Ranges of numbers, said in the type of a setting and checked for all settings in one place.

    @dataclass(frozen=True)
    class Config:
        epochs: Count = 81
        learning_rate: Positive = 0.1
        milestones: tuple[Whole, ...] = (20, 50)

`check_ranges` refuses what is out of range; a number without a range still has to be finite.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from vireid.errors import VireidError


@dataclass(frozen=True)
class Range:
    """The numbers that a setting may have, both ends among them unless said otherwise."""

    least: float
    most: float = math.inf
    without_least: bool = False
    without_most: bool = False

    def broken_by(self, number: float) -> str | None:
        """Return the rule that a number breaks, after "it has to be"; None if it breaks none."""
        if number < self.least or (number == self.least and self.without_least):
            return f"more than {self.least}" if self.without_least else f"{self.least} or more"
        if number > self.most or (number == self.most and self.without_most):
            return f"below {self.most:,}" if self.without_most else f"at most {self.most:,}"
        return None

    def around(self, name: str) -> str:
        """Return what a range is for somebody who knows mathematics: `0 <= float < 1`."""
        least = f"{name} {'>' if self.without_least else '>='} {self.least}"
        if self.most == math.inf:
            return least
        sides = ("<" if self.without_least else "<=", "<" if self.without_most else "<=")
        return f"{self.least} {sides[0]} {name} {sides[1]} {self.most:,}"


Positive = Annotated[float, Range(0, without_least=True)]
NotNegative = Annotated[float, Range(0)]
Share = Annotated[float, Range(0, 1)]
ShareBelowOne = Annotated[float, Range(0, 1, without_most=True)]
Factor = Annotated[float, Range(0, 16, without_least=True)]
"""Factor of the width of a network; sixteen times ResNet-50 has six thousand million weights."""
Whole = Annotated[int, Range(0, 1_000_000)]
Count = Annotated[int, Range(1, 1_000_000)]
Pixels = Annotated[int, Range(1, 10_000)]
"""Rows or columns of a picture."""
Seed = Annotated[int, Range(0, 2**63 - 1)]


def check_ranges(settings: Any, table: str = "settings.") -> None:
    """Refuse numbers out of range, and those that are not finite; None is in every range.

    Args:
        settings: Dataclass whose types say the ranges, also those of dataclasses in it. Its
            defaults are as they should be.
        table: Table of the recipe that holds the settings, with a dot.

    Raises:
        VireidError: A setting is out of range; the message names the first that is.
    """
    hints = get_type_hints(type(settings), include_extras=True)
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        meant = value is field.default or (isinstance(value, float) and value == field.default)
        rule = None if meant else _broken(value, list(_ranges(hints[field.name])))
        if rule:
            raise VireidError(f"{table}{field.name} is {value}; it has to be {rule}")
        for inner in _dataclasses(value):
            check_ranges(inner, f"{table}{field.name}.")


def in_symbols(kind: str) -> str:
    """Return a type as it is written in code, with the ranges of this module as `int >= 1`."""
    names = {name: each for name, each in globals().items() if get_origin(each) is Annotated}
    return re.sub(
        rf"\b({'|'.join(names)})\b",
        lambda found: _around(names[found[0]]),
        kind,
    )


def _around(kind: Any) -> str:
    number, its_range = get_args(kind)
    return str(its_range.around(number.__name__))


def _dataclasses(value: Any) -> Iterator[Any]:
    """Yield a dataclass, or all those in lists and tables."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield value
    for each in _inside(value):
        yield from _dataclasses(each)


def _broken(value: Any, ranges: list[Range]) -> str | None:
    for number in _numbers(value):
        if isinstance(number, float) and not math.isfinite(number):
            return "a finite number"
        for each in ranges:
            if rule := each.broken_by(number):
                return rule
    return None


def _numbers(value: Any) -> Iterator[float]:
    """Yield a number, or all those in lists and tables."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield value
    for each in _inside(value):
        yield from _numbers(each)


def _inside(value: Any) -> Iterable[Any]:
    """Return what is in a list or a table; nothing is in any other value."""
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple | set | frozenset) else ()


def _ranges(hint: Any) -> Iterator[Range]:
    """Yield the ranges in a type, however deep they stand."""
    for each in get_args(hint):
        if isinstance(each, Range):
            yield each
        else:
            yield from _ranges(each)
