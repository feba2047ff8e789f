"""A training step of AGW beside that of its released code: time and memory.

    python benchmarks/agw_step.py --agw Cross-Modal-Re-ID-baseline --write

The released code is a clone of github.com/mangye16/Cross-Modal-Re-ID-baseline, which does not come
with vireid; nothing of it is changed, but instead of ImageNet's weights it is given random ones.
ResNet-50 with non-local attention, pictures of 288 x 144, losses, gradient and optimizer as its
train.py has them; all batches are on the device already. On a CUDA device with 8 people x 4 images
of either spectrum, as published, and vireid also with its bfloat16 passes; else with 2 x 2 on one
thread of a processor, where seconds are those of the process and every row is a process of its own.
Rows take turns; memory is the most that a row holds, less what it held before the first step. On a
CUDA device that of the released code has in it what cuDNN takes to try out algorithms, which its
train.py has it do.
"""

import argparse
import importlib
import json
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn, optim
from torch.utils import model_zoo
from torchvision.models import resnet50

import _steps
from _steps import DEVICE, GPU, Found
from vireid.methods.agw import AGW
from vireid.training_data.batches import PairedBatch

RESULTS = _steps.results("agw_step")
PEOPLE, IMAGES_EACH = (8, 4) if GPU else (2, 2)
IDENTITIES, HEIGHT, WIDTH = 395, 288, 144
STEPS, UNREAD, ROUNDS = (40, 10, 3) if GPU else (2, 1, 3)
"""Steps that are counted, those before them that are not; and how often a row is measured."""
RELEASED, FLOAT32, BFLOAT16 = "released code", "vireid, float32", "vireid, bfloat16"
Step = Callable[[PairedBatch], Any]


def released(clone: Path) -> Step:
    """What its train.py does with a batch; it also reads both losses and two counts."""
    sys.path.insert(0, str(clone))
    vars(model_zoo)["load_url"] = lambda *_: resnet50().state_dict()
    net = importlib.import_module("model").embed_net(IDENTITIES).to(DEVICE).train()
    triplet = importlib.import_module("loss").TripletLoss_WRT().to(DEVICE)
    heads = [*net.bottleneck.parameters(), *net.classifier.parameters()]
    known = {id(p) for p in heads}
    trunk = [p for p in net.parameters() if id(p) not in known]
    groups: list[dict[str, Any]] = [{"params": trunk, "lr": 0.01}, {"params": heads, "lr": 0.1}]
    optimizer = optim.SGD(groups, weight_decay=5e-4, momentum=0.9, nesterov=True)
    identity = nn.CrossEntropyLoss().to(DEVICE)

    def step(batch: PairedBatch) -> None:
        labels = batch.identities_of_both
        features, logits = net(batch.visible, batch.infrared)
        of_identity = identity(logits, labels)
        of_triplet, _ = triplet(features, labels)
        logits.max(1)[1].eq(labels).sum().item()
        loss = of_identity + of_triplet
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        _ = loss.item(), of_identity.item(), of_triplet.item()

    return step


def ours(dtype: torch.dtype) -> Step:
    torch.manual_seed(0)
    method = AGW(AGW.Config(pretrained=False), IDENTITIES).to(DEVICE)
    (stage,) = method.stages(_steps.no_data(IDENTITIES))
    stage.thaw(method)
    return partial(_steps.learn, stage, dtype=dtype)


def measure(row: str, clone: Path) -> Found:
    """Seconds of a step, and memory."""
    torch.set_num_threads(1)
    # Its train.py sets this; we leave it as it is.
    torch.backends.cudnn.benchmark = row == RELEASED
    dtype = torch.bfloat16 if row == BFLOAT16 else torch.float32
    step = released(clone) if row == RELEASED else ours(dtype)
    batch = _steps.batch_of(PEOPLE, IMAGES_EACH, HEIGHT, WIDTH)
    before = _steps.held()
    for _ in range(UNREAD):
        step(batch)
    began = _steps.clock()
    for _ in range(STEPS):
        step(batch)
    return {"seconds": (_steps.clock() - began) / STEPS, "memory": _steps.held() - before}


def of_row(row: str, clone: Path) -> Found:
    asked = "--measure", row, "--agw", str(clone)
    return _steps.measured(partial(measure, row, clone), *asked, script=__file__)


def table(clone: Path) -> str:
    rows = [RELEASED, FLOAT32, *([BFLOAT16] if GPU else [])]
    rounds = [{row: of_row(row, clone) for row in rows} for _ in range(ROUNDS)]
    pictures = 2 * PEOPLE * IMAGES_EACH
    usual = statistics.median(of[RELEASED]["seconds"] for of in rounds)
    lines = [
        f"{PEOPLE} people x {IMAGES_EACH} images of either spectrum; median of {ROUNDS} rounds of "
        f"{STEPS} steps (fastest to slowest).\n",
        "| | milliseconds a step | pictures a second | times the released code | memory, MiB |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        took = [1e3 * of[row]["seconds"] for of in rounds]
        middle = statistics.median(took)
        lines.append(
            f"| {row} | {middle:,.1f} ({min(took):,.1f} to {max(took):,.1f}) "
            f"| {1e3 * pictures / middle:,.1f} | {1e3 * usual / middle:.2f} "
            f"| {rounds[0][row]['memory']:,.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agw", type=Path, required=True, metavar="CLONE")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--measure", metavar="ROW")
    told = parser.parse_args()
    if told.measure:
        print(json.dumps(measure(told.measure, told.agw)))
        return
    text = _steps.report("A step of AGW", __doc__, [table(told.agw)])
    _steps.publish(text, RESULTS, write=told.write)


if __name__ == "__main__":
    main()
