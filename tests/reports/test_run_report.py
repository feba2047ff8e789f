"""A report is one file that asks nothing of any server."""

import re
from collections.abc import Callable
from pathlib import Path

from tests import sysu_layout
from tests.onnx_model import write_model

Run = Callable[..., tuple[int, str, str]]


def test_a_report_is_one_file_without_requests(run: Run, tmp_path: Path) -> None:
    root = sysu_layout.write(tmp_path / "sysu")
    models = [write_model(tmp_path / name, seed, name) for seed, name in enumerate(("a<b", "two"))]
    where = ["--dataset", "sysu_mm01", "--root", root]
    options = ["--mode", "all", "--shot", "single", "--no-controls"]
    for model in models:
        assert run("evaluate", model, *where, *options)[0] == 0
    out = tmp_path / "report.html"
    status, output, errors = run("report", *models, *where, "--out", out)
    assert status == 0, errors
    assert "one file" in output
    page = out.read_text(encoding="utf-8")
    assert len(page) < 5_000_000
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    assert "<h1>a&lt;b, two</h1>" in page
    for title in ("Side by side", "Differences", "Queries", "What made a query", "How sure", "CMC"):
        assert title in page
    assert page.count("data:image/jpeg") == 2 * 6
    assert page.count("data:image/png") == 2 * 5
