"""The client, and the command line with the address of a service in place of a folder."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.onnx_model import person, write_site
from tests.service.conftest import Live

from vireid.client import RemoteGallery, ServiceError
from vireid.search.searcher import Searcher

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def address(live: Live) -> Iterator[str]:
    with live() as base:
        yield f"{base}/site"


def test_the_client_has_the_words_of_a_gallery(
    address: str, gallery: Path, site: Path, tmp_path: Path
) -> None:
    query = site / "cam3" / "0002" / "0001.jpg"
    person(90).save(tmp_path / "new.png")
    with RemoteGallery.open(address) as remote, Searcher.open(gallery) as searcher:
        answer = remote.search(query, 3, ["camera:cam1"], query_modality="infrared")
        expected = searcher.search(query, 3, query_modality="infrared").hits
        assert [hit.similarity for hit in answer.hits] == pytest.approx(
            [hit.similarity for hit in expected], abs=1e-5
        )
        assert [hit.person for hit in answer.hits] == [hit.record.who for hit in expected]
        assert remote.search(answer.hits[0], among="both", top=1).hits[0].person == 2
        none = remote.search(query, filters=["person:5"], min_similarity=0.99)
        assert (none.hits, none.nobody) == ([], "nobody is 0.99 similar or more")
        assert (len(remote), len(list(remote.entries(["person:3"])))) == (24, 4)
        (new,), skipped = remote.add([tmp_path / "new.png", query], camera="north gate", tags=["x"])
        assert skipped == [f"{query}: it is in this gallery already"]
        assert remote.label(new, "anna").person == "anna"
        (found,) = remote.entries(["camera:north gate", "person:anna"])
        assert remote.image(found, "thumbnail").startswith(b"\xff\xd8\xff")
        remote.judge(answer, answer.hits[0], same=True)
        removal = remote.remove(["person:anna"], expect=1)
        assert remote.undo(removal) == 1
        assert len(remote) == 25
        with pytest.raises(ServiceError, match="it would be 1 pictures, not 2"):
            remote.remove(["person:anna"], expect=2)


def test_what_cannot_be_reached_is_told(live: Live) -> None:
    with live(keys="required") as base:
        with pytest.raises(ServiceError, match="this needs a key") as refused:
            RemoteGallery.open(base)
        assert refused.value.status == 401
    with pytest.raises(ServiceError, match="cannot be reached"):
        RemoteGallery.open(base)


def test_a_key_comes_from_the_environment(
    live: Live, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live(keys="required") as base:
        data = tmp_path / "data"
        status, text, told = run("keys", "add", "desk", "--expires", "1d", "--data", data)
        assert (status, "shown this once" in told) == (0, True)
        monkeypatch.setenv("VIREID_KEY", text.strip())
        with RemoteGallery.open(base) as remote:
            assert remote.name == "site"
        run("keys", "revoke", "desk", "--data", data)
        status, output, _ = run("keys", "list", "--data", data, "--json")
        assert [key["state"] for key in json.loads(output)] == ["revoked"]
        with pytest.raises(ServiceError, match="VIREID_KEY"):
            RemoteGallery.open(base)


def test_commands_take_the_address_of_a_service(
    address: str, run: Run, site: Path, tmp_path: Path
) -> None:
    query = site / "cam1" / "0001" / "0001.jpg"
    status, output, _ = run("search", address, query, "camera:cam3", "--top", 2, "--json")
    assert (status, len(json.loads(output)["hits"])) == (0, 2)
    status, output, _ = run("search", address, query, "--min-similarity", 1)
    assert "nobody is 1 similar or more" in output
    more = write_site(tmp_path / "more", people=8, cameras=("cam5",))
    status, output, errors = run(
        "index", more / "cam5" / "0008", "--out", address, "--camera", "x y"
    )
    assert (status, "nothing says its spectrum" in errors) == (1, True)
    status, output, errors = run("index", more, "--out", address)
    assert "4 pictures added, 12 skipped" in output, errors
    status, output, _ = run("gallery", "list", address, "camera:cam5", "person:8", "--json")
    names = [each["name"] for each in json.loads(output)]
    assert len(names) == 2
    assert run("gallery", "label", address, names[0], "--person", "anna", "--tag", "hat")[0] == 0
    status, output, _ = run("gallery", "list", address, "person:anna")
    assert names[0] in output
    status, output, _ = run("gallery", "remove", address, "person:anna", "--yes")
    assert "1 pictures removed, 27 are left; can be undone until" in output
    for wrong in (["label", address, "nothing", "--person", "x"], ["remove", address]):
        assert run("gallery", *wrong)[0] == 1
    assert run("search", address, site)[0] == 1
    assert run("search", address, query, "--sheet", "x.png")[0] == 1


def test_the_gallery_may_be_named_by_an_option(
    live: Live, gallery: Path, site: Path, run: Run
) -> None:
    picture = str(next((site / "cam3").rglob("*.jpg")))
    with live() as address:
        for named in (str(gallery), f"{address}/site"):
            option = ("--gallery", named)
            listed = run("gallery", "list", *option, "--json")
            assert listed == run("gallery", "list", named, "--json")
            words = (picture, "camera:cam1", "--query-modality", "infrared", "--json")
            found, expected = (run("search", *each, *words) for each in (option, (named,)))
            assert found[0] == 0, found
            hits = [json.loads(text)["hits"] for _, text, _ in (found, expected)]
            assert hits[0] == hits[1]
    status, _, told = run("gallery", "info", "--gallery", "a", "--gallery", "b")
    assert (status, "Give one gallery" in told) == (2, True)
