"""What the best hits say about a search: expansion and re-ranking, off unless asked for."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.crowd import crowd
from tests.onnx_model import write_model, write_site

from vireid.errors import VireidError
from vireid.gallery import Filters, Gallery, GalleryError
from vireid.models.card import ModelCard
from vireid.records import ImageRecord, Modality
from vireid.scoring.re_ranking import re_rank
from vireid.search.hits import found
from vireid.search.ranking import Ranking

Run = Callable[..., tuple[int, str, str]]
CARD = ModelCard("toy", "/models/toy", "0123456789abcdef", "float32", 32, 16, 32)


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    made = Gallery.create(tmp_path / "a.gallery", CARD)
    made.add(*crowd(30, noise=0.8))
    return made


def query(number: int) -> np.ndarray:
    vectors, _ = crowd(30, noise=0.8)
    off = np.random.default_rng(number).standard_normal(32) * 0.05
    vector = vectors[12 * number] + off
    return np.asarray(vector / np.linalg.norm(vector), np.float32)[None]


def test_vectors_are_read_by_record(gallery: Gallery) -> None:
    vectors, records = crowd(30, noise=0.8)
    places = [200, 3, 77, 3]
    read = gallery.vectors_of([records[place] for place in places])
    np.testing.assert_array_equal(read, vectors[places])
    with pytest.raises(GalleryError, match="does not hold"):
        gallery.vectors_of([ImageRecord(Path("/nowhere.jpg"), Modality.VISIBLE)])


def test_without_asking_nothing_changes(gallery: Gallery) -> None:
    plain = found(gallery, query(4), 10, Filters())
    assert plain == found(gallery, query(4), 10, Filters(), ranking=Ranking())
    similarities = [hit.similarity for hit in plain]
    assert similarities == sorted(similarities, reverse=True)


def test_an_expanded_query_is_the_formula(gallery: Gallery) -> None:
    asked, ranking = query(4), Ranking(expanded=3, alpha=2.0)
    (hits,) = gallery.search(asked, 3)
    total = asked[0] + sum(hit.similarity**2 * gallery.vectors_of([hit.record])[0] for hit in hits)
    expected = total / np.linalg.norm(total)
    np.testing.assert_allclose(ranking.expand(gallery, asked, Filters())[0], expected, atol=1e-6)


def test_re_ranked_hits_are_those_of_the_formula_and_keep_their_similarities(
    gallery: Gallery,
) -> None:
    plain = found(gallery, query(7), 40, Filters())
    ranked = found(gallery, query(7), 40, Filters(), ranking=Ranking(re_ranked=40))
    assert {(h.record.key, h.similarity) for h in plain} == {
        (h.record.key, h.similarity) for h in ranked
    }
    assert [hit.rank for hit in ranked] == list(range(1, 41))
    (score,) = re_rank(query(7), gallery.vectors_of([hit.record for hit in plain]))
    expected = [plain[place].record for place in np.argsort(-score, kind="stable")]
    assert [hit.record for hit in ranked] == expected
    assert expected != [hit.record for hit in plain]


def test_numbers_that_make_no_sense_are_refused() -> None:
    for wrong in ({"expanded": 101}, {"re_ranked": 2001}, {"expanded": 3, "alpha": -1.0}):
        with pytest.raises(VireidError):
            Ranking(**wrong)


def test_results_name_how_they_were_ranked(run: Run, tmp_path: Path) -> None:
    site, model = write_site(tmp_path / "site"), write_model(tmp_path / "toy")
    path = tmp_path / "site.gallery"
    assert run("index", site, "--out", path, "--model", model)[0] == 0
    asked = ("search", path, site / "cam3/0002/0001.jpg", "--query-modality", "infrared")
    assert json.loads(run(*asked, "--json")[1])["ranking"] == "similarity"
    status, output, errors = run(*asked, "--expand", 2, "--re-rank", 8, "--json")
    assert status == 0, errors
    assert json.loads(output)["ranking"] == (
        "query expanded by 2 hits, alpha=3; best 8 re-ranked, k-reciprocal k1=20 k2=6 lambda=0.3"
    )
    assert "re-ranked" in run(*asked, "--re-rank", 8)[1]
    assert run(*asked, "--re-rank", 8, "--centre")[0] == 1


def test_re_ranking_is_a_matter_of_the_best_hits_alone(gallery: Gallery) -> None:
    """Its work does not grow with the gallery: only the best are read and compared."""
    read: list[int] = []
    real = gallery.vectors_of
    gallery.vectors_of = lambda records: read.append(len(records)) or real(records)  # type: ignore[func-returns-value, method-assign]
    found(gallery, query(1), 5, Filters(), ranking=Ranking(re_ranked=20))
    assert read == [20]
