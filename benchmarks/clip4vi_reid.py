"""What the stages of CLIP4VI-ReID cost at true size, and whether mixed precision holds.

    python benchmarks/clip4vi_reid.py --write

CLIP's RN50 and ViT-B/16 with random weights, pictures of 288 x 144, the 395 people that SYSU-MM01
has to learn from. On a CUDA device if there is one, with bfloat16 passes where training has them;
else in float32 on one thread of a processor, where seconds are those of the process, not of the
clock, so that other work on the machine counts little, and a part is a process of its own. Memory
is the most that it has held, less what it held before the first step. The report is written anew
after every part.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import torch

import _steps
from _steps import DEVICE, GPU, Found
from vireid.learning.loop import fit
from vireid.methods.clip4vi_reid import CLIP4VIReID
from vireid.models import export
from vireid.records import Modality
from vireid.training_data.batches import ImageBatch, PairedBatch

RESULTS = _steps.results("clip4vi_reid")
TIMES = 20 if GPU else 2
"""Every figure is a mean of so many, after as many that are not counted on a GPU."""
HEIGHT, WIDTH, PEOPLE = 288, 144, 395
SIZES: dict[str, dict[str, Any]] = {
    "RN50": {},
    "ViT-B-16": {"hsa_learning_rate": 5e-6, "ife_learning_rate": 5e-6, "pixels": "half"},
}
STEPS = 2000
STAGE_EPOCHS = (10, 10, 20)
EMBEDDED = 256 if GPU else 8
"""Pictures together."""
GENERATED = 20
"""People, whose pictures are made by chance."""
SMALL = {"picture": (64, 32), "ife_batch": 16, "people": 4, "images_each": 2, "tsg_batch": 32}
MIXED: dict[str, dict[str, Any]] = (
    {clip: {} for clip in SIZES} if GPU else {"tiny RN": SMALL, "tiny ViT": SMALL}
)
"""Settings of runs of all stages."""
CHANCE = f"{'true sizes' if GPU else 'tiny towers, pictures of 64 x 32'}, made by chance"


def build(clip: str, identities: int = PEOPLE, **settings: Any) -> CLIP4VIReID:
    torch.manual_seed(0)
    config = CLIP4VIReID.Config(clip=clip, pretrained=False, **{**SIZES.get(clip, {}), **settings})
    return CLIP4VIReID(config, identities).to(DEVICE)


def stage_of(method: CLIP4VIReID, name: str) -> Any:
    stage = next(stage for stage in method.stages(_steps.no_data(PEOPLE)) if stage.name == name)
    stage.thaw(method)
    return stage


def usually(*works: Callable[[], Any]) -> list[float]:
    """Seconds of each, on average; they take turns."""
    if GPU:
        for _ in range(TIMES):
            [work() for work in works]
    found = [[_steps.clocked(work) for work in works] for _ in range(TIMES)]
    return [mean(of_one) for of_one in zip(*found, strict=True)]


def prompts(clip: str) -> Found:
    """A batch of the first stage: what learning from it takes, and what encoding its pictures."""
    from vireid.methods.clip4vi_reid import _Features

    method = build(clip)
    stage = stage_of(method, "TSG")
    rows = method.config.tsg_batch
    few = rows if GPU else 4
    features = torch.randn(rows, method.images.projected_dim, device=DEVICE)
    people = torch.randint(PEOPLE, (rows,), device=DEVICE)
    batch = _Features(features, people, torch.zeros_like(people))
    pictures = torch.rand(few, 3, HEIGHT, WIDTH, device=DEVICE)

    @torch.no_grad()
    def encode() -> None:
        method.images({Modality.VISIBLE: pictures})

    def fetch() -> None:
        batch.rows(torch.randperm(rows).to(DEVICE))

    _steps.learn(stage, batch)
    encode()
    learnt, encoded = usually(lambda: _steps.learn(stage, batch), encode)
    return {
        "learn": learnt,
        "encode": encoded * rows / few,
        "fetch": sum(_steps.clocked(fetch) for _ in range(1000)) / 1000,
    }


def refine(clip: str) -> Found:
    """Steps of the last stage, and the part of them that reads all descriptions."""
    method = build(clip)
    stage = stage_of(method, "HSA")
    batch = _steps.batch_of(8, 4, HEIGHT, WIDTH)
    few = torch.unique(batch.identities)

    def read(reads: Callable[[], torch.Tensor]) -> None:
        with torch.autocast(DEVICE.type, _steps.DTYPE, enabled=GPU):
            said = reads().sum()
        said.backward()  # type: ignore[no-untyped-call]

    before = _steps.held()
    step, everyone, some = usually(
        lambda: _steps.learn(stage, batch),
        lambda: read(lambda: method.prompts.read_all(method.text)),
        lambda: read(lambda: method.prompts.read_some(method.text, few)),
    )
    return {"step": step, "all": everyone, "some": some, "memory": _steps.held() - before}


def use(clip: str) -> Found:
    """What embedding needs, and what it does not."""
    method = build(clip)
    parameters = sum(p.numel() for p in method.parameters())
    began, written = 0.0, 0
    if not GPU:
        with tempfile.TemporaryDirectory() as scratch:
            began = _steps.clocked(
                lambda: export.write_graphs(method, HEIGHT, WIDTH, Path(scratch))
            )
            written = sum(path.stat().st_size for path in Path(scratch).iterdir())
    pictures = torch.rand(EMBEDDED, 3, HEIGHT, WIDTH, device=DEVICE)
    method.eval()
    with torch.inference_mode():
        method.embed(pictures, Modality.VISIBLE)
        (took,) = usually(lambda: method.embed(pictures, Modality.VISIBLE))
    whole = sum(v.numel() * v.element_size() for v in method.state_dict().values())
    text = sum(p.numel() for p in method.text.parameters())
    return {
        "parameters": parameters,
        "text": text,
        "whole": whole,
        "exported": written,
        "export seconds": began,
        "seconds": took / len(pictures),
    }


@dataclass(frozen=True)
class Generated:
    """People who are random blocks of colour, grey in infrared, and noise on every picture."""

    num_identities: int = GENERATED

    def paired(self, people: int, images_each: int) -> Any:
        """Everything random, but who they are."""

        def batch(chance: torch.Generator) -> PairedBatch:
            chosen = torch.randperm(GENERATED, generator=chance)[:people]
            who = chosen.repeat_interleave(images_each)
            visible, infrared = (seen(who, modality, chance) for modality in Modality)
            return PairedBatch(visible, infrared, who)

        return lambda epoch: Epoch(batch, epoch)

    def single(self, modality: Modality, size: int) -> Any:
        """Likewise."""

        def batch(chance: torch.Generator) -> ImageBatch:
            who = torch.randint(GENERATED, (size,), generator=chance)
            return ImageBatch(seen(who, modality, chance), who)

        return lambda epoch: Epoch(batch, epoch)

    def every(self, modality: Modality, size: int) -> Any:
        """The first epoch, always the same."""
        return self.single(modality, size)(0)

    def unseen(self) -> None:
        """Nobody is left out."""


@dataclass(frozen=True)
class Epoch:
    """Every step has a chance of its own."""

    batch: Callable[[torch.Generator], Any]
    number: int

    def __len__(self) -> int:
        return STEPS // sum(STAGE_EPOCHS)

    def __iter__(self) -> Iterator[Any]:
        return self.after(0)

    def after(self, steps: int) -> Iterator[Any]:
        """Without the first."""
        for step in range(steps, len(self)):
            yield self.batch(torch.Generator().manual_seed(1000 * self.number + step))


def seen(who: torch.Tensor, modality: Modality, chance: torch.Generator) -> torch.Tensor:
    blocks = torch.rand(GENERATED, 3, 8, 4, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    if modality is Modality.INFRARED:
        blocks = 1 - blocks.mean(dim=1, keepdim=True).expand_as(blocks)
    size = 36 if GPU else 8
    pictures = blocks[who].repeat_interleave(size, dim=2).repeat_interleave(size, dim=3)
    chance = torch.Generator(DEVICE).manual_seed(chance.initial_seed())
    noise = torch.randn(pictures.shape, generator=chance, device=DEVICE)
    return (pictures + 0.1 * noise).clamp(0, 1)


def mixed(clip: str) -> Found:
    """The run ends with an error at the first loss that is no finite number."""
    tsg, ife, hsa = STAGE_EPOCHS
    settings = {"tsg_epochs": tsg, "ife_epochs": ife, "hsa_epochs": hsa}
    method = build(clip, GENERATED, **settings, **MIXED[clip])
    with tempfile.TemporaryDirectory() as scratch:
        seconds = _steps.clocked(
            lambda: fit(method, Generated(), Path(scratch), precision="bfloat16")  # type: ignore[arg-type]
        )
        lines = (Path(scratch) / "losses.jsonl").read_text().splitlines()
        figures = (Path(scratch) / "measures.jsonl").read_text().splitlines()
    finite = all(p.isfinite().all() for p in method.parameters())
    assert len(lines) == sum(STAGE_EPOCHS)
    assert finite
    return {"seconds": seconds, "figures": [json.loads(line)["figures"] for line in figures]}


PARTS: dict[str, Callable[[str], Found]] = {
    "prompts": prompts,
    "mixed": mixed,
    "use": use,
    "refine": refine,
}


def of_prompts(found: dict[str, Found]) -> str:
    lines = [
        "## First stage: features computed once, or pictures encoded in every epoch",
        "Milliseconds for a batch of 64 as the stage learns from it (descriptions read, losses, "
        "gradient, optimizer), and for its image features: encoded anew by the image tower, in "
        f"float32{'' if GPU else ' (of 4 pictures, times 16)'}, or taken from those computed once. "
        f"Reading the files is not counted. Mean of {TIMES}, in turn.",
        "| | learning | features, encoded | features, remembered | features, times faster "
        "| whole epoch, times faster |\n|---|---|---|---|---|---|",
    ]
    for clip, f in found.items():
        again, kept = f["learn"] + f["encode"], f["learn"] + f["fetch"]
        lines.append(
            f"| {clip} | {1e3 * f['learn']:,.0f} | {1e3 * f['encode']:,.0f} "
            f"| {1e3 * f['fetch']:.2f} | {f['encode'] / f['fetch']:,.0f} | {again / kept:.1f} |"
        )
    return joined(lines)


def of_refine(found: dict[str, Found]) -> str:
    lines = [
        f"## Last stage: a step of 8 people x (4 x 2 + 4) pictures and {PEOPLE} descriptions",
        f"The step, and descriptions read with their gradient, alone; mean of {TIMES}, in turn. "
        "Pictures are counted with both views of the visible ones.",
        "| | step, ms | pictures a second | memory, MiB | all descriptions, ms | share of the step "
        "| those of the batch, ms | share of the step |\n|---|---|---|---|---|---|---|---|",
    ]
    for clip, f in found.items():
        without = f["step"] - f["all"]
        lines.append(
            f"| {clip} | {1e3 * f['step']:,.0f} | {96 / f['step']:,.1f} | {f['memory']:,.0f} "
            f"| {1e3 * f['all']:,.0f} | {f['all'] / f['step']:.0%} | {1e3 * f['some']:,.0f} "
            f"| {f['some'] / (without + f['some']):.1%} |"
        )
    return joined(lines)


def of_use(found: dict[str, Found]) -> str:
    lines = [
        "## In use: the image tower alone",
        f"A picture embedded in a batch of {EMBEDDED} by torch, in float32.",
        "| | parameters in training | of these the text tower | weights in training, MB "
        "| pictures a second |\n|---|---|---|---|---|",
    ]
    lines += [
        f"| {clip} | {f['parameters'] / 1e6:.0f} M | {f['text'] / 1e6:.0f} M "
        f"| {f['whole'] / 1e6:.0f} | {1 / f['seconds']:,.1f} |"
        for clip, f in found.items()
    ]
    if GPU:
        return joined(lines)
    exported = [
        f"{clip} takes {f['export seconds']:.0f} seconds and {f['exported'] / 1e6:.0f} MB"
        for clip, f in found.items()
    ]
    return joined(lines) + f"\n\nExported to ONNX, both spectra, {' and '.join(exported)}."


def of_mixed(found: dict[str, Found]) -> str:
    lines = [
        f"## Mixed precision: {STEPS:,} steps",
        f"Forward passes in bfloat16, {CHANCE}, of {GENERATED} people: "
        f"{', '.join(map(str, STAGE_EPOCHS))} epochs of {STEPS // sum(STAGE_EPOCHS)} steps of the "
        "three stages. A run ends with an error at the first loss that is not finite; these came "
        "to their end, with finite weights. float16 was not run: vireid trains in float32 or "
        "bfloat16.",
        "| | seconds | infrared to text, before | after TSG | after IFE | after HSA "
        "|\n|---|---|---|---|---|---|",
    ]
    for clip, f in found.items():
        figures = " | ".join(f"{each['infrared to text']:.0%}" for each in f["figures"])
        lines.append(f"| {clip} | {f['seconds']:.0f} | {figures} |")
    return joined(lines)


def joined(lines: list[str]) -> str:
    *told, head = lines[:3]
    return "\n\n".join([*told, "\n".join([head, *lines[3:]])])


TABLES = {"prompts": of_prompts, "refine": of_refine, "use": of_use, "mixed": of_mixed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=[*PARTS])
    parser.add_argument("--measure", nargs=2, metavar=("PART", "CLIP"))
    told = parser.parse_args()
    if told.measure:
        torch.set_num_threads(1)
        part, clip = told.measure
        print(json.dumps(PARTS[part](clip)))
        return
    found: dict[str, dict[str, Found]] = {}
    text = ""
    for part in told.parts:
        for clip in MIXED if part == "mixed" else SIZES:
            took = _steps.measured(partial(PARTS[part], clip), "--measure", part, clip)
            found.setdefault(part, {})[clip] = took
            tables = [table(found[name]) for name, table in TABLES.items() if name in found]
            text = _steps.report("CLIP4VI-ReID", __doc__, tables)
            if told.write:
                RESULTS.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
