"""The service of a gallery on a Milvus server does what it does for one in a folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.milvus import HAS_SERVER, on_milvus

if not HAS_SERVER:
    pytest.skip("there is no Milvus server; `make test-milvus` starts one", allow_module_level=True)

from tests.service.test_changes import (  # noqa: F401  the same tests, of another gallery
    test_a_removal_can_be_undone,
    test_added_pictures_are_found_with_what_was_said,
    test_hits_of_a_search_are_judged_and_its_picture_is_kept_then,
    test_labels_change_what_is_said_and_nothing_else,
    test_no_time_to_undo_is_at_once,
    test_removals_outlive_a_restart,
)

from vireid.gallery.moving import move


@pytest.fixture
def gallery(made: Path, tmp_path: Path) -> Iterator[str]:
    """The gallery of these tests, moved to the server."""
    shutil.copytree(made / "site.gallery", tmp_path / "site.gallery")
    with on_milvus() as address:
        move(tmp_path / "site.gallery", address)
        yield address


def test_no_client_learns_where_the_server_is(client: TestClient, gallery: str) -> None:
    told = client.get("/api/v1/galleries/site")
    assert told.json()["pictures"] == 24
    host = gallery.split("/")[2]
    assert host not in told.text
    found = client.get("/api/v1/galleries/site/pictures").json()["pictures"]
    assert len(found) == 24
    assert client.get(found[0]["thumbnail"]).status_code == 200
