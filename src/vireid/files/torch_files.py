"""Reader of files that torch has written, which runs nothing that is in them.

`torch.save` and TorchScript write zip archives: `data.pkl` names the tensors, `data/0`, `data/1`
and so on hold their numbers, and TorchScript adds the source of its modules. A pickle is a little
program, and TorchScript's source is another. This reader accepts only those pickle instructions
that torch writes, which build containers and tensors. From the source it reads nothing but the
lists of names. Reading takes as much memory as the file has bytes and half a GiB at most for
containers, and the checksum of every record is checked.
"""

import os
import pickletools
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vireid.files.untrusted import open_plain

MOST_INSTRUCTIONS = 2**22
"""Largest size of `data.pkl` in bytes; a checkpoint of ten thousand tensors has half of it."""
MOST_SOURCE = 2**26
"""Largest size in bytes of TorchScript's source that is read."""
MOST_PARTS = 100_000
"""Largest number of parts of a TorchScript module, with the parts of its parts."""
DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_NAMED = r"  __{}__ = \[(.*)\]\n"
_CLASS = re.compile(
    rf"^class (\w+)\(Module\):\n{_NAMED.format('parameters')}(?:{_NAMED.format('buffers')})?", re.M
)


class UnreadableError(ValueError):
    """A file that is damaged, or that holds other things than tensors in containers."""


@dataclass(frozen=True)
class Unread:
    """An object in the place of which nothing was built: a NumPy array, the settings of a run."""

    kind: str
    """Name of its class, or of the function that would have made it."""


def read(path: Path, *, leave_objects: bool = False) -> Any:
    """Read what `torch.save` has written, or the state of a TorchScript module.

    Args:
        path: The file.
        leave_objects: Put `Unread` in the place of each object that is neither tensor, container,
            number nor text, instead of refusing the file. Nothing is run for it either.

    Returns:
        Containers, numbers, texts and tensors as they were saved; of a TorchScript module its
        parameters and buffers by name.

    Raises:
        UnreadableError: It is no such file, damaged, written before torch 1.6, or holds objects.
        OSError: It is not there, or may not be read.
    """
    with open_plain(path) as file:
        return read_from(file, leave_objects=leave_objects)


def read_from(file: BufferedReader | BytesIO, *, leave_objects: bool = False) -> Any:
    """Read an open file; as `read`."""
    try:
        with zipfile.ZipFile(file) as archive:
            records = _Records(archive, file.seek(0, os.SEEK_END))
            content = _Machine(records, leave_objects).run(records.instructions())
            return _state_of(content, records) if isinstance(content, _Module) else content
    except UnreadableError:
        raise
    except Exception as error:
        # Damaged archives and instructions lead anywhere: index, key, type and system errors.
        raise UnreadableError(str(error) or type(error).__name__) from error


class _Records:
    """The records of one archive; each is checked against its checksum as it is read."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self._archive = archive
        self._storages: dict[str, Tensor] = {}
        (instructions,) = (n for n in archive.namelist() if re.fullmatch("[^/]+/data.pkl", n))
        self._root = instructions.removesuffix("data.pkl")
        stored = [r for r in archive.infolist() if r.compress_type == zipfile.ZIP_STORED]
        if sum(record.file_size for record in stored) > size:
            raise UnreadableError("its records overlap")

    def instructions(self) -> bytes:
        order = f"{self._root}byteorder"
        if order in self._archive.namelist() and self._read("byteorder", 16) != b"little":
            raise UnreadableError("its numbers are big-endian")
        return self._read("data.pkl", MOST_INSTRUCTIONS)

    def source(self, name: str, most: int) -> str:
        return self._read(name, most, packed=True).decode()

    def storage(self, key: str, dtype: torch.dtype, count: int) -> Tensor:
        """Return the numbers of a record as a flat tensor, the same one for the same record."""
        if key not in self._storages:
            self._storages[key] = self._filled(self._record(f"data/{key}"))
        return self._storages[key].view(dtype)[:count]

    def _filled(self, record: zipfile.ZipInfo) -> Tensor:
        content = torch.empty(record.file_size, dtype=torch.uint8)
        with self._archive.open(record) as file:
            if content.numel() and file.readinto(content.numpy().data) != content.numel():  # type: ignore[attr-defined]
                raise UnreadableError(f"{record.filename} is cut off")
        return content

    def _read(self, name: str, most: int, *, packed: bool = False) -> bytes:
        record = self._record(name, packed=packed)
        if record.file_size > most:
            raise UnreadableError(f"{name} is too large")
        return self._archive.read(record)

    def _record(self, name: str, *, packed: bool = False) -> zipfile.ZipInfo:
        record = self._archive.getinfo(self._root + name)
        if record.compress_type != zipfile.ZIP_STORED and not packed:
            raise UnreadableError(f"{name} is packed, which torch never does")
        return record


@dataclass(frozen=True)
class _Kind:
    """A class that the pickle names: of a storage by its type, of a module by its name."""

    name: str


@dataclass(frozen=True)
class _Call:
    """A function of torch that the pickle names, and what is done in its place."""

    do: Callable[..., Any]


@dataclass(eq=False)
class _Module:
    """A TorchScript module: its class, and its attributes, set after it has been named."""

    kind: str
    state: dict[str, Any] = field(default_factory=dict)


def _rebuilt(flat: Tensor, offset: int, size: Any, stride: Any, *_: object) -> Tensor:
    if torch.Size(size).numel() > flat.numel():
        raise UnreadableError("a tensor is larger than its record")
    return flat.as_strided(size, stride, offset)


def _the_first(value: Any, *_: object) -> Any:
    return value


CALLS = {
    "torch._utils _rebuild_tensor_v2": _Call(_rebuilt),
    "torch._utils _rebuild_parameter": _Call(_the_first),
    "collections OrderedDict": _Call(dict),
    "torch Size": _Call(tuple),
    "torch.jit._pickle build_intlist": _Call(_the_first),
    "torch.jit._pickle build_doublelist": _Call(_the_first),
    "torch.jit._pickle build_boollist": _Call(_the_first),
    "torch.jit._pickle build_tensorlist": _Call(_the_first),
    "torch.jit._pickle restore_type_tag": _Call(_the_first),
}
_MARK = object()


class _Machine:
    """Follows the instructions of a pickle, as far as torch writes them."""

    def __init__(self, records: _Records, leave_objects: bool) -> None:
        self._records, self._leave_objects = records, leave_objects
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, instructions: bytes) -> Any:
        for code, argument, _ in pickletools.genops(instructions):
            if code.name == "STOP":
                return self._stack.pop()
            if code.name in VALUES:
                self._stack.append(VALUES[code.name](argument))
            elif code.name in STEPS:
                STEPS[code.name](self, argument)
            else:
                raise UnreadableError(
                    f"it holds an instruction that torch never writes: {code.name}"
                )
        raise UnreadableError("its instructions are cut off")

    def pop(self, count: int) -> list[Any]:
        """Take `count` values from the stack, in the order in which they were put there."""
        taken = self._stack[len(self._stack) - count :]
        if len(taken) < count or any(value is _MARK for value in taken):
            raise UnreadableError("its instructions are damaged")
        del self._stack[len(self._stack) - count :]
        return taken

    def pop_to_mark(self) -> list[Any]:
        place = len(self._stack) - 1
        while self._stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise UnreadableError("its instructions are damaged")
        taken = self._stack[place + 1 :]
        del self._stack[place:]
        return taken

    def tuple_of(self, count: int) -> None:
        self._stack.append(tuple(self.pop(count)))

    def tuple_to_mark(self, _: object) -> None:
        self._stack.append(tuple(self.pop_to_mark()))

    def append(self, _: object) -> None:
        self._extend(self.pop(1))

    def extend(self, _: object) -> None:
        self._extend(self.pop_to_mark())

    def set_item(self, _: object) -> None:
        self._set(self.pop(2))

    def set_items(self, _: object) -> None:
        self._set(self.pop_to_mark())

    def remember(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    def recall(self, place: int) -> None:
        self._stack.append(self._memo[place])

    def name(self, name: str) -> None:
        """Put the meaning of a name on the stack, if torch writes that name."""
        module, _, last = name.partition(" ")
        if module == "torch" and last in DTYPES:
            self._stack.append(_Kind(last))
        elif name.startswith("__torch__"):
            self._stack.append(_Kind(name.replace(" ", ".")))
        elif name in CALLS:
            self._stack.append(CALLS[name])
        elif self._leave_objects:
            self._stack.append(Unread(name.replace(" ", ".")))
        else:
            raise UnreadableError(f"it holds an object, of {name.replace(' ', '.')}")

    def call(self, _: object) -> None:
        function, arguments = self.pop(2)
        if isinstance(function, Unread):
            self._stack.append(function)
            return
        if not isinstance(function, _Call) or not isinstance(arguments, tuple):
            raise UnreadableError("its instructions are damaged")
        if function.do is dict and arguments:
            raise UnreadableError("it holds an unusual dictionary")
        self._stack.append(function.do(*arguments))

    def create(self, _: object) -> None:
        kind, arguments = self.pop(2)
        if isinstance(kind, Unread):
            self._stack.append(kind)
            return
        if not isinstance(kind, _Kind) or arguments != ():
            raise UnreadableError("its instructions are damaged")
        self._stack.append(_Module(kind.name))

    def build(self, _: object) -> None:
        """Give a module its attributes; those of a dictionary (versions of layers) are left out."""
        (state,) = self.pop(1)
        there = self._stack[-1]
        if isinstance(there, Unread):
            return
        if not isinstance(there, (_Module, dict)) or not isinstance(state, dict):
            raise UnreadableError("it holds a module that unpacks itself")
        if isinstance(there, _Module):
            there.state.update(state)

    def load(self, _: object) -> None:
        ((what, kind, key, _place, count),) = self.pop(1)
        if what != "storage" or not isinstance(kind, _Kind) or not isinstance(key, str):
            raise UnreadableError("its instructions are damaged")
        self._stack.append(self._records.storage(key, DTYPES[kind.name], count))

    def _extend(self, values: list[Any]) -> None:
        there = self._stack[-1]
        if isinstance(there, Unread):
            return
        if not isinstance(there, list):
            raise UnreadableError("its instructions are damaged")
        there.extend(values)

    def _set(self, pairs: list[Any]) -> None:
        there, keys = self._stack[-1], pairs[::2]
        if isinstance(there, Unread):
            return
        # Comparing tuples of tuples of tuples can take for ever.
        if not isinstance(there, dict) or not all(isinstance(key, (str, int)) for key in keys):
            raise UnreadableError("it holds an unusual dictionary")
        there.update(zip(keys, pairs[1::2], strict=True))


VALUES: Mapping[str, Callable[[Any], Any]] = {
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_DICT": lambda _: {},
    "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (),
    "MARK": lambda _: _MARK,
    **dict.fromkeys(
        ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"), _the_first
    ),
}
STEPS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda _machine, _version: None,
    "TUPLE": _Machine.tuple_to_mark,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "APPEND": _Machine.append,
    "APPENDS": _Machine.extend,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "BINPUT": _Machine.remember,
    "LONG_BINPUT": _Machine.remember,
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "GLOBAL": _Machine.name,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.create,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.load,
}


def _state_of(module: _Module, records: _Records) -> dict[str, Tensor]:
    """Return parameters and buffers of a module and of all its parts, by name."""
    state: dict[str, Tensor] = {}
    names, waiting, parts = _Names(records), [("", module)], 0
    while waiting:
        above, part = waiting.pop()
        parts += 1 + len(part.state)
        if parts > MOST_PARTS:
            raise UnreadableError("it has too many parts")
        kept = names.of(part.kind)
        for name, value in part.state.items():
            if isinstance(value, _Module):
                waiting.append((f"{above}{name}.", value))
            elif isinstance(value, Tensor) and (kept is None or name in kept):
                state[above + name] = value
    return state


class _Names:
    """Names of modules' attributes that are parameters and buffers, as their source lists them."""

    def __init__(self, records: _Records) -> None:
        self._records, self._room = records, MOST_SOURCE
        self._files: dict[str, dict[str, set[str] | None]] = {}

    def of(self, kind: str) -> set[str] | None:
        """Return the names; None where an older torch has not listed them, so all tensors count."""
        file, _, name = kind.rpartition(".")
        if file not in self._files:
            source = self._records.source(f"code/{file.replace('.', '/')}.py", self._room)
            self._room -= len(source)
            self._files[file] = dict(map(_listed, _CLASS.finditer(source)))
        return self._files[file][name]


def _listed(found: re.Match[str]) -> tuple[str, set[str] | None]:
    name, parameters, buffers = found.groups()
    return name, None if buffers is None else set(re.findall(r'"(.*?)"', parameters + buffers))
