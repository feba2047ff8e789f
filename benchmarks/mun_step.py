"""A training step of MUN beside one of AGW at equal people x images: time and memory.

    python benchmarks/mun_step.py --write

Forward, losses, backward and optimizer on random pictures: in float32 and one thread on a
processor, with bfloat16 passes on a CUDA device. On a processor seconds are those of the process,
not of the clock, so that other work on the machine counts little, and every row is a process of its
own. Memory is the most that a row holds, less what it held before the first step.
"""

import argparse
import json
import statistics
from functools import partial
from typing import Any

import torch

import _steps
from _steps import DEVICE, GPU, Found
from vireid import methods
from vireid.method import Stage

RESULTS = _steps.results("mun_step")
IDENTITIES = 100
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


def build(size: str, row: str) -> Stage[Any]:
    name, settings = ROWS[row]
    kind = methods.find(name)
    common = {**SIZES[size][4], "pretrained": False, "non_local": False}
    torch.manual_seed(0)
    method = kind(kind.Config(**common, **settings), IDENTITIES).to(DEVICE)
    (stage,) = method.stages(_steps.no_data(IDENTITIES))
    stage.thaw(method)
    return stage


def measure(size: str, row: str, steps: int) -> Found:
    """What one row takes."""
    torch.set_num_threads(1)
    stage = build(size, row)
    height, width, people, images_each, _ = SIZES[size]
    batch = _steps.batch_of(people, images_each, height, width)
    before = _steps.held()
    unread = 5 if GPU else 1
    step = partial(_steps.learn, stage, batch)
    seconds = [_steps.clocked(step) for _ in range(steps + unread)][unread:]
    return {"seconds": seconds, "memory": _steps.held() - before}


def of_row(size: str, row: str, steps: int) -> Found:
    again = ("--measure", size, row, "--steps", str(steps))
    return _steps.measured(partial(measure, size, row, steps), *again)


def table(size: str, steps: int) -> str:
    found = {row: of_row(size, row, steps) for row in ROWS}
    people, images_each = SIZES[size][2:4]
    lines = [
        f"{size}, {people} people x {images_each} images of either spectrum;",
        f"median of {steps} steps (fastest to slowest).\n",
        "| | milliseconds a step | of AGW's | memory, MiB | of AGW's |\n|---|---|---|---|---|",
    ]
    agw = found["AGW"]
    for row, f in found.items():
        took = [1e3 * seconds for seconds in f["seconds"]]
        middle = statistics.median(took)
        lines.append(
            f"| {row} | {middle:,.0f} ({min(took):,.0f} to {max(took):,.0f}) "
            f"| {middle / 1e3 / statistics.median(agw['seconds']):.2f} "
            f"| {f['memory']:,.0f} | {f['memory'] / agw['memory']:.2f} |"
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
    text = _steps.report("A step of MUN", __doc__, [table(size, told.steps) for size in SIZES])
    _steps.publish(text, RESULTS, write=told.write)


if __name__ == "__main__":
    main()
