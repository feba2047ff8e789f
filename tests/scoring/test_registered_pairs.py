"""Registered pairs are a smoke test: no box, no height and no other place names anybody."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests import frame_sets
from tests.onnx_model import write_model

from vireid import datasets
from vireid.datasets import Dataset
from vireid.errors import VireidError
from vireid.models.embedder import Embedder
from vireid.pictures import pixels_of, size_of
from vireid.records import ImageRecord, Modality
from vireid.scoring import baselines, evaluation, named_protocols
from vireid.scoring import registered_pairs as registered
from vireid.video.set_cutting import cut_set

PLACES, PEOPLE = 3, 6
"""Places with a camera that stands still, and the people at each, two of whom share a frame."""


def write(root: Path, *, own_boxes: bool) -> None:
    """Write people of unlike shapes, each at one instant in both spectra."""
    rng = np.random.default_rng(0)
    lines = ["path,modality,identity,camera,moment"]
    for place in range(PLACES):
        for person in range(PEOPLE):
            identity = place * PEOPLE + person
            height, width = 60 + 10 * person, 30 + 5 * ((person + 2 * place) % PEOPLE)
            for modality in Modality:
                moved = 7 * (modality is Modality.INFRARED and own_boxes)
                pixels = rng.integers(0, 255, (height + moved, width, 3), np.uint8)
                name = f"{modality}-{identity}.png"
                Image.fromarray(pixels).save(root / name)
                lines.append(f"{name},{modality},{identity},place{place},{person // 2}")
    (root / "people.csv").write_text("\n".join(lines))


@pytest.fixture(scope="module", params=[False, True], ids=["one box", "own boxes"])
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("registered")
    write(root, own_boxes=request.param)
    return datasets.read("folder", root / "people.csv")


def test_who_is_hidden(dataset: Dataset) -> None:
    both = named_protocols.choose(dataset, "folder/registered", direction="infrared-to-visible")
    assert [protocol.variant for protocol in both] == [
        "infrared-to-visible, among its own camera",
        "infrared-to-visible, among its own frame",
    ]
    for protocol, among in zip(both, (PEOPLE, 2), strict=True):
        trial = protocol.trials(dataset)[0]
        assert len(trial.queries) == len(trial.gallery) == PLACES * PEOPLE
        assert (~protocol.hidden(trial)).sum(axis=1).tolist() == [among] * len(trial.queries)
        assert "smoke test" in protocol.notes[0]


def test_neither_shape_nor_height_is_left(dataset: Dataset, tmp_path: Path) -> None:
    shape = baselines.box_shape()
    found = evaluation.score_each(
        [shape], dataset, named_protocols.choose(dataset, "folder/registered")
    )[0]
    by_chance = {"camera": 1 / PEOPLE, "frame": 1 / 2}
    for scores in found:
        among = scores.protocol.variant.rpartition(" ")[2]
        assert scores.mean["R1"] == pytest.approx(by_chance[among])
    new = registered.prepared(dataset.test, tmp_path)
    assert {size_of(record) for record in new} == {(30, 60)}
    plain = evaluation.score(
        shape, dataset, named_protocols.find("folder/cross-spectrum")
    )  # what the shape alone finds if nothing is done about it
    assert plain.mean["R1"] == 1.0 or size_of(dataset.test[0]) != size_of(dataset.test[1])


def test_one_box_is_trimmed_by_each_spectrum_for_itself(dataset: Dataset, tmp_path: Path) -> None:
    pairs = [r for r in dataset.test if r.identity == 0]
    is_shared = size_of(pairs[0]) == size_of(pairs[1])
    boxes = [registered._inner(size_of(r), 0.12, f"{r.modality}") for r in pairs]
    assert (boxes[0] != boxes[1]) or not is_shared
    share = registered._trimmed(dataset.test, [size_of(r) for r in dataset.test])
    assert share == (0.12 if is_shared else 0.0)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = (registered.prepared(dataset.test, tmp_path / name) for name in "ab")
    for record, again in zip(one, other, strict=True):  # the same on every machine
        assert np.array_equal(pixels_of(record, 60, 30), pixels_of(again, 60, 30))


def test_pairs_need_a_moment(dataset: Dataset) -> None:
    bare = replace(dataset, test=tuple(replace(r, moment=None) for r in dataset.test))
    with pytest.raises(VireidError, match="columns `moment` and `camera`"):
        named_protocols.find("folder/registered").trials(bare)
    mixed = [named_protocols.find(f"folder/{name}") for name in ("registered", "cross-spectrum")]
    with pytest.raises(VireidError, match="score folder/registered alone"):
        evaluation.score_all(baselines.chance(), dataset, mixed)


def test_a_model_without_the_person_sees_what_is_around(tmp_path: Path) -> None:
    model = Embedder.open(str(write_model(tmp_path / "model")))
    records = []
    for number, inside in enumerate((30, 220)):
        pixels = np.full((128, 64, 3), 100, np.uint8)
        pixels[8:120, 10:54] = inside
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        records.append(ImageRecord(tmp_path / f"{number}.png", Modality.VISIBLE))
    seen = model.embed_records(records)
    blind = baselines.WithoutPerson(model).embed_records(records)
    assert seen[0] @ seen[1] < blind[0] @ blind[1]
    np.testing.assert_allclose(np.linalg.norm(blind, axis=1), 1, rtol=1e-5)


def test_the_command_says_smoke_test_and_shows_the_model_without_the_person(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame_sets.boxes(tmp_path / "mine")
    cut_set("boxes", tmp_path / "mine", tmp_path / "people")
    read = list[object]()
    before = datasets.read

    def counted(*asked: object, **how: object) -> Dataset:
        read.append(asked)
        return before(*asked, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(datasets, "read", counted)
    model = write_model(tmp_path / "toy")
    words = ("--dataset", "folder", "--root", tmp_path / "people/people.csv")
    status, shown, _ = run("evaluate", model, *words, "--protocol", "folder/registered")
    assert status == 0
    assert "smoke test" in shown
    assert "toy, person blanked" in shown
    assert "among its own frame" in shown
    assert len(read) == 1


def test_edges_are_counted_once_for_both_baselines(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = list[int]()
    before = baselines._cells

    def counted(brightness: np.ndarray) -> np.ndarray:
        counts.append(1)
        return before(brightness)

    monkeypatch.setattr(baselines, "_cells", counted)
    for control in baselines.controls():
        control.embed_records(dataset.test[:5])
    assert len(counts) == 5
