"""`vireid index` and `vireid search`, as they are typed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.onnx_model import person, write_model, write_site

from vireid.gallery import Gallery, Hit
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord, Modality
from vireid.reports import contact_sheet

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "toy")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return write_site(tmp_path / "site")


@pytest.fixture
def gallery(run: Run, site: Path, model: Path, tmp_path: Path) -> Path:
    path = tmp_path / "site.gallery"
    status, _, errors = run("index", site, "--out", path, "--model", model)
    assert status == 0, errors
    return path


def told(run: Run, *words: object) -> dict[str, Any]:
    status, output, errors = run(*words, "--json")
    assert status == 0, errors
    answer = json.loads(output)
    assert isinstance(answer, dict)
    return answer


def test_indexing_a_folder_says_what_it_did(
    run: Run, site: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.gallery"
    status, output, _ = run("index", site, "--out", out, "--model", model)
    assert status == 0
    assert "24 pictures added, 0 unchanged, 0 skipped" in output
    assert "12 visible, 12 infrared pictures" in output
    with Gallery.open(out, Embedder.open(model)) as gallery:
        assert (len(gallery), gallery.cameras()) == (24, ["cam1", "cam3"])


def test_indexing_says_who_was_seen_and_what_named_them(
    run: Run, site: Path, model: Path, tmp_path: Path
) -> None:
    for broken in (site / "cam1/0001").iterdir():
        broken.write_bytes(b"broken")
    (site / "cam3/notes.txt").touch()
    index = ("index", site, "--out", tmp_path / "a.gallery", "--model", model)
    output = run(*index)[1]
    assert "1 files are no pictures and passed over: " in output
    assert "people: 6, named by folders of level 2 such as site/cam1/0002 (22 pictures)" in output
    assert "cameras: 2 (cam1, cam3), named by folders of level 1 such as site/cam1" in output
    report = told(run, *index)
    seen = report["seen"]
    assert isinstance(seen, dict)
    assert (seen["people"], seen["cameras"]) == (6, ["cam1", "cam3"])
    assert seen["labels_from"][0] == {
        "label": "modality",
        "kind": "folder",
        "level": 1,
        "example": "site/cam1",
        "pictures": 22,
    }
    assert len(report["notes"]) == 1


def test_indexing_again_embeds_only_what_is_new_or_has_changed(
    run: Run, site: Path, gallery: Path
) -> None:
    again = told(run, "index", site, "--out", gallery)
    assert (again["added"], again["unchanged"]) == (0, 24)
    person(99).save(site / "cam1/0001/0001.jpg")
    person(98).save(site / "cam1/0001/0003.jpg")
    again = told(run, "index", site, "--out", gallery)
    assert (again["added"], again["unchanged"]) == (2, 23)
    assert again["pictures"] == {"visible": 13, "infrared": 12}


def test_new_labels_of_old_pictures_are_taken_over(run: Run, site: Path, gallery: Path) -> None:
    table = site.parent / "people.csv"
    table.write_text("path,modality,identity\nsite/cam1/0001/0001.jpg,visible,500\n")
    assert told(run, "index", table, "--out", gallery)["relabelled"] == 1
    answer = told(run, "search", gallery, site / "cam3/0001/0001.jpg", "--top", 12)
    assert 500 in [hit["identity"] for hit in answer["hits"]]


def test_an_index_that_was_broken_off_goes_on(
    run: Run, site: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_site(tmp_path / "site", people=20)
    put, out = Gallery.put, tmp_path / "a.gallery"

    def put_once(gallery: Gallery, *batch: object) -> None:
        if len(gallery):
            raise KeyboardInterrupt
        put(gallery, *batch)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Gallery, "put", put_once)
        status, _, errors = run("index", site, "--out", out, "--model", model)
    assert status == 130
    assert "32 pictures are safe" in errors
    assert told(run, "index", site, "--out", out)["added"] == 80 - 32


def spoil(site: Path) -> None:
    """Every kind of picture that cannot be used."""
    whole = (site / "cam1/0001/0001.jpg").read_bytes()
    bad = site / "cam1/0001"
    (bad / "0010.jpg").write_bytes(whole[: len(whole) // 2])
    (bad / "0011.jpg").touch()
    (bad / "0012.jpg").write_text("not a picture")
    Image.new("RGB", (1, 1)).save(bad / "0013.png")
    (bad / "0014.jpg").symlink_to(bad / "nothing.jpg")
    person(1).save(site / "unknown.jpg")


def test_bad_pictures_are_listed_and_the_rest_indexed(
    run: Run, site: Path, model: Path, tmp_path: Path
) -> None:
    spoil(site)
    report = told(run, "index", site, "--out", tmp_path / "a.gallery", "--model", model)
    assert report["pictures"] == {"visible": 12, "infrared": 12}
    reasons = {Path(s["where"]).name: s["reason"] for s in report["skipped"]}
    assert sorted(reasons) == [
        *(f"001{i}.{'png' if i == 3 else 'jpg'}" for i in range(5)),
        "unknown.jpg",
    ]
    for name, reason in {
        "0010.jpg": "cannot be decoded",
        "0011.jpg": "empty",
        "0012.jpg": "not a picture",
        "0013.png": "1 rows",
        "0014.jpg": "not there",
        "unknown.jpg": "spectrum",
    }.items():
        assert reason in reasons[name]


def test_strict_indexing_keeps_the_rest_too_but_fails(
    run: Run, site: Path, model: Path, tmp_path: Path
) -> None:
    spoil(site)
    out = tmp_path / "a.gallery"
    status, output, errors = run("index", site, "--out", out, "--model", model, "--strict")
    assert status == 1
    assert "6 pictures were skipped" in errors
    assert f"skipped {site / 'unknown.jpg'}: nothing says its spectrum" in output
    with Gallery.open(out) as gallery:
        assert len(gallery) == 24


def test_another_models_gallery_is_refused_and_left_alone(
    run: Run, site: Path, gallery: Path, tmp_path: Path
) -> None:
    other = write_model(tmp_path / "other", seed=1, name="other")
    for command in (
        ["index", site, "--out", gallery],
        ["search", gallery, site / "cam3/0001/0001.jpg"],
    ):
        status, _, errors = run(*command, "--model", other)
        assert status == 1
        assert "was filled by model toy" in errors
        assert "not by other" in errors
    with Gallery.open(gallery) as opened:
        assert len(opened) == 24


def test_a_gallery_whose_model_has_changed_says_how_to_go_on(
    run: Run, site: Path, gallery: Path
) -> None:
    query = site / "cam3/0001/0001.jpg"
    model, before = gallery.parent / "toy", gallery.parent / "before"
    model.rename(before)
    write_model(model, seed=1)
    status, _, errors = run("search", gallery, query)
    assert (status, f"{model} has changed since" in errors) == (1, True)
    assert run("search", gallery, query, "--model", before)[0] == 0
    asked = ("gallery", "reindex", gallery, "--model", model)
    assert " ".join(("vireid", *map(str, asked))) in errors
    assert run(*asked)[0] == 0
    assert run("search", gallery, query)[0] == 0


def test_a_gallery_whose_model_has_moved_says_so(run: Run, site: Path, gallery: Path) -> None:
    query = site / "cam3/0001/0001.jpg"
    moved = gallery.parent / "moved"
    (gallery.parent / "toy").rename(moved)
    status, _, errors = run("search", gallery, query)
    assert status == 1
    assert "filled by model toy" in errors
    assert "--model" in errors
    assert run("search", gallery, query, "--model", moved)[0] == 0


def test_nothing_is_made_when_there_is_nothing_to_index(
    run: Run, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    status, _, errors = run("index", tmp_path / "empty", "--out", tmp_path / "g", "--model", model)
    assert status == 1
    assert "there is no picture in it" in errors
    assert not (tmp_path / "g").exists()


def test_an_empty_gallery_says_how_to_fill_it(
    run: Run, site: Path, model: Path, tmp_path: Path
) -> None:
    Gallery.create(tmp_path / "g", Embedder.open(model)).close()
    status, _, errors = run("search", tmp_path / "g", site / "cam3/0001/0001.jpg")
    assert status == 1
    assert f"g is empty; fill it with `vireid index FOLDER --out {tmp_path / 'g'}`" in errors


def test_every_picture_of_a_folder_is_a_question(run: Run, site: Path, gallery: Path) -> None:
    answers = told(run, "search", gallery, site / "cam3", "--top", 1)["answers"]
    assert len(answers) == 12
    assert {len(answer["hits"]) for answer in answers} == {1}
    assert len({answer["query"]["path"] for answer in answers}) == 12
    status, _, _ = run("search", gallery, site / "cam3", "--sheet", site.parent / "sheets")
    assert status == 0
    assert len(list((site.parent / "sheets").glob("*.png"))) == 12
    for words, why in (
        ((site / "cam3", site / "cam1"), "is a folder; give one folder alone"),
        ((site / "cam3", "--text", "x"), "one of them"),
        ((site / "nothing.jpg",), "is no file, and no filter"),
    ):
        status, _, errors = run("search", gallery, *words)
        assert status != 0
        assert why in errors


def test_filters_narrow_a_search(run: Run, site: Path, gallery: Path) -> None:
    query = site / "cam3/0004/0001.jpg"
    answer = told(run, "search", gallery, query, "person:4", "--top", 50)
    assert [hit["identity"] for hit in answer["hits"]] == [4, 4]
    assert answer["filters"] == {"modality": "visible", "identity": 4}
    _, _, errors = run("search", gallery, query, "camera:cam9")
    assert "has no camera 'cam9'; did you mean 'cam" in errors
    _, _, errors = run("search", gallery, query, "persn:4")
    assert "'persn:4' is no filter; did you mean 'person'?" in errors


def test_nobody_is_an_answer_where_a_least_similarity_is_asked_for(
    run: Run, site: Path, gallery: Path
) -> None:
    query = site / "cam3/0004/0001.jpg"
    strangers = ("person:1", "similarity:0.99999")
    assert told(run, "search", gallery, query, *strangers)["hits"] == []
    status, output, _ = run("search", gallery, query, "person:1", "--min-similarity", 0.99999)
    assert status == 0
    assert "nobody is 0.99999 similar or more" in output
    every = told(run, "search", gallery, query, "--top", 50)["hits"]
    least = (every[3]["similarity"] + every[4]["similarity"]) / 2
    some = told(run, "search", gallery, query, f"similarity:>{least}", "--top", 50)["hits"]
    assert some == every[:4]


def test_several_pictures_count_together(run: Run, site: Path, gallery: Path) -> None:
    one, other = site / "cam3/0004/0001.jpg", site / "cam3/0002/0001.jpg"

    def similarities(*words: object) -> dict[str, float]:
        hits = told(run, "search", gallery, *words, "--top", 50)["hits"]
        return {hit["path"]: hit["similarity"] for hit in hits}

    first, second = similarities(one), similarities(other)
    best = similarities(one, other, "--combine", "best")
    assert best == {path: max(first[path], second[path]) for path in first}
    mean = similarities(one, other)
    sums = {path: first[path] + second[path] for path in first}
    ratios = [mean[path] / sums[path] for path in mean if abs(sums[path]) > 0.05]
    assert max(ratios) == pytest.approx(min(ratios), rel=1e-3)
    assert len(told(run, "search", gallery, one, other)["queries"]) == 2


def test_only_the_best_hit_of_each_person_is_shown(run: Run, site: Path, gallery: Path) -> None:
    query = site / "cam3/0004/0001.jpg"
    every = told(run, "search", gallery, query, "--top", 50)["hits"]
    best = told(run, "search", gallery, query, "--top", 4, "--by", "person")["hits"]
    people = list(dict.fromkeys(hit["identity"] for hit in every))
    assert [hit["identity"] for hit in best] == people[:4]
    assert [hit["rank"] for hit in best] == [1, 2, 3, 4]
    for hit in best:
        first = next(each for each in every if each["identity"] == hit["identity"])
        assert {**hit, "rank": 0} == {**first, "rank": 0}


def test_two_pictures_are_compared(run: Run, site: Path, gallery: Path, model: Path) -> None:
    one, other = site / "cam3/0004/0001.jpg", site / "cam1/0004/0001.jpg"
    spectra = ("--modality", "infrared", "--modality", "visible")
    answer = told(run, "verify", one, other, "--model", model, *spectra)
    hits = told(run, "search", gallery, one, "--top", 50)["hits"]
    (hit,) = [hit for hit in hits if hit["path"] == str(other)]
    assert answer["similarity"] == pytest.approx(hit["similarity"], abs=2e-6)
    assert answer["modalities"] == ["infrared", "visible"]
    status, output, _ = run("verify", one, other, "--model", model, "--modality", "visible")
    assert status == 0
    assert "no probability" in output


def test_indexing_bad_pictures_alone_fails(run: Run, model: Path, tmp_path: Path) -> None:
    bad = tmp_path / "visible"
    bad.mkdir()
    (bad / "text.jpg").write_text("not a picture")
    status, output, errors = run("index", bad, "--out", tmp_path / "g", "--model", model)
    assert status == 1
    assert f"skipped {bad / 'text.jpg'}" in output
    assert "no picture could be used" in errors


def test_search_looks_in_the_other_spectrum_and_finds_the_person(
    run: Run, site: Path, gallery: Path
) -> None:
    answer = told(run, "search", gallery, site / "cam3/0004/0001.jpg", "--top", 2)
    assert answer["query"]["modality"] == "infrared"
    assert answer["modality"] == "visible"
    hits = answer["hits"]
    assert isinstance(hits, list)
    assert [(h["rank"], h["identity"], h["camera"]) for h in hits] == [
        (1, 4, "cam1"),
        (2, 4, "cam1"),
    ]
    assert hits[0]["similarity"] > 0.99
    assert Path(hits[0]["path"]).is_file()


def test_search_obeys_its_filters(run: Run, site: Path, gallery: Path) -> None:
    query = site / "cam3/0004/0001.jpg"
    both = told(run, "search", gallery, query, "--modality", "both", "--top", 24)
    assert {h["modality"] for h in both["hits"]} == {"visible", "infrared"}
    near = told(run, "search", gallery, query, "--modality", "infrared", "--camera", "cam3")
    assert {h["camera"] for h in near["hits"]} == {"cam3"}
    status, _, errors = run("search", gallery, query, "--camera", "cam3")
    assert status == 1
    assert "has no visible pictures of cam3" in errors
    status, _, errors = run("search", gallery, query, "--camera", "cam33")
    assert "did you mean 'cam3'" in errors


def test_a_query_of_unknown_spectrum_has_to_be_told(
    run: Run, gallery: Path, tmp_path: Path
) -> None:
    person(2).save(tmp_path / "who.png")
    status, _, errors = run("search", gallery, tmp_path / "who.png")
    assert status == 1
    assert "--query-modality" in errors
    answer = told(run, "search", gallery, tmp_path / "who.png", "--query-modality", "visible")
    assert answer["hits"][0]["identity"] == 2


def test_a_bad_query_is_one_line_and_no_traceback(run: Run, gallery: Path, tmp_path: Path) -> None:
    (tmp_path / "who.jpg").touch()
    words = ("search", gallery, tmp_path / "who.jpg", "--query-modality", "visible")
    status, output, errors = run(*words, "--sheet", tmp_path / "sheet.png")
    assert (status, output) == (1, "")
    assert errors.strip().count("\n") == 0
    assert "who.jpg: it is empty" in errors
    assert not (tmp_path / "sheet.png").exists()


def test_the_table_names_every_hit_in_full(run: Run, site: Path, gallery: Path) -> None:
    status, output, _ = run("search", gallery, site / "cam3/0004/0001.jpg", "--top", 3)
    assert status == 0
    assert str(site / "cam1/0004/0002.jpg") in output
    assert "infrared query 0001.jpg among visible pictures in site.gallery" in output


def share(sheet: Image.Image, colour: str) -> float:
    """How much of a picture has a colour."""
    wanted = Image.new("RGB", (1, 1), colour).getpixel((0, 0))
    return float((np.asarray(sheet) == np.array(wanted)).all(axis=2).mean())


def test_the_contact_sheet_frames_right_answers_green_and_wrong_ones_red(
    run: Run, site: Path, gallery: Path, tmp_path: Path
) -> None:
    query = site / "cam3/0004/0001.jpg"
    assert run("search", gallery, query, "--top", 12, "--sheet", tmp_path / "a.png")[0] == 0
    sheet = Image.open(tmp_path / "a.png")
    assert share(sheet, contact_sheet.SAME) > 0
    assert share(sheet, contact_sheet.OTHER) > 4 * share(sheet, contact_sheet.SAME)
    assert share(sheet, contact_sheet.UNKNOWN) < 1e-4  # the edges of letters
    words = ("--top", 2, "--identity", 5, "--sheet", tmp_path / "b.png")
    assert run("search", gallery, query, *words)[0] == 0
    assert share(Image.open(tmp_path / "b.png"), contact_sheet.SAME) == 0


def test_hits_of_unknown_people_are_grey_and_missing_files_blank(tmp_path: Path) -> None:
    person(1).save(tmp_path / "a.png")
    query = ImageRecord(tmp_path / "a.png", Modality.INFRARED, 1)
    hits = [
        Hit(1, 0.9, ImageRecord(tmp_path / "a.png", Modality.VISIBLE)),
        Hit(2, 0.8, ImageRecord(tmp_path / "gone.png", Modality.VISIBLE, None, "a long name " * 9)),
    ]
    sheet = contact_sheet.compose(query, hits)
    assert share(sheet, contact_sheet.UNKNOWN) > 0
    assert share(sheet, contact_sheet.SAME) == share(sheet, contact_sheet.OTHER) == 0


def test_eight_lines_embed_fill_and_search(site: Path, model: Path, tmp_path: Path) -> None:
    from vireid import Embedder, Gallery, Modality
    from vireid.datasets import folder

    embedder = Embedder.open(model)
    records = folder.find(site).records
    with Gallery.create(tmp_path / "people.gallery", embedder) as gallery:
        gallery.add(embedder.embed_records(records), records)
        query = embedder.embed([site / "cam3/0002/0001.jpg"], Modality.INFRARED)
        hits = gallery.search(query, top=5, modality=Modality.VISIBLE)[0]
    assert [hit.record.identity for hit in hits[:2]] == [2, 2]


def test_a_strangers_gallery_opens_no_model_by_a_path_that_it_carries(
    run: Run, site: Path, gallery: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine of another user: nobody has opened the model there."""
    query = site / "cam3/0004/0001.jpg"
    monkeypatch.setenv("VIREID_CACHE", str(site.parent / "cache of another"))
    for command in (("search", gallery, query), ("index", site, "--out", gallery)):
        status, _, errors = run(*command)
        assert status == 1
        assert "which nobody has opened here before; if you trust it, say --model" in errors
    assert told(run, "search", gallery, query, "--model", model)["hits"]
    assert told(run, "search", gallery, query)["hits"]


def test_a_cache_that_cannot_be_written_keeps_nobody_from_a_model(
    run: Run, site: Path, gallery: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site.parent / "file").touch()
    monkeypatch.setenv("VIREID_CACHE", str(site.parent / "file"))
    query = site / "cam3/0004/0001.jpg"
    assert told(run, "search", gallery, query, "--model", model)["hits"]


def test_what_a_camera_shares_is_subtracted_where_there_are_enough_pictures(
    tmp_path: Path, run: Run
) -> None:
    """All pictures of a camera are equally bright, which the toy model sees too."""
    model = write_model(tmp_path / "toy")
    site = write_site(tmp_path / "site", people=12)
    gallery = tmp_path / "a.gallery"
    assert run("index", site, "--out", gallery, "--model", model)[0] == 0
    query = site / "cam3/0001/0001.jpg"
    answer = told(run, "search", gallery, query, "--centre", "--top", 3)
    plain = told(run, "search", gallery, query, "--top", 3)
    assert (answer["centred"], plain["centred"]) == (True, False)
    assert answer["hits"][0]["identity"] == 1
    assert answer["hits"][0]["similarity"] != plain["hits"][0]["similarity"]
    assert all(hit["similarity"] <= 1.001 for hit in answer["hits"])
    assert run("gallery", "remove", gallery, "modality:infrared", "--yes")[0] == 0
    status, _, why = run("search", gallery, query, "--centre")
    assert status == 1
    assert "holds 0 infrared pictures" in why
    assert "search without centring" in why


def test_the_caveat_of_a_model_stands_below_every_answer(tmp_path: Path, run: Run) -> None:
    model, site = write_model(tmp_path / "toy"), write_site(tmp_path / "site")
    card = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps({**card, "caveat": "it sees colours alone"}))
    gallery = tmp_path / "a.gallery"
    assert "toy: it sees colours alone" in run("index", site, "--out", gallery, "--model", model)[1]
    query = site / "cam3/0001/0001.jpg"
    sheets = [tmp_path / "with.png", tmp_path / "without.png"]
    status, _, said = run("search", gallery, query, "--sheet", sheets[0])
    assert (status, said) == (0, "vireid: toy: it sees colours alone\n")
    told_ = json.loads(run("search", gallery, query, "--json")[1])
    assert told_["model"]["caveat"] == "it sees colours alone"
    (model / "model.json").write_text(json.dumps(card))
    assert run("search", gallery, query, "--sheet", sheets[1])[2] == ""
    with Image.open(sheets[0]) as said_, Image.open(sheets[1]) as silent:
        assert said_.height > silent.height
