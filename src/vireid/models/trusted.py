"""Models that a person has opened here by name, kept in the cache folder.

A gallery names the model that filled it, and a stranger's gallery may name any path. Such a path is
opened unasked only if somebody has opened it before.
"""

from contextlib import suppress

from vireid.errors import VireidError
from vireid.files.atomic import write_whole
from vireid.files.cache import cache_folder
from vireid.files.locks import locked
from vireid.models.opening import is_shipped

FILE = "known_models.txt"
MOST = 1000
"""Number of models that are remembered; the one opened first is forgotten first."""


def remember(source: str) -> None:
    """Remember that a person has opened a model; nothing happens where no cache can be written.

    Args:
        source: Name of the model as its card has it: `small`, or an absolute path.
    """
    if is_known(source) or "\n" in source:
        return
    with suppress(VireidError):
        path = cache_folder() / FILE
        with locked(path.with_suffix(".lock")):  # so that none of two that write at once is lost
            known = [*(each for each in _known() if each != source), source][-MOST:]
            lines = "".join(f"{each}\n" for each in known)
            write_whole(path, lines.encode("utf-8", "surrogateescape"))


def is_known(source: str) -> bool:
    """Whether a model comes with vireid, or a person has opened it here by name."""
    return is_shipped(source) or source in _known()


def _known() -> list[str]:
    try:
        path = cache_folder() / FILE
        return path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")[:-1]
    except (OSError, VireidError):
        return []
