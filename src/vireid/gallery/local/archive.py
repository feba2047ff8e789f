"""Archives: everything in a gallery, as of one moment, in one ZIP file.

An archive holds `gallery.json`, the catalogue `facts.sqlite`, and the vectors. Members are stored
as they are, each with a checksum, as in all ZIP files; `gallery.json` names them and their sizes.
"""

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from vireid.gallery.local.catalogue import FILE
from vireid.gallery.local.vectors import FILE_NAME
from vireid.gallery.store import GalleryError
from vireid.progress import counted

CONTENT = "gallery.json"
FORMAT = 1
PART = 2**24
"""Bytes that are copied at once."""


class Content(msgspec.Struct):
    """What `gallery.json` says."""

    format: int
    pictures: int
    sizes: dict[str, int]
    """Number of bytes of each member."""


def pack(archive: BinaryIO, pictures: int, members: Mapping[str, tuple[BinaryIO, int]]) -> None:
    """Write an archive.

    Args:
        archive: File to write to.
        pictures: Number of pictures of the gallery.
        members: Open files by the names that they get, and how many of their first bytes count.

    Raises:
        OSError: The disk is full.
    """
    sizes = {name: size for name, (_, size) in members.items()}
    content = {"format": FORMAT, "pictures": pictures, "sizes": sizes}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED, allowZip64=True) as packed:
        packed.writestr(CONTENT, json.dumps(content))
        for name, (file, size) in members.items():
            with packed.open(name, "w", force_zip64=True) as member:
                for part in _parts(file.read, size, f"copying {name}"):
                    member.write(part)


def unpack(archive: Path, folder: Path) -> int:
    """Write the files of an archive into a folder, and return the number of pictures.

    Nothing but the catalogue and the files of vectors is written, and only into this folder.

    Args:
        archive: File that `pack` has written.
        folder: Empty folder.

    Raises:
        GalleryError: The archive is damaged, or none of a gallery.
        OSError: The disk is full.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            content = _content(archive, packed)
            for name, size in content.sizes.items():
                with packed.open(name) as member, (folder / name).open("wb") as file:
                    for part in _parts(member.read, size, f"restoring {name}"):
                        file.write(part)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, KeyError, ValueError) as error:
        raise damaged_archive(archive, error) from error
    return content.pictures


def _content(archive: Path, packed: zipfile.ZipFile) -> Content:
    """Read what an archive says of itself, and refuse members that no gallery has."""
    try:
        about = packed.getinfo(CONTENT)
        if about.file_size > PART:
            raise GalleryError(f"{archive} is no backup of a gallery; {WAY_OUT}")
        content = msgspec.json.decode(packed.read(about), type=Content)
    except (KeyError, msgspec.MsgspecError) as error:
        raise GalleryError(f"{archive} is no backup of a gallery; {WAY_OUT}") from error
    if content.format > FORMAT:
        raise GalleryError(f"{archive} was written by a later version of vireid; use that version")
    names = set(content.sizes)
    strange = {name for name in names if name != FILE and not FILE_NAME.fullmatch(name)}
    if strange or FILE not in names or set(packed.namelist()) != {*names, CONTENT}:
        what = f"it holds {min(strange)!a}" if strange else "its files are not those of a gallery"
        raise GalleryError(f"{archive} is no backup of a gallery ({what}); {WAY_OUT}")
    wrong = [n for n, size in content.sizes.items() if packed.getinfo(n).file_size != size]
    if wrong or any(packed.getinfo(n).compress_type != zipfile.ZIP_STORED for n in names):
        raise damaged_archive(archive, f"{wrong or 'its files'} are not as they were written")
    return content


def _parts(read: Callable[[int], bytes], size: int, doing: str) -> Iterator[bytes]:
    """Read some bytes, a part at a time, and tell how far it is."""
    starts = range(0, size, PART)
    for start in counted(starts, doing, size, lambda start: min(PART, size - start)):
        part = read(min(PART, size - start))
        if len(part) < min(PART, size - start):
            raise EOFError("it is too short")
        yield part


WAY_OUT = "give a file that `vireid gallery backup` has written"


def damaged_archive(archive: Path, what: object) -> GalleryError:
    """Return the error of an archive that is not as it was written."""
    return GalleryError(f"{archive} is damaged ({what}); take another backup")
