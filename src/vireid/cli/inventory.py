"""Everything that has a name: methods with settings, data sets, protocols, recipes, models.

Methods and formats are read, not imported, so that they can be listed on a machine without torch.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from vireid import datasets, methods, recipes
from vireid.errors import VireidError, suggestion
from vireid.files import user_code
from vireid.models import import_formats, opening
from vireid.models.card import read_exported
from vireid.scoring.named_protocols import OFFERED
from vireid.types import ranges
from vireid.video import sets

FACTS = ("title", "licence", "terms", "obtain", "url")
"""Facts of a data set that are listed."""
SHARED_SETTINGS = "_settings"
"""Module of settings that several methods have."""


@dataclass(frozen=True)
class Setting:
    """A field of a method's `Config`."""

    name: str
    kind: str
    """Type of the setting, as written."""
    default: str
    """Default as written; empty where a recipe has to state it."""
    meaning: str


@dataclass(frozen=True)
class Entry:
    """One thing that has a name."""

    name: str
    description: str
    details: Mapping[str, str] = field(default_factory=dict)
    """More about it, each under a heading."""
    settings: tuple[Setting, ...] = ()
    """Settings of a method that a recipe can change."""


def entries(kind: str) -> list[Entry]:
    """Return everything of a kind, in alphabetical order.

    Raises:
        VireidError: There is no such kind.
    """
    names, describe = _of_kind(kind)
    return [describe(name) for name in names()]


def entry(kind: str, name: str) -> Entry:
    """Return one thing of a kind.

    Args:
        kind: One of `KINDS`.
        name: Name of the thing; for a method or a data set also user code, `mine.py`.

    Raises:
        VireidError: There is no such kind or name.
    """
    names, describe = _of_kind(kind)
    if name not in names() and not user_code.parse(name):
        hint = suggestion(name, names())
        raise VireidError(f"there is nothing called '{name}' among the {kind}; {hint}")
    return describe(name)


def _of_kind(kind: str) -> tuple[Callable[[], list[str]], Callable[[str], Entry]]:
    if kind not in KINDS:
        raise VireidError(f"there is no list of {kind}; there are {', '.join(KINDS)}")
    return KINDS[kind]


def _method(name: str) -> Entry:
    source = _source_of(name)
    module = ast.parse(source.read_text(encoding="utf-8"), str(source))
    wanted = code.thing if (code := user_code.parse(name)) else None
    return Entry(name, _first_line(module), settings=tuple(_settings(module, wanted)))


def _source_of(name: str) -> Path:
    code = user_code.parse(name)
    if code is None:
        return Path(methods.__path__[0]) / f"{name}.py"
    if code.file:
        return code.file
    spec = find_spec(code.module or "")
    if spec is None or spec.origin is None:
        raise VireidError(f"there is no module {code.module}; install it, or look at its name")
    return Path(spec.origin)


def _settings(module: ast.Module, wanted: str | None) -> Iterator[Setting]:
    """Return the fields of `Config` in a class, those inherited from a method first."""
    for config in _configs(module, wanted):
        for base in config.bases:
            name = ast.unparse(base).partition(".")[0]
            inherited = _imported_method(module, name)
            if inherited == SHARED_SETTINGS:
                yield from _shared(name)
            elif inherited:
                yield from _method(inherited).settings
        yield from _fields(config)


def _shared(name: str) -> Iterator[Setting]:
    """Return the fields of a class of settings that several methods have."""
    source = _source_of(SHARED_SETTINGS)
    module = ast.parse(source.read_text(encoding="utf-8"), str(source))
    for line in module.body:
        if isinstance(line, ast.ClassDef) and line.name == name:
            yield from _fields(line)


def _fields(settings: ast.ClassDef) -> Iterator[Setting]:
    for line, after in zip(settings.body, [*settings.body[1:], None], strict=True):
        if isinstance(line, ast.AnnAssign):
            default = ast.unparse(line.value) if line.value else ""
            kind = ranges.in_symbols(ast.unparse(line.annotation))
            yield Setting(ast.unparse(line.target), kind, default, _text(after))


def _configs(module: ast.Module, wanted: str | None) -> list[ast.ClassDef]:
    classes = [line for line in module.body if isinstance(line, ast.ClassDef)]
    inner = [line for c in classes if wanted in (None, c.name) for line in c.body]
    return [line for line in inner if isinstance(line, ast.ClassDef) and line.name == "Config"]


def _imported_method(module: ast.Module, name: str) -> str | None:
    """Return the method of vireid's from which a file imports a class."""
    for line in module.body:
        if isinstance(line, ast.ImportFrom) and name in [alias.name for alias in line.names]:
            room, _, file = str(line.module).rpartition(".")
            return file if room == "vireid.methods" else None
    return None


def _text(line: ast.stmt | None) -> str:
    """Return the docstring in a statement, on one line."""
    is_text = isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
    return " ".join(str(line.value.value).split()) if is_text else ""  # type: ignore[union-attr]


def _first_line(module: ast.Module) -> str:
    return (ast.get_docstring(module) or "").partition("\n")[0]


def _dataset(name: str) -> Entry:
    facts = datasets.facts(name)
    told = {fact: str(facts[fact]) for fact in FACTS if fact in facts}
    trials = datasets.trials(name)
    splits = {"splits": f"trial {trials[0]} to {trials[-1]}"} if trials else {}
    return Entry(name, datasets.description(name), told | splits)


def _set(name: str) -> Entry:
    facts = sets.facts(name)
    told = {fact: facts[fact] for fact in FACTS}
    command = f"vireid data cut {name} ROOT --out PEOPLE"
    return Entry(name, sets.description(name), {**told, "make a data set of it with": command})


def _protocol(name: str) -> Entry:
    offer = OFFERED[name]
    choices = {option: ", ".join(values) for option, values in offer.choices.items()}
    frames = {"frames": "how many of each tracklet"} if offer.of_tracklets else {}
    return Entry(name, f"for {offer.usual.dataset}", choices | frames)


def _recipe(name: str) -> Entry:
    recipe = recipes.shipped(name)
    command = "train" if recipe.kind == "recipe" else "sweep"
    return Entry(name, recipe.description, {"start it with": f"vireid {command} {name}"})


def _model(name: str) -> Entry:
    card = read_exported(opening.folder_of(name))
    size = f"{card.height} x {card.width} pixels"
    what = f"{card.method}: pictures of {size} to {card.embedding_dim} numbers"
    said = {"caveat": card.caveat, "licence": card.licence, "fingerprint": card.fingerprint}
    return Entry(name, what, {key: value for key, value in said.items() if value})


def _format(name: str) -> Entry:
    module = ast.parse(
        (Path(import_formats.__path__[0]) / f"{name}.py").read_text(encoding="utf-8")
    )
    told = {
        ast.unparse(line.targets[0]): ast.literal_eval(line.value)
        for line in module.body
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) in ("TITLE", "ADDRESS")
    }
    command = f"vireid import {name} CHECKPOINT --out MODEL"
    return Entry(name, told["TITLE"], {"code": told["ADDRESS"], "import one with": command})


def _recipes_of(kind: str) -> Callable[[], list[str]]:
    return lambda: [name for name in recipes.available() if recipes.shipped(name).kind == kind]


KINDS: Mapping[str, tuple[Callable[[], list[str]], Callable[[str], Entry]]] = {
    "methods": (methods.available, _method),
    "datasets": (datasets.available, _dataset),
    "sets": (sets.available, _set),
    "protocols": (lambda: sorted(OFFERED), _protocol),
    "recipes": (_recipes_of("recipe"), _recipe),
    "sweeps": (_recipes_of("sweep"), _recipe),
    "models": (opening.shipped, _model),
    "formats": (import_formats.available, _format),
}
"""Functions that list the names of a kind, and that describe one, by kind."""
