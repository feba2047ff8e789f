"""Strangers' files of weights: read without running what is in them, damage noticed."""

import io
import os
import pickle
import random
import struct
import warnings
import zipfile
from argparse import Namespace
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vireid.backbones.clip import create_clip
from vireid.errors import VireidError
from vireid.files import torch_files
from vireid.files.torch_files import UnreadableError

CONTENT: dict[str | int, Any] = {
    "weights": OrderedDict(
        a=torch.rand(3, 4), turned=torch.rand(3, 4).T, half=torch.rand(2).half()
    ),
    "brain": torch.rand(5).bfloat16(),
    "none": torch.zeros(0, 3),
    "one": torch.tensor(7),
    "yes": torch.tensor([True, False]),
    "learnt": nn.Parameter(torch.rand(2)),
    "groups": [{"betas": (0.9, 0.999), "lr": 1e-3, "params": [0, 1], "foreach": None}],
    "size": torch.Size([2, 3]),
    "large": 2**40,
    "three": -5,
}


def saved(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, Tensor):
        return found.dtype == expected.dtype and torch.equal(found, expected.detach())
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[k], expected[k]) for k in found)
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(map(same, found, expected))
    return bool(found == expected)


def test_what_torch_saves_is_read_as_it_was(tmp_path: Path) -> None:
    assert same(torch_files.read(saved(CONTENT, tmp_path / "a.pt")), CONTENT)


def test_tensors_that_share_their_numbers_share_them_still(tmp_path: Path) -> None:
    whole = torch.rand(6)
    read = torch_files.read(saved([whole, whole[2:]], tmp_path / "a.pt"))
    read[0][2] = 9
    assert read[1][0] == 9


def scripted(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        # TorchScript is going out of use, which OpenAI's archives are made of.
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(path))  # type: ignore[no-untyped-call]
    return path


@pytest.mark.parametrize("name", ["tiny RN", "tiny ViT"])
def test_a_traced_clip_gives_the_state_that_torch_reads(name: str, tmp_path: Path) -> None:
    clip, path = create_clip(name, None).eval(), tmp_path / "clip.pt"
    example = (torch.rand(1, 3, 224, 224), torch.zeros(1, 77, dtype=torch.long))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(clip, example, check_trace=False).save(str(path))  # type: ignore[no-untyped-call]
        expected = dict(torch.jit.load(str(path)).state_dict())  # type: ignore[no-untyped-call]
    assert len(expected) > 50
    assert same(torch_files.read(path), expected)


class Mask(nn.Module):
    """Has a tensor that is neither parameter nor buffer, as OpenAI's text towers have."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(2))
        self.mask = torch.rand(2)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight * self.mask


def test_other_tensors_of_a_module_are_no_state(tmp_path: Path) -> None:
    assert torch_files.read(scripted(Mask(), tmp_path / "a.pt")).keys() == {"weight"}


class Writes(nn.Module):
    """Writes a file when it is loaded and when it is used."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place
        self.weight = nn.Parameter(torch.rand(2))

    def forward(self, x: Tensor) -> Tensor:
        torch.ops.aten.save(x, self.place)
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.place, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.place, self.training = state
        torch.ops.aten.save(torch.ones(1), self.place)


class Hangs(Writes):
    """Never comes to an end of loading."""

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.place, self.training = state
        while True:
            pass


@pytest.mark.parametrize("kind", [Writes, Hangs])
def test_torchscript_that_acts_when_loaded_is_not_run(kind: type[Writes], tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    file = scripted(kind(str(victim)), tmp_path / "clip.pt")
    with pytest.raises(
        VireidError, match=r"clip\.pt is damaged or no file of weights \(it holds a"
    ):
        create_clip("tiny RN", str(file))
    assert not victim.exists()


class Runs:
    """A pickle that runs a command."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.victim}",)


@pytest.mark.parametrize("write", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x))])
def test_pickled_objects_are_refused_and_not_made(
    write: Callable[[Any, Path], Any], tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    write({"weight": Runs(victim)}, tmp_path / "a.pt")
    with pytest.raises(UnreadableError):
        torch_files.read(tmp_path / "a.pt")
    assert not victim.exists()


def archive(instructions: bytes, path: Path, kind: int = zipfile.ZIP_STORED) -> Path:
    """An archive with these instructions and one record of twelve numbers."""
    with zipfile.ZipFile(path, "w", kind) as file:
        file.writestr("a/data.pkl", instructions)
        file.writestr("a/data/0", bytes(48))
    return path


def tensor(size: bytes, stride: bytes, offset: bytes = b"K\0", count: bytes = b"K\x0c") -> bytes:
    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpu" + count + b"tQ"
    more = offset + size + stride + b"\x89N"
    return b"\x80\2ctorch._utils\n_rebuild_tensor_v2\n(" + storage + more + b"tR."


def test_the_archive_of_these_tests_is_sound(tmp_path: Path) -> None:
    path = archive(tensor(b"K\3K\4\x86", b"K\4K\1\x86"), tmp_path / "a.pt")
    assert torch.equal(torch_files.read(path), torch.zeros(3, 4))


PAIRS = b"\x80\2)" + b"q\0h\0\x86" * 64
CRAFTED = {
    "larger than its record": tensor(b"K\xc8\x85", b"K\1\x85"),
    "one number seen a trillion times": tensor(b"\x8a\6\0\0\0\0\0\1\x85", b"K\0\x85"),
    "begins behind its record": tensor(b"K\3\x85", b"K\1\x85", b"K\x0b"),
    "another record": tensor(b"K\3\x85", b"K\1\x85").replace(b"\x000X", b"\x001X"),
    "a key that takes for ever to compare": b"\x80\2}" + PAIRS[2:] + b"Ns.",
    "a text of a terabyte": b"\x80\2\x8d" + struct.pack("<Q", 2**40) + b"x.",
    "a memory of four billion places": b"\x80\2)r\xff\xff\xff\xff\x93.",
    "cut off": b"\x80\2",
    "empty": b"",
    "takes what is not there": b"\x80\2\x86.",
    "no mark": b"\x80\2t.",
    "builds a number": b"\x80\2K\1}b.",
    "a module that is called": b"\x80\2c__torch__\nA\n)R.",
    "a storage that is created": b"\x80\2ctorch\nFloatStorage\n)\x81.",
    "a module without source": b"\x80\2c__torch__\nA\n)\x81}b.",
    "getattr": b"\x80\2cbuiltins\ngetattr\n.",
    "an extension": b"\x80\2\x82\1.",
}


@pytest.mark.parametrize("crafted", CRAFTED.values(), ids=CRAFTED)
def test_crafted_instructions_are_refused_at_once(crafted: bytes, tmp_path: Path) -> None:
    with pytest.raises(UnreadableError):
        torch_files.read(archive(crafted, tmp_path / "a.pt"))


def test_modules_within_modules_do_not_multiply(tmp_path: Path) -> None:
    chain = b"c__torch__.a\nA\n)\x81}b"
    for _ in range(40):
        both = b"}(X\1\0\0\0ah\0X\1\0\0\0bh\0u"
        chain += b"q\x000c__torch__.a\nA\n)\x81" + both + b"b"
    path = archive(b"\x80\2" + chain.replace(b"q\x000", b"q\0") + b".", tmp_path / "a.pt")
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("a/code/__torch__/a.py", "class A(Module):\n  __parameters__ = []\n")
    with pytest.raises(UnreadableError, match="too many parts"):
        torch_files.read(path)


def test_packed_and_overlapping_records_are_refused(tmp_path: Path) -> None:
    sound = tensor(b"K\3K\4\x86", b"K\4K\1\x86")
    path = archive(sound, tmp_path / "packed.pt", zipfile.ZIP_DEFLATED)
    with pytest.raises(UnreadableError, match="packed"):
        torch_files.read(path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a/data.pkl", sound)
        file.writestr("a/data/0", bytes(4800))
        first = file.getinfo("a/data/0")
        for number in range(1, 9):
            again = zipfile.ZipInfo(f"a/data/{number}")
            again.header_offset, again.CRC = first.header_offset, first.CRC
            again.file_size = again.compress_size = first.file_size
            file.filelist.append(again)
    (tmp_path / "overlapping.pt").write_bytes(buffer.getvalue())
    with pytest.raises(UnreadableError, match="overlap"):
        torch_files.read(tmp_path / "overlapping.pt")


def test_a_flipped_bit_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    path = saved(CONTENT, tmp_path / "a.pt")
    sound, dice = path.read_bytes(), random.Random(0)
    for _ in range(200):
        broken = bytearray(sound)
        broken[dice.randrange(len(sound))] ^= 1 << dice.randrange(8)
        path.write_bytes(broken)
        try:
            read = torch_files.read(path)
        except UnreadableError:
            continue
        assert same(read, CONTENT)


def test_objects_can_be_left_where_they_are_and_are_not_made(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    content = {
        "net": {"weight": torch.ones(2)},
        "cmc": np.arange(3.0),
        "mAP": np.float64(0.5),
        "args": Namespace(lr=0.1, milestones=[20, 50]),
        "log": defaultdict(list, {"loss": [1.0]}),
        "runs": Runs(victim),
        "epoch": 3,
    }
    path = saved(content, tmp_path / "a.pt")
    with pytest.raises(UnreadableError, match="it holds an object"):
        torch_files.read(path)
    read = torch_files.read(path, leave_objects=True)
    assert not victim.exists()
    assert same(read.pop("net"), content["net"])
    assert read.pop("epoch") == 3
    assert {name: left.kind.rpartition(".")[2] for name, left in read.items()} == {
        "cmc": "_reconstruct",
        "mAP": "scalar",
        "args": "Namespace",
        "log": "defaultdict",
        "runs": "system",
    }
