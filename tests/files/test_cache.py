"""The cache lies where it is said, or in the user's home; a user without one is told so."""

import sys
from pathlib import Path

import pytest

from vireid.backbones.clip import create_clip
from vireid.errors import VireidError
from vireid.files.cache import cache_folder
from vireid.gallery import Filters


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user nobody has told the system about."""

    def nobody(user: object) -> None:
        raise KeyError(f"getpwuid(): uid not found: {user}")

    for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "LOCALAPPDATA", "VIREID_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)


posix = pytest.mark.skipif(sys.platform == "win32", reason="users of POSIX")


@posix
def test_the_cache_lies_where_it_is_said_or_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("VIREID_CACHE", raising=False)
    assert cache_folder().is_relative_to("/home/somebody")
    monkeypatch.setenv("VIREID_CACHE", "/fast")
    assert cache_folder() == Path("/fast")


@posix
@pytest.mark.usefixtures("homeless")
def test_who_has_no_home_is_told_to_choose_a_folder() -> None:
    with pytest.raises(VireidError, match=r"no home folder .* set VIREID_CACHE to a folder"):
        cache_folder()


@posix
@pytest.mark.usefixtures("homeless")
def test_a_home_that_nobody_has_is_a_folder_that_is_not_there() -> None:
    with pytest.raises(VireidError, match=r"'~/RN50.pt', which is neither a file nor a tag"):
        create_clip("RN50", "~/RN50.pt")
    assert Filters.from_words(["in:~/photos"]).below == Path.cwd() / "~" / "photos"
