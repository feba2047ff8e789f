"""Clusters that are begun and ended here, and those that cannot be joined."""

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.bulk.conftest import TwoNodes
from tests.onnx_model import write_model, write_site
from tests.waiting import wait_for

from vireid.bulk.cluster import SHORT_FOLDER, Cluster
from vireid.errors import VireidError
from vireid.gallery import Gallery

Run = Callable[..., tuple[int, str, str]]
HELD_UP = """
import signal, sys, threading
from pathlib import Path
from vireid import progress
from vireid.cli.main import main

def wait(step):
    if step.what == "indexing pictures" and step.done:
        reached.touch()
        threading.Event().wait()

reached = Path(sys.argv.pop())
signal.signal(signal.SIGINT, signal.default_int_handler)
with progress.told_to(wait):
    main()
"""
"""Stays in the middle of its work, and touches the file that is its last argument."""
OF_ANOTHER_VERSION = """
import ray
ray.__version__ = "2.0.0"
from vireid.cli.main import main
main()
"""


def in_session(session: int) -> list[int]:
    """The processes that a session has not ended."""
    listed = subprocess.run(
        ["ps", "--no-headers", "-o", "pid,stat", "-s", str(session)],
        capture_output=True,
        text=True,
        check=False,
    )
    pairs = (line.split() for line in listed.stdout.splitlines())
    return [int(pid) for pid, state in pairs if not state.startswith("Z")]


def listened_at(pids: list[int]) -> set[str]:
    """The addresses at which processes listen, in the hexadecimal digits of Linux."""
    sockets = {
        str(link.readlink()) if link.is_symlink() else ""
        for pid in pids
        for link in Path(f"/proc/{pid}/fd").glob("*")
    }
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    listening = [line for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets]
    return {line[1].partition(":")[0] for line in listening}


def folders_of(pids: list[int]) -> set[Path]:
    """The folders of clusters that command lines name."""
    lines = (Path(f"/proc/{pid}/cmdline").read_text() for pid in pids)
    named = re.compile(rf"{SHORT_FOLDER}/vireid-\w+")
    return {Path(name) for line in lines for name in named.findall(line)}


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}


@pytest.mark.slow
def test_a_local_cluster_listens_to_nobody_else_and_ends_with_ctrl_c(
    two_nodes: TwoNodes, tmp_path: Path
) -> None:
    site, out, reached = write_site(tmp_path / "site"), tmp_path / "a.gallery", tmp_path / "reached"
    home = tmp_path / "home"
    home.mkdir()
    words = ["index", site, "--out", out, "--model", write_model(tmp_path / "toy"), "--batch", "1"]
    begun = subprocess.Popen(
        [sys.executable, "-c", HELD_UP, *map(str, words), "--workers", "1", "--ray", str(reached)],
        env={k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        | {"HOME": str(home), "VIREID_CACHE": str(tmp_path / "cache")},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: reached.exists() or begun.poll() is not None)
    assert listened_at(in_session(begun.pid)) - LOOPBACK == set()
    assert listened_at(in_session(begun.pid))
    (folder,) = folders_of(in_session(begun.pid))
    os.killpg(begun.pid, signal.SIGINT)  # as a terminal does, to everybody in the foreground
    _, told = begun.communicate()
    assert begun.returncode == 128 + signal.SIGINT, told
    with Gallery.open(out) as gallery:
        assert 0 < len(gallery) < 24
        safe = f"{len(gallery)} pictures are safe in {out}"
    assert told == f"vireid: interrupted; {safe}, the same command goes on from there\n"
    wait_for(lambda: not in_session(begun.pid))
    assert not folder.exists()
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("photos", "'photos' is no address of a Ray cluster; give HOST:PORT"),
        ("127.0.0.1:70000", "is no address"),
        ("http://127.0.0.1:6379", "is no address"),
    ],
)
def test_what_is_no_address_is_told(address: str, reason: str) -> None:
    with pytest.raises(VireidError, match=reason):
        Cluster(address)


def answer_as_a_page_does(server: socket.socket) -> None:
    asker, _ = server.accept()
    with asker:
        asker.recv(1000)
        asker.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_an_address_where_nobody_answers_is_told(run: Run, tmp_path: Path) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # it does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        site, model = write_site(tmp_path / "site"), write_model(tmp_path / "toy")
        words = ("index", site, "--model", model, "--out", tmp_path / "g", "--ray", address)
        status, _, told = run(*words)
        assert status == 1
        assert f"no Ray cluster answers at {address} (Connection refused)" in told
        taken.listen()
        threading.Thread(target=answer_as_a_page_does, args=(taken,), daemon=True).start()
        status, _, told = run(*words)
        assert status == 1
        assert f"no Ray cluster answers at {address} (something else answers there)" in told


def test_options_of_workers_belong_to_ray(run: Run, tmp_path: Path) -> None:
    for option in ("--workers", "--gpus"):
        status, _, told = run("index", tmp_path, "--out", tmp_path / "g", option, "2")
        assert (status, "belong to --ray" in told) == (2, True)


def test_another_version_of_ray_is_told(two_nodes: TwoNodes, tmp_path: Path) -> None:
    site, model = write_site(tmp_path / "site"), write_model(tmp_path / "toy")
    words = ["index", site, "--model", model, "--out", tmp_path / "g", "--ray"]
    answer = subprocess.run(
        [sys.executable, "-c", OF_ANOTHER_VERSION, *map(str, words), two_nodes.asked.address],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"vireid: the cluster at {two_nodes.asked.address} and this")
    assert "2.0.0" in answer.stderr
    assert "install the same versions of Ray and Python" in answer.stderr
