"""People followed through videos: what is of one instant is hidden, and cameras can be centred."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vireid.datasets import Dataset
from vireid.errors import VireidError
from vireid.models.centring import Means
from vireid.records import ImageRecord, Modality
from vireid.scoring import named_protocols
from vireid.scoring.evaluation import evaluate
from vireid.scoring.scores import ScoredModel

Run = Callable[..., tuple[int, str, str]]
MODEL = ScoredModel("mine", "0" * 16, "last epoch", "nothing")
PEOPLE = 5
MOMENTS = range(8)


def record(
    person: int, modality: Modality, second: float, root: Path = Path("/videos")
) -> ImageRecord:
    return ImageRecord(
        root / f"{modality}/{person}/{second:06.2f}.jpg",
        modality,
        person,
        f"gate {modality}",
        time=datetime(2026, 11, 1) + timedelta(seconds=100 * person + second),
        tracklet=f"{person} {modality}",
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Five people, each a second apart in eight pictures of either spectrum; files are empty."""
    records = [record(p, m, s, tmp_path) for p in range(PEOPLE) for m in Modality for s in MOMENTS]
    for each in records:
        each.path.parent.mkdir(parents=True, exist_ok=True)
        each.path.touch()
    return Dataset("folder", tmp_path, (), (), tuple(records), {})


def test_a_query_is_a_frame_and_the_gallery_has_one_of_each_person(dataset: Dataset) -> None:
    protocol = named_protocols.find("folder/tracks")
    trials = protocol.trials(dataset)
    assert len(trials) == 10
    drawn = {trial.gallery for trial in trials}
    assert len(drawn) > 5
    for trial in trials:
        assert len(trial.queries) == PEOPLE * len(MOMENTS)
        assert [r.identity for r in trial.gallery] == list(range(PEOPLE))
        assert {r.modality for r in trial.gallery} == {Modality.VISIBLE}
        assert list(trial.pictures) == [*trial.queries, *trial.gallery]


@pytest.mark.parametrize("gap", [0.0, 1.0, 2.0, 3.5])
def test_what_is_closer_than_the_gap_is_hidden_for_the_same_person_only(
    dataset: Dataset, gap: float
) -> None:
    protocol = named_protocols.find("folder/tracks", gap=gap)
    for trial in protocol.trials(dataset):
        hidden = protocol.hidden(trial)
        for q, query in enumerate(trial.queries):
            for g, other in enumerate(trial.gallery):
                assert query.time
                assert other.time
                apart = abs((query.time - other.time).total_seconds())
                assert hidden[q, g] == (query.identity == other.identity and apart < gap)


def test_the_gap_is_part_of_what_must_be_the_same(dataset: Dataset) -> None:
    two, four = (named_protocols.choose(dataset, "folder/tracks", gap=gap)[0] for gap in (2, 4))
    assert two.variant == "infrared-to-visible, 2 s apart"
    vectors = np.random.default_rng(0).standard_normal((len(dataset.test), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embeddings = dict(zip(dataset.test, vectors, strict=True))
    columns = [evaluate(embeddings, dataset, p, MODEL).column for p in (two, four)]
    assert columns[0] != columns[1]


def test_queries_without_another_instant_are_counted_and_left_out(dataset: Dataset) -> None:
    embeddings = {r: np.eye(PEOPLE, dtype=np.float32)[r.identity or 0] for r in dataset.test}
    with pytest.raises(VireidError, match="none of the 40 queries has a match"):
        evaluate(embeddings, dataset, named_protocols.find("folder/tracks", gap=100), MODEL)
    some = evaluate(embeddings, dataset, named_protocols.find("folder/tracks", gap=4), MODEL)
    assert all(0 < trial.valid_queries < trial.queries for trial in some.trials)
    assert some.mean["R1"] == 1


def test_pictures_without_a_time_and_wrong_gaps_are_refused(dataset: Dataset) -> None:
    bare = replace(dataset, test=(*dataset.test[1:], replace(dataset.test[0], time=None)))
    with pytest.raises(VireidError, match=r"000\.00\.jpg has no time; give the list a column"):
        named_protocols.find("folder/tracks").trials(bare)
    for gap in (-1, float("nan")):
        with pytest.raises(VireidError, match="0 or more"):
            named_protocols.find("folder/tracks", gap=gap)
    with pytest.raises(VireidError, match="hides nothing by its time"):
        named_protocols.find("folder/cross-spectrum", gap=2)


def test_what_all_pictures_of_a_camera_share_is_centred_away(dataset: Dataset) -> None:
    """People differ a little; a camera, and its spectrum, shift all embeddings much."""
    rng = np.random.default_rng(0)
    people = rng.standard_normal((PEOPLE, 16))
    cameras = {m: 6 * rng.standard_normal(16) for m in Modality}
    vectors = np.stack([people[r.identity or 0] + cameras[r.modality] for r in dataset.test])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embeddings = dict(zip(dataset.test, vectors.astype(np.float32), strict=True))
    plain, centred = (
        evaluate(embeddings, dataset, protocol, MODEL)
        for protocol in named_protocols.beside_plain(
            [named_protocols.find("folder/tracks")], centre="camera"
        )
    )
    assert centred.protocol.test_time == "centred by camera"
    assert plain.column != centred.column
    assert centred.mean["R1"] > 0.95 > plain.mean["R1"]


def test_a_camera_with_few_pictures_takes_the_mean_of_its_spectrum() -> None:
    """The rule is that of a gallery: 20 pictures of a camera, or else all of the spectrum."""
    records = [replace(record(p, m, 0), camera="gate") for p in range(20) for m in Modality]
    records += [replace(record(p, m, 0), camera="yard") for p in range(20, 25) for m in Modality]
    vectors = np.random.default_rng(1).standard_normal((50, 4)).astype(np.float32)
    centred = Means.of(vectors, records).less(vectors, records)
    for modality in Modality:
        whole = np.array([r.modality is modality for r in records])
        gate = whole & np.array([r.camera == "gate" for r in records])
        for rows, mean_of in ((gate, gate), (whole & ~gate, whole)):
            expected = vectors[rows] - vectors[mean_of].mean(axis=0)
            expected /= np.linalg.norm(expected, axis=1, keepdims=True)
            np.testing.assert_allclose(centred[rows], expected, rtol=1e-4)


def test_a_mean_of_few_pictures_is_refused_as_in_search() -> None:
    records = [record(p, Modality.VISIBLE, 0) for p in range(19)]
    with pytest.raises(VireidError, match=r"19 visible pictures, .* needs 20"):
        Means.of(np.eye(19, dtype=np.float32), records)


def test_the_command_scores_tracks_of_a_list(tmp_path: Path, run: Run) -> None:
    lines = ["path,modality,identity,camera,tracklet,time"]
    for person in range(7):
        for modality in Modality:
            for second in range(0, 9, 3):
                name = f"{modality}-{person}-{second}.png"
                pixels = np.random.default_rng(person).integers(0, 255, (32, 16, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / name)
                time = f"2026-11-01T00:0{person}:0{second}"
                lines.append(f"{name},{modality},{person},{modality},{modality}{person},{time}")
    (tmp_path / "people.csv").write_text("\n".join(lines))
    words = ("--dataset", "folder", "--root", tmp_path / "people.csv", "--no-controls")
    status, shown, told = run(
        "evaluate", "small", *words, "--protocol", "folder/tracks", "--gap", 3, "--centre", "camera"
    )
    assert (status, told) == (0, "")
    assert "infrared-to-visible, 3 s apart" in shown
    assert "centred by camera" in shown


def test_seconds_apart_do_not_depend_on_the_clock_of_the_machine(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the night when summer time ends an hour comes twice."""
    protocol = named_protocols.find("folder/tracks")
    ended = timedelta(days=-7, hours=1, minutes=59, seconds=57)
    moved = replace(
        dataset,
        test=tuple(replace(r, time=r.time and r.time + ended) for r in dataset.test),
    )
    expected = [protocol.hidden(trial).tolist() for trial in protocol.trials(dataset)]
    monkeypatch.setenv("TZ", "Europe/Rome")
    time.tzset()
    found = [protocol.hidden(trial).tolist() for trial in protocol.trials(moved)]
    monkeypatch.undo()
    time.tzset()
    assert found == expected
