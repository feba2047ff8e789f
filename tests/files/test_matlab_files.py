import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from vireid.datasets import nightwalk
from vireid.files import matlab_files

PERMUTATIONS = nightwalk.MINI / "exp" / "rand_perm_cam.mat"
NUMBERS = [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float64, np.int64]


def nested(values: list[list[np.ndarray]]) -> np.ndarray:
    """MATLAB's {{..}; {..}}: a column of columns."""
    outer = np.empty((len(values), 1), object)
    for i, inner in enumerate(values):
        outer[i, 0] = np.empty((len(inner), 1), object)
        for j, value in enumerate(inner):
            outer[i, 0][j, 0] = value
    return outer


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("kind", NUMBERS)
def test_it_reads_what_scipy_writes(kind: type, compressed: bool, tmp_path: Path) -> None:
    rows: np.ndarray = np.arange(1, 31).reshape(3, 10).astype(kind)
    cells = nested([[rows, rows[:0], rows[:1, :1]], [rows[:, ::2], rows.T]])
    savemat(tmp_path / "a.mat", {"other": rows, "a": cells}, do_compression=compressed)
    read = matlab_files.read(tmp_path / "a.mat", "a")
    for inner, wanted in zip(read, loadmat(tmp_path / "a.mat")["a"].ravel(), strict=True):
        for array, right in zip(inner.ravel(), wanted.ravel(), strict=True):
            np.testing.assert_array_equal(array, right)


def test_it_reads_the_shipped_permutations_as_scipy_does() -> None:
    read = matlab_files.read(PERMUTATIONS, "rand_perm_cam")
    for inner, wanted in zip(read, loadmat(PERMUTATIONS)["rand_perm_cam"].ravel(), strict=True):
        for array, right in zip(inner.ravel(), wanted.ravel(), strict=True):
            np.testing.assert_array_equal(array, right)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    for name, value in {"text": "hello", "struct": {"a": 1}}.items():
        savemat(tmp_path / f"{name}.mat", {"rand_perm_cam": value})
        with pytest.raises(ValueError, match="else than cells of numbers"):
            matlab_files.read(tmp_path / f"{name}.mat", "rand_perm_cam")
    savemat(tmp_path / "other.mat", {"other": nested([[np.eye(2)]])})
    with pytest.raises(ValueError, match="no variable rand_perm_cam"):
        matlab_files.read(tmp_path / "other.mat", "rand_perm_cam")
    (tmp_path / "a.mat").write_text("a text")
    with pytest.raises(ValueError, match="not a little-endian MATLAB"):
        matlab_files.read(tmp_path / "a.mat", "rand_perm_cam")


@pytest.fixture(scope="module")
def whole() -> bytes:
    content = io.BytesIO()
    rows = np.arange(1, 31, dtype=np.uint8).reshape(3, 10)
    savemat(content, {"a": nested([[rows, rows]])}, do_compression=False)
    return content.getvalue()


@given(
    changes=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=4),
    end=st.integers(100, 700),
)
def test_damage_is_a_value_error_or_changes_numbers_only(
    changes: list[tuple[int, int]], end: int, whole: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "a.mat"
    damaged = bytearray(whole)
    for place, value in changes:
        damaged[place % len(whole)] = value
    path.write_bytes(damaged[:end])
    with contextlib.suppress(ValueError):
        matlab_files.read(path, "a")
