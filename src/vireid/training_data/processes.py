"""Rows of a batch gathered from, and shared among, the processes of a run."""

import torch
from torch import Tensor, distributed


def gather(rows: Tensor) -> Tensor:
    """Return the rows of all processes, in the order of their ranks.

    Losses computed on gathered rows are the same on every process. The gradient that comes back
    to a process is that of its own rows summed over the processes, so that the mean that
    DistributedDataParallel takes equals the gradient of one process with the whole batch.

    Args:
        rows: Rows of this process, as many as every other has; the first axis counts images.
    """
    if processes() == 1:
        return rows
    if not rows.is_floating_point():
        return torch.cat(_all_rows(rows))
    gathered: Tensor = _Gather.apply(rows)
    return gathered


def own_rows(rows: Tensor) -> Tensor:
    """Return this process's part of rows that all processes have drawn alike.

    Args:
        rows: Rows in the order of `gather`, as many for every process.
    """
    each = len(rows) // processes()
    return rows[distributed.get_rank() * each :][:each] if each < len(rows) else rows


def processes() -> int:
    """Return the number of processes in this run."""
    running = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if running else 1


def _all_rows(rows: Tensor) -> list[Tensor]:
    rows = rows.contiguous()
    parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, rows)
    return parts


class _Gather(torch.autograd.Function):
    """All-gather forward; backward, the gradients of this process's rows, summed over processes."""

    @staticmethod
    def forward(_ctx: torch.autograd.function.FunctionCtx, rows: Tensor) -> Tensor:
        return torch.cat(_all_rows(rows))

    @staticmethod
    def backward(_ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].contiguous()
        distributed.all_reduce(gradient)
        each = len(gradient) // distributed.get_world_size()
        return gradient[distributed.get_rank() * each :][:each]
