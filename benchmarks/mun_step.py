"""A training step of MUN beside one of AGW at equal people x images: time and memory.

    python benchmarks/mun_step.py --write

Forward, losses, backward and optimizer on random pictures: in float32 and one thread on a
processor, with bfloat16 passes on a CUDA device. On a processor seconds are those of the process,
not of the clock, so that other work on the machine counts little, and every row is a process of its
own. Memory is the most that a row holds, less what it held before the first step.
"""

import argparse
import gc
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from vireid import methods
from vireid.batches import PairedBatch
from vireid.method import Method, Stage

GPU = torch.cuda.is_available()
RESULTS = Path(__file__).parent / "results" / f"mun_step{'_cuda' if GPU else ''}.md"
DEVICE = torch.device("cuda" if GPU else "cpu")
R50 = {"trunk": "resnet50"}
SMALL = {"trunk": "resnet10t", "width": 0.5}
SIZES: dict[str, tuple[int, int, int, int, dict[str, Any]]] = {
    "ResNet-50, 288 x 144": (288, 144, *((8, 4) if GPU else (2, 2)), R50),
    "ResNet-10 of half the width, 128 x 64": (128, 64, 16, 4, SMALL),
}
"""Rows and columns of a picture, people, images of each, settings."""
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "AGW": ("agw", {}),
    "MUN": ("mun", {}),
    "MUN, generator_stride 1": ("mun", {"generator_stride": 1}),
    "MUN, generator_stride 4": ("mun", {"generator_stride": 4}),
    "MUN, stem level": ("mun", {"aux_level": "stem"}),
}


NO_DATA: Any = SimpleNamespace(num_identities=100, paired=lambda *_: None)
"""Steps here are given their batch."""


def build(size: str, row: str) -> tuple[Method, Stage[Any]]:
    name, settings = ROWS[row]
    kind = methods.find(name)
    common = {**SIZES[size][4], "pretrained": False, "non_local": False}
    torch.manual_seed(0)
    method = kind(kind.Config(**common, **settings), NO_DATA.num_identities).to(DEVICE)
    (stage,) = method.stages(NO_DATA)
    stage.thaw(method)
    return method, stage


def batch_of(size: str) -> PairedBatch:
    height, width, people, images_each, _ = SIZES[size]
    shape = (people * images_each, 3, height, width)
    identities = torch.arange(people).repeat_interleave(images_each)
    return PairedBatch(torch.rand(shape), torch.rand(shape), identities).to(DEVICE)


def step(stage: Stage[Any], batch: PairedBatch) -> float:
    """Seconds that it took."""
    began = clock()
    stage.optimizer.zero_grad()
    with torch.autocast(DEVICE.type, torch.bfloat16, enabled=GPU):
        losses = stage.losses(batch, 0)
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    stage.optimizer.step()
    return clock() - began


def clock() -> float:
    if GPU:
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def held() -> float:
    """Most memory so far, in MiB."""
    if GPU:
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def measure(size: str, row: str, steps: int) -> dict[str, Any]:
    """What one row takes."""
    torch.set_num_threads(1)
    _, stage = build(size, row)
    batch = batch_of(size)
    before = held()
    unread = 5 if GPU else 1
    seconds = [step(stage, batch) for _ in range(steps + unread)][unread:]
    return {"seconds": seconds, "memory": held() - before}


def measured(size: str, row: str, steps: int) -> dict[str, Any]:
    if GPU:
        gc.collect()
        torch.cuda.reset_peak_memory_stats()
        return measure(size, row, steps)
    command = [sys.executable, __file__, "--measure", size, row, "--steps", str(steps)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def table(size: str, steps: int) -> str:
    found = {row: measured(size, row, steps) for row in ROWS}
    people, images_each = SIZES[size][2:4]
    lines = [
        f"{size}, {people} people x {images_each} images of either spectrum;",
        f"median of {steps} steps (fastest to slowest).\n",
        "| | milliseconds a step | of AGW's | memory, MiB | of AGW's |\n|---|---|---|---|---|",
    ]
    agw = found["AGW"]
    for row, of_row in found.items():
        took = [1e3 * seconds for seconds in of_row["seconds"]]
        middle = statistics.median(took)
        lines.append(
            f"| {row} | {middle:,.0f} ({min(took):,.0f} to {max(took):,.0f}) "
            f"| {middle / 1e3 / statistics.median(agw['seconds']):.2f} "
            f"| {of_row['memory']:,.0f} | {of_row['memory'] / agw['memory']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--measure", nargs=2, metavar=("SIZE", "ROW"))
    told = parser.parse_args()
    if told.measure:
        size, row = told.measure
        print(json.dumps(measure(size, row, told.steps)))
        return
    where = torch.cuda.get_device_name() if GPU else "one thread of a processor"
    parts = [
        "# A step of MUN",
        (__doc__ or "").strip(),
        f"Measured on {where}, torch {torch.__version__}.",
    ]
    report = "\n\n".join([*parts, *(table(size, told.steps) for size in SIZES)]) + "\n"
    print(report)
    if told.write:
        RESULTS.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
