"""Reader of MATLAB files of nested cells of numbers, such as SYSU-MM01's permutations.

It reads what such a file has: MATLAB 5.0 format, little-endian, cells and real numeric arrays,
compressed or not (MathWorks, MAT-File Format, version 5). scipy reads the whole format, but is 113
MB to install for one small file.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

HEADER = 128
"""Bytes of text and version before the first element."""
LARGEST = 2**28
"""Most bytes that an element may unpack to; SYSU-MM01's file has less than a thousandth."""
DEEPEST = 8
"""Most levels of cells within cells; SYSU-MM01's file has two."""
COMPRESSED, MATRIX, CELL = 15, 14, 1
NUMERIC = range(6, 16)
"""Classes of arrays of numbers: double, single, and whole numbers of 8 to 64 bits."""
OTHER = "it holds something else than cells of numbers"
NUMBERS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 9: "<f8", 12: "<i8", 13: "<u8"}
"""NumPy's type of the numbers in a data element, by the element's type."""


def read(path: Path, name: str) -> list[Any]:
    """Return the cells of one variable, in MATLAB's order: arrays, or arrays of such cells.

    Args:
        path: A MATLAB file.
        name: Name of the variable.

    Raises:
        ValueError: Not such a file, damaged, or without that variable.
    """
    content = path.read_bytes()
    if content[126:128] != b"IM" or content[124:126] != b"\x00\x01":
        raise ValueError("not a little-endian MATLAB 5.0 file")
    try:
        for kind, data in _elements(memoryview(content)[HEADER:]):
            found, value = _variable(kind, data)
            if found == name:
                return list(value.ravel(order="F"))
    except (struct.error, zlib.error, IndexError, StopIteration) as error:
        raise ValueError(f"damaged: {error}") from error
    raise ValueError(f"it holds no variable {name}")


def _elements(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the type and content of each element."""
    place = 0
    while place < len(data):
        kind, size = struct.unpack_from("<II", data, place)
        if kind >> 16:  # a small element has its size, type and content in eight bytes
            kind, size, begin, end = kind & 0xFFFF, kind >> 16, place + 4, place + 8
        else:
            begin = place + 8
            # all but compressed elements are filled up to a multiple of eight bytes
            end = begin + (size if kind == COMPRESSED else -(-size // 8) * 8)
        if begin + size > len(data):
            raise ValueError("damaged: an element ends behind the file")
        yield kind, data[begin : begin + size]
        place = end


def _variable(kind: int, data: memoryview) -> tuple[str, np.ndarray]:
    if kind == COMPRESSED:
        unpacker = zlib.decompressobj()
        unpacked = unpacker.decompress(data, LARGEST)
        if unpacker.unconsumed_tail:
            raise ValueError("damaged: an element unpacks to more than any such file has")
        kind, data = next(_elements(memoryview(unpacked)))
    return _matrix(kind, data, DEEPEST)


def _matrix(kind: int, data: memoryview, levels: int) -> tuple[str, np.ndarray]:
    """Return name and values of an array; the values of a cell array are arrays."""
    if kind != MATRIX or not levels:
        raise ValueError(OTHER)
    if not len(data):
        return "", np.zeros((0, 0))
    (_, flags), (_, shape), (_, name), *rest = _elements(data)
    size = tuple(struct.unpack(f"<{len(shape) // 4}i", shape))
    if min(size) < 0 or np.prod(size, dtype=float) > LARGEST:
        raise ValueError(f"damaged: an array of {size}")
    if flags[0] == CELL:
        values = np.empty(len(rest), object)
        for i, cell in enumerate(rest):
            values[i] = _matrix(*cell, levels - 1)[1]
    elif flags[0] in NUMERIC:
        values = _numbers(*rest[0])
    else:
        raise ValueError(OTHER)
    return bytes(name).decode("ascii"), values.reshape(size, order="F")


def _numbers(kind: int, data: memoryview) -> np.ndarray:
    if kind not in NUMBERS:
        raise ValueError(OTHER)
    return np.frombuffer(data, NUMBERS[kind])
