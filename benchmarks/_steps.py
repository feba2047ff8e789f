"""What the scripts that measure steps of training share.

On a CUDA device rows are measured one after another in one process, by the clock. On a processor
seconds are those of the process, not of the clock, so that other work on the machine counts little,
and every row is a process of its own.
"""

import gc
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from vireid.method import Stage
from vireid.training_data.batches import PairedBatch

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
DTYPE = torch.bfloat16 if GPU else torch.float32
"""Of forward passes, unless a row says otherwise."""
Found = dict[str, Any]


def results(name: str) -> Path:
    """Where a report is written to."""
    return Path(__file__).parent / "results" / f"{name}{'_cuda' if GPU else ''}.md"


def clock() -> float:
    """Seconds, when the device has done all that it was given."""
    if GPU:
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def clocked(work: Callable[[], Any]) -> float:
    """Seconds that something takes."""
    began = clock()
    work()
    return clock() - began


def held() -> float:
    """Most memory so far, in MiB."""
    if GPU:
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def no_data(people: int) -> Any:
    """In place of training data: steps here are given their batch."""
    return SimpleNamespace(
        num_identities=people,
        every=lambda *_: [],
        single=lambda *_: None,
        paired=lambda *_: None,
    )


def batch_of(people: int, images_each: int, height: int, width: int) -> PairedBatch:
    """Random pictures of either spectrum."""
    shape = (people * images_each, 3, height, width)
    identities = torch.arange(people).repeat_interleave(images_each)
    return PairedBatch(torch.rand(shape), torch.rand(shape), identities).to(DEVICE)


def learn(stage: Stage[Any], batch: Any, dtype: torch.dtype = DTYPE) -> torch.Tensor:
    """What the loop does with a batch, but for reading losses, which it does now and then."""
    stage.optimizer.zero_grad()
    with torch.autocast(DEVICE.type, dtype, enabled=dtype != torch.float32):
        losses = stage.losses(batch, 0)
    whole = torch.stack(list(losses.values())).sum()
    whole.backward()  # type: ignore[no-untyped-call]
    stage.optimizer.step()
    return whole.detach()


def measured(measure: Callable[[], Found], *arguments: str, script: str = sys.argv[0]) -> Found:
    """What is found here on a CUDA device; else by a script in a process of its own."""
    if GPU:
        gc.collect()
        torch.cuda.reset_peak_memory_stats()
        return measure()
    command = [sys.executable, "-W", "ignore", script, *arguments]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: Found = json.loads(answer.stdout.splitlines()[-1])
    return found


def report(title: str, doc: str | None, tables: Sequence[str]) -> str:
    """The whole of a file of results."""
    what = torch.cuda.get_device_name() if GPU else "one thread of a processor"
    where = f"Measured on {what}, torch {torch.__version__}."
    return "\n\n".join([f"# {title}", (doc or "").strip(), where, *tables]) + "\n"


def publish(text: str, path: Path, *, write: bool) -> None:
    """Show a report, and keep it if that is asked for."""
    print(text)
    if write:
        path.write_text(text, encoding="utf-8")
