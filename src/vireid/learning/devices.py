"""The device that a run computes on, and the precision."""

from typing import Any, Literal

import torch
from accelerate import Accelerator, PartialState

Precision = Literal["float32", "bfloat16"]
"""Number format of forward passes; weights are always float32."""
Wanted = Literal["auto", "float32", "bfloat16"]
"""A precision, or `auto` to leave it to the device."""


def this_process() -> PartialState:
    """Return the state of this process: its rank among those of `torchrun`, and its device."""
    # Unless told that there is nothing but processors, accelerate takes each for the only one.
    return PartialState(cpu=not torch.accelerator.is_available())


def precision_for(wanted: Wanted, device: torch.device) -> Precision:
    """Return the precision of forward passes on a device."""
    return automatic(device) if wanted == "auto" else wanted


def automatic(device: torch.device) -> Precision:
    """Return the precision for `auto`: bfloat16 on a CUDA device that has it, float32 elsewhere.

    Processors that compute in bfloat16 stay with float32, so that a recipe means the same on all.
    """
    return "bfloat16" if device.type == "cuda" and computes_in_bfloat16(device) else "float32"


def computes_in_bfloat16(device: torch.device) -> bool:
    """Return whether a device has instructions for bfloat16; others compute it by float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Releases of torch before 2.10 do not tell.
    tell = getattr(torch.cpu, "get_capabilities", None)
    known: dict[str, Any] = tell() if tell and device.type == "cpu" else {}
    return bool(known.get("amx_bf16") or known.get("avx512_bf16"))


def described(accelerator: Accelerator | PartialState) -> str:
    """Return how many devices of what kind compute, for the log."""
    device = accelerator.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{accelerator.num_processes} x {name}"
