"""Finding the pictures that a data set's lists name, however a copy spells their names.

Copies differ in the case of names, in the form of Unicode that they are written in, in suffixes
(`.jpg`, `.jpeg`, `.JPG`, converted `.png`), in what else lies beside the pictures, and in how a
list separates folders. None of it may change which pictures there are; a picture that is listed
and not there is an error.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from vireid.console import shortened
from vireid.errors import VireidError
from vireid.files.untrusted import content_of
from vireid.records import MOST_DIGITS, is_number, spelling_key

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
"""Suffixes of pictures. Other files (Thumbs.db, .DS_Store) are ignored: one more would change every
seeded draw."""
MOST_OF_A_LIST = 2**28
"""Largest size in bytes of a list of pictures; it is read whole."""
SHOWN = 20
"""Number of entries shown of a long list of missing files."""


@dataclass(frozen=True)
class Unusable:
    """A picture, a folder or a line of a list that gives no record."""

    where: str
    reason: str


@dataclass(frozen=True)
class Tree:
    """The folders below a root, each listed once."""

    root: Path
    _names: dict[Path, dict[str, Path]] = field(default_factory=dict)
    _stems: dict[Path, dict[str, list[Path]]] = field(default_factory=dict)

    def find(self, *parts: str) -> Path | None:
        """Return a folder, or a file that is no picture; the spelling may differ."""
        place = self.root
        for part in parts:
            names = self._names_in(place)
            found = names.get(part) or names.get(spelling_key(part))
            if found is None:
                return None
            place = found
        return place

    def picture(self, *parts: str) -> Path | None:
        """Return a picture; with another suffix too, if it is the only one of its name."""
        folder = self.find(*parts[:-1])
        if folder is None:
            return None
        exact = self._names_in(folder).get(parts[-1])
        same = self._stems_in(folder).get(spelling_key(Path(parts[-1]).stem), [])
        return exact or (same[0] if len(same) == 1 else None)

    def pictures(self, *parts: str) -> list[Path]:
        """Return all pictures of a folder by name; none if it does not exist."""
        folder = self.find(*parts)
        if folder is None:
            return []
        return sorted(path for paths in self._stems_in(folder).values() for path in paths)

    def folders(self, *parts: str) -> list[Path]:
        """Return all folders in a folder by name; none if it does not exist."""
        folder = self.find(*parts)
        return [] if folder is None else sorted({p for p in self._below(folder) if p.is_dir()})

    def _below(self, folder: Path) -> Iterable[Path]:
        return self._names_in(folder).values()

    def _names_in(self, folder: Path) -> dict[str, Path]:
        """Return paths by exact name, and by spelling where no exact name is the same."""
        if folder not in self._names:
            there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
            alike = {spelling_key(name): folder / name for name in reversed(there)}
            self._names[folder] = alike | {name: folder / name for name in there}
        return self._names[folder]

    def _stems_in(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._stems:
            stems: dict[str, list[Path]] = {}
            for path in sorted(set(self._below(folder))):
                if path.suffix.lower() in PICTURES and not path.name.startswith("."):
                    stems.setdefault(spelling_key(path.stem), []).append(path)
            self._stems[folder] = stems
        return self._stems[folder]


def need_root(name: str, root: Path | None, facts: Mapping[str, object]) -> Path:
    """Return the folder of a data set that does not come with vireid.

    Raises:
        VireidError: None is given.
    """
    if root is None:
        raise VireidError(
            f"{name} does not come with vireid: give its folder as root; "
            f"how to get it: {facts['obtain']} ({facts['url']})"
        )
    return root


def need(name: str, tree: Tree, wanted: Sequence[str], holds: str) -> None:
    """Check that a root has the files and folders of the data set's layout.

    Args:
        name: Name of the data set.
        tree: Tree of the data set's root.
        wanted: Paths below the root.
        holds: Contents of the right folder, in words.

    Raises:
        VireidError: Some are not there.
    """
    missing = [path for path in wanted if tree.find(*parts_of(path)) is None]
    if missing:
        raise VireidError(
            f"{tree.root} is not a whole {name} folder: {', '.join(missing[:SHOWN])} not found; "
            f"give the folder that holds {holds}, and unpack all of it"
        )


def parts_of(path: str) -> tuple[str, ...]:
    r"""Return the components of a listed path with any separator: `Visible\1\a.bmp`."""
    return tuple(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))


def lines_of(path: Path) -> list[tuple[int, str]]:
    """Return the lines of a list that are not blank, with their numbers from 1.

    Raises:
        VireidError: Not a text in UTF-8.
    """
    try:
        text = content_of(path, MOST_OF_A_LIST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise VireidError(f"{path} is not a text in UTF-8 ({error}); unpack it again") from error
    numbered = enumerate((line.strip() for line in text.splitlines()), start=1)
    return [(number, line) for number, line in numbered if line]


def identity_of(word: str, where: str) -> int:
    """Return the identity that a word states.

    Raises:
        VireidError: It is none.
    """
    identity = number_of(word)
    if identity is None:
        what = f"'{shortened(word)}' is not an identity, which is a whole number"
        raise VireidError(f"{where}: {what} of at most {MOST_DIGITS} digits")
    return identity


def number_of(word: str) -> int | None:
    """Return the whole number that a word states, if it is not too long for one; else None."""
    return int(word) if is_number(word) else None


def refuse(culprit: Path, what: str, listed: Sequence[object], way_out: str) -> None:
    """Raise an error if anything is listed, showing the beginning of the list.

    Raises:
        VireidError: Something is listed.
    """
    if listed:
        more = [f"and {len(listed) - SHOWN} more"] if len(listed) > SHOWN else []
        raise VireidError(
            f"{culprit}: {len(listed)} {what}; {way_out}:",
            listed=[*islice(listed, SHOWN), *more],
        )


def refuse_people_in_both(
    root: Path,
    learnt: Iterable[int | None],
    scored: Iterable[int | None],
    way_out: str = "take the published lists",
) -> None:
    """Check that nobody is both learnt from and scored on.

    Raises:
        VireidError: Someone is.
    """
    both = sorted(set(learnt) & set(scored) - {None}, key=lambda identity: identity or 0)
    refuse(root, "people are both learnt from and scored on", both, way_out)
