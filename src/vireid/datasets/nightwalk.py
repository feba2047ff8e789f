"""NightWalk: rendered people under four visible and two infrared cameras, for anyone to use."""

from pathlib import Path

from vireid.datasets import Dataset, _sysu_layout

MINI = Path(__file__).with_name("nightwalk_mini")
"""The small edition that comes with vireid."""

FACTS = {
    "title": "NightWalk",
    "url": "made by `vireid render`",
    "licence": "CC0-1.0",
    "citation": "none needed",
}


def read(root: Path | None = None) -> Dataset:
    """Read NightWalk from a folder that `vireid render` has written, or the edition shipped."""
    return _sysu_layout.read_folder("nightwalk", MINI if root is None else root, FACTS)
