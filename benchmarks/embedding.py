"""Embedding by each engine: pictures a second of one thread, and how far from torch it is.

    python benchmarks/embedding.py --write

The shipped models, ResNet-50 (AGW, 288 x 144) and CLIP's ViT-B/16 (256 x 128), the latter two with
random weights, which take as long as learnt ones. Each row embeds the same random pictures in
batches of 16 on one thread; seconds are those of the process, not of the clock, so that other work
on the machine counts little. Rows take turns, a figure is the median of the rounds. "index" reads,
decodes and resizes JPEGs, embeds them and writes the gallery, beside the bare network in the same
round. int8 rounds by ranges of random pictures here: its difference says what rounding does to
noise; what it costs on people stands in the card of a converted model (`vireid export --precision
int8`).
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import _steps
from vireid import methods
from vireid import recipes as shipped
from vireid.gallery import Gallery
from vireid.method import Method
from vireid.models import engines, export, onnx_graphs, quantisation
from vireid.models.card import ModelCard, read_exported
from vireid.models.embedder import Embedder
from vireid.models.engines import Run
from vireid.models.onnx_network import weights_among
from vireid.models.opening import folder_of
from vireid.recipes import recipe
from vireid.records import ImageRecord, Modality
from vireid.search import indexing
from vireid.types.arrays import Pictures
from vireid.types.engine_options import Engine, Precision
from vireid.types.tensors import images_of

RESULTS = _steps.results("embedding")
BATCH, BATCHES, ROUNDS = 16, 2, 5
PEOPLE = 395
RECIPES = {"ResNet-50": "agw_sysu", "ViT-B/16": "clip4vi_reid_vit_sysu"}
SHIPPED = ("small", "duo")
ENGINES: dict[str, tuple[Engine, Precision]] = {
    "ONNX Runtime, float32": ("cpu", "float32"),
    "ONNX Runtime, int8": ("cpu", "int8"),
    "OpenVINO, float32": ("openvino", "float32"),
    "OpenVINO, bfloat16": ("openvino", "bfloat16"),
    "OpenVINO, int8": ("openvino", "int8"),
}
AS_USUAL = "ONNX Runtime, float32"
INDEXED = 1280
"""Pictures that are indexed in a round."""


def method_of(name: str) -> tuple[Method, int, int]:
    """Build a method of a recipe with random weights, for pictures of a height and width."""
    asked = recipe.read(shipped.find(RECIPES[name]), ("settings.pretrained=false",))
    torch.manual_seed(0)
    method = methods.find(asked.method)(asked.settings, PEOPLE).eval()
    return method, asked.data.height, asked.data.width


def in_torch(method: Method) -> Run:
    def run(pictures: Pictures) -> Any:
        with torch.no_grad():
            images = images_of(torch.from_numpy(pictures))
            return method.embed(images, Modality.VISIBLE).numpy()

    return run


def rows_of(folder: Path, pictures: Pictures) -> Iterator[tuple[str, Run]]:
    """Yield the engines that run a model, with their names; those that cannot are told."""
    whole = quantisation.quantised(folder, {Modality.VISIBLE: pictures})
    with tempfile.TemporaryDirectory() as scratch:
        onnx_graphs.write(whole, Path(scratch), {Modality.VISIBLE: {}})
        rounded = files_of(Path(scratch))
    exact = files_of(folder)
    for name, (engine, precision) in ENGINES.items():
        graph, weights = rounded if precision == "int8" else exact
        try:
            yield name, engines.start(graph, weights, engine, precision, 1)
        except (ModuleNotFoundError, RuntimeError) as error:
            print(f"{name}: {error}")


def files_of(folder: Path) -> tuple[bytes, dict[str, bytes]]:
    return (folder / "visible.onnx").read_bytes(), {
        name: (folder / name).read_bytes()
        for name in weights_among(path.name for path in folder.iterdir())
    }


def processor_seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def table(name: str, rows: dict[str, Run], pictures: Pictures) -> str:
    expected = next(iter(rows.values()))(pictures)
    seconds: dict[str, list[float]] = {row: [] for row in rows}
    for run in rows.values():
        run(pictures)  # what is prepared at the first time is not counted
    for _ in range(ROUNDS):
        for row, run in rows.items():
            taken = processor_seconds(lambda run=run: [run(pictures) for _ in range(BATCHES)])  # type: ignore[misc]
            seconds[row].append(taken / (BATCHES * len(pictures)))
    first = statistics.median(seconds[next(iter(rows))])
    lines = [
        f"{name}, {pictures.shape[1]} x {pictures.shape[2]}, batches of {len(pictures)}.\n",
        "| | pictures a second | times the first row | largest difference from it |",
        "|---|---:|---:|---:|",
    ]
    for row, run in rows.items():
        each = statistics.median(seconds[row])
        apart = float(np.abs(run(pictures) - expected).max())
        lines.append(f"| {row} | {1 / each:,.1f} | {first / each:.2f} | {apart:.0e} |")
    return "\n".join(lines)


def noise(height: int, width: int, count: int = BATCH) -> Pictures:
    drawn = np.random.default_rng(0).integers(0, 256, (count, height, width, 3))
    return drawn.astype(np.uint8)


def tables() -> Iterator[str]:
    torch.set_num_threads(1)
    bare = {name: Embedder.open(name, 1) for name in SHIPPED}
    for name in SHIPPED:
        card = read_exported(folder_of(name))
        pictures = noise(card.height, card.width)
        yield table(f"`{name}`", dict(rows_of(folder_of(name), pictures)), pictures)
    for name in RECIPES:
        method, height, width = method_of(name)
        pictures = noise(height, width)
        with tempfile.TemporaryDirectory() as scratch:
            export.write_graphs(method, height, width, Path(scratch))
            run = dict(rows_of(Path(scratch), pictures))
            yield table(name, {"torch, float32": in_torch(method), **run}, pictures)
        if name == "ResNet-50":
            card_of = ModelCard(name, name, "0" * 16, "float32", height, width, len(run_one(run)))
            bare[name] = Embedder(card_of, lambda p, _, run=run[AS_USUAL]: run(p))  # type: ignore[misc]
    yield index_table(bare)


def run_one(rows: dict[str, Run]) -> Any:
    """Return the embedding of a picture of noise."""
    return rows[AS_USUAL](noise(288, 144, 1))[0]


def index_table(bare: dict[str, Embedder]) -> str:
    """Return how near indexing comes to the bare network."""
    lines = [
        f"Indexing {INDEXED} JPEGs of 256 x 128 by ONNX Runtime on one thread; pictures a second "
        "by the clock, and what the bare network takes of the processor time of indexing.\n",
        "| | bare network | index | share | of processor time |",
        "|---|---:|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        records = photographs(Path(scratch))
        for name, embedder in bare.items():
            some = records if name in SHIPPED else records[: INDEXED // 10]
            rounds = [round_of(embedder, some, Path(scratch)) for _ in range(ROUNDS)]
            network, index = (statistics.median(r[n] for r in rounds) for n in (0, 1))
            share = statistics.median(r[0] / r[1] for r in rounds)
            worked = statistics.median(r[2] / r[3] for r in rounds)
            rates = f"{len(some) / network:,.0f} | {len(some) / index:,.0f}"
            lines.append(f"| {name} | {rates} | {100 * share:.0f} % | {100 * worked:.0f} % |")
    return "\n".join(lines)


def photographs(folder: Path) -> list[ImageRecord]:
    """Write JPEGs that compress as photographs do: noise at a quarter of the size, enlarged."""
    records = []
    for number in range(INDEXED):
        drawn = np.random.default_rng(number).integers(0, 256, (64, 32, 3)).astype(np.uint8)
        path = folder / f"{number}.jpg"
        Image.fromarray(drawn).resize((128, 256), Image.Resampling.BICUBIC).save(path, quality=90)
        records.append(ImageRecord(path, Modality.VISIBLE))
    return records


def round_of(
    embedder: Embedder, records: list[ImageRecord], folder: Path
) -> tuple[float, float, float, float]:
    """Return seconds of the bare network and of indexing, by the clock and then of processors."""
    pictures = noise(embedder.height, embedder.width, embedder.batch)
    embedder.embed_pixels(pictures, Modality.VISIBLE)

    def bare() -> None:
        for _ in range(len(records) // embedder.batch):
            embedder.embed_pixels(pictures, Modality.VISIBLE)

    place = folder / f"{time.monotonic_ns()}.gallery"
    with Gallery.create(place, embedder) as gallery:
        of_bare = timed(bare)
        of_index = timed(lambda: indexing.index(records, embedder, gallery))
    return of_bare[0], of_index[0], of_bare[1], of_index[1]


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    began = time.perf_counter()
    worked = processor_seconds(work)
    return time.perf_counter() - began, worked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    told = parser.parse_args()
    found = list(tables())
    _steps.publish(_steps.report("Embedding", __doc__, found), RESULTS, write=told.write)


if __name__ == "__main__":
    main()
