"""Log messages during training: shown on the console, and kept in the run's log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vireid.console import LogLines, printable
from vireid.files.atomic import writing_to


@contextmanager
def logging_to(path: Path | None) -> Iterator[None]:
    """Show log messages on the console and append them to a file; without one, warnings only."""
    logger = logging.getLogger("vireid")
    handlers: list[logging.Handler] = [LogLines(logging.INFO if path else logging.WARNING)]
    if path is not None:
        file = _ToFile(path, encoding="utf-8")
        file.setFormatter(_OneLine("%(asctime)s  %(message)s"))
        handlers.append(file)
    before = logger.level
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(before)
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


class _ToFile(logging.FileHandler):
    """Appends messages to a file; a message that cannot be written stops the run."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002  as logging has it
        with writing_to(Path(self.baseFilename), "make room and go on with --resume"):
            raise  # logging calls this where it has caught the error

    def close(self) -> None:
        """Close the file; a failed write has been reported already."""
        with suppress(OSError):
            super().close()


class _OneLine(logging.Formatter):
    """Writes a message in one line, whatever names it holds."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return printable(super().format(record))
