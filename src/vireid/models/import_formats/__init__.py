"""Formats of released code whose checkpoints become models of vireid; one file a format.

A format is a module of this package, and its file name is the format's name. It has

* `TITLE`: whose checkpoints they are
* `ADDRESS`: where the code is that writes them
* `translate(state) -> Translation`: what vireid calls each weight, and which settings make the
  same network; it raises `CannotImportError` where no settings do
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from vireid.errors import VireidError

if TYPE_CHECKING:
    from vireid.models.import_formats._translation import State, Translation


@runtime_checkable
class Format(Protocol):
    """What a module of this package has."""

    TITLE: str
    ADDRESS: str

    @staticmethod
    def translate(state: "State") -> "Translation":
        """Return a checkpoint's weights as vireid's."""


def available() -> list[str]:
    """Return the names of all formats; imports none of them."""
    return sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_"))


def find(name: str) -> Format:
    """Return the format of a name.

    Raises:
        VireidError: There is no such format.
    """
    if name not in available():
        raise VireidError(f"there is no format '{name}'; there are {', '.join(available())}")
    return cast("Format", import_module(f"{__name__}.{name}"))
