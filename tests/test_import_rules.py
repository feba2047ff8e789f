"""What has to start fast, or on a machine without torch, does."""

import subprocess
import sys

WITHOUT_TORCH = [
    "vireid",
    "vireid.scoring.baselines",
    "vireid.cli",
    "vireid.reports.contact_sheet",
    "vireid.datasets",
    "vireid.models.embedding",
    "vireid.errors",
    "vireid.scoring.evaluation",
    "vireid.search.answers",
    "vireid.gallery",
    "vireid.methods",
    "vireid.scoring.metrics",
    "vireid.pictures",
    "vireid.scoring.protocols",
    "vireid.recipe",
    "vireid.records",
    "vireid.whole_files",
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
