"""The cache folder, for files that vireid can make again."""

import os
import sys
from pathlib import Path

CACHE_WAY_OUT = "set VIREID_CACHE to a folder with room that can be written to"


def cache_folder() -> Path:
    """Return `$VIREID_CACHE`, or the platform's usual place."""
    if chosen := os.environ.get("VIREID_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ["LOCALAPPDATA"]) / "vireid" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "vireid"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vireid"
