"""Trials of SYSU-MM01's size, beside the query-by-query evaluation published with AGW's code.

    python benchmarks/ranking.py --peer eval_metrics.py --write

The peer is `eval_metrics.py` of https://github.com/mangye16/Cross-Modal-Re-ID-baseline, which does
not come with vireid; without it only our times are taken. Both rank the same similarities, without
equal ones, on one thread; making these is not timed. Galleries have SYSU-MM01's 96 people, their
cameras and 1 or 10 pictures under each. Seconds of processor time are given beside those on the
clock, as other work on the machine counts for less in them.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import multiprocessing
import os
import platform
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import numpy as np

from vireid.scoring.metrics import score_ranking

RESULTS = Path(__file__).parent / "results" / "ranking.md"
COUNTS = Path(__file__).parents[1] / "tests" / "scoring" / "sysu_mm01_galleries.json"
PICTURES_OF_SHOT = {"single": 1, "multi": 10}
TRIALS = 10
BUSY = "Measured while the machine was busy with other work: only seconds of the processor count."


@dataclass(frozen=True)
class Ranking:
    """What both evaluations are given: similarities, and who was seen by which camera."""

    similarity: np.ndarray
    query_identities: np.ndarray
    query_cameras: np.ndarray
    gallery_identities: np.ndarray
    gallery_cameras: np.ndarray


@dataclass(frozen=True)
class Measured:
    """Trials of one shot by one evaluation."""

    seconds: float
    processor_seconds: float
    megabytes: float
    """Peak of the process, with the similarities of a trial (46 MB if multi-shot) in it."""
    scores: list[list[float]]
    """R1 .. R20, mAP, mINP of every trial."""


Evaluation = Callable[[Ranking], list[float]]


def ranking(shot: str, trial: int) -> Ranking:
    """Similarities at random, higher for the same person."""
    published = json.loads(COUNTS.read_text(encoding="utf-8"))
    pictures = {
        int(name[3]): list(zip(published["identities"], counts, strict=True))
        for name, counts in published["pictures"].items()
    }
    queries = [(i, camera) for camera in (3, 6) for i, n in pictures[camera] for _ in range(n)]
    each = PICTURES_OF_SHOT[shot]
    seen = [(i, camera) for camera in (1, 2, 4, 5) for i, n in pictures[camera] if n]
    query_identities, query_cameras = np.array(queries).T
    gallery_identities, gallery_cameras = np.array(seen).repeat(each, axis=0).T
    noise = np.random.default_rng(trial).standard_normal((len(queries), len(seen) * each))
    noise += 1.5 * (query_identities[:, None] == gallery_identities)
    similarity = noise.argsort(axis=1).argsort(axis=1).astype(np.float32)
    return Ranking(similarity, query_identities, query_cameras, gallery_identities, gallery_cameras)


def ours(r: Ranking) -> list[float]:
    hidden = (r.query_cameras == 3)[:, None] & (r.gallery_cameras == 2)
    scores = score_ranking(r.similarity, r.query_identities, r.gallery_identities, hidden)
    return [*scores.cmc[:20].tolist(), scores.mean_ap, scores.mean_inp]


def peer(path: Path) -> Evaluation:
    """The function `eval_sysu` of a file."""
    spec = importlib.util.spec_from_file_location("peer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def evaluate(r: Ranking) -> list[float]:
        with contextlib.redirect_stdout(io.StringIO()):
            cmc, mean_ap, mean_inp = module.eval_sysu(
                -r.similarity,
                r.query_identities,
                r.gallery_identities,
                r.query_cameras,
                r.gallery_cameras,
            )
        return [*cmc.tolist(), float(mean_ap), float(mean_inp)]

    return evaluate


def measure(shot: str, trials: int, path: Path | None) -> Measured:
    """Score some trials; to be called in a process of its own, whose memory is then told."""
    evaluate = peer(path) if path else ours
    seconds, processor, scores = 0.0, 0.0, []
    for trial in range(trials):
        given = ranking(shot, trial)
        clock, cpu = time.perf_counter(), time.process_time()
        scores.append(evaluate(given))
        seconds += time.perf_counter() - clock
        processor += time.process_time() - cpu
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Measured(seconds, processor, kilobytes / 1000, scores)


def in_own_process(shot: str, trials: int, path: Path | None) -> Measured:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, shot, trials, path).result()


def report(path: Path | None, peer_trials: int) -> str:
    lines = [
        "# Scoring rankings of SYSU-MM01's size",
        "",
        f"{platform.machine()}, {processor()}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, one thread. Seconds on the clock (of the processor).",
        "",
        "| trials | vireid, ten trials | peak memory | AGW's code, one trial | peak memory "
        "| one trial, times faster | largest difference |",
        "|---|---|---|---|---|---|---|",
    ]
    for shot, size in (("single", 301), ("multi", 3010)):
        mine = in_own_process(shot, TRIALS, None)
        cells = [f"{shot}-shot, 3,803 x {size:,}", *told(mine, 1)]
        if path:
            theirs = in_own_process(shot, peer_trials, path)
            ratio = theirs.processor_seconds / peer_trials / (mine.processor_seconds / TRIALS)
            difference = np.abs(np.subtract(mine.scores[:peer_trials], theirs.scores)).max()
            cells += [*told(theirs, peer_trials), f"{ratio:.0f}", f"{difference:.0e}"]
        else:
            cells += ["not given", "", "", ""]
        lines.append(f"| {' | '.join(cells)} |")
        busy = mine.seconds > 1.5 * mine.processor_seconds
    if busy:
        lines += ["", BUSY]
    return "\n".join(lines) + "\n"


def told(measured: Measured, divisor: int) -> list[str]:
    seconds, cpu = measured.seconds / divisor, measured.processor_seconds / divisor
    return [f"{seconds:.2f} s ({cpu:.2f} s)", f"{measured.megabytes:.0f} MB"]


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer", type=Path, help="AGW's eval_metrics.py")
    parser.add_argument("--peer-trials", type=int, default=2, help="how many it is given")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    asked = parser.parse_args()
    text = report(asked.peer, asked.peer_trials)
    print(text)
    if asked.write:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
