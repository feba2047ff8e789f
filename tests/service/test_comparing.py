"""Where on two pictures a similarity comes from."""

import json
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.onnx_model import write_model
from tests.service.conftest import Serving, service_of

from vireid import Embedder, Modality
from vireid.models.occlusion import places_alike
from vireid.pictures import pixels_of
from vireid.search import folder_indexing
from vireid.service.comparing import shares_of

WHO = "someone at 127.0.0.1"
SITE = "/api/v1/galleries/parts"


@pytest.fixture(scope="module")
def parts(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery whose model says that its numbers stand for 4 x 2 parts."""
    folder = tmp_path_factory.mktemp("parts")
    model = write_model(folder / "toy", seed=3)
    card = json.loads((model / "model.json").read_text()) | {"grid": [4, 2]}
    (model / "model.json").write_text(json.dumps(card))
    folder_indexing.index(made / "site", folder / "parts.gallery", str(model))
    return folder / "parts.gallery"


@pytest.mark.parametrize("centre", ["false", "true"])
def test_the_shares_of_parts_add_up_to_the_similarity(
    serving: Serving, parts: Path, site: Path, monkeypatch: pytest.MonkeyPatch, centre: str
) -> None:
    monkeypatch.setattr("vireid.gallery.gallery.LEAST_TO_CENTRE", 4)
    monkeypatch.setattr("vireid.gallery.local.centres.LEAST_TO_CENTRE", 4)
    pictures = sorted((site / "cam3" / "0002").glob("*.jpg"))
    with serving(galleries={"parts": str(parts)}) as client:
        sent = [("images", (path.name, path.read_bytes())) for path in pictures[:2]]
        for several in ("mean", "best"):
            asked = {"modality": "infrared", "centre": centre, "several": several}
            told = client.post(f"{SITE}/search", files=sent, data=asked).json()
            for hit in told["hits"][:3]:
                wanted = {"search": told["search"], "picture": hit["id"]}
                found = client.post(f"{SITE}/comparisons", json=wanted).json()
                assert (found["how"], np.shape(found["hit"])) == ("parts", (4, 2))
                assert found["query"] == found["hit"]
                assert np.sum(found["hit"]) == pytest.approx(hit["similarity"], abs=1e-4)
                assert found["similarity"] == pytest.approx(hit["similarity"], abs=1e-4)
                assert found["reason"] is None


def test_other_models_are_asked_with_each_place_covered(serving: Serving, site: Path) -> None:
    with serving() as client:
        served = service_of(client).galleries["site"]
        base = "/api/v1/galleries/site"
        first = client.get(f"{base}/pictures").json()["pictures"][0]["id"]
        path = sorted((site / "cam3").rglob("*.jpg"))[0]
        searches = (
            {"data": {"pictures": first, "among": "both"}},
            {"files": {"images": path.read_bytes()}, "data": {"modality": "infrared"}},
        )
        for asked in searches:
            told = client.post(f"{base}/search", **asked).json()
            hit = told["hits"][-1]
            wanted = {"search": told["search"], "picture": hit["id"]}
            found = client.post(f"{base}/comparisons", json=wanted).json()
            assert (found["how"], found["reason"]) == ("covered", None)
            search = service_of(client).searches.get(told["search"], "site", WHO)
            assert search is not None
            record = served.entry(hit["id"]).record
            model = served.searcher.embedder
            pixels = pixels_of(record, model.height, model.width)
            expected = places_alike(model, pixels, record.modality, search.queries[0].vector)
            assert np.allclose(found["hit"], expected, atol=1e-5)
            assert np.shape(found["query"]) == np.shape(expected)
            assert found["query"] != found["hit"]


def test_what_is_not_there_is_not_compared(client: TestClient) -> None:
    base = "/api/v1/galleries/site"
    first = client.get(f"{base}/pictures").json()["pictures"][0]["id"]
    told = client.post(f"{base}/search", data={"pictures": first}).json()
    wanted = {"search": told["search"], "picture": told["hits"][0]["id"]}
    late = client.post(f"{base}/comparisons", json=wanted | {"search": "gone"})
    assert (late.status_code, "search again" in late.json()["detail"]) == (404, True)
    other = client.post(f"{base}/comparisons", json=wanted | {"picture": "gone"})
    assert other.status_code == 404


def test_stripes_tells_which_part_of_a_picture_was_changed() -> None:
    """Blank the lowest sixth of a picture: the parts above stay alike, the lowest ones do not."""
    model = Embedder.open("stripes")
    assert model.grid == (6, 2)
    picture = np.random.default_rng(0).integers(0, 256, (160, 80, 3), np.uint8)
    blanked = picture.copy()
    blanked[-48:] = 0
    one, other = model.embed_pixels(np.stack([picture, blanked]), Modality.VISIBLE)
    same, changed = shares_of(one, one, model.grid), shares_of(one, other, model.grid)
    assert same.sum() == pytest.approx(1, abs=1e-4)
    assert changed.sum() == pytest.approx(float(one @ other), abs=1e-4)
    kept = changed.sum(axis=1) / same.sum(axis=1)
    assert kept[:4].min() > 2 * kept[5]
