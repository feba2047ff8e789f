"""What people run into with published code cannot happen here.

Every test names the threads in which it was told.
"""

import random
import re
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from PIL import Image
from tests import stand_ins

import vireid
from vireid import datasets
from vireid.datasets import Dataset
from vireid.errors import VireidError
from vireid.models.card import ModelCard
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord, Modality
from vireid.scoring import baselines, evaluation, named_protocols
from vireid.scoring.baselines import Baseline
from vireid.scoring.metrics import score_ranking
from vireid.scoring.protocols import Protocol
from vireid.training_data.augmentation import Augmentation
from vireid.training_data.loading import PackedTrainingData
from vireid.training_data.settings import Data

pytestmark = pytest.mark.usefixtures("own_cache")

VISIBLE, INFRARED = Modality
SOURCE = Path(vireid.__file__).parent


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with "cam" in its name, which published code splits paths at."""
    place = tmp_path_factory.mktemp("webcam") / "cam1 backup"
    for name in ("sysu_mm01", "regdb", "llcm"):
        stand_ins.WRITERS[name](place / name)
    return place


@pytest.fixture(scope="module")
def features() -> tuple[Dataset, dict[ImageRecord, np.ndarray]]:
    """Vectors of person, camera and noise for a set built like LLCM: two or three cameras each."""
    rng = np.random.default_rng(0)
    people = rng.standard_normal((60, 32))
    places = {(m, c): rng.standard_normal(32) for m in Modality for c in range(1, 10)}
    vectors = {}
    for identity, person in enumerate(people):
        cameras = rng.choice(range(1, 10), size=rng.integers(2, 4), replace=False)
        for modality in Modality:
            for camera in cameras:
                if (modality, camera) == (INFRARED, 3):
                    continue
                look = person + 0.8 * rng.standard_normal(32) + 0.8 * places[modality, camera]
                for frame in range(rng.integers(5, 9)):
                    path = Path(f"{modality}/cam{camera}/{identity:04d}/{frame}.jpg")
                    record = ImageRecord(path, modality, identity, f"cam{camera}")
                    vector = look + 0.8 * rng.standard_normal(32)
                    vectors[record] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return Dataset("llcm", Path(), (), (), tuple(vectors), {}), vectors


def scores_of(
    protocol: Protocol, features: tuple[Dataset, dict[ImageRecord, np.ndarray]]
) -> tuple[float, float]:
    """Rank 1 and mAP, means over the trials."""
    dataset, vectors = features
    scores = []
    for trial in protocol.trials(dataset):
        sides = (trial.queries, trial.gallery)
        queries, gallery = (np.stack([vectors[r] for r in side]) for side in sides)
        asked, there = (np.array([r.identity for r in side]) for side in sides)
        hidden = protocol.hidden(trial)
        scores.append(score_ranking(queries @ gallery.T, asked, there, hidden, protocol.cmc))
    return fmean(s.rank(1) for s in scores), fmean(s.mean_ap for s in scores)


def test_swapped_roles_of_llcm_have_another_name_and_another_signature(
    features: tuple[Dataset, dict[ImageRecord, np.ndarray]],
) -> None:
    """Published as visible-to-infrared: rank 1 far above mAP; done as said, mAP at or above rank 1.

    https://github.com/ZYK100/LLCM/issues/34 https://github.com/ZYK100/LLCM/issues/35
    """
    for direction in ("visible-to-infrared", "infrared-to-visible"):
        rank1, mean_ap = scores_of(
            named_protocols.find("llcm/two-way", direction=direction), features
        )
        assert mean_ap >= rank1
    swapped = named_protocols.find("llcm/legacy-swapped")
    rank1, mean_ap = scores_of(swapped, features)
    assert rank1 > mean_ap + 0.05
    assert {r.modality for t in swapped.trials(features[0]) for r in t.queries} == {INFRARED}
    assert swapped.notes
    with pytest.raises(VireidError, match="llcm/legacy-swapped has no direction to choose"):
        named_protocols.find("llcm/legacy-swapped", direction="visible-to-infrared")


def test_both_directions_are_one_word_apart_and_differ(trees: Path) -> None:
    """https://github.com/mangye16/Cross-Modal-Re-ID-baseline/issues/22 and DDAG/issues/5."""
    dataset = datasets.read("regdb", trees / "regdb")
    people = sorted({record.identity or 0 for record in dataset.test})

    def embed(record: ImageRecord) -> np.ndarray:
        """The person; but one infrared picture in three looks more like the next person."""
        axes: np.ndarray = np.eye(len(people))
        number = people.index(record.identity or 0)
        mistaken = "_t_00001_" in record.path.name
        return np.asarray(axes[number] + mistaken * 2 * axes[(number + 1) % len(people)])

    found = {}
    for protocol in named_protocols.choose(dataset):
        (trial,) = protocol.trials(dataset)
        query, gallery = protocol.modalities
        assert protocol.direction == f"{query}-to-{gallery}"
        assert {r.modality for r in trial.queries} == {query}
        assert {r.modality for r in trial.gallery} == {gallery}
        scores = evaluation.score(Baseline("asymmetric", embed), dataset, protocol)
        found[protocol.direction] = scores.mean["R1"]
    assert found["visible-to-infrared"] == 1
    assert found["infrared-to-visible"] == pytest.approx(2 / 3)


def test_every_picture_passes_the_stem_of_its_own_spectrum(tmp_path: Path) -> None:
    """Here visible pictures are bright and infrared ones dark; a stem of the other would see it.

    https://github.com/ZYK100/LLCM/issues/19, 25, 30
    """
    root = stand_ins.write_regdb(tmp_path / "regdb")
    for path in root.rglob("*.bmp"):
        Image.new("L", (16, 32), 220 if "Visible" in path.parts else 30).convert("RGB").save(path)
    seen: set[tuple[Modality, bool]] = set()

    def network(pictures: np.ndarray, modality: Modality) -> np.ndarray:
        seen.update((modality, bool(picture.mean() > 128)) for picture in pictures)
        return np.eye(4, dtype=np.float32)[[0] * len(pictures)]

    card = ModelCard("marked stems", "here", "0" * 16, "float32", 32, 16, 4)
    embedder = Embedder(card, network, "regdb trial 1")
    dataset = datasets.read("regdb", root)
    evaluation.score_all(embedder, dataset, named_protocols.choose(dataset))
    assert seen == {(VISIBLE, True), (INFRARED, False)}


@pytest.mark.parametrize("learnt_on", ["regdb trial 1", "regdb", "unknown"])
def test_a_model_of_another_or_unknown_split_of_regdb_is_refused(
    learnt_on: str, trees: Path
) -> None:
    """https://github.com/mangye16/Cross-Modal-Re-ID-baseline/issues/19: absurdly high scores."""
    dataset = datasets.read("regdb", trees / "regdb", trial=2)
    wrong = Baseline("model", lambda record: np.ones(2), learnt_on=learnt_on)
    for protocol in named_protocols.choose(dataset):
        with pytest.raises(VireidError, match="cannot be scored on regdb trial 2"):
            evaluation.score(wrong, dataset, protocol)
    elsewhere = Baseline("model", lambda record: np.ones(2), learnt_on="nightwalk")
    for protocol in named_protocols.choose(dataset):  # it has seen nobody of any split
        evaluation.score(elsewhere, dataset, protocol)
    right = Baseline("model", lambda record: np.ones(2), learnt_on="regdb trial 2")
    assert (
        evaluation.score(right, dataset, named_protocols.find("regdb/10-trial")).trials[0].number
        == 2
    )
    with pytest.raises(VireidError, match="not a protocol of regdb; there are: regdb/10-trial"):
        named_protocols.choose(dataset, "folder/cross-spectrum")


def test_splits_of_regdb_that_do_not_exist_are_not_made_up(trees: Path) -> None:
    stills = datasets.read("sysu_mm01", trees / "sysu_mm01")
    with pytest.raises(VireidError, match="needs a data set with splits; sysu_mm01 has none"):
        named_protocols.find("regdb/10-trial").trials(stills)


def test_camera_2_is_hidden_from_camera_3_and_from_no_other(trees: Path) -> None:
    """They stand in one room: mangye16/Visible-Thermal-Person-Re-Identification/issues/5."""
    dataset = datasets.read("sysu_mm01", trees / "sysu_mm01")
    protocol = named_protocols.find("sysu/py-seed", "indoor")
    with_rule = evaluation.score(baselines.raw_pixels(), dataset, protocol)
    trial = protocol.trials(dataset)[0]
    hidden = protocol.hidden(trial)
    for row, query in enumerate(trial.queries):
        left_out = {g.identity for g, out in zip(trial.gallery, hidden[row], strict=True) if out}
        everyone = {g.identity for g in trial.gallery if g.camera == "cam2"}
        assert left_out == (everyone if query.camera == "cam3" else set())
    assert with_rule.trials[0].valid_queries < with_rule.trials[0].queries


def test_an_empty_camera_folder_is_accepted_where_it_is_documented(trees: Path) -> None:
    """https://github.com/ZYK100/LLCM/issues/12."""
    dataset = datasets.read("llcm", trees / "llcm")
    assert not any((trees / "llcm" / "test_nir" / "cam3").iterdir())
    for name in ("llcm/two-way", "llcm/full-gallery", "llcm/legacy-swapped"):
        for protocol in named_protocols.choose(dataset, name):
            assert protocol.trials(dataset)


def test_nothing_is_dumped_beside_the_pictures(trees: Path) -> None:
    """No `.npy` to make first: nengdong96/CSDN/issues/2 and 5, shijiangming1/MMM/issues/1."""
    dataset = datasets.read("sysu_mm01", trees / "sysu_mm01")
    before = sorted(dataset.root.rglob("*"))
    data = PackedTrainingData(
        dataset.train, Data("x", height=32, width=16, workers=0), Augmentation(pad=2), seed=0
    )
    assert next(iter(data.paired(2, 2)(0))).visible.shape == (4, 3, 32, 16)
    evaluation.score(baselines.raw_pixels(), dataset, named_protocols.find("sysu/py-seed"))
    assert sorted(dataset.root.rglob("*")) == before
    assert not [path for path in before if path.suffix == ".npy"]


def test_multi_shot_galleries_are_the_published_ones_or_none(trees: Path) -> None:
    """Several forks draw them with a generator that nobody has seeded."""
    with pytest.raises(VireidError, match="no published code draws several pictures reproducibly"):
        named_protocols.find("sysu/py-seed", "all", "multi")
    dataset = datasets.read("sysu_mm01", trees / "sysu_mm01")
    protocol = named_protocols.find("sysu/official", "all", "multi")
    drawn = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002  what unseeded code would draw from
        drawn.append(protocol.trials(dataset))
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("name", ["sysu_mm01", "llcm"])
def test_seeded_galleries_do_not_depend_on_what_was_drawn_before(name: str, trees: Path) -> None:
    dataset = datasets.read(name, trees / name)
    for protocol in named_protocols.choose(
        dataset, "sysu/py-seed" if name == "sysu_mm01" else None
    ):
        whole = protocol.trials(dataset)
        alone = Protocol(**{**vars(protocol), "trial_numbers": (7,)}).trials(dataset)
        assert alone[0].gallery == whole[7].gallery
        assert len({trial.gallery for trial in whole}) > 1


def test_names_that_pillow_and_numpy_have_dropped_are_not_used() -> None:
    """`Image.ANTIALIAS`: mangye16/Cross-Modal-Re-ID-baseline/pull/33; np.int, np.float, np.bool."""
    assert not hasattr(Image, "ANTIALIAS")
    dropped = re.compile(r"\bANTIALIAS\b|\bnp\.(int|float|bool|object)\b")
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 30
    assert [path.name for path in files if dropped.search(path.read_text(encoding="utf-8"))] == []


def test_published_counts_are_told_beside_those_on_disk(trees: Path) -> None:
    """367 people in place of 395 went unnoticed: zesenwu23/USL-VI-ReID/issues/9."""
    differences = datasets.read("sysu_mm01", trees / "sysu_mm01").differences
    assert "4 train identities on disk, 296 were published" in differences
    assert "cam6 has 16 test pictures on disk, 1920 were published" in differences


def test_queries_without_a_match_are_counted_or_explained(trees: Path) -> None:
    """https://github.com/JDAI-CV/fast-reid/issues/173: identities do not appear in gallery."""
    dataset = datasets.read("regdb", trees / "regdb")
    others = tuple(
        ImageRecord(r.path, r.modality, (r.identity or 0) + 100 * (r.modality is INFRARED))
        for r in dataset.test
    )
    strangers = Dataset("mine", dataset.root, (), (), others, {})
    with pytest.raises(VireidError, match="do both number the same people the same way"):
        evaluation.score(baselines.chance(), strangers, named_protocols.choose(strangers)[0])


def test_nothing_is_averaged_or_re_ranked_unless_it_is_asked_for(trees: Path) -> None:
    """https://github.com/1KK077/IDKL/issues/4: re-ranking was always on."""
    for name in named_protocols.OFFERED:
        protocol = named_protocols.find(name)
        assert (protocol.test_time_flip, protocol.re_ranking) == ("none", None)
