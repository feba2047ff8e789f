"""Filters in words."""

from datetime import datetime
from pathlib import Path

import pytest

from vireid.errors import VireidError
from vireid.gallery import Filters
from vireid.gallery.filters import is_filter
from vireid.records import Modality

NOVEMBER = datetime(2026, 11, 1)


@pytest.mark.parametrize(
    ("words", "filters"),
    [
        ([], Filters()),
        (["camera:gate", "camera:north hall"], Filters(cameras=["gate", "north hall"])),
        (["person:anna"], Filters(person="anna")),
        (["person:0037"], Filters(identity=37)),
        (["modality:infrared"], Filters(Modality.INFRARED)),
        (["after:2026-11-01"], Filters(since=NOVEMBER)),
        (["before:2026-11-01T18:30"], Filters(until=datetime(2026, 11, 1, 18, 30))),
        (["on:2026-11-01"], Filters(since=NOVEMBER, until=datetime(2026, 11, 2))),
        (["tag:red coat", "tag:hat"], Filters(tags=["hat", "red coat"])),
        (["tracklet:t:7"], Filters(tracklet="t:7")),
        (["similarity:>0.4"], Filters(min_similarity=0.4)),
        (["similarity:-1"], Filters(min_similarity=-1)),
        (["in:/a/b"], Filters(below=Path("/a/b"))),
        (["source:/a/../b"], Filters(source=Path("/b"))),
    ],
)
def test_words_are_filters(words: list[str], filters: Filters) -> None:
    assert Filters.from_words(words) == filters
    assert bool(filters) is bool(words)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("camra:gate", "'camra:gate' is no filter; did you mean 'camera'?"),
        ("gate", "'gate' is no filter"),
        ("x:1", "filters are camera:, person:, modality:"),
        ("camera:", "'camera:' says nothing; write camera:VALUE"),
        ("after:tuesday", "'tuesday' is no time; write 2026-11-30"),
        ("on:2026-11-30T18:00", "is no day"),
        ("modality:green", "no modality 'green'; give visible or infrared"),
        ("similarity:much", "'much' is no similarity; write a number from -1 to 1"),
        ("similarity:nan", "is no similarity"),
        ("similarity:40", "is no similarity"),
    ],
)
def test_other_words_are_refused_with_a_way_out(word: str, told: str) -> None:
    with pytest.raises(VireidError) as error:
        Filters.from_words([word])
    assert told in str(error.value)


def test_what_contradicts_is_refused() -> None:
    with pytest.raises(VireidError, match="'person:eve' contradicts another filter"):
        Filters.from_words(["person:anna", "person:eve"])
    with pytest.raises(VireidError, match="no time is from"):
        Filters.from_words(["after:2026-11-02", "before:2026-11-01"])


def test_a_word_that_is_like_a_filter_is_meant_as_one() -> None:
    assert [is_filter(word) for word in ("camera:x", "camra:x", "a/b.jpg", "C:\\x", "b:jpg")] == [
        True,
        True,
        False,
        False,
        False,
    ]
