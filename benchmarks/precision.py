"""A training step in float32, with bfloat16 passes, and compiled: pictures a second and memory.

    python benchmarks/precision.py --write

Forward, losses, backward and optimizer on random pictures, with the settings of recipes: the
narrow ResNet-10 of the shipped `small` (`agw_small`), the frozen trunk and the projection of the
shipped `stripes_learnt`, and the ResNet-50 of `agw_sysu`, with the recipe's own batch on a CUDA
device, and a smaller one of ResNet-50 on a processor. There it is one thread, seconds are those of
the process, not of the clock, so that other work on the machine counts little, and every row is a
process of its own. Rows take turns; a round is the median of its steps. What a row is times float32
is the median, over the rounds, of one round's seconds in float32 by those of the row. Memory is the
most that a row holds, less what it held before the first step. "Losses" says how far the loss of
one of the first fifty steps on one batch is from float32's, as a share of it, at most. "Compiled"
is `torch.compile` of forward and losses, without the time to compile. "AVX2 alone" is this
processor when torch and oneDNN are told to use nothing beyond AVX2, as on one without instructions
for bfloat16.
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
from vireid.training_data.batches import PairedBatch

RESULTS = _steps.results("precision")
IDENTITIES = 395
NARROW, PROJECTION, WIDE = "ResNet-10 of half the width", "a projection", "ResNet-50"
SIZES: dict[str, tuple[str, int, int]] = {
    NARROW: ("agw_small", 16, 4),
    PROJECTION: ("stripes_learnt", 16, 4),
    WIDE: ("agw_sysu", *((8, 4) if GPU else (4, 2))),
}
"""A recipe, people in a batch and images of each, in either spectrum."""
FLOAT32, BFLOAT16, ON_AVX2 = "float32", "bfloat16", "bfloat16, AVX2 alone"
COMPILED = ", compiled"
ROWS = {
    NARROW: (
        *(FLOAT32, BFLOAT16, FLOAT32 + COMPILED, BFLOAT16 + COMPILED),
        *(() if GPU else (ON_AVX2,)),
    ),
    PROJECTION: (FLOAT32, BFLOAT16),
    WIDE: (FLOAT32, BFLOAT16),
}
AVX2_ALONE = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
STEPS, UNREAD, ROUNDS = (40, 10, 5) if GPU else (3, 1, 5)
"""Steps that are counted, those before them that are not; and how often a row is measured."""
COMPARED = 50
"""Steps whose losses are compared."""
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
    stage, batch = prepared(size, row)
    before = _steps.held()
    step = partial(_steps.learn, stage, batch, dtype_of(row))
    seconds = [_steps.clocked(step) for _ in range(UNREAD + STEPS)][UNREAD:]
    return {"seconds": statistics.median(seconds), "memory": _steps.held() - before}


def prepared(size: str, row: str) -> tuple[Stage[Any], PairedBatch]:
    """The stage of a row, and a batch for it."""
    stage, data = build(size), read(size).data
    if row.endswith(COMPILED):
        stage = dataclasses.replace(stage, losses=torch.compile(stage.losses))
    return stage, _steps.batch_of(*SIZES[size][1:], data.height, data.width)


def dtype_of(row: str) -> torch.dtype:
    return torch.float32 if row.startswith(FLOAT32) else torch.bfloat16


def losses(size: str, row: str) -> Found:
    """The sum of losses of the first steps."""
    torch.set_num_threads(1)
    stage, batch = prepared(size, row)
    return {"losses": [float(_steps.learn(stage, batch, dtype_of(row))) for _ in range(COMPARED)]}


def of_row(size: str, row: str) -> Found:
    return _steps.measured(partial(measure, size, row), "--measure", size, row)


def table(size: str) -> str:
    rounds = [{row: of_row(size, row) for row in ROWS[size]} for _ in range(ROUNDS)]
    apart = {row: how_far(size, row) for row in ROWS[size] if size != WIDE}
    _, people, images_each = SIZES[size]
    data = read(size).data
    lines = [
        f"AGW on {size}, {data.height} x {data.width}, {people} people x {images_each} images of "
        f"either spectrum; median of {ROUNDS} rounds (slowest to fastest).\n",
        "| | pictures a second | times float32 | memory, MiB | losses |\n|---|---|---|---|---|",
    ]
    for row in ROWS[size]:
        rates = [2 * people * images_each / of[row]["seconds"] for of in rounds]
        gains = [of[FLOAT32]["seconds"] / of[row]["seconds"] for of in rounds]
        memory = statistics.median(of[row]["memory"] for of in rounds)
        figures = f"{spread(rates, 1)} | {spread(gains, 2)} | {memory:,.0f}"
        lines.append(f"| {row} | {figures} | {apart.get(row, '')} |")
    return "\n".join(lines)


def how_far(size: str, row: str) -> str:
    """How far losses of a row are from those in float32."""
    if row in (FLOAT32, ON_AVX2):
        return ""
    exact, found = (
        _steps.measured(partial(losses, size, each), "--losses", size, each)["losses"]
        for each in (FLOAT32, row)
    )
    return f"{max(abs(a - b) / abs(a) for a, b in zip(exact, found, strict=True)):.0e}"


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
    parser.add_argument("--losses", nargs=2, metavar=("SIZE", "ROW"))
    told = parser.parse_args()
    for what, of in ((measure, told.measure), (losses, told.losses)):
        if of:
            print(json.dumps(what(*of)))
            return
    tables = [processor(), *map(table, SIZES)]
    _steps.publish(
        _steps.report("A step in either precision", __doc__, tables), RESULTS, write=told.write
    )


if __name__ == "__main__":
    main()
