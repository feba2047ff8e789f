"""Chances come true on people that nobody has calibrated on."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crowd import crowd

from vireid.errors import VireidError
from vireid.models import calibration
from vireid.models.calibration import Calibration, CalibrationError, Curve, direction
from vireid.records import ImageRecord, Modality
from vireid.scoring import reliability
from vireid.scoring.calibrating import learning
from vireid.scoring.calibrating.likeness import likeness_of
from vireid.scoring.calibrating.pairs import BINS, CENTRES, EDGES, FOLDS, Pairs, Search

VISIBLE, INFRARED = Modality
WAY = direction(INFRARED, VISIBLE)


@pytest.fixture(scope="module")
def made() -> Calibration:
    vectors, records = crowd(60, noise=0.9)
    return learning.calibrate(vectors, records, "f00d", "60 people")


def simulated(apart: float, spread: float, people: int, seed: int) -> Pairs:
    """Pairs whose similarities are normal: ln LR is known, and linear."""
    generator = np.random.default_rng(seed)
    folds = generator.permutation(people) % FOLDS
    same = np.zeros((people, BINS), np.float32)
    different = np.zeros((people, FOLDS, BINS), np.float32)
    for person in range(people):
        own = np.clip(generator.normal(apart, spread, 40), -0.999, 0.999)
        same[person] = np.histogram(own, EDGES)[0]
        others = np.clip(generator.normal(0, spread, (FOLDS, 80)), -0.999, 0.999)
        different[person] = [np.histogram(values, EDGES)[0] for values in others]
    return Pairs(same, different, folds, 1.0)


@settings(max_examples=6, deadline=None)
@given(st.floats(0.1, 0.5), st.floats(0.08, 0.15), st.integers(0, 10_000))
def test_a_curve_is_the_likelihood_ratio_that_is_known(
    apart: float, spread: float, seed: int
) -> None:
    known = learning.learn_direction(simulated(apart, spread, 60, seed))
    at = np.linspace(-0.5, 1, 301)
    truth = (apart * at - apart**2 / 2) / spread**2
    shares = 1 / (1 + np.exp(-truth)), 1 / (1 + np.exp(-known.curve.log_ratio(at)))
    seen = np.exp(-((at - apart) ** 2) / spread**2 / 2) + np.exp(-(at**2) / spread**2 / 2)
    assert np.average(np.abs(shares[0] - shares[1]), weights=seen) < 0.02
    assert (np.diff(known.curve.log_ratios) >= 0).all()
    fresh = simulated(apart, spread, 400, seed + 1)
    same, different = fresh.counted()
    assert reliability._of_pairs(known, same, different).error <= 0.03


def test_where_the_truth_is_no_line_the_isotonic_curve_is_taken() -> None:
    """Half of the pairs of one person are as alike as strangers, the rest are near 1."""
    pairs = simulated(0.0, 0.1, 60, 3)
    lifted = np.zeros_like(pairs.same)
    lifted[:, int(np.searchsorted(EDGES, 0.9))] = 40
    pairs = replace(pairs, same=pairs.same + lifted)
    known = learning.learn_direction(pairs)
    assert known.curve.kind == "isotonic"
    assert known.log_loss["isotonic"] < known.log_loss["logistic"]


def test_chances_come_true_on_people_never_seen(made: Calibration) -> None:
    vectors, records = crowd(60, noise=0.9, seed=1, first=1000)
    for query in Modality:
        search = Search.among(vectors, records, query, query.other)
        known = made.of(query, query.other)
        measured = reliability.of_search(search, "", known=known)
        assert measured is not None
        assert measured.pairs is not None
        assert measured.hits is not None
        assert measured.nobody is not None
        assert measured.pairs.error <= 0.03
        assert measured.hits.error <= 0.05
        assert measured.nobody.error <= 0.08


def test_the_interval_says_how_few_people_there_are(made: Calibration) -> None:
    vectors, records = crowd(20, noise=0.9)
    few = learning.calibrate(vectors, records, "f00d", "20 people")
    ends = [each.directions[WAY].curve.interval(0.3, 0.5) for each in (few, made)]
    widths = [high - low for low, high in ends]
    assert widths[0] > 1.2 * widths[1] > 0


def test_a_gallery_without_the_person_says_so(made: Calibration) -> None:
    known = made.directions[WAY]
    assert known.nobody is not None
    alone, found = (
        known.nobody.probability([0.3] * 10, 360),
        known.nobody.probability([0.9, *[0.3] * 9], 360),
    )
    assert found < 0.1 < 0.5 < alone
    # the same best similarity says less among more pictures
    assert known.nobody.probability([0.6] * 10, 100) < known.nobody.probability([0.6] * 10, 100_000)
    assert known.nobody.probability([], 0) == 1.0


def test_too_few_people_are_refused_with_the_number_needed() -> None:
    vectors, records = crowd(19)
    with pytest.raises(CalibrationError, match=r"19 people were seen in both .* needs 20"):
        learning.calibrate(vectors, records, "f00d", "19 people")


def test_a_direction_without_pairs_is_left_out() -> None:
    vectors, records = crowd(30)
    kept_rows = [place for place, r in enumerate(records) if r.camera in ("cam0", "cam1")]
    one_camera = [records[place] for place in kept_rows]
    made = learning.calibrate(vectors[kept_rows], one_camera, "f00d", "30 people")
    assert set(made.directions) == {
        name
        for centred in (False, True)
        for name in (
            direction(VISIBLE, INFRARED, centred=centred),
            direction(INFRARED, VISIBLE, centred=centred),
        )
    }
    assert made.of(VISIBLE, VISIBLE) is None


def test_similarities_that_are_all_the_same_are_refused() -> None:
    _, records = crowd(30)
    alike = np.tile(np.eye(1, 32, dtype=np.float32), (len(records), 1))
    with pytest.raises(CalibrationError, match="similarities of these pictures are the same"):
        learning.calibrate(alike, records, "f00d", "30 people")


def test_a_model_that_is_worse_than_chance_is_told_nothing() -> None:
    known = learning.learn_direction(simulated(-0.3, 0.1, 30, 0))
    assert known.curve.probability(0.5, 0.5) == pytest.approx(0.5, abs=0.02)


def visible_of(vectors: np.ndarray, records: list[ImageRecord]) -> np.ndarray:
    return vectors[[record.modality is VISIBLE for record in records]]


def test_pictures_unlike_those_of_the_calibration_are_told() -> None:
    """Embeddings of a network share a mean; those of other pictures have another one."""
    learnt = crowd(60, noise=0.9, shift=(1.0, 0.0))
    likeness = likeness_of(*learnt, VISIBLE, 0)
    fresh = visible_of(*crowd(100, noise=0.9, seed=5, first=500, shift=(1.0, 0.0)))
    alarms = np.mean([likeness.are_unlike(vector[None]) for vector in fresh])
    assert alarms <= 0.05  # 0.01 is promised
    assert not likeness.are_unlike(fresh)
    other = visible_of(*crowd(100, noise=0.9, seed=5, first=500, shift=(0.0, 1.0)))
    assert likeness.are_unlike(other)
    assert np.mean([likeness.are_unlike(vector[None]) for vector in other]) > 0.5


def test_it_is_kept_whole_and_only_for_its_model(
    made: Calibration, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "calibration.json"
    path.write_bytes(msgspec.json.encode(made))
    assert calibration.read(path, "f00d") == made
    assert calibration.read(tmp_path / "none.json", "f00d") is None
    assert calibration.read(path, "cafe") is None
    assert "trained further" in caplog.text
    path.write_text(path.read_text(encoding="utf-8").replace('"log_ratios":[', '"log_ratios":[9,'))
    with pytest.raises(CalibrationError, match=r"calibration\.json is damaged"):
        calibration.read(path, "f00d")


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.floats(0.001, 0.999))
def test_chances_rise_with_similarity_and_stay_between_0_and_1(
    similarities: list[float], prior: float
) -> None:
    curve = Curve(
        kind="logistic",
        similarities=(-0.2, 0.5),
        log_ratios=(-9.0, 800.0),
        low=(-9.5, 700.0),
        high=(-8.0, 900.0),
    )
    chances = [curve.probability(each, prior) for each in sorted(similarities)]
    assert chances == sorted(chances)
    assert all(0 <= chance <= 1 for chance in chances)
    for each in similarities:
        low, high = curve.interval(each, prior)
        assert low <= curve.probability(each, prior) <= high


def test_judged_hits_serve_too_with_their_number() -> None:
    generator = np.random.default_rng(0)
    hits = [(float(generator.normal(0.6, 0.1)), True, f"q{n % 8}") for n in range(20)]
    hits += [(float(generator.normal(0.2, 0.1)), False, f"q{n % 8}") for n in range(20)]
    found = learning.from_judgements({WAY: hits}, "f00d", "40 hits")
    known = found.directions[WAY]
    assert (known.same, known.different, known.people) == (20, 20, 8)
    assert known.curve.probability(0.6, 0.5) > 0.9 > 0.1 > known.curve.probability(0.2, 0.5)
    low, high = known.curve.interval(0.4, 0.5)
    assert high - low > 0.2
    with pytest.raises(CalibrationError, match=r"10 confirmed and 10 rejected hits .*20 confirmed"):
        learning.from_judgements({WAY: hits[:25]}, "f00d", "25 hits")


def test_a_threshold_lets_pass_the_share_of_strangers_that_it_names(made: Calibration) -> None:
    vectors, records = crowd(60, noise=0.9)
    same, different = Search.among(vectors, records, INFRARED, VISIBLE).pairs().counted()
    threshold = made.directions[WAY].thresholds["0.01"]
    share = different[threshold < CENTRES].sum() / different.sum()
    assert 0.005 < share <= 0.01
    assert same.sum() > 0


def test_dir_is_that_of_the_definition() -> None:
    there = np.array([0.9, 0.8, 0.4, 0.2])
    right = np.array([True, False, True, True])
    gone = np.array([0.1, 0.3, 0.5, 0.05])
    # one of four strangers may raise an alarm, so the threshold is 0.3
    assert reliability.identified(0.25, there, right, gone) == 0.5
    assert reliability.identified(0.0, there, right, gone) == 0.25
    assert reliability.identified(1.0, there, right, gone) == 0.75


def test_a_curve_that_falls_is_refused() -> None:
    with pytest.raises(ValueError, match="falls"):
        Curve(
            kind="isotonic",
            similarities=(0.0, 1.0),
            log_ratios=(1.0, 0.0),
            low=(0.0, 0.0),
            high=(1.0, 1.0),
        )
    assert issubclass(CalibrationError, VireidError)
