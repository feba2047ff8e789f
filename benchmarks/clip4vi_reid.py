"""What the stages of CLIP4VI-ReID cost at true size, and whether mixed precision holds.

    python benchmarks/clip4vi_reid.py --write

CLIP's RN50 and ViT-B/16 with random weights, pictures of 288 x 144, the 395 people that SYSU-MM01
has to learn from. One thread of a processor; seconds are those of the process, not of the clock, so
that other work on the machine counts little. Each part is a process of its own; memory is the most
that it has held, less what it held before the first step. The report is written anew after every
part.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from types import SimpleNamespace
from typing import Any

import torch

from vireid import export
from vireid.batches import ImageBatch, PairedBatch
from vireid.methods.clip4vi_reid import CLIP4VIReID
from vireid.records import Modality
from vireid.training import fit

RESULTS = Path(__file__).parent / "results" / "clip4vi_reid.md"
HEIGHT, WIDTH, PEOPLE = 288, 144, 395
SIZES: dict[str, dict[str, Any]] = {
    "RN50": {},
    "ViT-B-16": {"hsa_learning_rate": 5e-6, "pixels": "half"},
}
STEPS = 2000
STAGE_EPOCHS = (10, 10, 20)
GENERATED = 20
"""People, whose pictures are made by chance."""


def build(clip: str, **settings: Any) -> CLIP4VIReID:
    torch.manual_seed(0)
    config = CLIP4VIReID.Config(clip=clip, pretrained=False, **{**SIZES.get(clip, {}), **settings})
    return CLIP4VIReID(config, PEOPLE if clip in SIZES else GENERATED)


NO_DATA: Any = SimpleNamespace(
    num_identities=PEOPLE,
    every=lambda *_: [],
    single=lambda *_: None,
    paired=lambda *_: None,
)
"""Steps here are given their batch."""


def stage_of(method: CLIP4VIReID, name: str) -> Any:
    stage = next(stage for stage in method.stages(NO_DATA) if stage.name == name)
    stage.thaw(method)
    return stage


def clocked(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def held() -> float:
    """Most memory so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def learn(stage: Any, batch: Any) -> None:
    stage.optimizer.zero_grad()
    torch.stack(list(stage.losses(batch, 0).values())).sum().backward()  # type: ignore[no-untyped-call]
    stage.optimizer.step()


def prompts(clip: str) -> dict[str, Any]:
    """A batch of the first stage: what learning from it takes, and what encoding its pictures."""
    from vireid.methods.clip4vi_reid import _Features

    method = build(clip)
    stage = stage_of(method, "TSG")
    rows, few = method.config.tsg_batch, 4
    features = torch.randn(rows, method.images.projected_dim)
    people = torch.randint(PEOPLE, (rows,))
    batch = _Features(features, people, torch.zeros_like(people))
    pictures = torch.rand(few, 3, HEIGHT, WIDTH)

    @torch.no_grad()
    def encode() -> None:
        method.images({Modality.VISIBLE: pictures})

    def fetch() -> None:
        batch.rows(torch.randperm(rows))

    learn(stage, batch)
    encode()
    found = [(clocked(lambda: learn(stage, batch)), clocked(encode)) for _ in range(2)]
    return {
        "learn": mean(learnt for learnt, _ in found),
        "encode": mean(encoded for _, encoded in found) * rows / few,
        "fetch": sum(clocked(fetch) for _ in range(1000)) / 1000,
    }


def refine(clip: str) -> dict[str, Any]:
    """Steps of the last stage, and the part of them that reads all descriptions."""
    method = build(clip)
    stage = stage_of(method, "HSA")
    people = torch.arange(8).repeat_interleave(4)
    shape = (len(people), 3, HEIGHT, WIDTH)
    batch = PairedBatch(torch.rand(shape), torch.rand(shape), people)

    def read(reads: Callable[[], torch.Tensor]) -> float:
        return clocked(lambda: reads().sum().backward())  # type: ignore[no-untyped-call]

    everyone = read(lambda: method.prompts.read_all(method.text))
    some = read(lambda: method.prompts.read_some(method.text, torch.unique(people)))
    before = held()
    step = clocked(lambda: learn(stage, batch))
    return {"step": step, "all": everyone, "some": some, "memory": held() - before}


def use(clip: str) -> dict[str, Any]:
    """What embedding needs, and what it does not."""
    method = build(clip)
    parameters = sum(p.numel() for p in method.parameters())
    with tempfile.TemporaryDirectory() as scratch:
        began = clocked(lambda: export.write_graphs(method, HEIGHT, WIDTH, Path(scratch)))
        written = sum(path.stat().st_size for path in Path(scratch).iterdir())
    pictures = torch.rand(8, 3, HEIGHT, WIDTH)
    method.eval()
    with torch.inference_mode():
        method.embed(pictures, Modality.VISIBLE)
        took = clocked(lambda: method.embed(pictures, Modality.VISIBLE)) / len(pictures)
    whole = sum(v.numel() * v.element_size() for v in method.state_dict().values())
    text = sum(p.numel() for p in method.text.parameters())
    return {
        "parameters": parameters,
        "text": text,
        "whole": whole,
        "exported": written,
        "export seconds": began,
        "seconds": took,
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
    blocks = torch.rand(GENERATED, 3, 8, 4, generator=torch.Generator().manual_seed(0))
    if modality is Modality.INFRARED:
        blocks = 1 - blocks.mean(dim=1, keepdim=True).expand_as(blocks)
    pictures = blocks[who].repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    noise = torch.randn(pictures.shape, generator=chance)
    return (pictures + 0.1 * noise).clamp(0, 1)


def mixed(clip: str) -> dict[str, Any]:
    """The run ends with an error at the first loss that is no finite number."""
    tsg, ife, hsa = STAGE_EPOCHS
    settings = {"tsg_epochs": tsg, "ife_epochs": ife, "hsa_epochs": hsa, "tsg_batch": 32}
    method = build(clip, picture=(64, 32), ife_batch=16, people=4, images_each=2, **settings)
    with tempfile.TemporaryDirectory() as scratch:
        seconds = clocked(
            lambda: fit(method, Generated(), Path(scratch), precision="bfloat16")  # type: ignore[arg-type]
        )
        lines = (Path(scratch) / "losses.jsonl").read_text().splitlines()
        figures = (Path(scratch) / "measures.jsonl").read_text().splitlines()
    finite = all(p.isfinite().all() for p in method.parameters())
    assert len(lines) == sum(STAGE_EPOCHS)
    assert finite
    return {"seconds": seconds, "figures": [json.loads(line)["figures"] for line in figures]}


PARTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "prompts": prompts,
    "mixed": mixed,
    "use": use,
    "refine": refine,
}


def measured(part: str, clip: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--measure", part, clip]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def of_prompts(found: dict[str, dict[str, Any]]) -> str:
    lines = [
        "## First stage: features computed once, or pictures encoded in every epoch",
        "Seconds for a batch of 64 as the stage learns from it (descriptions read, losses, "
        "gradient, optimizer), and for its image features: encoded anew by the image tower (of 4 "
        "pictures, times 16; reading the files is not counted), or taken from those computed once. "
        "Mean of 2, in turn.",
        "| | learning | features, encoded | features, remembered | features, times faster "
        "| whole epoch, times faster |\n|---|---|---|---|---|---|",
    ]
    for clip, f in found.items():
        again, kept = f["learn"] + f["encode"], f["learn"] + f["fetch"]
        lines.append(
            f"| {clip} | {f['learn']:.2f} | {f['encode']:.1f} | {f['fetch']:.5f} "
            f"| {f['encode'] / f['fetch']:,.0f} | {again / kept:.1f} |"
        )
    return joined(lines)


def of_refine(found: dict[str, dict[str, Any]]) -> str:
    lines = [
        f"## Last stage: a step of 8 people x (4 x 2 + 4) pictures and {PEOPLE} descriptions",
        "One step in float32; descriptions read with their gradient, alone.",
        "| | step, seconds | memory, MiB | all descriptions, seconds | share of the step "
        "| those of the batch, seconds | share of the step |\n|---|---|---|---|---|---|---|",
    ]
    for clip, f in found.items():
        without = f["step"] - f["all"]
        lines.append(
            f"| {clip} | {f['step']:.0f} | {f['memory']:,.0f} | {f['all']:.1f} "
            f"| {f['all'] / f['step']:.0%} | {f['some']:.2f} "
            f"| {f['some'] / (without + f['some']):.1%} |"
        )
    return joined(lines)


def of_use(found: dict[str, dict[str, Any]]) -> str:
    lines = [
        "## In use: the image tower alone",
        "Both spectra exported to ONNX; a picture embedded in a batch of 8 by torch.",
        "| | parameters in training | of these the text tower | weights in training, MB "
        "| exported, MB | exporting, seconds | a picture, seconds |\n|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {clip} | {f['parameters'] / 1e6:.0f} M | {f['text'] / 1e6:.0f} M "
        f"| {f['whole'] / 1e6:.0f} | {f['exported'] / 1e6:.0f} | {f['export seconds']:.0f} "
        f"| {f['seconds']:.2f} |"
        for clip, f in found.items()
    ]
    return joined(lines)


def of_mixed(found: dict[str, dict[str, Any]]) -> str:
    lines = [
        f"## Mixed precision: {STEPS:,} steps",
        f"Forward passes in bfloat16 (autocast on a processor), tiny towers, pictures of 64 x 32 "
        f"of {GENERATED} people made by chance: {', '.join(map(str, STAGE_EPOCHS))} epochs of "
        f"{STEPS // sum(STAGE_EPOCHS)} steps of the three stages. A run ends with an error at the "
        "first loss that is not finite; these came to their end, with finite weights. CUDA and "
        "float16 were not run; vireid trains in float32 or bfloat16.",
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
    parser.add_argument("--write", action="store_true", help="write results/clip4vi_reid.md")
    parser.add_argument("--measure", nargs=2, metavar=("PART", "CLIP"))
    told = parser.parse_args()
    if told.measure:
        torch.set_num_threads(1)
        part, clip = told.measure
        print(json.dumps(PARTS[part](clip)))
        return
    found: dict[str, dict[str, dict[str, Any]]] = {}
    report = ""
    for part in PARTS:
        for clip in ("tiny RN", "tiny ViT") if part == "mixed" else SIZES:
            found.setdefault(part, {})[clip] = measured(part, clip)
            tables = [draw(found[name]) for name, draw in TABLES.items() if name in found]
            where = f"Measured on one thread of a processor, torch {torch.__version__}."
            heads = ["# CLIP4VI-ReID", (__doc__ or "").strip(), where]
            report = "\n\n".join([*heads, *tables]) + "\n"
            if told.write:
                RESULTS.write_text(report, encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()
