"""What comes while a thread works is done together next."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from tests import event_loops
from tests.onnx_model import person

from vireid.models.card import ModelError
from vireid.models.embedder import Embedder
from vireid.pictures import PictureError, resize
from vireid.records import Modality
from vireid.service.batching import Batcher, Decoded, Embedded, Task
from vireid.types.arrays import Pixels


def seen(pixels: Pixels, modality: Modality) -> Callable[[], Decoded]:
    return lambda: Decoded(pixels, modality, guessed=False)


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
        first = batcher.embedded(seen(pixels[0], Modality.VISIBLE))
        await asyncio.to_thread(inside.wait)
        read = [seen(pixels[i], tuple(Modality)[i % 2]) for i in range(1, 9)]
        others = [batcher.embedded(each) for each in read]
        gone = batcher.embedded(seen(pixels[0], Modality.VISIBLE))
        gone.cancel()
        go_on.set()
        vectors = [each.vector for each in await asyncio.gather(first, *others)]
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
        wrong, right = (batcher.embedded(seen(pixels, each)) for each in Modality)
        with pytest.raises(ModelError):
            await wrong
        assert (await right).vector.shape == (16,)
        await asyncio.to_thread(batcher.close)

    event_loops.run(ask())


def test_tasks_that_are_alike_are_finished_together(model: Embedder) -> None:
    """A picture that cannot be read, or a task that cannot be finished, stops no other one."""
    pixels = resize(person(0), model.height, model.width)
    first, inside, go_on = seen(pixels, Modality.VISIBLE), threading.Event(), threading.Event()

    def held() -> Decoded:
        inside.set()
        go_on.wait()
        return first()

    def unread() -> Decoded:
        raise PictureError("x", "it is damaged")

    def finish(found: Sequence[Embedded[str]]) -> list[list[str]]:
        names = [each.about for each in found]
        if "wrong" in names:
            raise ModelError("it is wrong")
        return [names] * len(names)

    async def ask() -> None:
        batcher = Batcher(model)
        before = batcher.embedded(held)
        await asyncio.to_thread(inside.wait)
        asked = [("a", 1), ("b", 2), ("c", 1), ("wrong", 3)]
        tasks = [Task(first, finish, name, alike) for name, alike in asked]
        other = Task(seen(pixels, Modality.INFRARED), finish, "d", 1)
        done = [batcher.done(task) for task in (*tasks, other, Task(unread, finish, "e", 1))]
        go_on.set()
        *found, unreadable = await asyncio.gather(before, *done, return_exceptions=True)
        assert found[1:4] == [["a", "c"], ["b"], ["a", "c"]]
        assert found[5] == ["d"]
        assert [type(each) for each in (found[4], unreadable)] == [ModelError, PictureError]
        await asyncio.to_thread(batcher.close)

    event_loops.run(ask())
