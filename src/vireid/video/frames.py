"""Frames of folders, video files and streams: decoded, upright, in RGB, each with its time.

Every n-th frame is taken, or so many a second by their presentation times. Grey and deeper pixels
become 8 bits in three channels; thermal frames of more than 8 bits are stretched as pictures of
that kind are (`vireid.pictures.as_rgb`). What is broken is passed over and told.

Videos need PyAV (extra `video`); folders of frames do not. A file can open neither other files nor
addresses, whatever is written in it.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vireid.datasets._files import Unusable
from vireid.datasets._listing import SUFFIXES, pictures_below
from vireid.datasets._times import TimePattern
from vireid.errors import MissingExtraError, VireidError
from vireid.files.untrusted import is_file, is_there
from vireid.pictures import MOST_PIXELS, PictureError, as_rgb, read_picture, taken_at
from vireid.types.arrays import Pixels

STREAM = re.compile(r"^(rtsps?|rtmps?|https?|srt|udp)://", re.IGNORECASE)
"""Beginnings of addresses that are opened; nothing but what a person typed is one."""
FILE_PROTOCOLS = "file,crypto,data"
STREAM_PROTOCOLS = "rtsp,rtsps,rtp,rtmp,rtmps,srt,udp,tcp,tls,http,https,crypto,data"
UNTOLD_RATE = 25.0
"""Frames a second where neither a file nor a person tells."""
LONGEST_GAP = 7 * 86400.0
"""Seconds between two frames of a video from which a time is taken to be damaged."""
PATIENCE = (20.0, 20.0)
"""Seconds to open a stream, and to wait for its next piece."""
NO_RATE = "nothing tells their times; they were taken for {rate:g} a second (--fps says another)"


class VideoError(VireidError):
    """A video, a stream or a folder of frames that cannot be used."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame."""

    number: int
    """Its place among all frames of its source, from 0."""
    seconds: float
    """Its time since the first frame."""
    pixels: Pixels
    path: Path | None = None
    """Its own file, where it has one."""
    time: datetime | None = None
    """Its time of day, where that is known."""


@dataclass(frozen=True)
class Sampling:
    """Which frames are taken."""

    every: int = 1
    """Distance of two frames that are taken."""
    rate: float | None = None
    """Largest number of frames a second, by presentation time; in place of `every`."""

    def __post_init__(self) -> None:
        """Refuse distances and rates that take no frame.

        Raises:
            VideoError: The sampling is such a one.
        """
        if self.every < 1 or (self.rate is not None and not self.rate > 0):
            raise VideoError("take every first frame or more (--every), or some a second (--rate)")


class _Clock:
    """Chooses frames by a sampling."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._due = 0.0

    def takes(self, number: int, seconds: float) -> bool:
        """Whether a frame is taken; frames come in order."""
        if self._sampling.rate is None:
            return number % self._sampling.every == 0
        if seconds < self._due - 1e-6:
            return False
        step = 1 / self._sampling.rate
        # The grid stays where it is, so that 10 a second of 25 are 10 and not 8.
        self._due = max(self._due + step, (seconds // step) * step + step)
        return True


@dataclass
class Folder:
    """A folder of frames, in the order of the numbers in their names."""

    path: Path
    files: Sequence[Path]
    fps: float | None = None
    start: datetime | None = None
    pattern: TimePattern | None = None
    unusable: list[Unusable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return Path(os.path.abspath(self.path)).name or "frames"  # noqa: PTH100

    @property
    def place(self) -> str:
        """Path of the folder, as a person typed it."""
        return str(self.path)

    @property
    def address(self) -> str:
        """Absolute path of the folder."""
        return os.path.abspath(self.path)  # noqa: PTH100  links keep the name they are known by

    def expected(self) -> int | None:
        """Return the number of files."""
        return len(self.files)

    def frames(self, sampling: Sampling) -> Iterator[Frame]:
        """Yield the frames that are taken."""
        self.unusable.clear()
        self.notes.clear()
        clock, read = _Clock(sampling), 0
        for number, seconds, path, time in self._timed():
            if clock.takes(number, seconds):
                try:
                    pixels = np.asarray(read_picture(path))
                except PictureError as error:
                    self.unusable.append(Unusable(str(path), error.reason))
                    continue
                read += 1
                yield Frame(number, seconds, pixels, path, time)
        if not read:
            first = self.unusable[0].reason
            raise VideoError(f"no frame of {self.path} can be read; the first: {first}")

    def _timed(self) -> Iterator[tuple[int, float, Path, datetime | None]]:
        """Yield number, seconds, file and time of each frame, in order."""
        files = sorted(self.files, key=natural)
        numbers = _numbers(files)
        times = self._times_of(files)
        known = [time for time in times if time is not None]
        is_told = len(known) == len(files) and all(one < other for one, other in pairwise(known))
        if not is_told and self.fps is None and len(files) > 1:
            self.notes.append(NO_RATE.format(rate=UNTOLD_RATE))
        rate = self.fps or UNTOLD_RATE
        for place, (number, path) in enumerate(zip(numbers, files, strict=True)):
            if is_told and self.fps is None:
                time = known[place]
                yield number, (time - known[0]).total_seconds(), path, time
            else:
                seconds = number / rate
                since = self.start and self.start + timedelta(seconds=seconds)
                yield number, seconds, path, since or times[place]

    def _times_of(self, files: Sequence[Path]) -> list[datetime | None]:
        """Return the time that the name of each frame tells, or the frame itself."""
        if self.pattern is not None:
            return [self.pattern.read(path.name) for path in files]
        # To read every file of a long folder for times that cameras rarely write would take long.
        if self.start or any(taken_at(path) is None for path in (files[0], files[-1])):
            return [None] * len(files)
        return [taken_at(path) for path in files]


def natural(path: Path) -> tuple[object, ...]:
    """Return a key by which `9.jpg` comes before `10.jpg`."""
    parts = re.split(r"(\d+)", path.name)
    return tuple(int(part) if place % 2 else part for place, part in enumerate(parts))


def _numbers(files: Sequence[Path]) -> list[int]:
    """Return the number of each frame: that in its name, where names count from 0 or 1."""
    stems = [path.stem for path in files]
    if all(stem.isascii() and stem.isdigit() and len(stem) <= 9 for stem in stems):
        numbers = [int(stem) for stem in stems]
        if numbers[0] in (0, 1) and len(set(numbers)) == len(numbers):
            return [number - numbers[0] for number in numbers]
    return list(range(len(files)))


@dataclass
class Video:
    """A video file or a stream."""

    target: str
    """Path or address, as a person typed it."""
    fps: float | None = None
    start: datetime | None = None
    unusable: list[Unusable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def place(self) -> str:
        """Path or address to show and to keep: without the user and the password in it."""
        return re.sub(r"//[^/@]*@", "//", self.target) if self.is_stream else self.target

    @property
    def is_stream(self) -> bool:
        """Whether it is read from an address."""
        return STREAM.match(self.target) is not None

    @property
    def path(self) -> Path | None:
        """Path of the file; None for a stream."""
        return None if self.is_stream else Path(self.target)

    @property
    def address(self) -> str:
        """Absolute path of the file, or the address of the stream."""
        return self.place if self.is_stream else os.path.abspath(self.target)  # noqa: PTH100

    @property
    def name(self) -> str:
        """Name of the file without suffix, or of the host."""
        if self.path is not None:
            return self.path.stem
        host = self.place.split("://", 1)[1].split("/", 1)[0]
        return re.sub(r"[^\w.-]", "_", host) or "stream"

    def expected(self) -> int | None:
        """Return how many frames the file says that it has."""
        if self.is_stream:
            return None
        with self._opened() as container:
            stream = self._stream_of(container)
            if stream.frames:
                return int(stream.frames)
            seconds = (container.duration or 0) / 1e6
            return round(seconds * float(stream.average_rate or 0)) or None

    def frames(self, sampling: Sampling) -> Iterator[Frame]:
        """Yield the frames that are taken."""
        self.unusable.clear()
        self.notes.clear()
        clock, number, broken = _Clock(sampling), -1, _Broken()
        with self._opened() as container:
            stream = self._stream_of(container)
            times = _Times(self.fps, float(stream.average_rate or 0), self.is_stream)
            for number, decoded in enumerate(_decoded(container, stream, broken)):
                seconds = times.of(decoded)
                if clock.takes(number, seconds):
                    time = self.start and self.start + timedelta(seconds=seconds)
                    try:
                        pixels = _upright_pixels(decoded)
                    except Exception as error:  # as when it is decoded
                        broken.note(error)
                        continue
                    yield Frame(number, seconds, pixels, None, time)
            told = int(stream.frames or 0)
        self._tell(number + 1, told, broken, times)

    def _tell(self, count: int, told: int, broken: "_Broken", times: "_Times") -> None:
        """Note what was wrong with the whole."""
        if count == 0:
            why = f" ({broken.first})" if broken.count else ""
            raise VideoError(f"{self.place} holds no frame that can be decoded{why}")
        if broken.count:
            reason = f"{broken.count} pieces cannot be decoded; the first: {broken.first}"
            self.unusable.append(Unusable(self.place, reason))
        if count < told - 1:
            reason = f"it ends after {count} of {told} frames: it was cut off, or is damaged"
            self.unusable.append(Unusable(self.place, reason))
        if times.guessed:
            rate = f"{times.rate:g} a second" + ("" if self.fps else " (--fps says another)")
            self.notes.append(
                f"{times.guessed} frames have no time of their own; counted at {rate}"
            )

    def _opened(self) -> Any:
        try:
            import av
        except ModuleNotFoundError as error:
            raise MissingExtraError("av", "video") from error
        # A list of pieces in a stranger's file could name any file or address.
        allowed = STREAM_PROTOCOLS if self.is_stream else FILE_PROTOCOLS
        options = {"protocol_whitelist": allowed}
        if self.target.lower().startswith("rtsp"):
            options["rtsp_transport"] = "tcp"
        timeout = PATIENCE if self.is_stream else None
        target = self.target if self.is_stream else f"file:{self.target}"
        try:
            return av.open(target, options=options, timeout=timeout)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            why = _reason(error)
            raise VideoError(f"{self.place} cannot be opened ({why}); {WAY_OUT}") from error

    def _stream_of(self, container: Any) -> Any:
        stream = next(iter(container.streams.video), None)
        if stream is None:
            raise VideoError(f"{self.place} holds no video; {WAY_OUT}")
        if stream.codec_context is None:
            raise VideoError(f"{self.place} is coded in a way that is not known; {WAY_OUT}")
        if stream.width * stream.height > MOST_PIXELS:
            size = f"{stream.width} x {stream.height}"
            raise VideoError(f"{self.place} has frames of {size} pixels, which is too large")
        stream.thread_type = "AUTO"
        return stream


@dataclass
class _Broken:
    """What could not be decoded; a stream may bring any number of it."""

    count: int = 0
    first: str = ""

    def note(self, error: Exception) -> None:
        self.first = self.first or _reason(error)
        self.count += 1


WAY_OUT = "give a video that plays, a folder of frames or an address"


def _decoded(container: Any, stream: Any, broken: "_Broken") -> Iterator[Any]:
    """Yield the frames of a stream; what cannot be decoded is noted and passed over."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except Exception as error:  # PyAV raises almost anything when a file is damaged
            broken.note(error)
            return
        try:
            frames = packet.decode()
        except av.error.EOFError:
            continue
        except Exception as error:
            broken.note(error)
            continue
        yield from frames


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


class _Times:
    """Times of decoded frames, in seconds since the first; they rise whatever the file says."""

    def __init__(self, fps: float | None, told: float, is_stream: bool) -> None:
        self.rate = fps or (told if 0 < told < 1000 else UNTOLD_RATE)
        self.guessed = 0
        """Frames whose time was counted from the one before."""
        self._ignores_file = fps is not None and not is_stream
        self._first: float | None = None
        self._last = -1.0 / self.rate

    def of(self, frame: Any) -> float:
        """Return the time of the next frame."""
        told = None if self._ignores_file else frame.time
        if told is not None and self._first is None:
            self._first = float(told)
        seconds = None if told is None or self._first is None else float(told) - self._first
        if seconds is None or not 0 < seconds - self._last < LONGEST_GAP:
            seconds = self._last + 1 / self.rate
            self.guessed += not self._ignores_file
        self._last = seconds
        return seconds


def _upright_pixels(frame: Any) -> Pixels:
    """Return a decoded frame in RGB, turned the way it is to be looked at."""
    shape = frame.format
    if frame.width * frame.height > MOST_PIXELS:
        raise ValueError(f"a frame has {frame.width} x {frame.height} pixels")
    if shape.name.startswith("gray") and shape.components[0].bits > 8:
        deep = frame.to_ndarray(format="gray16le")
        pixels = np.asarray(as_rgb(Image.fromarray(deep)))
    else:
        pixels = frame.to_ndarray(format="rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


Source = Folder | Video
"""Frames in the order of their times. What could not be used is told once all have been read."""


def open_sources(
    place: str,
    fps: float | None = None,
    start: datetime | None = None,
    pattern: TimePattern | None = None,
) -> list[Source]:
    """Return the sources at a place: one for a video or a stream, one for each folder of frames.

    Args:
        place: Path of a video file or a folder of frames, or an address.
        fps: Frames a second, where the frames themselves do not tell their times.
        start: Time of day of the first frame.
        pattern: Pattern of times in the names of frames, or of a video for its first frame.

    Raises:
        VideoError: Nothing is there, or it is neither.
    """
    if STREAM.match(place):
        return [Video(place, fps, start)]
    path = Path(place)
    if not is_there(path):
        raise VideoError(f"{place} is not there; give a video, a folder of frames or an address")
    if is_file(path):
        if path.suffix.lower() in SUFFIXES - {".gif"}:
            raise VideoError(f"{place} is a picture; give the folder of frames that it lies in")
        told = pattern.read(path.name) if pattern else None
        return [Video(place, fps, start or told)]
    if not path.is_dir():
        raise VideoError(f"{place} is no file and no folder, but a pipe or a device; give a video")
    listing = pictures_below(path)
    if not listing.pictures:
        raise VideoError(f"{place} holds no frame: no file that ends as pictures do")
    return [
        Folder(folder, tuple(frames), fps, start, pattern)
        for folder, frames in groupby(listing.pictures, key=lambda each: each.parent)
    ]
