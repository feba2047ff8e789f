"""What the names of folders say: spectra, cameras, people, groups; and what is a date instead."""

from pathlib import Path

import pytest

from vireid.datasets._labels import Labels, Names, Reader, camera_of, group_of, numbered_folders
from vireid.datasets.folder import labels_of
from vireid.records import Modality

VISIBLE, INFRARED = Modality


@pytest.mark.parametrize(
    ("path", "labels"),
    [
        ("/site/visible/cam1/0012/a.jpg", Labels(VISIBLE, 12, "cam1")),
        ("/site/cam1/visible/0012/a.jpg", Labels(VISIBLE, 12, "cam1")),
        ("/site/RGB/a.jpg", Labels(VISIBLE)),
        ("/site/Thermal/1/thermal_00123.bmp", Labels(INFRARED, 1)),
        ("/site/nir/0007/a.jpg", Labels(INFRARED, 7)),
        ("/rgb/site/ir/a.jpg", Labels(INFRARED)),
        ("/sysu/cam3/0006/0001.jpg", Labels(INFRARED, 6, "cam3")),
        ("/sysu/cam4/0006/0001.jpg", Labels(VISIBLE, 6, "cam4")),
        ("/visible/cam3/0006/0001.jpg", Labels(VISIBLE, 6, "cam3")),
        ("/sysu/cam7/0006/0001.jpg", Labels(None, 6, "cam7")),
        ("/site/cam3/0006/monday.jpg", Labels(None, 6, "cam3")),
        ("/site/camera_north gate/a.jpg", Labels(None, None, "camera_north gate")),
        ("/campus/2026/11/a.jpg", Labels()),
        ("/site/visible/2nd/a.jpg", Labels(VISIBLE)),
        # somebody's own folders, far above
        ("/camera exports/1999/photos/visible/a.jpg", Labels(VISIBLE)),
        ("/thermal/42/project/photos/cam1/a.jpg", Labels(INFRARED, None, "cam1")),
    ],
)
def test_folders_say_what_is_on_a_single_picture(path: str, labels: Labels) -> None:
    assert labels_of(path) == labels


def test_folders_above_the_working_folder_say_nothing_about_a_picture_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "thermal/42/project"
    (here / "photos/cam1").mkdir(parents=True)
    monkeypatch.chdir(here)
    expected = Labels(None, None, "cam1")
    assert labels_of("photos/cam1/a.jpg") == expected
    assert labels_of(here / "photos/cam1/a.jpg") == expected


def read(*pictures: str) -> list[tuple[str | None, int | None]]:
    """Camera and person of pictures that lie in these folders of one source."""
    places: list[Names] = [("source", *Path(picture).parts) for picture in pictures]
    reader = Reader(numbered_folders(set(places)))
    labels = [reader.read(names, "a").labels for names in places]
    return [(each.camera, each.identity) for each in labels]


@pytest.mark.parametrize(
    "place",
    [
        "cam1/2026/11/30",
        "cam1/2026/11/30/14",
        "cam1/2026/1/5",
        "cam1/30/11/2026",
        "cam1/20260131",
        "cam1/31012026",
        "cam1/2026-01-31",
        "cam1/2026-01-31/14",
        "cam1/2026_01_31/visible",
        "cam1/202601",
        "cam1/2026",
        "cam1/2026/11",
        "cam1/2026013123",
        "cam1/20260131235959",
        "cam1/20260131235959123456",
        "cam1/1767139200",
        "cam1/1767139200123",
        "2026-01-31/cam1/14",
        "20260131/cam1/07",
        "2026/01/31/cam1/00",
        "cam1_2026-01-31",
        "cam1 20260131_235959",
        "cam1/9999999999999999999",
        "cam1/" + "9" * 200,
    ],
)
def test_dates_and_huge_numbers_are_one_camera_and_nobody(place: str) -> None:
    assert read(place) == [("cam1", None)]


@pytest.mark.parametrize(
    ("place", "identity"),
    [
        ("cam1/0012", 12),
        ("cam1/12", 12),
        ("cam1/12/20260131", 12),
        ("20260131/cam1/0012", 12),
        ("20260131/cam1/24", 24),
        ("cam1/12345678", 12345678),
        ("cam1/0000000012", 12),
        ("cam1/123456789012345678", 123456789012345678),
        ("cam1/9223372036854775807", 2**63 - 1),
        ("cam1/0007/visible/20260131", 7),
    ],
)
def test_other_numbers_are_people(place: str, identity: int) -> None:
    assert read(place) == [("cam1", identity)]


def test_a_number_that_may_be_a_year_or_an_hour_is_a_person_beside_other_numbers() -> None:
    assert read("cam1/2026", "cam1/2025") == [("cam1", None)] * 2
    assert read("cam1/2026", "cam1/0007") == [("cam1", 2026), ("cam1", 7)]
    assert read("20260131/cam1/14", "20260131/cam1/31")[0] == ("cam1", 14)
    # a day stays a day, whoever lies beside it
    days = read("cam1/2026/11/30", "cam1/20260131", "cam1/0007")
    assert [identity for _, identity in days] == [None, None, 7]


@pytest.mark.parametrize(
    ("folder", "camera"),
    [
        ("cam3", "cam3"),
        ("Camera 12", "Camera 12"),
        ("cam-north gate", "cam-north gate"),
        ("cam_1_20260131", "cam_1"),
        ("cam20260131", None),
        ("camera 2026-01-31", None),
        ("campus", None),
        ("webcam1", None),
    ],
)
def test_a_camera_is_called_by_its_name_without_a_date(folder: str, camera: str | None) -> None:
    assert camera_of(folder) == camera


def test_groups_are_known_in_any_spelling() -> None:
    spellings = {
        "train": ["train", "Train", "TRAINING", "train_set", "trn", "bounding_box_train"],
        "validation": ["validation", "val", "Val", "valid", "VALIDATE", "dev", "val_2"],
        "test": ["test", "Testing", "tests", "test-set", "query", "gallery"],
    }
    for group, names in spellings.items():
        assert {group_of(name) for name in names} == {group}
    assert [group_of(name) for name in ("north", "trainer", "visible", "", "set")] == [None] * 5
