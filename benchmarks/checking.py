"""How long `vireid data check` takes on as many pictures as SYSU-MM01 has.

    python benchmarks/checking.py --write

46,000 JPEGs in SYSU-MM01's layout: those of NightWalk mini, enlarged to 300 x 120 with some noise,
each given a comment so that no two are the same. Files are in the page cache; on a disk, add the
time it takes to read them once (about 0.6 GB). Processor time counts all threads.
"""

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from vireid import datasets
from vireid.datasets._sysu_layout import MODALITIES
from vireid.scoring.data_check import check

PEOPLE = 491
RESULTS = Path(__file__).parent / "results" / "checking.md"


def contents(count: int) -> Iterator[bytes]:
    """Files, no two the same."""
    sources = [record.path for record in datasets.read("nightwalk").train][:400]
    noise = np.random.default_rng(0)
    files = []
    for source in sources:
        with Image.open(source) as picture:
            pixels = np.array(picture.resize((120, 300))).astype(np.int16)
        pixels += noise.integers(-10, 11, pixels.shape, dtype=np.int16)
        written = BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(written, "JPEG", quality=92)
        files.append(written.getvalue())
    for i in range(count):
        whole = files[i % len(files)]
        yield whole[:2] + b"\xff\xfe\x00\x06" + i.to_bytes(4) + whole[2:]


def write_tree(root: Path, count: int) -> int:
    """Pictures shared evenly by people and cameras; their bytes."""
    size = 0
    for i, content in enumerate(contents(count)):
        person, camera = 1 + i // 6 % PEOPLE, list(MODALITIES)[i % 6]
        path = root / camera / f"{person:04d}" / f"{i:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        size += len(content)
    (root / "exp").mkdir()
    groups = {"train": range(1, 297), "val": range(297, 396), "test": range(396, PEOPLE + 1)}
    for group, ids in groups.items():
        (root / "exp" / f"{group}_id.txt").write_text(",".join(map(str, ids)))
    return size


def row(root: Path, *, full: bool) -> str:
    wall, processor = time.perf_counter(), time.process_time()
    with contextlib.redirect_stderr(None):
        found = check("sysu_mm01", root, full=full)
    spent = time.process_time() - processor
    how = "--full" if full else "headers"
    return f"| {how} | {found.pictures:,} | {time.perf_counter() - wall:.1f} | {spent:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=46_000)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS}")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        size = write_tree(Path(temporary), asked.pictures)
        table = [row(Path(temporary), full=full) for full in (False, True)]
    report = f"""# Checking

{__doc__}
{size / 1e9:.2f} GB, {os.cpu_count()} processors, load of the machine {os.getloadavg()[1]:.1f}.

| | pictures | seconds | seconds of processor time |
|---|---|---|---|
{chr(10).join(table)}
"""
    print(report)
    if asked.write:
        RESULTS.write_text(report)


if __name__ == "__main__":
    main()
