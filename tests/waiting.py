"""Waiting for what another thread or process does, however busy the machine is."""

import time
from collections.abc import Callable

PATIENCE = 600.0
"""Seconds until a test fails that waits for something; only what never comes takes so long."""


def wait_for(happens: Callable[[], object]) -> None:
    """Return as soon as it has happened."""
    deadline = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.02)


HELD_UP = """
import sys, threading
from pathlib import Path
from vireid import pictures
read = pictures.content_of
def held_up(path, most):
    if path == Path({picture!r}):
        threading.Event().wait()
    return read(path, most)
pictures.content_of = held_up
"""
"""The beginning of a program that never gets beyond one picture, until it is killed."""
