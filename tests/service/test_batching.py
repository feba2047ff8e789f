"""What comes while a thread works is done together next."""

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest
from tests import event_loops
from tests.onnx_model import person

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

    async def ask() -> None:
        batcher = Batcher(model, sizes.append)
        first = batcher.put((pixels[0], Modality.VISIBLE))
        await asyncio.to_thread(inside.wait)
        others = [batcher.put((pixels[i], tuple(Modality)[i % 2])) for i in range(1, 9)]
        gone = batcher.put((pixels[0], Modality.VISIBLE))
        gone.cancel()
        go_on.set()
        vectors = await asyncio.gather(first, *others)
        assert np.allclose(vectors, expected, atol=1e-5)
        await asyncio.to_thread(batcher.close)

    event_loops.run(ask())
    assert sizes == [1, 4, 4]


def test_an_error_reaches_those_who_asked_and_others_go_on(
    model: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed = model.embed_pixels
    pixels = resize(person(0), model.height, model.width)

    def failing(pictures: object, modality: Modality) -> object:
        if modality is Modality.VISIBLE:
            raise ModelError("it gives broken vectors")
        return embed(pictures, modality)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "embed_pixels", failing)

    async def ask() -> None:
        batcher = Batcher(model)
        wrong, right = (batcher.put((pixels, each)) for each in Modality)
        with pytest.raises(ModelError):
            await wrong
        assert (await right).shape == (16,)
        await asyncio.to_thread(batcher.close)

    event_loops.run(ask())
