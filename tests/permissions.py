"""Files and folders that may not be read, whoever runs the tests."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything, so tests of permissions give that up for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def closed(folder: Path) -> Iterator[None]:
    """Let nobody read a folder for a while; those above it stay open."""
    for above in folder.parents:
        if above.stat().st_uid == os.getuid() and above != Path("/tmp"):
            above.chmod(0o755)
    folder.chmod(0)
    try:
        with as_nobody():
            yield
    finally:
        folder.chmod(0o755)
