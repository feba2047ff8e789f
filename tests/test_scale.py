"""The table of capacity in docs/scale.md is what the script computes from the results."""

from pathlib import Path

from benchmarks.capacity import Figures, table

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"


def test_capacity_in_the_document_is_what_follows_from_what_was_measured() -> None:
    assert "\n".join(table(Figures.read())) in PAGE.read_text(encoding="utf-8")
