"""Wrong but well-formed content: every field missing, null, of another type, or out of range."""

import copy
from collections.abc import Iterator
from typing import Any

WRONG: tuple[Any, ...] = (None, True, -1, 2**62, 1e308, "", "\x00é", [], [None], {}, {"a": {}})
"""Values that some field or other does not take."""
Place = tuple[str | int, ...]


def places(content: Any, above: Place = ()) -> Iterator[Place]:
    """Every place in nested tables and lists; of a list only the first value."""
    keys: list[Any] = list(content) if isinstance(content, dict) else []
    if isinstance(content, list) and content:
        keys = [0]
    for key in keys:
        yield (*above, key)
        yield from places(content[key], (*above, key))


def wrong(content: Any) -> Iterator[tuple[Place, Any]]:
    """The content with one thing wrong, and where it is."""
    yield from (((), value) for value in WRONG)
    for place in places(content):
        for value in ("gone", *WRONG):
            changed = copy.deepcopy(content)
            *above, last = place
            table = changed
            for key in above:
                table = table[key]
            if value == "gone":
                del table[last]
            else:
                table[last] = value
            yield place, changed
