"""What is dear to make, made by one of pytest's workers for all of them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vireid.files.atomic import new_folder
from vireid.files.locks import locked


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first worker to want it makes, while the others wait for it.

    Nobody may change what is in it.

    Args:
        factory: Says where this run of pytest has its folders.
        name: Name of the folder, which no other fixture has.
        make: Fills the folder.
    """
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with locked(folder.with_suffix(".lock")):
        if not folder.exists():
            with new_folder(folder) as unfinished:
                make(unfinished)
    return folder
