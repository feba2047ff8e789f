"""Sources: the folders and lists of pictures that a gallery is kept in step with, as its notes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vireid.gallery.store import SOURCE, NotePlace
from vireid.records import Modality


@dataclass(frozen=True, slots=True)
class Source:
    """A folder or a list of pictures that a gallery is kept in step with."""

    path: Path
    modality: Modality | None = None
    """Spectrum of all its pictures, where that was said when it was indexed."""
    camera: str | None = None
    """Camera of all its pictures, where that was said when it was indexed."""
    time_pattern: str | None = None
    """Pattern of the times in the names of its files, see `datasets._times`."""


def source_note(source: Source) -> tuple[NotePlace, Any]:
    """Return the note of a source."""
    about = {
        "modality": source.modality and source.modality.value,
        "camera": source.camera,
        "time_pattern": source.time_pattern,
    }
    return (SOURCE, str(source.path)), about


def source_from(key: str, value: Any) -> Source:
    """Return the source of a note."""
    modality = value.get("modality")
    spectrum = Modality(modality) if modality else None
    return Source(Path(key), spectrum, value.get("camera"), value.get("time_pattern"))
