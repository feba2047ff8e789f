"""Clusters of Ray: one that runs already, or one of this machine alone, begun and ended here.

A cluster that is begun here answers to this machine only (loopback), to a token that this process
alone knows, and leaves no file behind. It sends nothing to anybody, and shows no dashboard.
"""

import importlib.util
import os
import re
import secrets
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vireid.errors import MissingExtraError, VireidError
from vireid.threads import processors

LOCAL = "local"
"""Address of a cluster that is begun for the work and ends with it, on this machine alone."""
ADDRESS = re.compile(r"(ray://)?(?P<host>\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})")
PATIENCE = 10
"""Seconds to wait for whoever answers at an address."""
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""The first frame of either side of HTTP/2, which gRPC and Ray speak: the fourth byte says what it
is."""
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS
OBJECT_STORE = 256 * 2**20
"""Bytes in which a local cluster keeps results until they are taken."""
SHORT_FOLDER = Path("/tmp")
"""Folder for the files of a local cluster: paths of sockets have at most 107 letters."""
NOBODY = "http://127.0.0.1:9"
"""Address where nobody answers."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Told not to report, Ray reports that it has been told so.
    "RAY_USAGE_STATS_REPORT_URL": NOBODY,
    # What happens to workers is told by whoever uses them; Ray would print it among the answers.
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}
"""Variables by which Ray keeps to itself, in whatever it begins."""
NOWHERE = {"http_proxy": NOBODY, "HTTP_PROXY": NOBODY, "no_proxy": "", "NO_PROXY": ""}
"""Variables by which Ray's dashboard, which is begun even where none is asked for, does not ask
three makers of clouds whether it is in theirs. Workers take them back."""
SILENT: Mapping[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
IMPATIENT = {
    "RAY_gcs_rpc_server_connect_timeout_s": str(PATIENCE),
    "RAY_NUM_REDIS_GET_RETRIES": "1",
}
"""Variables by which Ray gives a cluster up that does not answer."""
ALONE = {
    # Ray binds what it begins to all addresses, but where it takes clusters for impossible.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
}
"""Variables by which what Ray begins listens to this machine alone, and to who knows a token."""


@dataclass(frozen=True)
class Cluster:
    """A cluster of Ray, and what bulk work may use of it."""

    address: str = LOCAL
    """`HOST:PORT` of the cluster's head, `ray://HOST:PORT` of its server of clients, `auto` for the
    cluster that this machine is part of, or `LOCAL`."""
    workers: int | None = None
    """Number of workers; None for as many as there is room for."""
    threads: int = 1
    """Processors of each worker."""
    gpus: float = 0.0
    """GPUs of each worker; half a one is shared by two."""

    def __post_init__(self) -> None:
        """Refuse what is no address of a cluster."""
        found = ADDRESS.fullmatch(self.address)
        if self.address in (LOCAL, "auto") or (found and 0 < int(found["port"]) < 65536):
            return
        raise VireidError(
            f"{self.address!r} is no address of a Ray cluster; give HOST:PORT, ray://HOST:PORT or "
            "auto, or nothing for a cluster of this machine alone"
        )


@contextmanager
def joined(address: str = LOCAL) -> Iterator[None]:
    """Be part of a cluster in this block; a process that is part of one already stays in that.

    Args:
        address: Address of the cluster, see `Cluster`.

    Raises:
        VireidError: Nothing answers there, or another version of Ray or Python does.
        MissingExtraError: Ray is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError("ray", "ray")
    if address not in (LOCAL, "auto"):
        _knock(address)
    how = {**ALONE, **token()} if address == LOCAL else IMPATIENT
    with environment({**QUIET, **how}):
        import ray

        if ray.is_initialized():
            _check_same(address)
            yield
            return
        with _begun() if address == LOCAL else _member(address):
            yield


def _check_same(address: str) -> None:
    """Refuse the address of another cluster than the one that this process is part of.

    Raises:
        VireidError: It is another's.
    """
    import ray

    mine = ray.get_runtime_context().gcs_address
    if address not in (LOCAL, "auto", mine):
        raise VireidError(f"this process is part of the cluster at {mine} already, not {address}")


def token() -> Mapping[str, str]:
    """Return a token that nobody else knows, as an environment that tells it to Ray."""
    return {"RAY_AUTH_TOKEN": secrets.token_hex(32)}


Environment = Mapping[str, str | None]
"""Variables of a process; None where one is not set."""


@contextmanager
def environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process in this block; what it begins meanwhile inherits them."""
    before = variables(settings)
    set_variables(settings)
    try:
        yield
    finally:
        set_variables(before)


def variables(names: Iterable[str]) -> Environment:
    """Return variables of this process, by their names."""
    return {name: os.environ.get(name) for name in names}


def set_variables(values: Environment) -> None:
    """Set variables of this process."""
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def _begun() -> Iterator[None]:
    """Begin a cluster of this machine alone, and end it.

    Raises:
        VireidError: Ray cannot be begun here.
    """
    import ray

    parent = SHORT_FOLDER if SHORT_FOLDER.is_dir() else None
    with tempfile.TemporaryDirectory("", "vireid-", parent, ignore_cleanup_errors=True) as folder:
        try:
            with environment(NOWHERE):
                ray.init(
                    LOCAL,
                    num_cpus=processors(),
                    object_store_memory=OBJECT_STORE,
                    include_dashboard=False,
                    _temp_dir=folder,
                    _node_ip_address="127.0.0.1",
                    **SILENT,
                )
        except Exception as error:  # Ray's errors have no common base
            why = " ".join(str(error).split())[:300]
            raise VireidError(
                f"Ray cannot be begun on this machine ({why}); leave --ray out"
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _member(address: str) -> Iterator[None]:
    """Be a member of a cluster that others have begun.

    Raises:
        VireidError: Nothing answers there, or another version of Ray or Python does.
    """
    import ray

    _join(address)
    try:
        yield
    finally:
        ray.shutdown()


def _join(address: str) -> None:
    import ray

    try:
        ray.init(address, **SILENT)
    except Exception as error:  # Ray's errors have no common base
        told = " ".join(str(error).split())
        if "ersion mismatch" in told:
            raise VireidError(
                f"the cluster at {address} and this process differ: {told}; install the same "
                "versions of Ray and Python here and on every node"
            ) from error
        if address == "auto":
            raise VireidError(
                "this machine is part of no Ray cluster; begin one with `ray start --head`, or "
                "leave the address out for one that ends with this command"
            ) from error
        raise VireidError(
            f"the cluster at {address} cannot be joined ({told[:300]}); if it wants a token, put "
            "it into RAY_AUTH_TOKEN, beside RAY_AUTH_MODE=token"
        ) from error


def _knock(address: str) -> None:
    """Find out soon whether anything like Ray answers at an address: Ray itself waits for minutes.

    Raises:
        VireidError: Nothing does.
    """
    place = ADDRESS.fullmatch(address)
    assert place is not None
    try:
        host, port = place["host"].strip("[]"), int(place["port"])
        with socket.create_connection((host, port), timeout=PATIENCE) as opened:
            opened.sendall(HELLO)
            reply = opened.recv(len(SETTINGS))
    except OSError as error:
        why = error.strerror or str(error)
    else:
        if reply[3:4] == SETTINGS[3:4] or os.environ.get("RAY_USE_TLS") == "1":
            return
        why = "something else answers there"
    raise VireidError(
        f"no Ray cluster answers at {address} ({why}); begin one there with `ray start --head`, or "
        "leave the address out for one of this machine alone"
    )
