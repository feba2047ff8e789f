"""Logs: one line for each request, as text or as JSON, with the id by which it is found again."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from vireid.console import printable

LOGGER = logging.getLogger("vireid.service")


@contextmanager
def written(form: str) -> Iterator[None]:
    """Have everything that is logged meanwhile written on standard error.

    Args:
        form: `text` or `json`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(AsJson() if form == "json" else AsText())
    loggers = [logging.getLogger(name) for name in ("vireid.service", "uvicorn")]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)


def say(message: str, **about: Any) -> None:
    """Log a line with what it is about."""
    LOGGER.info(message, extra={"about": about})


class AsText(logging.Formatter):
    """Writes a line for people; names of strangers steer no terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        about = getattr(record, "about", {})
        more = " ".join(f"{name}={value}" for name, value in about.items() if value is not None)
        line = f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {record.levelname.lower()} "
        told = printable(f"{record.getMessage()} {more}".rstrip())
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return line + told + trace


class AsJson(logging.Formatter):
    """Writes a JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "about", {}),
        }
        if record.exc_info:
            said["trace"] = self.formatException(record.exc_info)
        return json.dumps(said, default=str)
