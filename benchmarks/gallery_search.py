"""Exact search in galleries of 100,000 and 1,000,000 pictures beside FAISS and usearch.

    pip install usearch            # a peer that the project does not need otherwise
    python benchmarks/gallery_search.py --write

All run on one processor and hold the same vectors, half of them visible, spectra mixed at random.
Every round asks each of them the same infrared query, in turn, so that a busy moment of the machine
hits all alike; times are processor time of the one thread, which on an idle machine is what a clock
shows. The gallery's times include looking up paths, cameras and identities of the hits; the peers
give numbers. "One pass" reads the same vectors once and adds them up: no exact search is faster.

Opening, the first question (which compares every checksum) and memory are those of a new process.
A million pictures take 8 GB of memory and 4 GB of disk.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from vireid.gallery import Gallery
from vireid.gallery.filters import Filters
from vireid.gallery.store import Storage
from vireid.models.card import ModelCard
from vireid.records import ImageRecord, Modality

try:
    import usearch
    import usearch.index as usearch_index
except ImportError:
    usearch = None

RESULTS = Path(__file__).parent / "results" / "gallery_search.md"
TOP = 50
CAMERAS = 50
STORAGES: tuple[Storage, ...] = ("float32", "float16")
Ask = Callable[[np.ndarray], list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="for the galleries, instead of a temporary one")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS}")
    asked = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    faiss.omp_set_num_threads(1)
    queries = unit(asked.rounds, asked.dim, 1)
    text = heading(asked.dim)
    for pictures in asked.pictures:
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder, threadpool_limits(1):
            text += report(Path(folder), pictures, queries)
    print(text)
    if asked.write:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(text)


def unit(count: int, dim: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dim), np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def make_records(count: int) -> list[ImageRecord]:
    """Return records of pictures taken one a second."""
    spectra = np.random.default_rng(2).integers(0, 2, count)
    return [
        ImageRecord(
            Path(f"/pictures/{i}.jpg"),
            tuple(Modality)[spectrum],
            i,
            f"cam{i % CAMERAS}",
            time=time_of(i),
        )
        for i, spectrum in enumerate(spectra)
    ]


def time_of(number: int) -> datetime:
    return datetime(2026, 11, 1) + timedelta(seconds=number)


def report(folder: Path, pictures: int, queries: np.ndarray) -> str:
    vectors, records = unit(pictures, queries.shape[1], 0), make_records(pictures)
    galleries: dict[Storage, Gallery] = {}
    lines = [f"\n## {pictures:,} pictures\n", OPENED_HEAD]
    for storage in STORAGES:
        filled(folder / storage, storage, vectors, records)
        lines.append(opened(folder / storage, storage, queries.shape[1]))
        galleries[storage] = Gallery.open(folder / storage)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    visible = np.array([record.modality is Modality.VISIBLE for record in records])
    of_one_camera = visible & (np.arange(len(records)) % CAMERAS == 3)
    few = len(records) // 100
    of_some_hours = np.arange(len(records)) < few
    of_camera = Filters(Modality.VISIBLE, {"cam3"})
    halves = vectors.astype(np.float16)
    lines.append("")
    for name, kept, filters in (
        ("among all pictures", None, Filters()),
        ("an infrared query among visible pictures", visible, Filters(Modality.VISIBLE)),
        ("visible pictures of one camera (1 %)", of_one_camera, of_camera),
        (
            "pictures of some hours (1 %)",
            of_some_hours,
            Filters(until=time_of(few)),
        ),
    ):
        peers: dict[str, Ask] = {
            "gallery, float32": ask_gallery(galleries["float32"], filters),
            "gallery, float16": ask_gallery(galleries["float16"], filters),
        }
        if kept is None:
            peers |= {"one pass, float32": one_pass(vectors), "one pass, float16": one_pass(halves)}
            if usearch:
                peers["usearch exact, float32"] = ask_usearch(vectors)
                peers["usearch exact, float16"] = ask_usearch(halves)
        peers["FAISS flat" + (", selector" if kept is not None else "")] = ask_faiss(index, kept)
        lines.append(section(name, peers, queries))
    for gallery in galleries.values():
        gallery.close()
    return "\n".join(lines)


OPENED_HEAD = """\
| a new process | open, ms | first question, s | second, ms | own MB | mapped MB | disk MB |
|---|---|---|---|---|---|---|"""
OPENED = """
import json, sys, time
import numpy as np
from vireid.gallery import Gallery
def memory():
    lines = open("/proc/self/status").read().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return [int(fields[key].split()[0]) / 1e3 for key in ("RssAnon", "RssFile")]
query = np.zeros((1, int(sys.argv[2])), np.float32)
query[0, 0] = 1
times = [time.perf_counter()]
gallery = Gallery.open(sys.argv[1])
times.append(time.perf_counter())
for _ in range(2):
    gallery.search(query, 50)
    times.append(time.perf_counter())
print(json.dumps([*np.diff(times).tolist(), *memory()]))
"""


def opened(folder: Path, storage: Storage, dim: int) -> str:
    command = [sys.executable, "-c", OPENED, str(folder), str(dim)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    open_, first, second, own, mapped = json.loads(out)
    disk = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    return (
        f"| gallery, {storage} | {1e3 * open_:.1f} | {first:.2f} | {1e3 * second:.1f} "
        f"| {own:,.0f} | {mapped:,.0f} | {disk:,.0f} |"
    )


def one_pass(vectors: np.ndarray) -> Ask:
    """Return what reads all vectors once, by the fastest sum that NumPy has."""
    flat = vectors.reshape(-1).view(np.float32)
    flat = flat if vectors.dtype == np.float32 else vectors.reshape(-1).view(np.uint64)

    def read(_: np.ndarray) -> list[int]:
        if flat.dtype == np.float32:
            flat.dot(flat)
        else:
            np.bitwise_or.reduce(flat)
        return []

    return read


def ask_usearch(vectors: np.ndarray) -> Ask:
    def ask(query: np.ndarray) -> list[int]:
        found = usearch_index.search(
            vectors,
            query.astype(vectors.dtype),
            TOP,
            metric=usearch_index.MetricKind.IP,
            exact=True,
            threads=1,
        )
        return [int(key) for key in found.keys]

    return ask


def filled(path: Path, storage: Storage, vectors: np.ndarray, records: list[ImageRecord]) -> None:
    card = ModelCard("random", "random", "0" * 16, "float32", 288, 144, vectors.shape[1])
    with Gallery.create(path, card, storage) as gallery:
        for start in range(0, len(records), 10_000):
            part = slice(start, start + 10_000)
            gallery.add(vectors[part], records[part])


def ask_gallery(gallery: Gallery, filters: Filters) -> Ask:
    def ask(query: np.ndarray) -> list[int]:
        hits = gallery.search(query, TOP, filters)[0]
        return [hit.record.identity or 0 for hit in hits]

    return ask


def ask_faiss(index: Any, kept: np.ndarray | None) -> Ask:
    if kept is None:
        return lambda query: index.search(query, TOP)[1][0].tolist()
    bits = np.packbits(kept, bitorder="little")
    untyped: Any = faiss
    parameters = untyped.SearchParameters(sel=untyped.IDSelectorBitmap(bits))
    return lambda query: index.search(query, TOP, params=parameters)[1][0].tolist()


def heading(dim: int) -> str:
    peer = f"usearch {usearch.__version__}" if usearch else "usearch not installed"
    return (
        "# Exact search in a gallery beside FAISS and usearch\n\n"
        f"{dim} numbers a picture, top {TOP}, one processor, asked in turn, processor time; "
        f"faiss {faiss.__version__},\n{peer}, numpy {np.__version__}, {platform.machine()}, "
        f"load average {os.getloadavg()[0]:.1f}.\n"
        "Made by `python benchmarks/gallery_search.py --write`.\n"
    )


def section(name: str, peers: dict[str, Ask], queries: np.ndarray) -> str:
    times: dict[str, list[float]] = {peer: [] for peer in peers}
    agreed: dict[str, list[float]] = {peer: [] for peer in peers}
    for ask in peers.values():
        ask(queries[:1])
    for i in range(len(queries)):
        found = {}
        for peer, ask in peers.items():
            began = time.thread_time()
            found[peer] = set(ask(queries[i : i + 1]))
            times[peer].append(time.thread_time() - began)
        truth = found[list(peers)[-1]]
        for peer in peers:
            if found[peer]:
                agreed[peer].append(len(found[peer] & truth) / len(truth))
    medians = {peer: 1e3 * float(np.median(taken)) for peer, taken in times.items()}
    reference = list(medians.values())[-1]
    rows = [
        f"| {peer} | {medians[peer]:.2f} | {1e3 * np.percentile(times[peer], 95):.2f} "
        f"| {medians[peer] / reference:.2f} | {same_hits(agreed[peer])} |"
        for peer in peers
    ]
    head = f"| {name} | p50 ms | p95 ms | p50 / FAISS | same hits |\n|---|---|---|---|---|"
    return "\n".join([head, *rows, ""])


def same_hits(agreed: list[float]) -> str:
    return f"{np.mean(agreed):.4f}" if agreed else ""


if __name__ == "__main__":
    main()
