"""Arrays of numbers as text, for JSON files: little-endian bytes, zlib, base64."""

import base64
import binascii
import math
import zlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Shaped

Kind = Literal["uint8", "uint16", "int32", "float16", "float32"]


def packed(array: Shaped[np.ndarray, "..."], kind: Kind) -> str:
    """Return an array as text, in a number format that may be narrower than its own."""
    little = np.ascontiguousarray(array, np.dtype(kind).newbyteorder("<"))
    return base64.b64encode(zlib.compress(little.tobytes(), 9)).decode()


def unpacked(text: str, kind: Kind, shape: Sequence[int]) -> Any:
    """Return the array of a text that `packed` has made.

    Args:
        text: The text.
        kind: Number format that it was packed in.
        shape: Shape of the array.

    Raises:
        ValueError: It is no such text, or of another length.
    """
    dtype = np.dtype(kind).newbyteorder("<")
    size = math.prod(shape) * dtype.itemsize
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(base64.b64decode(text, validate=True), size + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"packed numbers are damaged ({error})") from error
    if len(content) != size or not unpacker.eof:
        raise ValueError(f"packed numbers are not {size} bytes of {kind}")
    return np.frombuffer(content, dtype).reshape(tuple(shape)).astype(kind)
