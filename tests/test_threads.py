import threading
from collections.abc import Iterator

import pytest

from vireid.threads import one_ahead


def test_the_next_item_is_made_while_one_is_used() -> None:
    begun = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number, event in enumerate(begun):
            event.set()
            yield number

    for item in one_ahead(items()):
        if item < 2:
            assert begun[item + 1].wait(10)  # though nobody has asked for it yet


def test_items_come_in_order_and_errors_where_they_arise() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise KeyError("broken")

    came: list[int] = []
    with pytest.raises(KeyError, match="broken"):
        came.extend(one_ahead(items()))
    assert came == [0, 1, 2]


def test_whoever_stops_in_the_middle_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    ahead = one_ahead(iter(range(100)))
    assert next(ahead) == 0
    ahead.close()
    assert threading.active_count() == before
