"""What has to start fast, or on a machine without torch, does."""

import subprocess
import sys
import tomllib
from pathlib import Path
from pkgutil import walk_packages

import vireid

PROJECT = Path(__file__).parents[1]
SCRIPT = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    if "torch" in sys.modules:
        sys.exit(f"importing {name} imports torch")
"""


def without_torch() -> list[str]:
    """Every module of the rooms that the import rules keep free of torch, and the command line."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (rule,) = (each for each in contracts if "torch" in each.get("forbidden_modules", ()))
    rooms = ("vireid.cli", *rule["source_modules"])
    modules = [module.name for module in walk_packages(vireid.__path__, "vireid.")]
    return [name for name in modules if any(f"{name}.".startswith(f"{room}.") for room in rooms)]


def test_scores_galleries_and_the_command_line_do_not_import_torch() -> None:
    command = [sys.executable, "-c", SCRIPT, "vireid", "vireid.methods", *without_torch()]
    assert len(command) > 40
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
