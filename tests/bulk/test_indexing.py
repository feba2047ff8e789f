"""Two raylets on loopback fill the same gallery as one process, whatever dies meanwhile."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bulk.conftest import TwoNodes
from tests.bulk.fragile import (
    KILLED,
    POISON,
    FragilePictureWorker,
    MeetingPictureWorker,
    UnbornPictureWorker,
)
from tests.onnx_model import person, write_model

from vireid import progress
from vireid.bulk.cluster import Cluster
from vireid.datasets import folder
from vireid.errors import Interrupted, VireidError
from vireid.gallery import Gallery
from vireid.gallery.gallery import new_entries
from vireid.gallery.sources import Source
from vireid.gallery.store import Entry
from vireid.models.embedder import Embedder
from vireid.models.engines import Running
from vireid.search import bulk_indexing, folder_indexing, indexing
from vireid.search.bulk_indexing import PictureWorker
from vireid.search.folder_indexing import IndexReport

RUNNING = Running(batch=2)
"""With so few pictures in a batch, shards have eight."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 pictures in both spectra, two of them broken."""
    root = tmp_path_factory.mktemp("sites") / "site"
    for number in range(160):
        spectrum, camera = ("visible", "cam1") if number % 3 else ("infrared", "cam2")
        place = root / spectrum / camera / f"{number % 20:04}"
        place.mkdir(parents=True, exist_ok=True)
        person(number).save(place / f"{number:04}.png")
    (root / "visible" / "cam1" / "0001" / "broken.jpg").write_bytes(b"\xff\xd8\xffno picture")
    (root / "infrared" / "cam2" / "0000" / "empty.png").touch()
    return root


def content(gallery: Path) -> list[tuple[Entry, bytes]]:
    """All that a gallery knows of each picture, with the bits of its vector, in its order."""
    with Gallery.open(gallery) as opened:
        found = []
        for page in opened._store.pages():
            vectors = page.read_vectors()
            found += [(e, v.tobytes()) for e, v in zip(page.entries, vectors, strict=True)]
        return found


def index(site: Path, out: Path, model: Path, cluster: Cluster | None = None) -> IndexReport:
    return folder_indexing.index(site, out, str(model), running=RUNNING, cluster=cluster)


@pytest.fixture(scope="module")
def by_one(site: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("galleries") / "one.gallery"
    index(site, out, model)
    return out


def test_two_nodes_fill_the_same_gallery_as_one_process(
    two_nodes: TwoNodes, site: Path, model: Path, by_one: Path, tmp_path: Path
) -> None:
    out = tmp_path / "two.gallery"
    steps: list[progress.Step] = []
    with progress.told_to(steps.append):
        report = index(site, out, model, two_nodes.asked)
    assert content(out) == content(by_one)
    assert len(content(out)) == 160
    alone = index(site, tmp_path / "again.gallery", model)
    assert report.as_dict() == {**alone.as_dict(), "gallery": str(out)}
    assert {Path(bad.where).name for bad in report.skipped} == {"broken.jpg", "empty.png"}
    assert {step.what for step in steps} == {"hashing pictures", "indexing pictures"}
    assert steps[-1].done == steps[-1].total == 162


def test_a_node_that_is_killed_in_the_middle_costs_nothing(
    two_nodes: TwoNodes, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []

    def kill(step: progress.Step) -> None:
        if step.what == "indexing pictures" and step.done and not killed:
            killed.append(step.done)
            two_nodes.kill_one()
            (tmp_path / KILLED).touch()

    monkeypatch.setattr(bulk_indexing, "PictureWorker", MeetingPictureWorker)
    embedder, out = Embedder.open(write_model(tmp_path / "toy")), tmp_path / "two.gallery"
    records = [replace(r, path=r.path.absolute()) for r in folder.find(site).records]
    with (
        Gallery.create(out, embedder) as gallery,
        bulk_indexing.on_cluster(two_nodes.asked, embedder, RUNNING) as work,
        progress.told_to(kill),
    ):
        done = indexing.index(records, embedder, gallery, Source(site), work=work)
        assert work.workers.deaths >= 1
    assert 0 < killed[0] < len(records) / 2
    assert (done.added, len(done.skipped)) == (160, 2)
    index(site, tmp_path / "one.gallery", tmp_path / "toy")
    assert content(out) == content(tmp_path / "one.gallery")


def test_an_interrupted_run_keeps_what_it_has_and_goes_on(
    two_nodes: TwoNodes, site: Path, model: Path, by_one: Path, tmp_path: Path
) -> None:
    def stop(step: progress.Step) -> None:
        if step.what == "indexing pictures" and step.done >= 40:
            raise KeyboardInterrupt

    out = tmp_path / "two.gallery"
    with progress.told_to(stop), pytest.raises(Interrupted, match="pictures are safe"):
        index(site, out, model, two_nodes.one_worker)
    safe = content(out)
    assert 38 <= len(safe) < 160
    assert set(safe) < set(content(by_one))
    assert index(site, out, model, two_nodes.one_worker).indexed.added == 160 - len(safe)
    assert content(out) == content(by_one)


@pytest.mark.slow
def test_the_picture_that_kills_its_workers_is_named_and_left_out(
    two_nodes: TwoNodes, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_indexing, "PictureWorker", FragilePictureWorker)
    for number in range(10):
        place = tmp_path / "site" / "visible" / "cam1" / f"{number:04}"
        place.mkdir(parents=True)
        person(number).save(place / (f"{POISON}.png" if number == 3 else "1.png"))
    out = tmp_path / "two.gallery"
    report = folder_indexing.index(
        tmp_path / "site", out, str(model), running=Running(batch=1), cluster=two_nodes.one_worker
    )
    (skipped,) = report.skipped
    assert Path(skipped.where).name == f"{POISON}.png"
    assert "3 workers died of it" in skipped.reason
    assert [entry.record.identity for entry, _ in content(out)] == [0, 1, 2, 4, 5, 6, 7, 8, 9]


class BlindPictureWorker(PictureWorker):
    """Sees no files, as a node that lacks a mount."""

    def hash(self, paths: Sequence[Path]) -> list[str | None]:
        return [None for _ in paths]


def test_a_node_that_does_not_see_the_pictures_is_named(
    two_nodes: TwoNodes, site: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_indexing, "PictureWorker", BlindPictureWorker)
    with pytest.raises(VireidError, match=r"node .* cannot read .*\.png; --ray needs pictures"):
        index(site, tmp_path / "two.gallery", model, two_nodes.one_worker)


def test_workers_that_cannot_be_begun_are_not_begun_for_ever(
    two_nodes: TwoNodes, site: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_indexing, "PictureWorker", UnbornPictureWorker)
    with pytest.raises(VireidError, match=r"no worker can be begun; the last: .* Every node needs"):
        index(site, tmp_path / "two.gallery", model, two_nodes.one_worker)


def test_a_node_with_another_model_is_named(
    two_nodes: TwoNodes, site: Path, tmp_path: Path
) -> None:
    path = write_model(tmp_path / "models" / "toy")
    embedder = Embedder.open(path)
    shutil.rmtree(path)
    write_model(path, seed=1)
    entries = new_entries(folder.find(site).records[:1])
    with (
        bulk_indexing.on_cluster(two_nodes.one_worker, embedder, RUNNING) as work,
        pytest.raises(VireidError, match=r"node .* has another model at .*: its fingerprint"),
    ):
        list(work.embedded(entries))


def test_a_picture_that_changes_meanwhile_is_left_for_the_next_run(
    two_nodes: TwoNodes, model: Path, tmp_path: Path
) -> None:
    place = tmp_path / "site" / "visible" / "cam1" / "0001"
    place.mkdir(parents=True)
    for number in range(3):
        person(number).save(place / f"{number}.png")

    def change(step: progress.Step) -> None:
        if step.what == "indexing pictures" and step.done == 0:
            person(7).save(place / "1.png")

    with progress.told_to(change):
        report = index(tmp_path / "site", tmp_path / "two.gallery", model, two_nodes.one_worker)
    assert [(Path(bad.where).name, bad.reason) for bad in report.skipped] == [
        ("1.png", "it changed while it was being indexed")
    ]
    assert index(tmp_path / "site", tmp_path / "two.gallery", model).indexed.added == 1


def test_more_is_asked_for_than_any_node_has(
    two_nodes: TwoNodes, site: Path, model: Path, tmp_path: Path
) -> None:
    greedy = replace(two_nodes.asked, threads=5)
    with pytest.raises(VireidError, match="a worker needs 5 processors and 0 GPUs of one node"):
        folder_indexing.index(site, tmp_path / "g", str(model), running=RUNNING, cluster=greedy)
