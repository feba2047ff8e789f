"""One camera is one, in whatever letter case and form of Unicode it is spelt."""

import json
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.onnx_model import DIM, person, write_model

from vireid.gallery import Gallery, GalleryError
from vireid.models.card import ModelCard
from vireid.records import ImageRecord, Modality

TOY = ModelCard("toy", "/models/toy", "0123456789abcdef", "float32", 32, 16, DIM)
COMPOSED, APART = (unicodedata.normalize(form, "Camera Süd") for form in ("NFC", "NFD"))
SPELLINGS = (COMPOSED, APART, COMPOSED.lower(), APART.upper())
Run = Callable[..., tuple[int, str, str]]


def picture(number: int, camera: str | None) -> ImageRecord:
    return ImageRecord(Path(f"/pictures/{number}.jpg"), Modality.VISIBLE, number, camera)


@pytest.mark.parametrize("first", SPELLINGS)
def test_pictures_of_all_spellings_are_of_the_camera_that_was_spelt_first(
    tmp_path: Path, first: str
) -> None:
    vectors = np.eye(DIM, dtype=np.float32)
    spelt = unicodedata.normalize("NFC", first)
    with Gallery.create(tmp_path / "g", TOY) as gallery:
        gallery.add(vectors[:1], [picture(0, first)])
        gallery.add(vectors[1:5], [picture(1 + i, name) for i, name in enumerate(SPELLINGS)])
        gallery.add(vectors[5:8], [picture(5, "gate"), picture(6, "Gate"), picture(7, None)])
        assert gallery.cameras() == sorted([spelt, "gate"])
        for asked in SPELLINGS:
            assert len(gallery.search(vectors[:1], 9, camera=asked)[0]) == 5
        gallery.relabel([replace(picture(7, None), camera="GATE")])
    with Gallery.open(tmp_path / "g") as gallery:
        gallery.add(vectors[8:9], [picture(8, "GATE")])
        assert gallery.cameras() == sorted([spelt, "gate"])
        assert len(gallery.search(vectors[:1], 9, camera="gaTE")[0]) == 4
        with pytest.raises(GalleryError, match="has no camera 'gates'; did you mean 'gate'"):
            gallery.search(vectors[:1], camera="gates")


def test_the_commands_know_a_camera_by_all_its_spellings(run: Run, tmp_path: Path) -> None:
    model, gallery = write_model(tmp_path / "model"), tmp_path / "g"
    for site, camera in (("one", APART), ("two", COMPOSED.lower())):
        (tmp_path / site / "visible" / camera).mkdir(parents=True)
        person(1).save(tmp_path / site / "visible" / camera / "a.jpg")
        status, output, _ = run("index", tmp_path / site, "--out", gallery, "--model", model)
        assert status == 0
        assert "1 pictures added" in output
    again = run("index", tmp_path / "two", "--out", gallery)[1]
    assert "0 pictures added, 1 unchanged, 0 skipped" in again
    (tmp_path / "infrared").mkdir()
    person(1).save(tmp_path / "infrared/q.jpg")
    for asked in SPELLINGS:
        asking = ("search", gallery, tmp_path / "infrared/q.jpg", "--camera", asked, "--json")
        status, output, errors = run(*asking)
        assert (status, errors) == (0, "")
        assert [hit["camera"] for hit in json.loads(output)["hits"]] == [COMPOSED] * 2
