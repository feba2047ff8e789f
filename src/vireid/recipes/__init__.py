"""The recipes and sweeps that come with vireid; a file's name is its name.

The first line of each file is a comment that describes it.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vireid.errors import VireidError, suggestion
from vireid.files.atomic import write_whole
from vireid.files.untrusted import is_file

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class ShippedRecipe:
    """A recipe that comes with vireid."""

    name: str
    kind: Literal["recipe", "sweep"]
    """`vireid train` takes a recipe, `vireid sweep` a sweep."""
    description: str
    text: str
    """The TOML."""


def available() -> list[str]:
    """Return the names of all recipes and sweeps, in alphabetical order."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def shipped(name: str) -> ShippedRecipe:
    """Return a recipe that comes with vireid.

    Raises:
        VireidError: None has this name.
    """
    if name not in available():
        raise VireidError(_there_is_none(name))
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    kind: Literal["recipe", "sweep"] = "sweep" if "rows" in tomllib.loads(text) else "recipe"
    return ShippedRecipe(name, kind, text.splitlines()[0].removeprefix("# "), text)


def find(name: str | Path, beside: Path = Path()) -> Path:
    """Return the file of a recipe.

    Args:
        name: A file, which wins if it is there, or the name of a recipe that comes with vireid.
        beside: The folder that a file is looked for from.

    Raises:
        VireidError: It is neither.
    """
    if is_file(beside / name):
        return beside / name
    if str(name) in available():
        return FOLDER / f"{name}.toml"
    raise VireidError(_there_is_none(str(name)))


def copy(name: str, folder: Path) -> Path:
    """Write a recipe that comes with vireid to a folder, and return the new file.

    Raises:
        VireidError: None has this name, or the file is there already.
    """
    text = shipped(name).text
    path = folder / f"{name}.toml"
    if path.exists():
        raise VireidError(f"{path} is there already; remove it, or copy to another folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode())
    return path


def _there_is_none(name: str) -> str:
    stem = Path(name).stem
    if stem in available():
        return f"there is no file {name}; the recipe that comes with vireid is called {stem}"
    hint = suggestion(stem, available(), "`vireid recipes` lists what vireid has")
    return f"there is no recipe '{name}'; {hint}"
