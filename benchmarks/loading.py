"""Training pictures per second of one core, and memory, beside two plain loaders.

    python benchmarks/loading.py --write

The plain loader is a `Dataset` that opens a JPEG with Pillow and a `DataLoader` with torchvision's
transforms; the loader in memory holds the resized set in one array, as the released code of AGW,
CAJ, DEEN and others does. All three do the same to a picture: pad, crop, flip, exchange channels,
erase. Figures are per second of processor time with everything in one thread and files in the
page cache, so that other work on the machine and the disk do not count; medians over
rounds in which the loaders take turns.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from vireid.records import ImageRecord, Modality
from vireid.training_data.augmentation import Augmentation
from vireid.training_data.loading import PackedTrainingData
from vireid.training_data.settings import Data

HEIGHT, WIDTH = 288, 144
RESULTS = Path(__file__).parent / "results" / "loading.md"


def exchange_channels(image: Tensor) -> Tensor:
    if random.random() < 0.5:
        image[:] = image[random.randrange(3)].clone()
    return image


CHANGES = v2.Compose(
    [
        v2.Pad(10),
        v2.RandomCrop((HEIGHT, WIDTH)),
        v2.RandomHorizontalFlip(),
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        exchange_channels,
        v2.RandomErasing(0.5, (0.02, 0.4), (0.3, 1 / 0.3), value=[0.4914, 0.4822, 0.4465]),
    ]
)


class Files(Dataset[Tensor]):
    """A picture is opened, resized and changed when its turn comes."""

    def __init__(self, records: list[ImageRecord]) -> None:
        self.paths = [record.path for record in records]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> Tensor:
        changed: Tensor = CHANGES(self.picture(i))
        return changed

    def picture(self, i: int) -> Image.Image:
        """One picture, resized."""
        picture = Image.open(self.paths[i]).convert("RGB")
        return picture.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)


class InMemory(Files):
    """All pictures are opened and resized at the start."""

    def __init__(self, records: list[ImageRecord]) -> None:
        super().__init__(records)
        self.pictures = np.stack(
            [np.asarray(super(InMemory, self).picture(i)) for i in range(len(self))]
        )

    def picture(self, i: int) -> Image.Image:
        """One picture, as Pillow has it, which the transforms want."""
        return Image.fromarray(self.pictures[i])


def make_pictures(folder: Path, count: int) -> list[ImageRecord]:
    """JPEGs of about the size of a SYSU-MM01 box, smooth with some noise; 20 of each person."""
    rng = np.random.default_rng(0)
    records = []
    for i in range(count):
        path = folder / f"{i:06}.jpg"
        coarse = Image.fromarray(rng.integers(0, 256, (12, 5, 3), dtype=np.uint8))
        smooth = np.array(coarse.resize((100, 250), Image.Resampling.BICUBIC))
        noisy = smooth.astype(np.int16) + rng.integers(-8, 9, smooth.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
        records.append(ImageRecord(path, list(Modality)[i % 2], i // 20))
    return records


def packed(records: list[ImageRecord]) -> Iterable[Tensor]:
    steps = len(records) // 64
    settings = Data("x", height=HEIGHT, width=WIDTH, workers=0, steps_per_epoch=steps)
    data = PackedTrainingData(records, settings, Augmentation(), seed=0)
    return (half for b in data.paired(4, 8)(0) for half in (b.visible, b.infrared))


def plain(dataset: type[Files], records: list[ImageRecord]) -> Iterable[Tensor]:
    return DataLoader(dataset(records), 32, shuffle=True, drop_last=True)


LOADERS: dict[str, Callable[[list[ImageRecord]], Iterable[Tensor]]] = {
    "vireid": packed,
    "plain": partial(plain, Files),
    "plain, in memory": partial(plain, InMemory),
}


def seconds(loader: str, records: list[ImageRecord]) -> tuple[float, float, int]:
    """Processor time until the loader is there, that of one epoch, and pictures in it."""
    start = time.process_time()
    batches = LOADERS[loader](records)
    ready = time.process_time()
    pictures = sum(len(batch) for batch in batches)
    return ready - start, time.process_time() - ready, pictures


def measure_speed(folder: Path, count: int, rounds: int) -> str:
    records = make_pictures(folder, count)
    rates, firsts, starts = (defaultdict[str, list[float]](list) for _ in range(3))
    for _ in range(rounds):
        shutil.rmtree(os.environ["VIREID_CACHE"], ignore_errors=True)
        for loader in LOADERS:
            start, epoch, pictures = seconds(loader, records)
            starts[loader].append(count / start if start > 0.05 else 0)
            firsts[loader].append(pictures / (start + epoch))
            rates[loader].append(pictures / seconds(loader, records)[1])
    table = [
        " | ".join(
            ["", loader, *(middle(figures[loader]) for figures in (rates, firsts, starts)), ""]
        )
        for loader in LOADERS
    ]
    return f"""{count} JPEGs of 250 x 100 brought to {HEIGHT} x {WIDTH}, pictures per second;
median of {rounds} rounds (lowest to highest).

| loader | an epoch | the first epoch, preparation included | preparation |
|---|---|---|---|
{chr(10).join(row.strip() for row in table)}"""


def middle(values: list[float]) -> str:
    if not any(values):
        return "-"
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def measure_memory(folder: Path, count: int) -> str:
    rows = []
    for times in (1, 10):
        make_pictures(folder, times * count)
        for loader in LOADERS:
            shutil.rmtree(os.environ["VIREID_CACHE"], ignore_errors=True)
            figures = subprocess.run(
                [sys.executable, __file__, "--grow", loader, str(folder), str(times * count)],
                check=True, stdout=subprocess.PIPE, text=True,
            ).stdout.split()  # fmt: skip
            rows.append(f"| {loader} | {times * count} | {' | '.join(figures)} |")
    return f"""Most that one process grows during an epoch, preparation included, in MB; a resized
picture has 0.12.

| loader | pictures | its own memory | pages of the pack, which the system may take back |
|---|---|---|---|
{chr(10).join(rows)}"""


def print_growth(loader: str, folder: Path, count: int) -> None:
    """Run in a process of its own; what the libraries take for a first batch does not count."""
    paths = sorted(folder.glob("*.jpg"))[:count]
    records = [ImageRecord(p, list(Modality)[i % 2], i // 20) for i, p in enumerate(paths)]
    sum(len(batch) for batch in LOADERS[loader](records[:200]))
    before = resident()
    during = [resident() for _ in LOADERS[loader](records)]
    print(*(f"{max(most) - b:.0f}" for *most, b in zip(*during, before, strict=True)))


def resident() -> tuple[float, float]:
    """Megabytes of memory of this process: its own, and of mapped files."""
    status = Path("/proc/self/status").read_text()
    fields = dict(line.split(":") for line in status.splitlines() if "Rss" in line)
    own, files = (float(fields[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))
    return own, files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS}")
    parser.add_argument("--grow", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.grow:
        loader, folder, count = asked.grow
        return print_growth(loader, Path(folder), int(count))
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["VIREID_CACHE"] = f"{temporary}/cache"
        speed = measure_speed(Path(temporary), asked.pictures, asked.rounds)
        print(speed, flush=True)
        memory = measure_memory(Path(temporary), asked.pictures // 2)
    report = f"# Loading\n\n{__doc__}\n{speed}\n\n{memory}\n"
    print(memory)
    if asked.write:
        RESULTS.write_text(report)
    return None


if __name__ == "__main__":
    main()
