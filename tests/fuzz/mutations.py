"""Mutations of a file: of its bytes, of its numbers, and of its parts by those of other files."""

import re
from collections.abc import Callable, Sequence
from random import Random

NUMBERS = (
    *(b"0", b"-1", b"1e308", b"1e999", b"NaN", b"Infinity", b"4294967296", b"9223372036854775807"),
    *(b"9" * 30, b"9" * 5000, b"0.0000001", b"-0", b"null", b"true", b'""', b"[]", b"{}"),
)
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
WORD = re.compile(rb"\w+")
MOST = 2**16
"""Most bytes of a mutation: examples stay small, whatever is repeated."""

Mutation = Callable[[Random, bytes], bytes]


def mutate(random: Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """Return a file changed in one to eight places.

    Args:
        random: Source of all chance.
        content: The file.
        others: Files of the same kind, whose parts may take the place of parts of it.
    """
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        mutation = random.choice((*BYTES, *WORDS, None))
        if mutation is None:
            content = _spliced(random, content, random.choice(others))
        else:
            content = mutation(random, content)
    return content[:MOST]


def _flipped(random: Random, content: bytes) -> bytes:
    if not content:
        return b"\0"
    changed, place = bytearray(content), random.randrange(len(content))
    changed[place] ^= 1 << random.randrange(8)
    return bytes(changed)


def _set(random: Random, content: bytes) -> bytes:
    place, length = random.randrange(len(content) + 1), random.choice((1, 1, 2, 4, 8))
    new = random.choice((b"\0", b"\xff", b"\x7f", b"\x80", random.randbytes(1))) * length
    return content[:place] + new + content[place + length :]


def _inserted(random: Random, content: bytes) -> bytes:
    place = random.randrange(len(content) + 1)
    return content[:place] + random.randbytes(random.choice((1, 2, 16))) + content[place:]


def _removed(random: Random, content: bytes) -> bytes:
    begin, end = _part(random, content)
    return content[:begin] + content[end:]


def _repeated(random: Random, content: bytes) -> bytes:
    begin, end = _part(random, content)
    times = min(random.choice((2, 3, 100, 10_000)), MOST // max(1, end - begin))
    return content[:begin] + content[begin:end] * times + content[end:]


def _cut(random: Random, content: bytes) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def _other_number(random: Random, content: bytes) -> bytes:
    return _replaced(random, NUMBER, content, random.choice(NUMBERS))


def _other_word(random: Random, content: bytes) -> bytes:
    words = WORD.findall(content)
    return _replaced(random, WORD, content, random.choice(words or [b""]))


def _spliced(random: Random, content: bytes, other: bytes) -> bytes:
    begin, end = _part(random, other)
    place, after = _part(random, content)
    return content[:place] + other[begin:end] + content[after:]


def _replaced(random: Random, what: re.Pattern[bytes], content: bytes, new: bytes) -> bytes:
    found = list(what.finditer(content))
    if not found:
        return content
    match = random.choice(found)
    return content[: match.start()] + new + content[match.end() :]


def _part(random: Random, content: bytes) -> tuple[int, int]:
    begin = random.randrange(len(content) + 1)
    return begin, min(len(content), begin + random.choice((1, 4, 16, 64, len(content))))


BYTES: tuple[Mutation, ...] = (_flipped, _flipped, _set, _set, _inserted, _removed, _repeated, _cut)
WORDS: tuple[Mutation, ...] = (_other_number, _other_number, _other_word)
