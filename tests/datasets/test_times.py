"""Times in the names of files."""

from datetime import datetime

import pytest

from vireid.datasets._times import TimePattern
from vireid.errors import VireidError


@pytest.mark.parametrize(
    ("pattern", "name", "time"),
    [
        ("%Y%m%d_%H%M%S", "gate_20261124_183005_3", datetime(2026, 11, 24, 18, 30, 5)),
        ("%Y%m%d_%H%M%S", "20261124_183005", datetime(2026, 11, 24, 18, 30, 5)),
        ("%Y-%m-%d %H.%M.%S", "a 2026-11-24 18.30.05 b", datetime(2026, 11, 24, 18, 30, 5)),
        ("%y%m%d", "261124", datetime(2026, 11, 24)),
        ("%Y%m%d%H%M%S%f", "20261124183005123", datetime(2026, 11, 24, 18, 30, 5, 123000)),
        ("%Y%m%d_%H%M%S", "20261124_253005", None),
        ("%Y%m%d_%H%M%S", "120261124_183005", None),
        ("%Y%m%d_%H%M%S", "20261124_1830051", None),
        ("%Y%m%d", "20260231", None),
        ("%Y%m%d", "a.b", None),
        ("(%Y)%m%d", "(2026)1124", datetime(2026, 11, 24)),
    ],
)
def test_the_time_is_found_in_the_name(pattern: str, name: str, time: datetime | None) -> None:
    assert TimePattern(pattern).read(name) == time


@pytest.mark.parametrize("pattern", ["", "%H%M", "%Y%m%d%Q", "20261124", "%Y-%j"])
def test_other_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(VireidError, match=r"write for instance %Y%m%d_%H%M%S"):
        TimePattern(pattern)
