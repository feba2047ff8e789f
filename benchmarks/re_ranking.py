"""k-reciprocal re-ranking beside the NumPy version that its authors' repository links.

    python benchmarks/re_ranking.py --peer re_ranking_ranklist.py --write

The peer is `python-version/re_ranking_ranklist.py` of
https://github.com/zhunzhong07/person-re-ranking, which does not come with vireid; without it only
our times are taken. Both begin with the same unit embeddings of SYSU-MM01's size: 3,803 queries of
96 people and 301 gallery pictures, 2,048 numbers each. The peer takes matrices of distances; making
them is timed too. One thread; each in a process of its own, whose peak memory is told, that of
Python, NumPy and the embeddings included. Seconds of processor time stand beside those on the
clock, as other work on the machine counts for less in them. The last row is ours alone: 10,000
queries and 10,000 gallery pictures.
"""

import argparse
import importlib.util
import multiprocessing
import os
import platform
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import numpy as np

from vireid.scoring.re_ranking import re_rank

RESULTS = Path(__file__).parent / "results" / "re_ranking.md"
SYSU, LARGE = (3803, 301), (10_000, 10_000)
DIM = 2048
BUSY = "Measured while the machine was busy with other work: only seconds of the processor count."


@dataclass(frozen=True)
class Measured:
    """One re-ranking."""

    seconds: float
    processor_seconds: float
    megabytes: float
    """Peak of the process."""
    before: float
    """Peak before it began, with the embeddings."""


def embeddings(count: int, people: int, seed: int) -> np.ndarray:
    """Unit vectors; those of a person lie nearer one another than to others."""
    centres = np.random.default_rng(0).standard_normal((people, DIM), dtype=np.float32)
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, DIM), dtype=np.float32)
    vectors *= 2
    for person in range(people):
        vectors[person::people] += centres[person]
    vectors /= np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    return vectors


def theirs(path: Path, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    spec = importlib.util.spec_from_file_location("peer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        squared: np.ndarray = np.sqrt(np.maximum(2 - 2 * (a @ b.T), 0))
        return squared

    answer: np.ndarray = module.re_ranking(
        distances(queries, gallery), distances(queries, queries), distances(gallery, gallery)
    )
    return answer


def measure(size: tuple[int, int], path: Path | None, out: Path) -> Measured:
    """To be called in a process of its own."""
    people = 96 * size[0] // SYSU[0]
    queries, gallery = embeddings(size[0], people, 1), embeddings(size[1], people, 2)
    before = peak()
    clock, cpu = time.perf_counter(), time.process_time()
    distance = theirs(path, queries, gallery) if path else 1 - re_rank(queries, gallery)
    seconds, processor = time.perf_counter() - clock, time.process_time() - cpu
    megabytes = peak()
    np.save(out, distance)
    return Measured(seconds, processor, megabytes, before)


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def in_own_process(size: tuple[int, int], path: Path | None, out: Path) -> Measured:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, size, path, out).result()


def report(path: Path | None, large: bool) -> str:
    lines = [
        "# k-reciprocal re-ranking",
        "",
        f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, one "
        f"thread, {DIM:,} numbers an embedding. Seconds on the clock (of the processor); memory is "
        "the peak of the process (what it had before it began: Python, NumPy, embeddings).",
        "",
        "| queries + gallery | by | time | memory |",
        "|---|---|---|---|",
    ]
    with TemporaryDirectory() as folder:
        mine, other = Path(folder) / "mine.npy", Path(folder) / "theirs.npy"
        ours = in_own_process(SYSU, None, mine)
        lines.append(row(SYSU, "vireid", ours))
        if path:
            peer = in_own_process(SYSU, path, other)
            lines.append(row(SYSU, "NumPy version", peer))
            compared = compare(ours, peer, np.load(mine), np.load(other))
        if large:
            lines.append(row(LARGE, "vireid", in_own_process(LARGE, None, mine)))
    busy = ours.seconds > 1.5 * ours.processor_seconds
    return (
        "\n".join([*lines, *(["", compared] if path else []), *(["", BUSY] if busy else [])]) + "\n"
    )


def row(size: tuple[int, int], by: str, measured: Measured) -> str:
    seconds = f"{measured.seconds:.2f} s ({measured.processor_seconds:.2f} s)"
    memory = f"{measured.megabytes:.0f} MB ({measured.before:.0f} MB)"
    return f"| {size[0]:,} + {size[1]:,} | {by} | {seconds} | {memory} |"


def compare(ours: Measured, peer: Measured, mine: np.ndarray, other: np.ndarray) -> str:
    times = peer.processor_seconds / ours.processor_seconds
    own = (ours.megabytes - ours.before) / (peer.megabytes - peer.before)
    return (
        f"{times:.1f} times as fast, with {ours.megabytes / peer.megabytes:.0%} of the memory "
        f"({own:.0%} of what the re-ranking itself takes). Largest difference of two distances: "
        f"{np.abs(mine - other).max():.0e}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer", type=Path, help="re_ranking_ranklist.py")
    parser.add_argument("--large", action="store_true", help="measure 20,000 pictures too")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    asked = parser.parse_args()
    text = report(asked.peer, asked.large)
    print(text)
    if asked.write:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
