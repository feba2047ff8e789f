"""Shapes and types of every public function are checked while the tests run."""

import os

# Several workers share the processors; what a test starts in a process of its own does so too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests import type_checks

type_checks.install()

import gc  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable, Generator, Iterator  # noqa: E402

import hypothesis  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

from vireid.cli.main import main  # noqa: E402
from vireid.learning import devices  # noqa: E402

torch.set_num_threads(1)

# A shell has its background jobs ignore Ctrl-C, and what they start inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes, and to make it, depends on what else the machine does.
hypothesis.settings.register_profile(
    "vireid", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("vireid")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--auto",
        choices=["float32", "bfloat16"],
        help="the precision that `auto` is while these tests run, whatever the device",
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None]:
    """Look for garbage in what tests make, and not in all that was imported for them."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with rooms that have slow tests, or a worker would be left alone with one at the end.

    Tests of a room stay together in this order, because what they share is made once.
    """
    slow = {item.path.parent for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path.parent not in slow)


@pytest.fixture(scope="session", autouse=True)
def auto(pytestconfig: pytest.Config) -> Iterator[None]:
    """Have `auto` be what the command line of pytest says."""
    forced = pytestconfig.getoption("--auto")
    with pytest.MonkeyPatch.context() as patch:
        if forced:
            patch.setattr(devices, "automatic", lambda device: forced)
        yield


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty cache for a module: packs of its little trees are nobody else's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIREID_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Types `vireid ...`; gives exit status, standard output and standard error."""

    def typed(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vireid", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        status = ended.value.code
        assert isinstance(status, int)
        return status, *capsys.readouterr()

    return typed
