"""Limits: how often one key may ask, and how much work is taken in at once."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from vireid.service.metrics import Metrics
from vireid.service.problems import Problem

MOST_KNOWN = 10_000
"""Number of callers that are remembered; of strangers there are as many as addresses."""
BURST = 10.0
"""Seconds of the rate that may be used at once."""


class Rates:
    """Counts the requests of every caller (a token bucket for each)."""

    def __init__(self, per_minute: float) -> None:
        self._per_minute = per_minute
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, per_minute: float | None = None) -> float:
        """Count a request; return 0, or the seconds after which the caller may come again.

        Args:
            caller: Who asks.
            per_minute: Requests a minute; None for what everybody may.
        """
        per_second = (per_minute or self._per_minute) / 60
        most, now = max(1.0, per_second * BURST), time.monotonic()
        with self._lock:
            left, then = self._left.pop(caller, (most, now))
            left = min(most, left + (now - then) * per_second)
            allowed = left >= 1
            self._left[caller] = (left - 1 if allowed else left), now
            if len(self._left) > MOST_KNOWN:
                self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) / per_second


class Door:
    """Lets in as much work as can be done soon; the rest is told to come again."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most, self._metrics = most, metrics
        self._inside = 0

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Do some work; to be called in the thread of the event loop.

        Raises:
            Problem: So much is in work already that the answer would come too late.
        """
        if self._inside >= self._most:
            self._metrics.refused.labels("busy").inc()
            raise Problem(503, "too much is in work; come again", {"Retry-After": "2"})
        self._inside += 1
        self._metrics.working.set(self._inside)
        try:
            yield
        finally:
            self._inside -= 1
            self._metrics.working.set(self._inside)


def too_often(seconds: float) -> Problem:
    """Return the problem of a caller who has asked too often."""
    wait = str(max(1, math.ceil(seconds)))
    return Problem(429, f"too many requests; come again in {wait} s", {"Retry-After": wait})
