"""`vireid search --text`: sentences find pictures in galleries of models that read text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from tests.onnx_model import person, write_model, write_site
from tests.toy import HEIGHT, PEOPLE, WIDTH, ToyData, small_settings
from torch.nn import functional as F  # noqa: N812

from vireid import Embedder, Gallery, Hit, Modality
from vireid.backbones.clip import create_clip
from vireid.backbones.clip_text import TextTower
from vireid.datasets import folder
from vireid.errors import VireidError
from vireid.methods.agw import AGW
from vireid.methods.clip4vi_reid import CLIP4VIReID
from vireid.models import export, runs
from vireid.models.card import Exported
from vireid.recipes import recipe
from vireid.records import ImageRecord, TextQuery
from vireid.reports import contact_sheet

Run = Callable[..., tuple[int, str, str]]
FACTS = runs.Details(dataset="toy", num_identities=PEOPLE)
BACKPACK = "a person with a backpack"
LONG = "a very " + "very " * 76 + "tall person"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Towers that nobody has learnt, as a file that runs begin with."""
    torch.manual_seed(7)
    path = tmp_path_factory.mktemp("weights") / "clip.pt"
    torch.save(create_clip("tiny RN", None).state_dict(), path)
    return path


def finished_run(path: Path, method: type[Any], **more: Any) -> Path:
    """A run that has moved its image tower away from where it began."""
    data = {"dataset": "nightwalk", "height": HEIGHT, "width": WIDTH}
    settings = {**small_settings(method), **more}
    name = method.__module__.rpartition(".")[2]
    wanted = recipe.from_dict({"method": name, "data": data, "settings": settings})
    runs.start(path, wanted, FACTS)
    torch.manual_seed(0)
    learnt = method(wanted.settings, PEOPLE)
    stage = learnt.stages(ToyData())[-1]
    if stage.prepare:
        stage.prepare()
    stage.thaw(learnt)
    for group in stage.optimizer.param_groups:
        group["lr"] = 0.01
    for batch in stage.batches(0):
        sum(stage.losses(batch, 0).values()).backward()
        stage.optimizer.step()
    runs.finish(path, learnt, wanted)
    return path


@pytest.fixture(scope="module")
def learnt(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "clip4vi"
    return finished_run(path, CLIP4VIReID, pretrained=True, weights=str(weights))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("photos") / "site")


@pytest.fixture(scope="module")
def gallery(learnt: Path, site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("galleries") / "site.gallery", str(learnt), site)


def filled(path: Path, model: str, site: Path, **how: Any) -> Path:
    embedder, records = Embedder.open(model), folder.find(site).records
    with Gallery.create(path, embedder, **how) as opened:
        opened.add(embedder.embed_records(records), records)
    return path


def cosines(method: Any, images: Any, texts: torch.Tensor, records: Any) -> dict[Path, float]:
    """Of one text and what every picture is projected to, by hand."""
    found = {}
    with torch.no_grad():
        for record in records:
            pixels = np.array(
                Image.open(record.path).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
            )
            image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
            projected = images({record.modality: image})[1]
            found[record.path] = F.cosine_similarity(projected, texts).item()
    return found


@torch.no_grad()
@pytest.mark.parametrize("sentence", [BACKPACK, "Somebody, in a  RED coat & shorts!", "hat"])
def test_a_sentence_says_what_open_clip_reads(sentence: str, weights: Path) -> None:
    clip = create_clip("tiny RN", str(weights)).eval()
    expected = clip.encode_text(open_clip.SimpleTokenizer()([sentence, BACKPACK]))
    said = TextTower(clip).eval().say([sentence, BACKPACK])
    torch.testing.assert_close(said, expected)


@pytest.mark.parametrize(
    ("which", "storage"),
    [("learnt", "float32"), ("learnt", "float16"), ("original", "float32")],
)
def test_hits_are_those_of_brute_force_cosines(
    which: str, storage: str, learnt: Path, weights: Path, site: Path, tmp_path: Path
) -> None:
    model = str(learnt) if which == "learnt" else f"original:{learnt}"
    path, records = filled(tmp_path / "g", model, site, storage=storage), folder.find(site).records
    method, _ = runs.load_method(learnt) if which == "learnt" else runs.load_original(learnt)
    embedder = Embedder.open(model)
    query = embedder.embed_text([BACKPACK])
    texts = torch.from_numpy(query[:, -32:])
    expected = cosines(method, method.images, texts, records)
    with Gallery.open(path, embedder) as opened:
        hits = opened.search(query, top=24)[0]
    found = {hit.record.path: hit.similarity for hit in hits}
    assert found.keys() == expected.keys()
    near = 1e-5 if storage == "float32" else 2e-3
    assert max(abs(found[p] - expected[p]) for p in found) < near
    if storage == "float32":
        spread = np.diff(sorted(expected.values()))
        assert np.median(spread) > 1e-5  # the order below is one of pictures, not of rounding
        order = sorted(expected, key=lambda p: -expected[p])
        best = [expected[hit.record.path] for hit in hits]
        assert np.allclose(best, [expected[p] for p in order], atol=1e-5)
        assert hits[0].record.path == order[0]


def test_a_text_says_nothing_about_pooled_features(learnt: Path) -> None:
    query = Embedder.open(learnt).embed_text([BACKPACK, "a tall person"])
    assert not query[:, :256].any()
    np.testing.assert_allclose(np.linalg.norm(query, axis=1), 2**0.5, rtol=1e-5)
    assert Embedder.open(learnt).embed_text([]).shape == (0, 288)


def test_the_original_is_what_the_run_began_with(learnt: Path, weights: Path) -> None:
    original, pictures = Embedder.open(f"original:{learnt}"), [person(i) for i in range(3)]
    torch.manual_seed(0)
    begun = CLIP4VIReID(runs.read_recipe(learnt).settings, PEOPLE).eval()
    images = torch.rand(2, 3, HEIGHT, WIDTH)
    model, _ = runs.load_original(learnt)
    for modality in Modality:
        expected = F.normalize(begun.images({modality: images})[1])
        torch.testing.assert_close(model.embed(images, modality), expected)
    # It knows no spectra, and is not what was learnt.
    visible, infrared = (original.embed(pictures, m) for m in Modality)
    np.testing.assert_array_equal(visible, infrared)
    now = Embedder.open(learnt).embed(pictures, Modality.VISIBLE)[:, 256:] * 2**0.5
    assert np.abs(now - visible).max() > 1e-2
    assert original.fingerprint != Embedder.open(learnt).fingerprint
    assert (original.embedding_dim, original.learnt_on) == (32, "nothing")


def test_search_by_a_sentence_answers_as_by_a_picture(
    run: Run, gallery: Path, tmp_path: Path
) -> None:
    words = ("search", gallery, "--text", BACKPACK, "--top", 3, "--sheet", tmp_path / "a.png")
    status, output, errors = run(*words)
    assert status == 0
    assert f"“{BACKPACK}” among pictures in site.gallery" in output
    assert "narrowed" in errors
    assert "--model original:" in errors
    assert errors.strip().count("\n") == 0
    status, output, _ = run(*words, "--json")
    answer = json.loads(output)
    assert answer["query"] == {"text": BACKPACK, "identity": None}
    assert "narrowed" in answer["caveat"]
    assert answer["modality"] is None
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3]
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.height > 200


def test_a_sentence_obeys_filters(run: Run, gallery: Path) -> None:
    asked = ("search", gallery, "--text", BACKPACK, "--json", "--top", 30)
    everything = json.loads(run(*asked)[1])["hits"]
    assert {hit["modality"] for hit in everything} == {"visible", "infrared"}
    some = json.loads(run(*asked, "--modality", "infrared", "--camera", "cam3")[1])["hits"]
    assert some
    kept = [hit for hit in everything if hit["camera"] == "cam3"]
    assert [hit["path"] for hit in some] == [hit["path"] for hit in kept]


def test_the_original_is_asked_in_a_gallery_of_its_own(
    run: Run, learnt: Path, site: Path, gallery: Path, tmp_path: Path
) -> None:
    path = tmp_path / "text.gallery"
    assert run("index", site, "--out", path, "--model", f"original:{learnt}")[0] == 0
    status, _, errors = run("search", path, "--text", BACKPACK)
    assert (status, errors) == (0, "")
    assert run("search", path, site / "cam3/0004/0001.jpg")[0] == 0
    status, _, errors = run("search", gallery, "--text", "hat", "--model", f"original:{learnt}")
    assert status == 1
    assert "was filled by model clip4vi" in errors
    assert "not by original of clip4vi" in errors


def described(run: Path) -> Exported:
    """What an export of this run would say of itself."""
    method, recipe = runs.load_method(run)
    return export._described(method, recipe, runs.read_details(run), "exported", {})


def refused(run: Run, *words: object) -> str:
    status, output, errors = run("search", *words)
    assert status == 1
    assert output == ""
    assert errors.strip().count("\n") == 0
    return errors


def test_models_that_read_no_text_say_what_does(run: Run, site: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "toy")
    agw = finished_run(tmp_path / "agw", AGW)
    assert not described(agw).reads_text
    for name in ("toy", "agw"):
        path = filled(tmp_path / f"{name}.gallery", str(tmp_path / name), site)
        told = refused(run, path, "--text", BACKPACK)
        assert f"model {name} reads no text; " in told
        assert "indexed by a run of a method that does, such as clip4vi_reid" in told
    with pytest.raises(VireidError, match="run of agw, which does not begin with a CLIP"):
        Embedder.open(f"original:{tmp_path / 'agw'}")
    with pytest.raises(VireidError, match=r"toy is not a run folder: it has no recipe\.toml"):
        Embedder.open(f"original:{tmp_path / 'toy'}")


def test_an_export_sends_to_its_run_whose_gallery_it_shares(
    run: Run, learnt: Path, site: Path, tmp_path: Path
) -> None:
    write_model(tmp_path / "exported", name="exported")
    facts = json.loads((tmp_path / "exported/model.json").read_text()) | {"reads_text": True}
    (tmp_path / "exported/model.json").write_text(json.dumps(facts))
    path = filled(tmp_path / "g", str(tmp_path / "exported"), site)
    told = refused(run, path, "--text", BACKPACK)
    assert "exported was exported without its reader of sentences; export its run again" in told
    assert "--model which run" in told
    # Such an export is written by runs that read text.
    assert described(learnt).reads_text


def test_random_weights_mean_nothing_and_it_is_said(run: Run, site: Path, tmp_path: Path) -> None:
    begun = finished_run(tmp_path / "blank", CLIP4VIReID)
    path = filled(tmp_path / "g", str(begun), site)
    status, _, errors = run("search", path, "--text", BACKPACK)
    assert status == 0
    assert "blank began with random weights, so words mean nothing to it" in errors
    with pytest.raises(VireidError, match="there is no original that sentences would mean"):
        Embedder.open(f"original:{begun}")


def test_bad_sentences_are_told_in_one_line(run: Run, gallery: Path, site: Path) -> None:
    told = refused(run, gallery, "--text", LONG)
    assert "80 words and parts of words long, and this CLIP reads 75 at most; say it" in told
    assert "the sentence is empty" in refused(run, gallery, "--text", "  ")
    told = refused(run, gallery, "--text", "hat", "--query-modality", "visible")
    assert "a sentence has no spectrum" in told
    for words in ([], ["--text", "hat", site / "cam3/0004/0001.jpg"]):
        status, _, errors = run("search", gallery, *words)
        assert status == 2
        assert "Give a PICTURE or a sentence (--text), one of them." in errors


def test_a_gone_or_unfinished_run_is_named(run: Run, gallery: Path, learnt: Path) -> None:
    with pytest.raises(TypeError, match="put the one into a list"):
        Embedder.open(learnt).embed_text("hat")
    moved = learnt.with_name("moved")
    learnt.rename(moved)
    try:
        told = refused(run, gallery, "--text", "hat")
        assert "say by --model where it is now" in told
        assert run("search", gallery, "--text", "hat", "--model", moved)[0] == 0
    finally:
        moved.rename(learnt)
    facts = json.loads((learnt / "run.json").read_text())
    (learnt / "run.json").write_text(json.dumps(facts | {"finished": False}))
    try:
        assert "has not finished; finish it with: vireid train" in refused(
            run, gallery, "--text", "hat", "--model", learnt
        )
    finally:
        (learnt / "run.json").write_text(json.dumps(facts))


def test_the_sheet_shows_the_sentence_and_frames_by_identity(tmp_path: Path) -> None:
    person(1).save(tmp_path / "a.png")
    record = ImageRecord(tmp_path / "a.png", Modality.VISIBLE, 1)
    hits = [Hit(1, 0.3, record)]
    blank, told = (
        np.asarray(contact_sheet.compose(TextQuery(text, identity), hits))
        for text, identity in (("hat", None), (BACKPACK + ", " + "x" * 99 + " word" * 99, 1))
    )
    assert blank.shape == told.shape
    left = 28 + 122  # the query's cell
    assert (blank[:, :left] != told[:, :left]).any()
    assert (told[80:, left:] == [26, 152, 80]).all(axis=2).any()
    assert not (blank[80:, left:] == [26, 152, 80]).all(axis=2).any()
