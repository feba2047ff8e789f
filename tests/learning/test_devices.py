"""What `auto` is, on devices that say this and that of themselves."""

from typing import Any

import pytest
import torch

# As it is, whatever the command line of pytest has `auto` be later on.
from vireid.learning.devices import automatic, computes_in_bfloat16, precision_for

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def says(monkeypatch: pytest.MonkeyPatch, **flags: bool) -> None:
    """Have the processor say this of itself."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags, raising=False)


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
@pytest.mark.parametrize("has_it", [False, True])
def test_auto_is_float32_on_every_processor(
    flag: str, has_it: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, avx2=True, **{flag: has_it})
    assert computes_in_bfloat16(CPU) is has_it
    assert automatic(CPU) == "float32"


def test_a_torch_that_does_not_tell_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not computes_in_bfloat16(CPU)
    assert automatic(CPU) == "float32"


@pytest.mark.parametrize(("has_it", "expected"), [(False, "float32"), (True, "bfloat16")])
def test_auto_is_bfloat16_on_a_gpu_that_computes_in_it(
    has_it: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return including_emulation or has_it

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert automatic(CUDA) == expected


@pytest.mark.parametrize("kind", ["mps", "xpu"])
def test_auto_is_float32_on_devices_that_nobody_has_measured(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, avx512_bf16=True)
    assert automatic(torch.device(kind)) == "float32"


@pytest.mark.parametrize("wanted", ["float32", "bfloat16"])
@pytest.mark.parametrize("device", [CPU, CUDA])
def test_a_precision_that_is_named_is_taken_on_every_device(
    wanted: Any, device: torch.device
) -> None:
    assert precision_for(wanted, device) == wanted
