"""Journal of a detector: what it found in each frame, so that no frame is looked at twice.

A line is written for each frame as soon as it has been looked at. Whoever is stopped in whatever
way goes on behind the last whole line. A journal is of one detector, with one card and one
sampling, and of one state of its source; with anything else it begins anew.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vireid.errors import VireidError
from vireid.files.atomic import writing_to
from vireid.files.documents import as_line, read_json, read_lines, write_json
from vireid.files.untrusted import is_file
from vireid.video.boxes import Detection

WAY_OUT = "remove it; the frames are then looked at again"


MOST_OF_A_LINE = 2**18
"""Bytes at the end of a journal in which its last line is looked for."""
MOST_OF_A_JOURNAL = 2**31
"""Largest size in bytes of a journal; a day at 25 frames a second has a tenth of it."""


@dataclass(frozen=True)
class Terms:
    """What the boxes of a journal depend on."""

    source: str
    size: int | None
    """Bytes of a file, or number of files in a folder; None for a stream."""
    changed: int | None
    """Time of the last change, in nanoseconds since 1970."""
    detector: str
    """Hash of the ONNX file."""
    card: str
    """All that the card says."""
    asked: str
    """Sampling, tiles and spectrum, in words."""


@dataclass(frozen=True)
class _Line:
    frame: int
    people: list[tuple[float, float, float, float, float]]


class Journal:
    """What a detector found in the frames of one source."""

    def __init__(self, folder: Path, name: str, terms: Terms) -> None:
        """Open a journal, or begin one.

        Args:
            folder: Folder of journals.
            name: Name of the source.
            terms: What the boxes depend on.

        Raises:
            VireidError: The disk is full, or the journal is damaged.
        """
        self._path, told = folder / f"{name}.jsonl", folder / f"{name}.json"
        self._known: dict[int, list[tuple[float, float, float, float, float]]] = {}
        if is_file(told) and _reads(told) == terms:
            self._known = _whole_lines(self._path)
        else:
            self._path.unlink(missing_ok=True)
            write_json(told, asdict(terms))
        with writing_to(self._path):
            self._file = self._path.open("ab", buffering=0)

    def __len__(self) -> int:
        return len(self._known)

    def of(self, frame: int) -> list[Detection] | None:
        """Return what was found in a frame; None if nobody has looked."""
        known = self._known.get(frame)
        if known is None:
            return None
        return [Detection((left, top, right, bottom), s) for left, top, right, bottom, s in known]

    def note(self, frame: int, people: Sequence[Detection]) -> None:
        """Write down what was found in a frame.

        Raises:
            VireidError: The disk is full.
        """
        found = [(*each.sides, each.score) for each in people]
        with writing_to(self._path):
            self._file.write(as_line({"frame": frame, "people": found}))

    def close(self) -> None:
        """Make what was written survive a power cut."""
        with writing_to(self._path):
            os.fsync(self._file.fileno())
        self._file.close()


def last_frame(folder: Path, name: str) -> int | None:
    """Return the number of the last frame in the journal of a source, which somebody may write to.

    Args:
        folder: Folder of journals.
        name: Name of the source.
    """
    path = folder / f"{name}.jsonl"
    if not is_file(path):
        return None
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - MOST_OF_A_LINE))
        lines = file.read().split(b"\n")[:-1]
    found = re.match(rb'\{"frame": ?(\d+)', lines[-1]) if lines else None
    return int(found[1]) if found else None


def _reads(told: Path) -> Terms | None:
    try:
        terms: Terms = read_json(told, Terms, WAY_OUT)
    except VireidError:  # of another version, or damaged: it begins anew
        return None
    return terms


def _whole_lines(path: Path) -> dict[int, list[tuple[float, float, float, float, float]]]:
    """Return what a journal holds, and cut off a line that somebody was stopped in."""
    if not is_file(path):
        return {}
    lines: list[_Line] = read_lines(path, _Line, WAY_OUT, is_growing=True, most=MOST_OF_A_JOURNAL)
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        with writing_to(path), path.open("r+b") as file:
            file.truncate(whole)
    return {line.frame: line.people for line in lines}
