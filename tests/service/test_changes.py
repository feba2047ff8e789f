"""Adding, labelling, removing with undo, and judging over HTTP."""

import io
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.onnx_model import person
from tests.service.conftest import Serving, service_of

from vireid.gallery import Filters, Gallery

BASE = "/api/v1/galleries/site"
PICTURES = f"{BASE}/pictures"


def picture(identity: int = 40) -> bytes:
    file = io.BytesIO()
    person(identity).save(file, "PNG")
    return file.getvalue()


def add(client: TestClient, *contents: bytes, **said: Any) -> dict[str, Any]:
    files = [("images", (f"{i}.png", content)) for i, content in enumerate(contents)]
    answer = client.post(PICTURES, files=files, data=said)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert isinstance(told, dict)
    return told


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_added_pictures_are_found_with_what_was_said(client: TestClient) -> None:
    said = {"camera": "gate", "person": "anna", "tags": ["hat", "dog"], "modality": "infrared"}
    told = add(client, picture(), b"no picture", picture(), **said)
    (id_,) = told["ids"]
    assert [each["where"] for each in told["skipped"]] == ["images[1]", "images[2]"]
    assert told["skipped"][1]["reason"] == "the same picture was sent twice"
    one = client.get(f"{PICTURES}/{id_}").json()
    assert (one["camera"], one["person"], one["tags"]) == ("gate", "anna", ["dog", "hat"])
    assert one["modality"] == "infrared"
    assert one["name"].startswith("uploads/")
    again = add(client, picture())
    assert again["skipped"][0]["reason"] == "it is in this gallery already"
    assert client.get(f"{PICTURES}/{id_}/image").status_code == 200


def test_labels_change_what_is_said_and_nothing_else(client: TestClient) -> None:
    (id_,) = add(client, picture(), camera="gate", tags=["hat"])["ids"]
    one = client.patch(f"{PICTURES}/{id_}", json={"person": "37"}).json()
    assert (one["person"], one["camera"], one["tags"]) == (37, "gate", ["hat"])
    said = {"person": "", "tags": [" x "], "camera": ""}
    one = client.patch(f"{PICTURES}/{id_}", json=said).json()
    assert (one["person"], one["camera"], one["tags"]) == (None, None, ["x"])
    assert client.patch(f"{PICTURES}/{id_}", json={"name": "x"}).status_code == 422
    assert client.patch(f"{PICTURES}/{id_}", json={"person": "9" * 30}).status_code == 422


def test_a_removal_can_be_undone(client: TestClient, gallery: Path) -> None:
    ids = add(client, picture(), person="anna", tags=["hat"])["ids"]
    before = client.get(f"{PICTURES}/{ids[0]}").json()
    said = {"query": ids[0], "picture": ids[0], "same": True}
    assert client.post(f"{BASE}/judgements", json=said).json() == {"judgements": 1}
    wrong = client.post(f"{BASE}/removals", json={"filter": ["person:anna"], "expect": 2})
    assert (wrong.status_code, wrong.json()["pictures"]) == (409, 1)
    removal = client.post(f"{BASE}/removals", json={"filter": ["person:anna"], "expect": 1}).json()
    assert removal["removed"] == 1
    assert client.get(f"{PICTURES}/{ids[0]}").status_code == 404
    assert add(client, picture())["skipped"][0]["reason"].startswith("it was removed")
    assert client.delete(f"{BASE}/removals/{removal['id']}").json() == {"restored": 1}
    assert client.get(f"{PICTURES}/{ids[0]}").json() == before
    found = client.post(f"{BASE}/search", data={"pictures": ids[0], "among": "both", "top": 1})
    assert found.status_code == 200
    with Gallery.open(gallery) as opened:
        assert (len(opened.judgements()), opened.removed()) == (1, set())
    assert client.delete(f"{BASE}/removals/{removal['id']}").status_code == 404


def test_a_removal_that_is_final_leaves_no_trace(
    serving: Serving, gallery: Path, tmp_path: Path
) -> None:
    with serving(undo_minutes=1) as client:
        add(client, picture(), person="annabella", tags=["balaclava"])
        with Gallery.open(gallery) as opened:
            (record,) = [e.record for e in opened.entries(Filters(person="annabella"))]
            vector = opened.vectors_of([record]).tobytes()
        removal = client.post(f"{BASE}/removals", json={"filter": ["person:annabella"]}).json()
        database = service_of(client).database
        with database.changing() as db:
            db.execute("UPDATE removals SET until = '2026-01-01T00:00:00+00:00'")
        assert service_of(client).removals.finish_old(service_of(client).galleries)
        assert client.delete(f"{BASE}/removals/{removal['id']}").status_code == 404
    left = bytes_below(gallery)
    assert b"annabella" not in left
    assert vector not in left
    kept = bytes_below(tmp_path / "data" / "galleries") + bytes_below(tmp_path / "data/removals")
    assert kept == b""


def test_removals_outlive_a_restart(serving: Serving) -> None:
    with serving() as client:
        ids = add(client, picture(), person="anna")["ids"]
        removal = client.delete(f"{PICTURES}/{ids[0]}").json()
    with serving() as client:
        assert client.delete(f"{BASE}/removals/{removal['id']}").json() == {"restored": 1}
        assert client.get(f"{PICTURES}/{ids[0]}/image").status_code == 200


def test_no_time_to_undo_is_at_once(serving: Serving) -> None:
    with serving(undo_minutes=0) as client:
        (id_,) = add(client, picture())["ids"]
        removal = client.delete(f"{PICTURES}/{id_}").json()
        assert removal["undo_until"] is None
        assert client.delete(f"{BASE}/removals/{removal['id']}").status_code == 404


def test_hits_of_a_search_are_judged_and_its_picture_is_kept_then(
    client: TestClient, gallery: Path, site: Path, tmp_path: Path
) -> None:
    file = (site / "cam1" / "0001" / "0001.jpg").read_bytes()
    told = client.post(f"{BASE}/search", files=[("images", ("q.jpg", file))]).json()
    assert not list((tmp_path / "data").rglob("*.jpg"))
    said = {"query": told["search"], "picture": told["hits"][0]["id"], "same": False}
    assert client.post(f"{BASE}/judgements", json=said).status_code == 201
    with Gallery.open(gallery) as opened:
        (judgement,) = opened.judgements()
    assert judgement.query.read_bytes() == file
    assert not judgement.same
    unknown = {"query": "nothing", "picture": told["hits"][0]["id"], "same": True}
    assert client.post(f"{BASE}/judgements", json=unknown).status_code == 404


def test_what_was_said_of_hits_is_told_for_the_same_picture(client: TestClient, site: Path) -> None:
    file = (site / "cam1" / "0001" / "0001.jpg").read_bytes()

    def by_upload() -> dict[str, Any]:
        sent = {"files": [("images", ("q.jpg", file))], "data": {"among": "both"}}
        return dict(client.post(f"{BASE}/search", **sent).json())  # type: ignore[arg-type]

    def by_picture(id_: str) -> dict[str, Any]:
        asked = {"pictures": id_, "among": "both"}
        return dict(client.post(f"{BASE}/search", data=asked).json())

    first, *_, last = by_upload()["hits"]
    for search, same in ((by_upload(), True), (by_picture(first["id"]), False)):
        assert {hit["same"] for hit in search["hits"]} == {None}
        said = {"query": search["search"], "picture": last["id"], "same": same}
        assert client.post(f"{BASE}/judgements", json=said).status_code == 201
    for search, same in ((by_upload(), True), (by_picture(first["id"]), False)):
        told = {hit["id"]: hit["same"] for hit in search["hits"]}
        assert told.pop(last["id"]) is same
        assert set(told.values()) == {None}
    assert {hit["same"] for hit in by_picture(last["id"])["hits"]} == {None}


def test_files_that_never_got_into_the_gallery_are_swept(serving: Serving, tmp_path: Path) -> None:
    with serving() as client:
        (id_,) = add(client, picture())["ids"]
        (kept,) = (tmp_path / "data" / "galleries" / "site" / "uploads").rglob("*.png")
    lost = kept.with_name("0" * 32 + ".png")
    lost.write_bytes(kept.read_bytes())
    with serving() as client:
        assert client.get(f"{PICTURES}/{id_}/image").status_code == 200
    assert (kept.exists(), lost.exists()) == (True, False)


@pytest.mark.parametrize("wanted", [{}, {"ids": ["x"], "filter": ["camera:cam1"]}])
def test_what_to_remove_has_to_be_said(client: TestClient, wanted: dict[str, Any]) -> None:
    assert client.post(f"{BASE}/removals", json=wanted).status_code == 422
