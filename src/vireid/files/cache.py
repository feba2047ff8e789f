"""The cache folder, for files that vireid can make again."""

import os
import sys
from pathlib import Path

from vireid.errors import VireidError

CACHE_WAY_OUT = "set VIREID_CACHE to a folder with room that can be written to"


def cache_folder() -> Path:
    """Return `$VIREID_CACHE`, or the platform's usual place.

    Raises:
        VireidError: There is none, as for a user without a home folder.
    """
    if chosen := os.environ.get("VIREID_CACHE"):
        return Path(chosen)
    try:
        return _usual_place()
    except RuntimeError as error:
        raise VireidError(
            f"this user has no home folder to keep a cache in; {CACHE_WAY_OUT}"
        ) from error


def _usual_place() -> Path:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(local) / "vireid" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "vireid"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vireid"
