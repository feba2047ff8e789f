"""Models that a person has opened here by name, kept in the cache folder.

A gallery names the model that filled it, and a stranger's gallery may name any path. Such a path is
opened unasked only if somebody has opened it before.
"""

from contextlib import suppress

from vireid.errors import VireidError
from vireid.files.cache import cache_folder
from vireid.models.opening import is_shipped

FILE = "known_models.txt"


def remember(source: str) -> None:
    """Remember that a person has opened a model; nothing happens where no cache can be written.

    Args:
        source: Name of the model as its card has it: `small`, or an absolute path.
    """
    if is_known(source) or "\n" in source:
        return
    with suppress(OSError, VireidError):
        cache_folder().mkdir(parents=True, exist_ok=True)
        with (cache_folder() / FILE).open("a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{source}\n")


def is_known(source: str) -> bool:
    """Whether a model comes with vireid, or a person has opened it here by name."""
    if is_shipped(source):
        return True
    try:
        path = cache_folder() / FILE
        known = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except (OSError, VireidError):
        return False
    return source in known
