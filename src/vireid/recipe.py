"""A run worth repeating, as a TOML file: read, checked, changed on the command line, written.

Settings of the method are checked against its `Config`, so reading a recipe imports the method;
importing this module does not.
"""

import dataclasses
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from vireid.errors import VireidError
from vireid.training_data.augmentation import Augmentation

IN_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


class RecipeError(VireidError):
    """A recipe that cannot be read, or says something that makes no sense."""


@dataclass(frozen=True)
class Data:
    """What is learnt from: the table `[data]`."""

    dataset: str
    """A file in `vireid/datasets`, e.g. `sysu_mm01` or `nightwalk`."""
    root: str | None = None
    """Folder of the data set. NightWalk mini comes with the package and needs none."""
    trial: int | None = None
    """Which split of a data set that was published with several (RegDB: 1 to 10); by default 1."""
    learn_from: Literal["train and validation", "train"] = "train and validation"
    """Groups of people. `train` leaves the validation people for choosing settings, which is what
    `vireid train --validate` sets."""
    height: int = 288
    """Rows of a picture as the method sees it (AGW's code: 288)."""
    width: int = 144
    """Columns (AGW's code: 144)."""
    workers: int = 2
    """Threads that make batches; the batches are the same with any number."""
    steps_per_epoch: int | None = None
    """Paired batches in an epoch; by default as many as it takes to draw as many pictures as the
    larger modality has."""
    unpaired: Literal["error", "drop"] = "error"
    """People seen in one spectrum only: refuse them, or leave them out."""
    unreadable: Literal["error", "skip"] = "error"
    """Pictures that cannot be read: refuse them, or learn from the others."""

    def __post_init__(self) -> None:
        for name in ("height", "width", "steps_per_epoch"):
            _check(f"data.{name}", getattr(self, name), at_least=1)
        _check("data.workers", self.workers, at_least=0)


@dataclass(frozen=True)
class Recipe:
    """All that decides what a run learns."""

    method: str
    """A file in `vireid/methods`."""
    data: Data
    seed: int = 0
    """0 or more. All chance in a run comes from it."""
    start_from: str | None = None
    """Weights to start from: `small`, a run folder or an exported model. What does not fit,
    such as the classifier of other people, is left fresh."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the forward pass; `auto` is bfloat16 where the device computes in it."""
    save_minutes: float = 10.0
    """A checkpoint is written after each epoch, and within one every so many minutes."""
    tensorboard: bool = False
    """Write losses for TensorBoard too: `pip install 'vireid[tensorboard]'`."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """How pictures are changed."""
    settings: Any = None
    """The method's `Config`."""

    def __post_init__(self) -> None:
        _check("seed", self.seed, at_least=0)
        _check("save_minutes", self.save_minutes, at_least=0)

    def as_dict(self) -> dict[str, Any]:
        """All settings, defaults too, as a TOML file would hold them."""
        return {k: v for k, v in dataclasses.asdict(self).items() if v is not None}


def read(
    path: Path, overrides: Sequence[str] = (), changes: Mapping[str, Any] | None = None
) -> Recipe:
    """The recipe in a file.

    Args:
        path: A TOML file.
        overrides: `key=value` with dotted keys, e.g. `settings.epochs=3`; `key=` takes a setting
            back to its default. Values are TOML, or text where that fails.
        changes: Tables laid over those of the file, before the overrides.

    Raises:
        RecipeError: Unknown settings, wrong types, not TOML.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error
    table = _laid_over(table, changes or {})
    for override in overrides:
        _override(table, override)
    try:
        return from_dict(table)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error


def table_of(path: Path) -> dict[str, Any]:
    """A recipe as its tables, unchecked: read without its method, and so without torch.

    Raises:
        RecipeError: Not TOML. A file that is not there is an empty recipe.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error


def data_of(path: Path) -> dict[str, Any]:
    """The table `[data]` of a recipe, likewise."""
    data: dict[str, Any] = table_of(path).get("data", {})
    return data


def numbers(text: str) -> list[int]:
    """Numbers of trials as people write them.

    Raises:
        RecipeError: Something else.

    >>> numbers("1-3,7")
    [1, 2, 3, 7]
    """
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()):
            raise RecipeError(f"'{text}' is not a list of numbers such as 1-10 or 1,3,5")
        found += range(int(first), int(last or first) + 1)
    if not found or len(set(found)) < len(found):
        raise RecipeError(f"'{text}' names a number twice, or none; write for example 1-10")
    return found


def from_dict(table: Mapping[str, Any]) -> Recipe:
    """A recipe from nested tables.

    Raises:
        VireidError: Unknown settings, wrong types, a method that does not exist.
    """
    from vireid import methods

    if "rows" in table:
        raise RecipeError("this is no recipe but a sweep over some; run it with `vireid sweep`")
    if not isinstance(table.get("method"), str):
        raise RecipeError(f'a recipe needs a method, e.g. method = "{methods.available()[0]}"')
    kinds = {"settings": methods.find(table["method"]).Config}
    _refuse_unknown(table, kinds)
    recipe: Recipe = _build(Recipe, {"settings": {}, **table}, "", kinds)
    return recipe


def as_toml(recipe: Recipe) -> str:
    """The recipe as a TOML file that says everything, defaults too."""
    tables: dict[str, Any] = {"": {}}
    for key, value in recipe.as_dict().items():
        if isinstance(value, dict):
            tables[f"\n[{key}]\n"] = value
        else:
            tables[""][key] = value
    return "".join(head + "".join(_lines(table)) for head, table in tables.items())


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Dotted keys of the settings in which two recipes differ: before and now, None for not set."""
    before, now = _flat(old), _flat(new)
    keys = sorted(before.keys() | now.keys())
    return {k: (before.get(k), now.get(k)) for k in keys if before.get(k) != now.get(k)}


def _laid_over(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    changed = dict(table)
    for key, value in changes.items():
        below = changed.get(key, {})
        is_table = isinstance(value, Mapping) and isinstance(below, Mapping)
        changed[key] = _laid_over(below, value) if is_table else value
    return changed


def _override(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"'{override}' is not key=value, e.g. settings.epochs=3")
    *above, last = key.split(".")
    for name in above:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise RecipeError(f"'{key}' cannot be set: '{name}' is no table of the recipe")
    if text:
        table[last] = _value(text)
    else:
        table.pop(last, None)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _refuse_unknown(table: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    known = list(_known(Recipe, "", kinds))
    tables = {key.rpartition(".")[0] for key in known}
    for key, value in _flat(table).items():
        if key in known or (key in tables and not isinstance(value, dict)):
            continue
        if key in tables and not value:
            continue
        raise RecipeError(f"recipe has no setting '{key}'{_hint(key, known)}")


def _hint(key: str, known: Sequence[str]) -> str:
    last = {name.rpartition(".")[2]: name for name in known}
    close = get_close_matches(key, known, 1, 0.75)
    close = close or [last[k] for k in get_close_matches(key.rpartition(".")[2], last, 1)]
    if close:
        return f"; did you mean '{close[0]}'?"
    table = key.rpartition(".")[0]
    near = [name for name in known if name.rpartition(".")[0] == table] or list(known)
    return f"; there are {', '.join(near)}"


def _known(kind: type, prefix: str, kinds: Mapping[str, type]) -> Iterable[str]:
    hints = get_type_hints(kind)
    for f in dataclasses.fields(kind):
        inner = kinds.get(prefix + f.name, hints[f.name])
        if dataclasses.is_dataclass(inner):
            yield from _known(inner, f"{prefix}{f.name}.", kinds)  # type: ignore[arg-type]
        else:
            yield prefix + f.name


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys of nested tables; an empty table stands for itself."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value
    return flat


def _build(kind: type, table: Any, prefix: str, kinds: Mapping[str, type]) -> Any:
    """A dataclass from a table of checked values."""
    if not isinstance(table, Mapping):
        raise RecipeError(f"{prefix[:-1]} has to be a table of settings, but is {_shown(table)}")
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for f in dataclasses.fields(kind):
        key = prefix + f.name
        inner = kinds.get(key, hints[f.name])
        if f.name in table and dataclasses.is_dataclass(inner):
            values[f.name] = _build(inner, table[f.name], f"{key}.", kinds)  # type: ignore[arg-type]
        elif f.name in table:
            values[f.name] = _typed(table[f.name], inner, key)
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise RecipeError(f"the recipe does not say {key}")
    return kind(**values)


def _typed(value: Any, kind: Any, key: str) -> Any:
    """The value as what it has to be, or an error that says what that is."""
    fitting = _fitting(value, kind)
    if fitting is NotImplemented:
        raise RecipeError(f"{key} has to be {_in_words(kind)}, but is {_shown(value)}")
    return fitting


def _fitting(value: Any, kind: Any) -> Any:
    """The value as a kind of type hint; NotImplemented if it is of another."""
    arguments = get_args(kind)
    if get_origin(kind) is Literal:
        same = any(type(a) is type(value) and a == value for a in arguments)
        return value if same else NotImplemented
    if get_origin(kind) in (Union, UnionType):
        tried = (_fitting(value, argument) for argument in arguments)
        return next((fit for fit in tried if fit is not NotImplemented), NotImplemented)
    if get_origin(kind) is tuple:
        return _fitting_tuple(value, arguments)
    if kind is float and type(value) is int:
        return float(value)
    return value if type(value) is kind else NotImplemented


def _fitting_tuple(value: Any, kinds: tuple[Any, ...]) -> Any:
    if not isinstance(value, (list, tuple)):
        return NotImplemented
    kinds = (kinds[0],) * len(value) if Ellipsis in kinds else kinds
    if len(value) != len(kinds):
        return NotImplemented
    fits = tuple(map(_fitting, value, kinds))
    return NotImplemented if NotImplemented in fits else fits


def _in_words(kind: Any) -> str:
    arguments = [a for a in get_args(kind) if a is not NoneType]
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(_shown, arguments))
    if get_origin(kind) is tuple:
        many = Ellipsis in arguments
        inner = _in_words(arguments[0])
        return f"a list, each {inner}" if many else f"a list of {len(arguments)}, each {inner}"
    if arguments:
        return " or ".join(map(_in_words, arguments))
    return IN_WORDS.get(kind, str(kind))


def _shown(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


def _lines(table: Mapping[str, Any]) -> Iterable[str]:
    for key, value in table.items():
        if value is not None:
            yield f"{key} = {_toml(value)}\n"


def _toml(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def _check(name: str, value: float | None, *, at_least: int) -> None:
    if value is not None and value < at_least:
        raise RecipeError(f"{name} is {value}; it has to be {at_least} or more")
