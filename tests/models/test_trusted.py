from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.full_disk import full_disk

from vireid.models import trusted


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_was_opened_is_known_and_nothing_else(cache: Path) -> None:
    assert trusted.is_known("small")
    assert not trusted.is_known("/models/a")
    for _ in range(2):
        trusted.remember("/models/a")
    trusted.remember("/models/ä\udcff")
    trusted.remember("/models/b\n/models/c")
    assert trusted.is_known("/models/a")
    assert trusted.is_known("/models/ä\udcff")
    assert not trusted.is_known("/models/c")
    assert not trusted.is_known("")
    assert (cache / trusted.FILE).read_bytes().count(b"\n") == 2


def test_none_of_many_that_write_at_once_is_lost() -> None:
    names = [f"/models/{number}" for number in range(32)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(trusted.remember, names))
    assert all(map(trusted.is_known, names))


def test_the_list_stays_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusted, "MOST", 3)
    for number in range(5):
        trusted.remember(f"/models/{number}")
    assert [trusted.is_known(f"/models/{n}") for n in range(5)] == [False, False, True, True, True]


def test_without_room_in_the_cache_nothing_is_remembered_and_nothing_fails(cache: Path) -> None:
    cache.mkdir()
    with full_disk(3):
        trusted.remember("/models/a")
    assert not (cache / trusted.FILE).exists()
    assert not trusted.is_known("/models/a")
