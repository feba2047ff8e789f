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
