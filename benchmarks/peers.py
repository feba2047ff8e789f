"""vireid beside what others would use in its place, in one run: the table of the README.

    python benchmarks/peers.py --agw Cross-Modal-Re-ID-baseline --write

The released code of AGW is a clone of github.com/mangye16/Cross-Modal-Re-ID-baseline, which does
not come with vireid. Everything is computed by one thread, in float32, and seconds are those of the
processor, so that other work on the machine counts little. Each row takes turns with its peer; a
figure is the median of the rounds, and "times" the median of the ratios of a round. What each row
measures is told by the script that it is taken from.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import faiss
import numpy as np
import torch
from threadpoolctl import threadpool_limits

import _steps
import agw_step
import embedding
import gallery_search
import loading
import ranking
from vireid.gallery import Gallery
from vireid.gallery.filters import Filters
from vireid.models import export

RESULTS = _steps.results("peers")
ROUNDS = 3
LOADED = 640
"""Training pictures that are loaded in a round."""
KEPT, ASKED = 100_000, 20
"""Pictures in the gallery, and searches in a round."""
Rate = Callable[[], float]
"""What is done in a second."""


@dataclass(frozen=True)
class Row:
    """Something that both do."""

    what: str
    peer: str
    ours: Rate
    theirs: Rate

    def measured(self) -> str:
        """Return the row of the table."""
        rounds = [(self.ours(), self.theirs()) for _ in range(ROUNDS)]
        ours, theirs = (median(each) for each in zip(*rounds, strict=True))
        times = median(a / b for a, b in rounds)
        return f"| {self.what} | {shown(ours)} | {shown(theirs)} | {times:.1f} | {self.peer} |"


def shown(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def rows(clone: Path, folder: Path) -> Iterator[Row]:
    yield training(clone)
    yield loaded(folder)
    yield from embedded(folder)
    yield scored(clone)
    yield searched(folder)


def training(clone: Path) -> Row:
    pictures = 2 * agw_step.PEOPLE * agw_step.IMAGES_EACH

    def rate(row: str) -> Rate:
        return lambda: pictures / agw_step.of_row(row, clone)["seconds"]

    what = "pictures learnt from, AGW on ResNet-50 (`agw_step.py`)"
    return Row(what, "AGW's released code", rate(agw_step.FLOAT32), rate(agw_step.RELEASED))


def loaded(folder: Path) -> Row:
    os.environ["VIREID_CACHE"] = str(folder / "cache")
    records = loading.make_pictures(folder, LOADED)

    def rate(loader: str) -> Rate:
        def measured() -> float:
            _, seconds, pictures = loading.seconds(loader, records)
            return pictures / seconds

        return measured

    what = "training pictures loaded and augmented (`loading.py`)"
    return Row(what, "Pillow, torchvision's transforms, DataLoader", rate("vireid"), rate("plain"))


def embedded(folder: Path) -> Iterator[Row]:
    method, height, width = embedding.method_of("ResNet-50")
    pictures = embedding.noise(height, width)
    export.write_graphs(method, height, width, folder)
    runs = dict(embedding.rows_of(folder, pictures))

    def rate(run: Callable[[np.ndarray], object]) -> Rate:
        return lambda: len(pictures) / embedding.processor_seconds(lambda: run(pictures))

    in_torch = rate(embedding.in_torch(method))
    for name in ("ONNX Runtime, float32", "ONNX Runtime, int8"):
        what = f"pictures embedded, ResNet-50, {name} (`embedding.py`)"
        yield Row(what, "torch, float32", rate(runs[name]), in_torch)


def scored(clone: Path) -> Row:
    given = ranking.ranking("single", 0)
    theirs = ranking.peer(clone / "eval_metrics.py")

    def rate(evaluate: ranking.Evaluation) -> Rate:
        return lambda: 1 / embedding.processor_seconds(lambda: evaluate(given))

    what = "trials of SYSU-MM01's size scored (`ranking.py`)"
    return Row(what, "AGW's released code", rate(ranking.ours), rate(theirs))


def searched(folder: Path) -> Row:
    vectors = gallery_search.unit(KEPT, 512, 0)
    queries = gallery_search.unit(ASKED, 512, 1)
    gallery_search.filled(folder / "gallery", "float32", vectors, gallery_search.make_records(KEPT))
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)

    def rate(ask: gallery_search.Ask) -> Rate:
        ask(queries[:1])
        return lambda: ASKED / embedding.processor_seconds(lambda: [ask(q[None]) for q in queries])

    gallery = Gallery.open(folder / "gallery")
    what = f"exact searches among {KEPT:,} pictures (`gallery_search.py`)"
    ours = rate(gallery_search.ask_gallery(gallery, Filters()))
    return Row(what, "FAISS, flat index", ours, rate(gallery_search.ask_faiss(index, None)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agw", type=Path, required=True, metavar="CLONE")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    told = parser.parse_args()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    lines = [
        "| a second | vireid | peer | times | the peer |",
        "|---|---:|---:|---:|---|",
    ]
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        for row in rows(told.agw, Path(folder)):
            lines.append(row.measured())
            print(lines[-1], flush=True)
    text = _steps.report("vireid beside its peers", __doc__, ["\n".join(lines)])
    _steps.publish(text, RESULTS, write=told.write)


if __name__ == "__main__":
    main()
