"""Data sets are read from folders as people have them, or refused with the reason."""

import hashlib
from pathlib import Path

import pytest
from tests import sysu_layout

from vireid import datasets
from vireid.datasets import Dataset, sysu_mm01
from vireid.errors import VireidError
from vireid.records import ImageRecord, Modality


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return sysu_layout.write(tmp_path / "cam3" / "my cam2 copy")


def test_every_picture_is_listed_with_its_facts_in_order(root: Path) -> None:
    dataset = datasets.read("sysu_mm01", root)
    first = ImageRecord(root / "cam1" / "0004" / "0001.jpg", Modality.VISIBLE, 4, "cam1")
    assert dataset.test[0] == first
    for group, ids in zip(dataset.groups.values(), sysu_layout.GROUPS.values(), strict=True):
        keys = [(record.identity, record.camera, record.path.name) for record in group]
        assert keys == sorted(keys, key=lambda key: (f"{key[0]:04d}", *key[1:]))
        counted = {(c, i): n for (c, i), n in sysu_layout.COUNTS.items() if i in ids}
        assert len(keys) == sum(counted.values())
        for (camera, identity), count in counted.items():
            assert sum(key[:2] == (identity, camera) for key in keys) == count
    infrared = {record.camera for record in dataset.test if record.modality is Modality.INFRARED}
    assert infrared == {"cam3", "cam6"}


def test_what_is_no_picture_is_not_there(root: Path) -> None:
    before = datasets.read("sysu_mm01", root)
    for name in ("Thumbs.db", ".DS_Store", "._0001.jpg", "notes.txt"):
        (root / "cam1" / "0004" / name).write_bytes(b"x")
    (root / "cam1" / "0099").mkdir()
    assert datasets.read("sysu_mm01", root) == before


def test_other_suffixes_are_pictures_too(root: Path) -> None:
    before = datasets.read("sysu_mm01", root)
    for path in (root / "cam6").rglob("*.jpg"):
        path.rename(path.with_suffix(".PNG"))
    assert datasets.read("sysu_mm01", root).counts == before.counts


def test_people_and_pictures_are_counted(root: Path) -> None:
    counts = datasets.read("sysu_mm01", root).counts
    assert counts["validation"]["identities"] == 1
    assert counts["test"]["identities"] == 3
    cameras = {
        c: sum(n for (k, i), n in sysu_layout.COUNTS.items() if k == c and i in (4, 6, 12))
        for c in ("cam1", "cam6")
    }
    found = counts["test"]["cameras"]
    assert {camera: found[camera] for camera in cameras} == cameras
    assert counts["test"]["spectra"]["infrared"] == found["cam3"] + found["cam6"]


def test_a_camera_called_like_a_spectrum_is_counted_by_itself() -> None:
    records = [
        ImageRecord(Path(f"{n}.jpg"), Modality.VISIBLE, 1, camera)
        for n, camera in enumerate(("gate", "visible"))
    ]
    published = {"test": {"spectra": {"visible": 3}, "cameras": {"visible": 1}}}
    dataset = Dataset("lab", Path(), (), (), tuple(records), {"counts": published})
    assert dataset.counts["test"]["spectra"] == {"visible": 2}
    assert dataset.counts["test"]["cameras"] == {"gate": 1, "visible": 1}
    assert dataset.differences == ("2 visible test pictures on disk, 3 were published",)


def test_published_counts_are_understood_without_tables_too() -> None:
    published = {"train": {"identities": 2, "visible": 5, "cam1": 5}}
    dataset = Dataset("lab", Path(), (), (), (), {"counts": published})
    assert dataset.differences == (
        "0 train identities on disk, 2 were published",
        "0 visible train pictures on disk, 5 were published",
        "cam1 has 0 train pictures on disk, 5 were published",
    )


def test_a_copy_unlike_the_published_one_is_noticed(root: Path) -> None:
    differences = datasets.read("sysu_mm01", root).differences
    assert "cam1 has 7 test pictures on disk, 1374 were published" in differences
    assert datasets.read("nightwalk", root).differences == ()


def test_permutations_that_are_not_the_published_ones_are_told(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "exp/rand_perm_cam.mat is not the published file: galleries of sysu/official are others"
    assert told in datasets.read("sysu_mm01", root).differences
    path = root / "exp" / "rand_perm_cam.mat"
    monkeypatch.setattr(
        sysu_mm01, "PERMUTATIONS_SHA256", hashlib.sha256(path.read_bytes()).hexdigest()
    )
    assert told not in datasets.read("sysu_mm01", root).differences
    path.unlink()
    assert told not in datasets.read("sysu_mm01", root).differences


def test_names_may_have_hyphens_and_mistyped_ones_are_put_right(root: Path) -> None:
    assert datasets.read("SYSU-MM01", root).name == "sysu_mm01"
    with pytest.raises(VireidError, match="did you mean 'nightwalk'"):
        datasets.read("nightwalks")
    with pytest.raises(VireidError, match="give its folder as root"):
        datasets.read("sysu_mm01")


def test_missing_parts_are_named(root: Path) -> None:
    (root / "exp" / "val_id.txt").unlink()
    (root / "cam3").rename(root / "camera3")
    with pytest.raises(VireidError, match=r"cam3, exp/val_id.txt not found; give the folder"):
        datasets.read("sysu_mm01", root)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("4,6,x12", r"test_id.txt: 'x12' is not an identity"),
        ("4,6," + "9" * 5000, r"test_id.txt: '9{59}…' is not an identity.* at most 18 digits"),
        ("4,6,12,2", r"identity 2 is in train_id.txt and in test_id.txt"),
        ("4,6,12,11,13", r"2 of the 5 people in exp/test_id.txt have no picture .* first 0011"),
    ],
)
def test_bad_identities_are_named(root: Path, line: str, why: str) -> None:
    (root / "exp" / "test_id.txt").write_text(line, encoding="utf-8")
    with pytest.raises(VireidError, match=why):
        datasets.read("sysu_mm01", root)


def test_identities_may_stand_on_several_lines_with_blanks(root: Path) -> None:
    before = datasets.read("sysu_mm01", root)
    (root / "exp" / "test_id.txt").write_text("12, 4\n06,\n", encoding="utf-8")
    assert datasets.read("sysu_mm01", root) == before


def test_a_person_without_infrared_is_read(root: Path) -> None:
    for camera in ("cam3", "cam6"):
        for path in (root / camera / "0002").iterdir():
            path.unlink()
    records = datasets.read("sysu_mm01", root).train
    assert {r.modality for r in records if r.identity == 2} == {Modality.VISIBLE}


def test_a_data_set_without_pictures_is_refused(root: Path) -> None:
    for path in root.rglob("*.jpg"):
        path.unlink()
    with pytest.raises(VireidError, match="has no pictures of the people in its exp/ folder"):
        datasets.read("sysu_mm01", root)


def test_groups_are_found_under_their_former_name(root: Path) -> None:
    dataset = datasets.read("sysu_mm01", root)
    with pytest.warns(DeprecationWarning, match="called Dataset.groups now"):
        assert dataset.splits == dataset.groups
