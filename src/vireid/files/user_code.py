"""Methods and data sets that are not vireid's: in a file of one's own, or in another package.

A recipe names them by a file, `mine.py`, by one thing in a file, `mine.py:Mine`, or by one thing in
a package that is installed, `package.module:Mine`.

A run keeps a copy of each file, with its hash in `user_code.json`. So it can be opened after the
original has changed, and the code of somebody else's run is run only by whoever says so.
"""

import hashlib
import logging
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from vireid.errors import VireidError, explain_missing_module
from vireid.files import documents
from vireid.files.atomic import write_whole
from vireid.files.untrusted import is_file

IN_FILE = re.compile(r"(?P<file>.+\.py)(?::(?P<thing>\w+))?")
IN_PACKAGE = re.compile(r"(?P<module>\w+(?:\.\w+)*):(?P<thing>\w+)")
KEPT = "user_code.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UserCode:
    """The place where a method or a data set of one's own is defined."""

    file: Path | None
    module: str | None
    """Name of the module; set where `file` is not."""
    thing: str | None
    """Name of the class or function; None where the file defines only one."""

    def __str__(self) -> str:
        where = str(self.file or self.module)
        return f"{where}:{self.thing}" if self.thing else where

    @property
    def shown(self) -> str:
        """The name without the folder, as a run's recipe has it."""
        return str(UserCode(Path(self.file.name), None, self.thing) if self.file else self)

    @property
    def sum(self) -> str | None:
        """SHA-256 of the file; None for a package, whose versions nobody can tell apart.

        Raises:
            VireidError: There is no such file.
        """
        return None if self.file is None else _sum(self.file)


@dataclass(frozen=True)
class Kept:
    """Code by which a run was learnt, as the run keeps it."""

    sum: str | None
    """SHA-256 of the file."""
    origin: str
    """Path of the file that was copied, or name in its package."""


def parse(name: str) -> UserCode | None:
    """Return the place of code that a name states; None for a name of vireid's own."""
    if found := IN_FILE.fullmatch(name):
        return UserCode(Path(found["file"]), None, found["thing"])
    if found := IN_PACKAGE.fullmatch(name):
        return UserCode(None, found["module"], found["thing"])
    return None


def located(name: str, folder: Path) -> str:
    """Return a name with the absolute path of its file; other names are left as they are.

    Args:
        name: Name of a method or a data set.
        folder: Folder where a relative path starts.
    """
    code = parse(name)
    if code is None or code.file is None:
        return name
    return str(UserCode((folder / code.file).absolute(), None, code.thing))


def shown(name: str) -> str:
    """Return a name without the folder of its file."""
    code = parse(name)
    return code.shown if code else name


def identity(name: str) -> str:
    """Return what tells code from other code, on any machine: its name and its hash."""
    code = parse(name)
    return " ".join(filter(None, [code.shown, code.sum])) if code else name


def load(code: UserCode) -> ModuleType:
    """Import the module of a method or a data set, which runs it.

    Raises:
        VireidError: It is not there, is not Python, or needs a module that is not installed.
    """
    try:
        return import_module(code.module) if code.module else _load_file(_file(code))
    except SyntaxError as error:
        raise VireidError(f"{error.filename}, line {error.lineno}: {error.msg}") from error
    except ModuleNotFoundError as error:
        if explain_missing_module(error):
            raise
        raise VireidError(
            f"{code} needs {error.name}, which cannot be imported; install it (code in several "
            "files of your own has to be an installed package, or on PYTHONPATH)"
        ) from error


def keep(names: Iterable[str], folder: Path) -> None:
    """Copy the files of code into the folder of a run, with what tells them from others.

    Raises:
        VireidError: Two files have the same name.
    """
    codes = _codes(names)
    files = {code.file for code in codes if code.file}
    if len({file.name for file in files}) < len(files):
        raise VireidError(f"{' and '.join(map(str, sorted(files)))} share a name; rename one")
    if codes:
        kept = {code.shown: Kept(code.sum, str(code)) for code in codes}
        documents.write_json(folder / KEPT, kept)
    for file in files:
        write_whole(folder / file.name, file.read_bytes())


def kept_files(folder: Path) -> list[str]:
    """Return the names of the files that a run or an exported model has because of such code."""
    codes = _codes(_kept(folder))
    files = dict.fromkeys(code.file.name for code in codes if code.file)
    return [KEPT, *files] if codes else []


def changed(names: Iterable[str], folder: Path) -> list[str]:
    """Return the names of a run's code that has changed since, or is gone."""
    now = {code.shown: code.sum for code in _codes(names)}
    then = {name: kept.sum for name, kept in _kept(folder).items()}
    return sorted({name for name, _ in now.items() ^ then.items()})


def check_trusted(names: Iterable[str], folder: Path, *, trust_code: bool) -> None:
    """Refuse to run the code of a run or an exported model that nobody trusts.

    Args:
        names: Names of code in its recipe.
        folder: Folder of the run or the exported model.
        trust_code: Whether the caller trusts the code.

    Raises:
        VireidError: Nobody does, or the code is not what was kept.
    """
    codes = _codes(located(name, folder) for name in names)
    if codes and not trust_code:
        raise VireidError(
            f"{folder} can only be opened by code that is not vireid's: "
            f"{', '.join(map(str, codes))}; if you trust whoever wrote it, give --trust-code "
            "(in Python: trust_code=True)"
        )
    kept = _kept(folder) if codes else {}
    for code in codes:
        known = kept.get(code.shown)
        if known is None or known.sum != code.sum:
            raise VireidError(
                f"{code} is not the code that {folder} was learnt by; put the original back"
            )
        _tell_if_changed(code, known)


def _tell_if_changed(code: UserCode, known: Kept) -> None:
    origin = parse(known.origin)
    if origin and origin.file and is_file(origin.file) and origin.sum != known.sum:
        log.warning("%s has changed since; the run's own copy is used: %s", origin, code)


def _kept(folder: Path) -> dict[str, Kept]:
    path = folder / KEPT
    if not path.is_file():
        return {}
    return documents.read_json(path, dict[str, Kept], "copy the whole folder again")


def _codes(names: Iterable[str]) -> list[UserCode]:
    return [code for code in map(parse, names) if code]


def _file(code: UserCode) -> Path:
    assert code.file is not None
    return code.file


def _sum(file: Path) -> str:
    if not is_file(file):
        raise VireidError(
            f"there is no file {file}; in a recipe its path starts from the recipe's folder"
        )
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _load_file(file: Path) -> ModuleType:
    """Import a file; the same content is imported once, wherever it lies."""
    name = f"{file.stem}_{_sum(file)[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
