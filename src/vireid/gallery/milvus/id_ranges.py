"""Sets of ids as ranges: those of pictures that were added together follow one another."""

from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""First and last id, both included."""


def ranges_of(ids: Iterable[int]) -> list[Range]:
    """Return the ranges of some ids, rising.

    >>> ranges_of([7, 1, 2, 3])
    [(1, 3), (7, 7)]
    """
    found: list[Range] = []
    for id_ in sorted(ids):
        if found and id_ <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], id_))
        else:
            found.append((id_, id_))
    return found


def joined(*sets: Iterable[Range]) -> list[Range]:
    """Return the ranges of what is in any of some sets."""
    found: list[Range] = []
    for first, last in sorted(each for some in sets for each in some):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def ids_in(ranges: Iterable[Range]) -> Iterator[int]:
    """Yield the ids of ranges."""
    for first, last in ranges:
        yield from range(first, last + 1)


def size_of(ranges: Iterable[Range]) -> int:
    """Return the number of ids in ranges."""
    return sum(last - first + 1 for first, last in ranges)


def outside(ranges: Iterable[Range]) -> list[str]:
    """Return conditions, as Milvus writes them, that no id is in the ranges."""
    ranges = list(ranges)
    single = [first for first, last in ranges if first == last]
    conditions = [f"id not in {single}"] if single else []
    return conditions + [
        f"not (id >= {first} and id <= {last})" for first, last in ranges if first < last
    ]
