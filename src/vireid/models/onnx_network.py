"""Exported models: checked against their card and run by ONNX Runtime, without torch."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from vireid.models.card import CARD, Exported, ModelCard, ModelError
from vireid.models.network import Pictures, Text, Vectors
from vireid.records import Modality

EXPORTED = Text(
    refusal="{name} was exported, and an export holds nothing that reads text; say by --model "
    "which run it was exported from"
)


def open_exported(
    folder: Path, exported: Exported, source: str, threads: int
) -> tuple[ModelCard, "OnnxNetwork", Text]:
    """Open a folder that `vireid export` has written.

    Args:
        folder: Holds `model.json`, a graph for each spectrum, and `weights.bin`.
        exported: The content of `model.json`.
        source: Name that the model was opened by, for its card.
        threads: Number of threads of ONNX Runtime.

    Raises:
        ModelError: A file is not the exported one.
    """
    graphs = [f"{modality}.onnx" for modality in Modality]
    for file in [*graphs, "weights.bin"]:
        _check_file(folder / file, exported.files.get(file))
    text = EXPORTED if exported.reads_text else Text()
    return exported.card(source), OnnxNetwork(folder, threads), text


class OnnxNetwork:
    """Runs one ONNX Runtime session for each spectrum, started when it is first needed."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder, self._threads = folder, threads
        self._sessions: dict[Modality, Any] = {}

    def __call__(self, pictures: Pictures, modality: Modality) -> Vectors:
        """Embed pictures of one spectrum."""
        if modality not in self._sessions:
            self._sessions[modality] = self._start(self._folder / f"{modality}.onnx")
        (embeddings,) = self._sessions[modality].run(["embeddings"], {"pictures": pictures})
        return np.asarray(embeddings)

    def _start(self, graph: Path) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _check_file(path: Path, expected: str | None) -> None:
    if expected is None:
        raise ModelError(f"{path.parent / CARD} does not list {path.name}; export it again")
    if not path.exists():
        raise ModelError(f"{path} is missing; copy the whole folder, or export the model again")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ModelError(
            f"{path} is not the file that was exported, as {CARD} tells; copy or export it again"
        )
