"""The table of capacity in docs/scale.md is what the script computes from the results."""

import runpy
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def test_capacity_in_the_document_is_what_follows_from_what_was_measured() -> None:
    script = runpy.run_path(str(PROJECT / "benchmarks" / "capacity.py"))
    computed = "\n".join(script["table"](script["Figures"].read()))
    assert computed in (PROJECT / "docs" / "scale.md").read_text(encoding="utf-8")
