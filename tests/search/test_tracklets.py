"""Tracklets are answers: their frames count together, whatever else a gallery holds."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.onnx_model import write_model
from tests.video.clips import write_video
from tests.video.toy_detector import frame_with, write_detector

from vireid.gallery import Filters, Gallery, GalleryError
from vireid.gallery.store import Page
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord, Modality
from vireid.reports import contact_sheet
from vireid.search.searcher import Searcher
from vireid.search.tracklets import Tracklets
from vireid.video import people

Run = Callable[..., tuple[int, str, str]]
START = datetime(2026, 11, 24, 18)
EVERYTHING = Filters()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "toy")


@pytest.fixture
def gallery(model: Path, tmp_path: Path) -> Gallery:
    return Gallery.create(tmp_path / "g", Embedder.open(str(model)))


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


def fill(gallery: Gallery, tracklets: Mapping[Any, np.ndarray]) -> None:
    records, vectors = [], []
    for name, frames in tracklets.items():
        for number, vector in enumerate(frames):
            path = gallery.path.parent / f"{name}-{number}.jpg"
            path.write_bytes(b"x")
            time = START - timedelta(seconds=number)
            records.append(
                ImageRecord(path, Modality.VISIBLE, camera="gate", tracklet=name, time=time)
            )
            vectors.append(vector)
    gallery.add(unit(np.stack(vectors)), records)


def drawn(gallery: Gallery) -> dict[str | None, np.ndarray]:
    rng = np.random.default_rng(3)
    dim = gallery.model.embedding_dim
    return {
        "a": rng.standard_normal((4, dim)),
        "b": rng.standard_normal((7, dim)),
        None: rng.standard_normal((3, dim)),
    }


def test_a_tracklet_is_the_mean_of_its_frames_and_a_still_itself(gallery: Gallery) -> None:
    vectors = drawn(gallery)
    fill(gallery, vectors)
    found = Tracklets.of(gallery, EVERYTHING, centred=False)
    assert sorted(map(len, found.frames)) == [1, 1, 1, 4, 7]
    query = unit(np.random.default_rng(4).standard_normal((1, gallery.model.embedding_dim)))
    hits = found.search(query, 10)
    by_name = {hit.record.tracklet: hit for hit in hits if hit.record.tracklet}
    for name in ("a", "b"):
        frames = unit(vectors[name])
        expected = float(unit(frames.mean(axis=0)) @ query[0])
        assert by_name[name].similarity == pytest.approx(expected, abs=1e-5)
        # frames in the order of their times, each with its own similarity; the best stands outside
        assert [f.record.path.stem for f in by_name[name].frames] == [
            f"{name}-{number}" for number in reversed(range(len(frames)))
        ]
        of_frames = [f.similarity for f in by_name[name].frames]
        np.testing.assert_allclose(of_frames, (frames @ query[0])[::-1], atol=1e-5)
        best = by_name[name].frames[int(np.argmax(of_frames))].record
        assert by_name[name].record == best
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    assert [hit.similarity for hit in hits] == sorted((h.similarity for h in hits), reverse=True)
    assert len(found.search(query, 2)) == 2
    assert all(h.similarity >= 0 for h in found.search(query, 10, least=0.0))


def test_filters_leave_frames_out_before_the_mean(gallery: Gallery) -> None:
    fill(gallery, drawn(gallery))
    late = Tracklets.of(gallery, Filters(since=START - timedelta(seconds=1)), centred=False)
    assert sorted(map(len, late.frames)) == [1, 1, 2, 2]
    nobody = Tracklets.of(gallery, Filters(tracklet="none such"), centred=False)
    assert nobody.search(np.zeros((1, gallery.model.embedding_dim), np.float32), 3) == ()


def test_centred_frames_are_those_of_the_gallery(gallery: Gallery) -> None:
    dim = gallery.model.embedding_dim
    rng = np.random.default_rng(5)
    vectors = {f"t{n}": 3 + rng.standard_normal((4, dim)) for n in range(6)}
    fill(gallery, vectors)
    found = Tracklets.of(gallery, EVERYTHING, centred=True)
    whole = unit(np.concatenate(list(vectors.values())))
    left = unit(unit(vectors["t0"]) - whole.mean(axis=0))
    place = next(n for n, of in enumerate(found.frames) if of[0].tracklet == "t0")
    np.testing.assert_allclose(found.vectors[place], unit(left.mean(axis=0)), atol=1e-4)


def write_list(root: Path, qualities: tuple[float | str, ...]) -> Path:
    rows = [["path", "modality", "camera", "tracklet", "score", "sharpness"]]
    for number, quality in enumerate(qualities):
        pixels = np.full((64, 32, 3), 20 + 70 * number, np.uint8)
        pixels[:32] = 255 - 60 * number
        (root / "visible").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / f"visible/{number}.png")
        rows.append([f"visible/{number}.png", "visible", "gate", "t1", str(quality), "0.5"])
    with (root / "people.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root / "people.csv"


def test_frames_count_by_score_and_sharpness_of_the_list(
    model: Path, tmp_path: Path, run: Run
) -> None:
    listed = write_list(tmp_path / "site", (0.9, 0.1, "?"))
    out = tmp_path / "a.gallery"
    assert run("index", listed, "--out", out, "--model", model)[0] == 0
    with Gallery.open(out) as opened:
        vectors = np.concatenate([page.read_vectors() for page in opened.pages()])
        order = [e.record.path.stem for page in opened.pages() for e in page.entries]
        found = Tracklets.of(opened, EVERYTHING, "quality", centred=False)
        # what nobody has judged counts as the others do on average
        weight = {"0": 0.9, "1": 0.1, "2": 0.5}
        expected = unit(np.array([weight[name] for name in order]) @ vectors)
        np.testing.assert_allclose(found.vectors[0], expected, atol=1e-4)
        plain = Tracklets.of(opened, EVERYTHING, centred=False)
        assert np.abs(plain.vectors - found.vectors).max() > 1e-3


def test_quality_without_a_list_that_tells_it_is_refused(gallery: Gallery) -> None:
    fill(gallery, drawn(gallery))
    with pytest.raises(GalleryError, match=r"no list that tells the quality .*--frames mean"):
        Tracklets.of(gallery, EVERYTHING, "quality", centred=False)


def test_a_searcher_reads_a_gallery_again_only_if_it_has_changed(
    model: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(gallery, drawn(gallery))
    searcher = Searcher(gallery, Embedder.open(str(model)))
    read = list[object]()
    before = Gallery.pages

    def pages(opened: Gallery, filters: Filters | None = None) -> Iterator[Page]:
        read.append(filters)
        return before(opened, filters)

    monkeypatch.setattr(Gallery, "pages", pages)
    query = unit(np.ones((1, gallery.model.embedding_dim)))
    answers = [searcher.search(query, by="tracklet", modality="both") for _ in range(3)]
    assert len(read) == 1
    fill(gallery, {"c": query})
    again = searcher.search(query, by="tracklet", modality="both")
    assert len(read) == 2
    assert again.hits[0].record.tracklet == "c"
    assert len(answers[0].hits) + 1 == len(again.hits)
    best = searcher.search(query, by="tracklet", frames="best", modality="both")
    assert not best.hits[0].frames


def told(run: Run, *words: object) -> dict[str, Any]:
    status, output, errors = run(*words, "--json")
    assert status == 0, errors
    answer: dict[str, Any] = json.loads(output)
    return answer


def walk(frames: int = 50) -> Any:
    """Two people, one after the other."""
    for t in range(frames):
        if t < frames // 2:
            yield frame_with({0: (2 * t, 20, 20 + 2 * t, 80)})
        else:
            yield frame_with({1: (170 - 2 * t, 40, 195 - 2 * t, 110)})


def test_a_video_is_cut_and_indexed_at_once_and_goes_on(
    model: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_video(tmp_path / "gate.mp4", walk(), rate=25)
    detector = write_detector(tmp_path / "toy")
    words = (
        *("index", clip, "--detector", detector, "--modality", "visible", "--camera", "gate"),
        *("--start", "2026-11-24T18:30:00", "--out", tmp_path / "site.gallery"),
    )
    report = told(run, *words, "--model", model)
    crops = list((tmp_path / "site.crops").rglob("*.jpg"))
    # indexing a tracklet costs no more than its crops
    assert report["added"] == report["pictures"]["visible"] == len(crops) <= 16
    again = told(run, *words)
    assert (again["added"], again["unchanged"]) == (0, len(crops))
    query = crops[0]
    answer = told(
        run, "search", tmp_path / "site.gallery", query, "--modality", "visible", "--by", "tracklet"
    )
    assert answer["frames_count_by"] == "mean"
    assert len(answer["hits"]) == 2
    first = answer["hits"][0]
    assert first["tracklet"] == query.parent.name
    assert str(query) in [frame["path"] for frame in first["frames"]]
    shown = run(
        "search",
        tmp_path / "site.gallery",
        query,
        "--modality",
        "visible",
        "--by",
        "tracklet",
        "--frames",
        "quality",
        "--sheet",
        tmp_path / "strip.png",
    )
    assert "by quality of their frames" in shown[1]
    with Image.open(tmp_path / "strip.png") as sheet:
        assert sheet.height > 2 * contact_sheet.CELL[1]  # a row for each tracklet

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(people.Cutting, "step", broken)
    status, _, said = run(*words)
    assert status == 130
    assert "the same command goes on" in said


def test_options_of_cutting_need_a_detector(tmp_path: Path, run: Run) -> None:
    for option in (("--modality", "auto"), ("--rate", 5), ("--crops", tmp_path)):
        status, _, said = run("index", tmp_path, "--out", tmp_path / "g", *option)
        assert status == 2
        assert "belong to --detector" in said
