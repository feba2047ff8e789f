"""A Milvus server of one's own: for tests, for benchmarks, for a look.

    python -m scripts.milvus_server                          until Ctrl-C; prints its address
    python -m scripts.milvus_server -- pytest tests/gallery  while that command runs

The server is `milvus==2.3.5` from PyPI: one standalone process of an old release. It is installed
into an environment of its own beside vireid's (80 MB, and 300 MB unpacked), listens on free ports,
keeps its data in a folder that is thrown away, and ends with this program, whatever happens. A
command finds its address in VIREID_TEST_MILVUS.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from scripts.make_venv import PIP, environments_folder, is_complete, locked, run

VERSION = "2.3.5"
ADDRESS = "VIREID_TEST_MILVUS"
"""Variable that tells tests where the server is."""
PORTS = ["proxy", "proxy_internal", "root_coord", "query_coord", "query_node"]
PORTS += ["index_coord", "index_node", "data_coord", "data_node"]
STARTING = 120.0
"""Seconds for a server to be ready."""
PREPARE = """
import json, sys, milvus
folder, unpacked, said = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
milvus._initialize_data_files(unpacked)
config = milvus.MilvusServerConfig(data_dir=folder)
config.resolve_storage()
for name, value in said.items():
    config.set(name, value)
config.write_config()
"""
ETCD = """name: default
data-dir: {folder}/data/etcd.data
listen-client-urls: http://127.0.0.1:{client}
advertise-client-urls: http://127.0.0.1:{client}
listen-peer-urls: http://127.0.0.1:{peer}
initial-advertise-peer-urls: http://127.0.0.1:{peer}
initial-cluster: default=http://127.0.0.1:{peer}
logger: zap
log-outputs: [{folder}/logs/etcd.log]
"""


def environment() -> Path:
    """Return the folder of the server's packages, installed if they are not."""
    folder = environments_folder() / f"milvus-{VERSION}"
    with locked(folder.with_suffix(".lock")):
        if not is_complete(folder):
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            run(folder / "bin/python", *PIP, "install", "--quiet", f"milvus=={VERSION}")
            (folder / "complete").touch()
    return folder


class MilvusServer:
    """One server process; killed and started again it finds its data."""

    def __init__(self, folder: Path, *, authorization: bool = False, tls: Path | None = None):
        """Prepare a server.

        Args:
            folder: Empty folder for its data and logs.
            authorization: Whether it asks for user and password (root, Milvus).
            tls: Folder with server.pem and server.key, if it is to speak TLS.
        """
        self.folder = folder
        *ports, client, peer, self._health = free_ports(len(PORTS) + 3)
        self.port = ports[0]
        self.address = f"127.0.0.1:{self.port}"
        self._unpacked = environment() / "unpacked"
        said: dict[str, object] = {
            f"{name}_port": port for name, port in zip(PORTS, ports, strict=True)
        }
        said |= {f"{part}.ip": "127.0.0.1" for part in PARTS}
        said |= {"etcd_port": client, "authorization_enabled": authorization, **QUICK}
        if tls:
            said |= {
                "tls_mode": 1,
                "server_pem_path": str(tls / "server.pem"),
                "server_key_path": str(tls / "server.key"),
                "ca_pem_path": str(tls / "server.pem"),
            }
        python = environment() / "bin/python"
        with locked(self._unpacked.with_suffix(".lock")):
            subprocess.run(
                [python, "-c", PREPARE, folder, self._unpacked, json.dumps(said)], check=True
            )
        etcd = folder / "configs/etcd.yaml"
        etcd.write_text(ETCD.format(folder=folder, client=client, peer=peer))
        config = folder / "configs/milvus.yaml"
        own = f"etcd:\n  config:\n    path: {etcd}\n"
        config.write_text(config.read_text().replace("etcd:\n", own, 1))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, and wait until it answers.

        Raises:
            RuntimeError: It ends, or does not answer in time.
        """
        libraries = str(self._unpacked / "bin")
        said = {
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(self._health),
            "MILVUS_RUN_DIR": str(self.folder / "run"),
            "LD_LIBRARY_PATH": libraries,
        }
        with (self.folder / "logs/milvus.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._unpacked / "bin/milvus", "run", "standalone"],
                cwd=self.folder,
                env={**os.environ, **said},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + STARTING
        while not self._is_well():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the Milvus server does not start; see {self.folder}/logs")
            time.sleep(0.1)

    def _is_well(self) -> bool:
        place = f"http://127.0.0.1:{self._health}/healthz"
        try:
            with urllib.request.urlopen(place, timeout=5) as answer:
                return b"OK" in answer.read()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def kill(self) -> None:
        """End the process at once, as `kill -9` does."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def __enter__(self) -> "MilvusServer":
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


PARTS = ["rootCoord", "proxy", "queryCoord", "queryNode", "indexCoord", "indexNode", "dataCoord"]
PARTS += ["dataNode"]
QUICK = {
    "queryCoord.checkInterval": 100,
    "queryCoord.distPullInterval": 100,
    "common.session.ttl": 5,
}
"""Settings by which a server looks more often at what is to be made ready."""


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    opened = [socket.socket() for _ in range(count)]
    try:
        for each in opened:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in opened]
    finally:
        for each in opened:
            each.close()


@contextmanager
def running(*, authorization: bool = False, tls: Path | None = None) -> Iterator[MilvusServer]:
    """Run a server while the block runs."""
    with (
        tempfile.TemporaryDirectory(prefix="milvus-", ignore_cleanup_errors=True) as folder,
        MilvusServer(Path(folder), authorization=authorization, tls=tls) as server,
    ):
        yield server


def main(command: list[str]) -> int:
    """Run a command, or wait for Ctrl-C, with a server beside it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with running() as server:
        if command:
            environment_ = {**os.environ, ADDRESS: server.address}
            return subprocess.run(command, env=environment_, check=False).returncode
        print(f"Milvus {VERSION}: milvus://{server.address}/{secrets.token_hex(2)}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)
    return 0


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(main(given[1:] if given[:1] == ["--"] else given))
