"""Queries and galleries of RegDB, LLCM, video and one's own pictures are those that docs say."""

import random
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from tests import stand_ins

from vireid import datasets
from vireid.datasets import Dataset
from vireid.errors import VireidError
from vireid.records import ImageRecord, Modality
from vireid.scoring import evaluation, named_protocols
from vireid.scoring.baselines import Baseline
from vireid.scoring.protocols import Trial

VISIBLE, INFRARED = Modality
WAYS = {
    "visible-to-infrared": (VISIBLE, INFRARED),
    "infrared-to-visible": (INFRARED, VISIBLE),
}
both_ways = pytest.mark.parametrize("direction", WAYS)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    place = tmp_path_factory.mktemp("sets")
    return {
        name: datasets.read(name, write(place / name)) for name, write in stand_ins.WRITERS.items()
    }


def of(dataset: Dataset, modality: Modality) -> set[ImageRecord]:
    return {record for record in dataset.test if record.modality is modality}


def hidden_by_hand(trial: Trial) -> np.ndarray:
    return np.array(
        [
            [(q.identity, q.camera) == (g.identity, g.camera) for g in trial.gallery]
            for q in trial.queries
        ]
    )


@both_ways
def test_all_of_one_spectrum_is_searched_for_among_all_of_the_other(
    direction: str, sets: dict[str, Dataset]
) -> None:
    query, gallery = WAYS[direction]
    for name, dataset in (
        ("regdb/10-trial", sets["regdb"]),
        ("llcm/full-gallery", sets["llcm"]),
        ("folder/cross-spectrum", sets["folder"]),
    ):
        (trial,) = named_protocols.find(name, direction=direction).trials(dataset)
        assert set(trial.queries) == of(dataset, query)
        assert set(trial.gallery) == of(dataset, gallery)
        assert len(trial.queries) == len(set(trial.queries))
        assert len(trial.gallery) == len(set(trial.gallery))


@both_ways
def test_galleries_of_llcm_are_one_seeded_picture_a_person_and_camera(
    direction: str, sets: dict[str, Dataset]
) -> None:
    """By hand, from the folders: persons outside, cameras inside, files by name."""
    query, gallery = WAYS[direction]
    root = sets["llcm"].root / ("test_vis" if gallery is VISIBLE else "test_nir")
    for trial in named_protocols.find("llcm/two-way", direction=direction).trials(sets["llcm"]):
        rng = random.Random(trial.number)
        expected = []
        for identity in (5, 6, 7, 8):
            for camera in range(1, 10):
                folder = root / f"cam{camera}" / f"{identity:04d}"
                if folder.is_dir():
                    expected.append(rng.choice(sorted(folder.iterdir())))
        assert [record.path for record in trial.gallery] == expected
        assert set(trial.queries) == of(sets["llcm"], query)


def test_swapped_roles_draw_the_infrared_gallery_and_search_with_it(
    sets: dict[str, Dataset],
) -> None:
    swapped = named_protocols.find("llcm/legacy-swapped").trials(sets["llcm"])
    usual = named_protocols.find("llcm/two-way", direction="visible-to-infrared").trials(
        sets["llcm"]
    )
    for one, other in zip(swapped, usual, strict=True):
        assert one.queries == other.gallery
        assert set(one.gallery) == set(other.queries)


def test_the_same_person_under_the_same_camera_is_hidden_in_llcm(sets: dict[str, Dataset]) -> None:
    for name in ("llcm/two-way", "llcm/full-gallery", "llcm/legacy-swapped"):
        for protocol in named_protocols.choose(sets["llcm"], name):
            trial = protocol.trials(sets["llcm"])[0]
            expected = hidden_by_hand(trial)
            assert expected.any()
            np.testing.assert_array_equal(protocol.hidden(trial), expected)
    nothing = named_protocols.find("llcm/full-gallery", removal="none")
    assert not nothing.hidden(nothing.trials(sets["llcm"])[0]).any()
    assert nothing.title == "llcm/full-gallery visible-to-infrared, nothing hidden"


def test_nothing_is_hidden_in_regdb_and_ranks_count_pictures(sets: dict[str, Dataset]) -> None:
    protocol = named_protocols.find("regdb/10-trial")
    (trial,) = protocol.trials(sets["regdb"])
    assert not protocol.hidden(trial).any()
    kinds = {name: offer.usual.cmc for name, offer in named_protocols.OFFERED.items()}
    assert {name for name, cmc in kinds.items() if cmc == "plain"} == {
        "regdb/10-trial",
        "vcm/tracklets",
        "bupt-campus/tracklets",
    }


def test_pictures_of_unknown_cameras_are_never_hidden(sets: dict[str, Dataset]) -> None:
    without = tuple(replace(record, camera=None) for record in sets["folder"].test)
    dataset = replace(sets["folder"], test=without)
    for removal, anything in (("none", False), ("same-id-and-camera", True)):
        protocol = named_protocols.find("folder/cross-spectrum", removal=removal)
        assert not protocol.hidden(protocol.trials(dataset)[0]).any()
        trial = protocol.trials(sets["folder"])[0]
        assert protocol.hidden(trial).any() == anything


@both_ways
def test_tracklets_are_searched_for_among_tracklets(
    direction: str, sets: dict[str, Dataset]
) -> None:
    query, gallery = WAYS[direction]
    for name, family in (("hitsz_vcm", "vcm"), ("bupt_campus", "bupt-campus")):
        dataset = sets[name]
        protocol = named_protocols.find(f"{family}/tracklets", direction=direction)
        (trial,) = protocol.trials(dataset)
        searching = dataset.test if dataset.test_queries is None else dataset.test_queries
        assert {r.tracklet for r in trial.queries} == {
            r.tracklet for r in searching if r.modality is query
        }
        assert {r.tracklet for r in trial.gallery} == {
            r.tracklet for r in dataset.test if r.modality is gallery
        }
        for record in (*trial.queries, *trial.gallery):
            frames = [r for r in dataset.test if r.tracklet == record.tracklet]
            assert list(trial.frames_of(record)) == frames
        expected = hidden_by_hand(trial) * (name == "hitsz_vcm")
        np.testing.assert_array_equal(protocol.hidden(trial), expected)
    assert hidden_by_hand(trial).any()
    removing = named_protocols.find("bupt-campus/tracklets", removal="same-id-and-camera")
    assert removing.hidden(removing.trials(sets["bupt_campus"])[0]).any()


@pytest.mark.parametrize(
    ("count", "places"), [(1, [0]), (3, [0, 4, 8]), (6, [0, 2, 4, 6, 8, 10]), (50, range(12))]
)
def test_frames_are_taken_evenly_from_the_first_on(
    count: int, places: list[int] | range, sets: dict[str, Dataset]
) -> None:
    dataset = sets["hitsz_vcm"]
    protocol = named_protocols.find("vcm/tracklets", frames=count)
    (trial,) = protocol.trials(dataset)
    frames = [r for r in dataset.test if r.tracklet == trial.queries[0].tracklet]
    assert list(trial.frames_of(trial.queries[0])) == [frames[place] for place in places]
    assert protocol.title.endswith(f"{count} frames")


def test_a_tracklet_is_the_mean_of_its_frames_of_unit_length_again(
    sets: dict[str, Dataset],
) -> None:
    """Ranks by hand; the mean of unit vectors is no unit vector."""
    dataset = sets["hitsz_vcm"]

    def embed(record: ImageRecord) -> np.ndarray:
        seed = crc32("/".join(record.path.parts[-4:]).encode())
        return np.random.default_rng(seed).standard_normal(3)

    vectors = {r: v / np.linalg.norm(v) for r in dataset.test for v in [embed(r)]}
    protocol = named_protocols.find("vcm/tracklets")
    scores = evaluation.score(Baseline("toy", embed), dataset, protocol)
    (trial,) = protocol.trials(dataset)

    def mean(record: ImageRecord) -> np.ndarray:
        total = np.sum([vectors[f] for f in dataset.test if f.tracklet == record.tracklet], axis=0)
        return np.asarray(total / np.linalg.norm(total))

    right = []
    for query in trial.queries:
        seen = [
            g for g in trial.gallery if (g.identity, g.camera) != (query.identity, query.camera)
        ]
        best = max(seen, key=lambda g: float(mean(g) @ mean(query)))
        right.append(best.identity == query.identity)
    assert scores.mean["R1"] == pytest.approx(np.mean(right))
    assert scores.trials[0].queries == 4


@pytest.mark.parametrize("name", stand_ins.WRITERS)
def test_trials_do_not_depend_on_the_order_of_the_records(
    name: str, sets: dict[str, Dataset]
) -> None:
    """But for frames of a tracklet, whose order is that of the video."""
    dataset = sets[name]
    mixed = list(dataset.test)
    if dataset.test[0].tracklet is None:
        random.Random(1).shuffle(mixed)
    else:
        mixed.sort(key=lambda record: str(record.tracklet), reverse=True)
    for protocol in named_protocols.choose(dataset):
        assert protocol.trials(replace(dataset, test=tuple(mixed))) == protocol.trials(dataset)


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("llcm/two-way", {"removal": "none"}, "llcm/two-way has no removal to choose"),
        ("llcm/two-way", {"mode": "indoor"}, "llcm/two-way has no mode to choose"),
        ("regdb/10-trial", {"direction": "visible-to-thermal"}, "did you mean 'visible-to-inf"),
        ("sysu/official", {"direction": "visible-to-infrared"}, "not offered on SYSU-MM01"),
        ("llcm/full-gallery", {"removal": "same"}, "no removal 'same'"),
        ("llcm/full-gallery", {"frames": 6}, "is of still pictures"),
        ("vcm/tracklets", {"frames": 0}, "frames is 0; it has to be 1 or more"),
        ("llcm/twoway", {}, "did you mean 'llcm/two-way'"),
    ],
)
def test_what_is_not_on_offer_is_refused(name: str, options: dict[str, object], why: str) -> None:
    with pytest.raises(VireidError, match=why):
        named_protocols.find(name, **options)  # type: ignore[arg-type]


def test_protocols_of_another_data_set_are_refused(sets: dict[str, Dataset]) -> None:
    with pytest.raises(VireidError, match="sysu/official is not a protocol of llcm; there are: ll"):
        named_protocols.choose(sets["llcm"], "sysu/official")
    for name in ("llcm", "hitsz_vcm", "bupt_campus", "regdb", "folder"):
        usual = named_protocols.choose(sets[name])
        assert [protocol.direction for protocol in usual] == list(WAYS)
    mine = replace(sets["folder"], name="corridor")
    assert {protocol.id for protocol in named_protocols.choose(mine)} == {"folder/cross-spectrum"}
    assert named_protocols.choose(replace(mine, root=Path()), "llcm/full-gallery", removal="none")


@pytest.mark.parametrize("name", named_protocols.OFFERED)
def test_a_record_of_a_protocol_has_every_field(name: str) -> None:
    assert set(asdict(named_protocols.find(name))) >= {
        "id",
        "dataset",
        "mode",
        "shot",
        "direction",
        "query_cameras",
        "gallery_cameras",
        "draw",
        "trial_numbers",
        "removal",
        "cmc",
        "similarity",
        "feature",
        "test_time_flip",
        "re_ranking",
    }


def test_no_two_variants_have_one_title(sets: dict[str, Dataset]) -> None:
    def titles() -> Iterator[str]:
        for dataset in sets.values():
            family = named_protocols.FAMILIES[dataset.name]
            for name in named_protocols.OFFERED:
                if name.startswith(f"{family}/"):
                    yield from (each.title for each in named_protocols.choose(dataset, name))

    listed = list(titles())
    assert len(set(listed)) == len(listed) == 4 + 2 + 2 + 2 + 2 + 1 + 2 + 2 + 4 + 4 + 2 + 2


@both_ways
@pytest.mark.parametrize("kind", ["thermal", "near"])
def test_a_gallery_of_rgbnt201_never_shows_the_instant_of_the_query(
    kind: str, direction: str, sets: dict[str, Dataset]
) -> None:
    protocol = named_protocols.find(f"rgbnt201/{kind}", direction=direction)
    (trial,) = protocol.trials(sets["rgbnt201"])
    assert len(trial.queries) == len(trial.gallery) == 12
    for records in (trial.queries, trial.gallery):
        infrared = {record.camera for record in records if record.modality is INFRARED}
        assert all((camera or "").endswith(f" {kind}") for camera in infrared)
    by_name = [[q.path.stem == g.path.stem for g in trial.gallery] for q in trial.queries]
    assert np.array_equal(protocol.hidden(trial), by_name)
    assert np.array(by_name).sum() == 12
    with pytest.raises(VireidError, match="no removal 'none'"):
        named_protocols.find(f"rgbnt201/{kind}", removal="none")
