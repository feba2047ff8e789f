"""Search over HTTP, beside the same search in Python."""

import base64
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.onnx_model import person, write_model
from tests.service.conftest import Serving

from vireid.gallery import Filters, Gallery
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord, Modality
from vireid.search import reindexing
from vireid.search.searcher import Searcher

GALLERY = "/api/v1/galleries/site"
SEARCH = f"{GALLERY}/search"


def sent(path: Path) -> tuple[str, tuple[str, bytes]]:
    return "images", (path.name, path.read_bytes())


def asked(client: TestClient, *paths: Path, **said: Any) -> dict[str, Any]:
    answer = client.post(SEARCH, files=[sent(path) for path in paths] or None, data=said)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert isinstance(told, dict)
    return told


def shown(hits: list[dict[str, Any]]) -> list[tuple[str, float]]:
    return [(hit["name"], hit["similarity"]) for hit in hits]


def in_python(gallery: Path, query: Path, top: int, **said: Any) -> list[tuple[str, float]]:
    with Searcher.open(gallery) as searcher:
        hits = searcher.search(query, top, **said).hits
    return [
        (str(h.record.path.relative_to(h.record.path.parents[3])), round(h.similarity, 6))
        for h in hits
    ]


def test_an_upload_finds_what_python_finds(client: TestClient, gallery: Path, site: Path) -> None:
    query = site / "cam3" / "0002" / "0001.jpg"
    told = asked(client, query, top=5, modality="infrared")
    expected = in_python(gallery, query, 5, query_modality="infrared")
    assert [name for name, _ in shown(told["hits"])] == [name for name, _ in expected]
    for (_, mine), (_, other) in zip(shown(told["hits"]), expected, strict=True):
        assert mine == pytest.approx(other, abs=1e-5)
    assert told["modality"] == "visible"
    assert [hit["rank"] for hit in told["hits"]] == [1, 2, 3, 4, 5]
    assert {hit["probability"] for hit in told["hits"]} == {None}


def test_the_spectrum_of_an_upload_is_guessed_and_can_be_said(
    client: TestClient, site: Path, tmp_path: Path
) -> None:
    colourful = site / "cam1" / "0001" / "0001.jpg"
    assert asked(client, colourful)["query"] == {
        "modality": "visible",
        "guessed": True,
        "picture": None,
        "text": None,
    }
    person(1).convert("L").save(tmp_path / "grey.png")
    assert asked(client, tmp_path / "grey.png")["query"]["modality"] == "infrared"
    told = asked(client, tmp_path / "grey.png", modality="visible")
    assert (told["query"]["modality"], told["query"]["guessed"]) == ("visible", False)


def test_a_picture_of_the_gallery_finds_others_and_not_itself(client: TestClient) -> None:
    first = client.get("/api/v1/galleries/site/pictures?limit=1").json()["pictures"][0]
    told = asked(client, pictures=first["id"], among="both", top=23)
    assert told["query"]["picture"] == first["id"]
    assert len(told["hits"]) == 23
    assert first["id"] not in [hit["id"] for hit in told["hits"]]
    assert told["hits"][0]["person"] == first["person"]


def test_several_pictures_count_together(client: TestClient, gallery: Path, site: Path) -> None:
    paths = [site / "cam3" / "0002" / f"000{frame}.jpg" for frame in (1, 2)]
    told = asked(client, *paths, modality="infrared", several="best", top=3)
    with Searcher.open(gallery) as searcher:
        expected = searcher.search(paths, 3, query_modality="infrared", combined="best").hits
    assert [h["similarity"] for h in told["hits"]] == pytest.approx(
        [h.similarity for h in expected], abs=1e-5
    )
    assert (told["several"], len(told["queries"])) == ("best", 2)


def test_filters_have_the_words_of_the_command_line(client: TestClient, site: Path) -> None:
    query = site / "cam1" / "0001" / "0001.jpg"
    told = asked(client, query, filter="camera:CAM3 person:4", top=50)
    assert {(hit["camera"], hit["person"]) for hit in told["hits"]} == {("cam3", 4)}
    assert told["filters"] == {"modality": "infrared", "cameras": ["CAM3"], "identity": 4}
    wrong = client.post(SEARCH, files=[sent(query)], data={"filter": "camera:cam9"})
    assert wrong.status_code == 422
    assert wrong.json()["detail"] == "site has no camera 'cam9'; did you mean 'cam3'?"


def test_folders_in_filters_are_named_as_clients_see_them(client: TestClient, site: Path) -> None:
    pictures = "/api/v1/galleries/site/pictures"
    found = client.get(pictures, params={"filter": "in:site/cam1/0003"}).json()["pictures"]
    assert [each["name"] for each in found] == [
        "site/cam1/0003/0001.jpg",
        "site/cam1/0003/0002.jpg",
    ]
    for outside in (f"in:{site}", "in:site/../../etc", "source:other"):
        assert client.get(pictures, params={"filter": outside}).status_code == 422


def test_only_the_best_of_each_person(client: TestClient, site: Path) -> None:
    told = asked(client, site / "cam1" / "0001" / "0001.jpg", group="person", top=50)
    people = [hit["person"] for hit in told["hits"]]
    assert sorted(people) == [1, 2, 3, 4, 5, 6]


def test_nobody_is_an_answer(client: TestClient, site: Path) -> None:
    query = site / "cam1" / "0001" / "0001.jpg"
    told = asked(client, query, min_similarity=1)
    assert (told["hits"], told["nobody"]) == ([], {"reason": "nobody is 1 similar or more"})
    told = asked(client, query, filter="after:2030-01-01")
    assert (told["hits"], told["nobody"]["reason"]) == (
        [],
        "there is no picture here that the filters let pass",
    )


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "say who is looked for"),
        ({"text": "a person", "pictures": "x"}, "say who is looked for"),
        ({"text": "a person with a hat"}, "model toy reads no text"),
        ({"pictures": "c2l0ZQ"}, "there is no such picture"),
        ({"text": "x", "top": "0"}, "greater than or equal to 1"),
        ({"text": "x", "filter": 'camera:"gate'}, "a quotation mark is not closed"),
    ],
)
def test_what_is_wrong_is_told(client: TestClient, said: dict[str, str], why: str) -> None:
    answer = client.post(SEARCH, data=said)
    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert why in answer.json()["detail"]
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_what_another_process_adds_is_found_at_once(
    client: TestClient, gallery: Path, site: Path, tmp_path: Path
) -> None:
    person(40).save(tmp_path / "new.png")
    with Gallery.open(gallery) as opened:
        (record,) = [e.record for e in opened.entries(Filters(identity=1))][:1]
        model = Embedder.open(opened.model.source)
        new = type(record)(tmp_path / "new.png", Modality.INFRARED, camera="gate")
        opened.add(model.embed_records([new]), [new])
    told = asked(client, tmp_path / "new.png", modality="visible", top=1)
    assert (told["hits"][0]["camera"], told["hits"][0]["name"]) == ("gate", "new.png")
    assert told["hits"][0]["similarity"] == pytest.approx(1, abs=1e-4)
    assert client.get("/api/v1/galleries/site").json()["pictures"] == 25


def test_pictures_come_in_pages(client: TestClient) -> None:
    after, names = None, list[str]()
    while True:
        params = {"limit": 7} | ({"after": after} if after else {})
        page = client.get("/api/v1/galleries/site/pictures", params=params).json()
        names += [each["name"] for each in page["pictures"]]
        after = page["next"]
        if after is None:
            break
    assert len(names) == len(set(names)) == 24


def test_pictures_are_shown(client: TestClient) -> None:
    picture = client.get("/api/v1/galleries/site/pictures?limit=1").json()["pictures"][0]
    small = client.get(picture["thumbnail"], params={"height": 64})
    assert (small.status_code, small.headers["content-type"]) == (200, "image/jpeg")
    again = client.get(
        picture["thumbnail"],
        params={"height": 64},
        headers={"If-None-Match": small.headers["etag"]},
    )
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(picture["image"]).content.startswith(b"\xff\xd8\xff")


def test_a_timeline_counts_by_camera_and_hour(client: TestClient, site: Path) -> None:
    path = "/api/v1/galleries/site/pictures"
    new = site / "cam1" / "0001" / "0001.jpg"
    said = {"camera": "gate", "time": "2026-11-24T18:20:00", "modality": "infrared"}
    person(50).save(new.parent.parent.parent.parent / "fifty.png")
    file = (new.parents[3] / "fifty.png").read_bytes()
    assert client.post(path, files=[("images", ("x", file))], data=said).status_code == 201
    told = client.get("/api/v1/galleries/site/timeline").json()["bins"]
    assert told == [
        {"camera": "cam1", "hour": None, "pictures": 12},
        {"camera": "cam3", "hour": None, "pictures": 12},
        {"camera": "gate", "hour": "2026-11-24T18", "pictures": 1},
    ]


def test_a_gallery_that_another_model_fills_is_opened_again(
    client: TestClient, gallery: Path, site: Path, tmp_path: Path
) -> None:
    query = site / "cam1" / "0001" / "0001.jpg"
    before = asked(client, query)
    other = Embedder.open(write_model(tmp_path / "other", seed=7, name="other"))
    with Gallery.open(gallery) as opened:
        reindexing.reindex(opened, other)
    after = asked(client, query)
    assert (before["model"]["name"], after["model"]["name"]) == ("toy", "other")
    assert [hit["similarity"] for hit in before["hits"]] != [
        hit["similarity"] for hit in after["hits"]
    ]


def test_ids_do_not_tell_the_path_of_a_picture_without_a_source(
    serving: Serving, gallery: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "secret place"
    folder.mkdir()
    person(70).save(folder / "seen.jpg")
    record = ImageRecord(folder / "seen.jpg", Modality.VISIBLE, camera="door")
    with Gallery.open(gallery) as opened:
        vector = opened.vectors_of([next(opened.entries()).record])
        opened.add(vector, [record])
    with serving() as client:
        asked = {"filter": "camera:door"}
        (picture,) = client.get(f"{GALLERY}/pictures", params=asked).json()["pictures"]
        told = base64.urlsafe_b64decode(picture["id"] + "==")
        assert b"seen" not in told
        assert b"secret" not in told
        assert picture["name"] == "seen.jpg"
        assert client.get(picture["thumbnail"]).status_code == 200
        found = client.post(SEARCH, data={"pictures": picture["id"], "among": "both"})
        assert found.json()["query"]["picture"] == picture["id"]
        spelt = base64.urlsafe_b64encode(f"\0{record.path}\0".encode()).decode().rstrip("=")
        for other in (spelt, picture["id"][:-2] + "AA"):
            assert client.get(f"{GALLERY}/pictures/{other}").status_code == 404
