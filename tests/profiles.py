"""ICC profiles of colours other than sRGB's, made by hand, and pictures in these colours."""

import struct

import numpy as np
from numpy.typing import NDArray

ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
"""X, Y and Z of red, green and blue at their most, in the light D50 of profiles."""
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
D50 = (0.9642, 1.0, 0.8249)
Levels = NDArray[np.uint8]


def wide_gamut(gamma: float = 2.2) -> bytes:
    """A profile with the colours of Adobe RGB (1998)."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"wide\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0" + bytes(3),
        b"wtpt": _xyz(D50),
        b"rXYZ": _xyz(ADOBE_RGB[0]),
        b"gXYZ": _xyz(ADOBE_RGB[1]),
        b"bXYZ": _xyz(ADOBE_RGB[2]),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    return _profile(b"RGB ", tags)


def grey(gamma: float) -> bytes:
    """A profile of greys."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0" + bytes(3),
        b"wtpt": _xyz(D50),
        b"kTRC": curve,
    }
    return _profile(b"GRAY", tags)


def in_wide_gamut(pixels: Levels, gamma: float = 2.2) -> Levels:
    """The levels by which a picture in sRGB is written with the profile `wide_gamut`."""
    linear = _linear(pixels) @ np.array(SRGB) @ np.linalg.inv(np.array(ADOBE_RGB))
    levels: Levels = np.rint(255 * linear.clip(0, 1) ** (1 / gamma)).astype(np.uint8)
    return levels


def in_grey(pixels: Levels, gamma: float) -> Levels:
    """The levels by which greys in sRGB are written with the profile `grey`."""
    return np.rint(255 * _linear(pixels) ** (1 / gamma)).astype(np.uint8)


def _linear(pixels: Levels) -> NDArray[np.float64]:
    shares = pixels / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def _profile(colours: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, content, place = b"", b"", 128 + 4 + 12 * len(tags)
    for name, tag in tags.items():
        tag += bytes(-len(tag) % 4)
        table += name + struct.pack(">II", place + len(content), len(tag))
        content += tag
    header = struct.pack(
        ">I4sI4s4s4s", place + len(content), b"none", 2 << 24, b"mntr", colours, b"XYZ "
    )
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", *(round(v * 65536) for v in D50))
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + content
