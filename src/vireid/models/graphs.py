"""ONNX graphs of a model in one folder: `visible.onnx`, `infrared.onnx` and their `weights.bin`.

Both take `pictures` (uint8, n x height x width x 3) and give `embeddings` (float32, n x d, rows of
length one). What else a program has to know stands in their metadata: `contract` makes it.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import onnx

from vireid.models.onnx_network import WEIGHTS
from vireid.records import Modality
from vireid.types.running import Precision

ALIGNMENT = 64
"""Bytes to whose multiples tensors are aligned in the file of weights, to be used where they
lie."""
INLINE = 1024
"""Bytes below which a tensor stays in the graph, as do the shapes needed to load the graph."""
RESIZE = "bilinear with antialiasing, to height x width whatever the proportions"


def contract(
    modality: Modality, height: int, width: int, fingerprint: str, precision: Precision
) -> dict[str, str]:
    """Return what a graph says of itself to programs that know nothing of vireid."""
    told = {
        "fingerprint": fingerprint,
        "precision": precision,
        "spectrum": modality.value,
        "height": str(height),
        "width": str(width),
        "channels": "red, green, blue of 0 .. 255; grey repeated",
        "resize": RESIZE,
        "similarity": "dot product of embeddings",
    }
    return {f"vireid.{name}": value for name, value in told.items()}


def write(
    graphs: Mapping[Modality, onnx.ModelProto],
    folder: Path,
    contracts: Mapping[Modality, Mapping[str, str]],
) -> None:
    """Write the graphs of both spectra; weights that they share are stored once.

    Args:
        graphs: Graphs that hold their weights.
        folder: Folder to write to.
        contracts: What each says of itself, see `contract`.
    """
    for modality, graph in graphs.items():
        onnx.helper.set_model_props(graph, dict(contracts[modality]))
    write_sharing({f"{m}.onnx": graph for m, graph in graphs.items()}, folder, WEIGHTS)


def write_sharing(graphs: Mapping[str, onnx.ModelProto], folder: Path, weights: str) -> None:
    """Write graphs by their names, and a file of weights that holds what they share once."""
    with (folder / weights).open("wb") as file:
        stored = _Weights(file)
        for name, graph in graphs.items():
            stored.take_from(graph)
            onnx.save_model(graph, folder / name)


class _Weights:
    """A file of tensors in which none is stored twice."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._name = file, Path(file.name).name
        self._places: dict[bytes, int] = {}

    def take_from(self, graph: onnx.ModelProto) -> None:
        """Move the tensors of a graph to the file and leave in it where they are."""
        for tensor in graph.graph.initializer:
            content = onnx.numpy_helper.to_array(tensor).tobytes()
            if len(content) < INLINE:
                continue
            offset = self._place(content)
            tensor.raw_data = content
            onnx.external_data_helper.set_external_data(tensor, self._name, offset, len(content))
            tensor.ClearField("raw_data")

    def _place(self, content: bytes) -> int:
        digest = hashlib.sha256(content).digest()
        if digest not in self._places:
            self._file.write(b"\0" * (-self._file.tell() % ALIGNMENT))
            self._places[digest] = self._file.tell()
            self._file.write(content)
        return self._places[digest]
