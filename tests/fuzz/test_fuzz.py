"""Strangers' bytes: the kept ones again, and some new mutations of each kind."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz import bounds
from tests.fuzz.__main__ import CORPUS, corpus_of
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import TARGETS, Reader

from vireid.errors import VireidError

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module", params=TARGETS)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def read(name: str, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return TARGETS[name].prepare(tmp_path_factory.mktemp(name))


def test_a_sound_file_is_read_and_what_was_found_stays_mended(
    name: str, read: Reader, tmp_path: Path
) -> None:
    read(next(TARGETS[name].seeds(tmp_path)))
    for content in corpus_of(name):
        bounds.check(read, content)


def test_mutations_give_a_value_or_one_error(name: str, read: Reader, tmp_path: Path) -> None:
    corpus = [*TARGETS[name].seeds(tmp_path), *corpus_of(name)]

    @settings(
        max_examples=TARGETS[name].examples,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(corpus), st.randoms(use_true_random=False))
    def check(content: bytes, random: Random) -> None:
        bounds.check(read, mutate(random, content, corpus))

    check()


def test_the_bounds_notice_what_is_out_of_them() -> None:
    def slow(_: bytes) -> None:
        while True:
            pass

    def large(_: bytes) -> None:
        try:
            bytearray(2**31)
        except MemoryError as error:
            raise VireidError("it cannot be decoded") from error

    def wrong(_: bytes) -> None:
        raise KeyError("files")

    for read, error in (
        (slow, bounds.TooSlowError),
        (large, AssertionError),
        (wrong, KeyError),
    ):
        with pytest.raises(error):
            bounds.check(read, b"", seconds=0.2)


def test_the_corpus_is_small() -> None:
    for name in TARGETS:
        assert sum(map(len, corpus_of(name))) < 200_000, name
    assert {path.name for path in CORPUS.iterdir()} == TARGETS.keys()
