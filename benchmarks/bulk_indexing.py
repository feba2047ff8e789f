"""What `vireid index --ray` costs beside `vireid index`: one worker, one thread, in turns.

Processor time of the whole command, with all that it begins, Ray's processes and the worker: all
processes of its session are looked at every tenth of a second, and count with what they had used
when they were last seen. A cluster of one is no faster than one process; it shows what Ray adds,
once and for each picture. Linux only. The machine may be busy, as both take turns.

Run: python benchmarks/bulk_indexing.py [--write]
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _steps

PICTURES = Path(__file__).parent.parent / "src/vireid/datasets/nightwalk_mini"
WORKS = (("small", "cam4"), ("small", "."), ("stripes_learnt", "cam4"))
"""Models, and folders of pictures."""
ROUNDS = 3
RESULTS = _steps.results("bulk_indexing")
TICKS = os.sysconf("SC_CLK_TCK")
EVERY = 0.1
"""Seconds between two looks at processes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    told = parser.parse_args()
    load = "load {:.1f}, {:.1f}, {:.1f} at its beginning".format(*os.getloadavg())
    found = [f"Seconds of processors, medians of {ROUNDS} rounds; {load}.\n{table()}"]
    _steps.publish(_steps.report("Bulk indexing", __doc__, found), RESULTS, write=told.write)


def table() -> str:
    lines = [
        "\n| model | pictures | index | index --ray | more |",
        "|---|---:|---:|---:|---:|",
    ]
    found = {}
    for model, folder in WORKS:
        rounds = [(seconds(model, folder), seconds(model, folder, "--ray")) for _ in range(ROUNDS)]
        plain, by_ray = (statistics.median(times) for times in zip(*rounds, strict=True))
        count = sum(1 for _ in (PICTURES / folder).rglob("*.jpg"))
        found[model, folder] = plain, by_ray, count
        lines.append(f"| {model} | {count} | {plain:.1f} | {by_ray:.1f} | {by_ray - plain:.1f} |")
    few, many = found["small", "cam4"], found["small", "."]
    each = [1000 * (many[n] - few[n]) / (many[2] - few[2]) for n in (0, 1)]
    lines.append(
        f"\nFrom {few[2]} to {many[2]} pictures by small, one more takes {each[0]:.1f} ms by index "
        f"and {each[1]:.1f} ms with --ray."
    )
    return "\n".join(lines)


def seconds(model: str, folder: str, *how: str) -> float:
    """Processor seconds of one run, with those of all processes that it has begun."""
    spread = ("--workers", "1", *how) if how else ()
    source = ("--modality", "visible") if folder != "." else ()
    with tempfile.TemporaryDirectory() as scratch:
        words = ["index", PICTURES / folder, "--out", Path(scratch, "g"), "--model", model, *source]
        command = [sys.executable, "-m", "vireid", *map(str, words), "--threads", "1", *spread]
        nothing = subprocess.DEVNULL
        begun = subprocess.Popen(command, stdout=nothing, stderr=nothing, start_new_session=True)
        used = dict[int, float]()
        while begun.poll() is None:
            used |= used_in(begun.pid)
            time.sleep(EVERY)
    assert begun.returncode == 0
    return sum(used.values())


def used_in(session: int) -> dict[int, float]:
    """Processor seconds of each process of a session, by its number."""
    found = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            fields = place.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                found[int(place.parent.name)] = (int(fields[11]) + int(fields[12])) / TICKS
    return found


if __name__ == "__main__":
    main()
