"""What has to start fast, or on a machine without torch, does."""

import subprocess
import sys

WITHOUT_TORCH = [
    "vireid",
    "vireid.baselines",
    "vireid.cli",
    "vireid.contact_sheet",
    "vireid.datasets",
    "vireid.embedding",
    "vireid.errors",
    "vireid.evaluation",
    "vireid.finding",
    "vireid.gallery",
    "vireid.methods",
    "vireid.metrics",
    "vireid.pictures",
    "vireid.protocols",
    "vireid.recipe",
    "vireid.records",
    "vireid.writing",
]
SCRIPT = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    if "torch" in sys.modules:
        sys.exit(f"importing {name} imports torch")
"""


def test_scores_galleries_and_the_command_line_do_not_import_torch() -> None:
    command = [sys.executable, "-c", SCRIPT, *WITHOUT_TORCH]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
