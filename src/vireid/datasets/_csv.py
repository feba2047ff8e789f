"""Lists of pictures as CSV files of any common program.

Excel separates columns by semicolons in much of Europe, and by tabs in what it calls Unicode text,
which is UTF-16. Older programs write Windows-1252, pandas writes 37.0 for 37 where a column has
blanks, Windows writes backslashes, and a Mac decomposes letters. All of this can be recognised
without guessing: by a file's first bytes, by the names of its columns, and by which files exist.
"""

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cached_property
from io import StringIO
from itertools import product
from pathlib import Path, PureWindowsPath

from vireid.datasets._files import MOST_OF_A_LIST, Tree, Unusable
from vireid.datasets._labels import Names, group_of
from vireid.errors import VireidError, closest
from vireid.files.untrusted import content_of
from vireid.records import MOST_IDENTITY

SEPARATORS = (",", ";", "\t", "|")
BLANK = frozenset({"", "nan", "none", "null", "<na>", "n/a", "#n/a"})
"""Texts that programs write where a value is missing."""


@dataclass(frozen=True)
class Row:
    """A line of a list."""

    where: str
    """Name of the file and number of the line, for messages."""
    cells: Mapping[str, str]
    """Cells by column, without blanks around them; empty columns are left out."""


@dataclass(frozen=True)
class Table:
    """The lines of a list."""

    rows: tuple[Row | Unusable, ...]
    notes: tuple[str, ...]


def read_table(path: Path, columns: Sequence[str]) -> Table:
    """Read a list, skipping blank lines.

    Args:
        path: CSV file. Its first line names the columns, in any letter case.
        columns: Columns with a meaning, the one that every list needs first. Others are ignored.

    Raises:
        VireidError: It is no text, or its columns are not as they should be.
    """
    text, encoding = _decoded(path)
    separator, text = _separator(text, columns)
    lines = _records(text, separator)
    names = next((cells for _, cells in lines if isinstance(cells, list) and any(cells)), [])
    names = [name.strip().lower() for name in names]
    _check_columns(path, names, columns)
    rows = (_row(names, cells, f"{path}, line {number}") for number, cells in lines)
    guessed = f"{path} is not in UTF-8; it was read as Windows-1252"
    notes = (guessed,) if encoding == "cp1252" else ()
    return Table(tuple(row for row in rows if row is not None), notes)


def whole_number(text: str) -> int | None:
    """Return the number that a cell holds, as 37, 0037, 37.0 or 37,0.

    None if it is not whole, or larger than 64 bits hold.
    """
    try:
        number = Decimal(text.replace(",", "."))
    except InvalidOperation:
        return None
    # 1e999999999 would become a number of a billion digits.
    if "_" in text or not number.is_finite() or abs(number.adjusted()) > 20:
        return None
    whole = int(number)
    return whole if whole == number and abs(whole) <= MOST_IDENTITY else None


@dataclass(frozen=True)
class Beside:
    """Finds the files that a list names: beside the list, or where a link to it leads.

    Lists are long and folders few, so what is known of a folder is kept.
    """

    list_: Path
    _trees: dict[Path, Tree] = field(default_factory=dict)
    _real_folders: dict[str, str] = field(default_factory=dict)
    _names: dict[str, tuple[Names, bool]] = field(default_factory=dict)

    @cached_property
    def folders(self) -> tuple[Path, ...]:
        """Folders where relative paths begin: the list's, and that of the file it is a link to."""
        return tuple(dict.fromkeys((self.list_.parent, Path(os.path.realpath(self.list_)).parent)))

    def find(self, cell: str) -> Path | None:
        """Return the file that a cell names; None for a Windows path that leads nowhere here.

        The cell may differ from the file's name in quotes around it, backslashes, letter case and
        the form of Unicode. The path of a file that does not exist is returned as named.
        """
        spellings = list(dict.fromkeys((cell, cell.strip("\"'"), _with_slashes(cell))))
        paths = [folder / spelling for spelling in spellings for folder in self.folders]
        found = next(filter(os.path.lexists, paths), None)
        found = found or next(filter(None, map(self._loosely, paths)), None)
        if found is None and os.name != "nt" and PureWindowsPath(cell.strip("\"'")).drive:
            return None
        return found or self.list_.parent / spellings[-1]

    def real(self, path: Path) -> str:
        """Return where a file really lies, the same for all links to it."""
        if os.path.islink(path):  # noqa: PTH114  a system call for each file of a long list
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        return f"{self._real_folder(folder)}{os.sep}{name}"

    def names_above(self, path: Path) -> tuple[Names, bool]:
        """Return the folders between the list and a picture, behind a blank for the list itself.

        Those are all folders that it lies in, and False, where it does not lie below the list.
        """
        folder = os.path.split(path)[0]
        if folder not in self._names:
            self._names[folder] = self._names_of(folder)
        return self._names[folder]

    def _names_of(self, folder: str) -> tuple[Names, bool]:
        place = Path(os.path.abspath(folder))  # noqa: PTH100  links keep the name they are known by
        above = [Path(os.path.abspath(each)) for each in self.folders]  # noqa: PTH100
        found = [
            ("", *path.relative_to(each).parts)
            for path, each in product((place, Path(self._real_folder(folder))), above)
            if path.is_relative_to(each)
        ]
        # A link to a list may lie anywhere; where the list itself is, its folders are groups.
        of_groups = (names for names in found if len(names) > 1 and group_of(names[1]))
        names = next(of_groups, found[0] if found else None)
        return (place.parts[1:], False) if names is None else (names, True)

    def _real_folder(self, folder: str) -> str:
        if folder not in self._real_folders:
            self._real_folders[folder] = os.path.realpath(folder)
        return self._real_folders[folder]

    def _loosely(self, path: Path) -> Path | None:
        """Return a file whose name differs only in letter case or the form of Unicode."""
        path = Path(os.path.normpath(path))
        there = next((folder for folder in path.parents if os.path.isdir(folder)), None)  # noqa: PTH112
        if there is None:
            return None
        tree = self._trees.setdefault(there, Tree(there))
        try:
            return tree.find(*path.relative_to(there).parts)
        except OSError:  # a folder that may not be listed
            return None


def _with_slashes(cell: str) -> str:
    return cell.strip("\"'").replace("\\", "/")


def _decoded(path: Path) -> tuple[str, str]:
    """Return the text of a file, and the name of its encoding."""
    content = content_of(path, MOST_OF_A_LIST)
    encoding = json.detect_encoding(content)  # by the first bytes: UTF-8, UTF-16 or UTF-32
    for tried in (encoding, "cp1252"):
        try:
            return content.decode(tried), tried
        except UnicodeDecodeError:
            continue
    raise VireidError(
        f"{path} is not a text in UTF-8, UTF-16 or Windows-1252; save it as a CSV file in UTF-8"
    )


def _separator(text: str, columns: Sequence[str]) -> tuple[str, str]:
    """Return the separator that gives the first line the most known columns, and the text."""
    begin = re.match(r"sep=(.)(?=[\r\n])", text)  # as Excel writes it
    if begin:
        return begin[1], text[begin.end() :]
    first = next((line for line in StringIO(text, newline="") if line.strip()), "")[:10_000]

    def known(separator: str) -> int:
        names = next(csv.reader([first], delimiter=separator), [])
        return len({name.strip().lower() for name in names} & set(columns))

    return max(SEPARATORS, key=known), text


def _records(text: str, separator: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the line number and the cells of every record, or what is wrong with it."""
    file = StringIO(text, newline="")
    lines = csv.reader(file, delimiter=separator, strict=True, skipinitialspace=True)
    while True:
        number = lines.line_num + 1
        try:
            yield number, next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, f"it cannot be split into columns ({error})"


SIDES = ("left", "top", "right", "bottom")
"""Columns of a box. Too many other words are like them (light, stop) to look for misspelt ones."""


def _check_columns(path: Path, names: Sequence[str], columns: Sequence[str]) -> None:
    for name in names:
        meant = closest(name, [c for c in columns if c not in SIDES], 0.8)
        if meant and name != meant and meant not in names:
            raise VireidError(f"{path} has a column {name!r}; did you mean {meant!r}?")
    if columns[0] not in names:
        raise VireidError(
            f"{path} has no column {columns[0]!r}; its first line should read {','.join(columns)}"
        )
    twice = [name for name, count in Counter(names).items() if count > 1 and name in columns]
    if twice:
        raise VireidError(f"{path} has the column {twice[0]!r} twice; take one of them out")


def _row(names: Sequence[str], cells: list[str] | str, where: str) -> Row | Unusable | None:
    """Return a line of the list; None for a blank one."""
    if isinstance(cells, str):
        return Unusable(where, cells)
    cells = [cell.strip() for cell in cells]
    if not any(cells):
        return None
    if any(cells[len(names) :]):
        return Unusable(where, "it has more values than there are columns")
    named = zip(names, cells, strict=False)
    return Row(where, {name: cell for name, cell in named if cell.lower() not in BLANK})
