"""Recipes: TOML files that say how to train; read, checked, overridden and written.

Settings of the method are checked against its `Config`, so reading a recipe imports the method;
importing this module does not.
"""

import dataclasses
import enum
import json
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import tomli_w

from vireid.console import shortened
from vireid.errors import VireidError, closest
from vireid.files import documents, user_code
from vireid.records import is_number
from vireid.training_data.augmentation import Augmentation
from vireid.training_data.settings import Data as Data
from vireid.types.ranges import Count, NotNegative, Seed, check_ranges

IN_WORDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
    dict: "a table",
}
EXAMPLES = {
    "data": 'a table [data] with dataset = "nightwalk"',
    "data.dataset": 'dataset = "nightwalk" to the table [data]',
}
"""Example of each setting that has no default."""
MOST_NUMBERS = 10_000
"""Numbers that a text may state: more than any data set has people in a group, or trials."""
WAY_OUT = "mend it, or put a sound copy in its place"
LISTS = (list, tuple, set, frozenset)
TIMES = (datetime, date, time)
"""Types that TOML has and JSON has not."""


class RecipeError(VireidError):
    """A recipe that cannot be read, or says something that makes no sense."""


@dataclass(frozen=True)
class Recipe:
    """All settings that decide what a run learns."""

    method: str
    """Name of a file in `vireid/methods`; or user code, `mine.py` or `package.module:Mine`."""
    data: Data
    seed: Seed = 0
    """Seed of all chance in a run, 0 or more."""
    start_from: str | None = None
    """Weights to start from: `small`, a run folder or an exported model. What does not fit,
    such as the classifier of other people, is left fresh."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the forward pass; `auto` chooses by device (docs/training.md)."""
    save_minutes: NotNegative = 10.0
    """Minutes between two checkpoints within an epoch; there is one after each epoch too."""
    tensorboard: bool = False
    """Write losses for TensorBoard too: `pip install 'vireid[tensorboard]'`."""
    validate_every: Count | None = None
    """Epochs from one score on the validation people to the next, who have to be left out
    (`data.learn_from = "train"`); a curve to look at, nothing is chosen by it."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Settings of the augmentation."""
    settings: Any = None
    """Settings of the method, its `Config`."""

    def __post_init__(self) -> None:
        check_ranges(self, table="")  # with all tables, also that of a method of one's own

    def as_dict(self) -> dict[str, Any]:
        """Return all settings, defaults too, as a TOML file holds them: what is None is left out.

        Raises:
            RecipeError: A setting is of a type that no TOML file can hold.
        """
        held: dict[str, Any] = _without_none(_tables(self))
        return held


@dataclass(frozen=True)
class DataOutline:
    """What the table `[data]` says about whom a model has learnt from."""

    dataset: str | None = None
    root: str | None = None
    trial: int | None = None
    learn_from: Literal["train and validation", "train"] = "train and validation"


@dataclass(frozen=True)
class Imported:
    """The origin of weights that released code has learnt, see `models.importing`."""

    format: str
    repository: str
    file: str
    """Name of the checkpoint."""
    sha256: str
    reads_text: bool = True
    """Whether a method that reads sentences still does with these weights."""
    visible_only: bool = False
    """Whether they were learnt from visible pictures alone."""


@dataclass(frozen=True)
class Outline:
    """What a recipe says about a model's origin; read without its method, and so without torch."""

    method: str | None = None
    data: DataOutline | None = None
    seed: int = 0
    start_from: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the method that it states."""


def read(
    path: Path, overrides: Sequence[str] = (), changes: Mapping[str, Any] | None = None
) -> Recipe:
    """Return the recipe in a file.

    Args:
        path: A TOML file. Paths of user code in it start from its folder.
        overrides: `key=value` with dotted keys, e.g. `settings.epochs=3`; `key=` takes a setting
            back to its default. A value is TOML, or the text as it is typed where TOML does not
            fit the setting. Paths of user code start from the working folder.
        changes: Tables laid over those of the file, before the overrides.

    Raises:
        RecipeError: Unknown settings, wrong types, not TOML.
    """
    table = _laid_over(documents.read_toml(path, dict, WAY_OUT, RecipeError), changes or {})
    table = _with_user_code_from(path.parent, table)
    for override in overrides:
        _override(table, override)
    try:
        return _with_absolute_paths(from_dict(table))
    except VireidError as error:
        raise RecipeError(f"{path}: {error}") from error


def outline_of(path: Path) -> Outline:
    """Return what a recipe says about a model's origin.

    Raises:
        RecipeError: Not TOML, or of wrong types. A file that is not there is an empty recipe.
    """
    if not os.path.lexists(path):
        return Outline()
    return documents.read_toml(path, Outline, WAY_OUT, RecipeError)


def numbers(text: str) -> list[int]:
    """Return the numbers of trials or people that a text states.

    Raises:
        RecipeError: Something else, or more numbers than `MOST_NUMBERS`.

    >>> numbers("1-3,7")
    [1, 2, 3, 7]
    """
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not (is_number(first) and is_number(last or first)):
            raise RecipeError(f"'{shortened(text)}' is not a list of numbers such as 1-10 or 1,3,5")
        wanted = range(int(first), int(last or first) + 1)
        if len(found) + len(wanted) > MOST_NUMBERS:
            raise RecipeError(f"'{shortened(text)}' names more than {MOST_NUMBERS:,} numbers")
        found += wanted
    if not found or len(set(found)) < len(found):
        raise RecipeError(
            f"'{shortened(text)}' names a number twice, or none; write for example 1-10"
        )
    return found


def from_dict(table: Mapping[str, Any]) -> Recipe:
    """Return the recipe of nested tables.

    Raises:
        VireidError: Unknown settings, wrong types, a method that does not exist.
    """
    from vireid import methods

    if "rows" in table:
        raise RecipeError("this is no recipe but a sweep over some; run it with `vireid sweep`")
    if "method" not in table:
        raise RecipeError(f'a recipe needs a method, e.g. method = "{methods.available()[0]}"')
    kinds = {"settings": methods.find(_typed(table["method"], str, "method")).Config}
    _refuse_unknown(table, kinds)
    recipe: Recipe = _build(Recipe, {"settings": {}, **table}, "", kinds)
    return recipe


def as_toml(recipe: Recipe) -> str:
    """Return the recipe as a TOML file that says everything, defaults too.

    Raises:
        RecipeError: A setting is of a type that no TOML file can hold.
    """
    held = recipe.as_dict()
    try:
        return _written(held)
    except (TypeError, ValueError) as error:
        culprits = [key for key, value in _flat(held).items() if not _can_be_written(value)]
        raise RecipeError(
            f"{', '.join(culprits)} cannot be written to a recipe: {error}"
        ) from error


def read_back(recipe: Recipe) -> Recipe:
    """Return the recipe as it is read once it has been written: 3 for a fraction is then 3.0.

    Raises:
        RecipeError: It cannot be written, or not be read.
    """
    return from_dict(tomllib.loads(as_toml(recipe)))


def check_can_be_read_back(recipe: Recipe) -> None:
    """Make sure that a run of this recipe can be opened again.

    Raises:
        RecipeError: What would be written is no TOML, or is read as something else; the message
            names the setting.
    """
    changed = differences(_tables(recipe), _tables(read_back(recipe)))
    if changed:
        told = "; ".join(
            f"{key} is {was!r}, read is {now!r}" for key, (was, now) in changed.items()
        )
        raise RecipeError(f"this recipe would not be read as it is written: {told}")


def _written(table: Mapping[str, Any]) -> str:
    text = tomli_w.dumps(table)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("TOML is Unicode, and this name is not; rename it") from None
    return text


def _can_be_written(value: Any) -> bool:
    try:
        _written({"value": value})
    except (TypeError, ValueError):
        return False
    return True


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the settings in which two recipes differ: dotted key, before and after."""
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


def _with_user_code_from(folder: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables with absolute paths of user code."""
    changed, data = dict(table), table.get("data")
    if isinstance(table.get("method"), str):
        changed["method"] = user_code.located(table["method"], folder)
    if isinstance(data, Mapping) and isinstance(data.get("dataset"), str):
        changed["data"] = {**data, "dataset": user_code.located(data["dataset"], folder)}
    return changed


def _with_absolute_paths(recipe: Recipe) -> Recipe:
    """Return the recipe with absolute paths, so that it holds in any working folder."""
    dataset = user_code.located(recipe.data.dataset, Path())
    data = dataclasses.replace(recipe.data, dataset=dataset)
    method = user_code.located(recipe.method, Path())
    return dataclasses.replace(recipe, method=method, data=data)


@dataclass(frozen=True)
class _Typed:
    """The text typed after `key=`."""

    text: str

    @property
    def value(self) -> Any:
        """The text read as TOML; the text itself where it is none."""
        try:
            return tomllib.loads(f"value = {self.text}")["value"]
        except (ValueError, RecursionError):  # no TOML, or a number of thousands of digits
            return self.text

    def __str__(self) -> str:
        return _shown(self.value)


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
        table[last] = _Typed(text)
    else:
        table.pop(last, None)


def _refuse_unknown(table: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    known = dict(_known(Recipe, "", kinds))
    tables = {key.rpartition(".")[0] for key in known}
    open_ended = tuple(
        f"{key}." for key, kind in known.items() if kind is Any or _may_be(kind, dict)
    )
    for key, value in _flat(table).items():
        if key in known or key.startswith(open_ended):
            continue
        if key in tables and (not isinstance(value, dict) or not value):
            continue
        raise RecipeError(f"recipe has no setting '{key}'{_hint(key, list(known))}")


def _hint(key: str, known: Sequence[str]) -> str:
    last = {name.rpartition(".")[2]: name for name in known}
    meant = closest(key, known, 0.75) or last.get(closest(key.rpartition(".")[2], last) or "")
    if meant:
        return f"; did you mean '{meant}'?"
    table = key.rpartition(".")[0]
    near = [name for name in known if name.rpartition(".")[0] == table] or list(known)
    return f"; there are {', '.join(near)}"


def _known(kind: type, prefix: str, kinds: Mapping[str, type]) -> Iterable[tuple[str, Any]]:
    """Return the dotted keys of all settings, with their types."""
    hints = get_type_hints(kind)
    for f in dataclasses.fields(kind):
        inner = kinds.get(prefix + f.name, hints[f.name])
        if dataclasses.is_dataclass(inner):
            yield from _known(inner, f"{prefix}{f.name}.", kinds)  # type: ignore[arg-type]
        else:
            yield prefix + f.name, inner


def _may_be(kind: Any, wanted: type) -> bool:
    """Whether a type, or one of its alternatives, is another type."""
    alternatives = get_args(kind) if get_origin(kind) not in (None, *LISTS, dict, Literal) else ()
    return any((get_origin(each) or each) is wanted for each in (kind, *alternatives))


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested tables as dotted keys; an empty table stands for itself."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value
    return flat


def _build(kind: type, table: Any, prefix: str, kinds: Mapping[str, type]) -> Any:
    """Return a dataclass from a table of checked values."""
    if isinstance(table, _Typed):
        table = table.value
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
            raise RecipeError(
                f"the recipe does not say {key}; add {EXAMPLES.get(key, key + ' = ...')}"
            )
    return kind(**values)


def _typed(value: Any, kind: Any, key: str) -> Any:
    """Return the value in the setting's type, or raise an error that names that type."""
    value = _with_meaning(value, kind)
    try:
        found = _converted(value, kind)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        told = f"{key} has to be {_in_words(kind)}, but is {_shown(value)}"
        raise RecipeError(told) from error
    except TypeError as error:
        raise RecipeError(f"{key} is declared as {kind}, which no recipe holds: {error}") from error
    _refuse_unheard(value, _plain(key, found), key)
    return found


def _converted(value: Any, kind: Any) -> Any:
    return msgspec.convert(value, kind, builtin_types=TIMES, str_keys=True, dec_hook=_custom)


def _custom(kind: type, value: Any) -> Any:
    if issubclass(kind, Path) and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(f"it cannot be read as {kind.__name__}")


def _with_meaning(value: Any, kind: Any) -> Any:
    """Return a value without typed texts, be they below a table: `settings.weights.near=0.5`."""
    if isinstance(value, _Typed):
        return _meant(value, kind)
    if not isinstance(value, Mapping):
        return value
    return {name: _with_meaning(each, _kind_below(kind, name)) for name, each in value.items()}


def _kind_below(kind: Any, name: str) -> Any:
    """Return the type of what a table, or one of the alternatives of its type, has under a name."""
    for each in (kind, *get_args(kind)):
        if get_origin(each) is dict:
            return get_args(each)[1]
        if dataclasses.is_dataclass(each):
            return get_type_hints(each).get(name, Any)
    return Any


def _meant(typed: _Typed, kind: Any) -> Any:
    """Return a typed text as TOML if that fits the setting, else as text if that does."""
    for value in (typed.value, typed.text):
        try:
            _converted(value, kind)
        except (msgspec.ValidationError, UnicodeEncodeError, TypeError):
            continue
        return value
    return typed.value


def _refuse_unheard(given: Any, found: Any, key: str) -> None:
    """Refuse names in lists and tables of a setting that its dataclasses do not have."""
    if isinstance(given, Mapping) and isinstance(found, Mapping):
        for name, value in given.items():
            if name not in found:
                raise RecipeError(f"{key} has no setting '{name}'; there are {', '.join(found)}")
            _refuse_unheard(value, found[name], f"{key}.{name}")
    elif isinstance(given, list) and isinstance(found, (list, tuple)):
        for each, built in zip(given, found, strict=False):
            _refuse_unheard(each, built, key)


def _in_words(kind: Any) -> str:
    """Return the name of a type in messages."""
    arguments = [a for a in get_args(kind) if a not in (NoneType, Ellipsis)]
    origin = get_origin(kind)
    if origin is Literal:
        return "one of " + ", ".join(map(_shown, arguments))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "one of " + ", ".join(_shown(member.value) for member in kind)
    if origin is tuple and Ellipsis not in get_args(kind):
        return f"a list of {len(arguments)}, each {_in_words(arguments[0])}"
    if origin in LISTS:
        return f"a list, each {_in_words(arguments[0])}"
    if origin is dict:
        return f"a table, each value {_in_words(arguments[1])}"
    if dataclasses.is_dataclass(kind):
        return f"a table with {', '.join(f.name for f in dataclasses.fields(kind))}"
    if arguments:
        return " or ".join(map(_in_words, arguments))
    return IN_WORDS.get(kind, str(kind))


def _shown(value: Any) -> str:
    return shortened(json.dumps(value, default=str, ensure_ascii=False), 200)


def _tables(recipe: Recipe) -> dict[str, Any]:
    fields = dataclasses.fields(recipe)
    return {f.name: _plain(f.name, getattr(recipe, f.name)) for f in fields}


def _plain(key: str, value: Any) -> Any:
    """Return the value in types that TOML has."""
    try:
        return msgspec.to_builtins(value, builtin_types=TIMES, str_keys=True, enc_hook=_as_text)
    except (TypeError, NotImplementedError) as error:
        raise RecipeError(f"{key} is {value!r}, which no recipe can hold: {error}") from error


def _as_text(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} is no type of TOML")


def _without_none(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {name: _without_none(each) for name, each in value.items() if each is not None}
