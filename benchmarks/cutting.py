"""Decoding beside a bare loop of PyAV, cutting beside the detector alone, and memory over an hour.

    python benchmarks/cutting.py VIDEO --detector FILE.onnx --write

VIDEO is any video of people; the detector's card lies beside its file or comes with vireid. The
decoding loop converts every frame to RGB, as ours does; both are run in turns, and the fastest of
five counts. Cutting and the detector alone look at the same frames, in turns too. For memory the
video is repeated until it lasts an hour and cut by boxes of its own (no detector), in a process of
its own; the peak after ten minutes stands beside that after an hour.
"""

import argparse
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np

from vireid.records import Modality
from vireid.video import boxes, people
from vireid.video.detector import Detector
from vireid.video.frames import Sampling, Video
from vireid.video.people import Wishes

RESULTS = Path(__file__).parent / "results" / "cutting.md"
SAMPLING = Sampling(rate=10)


def bare(video: Path) -> Iterator[np.ndarray]:
    """Decode every frame by PyAV alone."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            yield frame.to_ndarray(format="rgb24")


def ours(video: Path) -> Iterator[np.ndarray]:
    """Decode every frame by vireid."""
    for frame in Video(str(video)).frames(Sampling()):
        yield frame.pixels


def count_of(frames: Iterator[np.ndarray]) -> int:
    """Return how many frames there are, holding one at a time."""
    return sum(pixels.size > 0 for pixels in frames)


def seconds_of(*works: Callable[[], object], rounds: int = 5) -> list[float]:
    """Return the fewest seconds of the processor that each work takes, run in turns."""
    best = [np.inf] * len(works)
    for _ in range(rounds):
        for place, work in enumerate(works):
            began = time.process_time()
            work()
            best[place] = min(best[place], time.process_time() - began)
    return best


def repeated(video: Path, path: Path, seconds: float) -> Path:
    """Write a video that shows another one again and again, without coding it anew."""
    with av.open(str(video)) as given, av.open(str(path), "w") as made:
        source = given.streams.video[0]
        stream = made.add_stream_from_template(source)
        kept = [
            (packet.dts, packet.pts, bytes(packet), packet.is_keyframe)
            for packet in given.demux(source)
            if packet.dts is not None
        ]
        starts = [int(dts) for dts, *_ in kept]
        length = starts[-1] - starts[0] + starts[1] - starts[0]
        for turn in range(int(np.ceil(seconds / float(length * (source.time_base or 1))))):
            for dts, pts, content, is_key in kept:
                packet = av.Packet(content)
                packet.time_base, packet.stream = source.time_base or Fraction(1), stream
                packet.dts, packet.pts = dts + turn * length, (pts or dts) + turn * length
                packet.is_keyframe = is_key
                made.mux(packet)
    return path


def memory(video: str, listed: str, out: str, seconds: str) -> None:
    """Cut a video by boxes of others, and print the peak of this process in MB."""
    wishes = Wishes(Modality.VISIBLE, sampling=Sampling(rate=5), seconds=float(seconds))
    people.cut(Video(video), boxes.read(Path(listed)), Path(out), wishes)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def peak(video: Path, listed: Path, out: Path, seconds: float) -> float:
    """Return the peak of a process that cuts some seconds of a video."""
    command = [sys.executable, __file__, "--memory", str(video), str(listed), str(out)]
    command.append(str(seconds))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def walking(frames: int) -> str:
    """Return boxes in MOT's form: six people, each a new one every 30 seconds."""
    lines = []
    for frame in range(1, frames, 6):
        for person in range(6):
            number = 1 + person + 6 * (frame // 900)
            left = 20 + 90 * person + (frame % 900) // 30
            lines.append(f"{frame},{number},{left},100,70,200,1")
    return "\n".join(lines)


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--detector", type=Path)
    parser.add_argument("--card")
    parser.add_argument("--memory", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    asked = parser.parse_args()
    if asked.memory:
        memory(*asked.memory)
        return
    lines = table(asked.video, asked.detector, asked.card)
    print("\n".join(lines))
    if asked.write:
        RESULTS.write_text("\n".join(lines) + "\n")


def table(video: Path, file: Path, card: str | None) -> list[str]:
    """Return the results as Markdown."""
    count = count_of(ours(video))
    loop, own = seconds_of(lambda: count_of(bare(video)), lambda: count_of(ours(video)))
    detector = Detector.open(file, card, threads=1)
    frames = [frame.pixels for frame in Video(str(video)).frames(SAMPLING)]
    wishes = Wishes(Modality.VISIBLE, sampling=SAMPLING)
    with TemporaryDirectory() as folder:
        out = Path(folder)
        places = iter(range(100))
        alone, whole = seconds_of(
            lambda: [detector(pixels, Modality.VISIBLE) for pixels in frames],
            lambda: people.cut(Video(str(video)), detector, out / str(next(places)), wishes),
            rounds=2,
        )
        long, listed = repeated(video, out / "long.mkv", 3600), out / "gt.txt"
        listed.write_text(walking(3600 * 31))
        ten, hour = (peak(long, listed, out / name, s) for name, s in (("a", 600), ("b", 3600)))
    return [
        "# Decoding and cutting",
        "",
        *(__doc__ or "").split("\n\n")[2:],
        f"{platform.machine()}, Python {platform.python_version()}, PyAV {av.__version__}; one "
        "thread for the detector; seconds of the processor.",
        "",
        "| work | ms a frame |",
        "|---|---|",
        f"| decoding, bare loop | {1000 * loop / count:.2f} |",
        f"| decoding, vireid | {1000 * own / count:.2f} |",
        f"| detector alone | {1000 * alone / len(frames):.0f} |",
        f"| cutting: decoding all, detecting 10 a second, following, writing | "
        f"{1000 * whole / len(frames):.0f} |",
        "",
        f"Cutting has {100 * alone / whole:.0f} % of the detector's own rate. Peak memory when an "
        f"hour of video is cut: {ten:.0f} MB after ten minutes, {hour:.0f} MB after all of it.",
    ]


if __name__ == "__main__":
    main()
