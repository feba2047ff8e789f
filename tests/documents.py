"""Files that documents show in full: fenced blocks with a title, ```python title="mine.py"."""

import re
from pathlib import Path

from vireid import methods
from vireid.method import Method

PROJECT = Path(__file__).parents[1]
PAGES = [PROJECT / "docs" / "add_a_method.md", PROJECT / "docs" / "add_a_dataset.md"]
METHODS = ["tiny.py", "closer.py"]
FILE = re.compile(r'^```\w+ title="(?P<name>[^"]+)"\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL)


def files_of(document: Path) -> dict[str, str]:
    """Name and content of each file that a document shows."""
    return {found["name"]: found["text"] for found in FILE.finditer(document.read_text())}


def find_method(name: str, folder: Path) -> type[Method]:
    """A method of vireid, or one of a document, whose file is written to a folder."""
    if name in METHODS:
        (folder / name).write_text(files_of(PAGES[0])[name])
        return methods.find(str(folder / name))
    return methods.find(name)
