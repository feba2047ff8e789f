"""Flip averaging and re-ranking stand beside plain scores and never in place of them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests import sysu_layout
from tests.onnx_model import write_model

from vireid import datasets
from vireid.datasets import Dataset
from vireid.errors import VireidError
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord, Modality
from vireid.scoring import baselines, evaluation, named_protocols, tables
from vireid.scoring.metrics import score_ranking
from vireid.scoring.protocols import Flip, Protocol, Trial
from vireid.scoring.re_ranking import KReciprocal, re_rank

PLAIN = named_protocols.find("sysu/official")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Pictures that are not symmetric."""
    root = sysu_layout.write(tmp_path_factory.mktemp("data") / "sysu")
    for number, path in enumerate(sorted(root.glob("cam*/*/*.jpg"))):
        identity = int(path.parent.name)
        pixels = np.random.default_rng((identity, number)).integers(0, 90, (48, 24, 3))
        pixels += (
            np.random.default_rng(identity).integers(0, 160, (6, 3, 3)).repeat(8, 0).repeat(8, 1)
        )
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return datasets.read("sysu_mm01", root)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    return Embedder.open(write_model(tmp_path_factory.mktemp("models") / "toy"))


def of_pictures(embedder: Embedder, records: tuple[ImageRecord, ...], mirror: bool) -> np.ndarray:
    """Picture by picture, mirrored by Pillow."""
    rows = []
    for record in records:
        with Image.open(record.path) as picture:
            sized = picture.resize((embedder.width, embedder.height), Image.Resampling.BILINEAR)
            turned = sized.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirror else sized
        rows.append(embedder.embed([turned], record.modality)[0])
    return np.stack(rows)


Embedded = tuple[list[np.ndarray], list[np.ndarray]]
"""Of queries and gallery: of pictures, of mirror images."""


@pytest.fixture(scope="module")
def trial(dataset: Dataset) -> Trial:
    return replace(PLAIN, trial_numbers=(0,)).trials(dataset)[0]


@pytest.fixture(scope="module")
def embedded(embedder: Embedder, trial: Trial) -> Embedded:
    u, v = (
        [of_pictures(embedder, part, mirror) for part in (trial.queries, trial.gallery)]
        for mirror in (False, True)
    )
    return u, v


def similarity_by_hand(embedded: Embedded, flip: Flip) -> np.ndarray:
    """One pair at a time, straight from the formulas."""
    u, v = embedded
    rows = np.empty((len(u[0]), len(u[1])), np.float32)
    for q in range(len(u[0])):
        for g in range(len(u[1])):
            sums = u[0][q] + v[0][q], u[1][g] + v[1][g]
            rows[q, g] = {
                "none": u[0][q] @ u[1][g],
                "sum": sums[0] @ sums[1],
                "mean": sums[0] @ sums[1] / np.linalg.norm(sums[0]) / np.linalg.norm(sums[1]),
                "concatenation": (u[0][q] @ u[1][g] + v[0][q] @ v[1][g]) / 2,
            }[flip]
    return rows


def metrics_of(similarity: np.ndarray, trial: Trial, protocol: Protocol) -> list[float]:
    queries, gallery = (
        np.array([record.identity for record in part]) for part in (trial.queries, trial.gallery)
    )
    ranking = score_ranking(similarity, queries, gallery, protocol.hidden(trial))
    return [ranking.rank(1), ranking.mean_ap, ranking.mean_inp]


@pytest.mark.parametrize("flip", ["none", "mean", "sum", "concatenation"])
def test_flips_are_averaged_as_their_names_say(
    flip: Flip, dataset: Dataset, embedder: Embedder, trial: Trial, embedded: Embedded
) -> None:
    protocol = replace(PLAIN, test_time_flip=flip, trial_numbers=(0,))
    scores = evaluation.score(embedder, dataset, protocol)
    expected = metrics_of(similarity_by_hand(embedded, flip), trial, protocol)
    found = [scores.mean[name] for name in ("R1", "mAP", "mINP")]
    assert found == pytest.approx(expected, abs=1e-6)


def test_the_ways_to_average_differ(embedded: Embedded) -> None:
    ways: list[Flip] = ["none", "mean", "sum", "concatenation"]
    orders = [similarity_by_hand(embedded, way).argsort(axis=1) for way in ways]
    for i, one in enumerate(orders):
        assert all((one != other).any() for other in orders[i + 1 :])


def test_scores_with_options_stand_beside_the_plain_ones(
    dataset: Dataset, embedder: Embedder
) -> None:
    flipped = replace(PLAIN, test_time_flip="sum")
    both = replace(flipped, re_ranking=KReciprocal(5, 2))
    plain, with_flip, with_both = evaluation.score_all(embedder, dataset, [PLAIN, flipped, both])
    assert plain == evaluation.score(embedder, dataset, PLAIN)
    results = [json.loads(json.dumps(s.as_dict())) for s in (plain, with_flip, with_both)]
    said = [(r["protocol"]["test_time_flip"], r["protocol"]["re_ranking"]) for r in results]
    parameters = {"k1": 5, "k2": 2, "weight": 0.3, "name": "k-reciprocal"}
    assert said == [("none", None), ("sum", None), ("sum", parameters)]
    key = "sysu_mm01 test: sysu/official all single-shot"
    options = ("", ", flip sum", ", flip sum, k-reciprocal k1=5 k2=2 lambda=0.3")
    assert [result["key"] for result in results] == [key + option for option in options]
    titles = [str(shown.title) for shown in tables.tables([with_both, plain, with_flip])]
    assert "flip" not in titles[0]
    assert titles[1].endswith("flip sum")
    assert titles[2].endswith("flip sum, k-reciprocal k1=5 k2=2 lambda=0.3")


def test_re_ranking_keeps_to_what_cameras_hide(dataset: Dataset, embedder: Embedder) -> None:
    """A query of camera 3 is re-ranked as if camera 2 had taken nothing."""
    protocol = replace(PLAIN, re_ranking=KReciprocal(6, 3), trial_numbers=(0,))
    found = evaluation.score(embedder, dataset, protocol)
    (trial,) = protocol.trials(dataset)
    queries, gallery = (embedder.embed_records(part) for part in (trial.queries, trial.gallery))
    similarity = re_rank(queries, gallery, parameters=KReciprocal(6, 3))
    elsewhere = np.array([record.camera != "cam2" for record in trial.gallery])
    in_room = np.array([record.camera == "cam3" for record in trial.queries])
    without = re_rank(queries, gallery[elsewhere], parameters=KReciprocal(6, 3))
    similarity[np.ix_(in_room, elsewhere)] = without[in_room]
    expected = metrics_of(similarity, trial, protocol)
    assert [found.mean[name] for name in ("R1", "mAP", "mINP")] == pytest.approx(expected)


def test_re_ranking_does_not_learn_who_is_seen_from_what_identities_hide() -> None:
    """LLCM hides a person's own camera; whoever is on the pictures, similarities are the same."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((24, 6)).astype(np.float32)

    def trial(identities: list[int]) -> Trial:
        records = [
            ImageRecord(Path(f"{i}.jpg"), list(Modality)[i % 2], identity, "cam1")
            for i, identity in enumerate(identities)
        ]
        return Trial(0, tuple(records[::2]), tuple(records[1::2]))

    protocol = replace(named_protocols.find("llcm/two-way"), re_ranking=KReciprocal(4, 2))
    one, other = trial([i // 4 for i in range(24)]), trial([i // 6 for i in range(24)])
    assert (protocol.hidden(one) != protocol.hidden(other)).any()
    np.testing.assert_array_equal(
        evaluation._similarity(one, protocol, vectors[::2], vectors[1::2]),
        evaluation._similarity(other, protocol, vectors[::2], vectors[1::2]),
    )


def test_scores_do_not_depend_on_the_order_in_which_pictures_are_listed(
    dataset: Dataset, embedder: Embedder
) -> None:
    wanted = named_protocols.beside_plain([PLAIN], "concatenation", "k-reciprocal")
    turned = replace(dataset, test=dataset.test[::-1])
    for one, other in zip(
        evaluation.score_all(embedder, dataset, wanted),
        evaluation.score_all(embedder, turned, wanted),
        strict=True,
    ):
        assert one == other


def test_what_is_done_at_test_time_has_to_be_offered() -> None:
    assert named_protocols.beside_plain([PLAIN]) == [PLAIN]
    with pytest.raises(VireidError, match="no flip 'summ'; did you mean 'sum'"):
        named_protocols.beside_plain([PLAIN], "summ")
    with pytest.raises(VireidError, match="no re-ranking 'gnn'"):
        named_protocols.beside_plain([PLAIN], "none", "gnn")


def test_baselines_have_no_mirror_images(dataset: Dataset) -> None:
    with pytest.raises(VireidError, match="chance cannot be averaged over flips"):
        evaluation.score(baselines.chance(), dataset, replace(PLAIN, test_time_flip="mean"))
