"""From nothing to the first training batch, and the memory that takes, beside `.npy` files.

    python benchmarks/training_start.py --write

34,000 pictures of 288 x 144, as many as SYSU-MM01 has for training, 4.2 GB. vireid reads the lists
of the data set, asks every file for its size and time of change, maps the pack that `vireid data
pack` has left and makes a batch. The peer does as the released code of AGW, CAJ, DEEN and others:
`np.load` of all pictures, then a `DataLoader` with torchvision's transforms. Each runs in a process
of its own without workers; libraries are imported before the clock starts.

Cold: the system has been asked to forget the file of pictures before. Its own memory is what a
process cannot give back (RssAnon); pages of mapped files the system takes back when it needs them.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from vireid import datasets
from vireid.training_data.augmentation import Augmentation
from vireid.training_data.loading import PackedTrainingData
from vireid.training_data.packs import pack_group
from vireid.training_data.settings import Data

HEIGHT, WIDTH, PEOPLE = 288, 144, 395
RESULTS = Path(__file__).parent / "results" / "training_start.md"
CHANGES = v2.Compose(
    [
        v2.ToPILImage(),
        v2.Pad(10),
        v2.RandomCrop((HEIGHT, WIDTH)),
        v2.RandomHorizontalFlip(),
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        v2.RandomErasing(0.5),
    ]
)


class InMemory(Dataset[Tensor]):
    """All pictures in one array."""

    def __init__(self, path: Path) -> None:
        self.pictures = np.load(path)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> Tensor:
        changed: Tensor = CHANGES(self.pictures[i])
        return changed


def write_tree(root: Path, count: int) -> None:
    """Small pictures in SYSU-MM01's layout: what is packed is as large as from large ones."""
    rng = np.random.default_rng(0)
    for i in range(count):
        person, camera = 1 + i // 6 % PEOPLE, 1 + i % 6
        path = root / f"cam{camera}" / f"{person:04d}" / f"{i:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 16, 3), dtype=np.uint8)).save(path)
    (root / "exp").mkdir()
    for group, ids in {"train": range(1, PEOPLE), "val": [PEOPLE], "test": []}.items():
        (root / "exp" / f"{group}_id.txt").write_text(",".join(map(str, ids)))


def prepare(folder: Path, count: int) -> None:
    """The data set, its packs and the same pictures as one array on disk."""
    write_tree(folder / "set", count)
    dataset = datasets.read("nightwalk", folder / "set")
    packs = [
        pack_group(dataset, group, folder / "packs", height=HEIGHT, width=WIDTH)
        for group in ("train", "validation")
    ]
    shape = (sum(map(len, packs)), HEIGHT, WIDTH, 3)
    array = np.lib.format.open_memmap(folder / "train.npy", "w+", np.uint8, shape)
    done = 0
    for pack in packs:
        for file in pack.files:
            array[done : done + len(file)] = file
            done += len(file)
    array.flush()


def first_batch_of_vireid(folder: Path) -> Tensor:
    dataset = datasets.read("nightwalk", folder / "set")
    data = PackedTrainingData(
        dataset.train + dataset.validation,
        Data("nightwalk", height=HEIGHT, width=WIDTH, workers=0),
        Augmentation(),
        seed=0,
        root=dataset.root,
    )
    batch = next(iter(data.paired(4, 8)(0)))
    keep.append(data)
    return torch.cat([batch.visible, batch.infrared])


def first_batch_of_npy(folder: Path) -> Tensor:
    data = InMemory(folder / "train.npy")
    keep.append(data)
    batch: Tensor = next(iter(DataLoader(data, 64, shuffle=True)))
    return batch


keep: list[object] = []
"""What a run would go on using."""
WAYS: dict[str, Callable[[Path], Tensor]] = {
    "vireid": first_batch_of_vireid,
    "np.load": first_batch_of_npy,
}


def print_start(way: str, folder: Path) -> None:
    """In a process of its own."""
    before, start, processor = resident(), time.perf_counter(), time.process_time()
    batch = WAYS[way](folder)
    seconds, spent = time.perf_counter() - start, time.process_time() - processor
    assert batch.shape == (64, 3, HEIGHT, WIDTH)
    own, mapped = resident()
    figures = (own - before[0], mapped - before[1], own)
    print(" | ".join([f"{seconds:.2f}", f"{spent:.2f}", *(f"{mb:,.0f}" for mb in figures)]))


def resident() -> tuple[float, float]:
    """Megabytes of memory of this process: its own, and of mapped files."""
    status = Path("/proc/self/status").read_text()
    fields = dict(line.split(":") for line in status.splitlines() if "Rss" in line)
    own, files = (float(fields[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))
    return own, files


def forget(folder: Path) -> None:
    """Have the pictures read from the disk again."""
    for path in (*folder.glob("packs/*/pictures.u8"), folder / "train.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rows(folder: Path) -> list[str]:
    found = []
    for way in WAYS:
        for state in ("cold", "warm"):
            if state == "cold":
                forget(folder)
            command = [sys.executable, __file__, "--start", way, str(folder)]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            found.append(f"| {way} | {state} | {told.strip()} |")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=34_000)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS}")
    parser.add_argument("--start", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.start:
        way, folder = asked.start
        return print_start(way, Path(folder))
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["VIREID_CACHE"] = f"{temporary}/cache"
        prepare(Path(temporary), asked.pictures)
        table = rows(Path(temporary))
    report = f"""# Training start

{__doc__}
{asked.pictures:,} pictures, load of the machine {os.getloadavg()[1]:.1f}; memory in MB.

| | | seconds to the first batch | of processor time | its own memory | mapped pages | own, with \
the libraries |
|---|---|---|---|---|---|---|
{chr(10).join(table)}
"""
    print(report)
    if asked.write:
        RESULTS.write_text(report)
    return None


if __name__ == "__main__":
    main()
