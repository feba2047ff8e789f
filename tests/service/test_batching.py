"""Pictures that come at the same time go through the model together."""

import threading
from pathlib import Path

import numpy as np
import pytest
from tests.onnx_model import person
from tests.waiting import wait_for

from vireid.models.card import ModelError
from vireid.models.embedder import Embedder
from vireid.pictures import resize
from vireid.records import Modality
from vireid.service.batching import Batcher


@pytest.fixture
def model(made: Path) -> Embedder:
    return Embedder.open(made / "toy")


def test_those_that_wait_go_together_and_get_their_own_vectors(
    model: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = [resize(person(i), model.height, model.width) for i in range(9)]
    expected = [model.embed([person(i)], Modality.VISIBLE)[0] for i in range(9)]
    embed, inside, go_on = model.embed_pixels, threading.Event(), threading.Event()

    def held(*given: object) -> object:
        inside.set()
        go_on.wait()
        return embed(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "embed_pixels", held)
    sizes: list[int] = []
    batcher = Batcher(model, sizes.append)
    first = batcher.embed(pixels[0], Modality.VISIBLE)
    wait_for(inside.is_set)
    others = [batcher.embed(pixels[i], tuple(Modality)[i % 2]) for i in range(1, 9)]
    go_on.set()
    for i, future in enumerate([first, *others]):
        assert np.allclose(future.result(), expected[i], atol=1e-5)
    batcher.close()
    assert sizes == [1, 4, 4]


def test_an_error_reaches_those_who_asked_and_others_go_on(
    model: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    batcher, embed = Batcher(model), model.embed_pixels
    wrong = ModelError("it gives broken vectors")
    pixels = resize(person(0), model.height, model.width)

    def failing(*given: object) -> object:
        raise wrong

    monkeypatch.setattr(model, "embed_pixels", failing)
    with pytest.raises(ModelError):
        batcher.embed(pixels, Modality.VISIBLE).result()
    monkeypatch.setattr(model, "embed_pixels", embed)
    assert batcher.embed(pixels, Modality.VISIBLE).result().shape == (16,)
    batcher.close()
