"""Exported readers of sentences: beside torch, without torch, damaged."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.made_once import made_once
from tests.toy import HEIGHT, PEOPLE, WIDTH, small_settings

from vireid import Embedder
from vireid.backbones.clip_text import numbers_of
from vireid.errors import VireidError
from vireid.methods.clip4vi_reid import CLIP4VIReID
from vireid.methods.language_image import LanguageImage
from vireid.models import export, runs
from vireid.models.card import ModelError
from vireid.recipes import recipe
from vireid.records import Modality

SENTENCES = (
    "hat",
    "A woman in a LONG coat, blue-jeans;  she's 25 & carries 2 bags!",
    "un façade naïve: Straße, 日本 and \N{GRINNING FACE}",
    "don\N{RIGHT SINGLE QUOTATION MARK}t look at \N{LEFT DOUBLE QUOTATION MARK}him"
    "\N{RIGHT DOUBLE QUOTATION MARK}\tor\nher",
)
ASKS = """
import sys
from vireid import Embedder
embedder = Embedder.open(sys.argv[1])
print(embedder.embed_text(["a person with a backpack"]).tolist())
print("torch" in sys.modules or "open_clip" in sys.modules)
"""


def run_of(path: Path, method: type[Any]) -> Path:
    """A finished run that has learnt nothing."""
    data = {"dataset": "nightwalk", "height": HEIGHT, "width": WIDTH}
    name = method.__module__.rpartition(".")[2]
    asked = recipe.from_dict({"method": name, "data": data, "settings": small_settings(method)})
    runs.start(path, asked, runs.Details(dataset="toy", num_identities=PEOPLE))
    runs.finish(path, method(asked.settings, PEOPLE), asked)
    return path


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run and what was exported of it."""

    def make(folder: Path) -> None:
        export.export(run_of(folder / "clip4vi", CLIP4VIReID), folder / "exported")

    return made_once(tmp_path_factory, "read_sentences", make)


@pytest.fixture(scope="module")
def learnt(both: Path) -> Path:
    return both / "clip4vi"


@pytest.fixture(scope="module")
def exported(both: Path) -> Path:
    return both / "exported"


@pytest.fixture
def copied(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copied"))


def test_sentences_have_the_vectors_of_the_run(learnt: Path, exported: Path) -> None:
    run, model = Embedder.open(learnt), Embedder.open(exported)
    assert model.reads_text
    assert model.fingerprint == run.fingerprint
    found, expected = model.embed_text(SENTENCES), run.embed_text(SENTENCES)
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, abs=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-2
    assert model.text_caveat == (run.text_caveat or "").replace("clip4vi began", "exported began")


@pytest.mark.parametrize("modality", Modality)
def test_pictures_have_the_vectors_of_the_run(
    modality: Modality, learnt: Path, exported: Path
) -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (5, HEIGHT, WIDTH, 3), dtype=np.uint8)
    found, expected = (Embedder.open(m).embed(pictures, modality) for m in (exported, learnt))
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_words_are_numbered_as_open_clip_does(sentence: str, exported: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(exported / "tokenizer.json"))
    assert tokenizer.encode(sentence).ids == numbers_of(sentence, 100)


def test_both_towers_of_one_network_can_be_exported(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", LanguageImage)
    export.export(run, tmp_path / "model")
    model = Embedder.open(tmp_path / "model")
    expected = Embedder.open(run).embed_text(SENTENCES)
    assert model.embed_text(SENTENCES) == pytest.approx(expected, abs=1e-5)
    assert model.text_caveat is None


def test_a_sentence_is_embedded_without_torch(exported: Path) -> None:
    asked = [sys.executable, "-c", ASKS, str(exported)]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    expected = Embedder.open(exported).embed_text(["a person with a backpack"])
    assert np.array(json.loads(told[0])) == pytest.approx(expected, abs=1e-6)
    assert told[1] == "False"


def test_sentences_that_a_run_refuses_are_refused_alike(learnt: Path, exported: Path) -> None:
    for sentence in ("", " \t ", "very " * 76, "! ? " * 50):
        told = []
        for model in (learnt, exported):
            with pytest.raises(VireidError) as caught:
                Embedder.open(model).embed_text([sentence])
            told.append(str(caught.value))
        assert told[0] == told[1]
    assert len(Embedder.open(exported).embed_text(["very " * 75])) == 1


@pytest.mark.parametrize("name", ["tokenizer.json", "text.onnx", "text.bin"])
def test_a_changed_or_missing_file_is_named(name: str, copied: Path) -> None:
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[:-1] + b"?")
    with pytest.raises(ModelError, match=f"{name} is not the file that was exported"):
        Embedder.open(copied).embed_text(["hat"])
    (copied / name).unlink()
    with pytest.raises(ModelError, match=name):
        Embedder.open(copied).embed_text(["hat"])


def test_without_the_library_the_way_out_is_told(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    model = Embedder.open(exported)
    assert not model.reads_text
    with pytest.raises(ModelError, match=r"tokenizers, which is not installed; .*vireid\[text\]"):
        model.embed_text(["hat"])


def test_pictures_do_without_the_reader(copied: Path, exported: Path) -> None:
    for name in ("tokenizer.json", "text.onnx", "text.bin"):
        (copied / name).unlink()
    noise = np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)
    found, expected = (Embedder.open(m).embed(noise, "visible") for m in (copied, exported))
    assert (found == expected).all()
