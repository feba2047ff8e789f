"""The service beside the same search in Python, and beside a plain FastAPI handler.

    python benchmarks/serving.py --write
    python benchmarks/serving.py single many

A gallery of 10,000 pictures (vectors drawn at random) and the model `small`; queries are pictures
of NightWalk mini. Services run in processes of their own and are asked over loopback by one process
that writes and reads sockets, so that little of the machine goes to asking. What is compared is
asked in turn, so that a busy moment of the machine hits all alike; processor time is that of the
service. Rates are not limited; every search is written into the audit log. The plain handler, which
searches the same gallery and finds the same hits, decodes, embeds and searches one request at a
time in FastAPI's own threads: it has no keys, no log, no chances, no limits and no batches.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import fastapi
import numpy as np
import onnxruntime
import uvicorn
from PIL import Image

from vireid import datasets
from vireid.gallery import Gallery
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord, Modality
from vireid.search.searcher import Searcher

RESULTS = Path(__file__).parent / "results" / "serving.md"
TOP, BOUNDARY = 20, "b0undary"
PARTS = ("start", "single", "many", "long", "flood")
PLAIN = """
import json, sys
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image
from vireid.gallery import Gallery
from vireid.models.embedder import Embedder
from vireid.records import Modality
gallery = Gallery.open(sys.argv[1])
embedder = Embedder.open("small")
app = FastAPI()
@app.get("/ready")
async def ready(): return {}
@app.post("/search")
def search(images: UploadFile):
    vector = embedder.embed([Image.open(images.file)], Modality.INFRARED)
    hits = gallery.search(vector, 20, modality=Modality.VISIBLE)[0]
    return [{"rank": h.rank, "similarity": h.similarity, **h.record.as_dict()} for h in hits]
uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
"""


@dataclass
class Asked:
    """What became of the requests of some clients."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0

    def at(self, share: float) -> float:
        """Return the milliseconds below which a share of the answers came."""
        return float(np.quantile(self.seconds, share) * 1000) if self.seconds else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} [all]")
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each round with 16 clients")
    parser.add_argument("--long", type=float, default=300.0, help="seconds with 50 clients")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS}")
    asked = parser.parse_args()
    wanted = asked.parts or PARTS
    if strange := set(wanted) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(strange))}; take {', '.join(PARTS)}")
    if asked.write and asked.parts:
        parser.error("results are written of all parts; leave --write or the parts out")
    with tempfile.TemporaryDirectory() as folder:
        gallery = make_gallery(Path(folder) / "site.gallery", asked.pictures)
        queries = [r.path for r in datasets.read("nightwalk").test if r.modality == "infrared"][:64]
        place = gallery, Path(folder)
        lines = header(asked)
        if "start" in wanted:
            lines += starting(*place, asked.rounds)
        if "single" in wanted:
            lines += one_at_a_time(*place, queries)
        if "many" in wanted:
            lines += many(*place, queries, asked.rounds, asked.seconds)
        if "long" in wanted:
            lines += for_long(*place, queries, asked.long)
        if "flood" in wanted:
            lines += flooded(*place)
    text = "\n".join(lines) + "\n"
    print(text)
    if asked.write:
        RESULTS.write_text(text)


def header(asked: argparse.Namespace) -> list[str]:
    versions = f"fastapi {fastapi.__version__}, uvicorn {uvicorn.__version__}"
    versions += f", onnxruntime {onnxruntime.__version__}, {platform.machine()}"
    cores = len(os.sched_getaffinity(0))
    return [
        "# The service beside the same search in Python",
        "",
        f"{asked.pictures:,} pictures, model `small`, top {TOP}; {cores} processors that services",
        f"and clients share; {versions}, load average at the start {os.getloadavg()[0]:.1f}.",
        "Made by `python benchmarks/serving.py --write`.",
        "",
    ]


def make_gallery(path: Path, count: int) -> Path:
    model = Embedder.open("small")
    vectors = np.random.default_rng(0).standard_normal((count, model.embedding_dim), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    spectra = tuple(Modality)
    records = [
        ImageRecord(Path(f"/site/{i // 50}/{i}.jpg"), spectra[i % 2], i % 500, f"cam{i % 8}")
        for i in range(count)
    ]
    with Gallery.create(path, model) as gallery:
        gallery.add(vectors, records)
    return path


@contextmanager
def serving(gallery: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, float]]:
    """The service in a process: process, port, and seconds until it was ready."""
    port = free_port()
    words = ["serve", str(gallery), "--data", str(folder / "data"), "--port", str(port)]
    environment = {**os.environ, "VIREID_REQUESTS_PER_MINUTE": "1000000"}
    with started([sys.executable, "-m", "vireid", *words], port, environment) as found:
        yield found


@contextmanager
def plain(gallery: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, float]]:
    port = free_port()
    with started([sys.executable, "-c", PLAIN, str(gallery), str(port)], port, None) as found:
        yield found


@contextmanager
def started(
    command: list[str], port: int, environment: dict[str, str] | None
) -> Iterator[tuple[subprocess.Popen[bytes], int, float]]:
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5):
                    break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, "the service has ended"
                time.sleep(0.005)
        yield process, port, time.perf_counter() - begin
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def memory_of(process: subprocess.Popen[bytes]) -> float:
    """Return the MB that a process holds in memory (resident set)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1000


def processor_time(process: subprocess.Popen[bytes]) -> float:
    """Return the seconds that a process has had of the processors."""
    times = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def starting(gallery: Path, folder: Path, rounds: int) -> list[str]:
    seconds, megabytes = [], []
    for _ in range(rounds):
        with serving(gallery, folder) as (process, _, took):
            seconds.append(took)
            megabytes.append(memory_of(process))
    return [
        "## Starting",
        "",
        "| | median | worst | has to be |",
        "|---|---|---|---|",
        f"| seconds until ready | {statistics.median(seconds):.2f} | {max(seconds):.2f} | <= 2 |",
        f"| MB then | {statistics.median(megabytes):.0f} | {max(megabytes):.0f} | <= 400 |",
        "",
    ]


def request_of(path: str, files: Sequence[bytes], **said: object) -> bytes:
    """Return the bytes of a request that sends files and fields."""
    body = BytesIO()
    for content in files:
        body.write(
            f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=images; filename=x\r\n"
            "Content-Type: image/jpeg\r\n\r\n".encode()
        )
        body.write(content + b"\r\n")
    for name, value in said.items():
        head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name={name}\r\n\r\n"
        body.write(f"{head}{value}\r\n".encode())
    body.write(f"--{BOUNDARY}--\r\n".encode())
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; "
        f"boundary={BOUNDARY}\r\nContent-Length: {body.tell()}\r\n\r\n"
    )
    return head.encode() + body.getvalue()


class Client:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Return the status of an answer, and its body."""
        if not hasattr(self, "_writer"):
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(request)
        await self._writer.drain()
        head = await self._reader.readuntil(b"\r\n\r\n")
        (length,) = (
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        return int(head[9:12]), await self._reader.readexactly(length)


async def keep_asking(
    port: int, requests: Sequence[bytes], clients: int, seconds: float, allowed: int = 200
) -> Asked:
    """Have clients ask as fast as they get answers."""
    asked, ends = Asked(), time.perf_counter() + seconds

    async def client(number: int) -> None:
        connection, turn = Client(port), number
        while time.perf_counter() < ends:
            begin = time.perf_counter()
            status, _ = await connection.ask(requests[turn % len(requests)])
            asked.seconds.append(time.perf_counter() - begin)
            asked.errors += status not in (200, allowed)
            turn += clients

    await asyncio.gather(*(client(number) for number in range(clients)))
    return asked


def searches(queries: Sequence[Path]) -> list[bytes]:
    path = "/api/v1/galleries/site/search"
    return [
        request_of(path, [query.read_bytes()], modality="infrared", top=TOP) for query in queries
    ]


def one_at_a_time(gallery: Path, folder: Path, queries: Sequence[Path]) -> list[str]:
    http, python = Asked(), Asked()
    with serving(gallery, folder) as (_, port, _), Searcher.open(gallery) as searcher:

        async def compare() -> None:
            client, requests = Client(port), searches(queries)
            for turn in range(5 * len(queries)):
                query = queries[turn % len(queries)]
                begin = time.perf_counter()
                status, body = await client.ask(requests[turn % len(queries)])
                document = json.loads(body)
                between = time.perf_counter()
                answer = searcher.search(query, TOP, query_modality=Modality.INFRARED)
                json.dumps(answer.as_dict())
                after = time.perf_counter()
                assert status == 200
                mine = [hit["similarity"] for hit in document["hits"]]
                assert np.allclose(mine, [h.similarity for h in answer.hits], atol=1e-5)
                if turn >= len(queries):
                    http.seconds.append(between - begin)
                    python.seconds.append(after - between)

        asyncio.run(compare())
    ratio = http.at(0.5) / python.at(0.5)
    return [
        "## One search after another, from the picture's file to JSON",
        "",
        "| | p50 ms | p95 ms |",
        "|---|---|---|",
        f"| over HTTP | {http.at(0.5):.1f} | {http.at(0.95):.1f} |",
        f"| in Python | {python.at(0.5):.1f} | {python.at(0.95):.1f} |",
        "",
        f"p50 over HTTP is {ratio:.2f} times that in Python; it has to be at most 1.5 times.",
        "",
    ]


def many(
    gallery: Path, folder: Path, queries: Sequence[Path], rounds: int, seconds: float
) -> list[str]:
    asked = (searches(queries), [request_of("/search", [query.read_bytes()]) for query in queries])
    rates: tuple[list[float], list[float]] = [], []
    costs: tuple[list[float], list[float]] = [], []
    late = Asked(), Asked()
    with serving(gallery, folder) as mine, plain(gallery) as other:
        asyncio.run(compare_hits((mine[1], other[1]), asked))
        for _ in range(rounds):
            for which, (process, port, _) in enumerate((mine, other)):
                before = processor_time(process)
                found = asyncio.run(keep_asking(port, asked[which], 16, seconds))
                assert not found.errors
                rates[which].append(len(found.seconds) / seconds)
                spent = processor_time(process) - before
                costs[which].append(1000 * spent / len(found.seconds))
                late[which].seconds += found.seconds
    ratio = statistics.median(a / b for a, b in zip(*rates, strict=True))
    less = statistics.median(b / a for a, b in zip(*costs, strict=True))
    lines = [
        "## 16 clients",
        "",
        "| | searches a second | p50 ms | p99 ms | processor ms a search |",
        "|---|---|---|---|---|",
    ]
    for which, name in enumerate(("the service", "a plain handler")):
        rate, cost = statistics.median(rates[which]), statistics.median(costs[which])
        times = f"{late[which].at(0.5):.0f} | {late[which].at(0.99):.0f}"
        lines.append(f"| {name} | {rate:.0f} | {times} | {cost:.1f} |")
    return [
        *lines,
        "",
        f"The service answers {ratio:.2f} times as many (median of {rounds} rounds in turn; it has",
        f"to be at least 1.5), and the plain handler takes {less:.2f} times its processor time.",
        "",
    ]


async def compare_hits(ports: Sequence[int], asked: Sequence[Sequence[bytes]]) -> None:
    """Make sure that both answer the same, which is only then a fair comparison."""
    mine, other = (Client(port) for port in ports)
    for ours, theirs in zip(*asked, strict=True):
        (status, found), (other_status, expected) = await mine.ask(ours), await other.ask(theirs)
        assert status == other_status == 200
        hits = [hit["similarity"] for hit in json.loads(found)["hits"]]
        assert np.allclose(hits, [hit["similarity"] for hit in json.loads(expected)], atol=1e-5)


def for_long(gallery: Path, folder: Path, queries: Sequence[Path], seconds: float) -> list[str]:
    with serving(gallery, folder) as (process, port, _):
        found = asyncio.run(keep_asking(port, searches(queries), 50, seconds))
        megabytes = memory_of(process)
    return [
        f"## 50 clients for {seconds:.0f} s",
        "",
        f"{len(found.seconds):,} searches, {found.errors} errors; p50 {found.at(0.5):.0f} ms, "
        f"p99 {found.at(0.99):.0f} ms, worst {found.at(1):.0f} ms; {megabytes:.0f} MB at the end.",
        "",
    ]


def flooded(gallery: Path, folder: Path, seconds: float = 20.0) -> list[str]:
    """Ask for /health all the time while clients send photographs of 12 million pixels."""
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    file = BytesIO()
    Image.fromarray(noise).resize((4000, 3000)).save(file, "JPEG", quality=92)
    flood = [request_of("/api/v1/galleries/site/search", [file.getvalue()], modality="infrared")]
    health = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    asked = Asked()
    with serving(gallery, folder) as (_, port, _):

        async def ask_for_health() -> None:
            client, ends = Client(port), time.perf_counter() + seconds
            while time.perf_counter() < ends:
                begin = time.perf_counter()
                status, _ = await client.ask(health)
                asked.seconds.append(time.perf_counter() - begin)
                asked.errors += status != 200
                await asyncio.sleep(0.02)

        # The flood comes from another process: one that writes so much would measure itself.
        request = folder / "flood.bin"
        request.write_bytes(flood[0])
        command = [sys.executable, __file__, "--flood", str(port), str(request), str(seconds)]
        flooding = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        asyncio.run(ask_for_health())
        sent = flooding.communicate()[0].strip()
    return [
        "## A flood of uploads",
        "",
        f"32 clients send photographs of {len(file.getvalue()) / 1e6:.1f} MB for {seconds:.0f} s "
        f"({sent}). Meanwhile",
        f"{len(asked.seconds)} requests for /health: p50 {asked.at(0.5):.0f} ms, "
        f"p99 {asked.at(0.99):.0f} ms, {asked.errors} errors; p99 has to be at most 100 ms.",
        "",
    ]


def flood(port: int, request: Path, seconds: float) -> None:
    found = asyncio.run(keep_asking(port, [request.read_bytes()], 32, seconds, allowed=503))
    print(f"{len(found.seconds)} answers, {found.errors} other than 200 and 503")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--flood"]:
        flood(int(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
    else:
        main()
