"""Training: broken off anywhere it ends as if it had not been, and it says what goes wrong."""

import json
import logging
import math
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.toy import STEPS, ThreeStep, ToyData, small
from torch import nn

from vireid import methods
from vireid.learning import checkpoints
from vireid.learning.checkpoints import CheckpointError, Position, Sums
from vireid.learning.loop import DivergedError, fit, seed_of
from vireid.learning.stop_requests import Interrupted, StopRequests
from vireid.method import Method

STEPS_OF_TOY = 3 * 2 * STEPS


class CrashError(Exception):
    """The end of a process, as far as what is on disk goes."""


def crash_before(step: int) -> Callable[[int], None]:
    def before_step(begun: int) -> None:
        if begun == step:
            raise CrashError

    return before_step


def ask_to_stop_before(step: int, number: signal.Signals) -> Callable[[int], None]:
    def before_step(begun: int) -> None:
        if begun == step:
            os.kill(os.getpid(), number)

    return before_step


def saved(folder: Path) -> Any:
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def losses(folder: Path) -> list[Any]:
    """What losses.jsonl says, but for how long it took."""
    lines = (folder / "losses.jsonl").read_text().splitlines()
    timings = {"seconds", "pictures_per_second"}
    return [{k: v for k, v in json.loads(line).items() if k not in timings} for line in lines]


def assert_same(one: Any, other: Any) -> None:
    """The same to the last bit, all the way down."""
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert one == other


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    fit(small(ThreeStep), ToyData(), folder)
    assert len(losses(folder)) == 6
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_stopped_at_any_step_ends_as_an_unbroken_one(
    number: signal.Signals, unbroken: Path, tmp_path: Path
) -> None:
    # Every step for one of the signals, some for the other.
    for step in range(0, STEPS_OF_TOY, 1 if number == signal.SIGINT else 7):
        folder = tmp_path / str(step)
        with pytest.raises(Interrupted, match="go on with --resume"):
            fit(small(ThreeStep), ToyData(ask_to_stop_before(step, number)), folder)
        position = saved(folder)["position"]
        assert (
            position["stage"] * 2 * STEPS + position["epoch"] * STEPS + position["step"] == step + 1
        )
        fit(small(ThreeStep), ToyData(), folder, resume=True)
        assert_same(saved(unbroken), saved(folder))
        assert losses(unbroken) == losses(folder)


@pytest.mark.parametrize("save_minutes", [0.0, 10.0])
def test_a_run_that_crashed_at_any_step_ends_as_an_unbroken_one(
    save_minutes: float, unbroken: Path, tmp_path: Path
) -> None:
    for step in range(1, STEPS_OF_TOY, 2):
        folder = tmp_path / str(step)
        data = ToyData(crash_before(step))
        with pytest.raises(CrashError):
            fit(small(ThreeStep), data, folder, save_minutes=save_minutes)
        fit(small(ThreeStep), ToyData(), folder, resume=True)
        assert_same(saved(unbroken), saved(folder))
        assert losses(unbroken) == losses(folder)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from tests.toy import ThreeStep, ToyData, small
from vireid.learning.loop import fit

def die(begun):
    if begun == 11:
        os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)  # As the unbroken run: sums of several threads round otherwise.
fit(small(ThreeStep), ToyData(die), Path(sys.argv[1]), save_minutes=0)
"""


def test_a_run_that_was_killed_ends_as_an_unbroken_one(unbroken: Path, tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert saved(tmp_path)["position"] == {"stage": 1, "epoch": 1, "step": 2}
    fit(small(ThreeStep), ToyData(), tmp_path, resume=True)
    assert_same(saved(unbroken), saved(tmp_path))
    assert losses(unbroken) == losses(tmp_path)


@pytest.mark.parametrize("name", methods.available())
def test_every_method_resumes_exactly(name: str, tmp_path: Path) -> None:
    method = methods.find(name)
    fit(small(method), ToyData(), tmp_path / "unbroken")
    # In the middle of an epoch, and between two.
    for step in (STEPS + 1, STEPS - 1):
        folder = tmp_path / str(step)
        with pytest.raises(Interrupted):
            fit(small(method), ToyData(ask_to_stop_before(step, signal.SIGTERM)), folder)
        fit(small(method), ToyData(), folder, resume=True)
        assert_same(saved(tmp_path / "unbroken"), saved(folder))
        assert losses(tmp_path / "unbroken") == losses(folder)


def test_another_seed_is_another_run(unbroken: Path, tmp_path: Path) -> None:
    fit(small(ThreeStep), ToyData(), tmp_path, seed=1)
    assert losses(unbroken) != losses(tmp_path)


def test_chance_is_the_same_on_every_machine() -> None:
    assert seed_of(0, 1, 2, 3) == 0x12725276F2ACD63D
    assert len({seed_of(*where) for where in [(1, 11, 1, 1), (11, 1, 1, 1), (1, 1, 11, 1)]}) == 3


def test_the_second_ctrl_c_does_not_wait() -> None:
    with StopRequests() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.made
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


class Sick(ThreeStep):
    """A loss becomes nan in the second stage, second epoch, third step."""

    seen = 0

    def _embed_infrared(self, batch: Any, epoch: int) -> Any:
        self.seen += 1
        found = super()._embed_infrared(batch, epoch)
        return {**found, "sick": found["infrared"] * (math.nan if self.seen == 6 else 1)}


def test_a_loss_that_is_no_number_stops_the_run_where_it_was_well(tmp_path: Path) -> None:
    where = "'sick' is nan in stage 'embed infrared', epoch 2, step 3"
    with pytest.raises(DivergedError, match=where):
        fit(small(Sick), ToyData(), tmp_path, save_minutes=0)
    left = saved(tmp_path)
    assert left["position"] == {"stage": 1, "epoch": 1, "step": 2}
    assert all(v.isfinite().all() for v in left["method"].values())


class Collapsed(ThreeStep):
    """All embeddings are one."""

    def _refine(self, batch: Any, epoch: int) -> Any:
        found = super()._refine(batch, epoch)
        return {"triplet": 0 * sum(found.values()) + math.log(2)}


def test_a_collapse_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    with caplog.at_level(logging.WARNING, "vireid"):
        fit(Collapsed(Collapsed.Config(epochs=5), 4), ToyData(), tmp_path)
    assert [record.message[:43] for record in caplog.records] == [
        "the triplet loss has stood at ln 2 for thre"
    ]


def test_bfloat16_is_for_passes_not_for_weights(unbroken: Path, tmp_path: Path) -> None:
    fit(small(ThreeStep), ToyData(), tmp_path, precision="bfloat16")
    exact = losses(unbroken)[-1]["losses"]["visible"]
    assert losses(tmp_path)[-1]["losses"]["visible"] == pytest.approx(exact, rel=0.1)
    assert losses(tmp_path) != losses(unbroken)
    assert {v.dtype for v in saved(tmp_path)["method"].values()} == {torch.float32, torch.int64}


def write_at(folder: Path, method: Method, position: Position) -> None:
    stage = method.stages(ToyData())[position.stage]
    checkpoints.write(folder / "checkpoint.pt", method, stage, position, Sums())


@pytest.mark.parametrize("room", [0, 1000, 5000])
def test_a_full_disk_leaves_the_last_checkpoint(room: int, tmp_path: Path) -> None:
    method = small(ThreeStep)
    write_at(tmp_path, method, Position(0, 1))
    before = (tmp_path / "checkpoint.pt").read_bytes()
    assert room < len(before)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(CheckpointError, match=r"checkpoint\.pt could not be written .*large.*"):
            write_at(tmp_path, method, Position(0, 2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    write_at(tmp_path, small(ThreeStep), Position(0, 1))
    whole = path.read_bytes()
    for damaged in (b"", b"no checkpoint", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"checkpoint\.pt is damaged"):
            checkpoints.read(path, small(ThreeStep))


def test_another_methods_checkpoint_is_refused(tmp_path: Path) -> None:
    write_at(tmp_path, small(ThreeStep), Position(0, 1))
    with pytest.raises(CheckpointError, match="of ThreeStep, not of AGW"):
        fit(small(methods.find("agw")), ToyData(), tmp_path, resume=True)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    write_at(tmp_path, small(ThreeStep), Position(0, 1))
    with pytest.raises(CheckpointError, match=r"^[^\n]* does not fit[^\n]*; resume with[^\n]*$"):
        fit(ThreeStep(ThreeStep.Config(dim=16), 4), ToyData(), tmp_path, resume=True)


TWO = """
import sys
from pathlib import Path
from tests.learning.test_loop import without_batch_statistics
from tests.toy import ToyData
from vireid.learning.devices import this_process
from vireid.learning.loop import fit

process = this_process()
data = ToyData(rank=process.process_index, world=process.num_processes)
fit(without_batch_statistics(sys.argv[2]), data, Path(sys.argv[1]))
"""


def without_batch_statistics(name: str) -> Method:
    """A method whose normalisation keeps to the statistics it has, as eval mode does."""
    method = small(methods.find(name))
    for module in method.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            keep_statistics(module)
    return method


def keep_statistics(module: nn.Module) -> None:
    def train(mode: bool = True) -> nn.Module:
        return module

    module.eval().train = train  # type: ignore[method-assign]


def start_one_of_two(rank: int, port: int, folder: Path, name: str) -> subprocess.Popen[str]:
    """One process, told what `torchrun` tells it."""
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
    path = {"PYTHONPATH": Path(__file__).parents[2]}
    return subprocess.Popen(
        [sys.executable, "-c", TWO, str(folder), name],
        env=os.environ | {k: str(v) for k, v in (told | address | path).items()},
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.mark.parametrize("name", methods.available())
def test_two_processes_learn_what_one_does(name: str, tmp_path: Path) -> None:
    port = free_port()
    started = [start_one_of_two(rank, port, tmp_path / "two", name) for rank in range(2)]
    said = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    fit(without_batch_statistics(name), ToyData(), tmp_path / "one")
    one, two = saved(tmp_path / "one")["method"], saved(tmp_path / "two")["method"]
    begin = without_batch_statistics(name).state_dict()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-5)
    assert max((one[name] - begin[name]).abs().max() for name in one) > 1e-2
    pairs = zip(losses(tmp_path / "one"), losses(tmp_path / "two"), strict=True)
    for of_one, of_two in pairs:
        assert of_two["losses"] == pytest.approx(of_one["losses"], abs=1e-5)


def test_losses_go_to_tensorboard_if_wanted(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    fit(small(ThreeStep), ToyData(), tmp_path, tensorboard=True)
    (events,) = (tmp_path / "tensorboard").glob("events.*")
    assert b"refine both/infrared" in events.read_bytes()
