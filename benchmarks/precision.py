"""A training step in float32 beside one with bfloat16 passes: pictures a second and memory.

    python benchmarks/precision.py --write

Forward, losses, backward and optimizer on random pictures, for two trunks with the settings of
their recipes: the narrow ResNet-10 of the shipped model (`recipes/agw_small.toml`) and the
ResNet-50 of `recipes/agw_sysu.toml`, with the recipe's own batch on a CUDA device, and a smaller
one of ResNet-50 on a processor. There it is one thread, seconds are those of the process, not of
the clock, so that other work on the machine counts little, and every row is a process of its own.
Precisions take turns; a round is the median of its steps. The gain is the median, over the rounds,
of one round's seconds in float32 by those in bfloat16. Memory is the most that a row holds, less
what it held before the first step.
"""

import argparse
import dataclasses
import json
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import torch

import _steps
from _steps import DEVICE, GPU, Found
from vireid import methods, recipe
from vireid.method import Stage

RESULTS = _steps.results("precision")
RECIPES = Path(__file__).parent.parent / "recipes"
IDENTITIES = 395
SIZES: dict[str, tuple[str, int, int]] = {
    "ResNet-10 of half the width": ("agw_small", 16, 4),
    "ResNet-50": ("agw_sysu", *((8, 4) if GPU else (4, 2))),
}
"""A recipe, people in a batch and images of each, in either spectrum."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
STEPS, UNREAD, ROUNDS = (40, 10, 5) if GPU else (3, 1, 5)
"""Steps that are counted, those before them that are not; and how often a row is measured."""
ABOUT_BFLOAT16 = ("avx512_f", "avx512_bf16", "amx_bf16", "avx10_2")
"""What a processor of x86 may say of how it computes in bfloat16, by torch's names."""


def read(size: str) -> recipe.Recipe:
    return recipe.read(RECIPES / f"{SIZES[size][0]}.toml")


def build(size: str) -> Stage[Any]:
    asked = read(size)
    settings = dataclasses.replace(asked.settings, pretrained=False)
    torch.manual_seed(0)
    method = methods.find(asked.method)(settings, IDENTITIES).to(DEVICE)
    (stage,) = method.stages(_steps.no_data(IDENTITIES))
    stage.thaw(method)
    return stage


def measure(size: str, precision: str) -> Found:
    """What one row takes, in one round."""
    torch.set_num_threads(1)
    stage, data = build(size), read(size).data
    batch = _steps.batch_of(*SIZES[size][1:], data.height, data.width)
    before = _steps.held()
    step = partial(_steps.learn, stage, batch, DTYPES[precision])
    seconds = [_steps.clocked(step) for _ in range(UNREAD + STEPS)][UNREAD:]
    return {"seconds": statistics.median(seconds), "memory": _steps.held() - before}


def of_row(size: str, precision: str) -> Found:
    return _steps.measured(partial(measure, size, precision), "--measure", size, precision)


def table(size: str) -> str:
    rounds = [{row: of_row(size, row) for row in DTYPES} for _ in range(ROUNDS)]
    _, people, images_each = SIZES[size]
    data = read(size).data
    gain = [of["float32"]["seconds"] / of["bfloat16"]["seconds"] for of in rounds]
    lines = [
        f"AGW on {size}, {data.height} x {data.width}, {people} people x {images_each} images of "
        f"either spectrum; median of {ROUNDS} rounds (slowest to fastest).\n",
        "| | pictures a second | memory, MiB |\n|---|---|---|",
    ]
    for row in DTYPES:
        rates = [2 * people * images_each / of[row]["seconds"] for of in rounds]
        lines.append(
            f"| {row} | {statistics.median(rates):,.1f} ({min(rates):,.1f} to {max(rates):,.1f}) "
            f"| {statistics.median(of[row]['memory'] for of in rounds):,.0f} |"
        )
    lines.append(
        f"\nGain of bfloat16: {statistics.median(gain):.2f} ({min(gain):.2f} to {max(gain):.2f})."
    )
    return "\n".join(lines)


def processor() -> str:
    """Say what the processor is, and which of the flags concerned it has."""
    known = torch.cpu.get_capabilities()
    flags = ", ".join(f"{name} {'yes' if known.get(name) else 'no'}" for name in ABOUT_BFLOAT16)
    return f"The processor: {known.get('cpu_name', 'unknown')}; {flags}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--measure", nargs=2, metavar=("SIZE", "PRECISION"))
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
