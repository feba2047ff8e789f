"""Models that are joined: similarities, sizes, what is told of them, and what is refused."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from PIL import Image
from tests.onnx_model import person, write_model, write_site

from vireid import Embedder
from vireid.cli.main import vireid
from vireid.models.card import ModelError, read_exported
from vireid.models.joining import join
from vireid.models.opening import folder_of
from vireid.pictures import resize
from vireid.records import Modality


@pytest.fixture
def toys(tmp_path: Path) -> list[str]:
    return [str(write_model(tmp_path / f"toy{seed}", seed)) for seed in (0, 1)]


def pixels(height: int, width: int) -> np.ndarray:
    return np.stack([resize(person(identity), height, width) for identity in range(6)])


def test_a_similarity_is_the_weighted_mean(toys: list[str], tmp_path: Path) -> None:
    card = join(toys, (0.7, 0.3), tmp_path / "both")
    both = Embedder.open(tmp_path / "both")
    for modality in Modality:
        pictures = pixels(both.height, both.width)
        found = both.embed_pixels(pictures, modality)
        alone = [Embedder.open(toy).embed_pixels(pictures, modality) for toy in toys]
        expected = sum(s * v @ v.T for s, v in zip((0.7, 0.3), alone, strict=True))
        assert found @ found.T == pytest.approx(expected, abs=1e-5)
        assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    assert card.embedding_dim == both.embedding_dim == found.shape[1]


def test_each_sees_pictures_of_its_own_size(tmp_path: Path) -> None:
    join(["small", "stripes"], (0.5, 0.5), tmp_path / "both")
    both, small, stripes = (Embedder.open(name) for name in (tmp_path / "both", "small", "stripes"))
    assert (both.height, both.width) == (stripes.height, stripes.width)
    pictures = pixels(both.height, both.width)
    smaller = np.stack([resize(Image.fromarray(p), small.height, small.width) for p in pictures])
    found = both.embed_pixels(pictures, Modality.VISIBLE) * np.float32(2**0.5)
    for_small, for_stripes = np.split(found, [small.embedding_dim], axis=1)
    assert for_small == pytest.approx(small.embed_pixels(smaller, Modality.VISIBLE), abs=5e-3)
    assert for_stripes == pytest.approx(stripes.embed_pixels(pictures, Modality.VISIBLE), abs=1e-5)


def test_what_models_compute_alike_is_computed_once(tmp_path: Path) -> None:
    parts = ["stripes", "stripes_learnt"]
    card = join(parts, (0.5, 0.5), tmp_path / "both")
    sizes = {name: (folder_of(name) / "model.safetensors").stat().st_size for name in parts}
    assert (tmp_path / "both" / "weights.bin").stat().st_size < 1.01 * sizes["stripes_learnt"]
    graphs = [folder / "visible.onnx" for folder in (tmp_path / "both", folder_of(parts[1]))]
    both, alone = (
        sum(node.op_type == "Conv" for node in onnx.load_model(graph).graph.node)
        for graph in graphs
    )
    assert both == alone
    pictures = pixels(card.height, card.width)
    vectors = [
        Embedder.open(name).embed_pixels(pictures, Modality.INFRARED) / np.float32(2**0.5)
        for name in parts
    ]
    found = Embedder.open(tmp_path / "both").embed_pixels(pictures, Modality.INFRARED)
    assert found == pytest.approx(np.concatenate(vectors, axis=1), abs=1e-6)


def test_weights_in_float16_take_half_the_room(tmp_path: Path) -> None:
    parts, shares = ["small", "stripes"], (0.5, 0.5)
    full = join(parts, shares, tmp_path / "full")
    half = join(parts, shares, tmp_path / "half", weights="float16")
    assert full.fingerprint != half.fingerprint
    sizes = [(tmp_path / name / "weights.bin").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.55 * sizes[0]
    models = [Embedder.open(tmp_path / name) for name in ("full", "half")]
    pictures = pixels(full.height, full.width)
    for modality in Modality:
        vectors = [model.embed_pixels(pictures, modality) for model in models]
        assert np.linalg.norm(vectors[1], axis=1) == pytest.approx(1, abs=1e-5)
        assert (vectors[0] * vectors[1]).sum(1) == pytest.approx(1, abs=1e-4)
        assert vectors[0] != pytest.approx(vectors[1], abs=1e-7)


def test_the_order_and_the_shares_make_another_model(toys: list[str], tmp_path: Path) -> None:
    ways = {"one": (0.7, 0.3), "other": (0.6, 0.4), "same": (0.7, 0.3)}
    one, other, same = (join(toys, shares, tmp_path / n) for n, shares in ways.items())
    assert one.fingerprint == same.fingerprint != other.fingerprint
    back = join(toys[::-1], (0.3, 0.7), tmp_path / "back")
    assert back.fingerprint != one.fingerprint


def test_it_says_what_it_is_made_of(tmp_path: Path) -> None:
    card = join(["stripes", "small"], (0.6, 0.4), tmp_path / "both")
    assert card == read_exported(tmp_path / "both")
    parts = card.settings["parts"]
    assert [(part["name"], part["share"]) for part in parts] == [("stripes", 0.6), ("small", 0.4)]
    for name in ("stripes", "small"):
        alone = read_exported(folder_of(name))
        for words, kept in ((card.licence, alone.licence), (card.caveat, alone.caveat)):
            assert kept is not None
            assert kept in str(words)
    training = Embedder.open(tmp_path / "both").training
    assert training is not None
    assert training.learnt_from == "train and validation"  # as `small` has


def test_a_site_is_indexed_and_searched_by_it(toys: list[str], tmp_path: Path) -> None:
    site, both = write_site(tmp_path / "site"), str(tmp_path / "both")
    gallery = str(tmp_path / "site.gallery")
    night = next(path for path in site.rglob("cam3/0002/*.jpg"))
    for words in (
        ("join", *toys, "--out", both),
        ("index", str(site), "--out", gallery, "--model", both),
        ("search", gallery, str(night), "--json"),
    ):
        answer = CliRunner().invoke(vireid, words)
        assert answer.exit_code == 0, answer.output
    hits = json.loads(answer.stdout)["hits"]
    assert hits[0]["identity"] == 2


def test_whom_models_of_several_data_sets_have_learnt_from_is_not_known(
    toys: list[str], tmp_path: Path
) -> None:
    for toy, data in zip(toys, ("sysu_mm01", "regdb"), strict=True):
        recipe = f'method = "agw"\n[data]\ndataset = "{data}"\nlearn_from = "train"\n'
        (Path(toy) / "recipe.toml").write_text(recipe)
    join(toys, (0.5, 0.5), tmp_path / "both")
    assert Embedder.open(tmp_path / "both").learnt_on == "unknown"


def test_a_model_that_nobody_has_taught_adds_nobody(tmp_path: Path) -> None:
    join(["stripes_learnt", "stripes"], (0.5, 0.5), tmp_path / "both")
    training = Embedder.open(tmp_path / "both").training
    assert training is not None
    assert training.learnt_from == "train"  # the recipe of `stripes` says more, but has no epoch


def test_a_part_that_is_damaged_is_named(toys: list[str], tmp_path: Path) -> None:
    weights = Path(toys[1]) / "weights.bin"
    content = bytearray(weights.read_bytes())
    content[100] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match=r"toy1/weights\.bin is not the file that was exported"):
        join(toys, (0.5, 0.5), tmp_path / "both")
    assert not (tmp_path / "both").exists()


@pytest.mark.parametrize(
    ("names", "shares", "told"),
    [
        (["0"], (1.0,), "two models or more"),
        (["0", "0"], (0.5, 0.5), "each of them once"),
        (["0", "1"], (0.5,), "as many shares"),
        (["0", "1"], (1.5, -0.5), "each above 0"),
        (["0", "1"], (0.5, 0.6), "add up to 1.1"),
        (["0", "gone"], (0.5, 0.5), "there is no model 'gone'"),
        (["0", "."], (0.5, 0.5), "vireid export"),
        (["0", "small"], (0.5, 0.5), "different versions of ONNX"),
    ],
)
def test_what_does_not_fit_is_refused(
    names: list[str], shares: tuple[float, ...], told: str, toys: list[str], tmp_path: Path
) -> None:
    given = [toys[int(name)] if name.isdigit() else name for name in names]
    with pytest.raises(ModelError, match=told):
        join(given, shares, tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_another_precision_and_a_folder_that_is_there_are_refused(
    toys: list[str], tmp_path: Path
) -> None:
    path = Path(toys[1]) / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"precision": "int8"}))
    with pytest.raises(ModelError, match="is in int8; join the models in float32"):
        join(toys, (0.5, 0.5), tmp_path / "both")
    with pytest.raises(ModelError, match="exists"):
        join(toys, (0.5, 0.5), tmp_path)
