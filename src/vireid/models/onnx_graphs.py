"""ONNX graphs of a model in one folder: `visible.onnx`, `infrared.onnx` and their weights.

Both take `pictures` (uint8, n x height x width x 3) and give `embeddings` (float32, n x d, rows of
length one). What else a program has to know stands in their metadata: `contract` makes it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from vireid.models.onnx_network import WEIGHTS
from vireid.records import Modality
from vireid.types.engine_options import Precision

ALIGNMENT = 64
"""Bytes to whose multiples tensors are aligned in the file of weights, to be used where they
lie."""
INLINE = 1024
"""Bytes below which a tensor stays in the graph, as do the shapes needed to load the graph."""
RANDOM = {
    *("Bernoulli", "Dropout", "Multinomial"),
    *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
}
"""Operators of ONNX that may draw random numbers."""
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
    stored: str | None = None,
) -> None:
    """Write the graphs of both spectra; weights that they share are stored once.

    A tensor that `stored` has already stays there; the others go to `weights.bin`.

    Args:
        graphs: Graphs that hold their weights.
        folder: Folder to write to.
        contracts: What each says of itself, see `contract`.
        stored: Name of a file of safetensors in the folder, or None.
    """
    for modality, graph in graphs.items():
        onnx.helper.set_model_props(graph, dict(contracts[modality]))
    named = {f"{modality}.onnx": graph for modality, graph in graphs.items()}
    write_sharing(named, folder, WEIGHTS, stored)


def write_sharing(
    graphs: Mapping[str, onnx.ModelProto], folder: Path, file: str, stored: str | None = None
) -> None:
    """Write graphs by their names, and a file of weights that holds what they share once.

    Args:
        graphs: Graphs that hold their weights.
        folder: Folder to write to.
        file: Name of the file of weights; there is none where all are stored.
        stored: Name of a file of safetensors in the folder whose tensors stay there, or None.
    """
    weights = _Weights(folder / file, stored)
    for name, graph in graphs.items():
        weights.take_from(graph)
        onnx.save_model(graph, folder / name)
    weights.write()


def halve_weights(model: onnx.ModelProto) -> None:
    """Keep matrices and kernels in float16; the graph brings them back to float32 to compute.

    Vectors stay as they are: they are small, and hold variances that float16 cannot tell from zero.
    So do weights too large or too small for float16. ONNX Runtime and OpenVINO widen the others
    once, when they start.
    """
    graph = model.graph
    widened = list[onnx.NodeProto]()
    for tensor in graph.initializer:
        weights = onnx.numpy_helper.to_array(tensor)
        if weights.dtype != np.float32 or weights.ndim < 2 or weights.nbytes < INLINE:
            continue
        with np.errstate(over="ignore"):
            half = weights.astype(np.float16)
        if not np.allclose(half, weights, rtol=2**-10, atol=2**-11 * np.abs(weights).max()):
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}/float16"))
        to = onnx.TensorProto.FLOAT
        widened.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=to))
    nodes = [*widened, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def merge_equal(model: onnx.ModelProto) -> None:
    """Compute once what several nodes of a graph compute alike, and keep equal weights once.

    Two nodes are alike if they do the same with the same, so models that begin with one network,
    layer by layer, share it as far as they go together. A graph with loops or branches stays as it
    is, and so do nodes that draw random numbers.
    """
    graph = model.graph
    kinds = onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS
    if any(attribute.type in kinds for node in graph.node for attribute in node.attribute):
        return
    results = {output.name for output in graph.output}
    kept_as = dict[str, str]()
    """Name of the value that stands for another."""
    weights, nodes = dict[object, onnx.TensorProto](), dict[object, onnx.NodeProto]()
    for tensor in graph.initializer:
        content = hashlib.sha256(onnx.numpy_helper.to_array(tensor).tobytes()).digest()
        alike: object = tensor.data_type, tuple(tensor.dims), content
        if tensor.name in results:
            alike = tensor.name
        kept_as[tensor.name] = weights.setdefault(alike, tensor).name
    for place, node in enumerate(graph.node):
        node.input[:] = [kept_as.get(name, name) for name in node.input]
        how = sorted(attribute.SerializeToString() for attribute in node.attribute)
        given = tuple(map(bool, node.output))
        alike = node.domain, node.op_type, tuple(node.input), tuple(how), given
        if node.op_type in RANDOM or results & set(node.output):
            alike = place
        kept = nodes.setdefault(alike, node)
        kept_as |= {name: of for name, of in zip(node.output, kept.output, strict=True) if name}
    for field, values in ((graph.initializer, weights), (graph.node, nodes)):
        remaining = list(values.values())
        del field[:]
        field.extend(remaining)


class _Weights:
    """Files of tensors in which none is stored twice."""

    def __init__(self, path: Path, stored: str | None) -> None:
        self._path = path
        self._content = bytearray()
        self._places: dict[bytes, tuple[str, int]] = {}
        """File and offset of each tensor, by the hash of its content."""
        if stored is not None:
            content = (path.parent / stored).read_bytes()
            for start, end in _spans(content):
                self._places[hashlib.sha256(content[start:end]).digest()] = stored, start

    def take_from(self, graph: onnx.ModelProto) -> None:
        """Leave in a graph where its tensors are, in place of the tensors."""
        for tensor in graph.graph.initializer:
            content = onnx.numpy_helper.to_array(tensor).tobytes()
            if len(content) < INLINE:
                continue
            file, offset = self._place(content)
            tensor.raw_data = content
            onnx.external_data_helper.set_external_data(tensor, file, offset, len(content))
            tensor.ClearField("raw_data")

    def _place(self, content: bytes) -> tuple[str, int]:
        digest = hashlib.sha256(content).digest()
        if digest not in self._places:
            self._content += b"\0" * (-len(self._content) % ALIGNMENT)
            self._places[digest] = self._path.name, len(self._content)
            self._content += content
        return self._places[digest]

    def write(self) -> None:
        """Write the tensors that were not stored before, if there are any."""
        if self._content:
            self._path.write_bytes(self._content)


def _spans(content: bytes) -> list[tuple[int, int]]:
    """Return where each tensor of a file of safetensors begins and ends.

    Source: https://huggingface.co/docs/safetensors, Format.
    """
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    header.pop("__metadata__", None)
    return [
        (begin + start, begin + end) for start, end in (t["data_offsets"] for t in header.values())
    ]
