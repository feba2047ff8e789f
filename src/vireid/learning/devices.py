"""The device that a run computes on, and the precision."""

from typing import Any, Literal

import torch
from accelerate import Accelerator, PartialState

Precision = Literal["auto", "float32", "bfloat16"]


def this_process() -> PartialState:
    """Return this process's device, and its rank among those that `torchrun` started."""
    # Unless told that there is nothing but processors, accelerate takes each for the only one.
    return PartialState(cpu=not torch.accelerator.is_available())


def dtype_for(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the number format of forward passes; "auto" is bfloat16 where the device has it."""
    if precision != "auto":
        return torch.bfloat16 if precision == "bfloat16" else torch.float32
    return torch.bfloat16 if _computes_in_bfloat16(device) else torch.float32


def _computes_in_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Releases of torch before 2.10 do not tell.
    tell = getattr(torch.cpu, "get_capabilities", None)
    known: dict[str, Any] = tell() if tell and device.type == "cpu" else {}
    return bool(known.get("amx_bf16") or known.get("avx512_bf16"))


def described(accelerator: Accelerator) -> str:
    """Return the number and the name of the devices, for the log."""
    device = accelerator.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{accelerator.num_processes} x {name}"
