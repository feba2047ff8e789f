"""SYSU-MM01's published permutations, by which its official galleries are drawn."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from vireid.errors import VireidError
from vireid.files import matlab_files
from vireid.records import ImageRecord

PERMUTATIONS_URL = (
    "https://github.com/wuancong/SYSU-MM01/blob/master/evaluation/data_split/rand_perm_cam.mat"
)
Permutations = Mapping[tuple[int, str], Integer[np.ndarray, "trials n"]]
"""Row t: the order in which trial t takes the pictures of a person under a camera, from 1."""


def permutations_path(root: Path) -> Path:
    """Return where a data set's folder has the permutations of the official draw."""
    return root / "exp" / "rand_perm_cam.mat"


def read_permutations(root: Path) -> Permutations:
    """Read a data set's permutations: a cell for each camera, in it one for each person.

    Raises:
        VireidError: the file is missing or cannot be read, or a row in it is no permutation.
    """
    path = permutations_path(root)
    if not path.is_file():
        raise VireidError(
            f"{path} is missing; SYSU-MM01's zip does not bring it: download it from "
            f"{PERMUTATIONS_URL}, or score with sysu/py-seed, which does not need it"
        )
    state = path.stat()
    return _read(path, state.st_size, state.st_mtime_ns)


# The variants of a protocol read one file, one after the other. Size and time are part of the key,
# so that a file that has been replaced is read again.
@lru_cache(maxsize=2)
def _read(path: Path, _size: int, _mtime_ns: int) -> Permutations:
    return {
        (person, f"cam{camera}"): _checked_rows(path, camera, person, rows)
        for camera, cell in enumerate(_load_cells(path), start=1)
        for person, rows in enumerate(cell.ravel(), start=1)
        if rows.size
    }


def _load_cells(path: Path) -> Sequence[np.ndarray]:
    try:
        return matlab_files.read(path, "rand_perm_cam")
    except (OSError, ValueError) as error:
        raise VireidError(
            f"{path} cannot be read as SYSU-MM01's permutations ({error}); "
            f"download it again from {PERMUTATIONS_URL}"
        ) from error


def _checked_rows(
    path: Path, camera: int, person: int, rows: np.ndarray
) -> Integer[np.ndarray, "trials n"]:
    # A damaged file would otherwise draw a picture twice, and scores would change unnoticed.
    if not (np.sort(rows, axis=1) == np.arange(1, rows.shape[1] + 1)).all():
        raise VireidError(
            f"{path}: the rows for person {person:04d} under cam{camera} are no permutations; "
            f"download it again from {PERMUTATIONS_URL}"
        )
    return rows


def check_permutation(
    key: tuple[int, str],
    records: Sequence[ImageRecord],
    rows: Integer[np.ndarray, "trials n"] | None,
    trial_numbers: Sequence[int],
) -> None:
    """Check that a permutation fits the pictures on disk; another would draw wrong ones."""
    person, camera = key
    trials, permuted = (0, 0) if rows is None else rows.shape
    if permuted != len(records):
        raise VireidError(
            f"{camera}/{person:04d} has {len(records)} pictures, but rand_perm_cam.mat permutes "
            f"{permuted}; unpack the data set again, or take the file that belongs to it"
        )
    if rows is not None and trials <= max(trial_numbers):
        raise VireidError(
            f"rand_perm_cam.mat has {trials} rows for {camera}/{person:04d}, "
            f"trial {max(trial_numbers)} needs one more"
        )
