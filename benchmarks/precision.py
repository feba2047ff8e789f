"""A training step in float32 beside one with bfloat16 passes: pictures a second and memory.

    python benchmarks/precision.py --write

Forward, losses, backward and optimizer on random pictures, for two trunks with the settings of
their recipes: the narrow ResNet-10 of the shipped model (`agw_small`) and the
ResNet-50 of `agw_sysu`, with the recipe's own batch on a CUDA device, and a smaller
one of ResNet-50 on a processor. There it is one thread, seconds are those of the process, not of
the clock, so that other work on the machine counts little, and every row is a process of its own.
Rows take turns; a round is the median of its steps. What a row is times float32 is the median, over
the rounds, of one round's seconds in float32 by those of the row. Memory is the most that a row
holds, less what it held before the first step. "AVX2 alone" is this processor when torch and oneDNN
are told to use nothing beyond AVX2, as on one without instructions for bfloat16.
"""

import argparse
import dataclasses
import json
import os
import statistics
from functools import partial
from typing import Any

import torch

import _steps
from _steps import DEVICE, GPU, Found
from vireid import methods
from vireid import recipes as shipped
from vireid.method import Stage
from vireid.recipes import recipe

RESULTS = _steps.results("precision")
IDENTITIES = 395
NARROW, WIDE = "ResNet-10 of half the width", "ResNet-50"
SIZES: dict[str, tuple[str, int, int]] = {
    NARROW: ("agw_small", 16, 4),
    WIDE: ("agw_sysu", *((8, 4) if GPU else (4, 2))),
}
"""A recipe, people in a batch and images of each, in either spectrum."""
FLOAT32, BFLOAT16, ON_AVX2 = "float32", "bfloat16", "bfloat16, AVX2 alone"
ROWS = {NARROW: (FLOAT32, BFLOAT16, *(() if GPU else (ON_AVX2,))), WIDE: (FLOAT32, BFLOAT16)}
AVX2_ALONE = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
STEPS, UNREAD, ROUNDS = (40, 10, 5) if GPU else (3, 1, 5)
"""Steps that are counted, those before them that are not; and how often a row is measured."""
ABOUT_BFLOAT16 = ("avx512_f", "avx512_bf16", "amx_bf16", "avx10_2")
"""What a processor of x86 may say of how it computes in bfloat16, by torch's names."""


def read(size: str) -> recipe.Recipe:
    return recipe.read(shipped.find(SIZES[size][0]))


def build(size: str) -> Stage[Any]:
    asked = read(size)
    settings = dataclasses.replace(asked.settings, pretrained=False)
    torch.manual_seed(0)
    method = methods.find(asked.method)(settings, IDENTITIES).to(DEVICE)
    (stage,) = method.stages(_steps.no_data(IDENTITIES))
    stage.thaw(method)
    return stage


def measure(size: str, row: str) -> Found:
    """What one row takes, in one round."""
    if row == ON_AVX2:
        os.environ.update(AVX2_ALONE)  # in time: nothing has been computed yet
    torch.set_num_threads(1)
    stage, data = build(size), read(size).data
    batch = _steps.batch_of(*SIZES[size][1:], data.height, data.width)
    before = _steps.held()
    dtype = torch.float32 if row == FLOAT32 else torch.bfloat16
    step = partial(_steps.learn, stage, batch, dtype)
    seconds = [_steps.clocked(step) for _ in range(UNREAD + STEPS)][UNREAD:]
    return {"seconds": statistics.median(seconds), "memory": _steps.held() - before}


def of_row(size: str, row: str) -> Found:
    return _steps.measured(partial(measure, size, row), "--measure", size, row)


def table(size: str) -> str:
    rounds = [{row: of_row(size, row) for row in ROWS[size]} for _ in range(ROUNDS)]
    _, people, images_each = SIZES[size]
    data = read(size).data
    lines = [
        f"AGW on {size}, {data.height} x {data.width}, {people} people x {images_each} images of "
        f"either spectrum; median of {ROUNDS} rounds (slowest to fastest).\n",
        "| | pictures a second | times float32 | memory, MiB |\n|---|---|---|---|",
    ]
    for row in ROWS[size]:
        rates = [2 * people * images_each / of[row]["seconds"] for of in rounds]
        gains = [of[FLOAT32]["seconds"] / of[row]["seconds"] for of in rounds]
        memory = statistics.median(of[row]["memory"] for of in rounds)
        lines.append(f"| {row} | {spread(rates, 1)} | {spread(gains, 2)} | {memory:,.0f} |")
    return "\n".join(lines)


def spread(found: list[float], digits: int) -> str:
    """Their median, and the least and the most of them."""
    low, middle, high = (
        f"{each:,.{digits}f}" for each in (min(found), statistics.median(found), max(found))
    )
    return f"{middle} ({low} to {high})"


def processor() -> str:
    """Say what the processor is, and which of the flags concerned it has."""
    known = torch.cpu.get_capabilities()
    flags = ", ".join(f"{name} {'yes' if known.get(name) else 'no'}" for name in ABOUT_BFLOAT16)
    return f"The processor: {known.get('cpu_name', 'unknown')}; {flags}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--measure", nargs=2, metavar=("SIZE", "ROW"))
    told = parser.parse_args()
    if told.measure:
        print(json.dumps(measure(*told.measure)))
        return
    tables = [processor(), *map(table, SIZES)]
    _steps.publish(
        _steps.report("A step in either precision", __doc__, tables), RESULTS, write=told.write
    )


if __name__ == "__main__":
    main()
