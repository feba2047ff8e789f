"""Galleries are drawn as the published code draws them, picture by picture."""

import doctest
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat
from tests import sysu_layout

from vireid import datasets
from vireid.datasets._sysu_layout import MODALITIES
from vireid.errors import VireidError
from vireid.records import ImageRecord
from vireid.scoring import named_protocols, protocols, sysu_permutations
from vireid.scoring.metrics import CmcVariant, score_ranking
from vireid.scoring.protocols import Protocol, Trial
from vireid.scoring.sysu_permutations import read_permutations

PUBLISHED: dict[str, Any] = json.loads(
    Path(__file__).with_name("sysu_mm01_galleries.json").read_text(encoding="utf-8")
)
PERMUTATIONS = os.environ.get("VIREID_RAND_PERM_CAM", "")
"""A copy of SYSU-MM01's rand_perm_cam.mat; tests of the official galleries need it."""
needs_permutations = pytest.mark.skipif(
    not PERMUTATIONS, reason="VIREID_RAND_PERM_CAM does not name a copy of rand_perm_cam.mat"
)


@pytest.fixture(scope="module")
def sysu(tmp_path_factory: pytest.TempPathFactory) -> datasets.Dataset:
    """SYSU-MM01's test pictures, out of order; nobody needs the files."""
    records = [
        ImageRecord(
            Path(f"/cam9/{camera}/{identity:04d}/{frame:04d}.jpg"), modality, identity, camera
        )
        for camera, modality in MODALITIES.items()
        for identity, count in zip(
            PUBLISHED["identities"], PUBLISHED["pictures"][camera], strict=True
        )
        for frame in range(1, count + 1)
    ]
    random.Random(0).shuffle(records)
    root = tmp_path_factory.mktemp("sysu")
    (root / "exp").mkdir()
    if PERMUTATIONS:
        shutil.copy(PERMUTATIONS, root / "exp" / "rand_perm_cam.mat")
    return datasets.Dataset("sysu_mm01", root, (), (), tuple(records), {})


def protocol_of(name: str) -> Protocol:
    return named_protocols.find(*name.split())


SEEDED = [name for name in PUBLISHED["galleries"] if "py-seed" in name]
OFFICIAL = [name for name in PUBLISHED["galleries"] if "official" in name]


@pytest.mark.parametrize(
    "name", [*SEEDED, *(pytest.param(n, marks=needs_permutations) for n in OFFICIAL)]
)
def test_galleries_are_those_of_the_published_code(name: str, sysu: datasets.Dataset) -> None:
    trials = protocol_of(name).trials(sysu)
    assert [protocols.list_fingerprint(t.gallery) for t in trials] == PUBLISHED["galleries"][name]
    assert {protocols.list_fingerprint(t.queries) for t in trials} == {PUBLISHED["queries"]}


def hashed_similarity(trial: Trial) -> np.ndarray:
    """Numbers from the names of two pictures, higher for one person; as ranks, to fit float32.

    u + 0.25 if the identities agree else u, u being the first 12 hex digits of the SHA-256 of
    "query|gallery" as a fraction of 1.
    """
    gallery = [
        (line, r.identity)
        for line, r in zip(protocols.listing(trial.gallery).split("\n"), trial.gallery, strict=True)
    ]
    rows = []
    for line, query in zip(
        protocols.listing(trial.queries).split("\n"), trial.queries, strict=True
    ):
        start = hashlib.sha256(f"{line}|".encode())
        row = []
        for name, identity in gallery:
            digest = start.copy()
            digest.update(name.encode())
            row.append(
                int.from_bytes(digest.digest()[:6], "big") / 16**12
                + 0.25 * (identity == query.identity)
            )
        rows.append(row)
    return np.array(rows).argsort(axis=1).argsort(axis=1).astype(np.float32)


def check_scores(protocol: Protocol, trial: Trial, expected: dict[str, Any]) -> None:
    similarity = hashed_similarity(trial)
    queries, gallery = (
        np.array([record.identity for record in part]) for part in (trial.queries, trial.gallery)
    )
    hidden = protocol.hidden(trial)
    variants: list[tuple[dict[str, Any], np.ndarray | None, CmcVariant]] = [
        (expected, hidden, "identity")
    ]
    if "nothing hidden" in expected:
        variants.append((expected["nothing hidden"], None, "identity"))
        variants.append((expected["plain ranks"], hidden, "plain"))
    for values, hides, cmc in variants:
        scores = score_ranking(similarity, queries, gallery, hides, cmc)
        assert scores.valid_queries == values["valid_queries"]
        for k in (1, 5, 10, 20):
            assert scores.rank(k) == pytest.approx(values[f"R{k}"], abs=1e-6)
        assert scores.mean_ap == pytest.approx(values["mAP"], abs=1e-6)
        assert scores.mean_inp == pytest.approx(values["mINP"], abs=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        name if "py-seed" in name else pytest.param(name, marks=needs_permutations)
        for name in PUBLISHED["scores"]
    ],
)
def test_scores_are_those_of_the_published_evaluation_and_of_its_wrong_variants(
    name: str, sysu: datasets.Dataset
) -> None:
    *protocol_name, number = name.split()
    protocol = replace(named_protocols.find(*protocol_name), trial_numbers=(int(number),))
    (trial,) = protocol.trials(sysu)
    check_scores(protocol, trial, PUBLISHED["scores"][name])


def only(dataset: datasets.Dataset, wanted: Callable[[ImageRecord], bool]) -> datasets.Dataset:
    return replace(dataset, test=tuple(filter(wanted, dataset.test)))


@pytest.fixture
def dataset(tmp_path: Path) -> datasets.Dataset:
    return datasets.read("sysu_mm01", sysu_layout.write(tmp_path))


def test_draws_leave_the_global_generator_alone(dataset: datasets.Dataset) -> None:
    """In a process of its own: what checks types in here draws from that generator."""
    script = f"""
import random
from pathlib import Path
from vireid import datasets
from vireid.scoring import named_protocols, protocols, sysu_permutations
dataset = datasets.read("sysu_mm01", Path({str(dataset.root)!r}))
before = random.getstate()
drawn = named_protocols.find("sysu/py-seed").trials(dataset)
print(len(drawn), random.getstate() == before)
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert answer.stdout == "10 True\n", answer.stderr


def test_only_the_pictures_of_one_room_are_hidden(dataset: datasets.Dataset) -> None:
    protocol = named_protocols.find("sysu/py-seed")
    trial = protocol.trials(dataset)[0]
    hidden = protocol.hidden(trial)
    for q, query in enumerate(trial.queries):
        for g, picture in enumerate(trial.gallery):
            assert hidden[q, g] == (query.camera == "cam3" and picture.camera == "cam2")
    assert hidden.any()


def test_official_galleries_are_the_first_entries_of_each_permutation(
    dataset: datasets.Dataset,
) -> None:
    orders = read_permutations(dataset.root)
    trials = named_protocols.find("sysu/official", "all", "single").trials(dataset)
    for trial in trials:
        keys = [(record.camera, record.identity) for record in trial.gallery]
        assert keys == sorted(keys)
        for record in trial.gallery:
            assert record.identity is not None
            assert record.camera is not None
            first = orders[record.identity, record.camera][trial.number, 0]
            assert record.path.stem == f"{first:04d}"


@pytest.mark.parametrize("shot", ["single", "multi"])
def test_official_indoor_galleries_are_part_of_those_of_all_cameras(
    shot: str, dataset: datasets.Dataset
) -> None:
    everywhere, indoors = (
        named_protocols.find("sysu/official", mode, shot).trials(dataset)
        for mode in ("all", "indoor")
    )
    for large, small in zip(everywhere, indoors, strict=True):
        assert set(small.gallery) < set(large.gallery)
        assert large.queries == small.queries


def test_multi_shot_takes_everything_where_there_are_not_ten(dataset: datasets.Dataset) -> None:
    trial = named_protocols.find("sysu/official", "all", "multi").trials(dataset)[0]
    visible = {record for record in dataset.test if record.modality == "visible"}
    assert set(trial.gallery) == visible
    assert len(trial.gallery) == len(visible)


def test_permutations_are_read_by_camera_and_person(dataset: datasets.Dataset) -> None:
    orders = read_permutations(dataset.root)
    assert set(orders) == {(identity, camera) for camera, identity in sysu_layout.COUNTS}
    assert orders[4, "cam1"].shape == (10, sysu_layout.COUNTS["cam1", 4])


def test_missing_permutations_say_where_to_get_them(dataset: datasets.Dataset) -> None:
    sysu_permutations.permutations_path(dataset.root).unlink()
    with pytest.raises(
        VireidError, match=r"rand_perm_cam.mat is missing; .* download it from https"
    ):
        named_protocols.find("sysu/official").trials(dataset)


def test_permutations_are_read_without_scipy(
    dataset: datasets.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    assert sysu_permutations.read_permutations(dataset.root)


def test_damaged_permutations_are_refused(dataset: datasets.Dataset) -> None:
    path = sysu_permutations.permutations_path(dataset.root)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(VireidError, match="cannot be read as SYSU-MM01's permutations"):
        sysu_permutations.read_permutations(dataset.root)
    cell, cells = np.empty((1, 1), dtype=object), np.empty((1, 1), dtype=object)
    cell[0, 0] = np.full((10, 3), 2)
    cells[0, 0] = cell
    savemat(path, {"rand_perm_cam": cells})
    with pytest.raises(VireidError, match="person 0001 under cam1 are no permutations"):
        sysu_permutations.read_permutations(dataset.root)


def test_permutations_of_other_pictures_are_refused(dataset: datasets.Dataset) -> None:
    fewer = only(dataset, lambda r: r.path.parts[-3:] != ("cam4", "0012", "0001.jpg"))
    with pytest.raises(VireidError, match=r"cam4/0012 has 2 pictures, but .* permutes 3"):
        named_protocols.find("sysu/official").trials(fewer)
    nobody = only(dataset, lambda r: (r.camera, r.identity) != ("cam5", 4))
    with pytest.raises(VireidError, match="cam5/0004 has 0 pictures"):
        named_protocols.find("sysu/official").trials(nobody)
    sysu_layout.write_permutations(dataset.root, sysu_layout.COUNTS, trials=9)
    with pytest.raises(VireidError, match="9 rows for cam1/0004, trial 9 needs one more"):
        named_protocols.find("sysu/official").trials(dataset)


def test_a_set_without_queries_or_gallery_is_refused(dataset: datasets.Dataset) -> None:
    protocol = named_protocols.find("sysu/py-seed")
    for modality, cameras in (("visible", "cam3 or cam6"), ("infrared", "cam1 or cam2")):
        one_spectrum = only(dataset, lambda r: r.modality == modality)  # noqa: B023
        with pytest.raises(VireidError, match=f"no test picture of {cameras}"):
            protocol.trials(one_spectrum)


def test_pictures_of_nobody_are_refused(dataset: datasets.Dataset) -> None:
    records = (*dataset.test, replace(dataset.test[0], identity=None))
    with pytest.raises(VireidError, match="needs an identity and a camera"):
        named_protocols.find("sysu/py-seed").trials(replace(dataset, test=records))


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (("sysu/py-seed", "all", "multi"), "single-shot only: .* use sysu/official"),
        (("sysu/oficial",), "did you mean 'sysu/official'"),
        (("sysu/official", "indoors"), "no mode 'indoors'; did you mean 'indoor'"),
        (("sysu/official", "all", "few"), "no shot 'few'"),
    ],
)
def test_what_is_not_offered_is_refused(asked: tuple[str, ...], why: str) -> None:
    with pytest.raises(VireidError, match=why):
        named_protocols.find(*asked)


def test_all_modes_and_shots_on_offer_are_chosen_by_default(dataset: datasets.Dataset) -> None:
    def titles(*asked: str) -> list[str]:
        return [protocol.title for protocol in named_protocols.choose(dataset, *asked)]

    modes = ("all", "indoor")
    official = [f"sysu/official {m} {s}-shot" for m in modes for s in ("single", "multi")]
    seeded = [f"sysu/py-seed {m} single-shot" for m in modes]
    assert titles() == official
    assert titles("sysu/py-seed") == seeded
    assert titles("sysu/official", "indoor", "multi") == official[-1:]
    sysu_permutations.permutations_path(dataset.root).unlink()
    assert [protocol.title for protocol in named_protocols.choose(dataset)] == seeded


def test_the_worked_examples_hold() -> None:
    result = doctest.testmod(named_protocols)
    assert result.attempted > result.failed == 0
