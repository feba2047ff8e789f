"""Galleries on a Milvus server beside pymilvus called directly, and beside a gallery in a folder.

    python -m benchmarks.milvus --write

The server is one standalone process of an old release (2.3.5) on this machine, which the script
starts and ends. Both ways hold the same vectors and records, in collections of their own, and take
turns: the ratios are of turns that follow each other, so that a busy moment of the machine hits
both. Times are by the clock: server and client share the processors.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pymilvus
from pymilvus import DataType, MilvusClient
from scripts.milvus_server import VERSION, MilvusServer, running

from vireid.gallery.addresses import create_store, open_store
from vireid.gallery.filters import Filters
from vireid.gallery.store import Entry, Stamp, Store
from vireid.models.card import ModelCard
from vireid.records import ImageRecord, Modality, moment

RESULTS = Path(__file__).parent / "results" / "milvus.md"
TOP, BATCH, CAMERAS = 50, 5_000, 50
VISIBLE, INFRARED = Modality
MONDAY = datetime(2026, 11, 23)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--note", default="", help="what else has to be told, for the results")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS}")
    asked = parser.parse_args()
    with running() as server:
        text = report(measure(server, asked.pictures, asked.dim, asked.rounds), asked)
    print(text)
    if asked.write:
        RESULTS.write_text(text)


@dataclass(frozen=True)
class Measured:
    """What was measured, in seconds."""

    ours_in: list[float]
    direct_in: list[float]
    searches: dict[str, tuple[list[float], list[float]]]
    seen: list[float]
    """From the end of an addition of one picture to a search that has it."""
    add_one: list[float]
    relabel: list[float]
    remove: list[float]
    memory: list[tuple[int, int]]
    """Vectors held by both ways together, and bytes of the server's memory."""
    same: float
    load: float


def measure(server: MilvusServer, count: int, dim: int, rounds: int) -> Measured:
    address = f"milvus://{server.address}/bench"
    card = ModelCard("bench", "/models/bench", "0" * 16, "float32", 256, 128, dim)
    create_store(address, card, "float32")
    store = open_store(address, 60)
    client = MilvusClient(f"http://{server.address}", timeout=60)
    create_directly(client, dim)
    random = np.random.default_rng(0)
    ours_in: list[float] = []
    direct_in: list[float] = []
    memory = [(0, resident(server))]
    for start in range(0, count, BATCH):
        n = min(BATCH, count - start)
        vectors = unit(random, n, dim)
        entries = [entry(i) for i in range(start, start + n)]
        turns = [
            (ours_in, partial(store.add, vectors, entries)),
            (direct_in, partial(insert_directly, client, vectors, start)),
        ]
        for times, turn in turns if start // BATCH % 2 else reversed(turns):
            times.append(timed(turn))
    settle(client, store)
    memory.append((2 * count, resident(server)))
    queries = unit(random, rounds, dim)
    everything = (Filters(), ["visible", "infrared"], "")
    one = (Filters(VISIBLE), ["visible"], "")
    narrow = (Filters(VISIBLE, cameras=["cam7"]), ["visible"], 'camera == "cam7"')
    searches = {}
    for name, (filters, partitions, condition) in {
        "all pictures": everything,
        "visible pictures": one,
        "visible pictures of one camera": narrow,
    }.items():
        searches[name] = alternate(
            queries,
            partial(search_ours, store, filters),
            partial(search_directly, client, partitions, condition),
        )
    same = agreement(client, store, queries[:20])
    update = updates(store, random, dim)
    return Measured(
        ours_in, direct_in, searches, *update, memory=memory, same=same, load=os.getloadavg()[0]
    )


def unit(random: np.random.Generator, count: int, dim: int) -> np.ndarray:
    vectors = random.standard_normal((count, dim), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def entry(number: int) -> Entry:
    path = Path(f"/data/site/cam{number % CAMERAS}/{number // 1000:05}/{number:09}.jpg")
    record = ImageRecord(
        path=path,
        modality=modality_of(number),
        camera=f"cam{number % CAMERAS}",
        time=MONDAY + timedelta(seconds=number),
        tracklet=f"t{number // 10}",
    )
    return Entry(record, Stamp(20_000, number), f"{number:032x}", Path("/data/site"))


def modality_of(number: int) -> Modality:
    return VISIBLE if number * 2654435761 % 2**32 < 2**31 else INFRARED


def create_directly(client: MilvusClient, dim: int) -> None:
    """The same facts of a picture in a collection such as a program of one's own would make."""
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
    for name in ("path", "camera", "tracklet", "content", "source"):
        schema.add_field(name, DataType.VARCHAR, max_length=1024)
    for name in ("moment", "size", "mtime_ns"):
        schema.add_field(name, DataType.INT64)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="IP")
    client.create_collection("direct", schema=schema)
    for modality in Modality:
        client.create_partition("direct", modality.value)
    client.create_index("direct", index)
    client.load_collection("direct")


def insert_directly(client: MilvusClient, vectors: np.ndarray, start: int) -> None:
    parts: dict[Modality, list[dict[str, Any]]] = {m: [] for m in Modality}
    for number, vector in enumerate(vectors, start):
        known = entry(number)
        stamp = known.stamp or (0, 0)
        parts[known.record.modality].append(
            {
                "id": number,
                "vector": vector,
                "path": str(known.record.path),
                "camera": known.record.camera,
                "tracklet": known.record.tracklet,
                "content": known.content,
                "source": str(known.source),
                "moment": moment(known.record.time or MONDAY),
                "size": stamp[0],
                "mtime_ns": stamp[1],
            }
        )
    for modality, rows in parts.items():
        client.insert("direct", rows, partition_name=modality.value)


def search_ours(store: Store, filters: Filters, query: np.ndarray) -> list[Any]:
    return store.search(query[None], TOP, filters)[0]


def search_directly(
    client: MilvusClient, partitions: Sequence[str], condition: str, query: np.ndarray
) -> list[Any]:
    found = client.search(
        "direct",
        [query],
        condition,
        limit=TOP,
        output_fields=["path", "camera", "tracklet", "content", "source", "moment"],
        partition_names=list(partitions),
        search_params={"metric_type": "IP", "params": {}},
    )
    return [(hit["distance"], dict(hit["entity"])) for hit in found[0]]


def alternate(
    queries: np.ndarray, ours: Callable[[np.ndarray], Any], direct: Callable[[np.ndarray], Any]
) -> tuple[list[float], list[float]]:
    for _ in range(3):
        ours(queries[0]), direct(queries[0])
    times: tuple[list[float], list[float]] = ([], [])
    for number, query in enumerate(queries):
        turns = [(times[0], ours), (times[1], direct)]
        for kept, turn in turns if number % 2 else reversed(turns):
            kept.append(timed(turn, query))
    return times


def agreement(client: MilvusClient, store: Store, queries: np.ndarray) -> float:
    """Return the share of hits that both ways have in common."""
    same = 0
    for query in queries:
        (ours,) = store.search(query[None], TOP, Filters())
        paths = {str(record.path) for _, record in ours}
        direct = search_directly(client, ["visible", "infrared"], "", query)
        same += len(paths & {hit["path"] for _, hit in direct})
    return same / (TOP * len(queries))


def updates(
    store: Store, random: np.random.Generator, dim: int
) -> tuple[list[float], list[float], list[float], list[float]]:
    """Return the times to see, to add, to relabel and to remove one picture."""
    seen, add_one, relabel, remove = [], [], [], []
    for number in range(10**8, 10**8 + 12):
        new, vector = entry(number), unit(random, 1, dim)
        add_one.append(timed(store.add, vector, [new]))
        seen.append(timed(store.search, vector, 1, Filters()))
        key = new.record.key
        relabel.append(timed(store.change, {key: new}))
        remove.append(timed(store.remove, [key]))
    return seen, add_one, relabel, remove


def settle(client: MilvusClient, store: Store) -> None:
    """Wait until a search takes as long as the one before, as indices are built meanwhile."""
    client.flush("direct")
    store.compact()
    query, before = np.ones((1, store.model.embedding_dim), np.float32), 0.0
    for _ in range(60):
        time.sleep(1)
        now = timed(store.search, query, 1, Filters())
        if abs(now - before) < 0.02:
            return
        before = now


def timed(turn: Callable[..., Any], *given: Any) -> float:
    started = time.perf_counter()
    turn(*given)
    return time.perf_counter() - started


def resident(server: MilvusServer) -> int:
    """Return the bytes of memory that the server has of its own."""
    assert server.process is not None
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError("the system does not say how much memory a process has")


def report(found: Measured, asked: argparse.Namespace) -> str:
    rows = np.array([min(BATCH, asked.pictures - s) for s in range(0, asked.pictures, BATCH)])
    ours, direct = np.array(found.ours_in), np.array(found.direct_in)
    grown = found.memory[-1][1] - found.memory[0][1]
    lines = [
        "# Galleries on a Milvus server beside pymilvus called directly",
        "",
        f"{asked.pictures:,} pictures of {asked.dim} numbers, half of them visible, index FLAT;",
        f"one standalone server, Milvus {VERSION}, on the same machine;",
        f"pymilvus {pymilvus.__version__}, {platform.machine()}, {os.cpu_count()} processors, load "
        f"average {found.load:.1f}. Where that is above",
        f"the processors, others were at work, and the ratios count. {asked.note}".strip(),
        "Made by `python -m benchmarks.milvus --write`.",
        "",
        f"## Adding {BATCH:,} pictures at once",
        "",
        "| | vectors/s, median | least | most |",
        "|---|---|---|---|",
        *(
            f"| {name} | {np.median(rows / t):,.0f} | {min(rows / t):,.0f} | {max(rows / t):,.0f} |"
            for name, t in (("gallery", ours), ("pymilvus", direct))
        ),
        "",
        f"A turn of the gallery takes {np.median(ours / direct):.2f} times as long as the one of "
        "pymilvus beside it (median). It looks up what it replaces, hashes, counts and commits.",
        "",
        f"## Searching, top {TOP}, one query at a time",
        "",
        "| among | gallery p50 ms | p95 | pymilvus p50 ms | p95 | p50 / p50 | median of pairs |",
        "|---|---|---|---|---|---|---|",
        *(searching(name, *times) for name, times in found.searches.items()),
        "",
        f"Both find the same hits ({found.same:.4f} of them). Records of the hits come with them.",
        "",
        "## One picture at a time",
        "",
        "| | p50 ms | most ms |",
        "|---|---|---|",
        *(
            f"| {name} | {1000 * np.median(t):.0f} | {1000 * max(t):.0f} |"
            for name, t in (
                ("add", found.add_one),
                ("search that has to see it", found.seen),
                ("change its labels", found.relabel),
                ("remove", found.remove),
            )
        ),
        "",
        "## Memory",
        "",
        f"The server has {found.memory[0][1] / 1e6:,.0f} MB of its own without pictures and "
        f"{found.memory[-1][1] / 1e6:,.0f} MB with {found.memory[-1][0]:,} (both ways together): "
        f"{grown / found.memory[-1][0] / 1e3:.1f} kB a picture, of which the vector takes "
        f"{4 * asked.dim / 1e3:.1f} kB.",
        "",
    ]
    return "\n".join(lines)


def searching(name: str, ours: list[float], direct: list[float]) -> str:
    a, b = 1000 * np.array(ours), 1000 * np.array(direct)
    cells = (np.median(a), np.percentile(a, 95), np.median(b), np.percentile(b, 95))
    shown = " | ".join(f"{each:.1f}" for each in cells)
    return f"| {name} | {shown} | {np.median(a) / np.median(b):.2f} | {np.median(a / b):.2f} |"


if __name__ == "__main__":
    main()
