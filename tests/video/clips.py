"""Videos that tests make."""

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    rate: int = 25,
    codec: str = "mpeg4",
    pixels: str = "yuv420p",
    given: str = "rgb24",
    times: Sequence[int] | None = None,
) -> Path:
    """Write frames as a video; with `times`, in milliseconds, at uneven distances."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        for number, pixels_of_frame in enumerate(frames):
            if number == 0:
                stream.height, stream.width = pixels_of_frame.shape[:2]
                stream.pix_fmt = pixels
                if codec == "mpeg4":
                    stream.bit_rate = 8_000_000
            frame = av.VideoFrame.from_ndarray(pixels_of_frame, format=given)
            if times is not None:
                frame.time_base = Fraction(1, 1000)
                frame.pts = times[number]
                stream.codec_context.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def turned(path: Path) -> Path:
    """Say in an MP4 that it is to be turned by 90 degrees clockwise."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    one = 1 << 16
    content[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path
