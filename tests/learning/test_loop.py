"""Training: broken off anywhere it ends as if it had not been, and it says what goes wrong."""

import json
import logging
import math
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from tests import documents
from tests.made_once import made_once
from tests.toy import STEPS, ThreeStep, ToyData, small
from torch import nn

from vireid import methods
from vireid.errors import Interrupted
from vireid.learning import checkpoints, devices
from vireid.learning.checkpoints import CheckpointError, Position, Sums
from vireid.learning.devices import Precision
from vireid.learning.loop import DivergedError, fit, seed_of
from vireid.learning.stop_requests import StopRequests
from vireid.method import Method
from vireid.progress import Step, told_to

STEPS_OF_TOY = 3 * 2 * STEPS
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


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


@pytest.fixture(scope="module", params=PRECISIONS)
def precision(request: pytest.FixtureRequest) -> Precision:
    found: Precision = request.param
    return found


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """Have sums rounded as in other processes, whatever tests before have set."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def unbroken(
    one_thread: None, tmp_path_factory: pytest.TempPathFactory, precision: Precision
) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    fit(small(ThreeStep), ToyData(), folder, precision=precision)
    assert len(losses(folder)) == 6
    return folder


def test_whoever_asks_is_told_how_much_of_all_stages_is_done(tmp_path: Path) -> None:
    steps: list[Step] = []
    with told_to(steps.append):
        fit(small(ThreeStep), ToyData(), tmp_path)
    done = [step.done for step in steps]
    assert done == sorted(set(done))
    assert (done[-1], {step.total for step in steps}) == (STEPS_OF_TOY, {STEPS_OF_TOY})
    assert all(re.match(r"[\w ]+ [12]/2  \w+ -?\d", step.now) for step in steps)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_stopped_at_any_step_ends_as_an_unbroken_one(
    number: signal.Signals, unbroken: Path, precision: Precision, tmp_path: Path
) -> None:
    # Every step for one of the signals, some for the other.
    for step in range(0, STEPS_OF_TOY, 1 if number == signal.SIGINT else 7):
        folder = tmp_path / str(step)
        data = ToyData(ask_to_stop_before(step, number))
        with pytest.raises(Interrupted, match="go on with --resume"):
            fit(small(ThreeStep), data, folder, precision=precision)
        position = saved(folder)["position"]
        assert (
            position["stage"] * 2 * STEPS + position["epoch"] * STEPS + position["step"] == step + 1
        )
        fit(small(ThreeStep), ToyData(), folder, precision=precision, resume=True)
        assert_same(saved(unbroken), saved(folder))
        assert losses(unbroken) == losses(folder)


@pytest.mark.parametrize("save_minutes", [0.0, 10.0])
def test_a_run_that_crashed_at_any_step_ends_as_an_unbroken_one(
    save_minutes: float, unbroken: Path, precision: Precision, tmp_path: Path
) -> None:
    for step in range(1, STEPS_OF_TOY, 2):
        folder = tmp_path / str(step)
        data = ToyData(crash_before(step))
        with pytest.raises(CrashError):
            fit(small(ThreeStep), data, folder, precision=precision, save_minutes=save_minutes)
        fit(small(ThreeStep), ToyData(), folder, precision=precision, resume=True)
        assert_same(saved(unbroken), saved(folder))
        assert losses(unbroken) == losses(folder)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from tests import documents
from tests.toy import ThreeStep, ToyData, small
from vireid.learning.loop import fit

def die(begun):
    if begun == 11:
        os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)  # As the unbroken run: sums of several threads round otherwise.
fit(small(ThreeStep), ToyData(die), Path(sys.argv[1]), precision=sys.argv[2], save_minutes=0)
"""


def test_a_run_that_was_killed_ends_as_an_unbroken_one(
    unbroken: Path, precision: Precision, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), precision]
    ended = subprocess.run(command, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert saved(tmp_path)["position"] == {"stage": 1, "epoch": 1, "step": 2}
    fit(small(ThreeStep), ToyData(), tmp_path, precision=precision, resume=True)
    assert_same(saved(unbroken), saved(tmp_path))
    assert losses(unbroken) == losses(tmp_path)


@pytest.mark.parametrize("name", [*methods.available(), *documents.METHODS])
def test_every_method_resumes_exactly(name: str, precision: Precision, tmp_path: Path) -> None:
    method, folder = documents.find_method(name, tmp_path), tmp_path / "stopped"
    fit(small(method), ToyData(), tmp_path / "unbroken", precision=precision)
    # Between two epochs, and a step later in the middle of one.
    for step in (STEPS - 1, 0):
        data = ToyData(ask_to_stop_before(step, signal.SIGTERM))
        with pytest.raises(Interrupted):
            fit(small(method), data, folder, precision=precision, resume=step == 0)
    fit(small(method), ToyData(), folder, precision=precision, resume=True)
    assert_same(saved(tmp_path / "unbroken"), saved(folder))
    assert losses(tmp_path / "unbroken") == losses(folder)


def test_another_seed_is_another_run(unbroken: Path, precision: Precision, tmp_path: Path) -> None:
    fit(small(ThreeStep), ToyData(), tmp_path, seed=1, precision=precision)
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


def test_bfloat16_is_for_passes_not_for_weights(tmp_path: Path) -> None:
    for precision in PRECISIONS:
        fit(small(ThreeStep), ToyData(), tmp_path / precision, precision=precision)
    exact, rounded = (losses(tmp_path / precision) for precision in PRECISIONS)
    assert rounded != exact
    assert rounded[-1]["losses"]["visible"] == pytest.approx(
        exact[-1]["losses"]["visible"], rel=0.1
    )
    weights = saved(tmp_path / "bfloat16")["method"].values()
    assert {value.dtype for value in weights} == {torch.float32, torch.int64}


def test_the_precision_of_passes_is_logged(
    precision: Precision,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(devices, "automatic", lambda device: precision)
    with caplog.at_level(logging.INFO, "vireid"):
        fit(small(ThreeStep), ToyData(), tmp_path / "auto")
    assert f"in {precision}, seed 0" in caplog.messages[0]
    fit(small(ThreeStep), ToyData(), tmp_path / "named", precision=precision)
    assert_same(saved(tmp_path / "auto"), saved(tmp_path / "named"))


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
import gc
import sys
from itertools import product
from pathlib import Path
from tests.learning.test_loop import PRECISIONS, without_batch_statistics
from tests import documents
from tests.toy import ToyData
from vireid import methods
from vireid.learning.devices import this_process
from vireid.learning.loop import fit

gc.freeze()  # accelerate collects garbage often; imported modules are no garbage
process = this_process()
for name, precision in product(methods.available(), PRECISIONS):
    data = ToyData(rank=process.process_index, world=process.num_processes)
    folder = Path(sys.argv[1]) / name / precision
    fit(without_batch_statistics(name), data, folder, precision=precision)
"""
APART: dict[Precision, float] = {"float32": 1e-4, "bfloat16": 0.1}
"""How far two processes may end from one, by how far one came; half of the batch ends 0.3 away."""
LOSSES_APART: dict[Precision, float] = {"float32": 1e-5, "bfloat16": 1e-2}
"""Those of half of the batch are 0.2 away."""


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


def start_one_of_two(rank: int, port: int, folder: Path) -> subprocess.Popen[str]:
    """One process, told what `torchrun` tells it."""
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1}
    path = {"PYTHONPATH": Path(__file__).parents[2]}
    return subprocess.Popen(
        [sys.executable, "-c", TWO, str(folder)],
        env=os.environ | {k: str(v) for k, v in (told | address | path).items()},
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def learnt_by_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes learn, by method and precision; they take longest to start."""
    return made_once(tmp_path_factory, "learnt_by_two", learn_by_two)


def learn_by_two(folder: Path) -> None:
    port = free_port()
    started = [start_one_of_two(rank, port, folder) for rank in range(2)]
    said = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], said


@pytest.mark.slow
@pytest.mark.parametrize("name", methods.available())
def test_two_processes_learn_what_one_does(
    name: str, precision: Precision, learnt_by_two: Path, tmp_path: Path
) -> None:
    fit(one := without_batch_statistics(name), ToyData(), tmp_path, precision=precision)
    end = saved(learnt_by_two / name / precision)["method"]
    begin = without_batch_statistics(name).state_dict()
    came = torch.cat([(w.detach() - begin[k]).flatten() for k, w in one.named_parameters()])
    apart = torch.cat([(w.detach() - end[k]).flatten() for k, w in one.named_parameters()])
    assert came.norm() > 0
    assert apart.norm() < APART[precision] * came.norm()
    pairs = zip(losses(tmp_path), losses(learnt_by_two / name / precision), strict=True)
    for of_one, of_two in pairs:
        assert of_two["losses"] == pytest.approx(of_one["losses"], abs=LOSSES_APART[precision])


def test_losses_go_to_tensorboard_if_wanted(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    fit(small(ThreeStep), ToyData(), tmp_path, tensorboard=True)
    (events,) = (tmp_path / "tensorboard").glob("events.*")
    assert b"refine both/infrared" in events.read_bytes()
