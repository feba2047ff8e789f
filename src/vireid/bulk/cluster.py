"""Clusters of Ray: one that runs already, or one of this machine alone, begun and ended here.

A cluster that is begun here answers to this machine only (loopback), to a token that this process
alone knows, and leaves no file behind. Nothing is sent to Ray's makers, and no dashboard is begun.
"""

import importlib.util
import os
import re
import secrets
import socket
import tempfile
from collections.abc import Iterator, Mapping
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
OBJECT_STORE = 256 * 2**20
"""Bytes in which a local cluster keeps results until they are taken."""
SHORT_FOLDER = Path("/tmp")
"""Folder for the files of a local cluster: paths of sockets have at most 107 letters."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_rpc_server_connect_timeout_s": str(PATIENCE),
}
ALONE = {
    # Ray binds what it begins to all addresses, but where it takes clusters for impossible.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
}


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
    with _environment(QUIET if address != LOCAL else {**QUIET, **ALONE, **_token()}):
        import ray

        if ray.is_initialized():
            yield
            return
        with tempfile.TemporaryDirectory(
            prefix="vireid-", dir=SHORT_FOLDER if SHORT_FOLDER.is_dir() else None
        ) as folder:
            _begin(folder) if address == LOCAL else _join(address)
            try:
                yield
            finally:
                ray.shutdown()


def _token() -> Mapping[str, str]:
    return {"RAY_AUTH_TOKEN": secrets.token_hex(32)}


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process, which Ray's processes inherit, where nobody has set them."""
    own = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            os.environ.pop(name, None)


def _begin(folder: str) -> None:
    import ray

    ray.init(
        LOCAL,
        num_cpus=processors(),
        object_store_memory=OBJECT_STORE,
        _temp_dir=folder,
        _node_ip_address="127.0.0.1",
        **_silent(),
    )


def _silent() -> dict[str, Any]:
    return {"include_dashboard": False, "log_to_driver": False, "logging_level": "CRITICAL"}


def _join(address: str) -> None:
    """Join a cluster.

    Raises:
        VireidError: Nothing answers there, or another version of Ray or Python does.
    """
    import ray
    from ray.exceptions import AuthenticationError

    if address != "auto":
        _knock(address)
    silent = {name: value for name, value in _silent().items() if name != "include_dashboard"}
    try:
        ray.init(address, **silent)
    except AuthenticationError as error:
        raise VireidError(
            f"the cluster at {address} wants its token; put it into RAY_AUTH_TOKEN, beside "
            "RAY_AUTH_MODE=token"
        ) from error
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
        raise VireidError(f"the cluster at {address} cannot be joined ({told[:300]})") from error


def _knock(address: str) -> None:
    """Find out in bounded time whether anything answers at an address."""
    place = ADDRESS.fullmatch(address)
    assert place is not None
    try:
        host, port = place["host"].strip("[]"), int(place["port"])
        socket.create_connection((host, port), timeout=PATIENCE).close()
    except OSError as error:
        raise VireidError(
            f"no Ray cluster answers at {address} ({error.strerror or error}); begin one there "
            "with `ray start --head`, or leave the address out for one of this machine alone"
        ) from error
