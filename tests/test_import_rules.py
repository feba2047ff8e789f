"""What has to start fast, or without torch, does."""

import subprocess
import sys

import pytest

WITHOUT_TORCH = [
    "vireid",
    "vireid.baselines",
    "vireid.cli",
    "vireid.datasets",
    "vireid.embedding",
    "vireid.errors",
    "vireid.evaluation",
    "vireid.gallery",
    "vireid.methods",
    "vireid.metrics",
    "vireid.pictures",
    "vireid.protocols",
    "vireid.recipe",
    "vireid.records",
]


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_imports_without_torch(module: str) -> None:
    script = f"import sys, {module}; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert answer.stdout == "False\n", answer.stderr
