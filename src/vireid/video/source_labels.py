"""Names, spectra and cameras of sources: what is said of them, or what their folders say."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from vireid.datasets.folder import labels_of as labels_by_folders
from vireid.errors import VireidError
from vireid.files.documents import read_toml
from vireid.records import Modality
from vireid.video.frames import Source, Video

Spectrum = Literal["visible", "infrared", "auto"]
"""Spectrum of a camera, as a person says it; `auto` is told by colours."""


def as_name(text: str) -> str:
    """Return a text as part of a file's name."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "unnamed"


def name_of(source: Source) -> str:
    """Return the name of a source as part of a file's name."""
    return as_name(source.name)


def names_of(
    sources: Sequence[Source], taken: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Return a name for each source; sources of one name are numbered.

    Args:
        sources: Sources to name.
        taken: Names that sources have already, by their addresses; those keep them.
    """
    names = list[str]()
    for source in sources:
        name = wanted = taken.get(source.address, name_of(source))
        others = {*names, *(taken[place] for place in taken if place != source.address)}
        number = 2
        while name in others:
            name, number = f"{wanted}-{number}", number + 1
        names.append(name)
    return names


def labels_of(
    source: Source,
    modality: Spectrum | None,
    camera: str | None,
    known: Mapping[str, Spectrum] = MappingProxyType({}),
) -> tuple[Modality | None, str | None]:
    """Return the spectrum and the camera of a source: what is said, or else its folders.

    Args:
        source: Frames.
        modality: Their spectrum; `auto` to tell it by their colours, which gives None.
        camera: Name of the camera.
        known: Spectra of cameras, which stand above the other.

    Raises:
        VireidError: Nothing says the spectrum.
    """
    stream = isinstance(source, Video) and source.path is None
    # Folders of a picture say it, and those that hold it: a folder of frames is one itself.
    inside = Path(source.place) if isinstance(source, Video) else Path(source.place) / "0.jpg"
    by_folders = None if stream else labels_by_folders(inside)
    camera = camera or (by_folders.camera if by_folders else None)
    said = known.get(camera or source.name, modality)
    if said == "auto":
        return None, camera
    by_place = by_folders.modality if by_folders else None
    of = by_place if said is None else Modality(said)
    if of is None:
        raise VireidError(
            f"nothing says the spectrum of {source.place}; give --modality visible or infrared (or "
            "auto, to tell it by colours), or put it into a folder of that name"
        )
    return of, camera


def read_spectra(path: Path) -> Mapping[str, Spectrum]:
    """Read a TOML file that says the spectrum of each camera: `gate = "infrared"`.

    Raises:
        VireidError: It cannot be read, or says something else.
    """
    way_out = 'write lines such as gate = "infrared"; there are visible, infrared and auto'
    told: Mapping[str, Spectrum] = read_toml(path, dict[str, Spectrum], way_out)
    return told
