"""The methods; a file's name is the method's name, and a new method is a new file here."""

from difflib import get_close_matches
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from vireid.errors import VireidError

if TYPE_CHECKING:
    from vireid.method import Method


def available() -> list[str]:
    """Names of all methods, in alphabetical order; imports none of them."""
    return sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_"))


def find(name: str) -> "type[Method]":
    """The method that the file `vireid/methods/<name>.py` defines.

    Raises:
        VireidError: There is no such file, or it does not define exactly one method.
    """
    if name not in available():
        close = get_close_matches(name, available(), n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(available())}"
        raise VireidError(f"there is no method '{name}'; {hint}")
    from vireid.method import Method

    module = import_module(f"{__name__}.{name}")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Method)
        and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise VireidError(f"{module.__file__} has to define one method, but defines {len(found)}")
    return found[0]
