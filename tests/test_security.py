"""SECURITY.md promises nothing without a test."""

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "SECURITY.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_every_promise_names_its_tests() -> None:
    promised = PAGE.read_text(encoding="utf-8").partition("## What is promised")[2]
    table = promised.partition("|---|---|\n")[2].partition("\n\n")[0]
    rows = table.splitlines()
    assert len(rows) > 5
    for row in rows:
        named = TEST.findall(row)
        assert named, row
        for file, test in named:
            source = (PAGE.parent / file).read_text(encoding="utf-8")
            assert not test or f"\ndef {test}(" in source, f"{file}::{test}"
