"""Exact search in a gallery of 100,000 pictures beside FAISS's flat index, one thread each.

    python benchmarks/gallery_search.py --write

Both hold the same vectors, half of them visible, spectra mixed at random. Every round asks each of
them the same infrared query, in turn, so that a busy moment of the machine hits all alike; times
are processor time of the one thread, which on an idle machine is what a clock shows. The
gallery's times include looking up paths, cameras and identities of the hits; FAISS gives numbers.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from vireid.gallery import Gallery
from vireid.gallery.store import Storage
from vireid.models.card import ModelCard
from vireid.records import ImageRecord, Modality

RESULTS = Path(__file__).parent / "results" / "gallery_search.md"
TOP = 50
CAMERAS = 50
Ask = Callable[[np.ndarray], list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS}")
    asked = parser.parse_args()
    faiss.omp_set_num_threads(1)
    vectors, queries = unit(asked.pictures, asked.dim, 0), unit(asked.rounds, asked.dim, 1)
    records = make_records(asked.pictures)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        text = report(Path(folder), vectors, queries, records)
    print(text)
    if asked.write:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(text)


def unit(count: int, dim: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dim), np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def make_records(count: int) -> list[ImageRecord]:
    spectra = np.random.default_rng(2).integers(0, 2, count)
    return [
        ImageRecord(Path(f"/pictures/{i}.jpg"), tuple(Modality)[spectrum], i, f"cam{i % CAMERAS}")
        for i, spectrum in enumerate(spectra)
    ]


def report(
    folder: Path, vectors: np.ndarray, queries: np.ndarray, records: list[ImageRecord]
) -> str:
    galleries: dict[Storage, Gallery] = {}
    opening: dict[Storage, float] = {}
    for storage in ("float32", "float16"):
        filled(folder / storage, storage, vectors, records)
        began = time.perf_counter()
        galleries[storage] = Gallery.open(folder / storage)
        opening[storage] = time.perf_counter() - began
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    visible = np.array([record.modality is Modality.VISIBLE for record in records])
    third = np.arange(len(records)) % CAMERAS == 3
    lines = [heading(len(records), vectors.shape[1], opening)]
    for name, kept, filters in (
        ("infrared query among visible pictures", visible, {"modality": Modality.VISIBLE}),
        ("among all pictures", None, {}),
        ("among visible pictures of one camera (1 %)", visible & third, both_filters()),
    ):
        peers = {
            "gallery, float32": ask_gallery(galleries["float32"], filters),
            "gallery, float16": ask_gallery(galleries["float16"], filters),
            "FAISS flat" + (", selector" if kept is not None else ""): ask_faiss(index, kept),
        }
        lines.append(section(name, peers, queries))
    for gallery in galleries.values():
        gallery.close()
    return "\n".join(lines)


def both_filters() -> dict[str, Any]:
    return {"modality": Modality.VISIBLE, "camera": "cam3"}


def filled(path: Path, storage: Storage, vectors: np.ndarray, records: list[ImageRecord]) -> None:
    card = ModelCard("random", "random", "0" * 16, "float32", 288, 144, vectors.shape[1])
    with Gallery.create(path, card, storage) as gallery:
        for start in range(0, len(records), 10_000):
            part = slice(start, start + 10_000)
            gallery.add(vectors[part], records[part])


def ask_gallery(gallery: Gallery, filters: dict[str, Any]) -> Ask:
    def ask(query: np.ndarray) -> list[int]:
        hits = gallery.search(query, TOP, **filters)[0]
        return [hit.record.identity or 0 for hit in hits]

    return ask


def ask_faiss(index: Any, kept: np.ndarray | None) -> Ask:
    if kept is None:
        return lambda query: index.search(query, TOP)[1][0].tolist()
    bits = np.packbits(kept, bitorder="little")
    untyped: Any = faiss
    parameters = untyped.SearchParameters(sel=untyped.IDSelectorBitmap(bits))
    return lambda query: index.search(query, TOP, params=parameters)[1][0].tolist()


def heading(pictures: int, dim: int, opening: dict[Storage, float]) -> str:
    opened = ", ".join(f"{1e3 * s:.1f} ms ({storage})" for storage, s in opening.items())
    load = os.getloadavg()[0]
    return (
        "# Exact search in a gallery beside FAISS\n\n"
        f"{pictures:,} x {dim}, top {TOP}, one thread each, processor time, asked in turn; "
        f"faiss {faiss.__version__},\nnumpy {np.__version__}, {platform.machine()}, "
        f"load average {load:.1f}. Made by `python benchmarks/gallery_search.py --write`.\n\n"
        f"Opening the gallery: {opened}.\n"
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
            agreed[peer].append(len(found[peer] & truth) / len(truth))
    medians = {peer: 1e3 * float(np.median(taken)) for peer, taken in times.items()}
    reference = list(medians.values())[-1]
    rows = [
        f"| {peer} | {medians[peer]:.2f} | {1e3 * np.percentile(times[peer], 95):.2f} "
        f"| {medians[peer] / reference:.2f} | {np.mean(agreed[peer]):.4f} |"
        for peer in peers
    ]
    head = f"| {name} | p50 ms | p95 ms | p50 / FAISS | same hits |\n|---|---|---|---|---|"
    return "\n".join([head, *rows, ""])


if __name__ == "__main__":
    main()
