"""Reading what programs wrote to a pseudo-terminal."""

import contextlib
import os


def read_all(controller: int) -> bytes:
    """What was written to a terminal whose other end is closed.

    It is there a while after it was written, and one reading gives a part of it.
    """
    parts = []
    with contextlib.suppress(OSError):  # how Linux says that this was all
        while part := os.read(controller, 65536):
            parts.append(part)
    return b"".join(parts)
