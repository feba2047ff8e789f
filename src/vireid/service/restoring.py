"""Restoring: a gallery becomes what a backup holds, whole or not at all, while others search."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vireid.console import shortened
from vireid.files.atomic import writing_to
from vireid.gallery import Gallery
from vireid.service.galleries import Served
from vireid.service.problems import Problem

FOLDER = "restoring"
"""Folder in that of the service for archives that are being sent; what is left in it is removed."""


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Make a folder for an archive and what is in it, and remove it afterwards.

    Raises:
        VireidError: It cannot be made.
    """
    parent = folder / FOLDER
    with writing_to(parent):
        parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=parent) as made:
        yield Path(made)


def remove_leftovers(folder: Path) -> None:
    """Remove what a process that was killed has left."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def restore(served: Served, archive: BinaryIO, folder: Path, allowed: Iterable[Path]) -> int:
    """Have a gallery become what a backup holds; return the number of its pictures.

    Args:
        served: Gallery.
        archive: Backup.
        folder: Empty folder to work in.
        allowed: Folders whose pictures it may hold: it must not show files of this machine that
            nobody has indexed.

    Raises:
        Problem: It names other files.
        VireidError: It is no backup of a gallery of this model, or is damaged, another process is
            writing, or the disk is full.
    """
    sent, beside = folder / "backup.zip", folder / "restored"
    with writing_to(sent), sent.open("wb") as file:
        shutil.copyfileobj(archive, file)
    with Gallery.restore(sent, beside) as restored:
        places = [_real(each) for each in allowed]
        for path in _paths(restored):
            if not any(_real(path).is_relative_to(each) for each in places):
                raise Problem(
                    422,
                    f"the backup names {shortened(path.name)!r} in a folder that is neither one of "
                    "this gallery's sources nor of `sources` in the settings; restore it on the "
                    "service's machine: vireid gallery restore",
                )
    served.searcher.gallery.become(beside)
    return len(served.searcher.gallery)


def _paths(gallery: Gallery) -> Iterator[Path]:
    """Yield the paths of all files and folders that a gallery names."""
    for source in gallery.sources():
        yield source.path
    for judgement in gallery.judgements():
        yield judgement.query
    for entry in gallery.entries():
        yield entry.record.path


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
