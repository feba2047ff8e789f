"""Tracks: people keep their numbers while they walk, cross, hide and come back."""

import math

import numpy as np
import pytest

from vireid.errors import VireidError
from vireid.video.boxes import Detection
from vireid.video.tracks import Settings, Tracker

RATE = 30


def person(
    across: float, score: float = 0.9, down: float = 100.0, height: float = 100
) -> Detection:
    aside, above = 0.2 * height, height / 2
    return Detection((across - aside, down - above, across + aside, down + above), score)


Frames = list[list[Detection]]


def followed(frames: Frames, rate: float = RATE, **settings: float) -> list[list[int]]:
    """The numbers in each frame, in the order of where people are from left to right."""
    tracker = Tracker(Settings(**settings))  # type: ignore[arg-type]
    found = [tracker.update(people, number / rate) for number, people in enumerate(frames)]
    return [
        [e.track for e in sorted(of_frame, key=lambda e: e.detection.sides)] for of_frame in found
    ]


def test_people_keep_their_numbers_while_they_walk() -> None:
    frames = [[person(100 + 3 * t), person(600 - 3 * t, down=300)] for t in range(60)]
    numbers = followed(frames)
    assert numbers[0] == []  # a second frame confirms them
    assert numbers[1] == [1, 2]
    assert all(each == [1, 2] for each in numbers[1:])


def test_people_who_cross_keep_their_numbers() -> None:
    # One passes before the other, who has no box while hidden.
    frames = []
    for t in range(90):
        one, other = person(100 + 4 * t, height=120), person(460 - 4 * t, 0.8)
        hidden = abs(one.sides[0] - other.sides[0]) < 25
        frames.append([one] if hidden else [one, other])
    numbers = followed(frames)
    assert numbers[20] == [1, 2]
    assert numbers[-1] == [2, 1]
    assert {number for each in numbers for number in each} == {1, 2}


def test_an_unsure_box_carries_a_track_on_but_begins_none() -> None:
    hiding = [[person(100 + 2 * t, 0.9 if t < 10 or t > 30 else 0.2)] for t in range(50)]
    assert followed(hiding)[1:] == [[1]] * 49
    assert followed([[person(100, 0.2)]] * 20) == [[]] * 20
    assert followed([[person(100, 0.55)]] * 20) == [[]] * 20  # sure, but not enough to begin
    assert followed(hiding, unsure=0.3)[20] == []


def test_who_comes_back_in_time_has_the_same_number() -> None:
    def away(frames: int) -> list[int]:
        there = [[person(100 + 2 * t)] for t in range(20)]
        back = [[person(100 + 2 * (20 + frames + t))] for t in range(5)]
        return followed([*there, *[[]] * frames, *back])[-1]

    assert away(20) == [1]
    assert away(40) == [2]


def test_patience_is_in_seconds_whatever_the_rate() -> None:
    def back_after(seconds: float, rate: float) -> list[int]:
        still: Frames = [[person(100)]] * 10
        gap: Frames = [[]] * round(seconds * rate)
        return followed([*still, *gap, *[[person(100)]] * 3], rate)[-1]

    for rate in (5, 10, 30):
        assert back_after(0.6, rate) == [1], rate
        assert back_after(1.4, rate) == [2], rate


def test_frames_may_come_at_uneven_times() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.02, 0.3, 60))
    tracker = Tracker()
    numbers = [tracker.update([person(50 + 90 * t)], float(t)) for t in times]
    assert {each.track for of_frame in numbers for each in of_frame} == {1}
    assert len(numbers[-1]) == 1


def test_a_single_box_is_no_track_unless_asked() -> None:
    lone = [[person(100)], [], [], [person(400)], []]
    assert followed(lone) == [[]] * 5
    assert followed(lone, confirmed=1) == [[1], [], [], [2], []]
    three = followed([[person(100)]] * 4, confirmed=3)
    assert three == [[], [], [1], [1]]


def test_the_box_that_is_told_is_the_detectors_own() -> None:
    tracker = Tracker()
    jittered = [person(100 + 7 * (-1) ** t, 0.8) for t in range(6)]
    for t, each in enumerate(jittered):
        found = tracker.update([each], t / RATE)
    assert found[0].detection is jittered[-1]
    assert tracker.alive() == {1}


def test_nobody_anywhere_is_no_error() -> None:
    tracker = Tracker()
    assert [tracker.update([], t / RATE) for t in range(5)] == [[]] * 5
    assert tracker.alive() == set()


def test_two_boxes_of_one_person_become_no_second_track() -> None:
    # The second box is assigned to nobody, and does not stay long enough to be confirmed.
    frames = [[person(100 + t)] for t in range(20)]
    frames[10].append(person(112, 0.8))
    assert {number for each in followed(frames) for number in each} == {1}


def test_time_goes_forwards() -> None:
    tracker = Tracker()
    tracker.update([], 1.0)
    for time in (1.0, 0.5):
        with pytest.raises(VireidError, match="forwards in time"):
            tracker.update([], time)


@pytest.mark.parametrize(
    "settings", [{"sure": 0.05}, {"begin": 0.4}, {"begin": 1.5}, {"lost": -1}, {"confirmed": 0}]
)
def test_settings_that_contradict_one_another_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(VireidError):
        Settings(**settings)  # type: ignore[arg-type]


def test_prediction_does_not_blow_up_over_a_long_gap() -> None:
    tracker = Tracker(Settings(lost=1e9))
    for t in range(10):
        tracker.update([person(100 + 3 * t)], t / RATE)
    found = tracker.update([person(500)], 1e6)
    assert found == []
    later = tracker.update([person(500)], 1e6 + 1 / RATE)
    assert [each.track for each in later] == [2]
    assert all(math.isfinite(side) for each in later for side in each.detection.sides)


def test_somebody_may_be_lost_for_two_frames_however_few_are_looked_at() -> None:
    box = Detection((10.0, 10.0, 30.0, 70.0), 0.9)
    for apart in (0.04, 1.0, 4.0):
        tracker, tracks = Tracker(), set[int]()
        for number in range(12):
            found = tracker.update([] if number == 6 else [box], number * apart)
            tracks |= {each.track for each in found}
        assert tracks == {1}
