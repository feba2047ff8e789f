"""Listing the pictures below a folder, each once, and what was passed over.

A picture with several names is listed under its real one. Links count only where they lead to
something that is nowhere else in the folder, so the result does not depend on the names of links.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from vireid.datasets._files import SHOWN, Unusable
from vireid.errors import VireidError

READ = """
    .apng .avif .avifs .bmp .bw .cur .dcx .dds .dib .fit .fits .gif .icb .icns .ico .im .j2c .j2k
    .jfif .jif .jp2 .jpc .jpe .jpeg .jpf .jpg .jpx .mpo .msp .pbm .pcx .pfm .pgm .png .pnm .ppm
    .psd .qoi .ras .rgb .rgba .sgi .tga .tif .tiff .vda .vst .webp .xbm .xpm
"""
SUFFIXES = frozenset(READ.split())
"""Suffixes of files that are taken for pictures, before anything is read."""
NOT_READ = (
    *(".heic", ".heif", ".hif", ".jxl", ".svg", ".eps", ".exr", ".hdr"),
    *(".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"),
)
"""Suffixes of pictures that vireid does not read."""
SIGNATURES = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n",
    b"GIF8",
    b"II*\0",
    b"MM\0*",
    b"\0\0\0\x0cjP  ",
    b"\xff\x4f\xff\x51",
)
"""First bytes of the usual kinds of pictures."""
KEPT_BY_SYSTEMS = frozenset(
    {
        "$recycle.bin",
        "#recycle",
        "#snapshot",
        "@__thumb",
        "@eadir",
        "@recently-snapshot",
        "@recycle",
        "@tmp",
        "__macosx",
        "found.000",
        "lost+found",
        "lost.dir",
        "network trash folder",
        "recycled",
        "recycler",
        "system volume information",
        "temporary items",
        "~snapshot",
    }
)
"""Folders in which file servers and systems keep thumbnails, bins and snapshots."""


@dataclass(frozen=True)
class Listing:
    """The pictures below a folder, and what was passed over."""

    pictures: tuple[Path, ...]
    """Pictures in the order of names; those of a folder come before those of its subfolders."""
    unusable: tuple[Unusable, ...]
    """Pictures whose kind cannot be read, and folders that cannot be entered."""
    notes: tuple[str, ...]
    """Remarks on files that are no pictures, or are listed elsewhere."""


def pictures_below(root: Path) -> Listing:
    """List the pictures of a folder at any depth.

    Raises:
        VireidError: The folder is not there, or is one that the system makes up.
    """
    if not os.path.exists(root):  # noqa: PTH110  Path.exists raises for names that cannot be
        raise VireidError(f"{root} is not there; give a folder of pictures, or a CSV file")
    if _is_made_up(root):
        raise VireidError(f"{root} holds what the system tells of itself, and no pictures")
    walk = _Walk(root)
    walk.below(root)
    walk.follow_links()
    return Listing(
        tuple(sorted(walk.pictures, key=_place_in_order)),
        tuple(sorted(walk.unusable, key=lambda bad: bad.where)),
        (*walk.passed_over(), *_shown("links are passed over", walk.led_nowhere_new)),
    )


@dataclass
class _Walk:
    """A walk through a folder: first what lies in it, then what links lead to."""

    root: Path
    pictures: list[Path] = field(default_factory=list)
    unusable: list[Unusable] = field(default_factory=list)
    led_nowhere_new: list[str] = field(default_factory=list)
    _entered: dict[str, str] = field(default_factory=dict)
    """Folders that have been listed, by their real place."""
    _linked_folders: list[str] = field(default_factory=list)
    _linked_files: list[str] = field(default_factory=list)
    _systems: Counter[str] = field(default_factory=Counter)
    _hidden: int = 0
    _others: list[str] = field(default_factory=list)

    def below(self, top: Path) -> None:
        """List a folder and its subfolders, without links."""
        folders = [os.fspath(top)]
        while folders:
            folder = folders.pop()
            real = os.path.realpath(folder)
            if real in self._entered:
                if folder != os.fspath(self.root):
                    self._leads_to(folder, real)
                continue
            self._entered[real] = folder
            try:
                if _is_made_up(folder):
                    self._systems[os.path.basename(folder)] += 1  # noqa: PTH119
                    continue
                with os.scandir(folder) as entries:
                    folders += [e.path for e in entries if self._is_folder_to_enter(e)]
            except OSError as error:
                reason = f"this folder cannot be read ({error.strerror})"
                self.unusable.append(Unusable(folder, reason))

    def follow_links(self) -> None:
        """List the targets of links that are not listed yet; outer folders before inner ones."""
        while self._linked_folders:
            links, self._linked_folders = self._linked_folders, []
            for real, link in sorted((os.path.realpath(link), link) for link in links):
                self._follow(link, real)
        files = {os.path.realpath(path): path for path in map(os.fspath, self._real_files())}
        for link in sorted(self._linked_files):
            real = os.path.realpath(link)
            if files.setdefault(real, link) != link:
                self.led_nowhere_new.append(f"{link}, which is {files[real]}")
            else:
                self._take(link, is_file=os.path.isfile(link) or not os.path.exists(link))  # noqa: PTH110, PTH113

    def passed_over(self) -> Iterator[str]:
        """Return remarks on folders of systems, on hidden folders, and on other files."""
        named = [f"{count} named {name}" for name, count in sorted(self._systems.items())]
        if self._hidden:
            named.append(f"{self._hidden} hidden")
        if named:
            yield f"folders and files that systems keep are passed over: {', '.join(named)}"
        yield from _shown("files are no pictures and passed over", sorted(self._others))

    def _is_folder_to_enter(self, entry: os.DirEntry[str]) -> bool:
        """Whether an entry is a folder to enter at once; other entries are taken or noted."""
        if _is_folder(entry):
            if self._is_kept_by_system(entry.name):
                return False
            if entry.is_symlink():
                self._linked_folders.append(entry.path)
                return False
            return True
        if entry.is_symlink():
            if not self._is_hidden_picture(entry.name):
                self._linked_files.append(entry.path)
        elif not self._is_hidden_picture(entry.name):
            self._take(entry.path, is_file=entry.is_file())
        return False

    def _is_kept_by_system(self, folder: str) -> bool:
        if folder.casefold() in KEPT_BY_SYSTEMS:
            self._systems[folder] += 1
            return True
        self._hidden += folder.startswith(".")
        return folder.startswith(".")

    def _is_hidden_picture(self, file: str) -> bool:
        hidden = file.startswith(".")
        self._hidden += hidden and _suffix(file) in SUFFIXES
        return hidden

    def _follow(self, link: str, real: str) -> None:
        """List a linked folder, unless it is listed already or contains the whole source."""
        inside = (os.path.realpath(self.root), os.path.realpath(Path(link).parent))
        if real in self._entered:
            self._leads_to(link, real)
        elif any(Path(folder).is_relative_to(real) for folder in inside):
            self.led_nowhere_new.append(f"{link}, which leads out to {real}")
        elif not self._is_kept_by_system(Path(real).name.lstrip(".")):
            self.below(Path(link))

    def _leads_to(self, link: str, real: str) -> None:
        self.led_nowhere_new.append(f"{link}, which is {self._entered[real]}")

    def _real_files(self) -> Sequence[Path]:
        """Return the real places of listed pictures, if any link could lead to one of them."""
        return self.pictures if self._linked_files else ()

    def _take(self, path: str, *, is_file: bool) -> None:
        """Sort a file in: as a picture, as one that cannot be read, or as no picture."""
        suffix = _suffix(path)
        if suffix in NOT_READ:
            way_out = "save it as JPEG or PNG"
            self.unusable.append(Unusable(path, f"{suffix} is not read; {way_out}"))
        elif suffix not in SUFFIXES:
            self._take_other(path, is_file=is_file)
        elif not is_file:
            what = "it is a pipe or a device, no file"
            self.unusable.append(Unusable(path, f"{what}; leave it out"))
        elif not _is_unicode(path):
            reason = "its name is not valid Unicode; rename it"
            self.unusable.append(Unusable(path, reason))
        else:
            self.pictures.append(Path(path))

    def _take_other(self, path: str, *, is_file: bool) -> None:
        if is_file and _begins_as_picture(path):
            reason = "it begins as a picture does, but its name does not end as one's; rename it"
            self.unusable.append(Unusable(path, reason))
        else:
            self._others.append(path)


def _is_made_up(folder: str | Path) -> bool:
    """Whether a folder lies in a file system like /proc, whose links lead everywhere."""
    return os.stat(folder).st_dev in _made_up()  # noqa: PTH116


@cache
def _made_up() -> frozenset[int]:
    """Return the numbers of the file systems that are nowhere on a disk."""
    places = [place for place in ("/proc", "/sys") if os.path.ismount(place)]
    return frozenset(os.stat(place).st_dev for place in places)  # noqa: PTH116


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circle of links
        return False


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122  a Path for every file takes longer


def _begins_as_picture(path: str) -> bool:
    """Whether a file begins as one of the usual kinds of pictures."""
    try:
        if not os.stat(path).st_size:  # noqa: PTH116  also what the system makes up, as in /proc
            return False
        with open(path, "rb") as file:  # noqa: PTH123
            begin = file.read(16)
    except OSError:
        return False
    return begin.startswith(SIGNATURES) or (begin[:4] == b"RIFF" and begin[8:12] == b"WEBP")


def _is_unicode(path: str) -> bool:
    return path.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in path)


def _place_in_order(path: Path) -> tuple[tuple[bool, str], ...]:
    """Return a sorting key by which files of a folder come before its subfolders."""
    *folders, name = path.parts
    return (*((True, folder) for folder in folders), (False, name))


def _shown(what: str, listed: Iterable[str]) -> Iterator[str]:
    listed = list(listed)
    if listed:
        more = f", and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
        yield f"{len(listed)} {what}: {', '.join(listed[:SHOWN])}{more}"
