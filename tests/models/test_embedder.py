import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import TypeCheckError
from PIL import Image
from tests.onnx_model import DIM, HEIGHT, WIDTH, person, write_model

from vireid.errors import VireidError
from vireid.models.card import ModelError
from vireid.models.embedder import Embedder
from vireid.pictures import Picture, PictureError
from vireid.progress import Step, told_to
from vireid.records import Box, ImageRecord, Modality


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="module")
def embedder(model: Path) -> Embedder:
    return Embedder.open(model)


def save(folder: Path, count: int) -> list[ImageRecord]:
    """Pictures of alternating spectra."""
    records = []
    for i in range(count):
        person(i).save(folder / f"{i}.png")
        records.append(ImageRecord(folder / f"{i}.png", list(Modality)[i % 2], i))
    return records


def test_an_exported_model_says_what_it_is(embedder: Embedder, model: Path) -> None:
    facts = json.loads((model / "model.json").read_text())
    assert (embedder.height, embedder.width, embedder.embedding_dim) == (HEIGHT, WIDTH, DIM)
    assert (embedder.name, embedder.fingerprint) == ("toy", facts["fingerprint"])
    assert embedder.card.source == str(model)


def test_a_picture_gives_the_same_unit_vector_from_file_and_from_memory(
    embedder: Embedder, tmp_path: Path
) -> None:
    person(3).save(tmp_path / "a.png")
    pictures: list[Picture] = [tmp_path / "a.png", str(tmp_path / "a.png"), person(3), person(4)]
    vectors = embedder.embed(pictures, Modality.INFRARED)
    assert (vectors.shape, vectors.dtype.name) == ((4, DIM), "float32")
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors[:2], vectors[[2, 2]], atol=1e-6)
    assert vectors[2] @ vectors[3] < 0.99


def test_a_picture_is_the_same_however_it_is_given(embedder: Embedder, tmp_path: Path) -> None:
    import torch

    person(3).save(tmp_path / "a.png")
    array = np.asarray(person(3))
    ways: list[Picture] = [
        tmp_path / "a.png",
        (tmp_path / "a.png").read_bytes(),
        array,
        torch.from_numpy(np.moveaxis(array, -1, 0).copy()),
    ]
    vectors = embedder.embed(ways, Modality.VISIBLE)
    np.testing.assert_allclose(vectors, vectors[[0]].repeat(4, 0), atol=1e-6)
    turned = embedder.embed([array[:, :, ::-1]], Modality.VISIBLE, bgr=True)
    np.testing.assert_allclose(turned, vectors[:1], atol=1e-6)
    assert np.abs(embedder.embed([array[:, :, ::-1]], Modality.VISIBLE) - turned).max() > 0.01
    grey = array[:, :, 0]
    flat = embedder.embed([grey, np.stack([grey] * 3, axis=2)], Modality.INFRARED)
    np.testing.assert_allclose(flat[0], flat[1], atol=1e-6)
    # Many at once, as one array.
    assert embedder.embed(np.stack([array, array]), Modality.VISIBLE).shape == (2, DIM)


@pytest.mark.parametrize(
    "wrong", [np.zeros((20, 10, 3)), np.zeros((3, 20, 10), np.uint8), b"", b"no picture", 3]
)
def test_what_is_no_picture_is_told(embedder: Embedder, wrong: Any) -> None:
    with pytest.raises((PictureError, TypeCheckError)) as told:
        embedder.embed([wrong], Modality.VISIBLE)
    assert isinstance(wrong, int) or "picture in memory" in str(told.value)


def test_no_pictures_give_no_vectors(embedder: Embedder) -> None:
    assert embedder.embed([], Modality.VISIBLE).shape == (0, DIM)
    assert embedder.embed_records([]).shape == (0, DIM)


def test_one_path_instead_of_a_list_is_an_error(embedder: Embedder) -> None:
    with pytest.raises(Exception, match=r"list|type"):
        embedder.embed("a.png", Modality.VISIBLE)


def test_vectors_come_in_the_order_of_the_records_whatever_their_spectra(
    embedder: Embedder, tmp_path: Path
) -> None:
    records = save(tmp_path, 75)
    steps: list[Step] = []
    with told_to(steps.append):
        vectors = embedder.embed_records(records)
    assert [(step.done, step.total) for step in steps] == [(n, 75) for n in (0, 32, 64, 75)]
    for i in (0, 31, 32, 74):
        alone = embedder.embed([person(i)], records[i].modality)
        np.testing.assert_allclose(vectors[i], alone[0], atol=1e-5)


def test_each_spectrum_goes_through_its_own_graph(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "one")
    other = write_model(tmp_path / "two", seed=1)
    before = Embedder.open(folder).embed([person(1)], Modality.INFRARED)
    described = json.loads((folder / "model.json").read_text())
    graph = (other / "infrared.onnx").read_bytes().replace(b"weights.bin", b"another.bin")
    (folder / "infrared.onnx").write_bytes(graph)
    weights = (other / "weights.bin").read_bytes()
    (folder / "another.bin").write_bytes(weights)
    described["files"]["infrared.onnx"] = hashlib.sha256(graph).hexdigest()
    (folder / "model.json").write_text(json.dumps(described))
    with pytest.raises(ModelError, match=r"infrared\.onnx cannot be run .*another\.bin not found"):
        Embedder.open(folder).embed([person(1)], Modality.INFRARED)
    described["files"]["another.bin"] = hashlib.sha256(weights).hexdigest()
    (folder / "model.json").write_text(json.dumps(described))
    changed = Embedder.open(folder)
    assert np.abs(changed.embed([person(1)], Modality.INFRARED) - before).max() > 0.05
    np.testing.assert_allclose(changed.embed([person(1)], Modality.VISIBLE), before, atol=1e-6)


def test_bad_pictures_are_left_out_and_listed_and_the_rest_keep_their_records(
    embedder: Embedder, tmp_path: Path
) -> None:
    records = save(tmp_path, 40)
    records[7].path.unlink()
    records[33].path.write_text("not a picture")
    batches = list(embedder.in_batches(records))
    kept = [record for batch in batches for record in batch.records]
    assert kept == [r for r in records if r not in (records[7], records[33])]
    assert [b.path for batch in batches for b in batch.skipped] == [
        records[7].path,
        records[33].path,
    ]
    vectors = np.concatenate([batch.embeddings for batch in batches])
    np.testing.assert_allclose(
        vectors[-1], embedder.embed([person(39)], Modality.INFRARED)[0], atol=1e-5
    )


def test_asking_for_all_vectors_raises_the_first_bad_picture(
    embedder: Embedder, tmp_path: Path
) -> None:
    records = save(tmp_path, 3)
    records[1].path.write_bytes(b"")
    with pytest.raises(PictureError, match=r"1\.png: it is empty"):
        embedder.embed_records(records)
    with pytest.raises(PictureError, match=r"1\.png: it is empty"):
        embedder.embed([record.path for record in records], Modality.VISIBLE)
    with pytest.raises(PictureError, match="1 rows and 1 columns"):
        embedder.embed([Image.new("RGB", (1, 1))], Modality.VISIBLE)


def test_a_file_that_vanishes_while_others_are_embedded_is_listed(
    embedder: Embedder, tmp_path: Path
) -> None:
    records = save(tmp_path, 100)  # of which 96 are read ahead
    batches = embedder.in_batches(records)
    first = next(batches)
    records[-1].path.unlink()
    skipped = [bad for batch in batches for bad in batch.skipped]
    assert len(first.records) == 32
    assert [bad.path for bad in skipped] == [records[-1].path]


def test_breaking_off_leaves_no_decoding_threads_behind(embedder: Embedder, tmp_path: Path) -> None:
    before = set(threading.enumerate())  # a test before this one may have failed on purpose
    batches = embedder.in_batches(save(tmp_path, 100))
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name.startswith("vireid-decode")]


def test_an_unknown_model_is_refused_with_what_may_be_given(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no model .*run folder.*vireid export"):
        Embedder.open(tmp_path / "nothing")


def break_weights(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(b"\0" * (folder / "weights.bin").stat().st_size)


def change_format(folder: Path) -> None:
    described = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(described | {"format": 2}))


def forget_file(folder: Path) -> None:
    described = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(described | {"files": {}}))


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (
            break_weights,
            r"weights\.bin is not the file that was exported, .*; copy or",
        ),
        (lambda folder: (folder / "visible.onnx").unlink(), r"visible\.onnx is missing; copy"),
        (lambda folder: (folder / "model.json").write_text("{"), r"model\.json is damaged .*again"),
        (change_format, "has format 2, this vireid reads 1; export"),
        (forget_file, r"does not list visible\.onnx; export"),
    ],
)
def test_a_damaged_or_foreign_model_is_refused(
    tmp_path: Path, break_it: object, expected: str
) -> None:
    folder = write_model(tmp_path / "toy")
    assert callable(break_it)
    break_it(folder)
    with pytest.raises(ModelError, match=expected):
        Embedder.open(folder)


def test_a_model_whose_vectors_are_not_finite_is_refused(tmp_path: Path) -> None:
    embedder = Embedder.open(write_model(tmp_path / "toy"))
    grey = Image.new("RGB", (32, 64), (127, 127, 127))
    network = Embedder(embedder.card, lambda pictures, _: np.full((1, DIM), np.nan, np.float32))
    with pytest.raises(ModelError, match="broken vectors"):
        network.embed([grey], Modality.VISIBLE)


def test_embedding_with_an_exported_model_needs_no_torch(model: Path, tmp_path: Path) -> None:
    person(1).save(tmp_path / "a.png")
    script = (
        "import sys; from vireid import Embedder, Modality;"
        f"print(Embedder.open({str(model)!r}).embed([{str(tmp_path / 'a.png')!r}],"
        "Modality.VISIBLE).shape, 'torch' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=dict(os.environ)
    )
    assert answer.stdout == f"(1, {DIM}) False\n", answer.stderr


def test_a_modality_may_be_a_word_and_another_word_is_refused(embedder: Embedder) -> None:
    by_word, by_name = (embedder.embed([person(1)], m) for m in ("infrared", Modality.INFRARED))
    np.testing.assert_array_equal(by_word, by_name)
    with pytest.raises(VireidError, match="no modality 'ir'; give visible or infrared"):
        embedder.embed([person(1)], "ir")


def test_people_of_one_frame_get_the_vectors_of_their_cut_outs(
    embedder: Embedder, tmp_path: Path
) -> None:
    frame = Image.new("RGB", (80, 70), "grey")
    frame.paste(person(3), (2, 4))
    frame.paste(person(4), (41, 5))
    frame.save(tmp_path / "frame.png")
    width, height = person(3).size
    seen = [
        ImageRecord(tmp_path / "frame.png", Modality.VISIBLE, box=Box(x, y, x + width, y + height))
        for x, y in ((2, 4), (41, 5))
    ]
    vectors = embedder.embed_records(seen)
    alone = embedder.embed([person(3), person(4)], Modality.VISIBLE)
    np.testing.assert_allclose(vectors, alone, atol=1e-6)
    beyond = ImageRecord(tmp_path / "frame.png", Modality.VISIBLE, box=Box(41, 5, 90, 70))
    (batch,) = embedder.in_batches([*seen, beyond])
    assert batch.records == tuple(seen)
    assert "reaches beyond the frame" in str(batch.skipped[0])
