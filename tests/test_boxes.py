from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from vireid.errors import VireidError
from vireid.records import Box, ImageRecord, Modality, pictures_fingerprint
from vireid.scoring.protocols import list_fingerprint, listing

VISIBLE, INFRARED = Modality


@pytest.mark.parametrize(
    ("corners", "why"),
    [
        ((-1, 0, 10, 10), "box -1,0,10,10 begins outside of the frame; cut it"),
        ((0, -3, 10, 10), "begins outside"),
        ((10, 0, 10, 10), "box 10,0,10,10 is empty; give left, top, right, bottom"),
        ((0, 10, 10, 9), "is empty"),
    ],
)
def test_a_box_without_pixels_or_before_the_frame_is_refused(
    corners: tuple[int, int, int, int], why: str
) -> None:
    with pytest.raises(VireidError, match=why):
        Box(*corners)


def test_a_box_is_read_from_its_own_text() -> None:
    box = Box(3, 14, 159, 265)
    assert Box.from_text(str(box)) == box
    assert str(box) == "3,14,159,265"


def pictures(root: Path) -> list[ImageRecord]:
    records = []
    for i in range(4):
        path = root / f"cam{i % 2 + 1}" / f"{i:04d}" / "0001.jpg"
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(100 + i))
        records.append(ImageRecord(path, (VISIBLE, INFRARED)[i % 2], i, f"cam{i % 2 + 1}"))
    return records


def test_fingerprints_of_pictures_without_boxes_are_those_of_published_results(
    tmp_path: Path,
) -> None:
    """Both are as they were before there were boxes; results hold them."""
    records = pictures(tmp_path)
    assert pictures_fingerprint(records, tmp_path) == "6decf9804814dcbe"
    assert list_fingerprint(records)[:16] == "653bcef98e267606"
    labelled = [replace(r, time=datetime(2026, 1, 1), tags=frozenset({"coat"})) for r in records]
    assert pictures_fingerprint(labelled, tmp_path) == pictures_fingerprint(records, tmp_path)
    assert list_fingerprint(labelled) == list_fingerprint(records)


def test_another_box_is_another_fingerprint(tmp_path: Path) -> None:
    whole = pictures(tmp_path)[:1]
    left, right = ([replace(whole[0], box=box)] for box in (Box(0, 0, 10, 20), Box(10, 0, 20, 20)))
    assert len({pictures_fingerprint(some, tmp_path) for some in (whole, left, right)}) == 3
    assert listing(right) == "cam1/0000/0001.jpg 10,0,20,20"
    assert left[0].key != right[0].key
