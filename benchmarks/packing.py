"""Pictures packed per second, beside the `.npy` files of the field.

    python benchmarks/packing.py --write

JPEGs of the sizes of SYSU-MM01 are brought to 288 x 144: the pictures of NightWalk mini as they are
(192 x 96), and enlarged to 300 x 120 with some noise, which makes them as large as real ones. The
peer does what the released pre-processing of AGW does (`pre_process_sysu.py`, after which CAJ, DEEN
and others have theirs): one after another Pillow opens a picture and resizes it with Lanczos, all
are held in a list, made into one array and saved by numpy.

vireid decodes with imagecodecs and resizes with cykooz-resizer; as it does without them, by Pillow
alone, is the second row.

Processor time counts all threads; it depends less than the rate on what else the machine does.
Files are in the page cache. Medians of rounds in which all take turns.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

from vireid import datasets, pictures
from vireid.threads import processors
from vireid.training_data.packs import make_pack

HEIGHT, WIDTH = 288, 144
RESULTS = Path(__file__).parent / "results" / "packing.md"


def write_pictures(folder: Path, count: int) -> dict[str, list[Path]]:
    """As many of each kind."""
    nightwalk = datasets.read("nightwalk")
    sources = [r.path for r in (*nightwalk.train, *nightwalk.test)][:count]
    noise = np.random.default_rng(0)
    sets: dict[str, list[Path]] = {"192 x 96": [], "300 x 120": []}
    for i, source in enumerate(sources):
        small, large = (folder / f"{name.replace(' ', '')}/{i:05}.jpg" for name in sets)
        for name, path in zip(sets, (small, large), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            sets[name].append(path)
        shutil.copy(source, small)
        with Image.open(source) as picture:
            pixels = np.array(picture.resize((120, 300))).astype(np.int16)
        pixels += noise.integers(-10, 11, pixels.shape, dtype=np.int16)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(large, quality=92)
    return sets


def packed(paths: Sequence[Path], out: Path) -> None:
    make_pack(paths, HEIGHT, WIDTH, root=paths[0].parent, folder=out / "pack")


def packed_by_pillow(paths: Sequence[Path], out: Path) -> None:
    with patch.object(pictures, "_fitted_fast", None):
        packed(paths, out)


def saved_by_numpy(paths: Sequence[Path], out: Path) -> None:
    resized = []
    for path in paths:
        picture = Image.open(path).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
        resized.append(np.array(picture))
    np.save(out / "train.npy", np.array(resized))


WAYS: dict[str, Callable[[Sequence[Path], Path], None]] = {
    "vireid data pack": packed,
    "vireid data pack, by Pillow alone": packed_by_pillow,
    "Pillow and np.save": saved_by_numpy,
}


def measure(way: str, paths: Sequence[Path], out: Path) -> tuple[float, float]:
    """Pictures per second, and milliseconds of processor time for each."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    os.environ["VIREID_CACHE"] = str(out / "cache")
    wall, processor = time.perf_counter(), time.process_time()
    WAYS[way](paths, out)
    spent = time.process_time() - processor
    return len(paths) / (time.perf_counter() - wall), 1000 * spent / len(paths)


def rows(folder: Path, count: int, rounds: int) -> list[str]:
    sets = write_pictures(folder, count)
    figures = defaultdict[tuple[str, str], list[tuple[float, float]]](list)
    for _ in range(rounds):
        for name, paths in sets.items():
            for way in WAYS:
                figures[name, way].append(measure(way, paths, folder / "out"))
    table = []
    for (name, way), measured in figures.items():
        size = statistics.mean(path.stat().st_size for path in sets[name]) / 1000
        rate, spent = (middle(values) for values in zip(*measured, strict=True))
        table.append(f"| {name}, {size:.1f} kB | {way} | {rate} | {spent} |")
    return table


def middle(values: Sequence[float]) -> str:
    digits = 0 if min(values) > 10 else 2
    median, low, high = statistics.median(values), min(values), max(values)
    return f"{median:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS}")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        table = rows(Path(temporary), asked.pictures, asked.rounds)
    report = f"""# Packing

{__doc__}
{asked.pictures} pictures of each size, {processors()} processors, load of the machine \
{os.getloadavg()[1]:.1f}; median of {asked.rounds} rounds (lowest to highest).

| pictures | | pictures per second | ms of processor time each |
|---|---|---|---|
{chr(10).join(table)}
"""
    print(report)
    if asked.write:
        RESULTS.write_text(report)


if __name__ == "__main__":
    main()
