"""What `vireid index --ray` costs beside `vireid index`: one worker, one thread, in turns.

Processor time of the whole command, with all that it begins: Ray's processes, whoever ends them,
are counted too. So a cluster of one is never faster than one process; it shows what Ray adds, once
and for each picture. Linux only. The machine may be busy, as both take turns.

Run: python -m benchmarks.bulk_indexing [--write]
"""

import argparse
import ctypes
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import _steps

PICTURES = Path(__file__).parent.parent / "src/vireid/datasets/nightwalk_mini"
WORKS = (("small", "cam4"), ("small", "."), ("stripes_learnt", "cam4"))
"""Models, and folders of pictures."""
ROUNDS = 3
RESULTS = _steps.results("bulk_indexing")
SUBREAPER = 36
"""Number of the option by which Linux gives a process the orphans of those that it began."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    told = parser.parse_args()
    ctypes.CDLL(None).prctl(SUBREAPER, 1)
    load = "load {:.1f}, {:.1f}, {:.1f} at its beginning".format(*os.getloadavg())
    found = [f"Seconds of processors, medians of {ROUNDS} rounds; {load}.\n{table()}"]
    _steps.publish(_steps.report("Bulk indexing", __doc__, found), RESULTS, write=told.write)


def table() -> str:
    lines = [
        "\n| model | pictures | index | index --ray | more | more a picture, ms |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for model, folder in WORKS:
        rounds = [(seconds(model, folder), seconds(model, folder, "--ray")) for _ in range(ROUNDS)]
        plain, by_ray = (statistics.median(times) for times in zip(*rounds, strict=True))
        count = sum(1 for _ in (PICTURES / folder).rglob("*.jpg"))
        more = by_ray - plain
        each = f"{1000 * more / count:.1f}"
        lines.append(f"| {model} | {count} | {plain:.1f} | {by_ray:.1f} | {more:.1f} | {each} |")
    return "\n".join(lines)


def seconds(model: str, folder: str, *how: str) -> float:
    """Processor seconds of one run, with those of all processes that it has begun."""
    spread = ("--workers", "1", *how) if how else ()
    source = ("--modality", "visible") if folder != "." else ()
    before = worked()
    with tempfile.TemporaryDirectory() as scratch:
        words = ["index", PICTURES / folder, "--out", Path(scratch, "g"), "--model", model, *source]
        command = [sys.executable, "-m", "vireid", *map(str, words), "--threads", "1", *spread]
        subprocess.run(command, check=True, capture_output=True)
    wait_for_orphans()
    return worked() - before


def worked() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def wait_for_orphans() -> None:
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    main()
