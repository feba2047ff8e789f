"""The methods; a file's name is the method's name, and a new method is a new file here.

A method can also live in a file of one's own or in another package: see `vireid.files.user_code`.
"""

import dataclasses
from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING

from vireid.errors import VireidError, suggestion
from vireid.files import user_code

if TYPE_CHECKING:
    from vireid.method import Method


def available() -> list[str]:
    """Return the names of all methods, in alphabetical order; imports none of them."""
    return sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_"))


def find(name: str) -> "type[Method]":
    """Return the method of a name.

    Args:
        name: Name of a file in `vireid/methods`, without `.py`; or user code, which this runs.

    Raises:
        VireidError: There is no such method, or a file does not define exactly one.
    """
    code = user_code.parse(name)
    if code is None:
        _check_available(name)
        return _only_method(import_module(f"{__name__}.{name}"), name)
    module = user_code.load(code)
    found = _thing(module, code.thing, name) if code.thing else _only_method(module, name)
    if not dataclasses.is_dataclass(getattr(found, "Config", None)):
        raise VireidError(f"{name}: {found.__name__} has no Config, a dataclass of its settings")
    return found


def _check_available(name: str) -> None:
    if name not in available():
        there = f"there are {', '.join(available())}, and files of your own, named as in mine.py"
        raise VireidError(f"there is no method '{name}'; {suggestion(name, available(), there)}")


def _only_method(module: ModuleType, name: str) -> "type[Method]":
    from vireid.method import Method

    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Method)
        and value.__module__ == module.__name__
        and not isabstract(value)
    ]
    if not found:
        raise VireidError(f"{name} defines no method: no class in it is a whole Method")
    if len(found) > 1:
        names = ", ".join(method.__name__ for method in found)
        raise VireidError(
            f"{name} defines {len(found)} methods, {names}; name one, as in "
            f"{name}:{found[-1].__name__}"
        )
    return found[0]


def _thing(module: ModuleType, thing: str, name: str) -> "type[Method]":
    from vireid.method import Method

    found = getattr(module, thing, None)
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise VireidError(f"{name} is no method: there is no subclass of Method of this name")
    return found
