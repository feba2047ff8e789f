"""Ctrl-C and SIGTERM taken as a request to stop, which the training loop reads between steps."""

import signal
import threading
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequests:
    """Remembers the first signal while entered; the second one ends the process as usual.

    Signals reach the main thread alone; in another thread this does nothing.
    """

    def __init__(self) -> None:
        self.made = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._remember) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        self._give_back()

    def _remember(self, _number: int, _frame: FrameType | None) -> None:
        self.made = True
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
