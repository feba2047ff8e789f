"""The worker: a process that indexes for the service, so that searches do not wait for it.

It reads a `Work` as one line of JSON from standard input, and tells how far it is, line by line, on
standard output. It stops where it is when it is interrupted, or when standard input ends because
the service is gone; what is indexed is safe, and the same work goes on from there.
"""

import os
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from vireid.datasets import folder
from vireid.errors import Interrupted, VireidError
from vireid.progress import Step, told_to
from vireid.records import Modality
from vireid.search import folder_indexing

NICE = 5
"""How much it steps back behind the service."""


@dataclass(frozen=True)
class Work:
    """A folder or a list to index."""

    gallery: str
    """Folder of the gallery."""
    source: str
    allowed: list[str]
    """Folders in which all pictures have to lie, links followed."""
    modality: Modality | None = None
    camera: str | None = None


@dataclass(frozen=True)
class Told:
    """A line of the worker's."""

    step: Step | None = None
    report: dict[str, Any] | None = None
    error: str | None = None
    interrupted: bool = False


def main() -> None:
    """Do the work that standard input tells."""
    out, sys.stdout = sys.stdout.buffer, sys.stderr
    with suppress(OSError):
        os.nice(NICE)
    work = msgspec.json.decode(sys.stdin.buffer.readline(), type=Work)
    threading.Thread(target=_stop_without_the_service, daemon=True).start()
    try:
        with told_to(lambda step: _tell(out, Told(step=step))):
            _tell(out, Told(report=_indexed(work).as_dict()))
    except (Interrupted, KeyboardInterrupt):
        _tell(out, Told(interrupted=True))
    except VireidError as error:
        _tell(out, Told(error=str(error)))


def _indexed(work: Work) -> folder_indexing.IndexReport:
    source = Path(work.source)
    allowed = [Path(each) for each in work.allowed]
    for record in folder.find(source, work.modality, work.camera).records:
        real = record.path.resolve()
        if not any(real.is_relative_to(each) for each in allowed):
            raise VireidError(
                f"{record.path.name} leads out of the folders that may be indexed; take it away, "
                "or allow its folder in the settings of the service (sources)"
            )
    return folder_indexing.index(source, work.gallery, modality=work.modality, camera=work.camera)


def _tell(out: BinaryIO, told: Told) -> None:
    with suppress(BrokenPipeError):
        out.write(msgspec.json.encode(told) + b"\n")
        out.flush()


def _stop_without_the_service() -> None:
    while os.read(0, 1024):  # not by `sys.stdin`, whose lock Python wants when it ends
        pass
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
