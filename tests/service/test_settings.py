"""Settings: a file, above it the environment, above that what is typed."""

from pathlib import Path

import pytest

from vireid.errors import VireidError
from vireid.service.settings import Settings, table

PROJECT = Path(__file__).parents[2]


def test_the_environment_stands_above_the_file_and_options_above_both(tmp_path: Path) -> None:
    file = tmp_path / "service.toml"
    file.write_text('port = 1\nhost = "::1"\ndata = "a"\n[galleries]\nnorth = "/n"\n')
    environment = {"VIREID_PORT": "2", "VIREID_DATA": "b", "VIREID_HOSTS": "x.org, y.org"}
    settings = Settings.read(file, environment, port=3)
    assert (settings.host, settings.port, settings.data) == ("::1", 3, "b")
    assert (settings.hosts, settings.galleries) == (["x.org", "y.org"], {"north": "/n"})
    named = Settings.read(None, {"VIREID_GALLERIES": "a=/x, b=/y"})
    assert named.galleries == {"a": "/x", "b": "/y"}


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"VIREID_PORT": "many"}, "VIREID_PORT is 'many', no number"),
        ({"VIREID_PORT": "70000"}, "damaged or something else"),
        ({"VIREID_KEYS": "never"}, "damaged or something else"),
        ({"VIREID_GALLERIES": "../x=/y"}, "is no name of a gallery"),
    ],
)
def test_what_a_setting_cannot_be_is_told(environment: dict[str, str], why: str) -> None:
    with pytest.raises(VireidError, match=why):
        Settings.read(None, environment)


@pytest.mark.parametrize(
    ("host", "needed"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("x", True)],
)
def test_keys_are_needed_where_others_reach_the_service(host: str, needed: bool) -> None:
    assert Settings(host=host).needs_keys is needed
    assert Settings(host=host, keys="required").needs_keys


def test_galleries_are_named_by_their_folders() -> None:
    paths = [Path("/a/north gate.gallery"), Path("/a/south")]
    assert list(Settings().with_galleries(paths).galleries) == ["north-gate", "south"]
    with pytest.raises(VireidError, match="two galleries are called south"):
        Settings().with_galleries([Path("/a/south"), Path("/b/south.gallery")])


def test_the_documents_list_every_setting() -> None:
    text = (PROJECT / "docs" / "service.md").read_text()
    assert "\n".join(table()) in text
