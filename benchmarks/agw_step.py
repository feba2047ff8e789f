"""A training step of AGW beside that of its released code: time and memory.

    python benchmarks/agw_step.py --agw Cross-Modal-Re-ID-baseline --write

The released code is a clone of github.com/mangye16/Cross-Modal-Re-ID-baseline, which does not come
with vireid; nothing of it is changed, but instead of ImageNet's weights it is given random ones.
ResNet-50 with non-local attention, pictures of 288 x 144, losses, gradient and optimizer as its
train.py has them; all batches are on the device already. On a CUDA device with 8 people x 4 images
of either spectrum, as published, and vireid also with its bfloat16 passes; else with 2 x 2 on one
thread of a processor, where seconds are those of the process and every row is a process of its own.
Rows take turns; memory is the most that a row holds, less what it held before the first step.
"""

import argparse
import gc
import importlib
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.utils import model_zoo
from torchvision.models import resnet50

from vireid.batches import PairedBatch
from vireid.methods.agw import AGW

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
RESULTS = Path(__file__).parent / "results" / f"agw_step{'_cuda' if GPU else ''}.md"
PEOPLE, IMAGES_EACH = (8, 4) if GPU else (2, 2)
IDENTITIES, HEIGHT, WIDTH = 395, 288, 144
STEPS, UNREAD, ROUNDS = (40, 10, 3) if GPU else (2, 1, 3)
"""Of each process, of which so many are not counted; and processes for each row."""
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
    """What the loop does with a batch, but for reading losses, which it does now and then."""
    torch.manual_seed(0)
    method = AGW(AGW.Config(pretrained=False), IDENTITIES).to(DEVICE)
    data: Any = SimpleNamespace(num_identities=IDENTITIES, paired=lambda *_: None)
    (stage,) = method.stages(data)
    stage.thaw(method)

    def step(batch: PairedBatch) -> Tensor:
        stage.optimizer.zero_grad()
        with torch.autocast(DEVICE.type, dtype, enabled=dtype != torch.float32):
            losses = stage.losses(batch, 0)
        loss = torch.stack(list(losses.values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        stage.optimizer.step()
        return loss.detach()

    return step


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


def measure(row: str, clone: Path) -> dict[str, float]:
    """Seconds of a step, and memory."""
    torch.set_num_threads(1)
    # Its train.py sets this; we leave it as it is.
    torch.backends.cudnn.benchmark = row == RELEASED
    dtype = torch.bfloat16 if row == BFLOAT16 else torch.float32
    step = released(clone) if row == RELEASED else ours(dtype)
    shape = (PEOPLE * IMAGES_EACH, 3, HEIGHT, WIDTH)
    people = torch.arange(PEOPLE).repeat_interleave(IMAGES_EACH)
    batch = PairedBatch(torch.rand(shape), torch.rand(shape), people).to(DEVICE)
    before = held()
    for _ in range(UNREAD):
        step(batch)
    began = clock()
    for _ in range(STEPS):
        step(batch)
    return {"seconds": (clock() - began) / STEPS, "memory": held() - before}


def measured(row: str, clone: Path) -> dict[str, float]:
    if GPU:
        gc.collect()
        torch.cuda.reset_peak_memory_stats()
        return measure(row, clone)
    command = [sys.executable, "-W", "ignore", __file__, "--measure", row, "--agw", str(clone)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found


def table(clone: Path) -> str:
    rows = [RELEASED, FLOAT32, *([BFLOAT16] if GPU else [])]
    rounds = [{row: measured(row, clone) for row in rows} for _ in range(ROUNDS)]
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
    what = torch.cuda.get_device_name() if GPU else "one thread of a processor"
    where = f"Measured on {what}, torch {torch.__version__}."
    parts = ["# A step of AGW", (__doc__ or "").strip(), where, table(told.agw)]
    report = "\n\n".join(parts) + "\n"
    print(report)
    if told.write:
        RESULTS.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
