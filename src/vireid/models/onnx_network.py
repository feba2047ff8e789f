"""Exported models: checked against their card and run by ONNX Runtime, without torch."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vireid.files.untrusted import open_plain, what_is_wrong
from vireid.models.card import CARD, Exported, ModelCard, ModelError
from vireid.models.network import Text
from vireid.records import Modality
from vireid.types.arrays import Pictures, Vectors

WEIGHTS = "weights.bin"
AT_ONCE = 4
"""Pictures that go through the network together: what layers hand on of more of them does not stay
in the processor's cache. `stripes` takes nearly twice the time a picture with 32 as with 4."""
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
    network = OnnxNetwork(folder, exported, threads)
    text = EXPORTED if exported.reads_text else Text()
    return exported.card(source), network, text


class OnnxNetwork:
    """Runs one ONNX Runtime session for each spectrum, started when it is first needed."""

    def __init__(self, folder: Path, exported: Exported, threads: int) -> None:
        """Check the files of an exported model.

        Raises:
            ModelError: One is missing, or is not the exported one.
        """
        self._folder, self._exported, self._threads = folder, exported, threads
        self._sessions: dict[Modality, Any] = {}
        listed = (n for n in exported.files if n.endswith(".bin") and n == Path(n).name)
        self._weights = sorted({WEIGHTS, *listed})
        names = (*map(_graph_of, Modality), *self._weights)
        self._read = {name: self._content(name) for name in names}
        """Contents of files until they are needed first, which is usually at once."""

    def __call__(self, pictures: Pictures, modality: Modality) -> Vectors:
        """Embed pictures of one spectrum.

        Raises:
            ModelError: A file has changed since, or ONNX Runtime cannot run it.
        """
        if modality not in self._sessions:
            self._sessions[modality] = self._start(modality)
        session = self._sessions[modality]
        with self._explained(modality):
            parts = [
                session.run(["embeddings"], {"pictures": pictures[start : start + AT_ONCE]})[0]
                for start in range(0, max(1, len(pictures)), AT_ONCE)
            ]
        return np.concatenate(parts)

    def _start(self, modality: Modality) -> Any:
        # ONNX Runtime gets the very bytes that were checked. By itself it would also refuse weights
        # behind a link, which is how git-annex, DVC and caches keep them.
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 3
        # Its threads would wait for one another by turning round and round: where others want the
        # processors too, a picture then takes twice the processor time.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        names = (_graph_of(modality), *self._weights)
        graph, *weights = (self._read.pop(name, b"") or self._content(name) for name in names)
        with self._explained(modality):
            options.add_external_initializers_from_files_in_memory(
                self._weights, weights, list(map(len, weights))
            )
            return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def _content(self, name: str) -> bytes:
        """Return a file's content, which is that of the exported file."""
        expected, path = self._exported.files.get(name), self._folder / name
        if expected is None:
            raise ModelError(f"{path.parent / CARD} does not list {name}; export it again")
        try:
            with open_plain(path) as file:
                content = file.read()
        except OSError as error:
            way_out = "copy the whole folder, or export the model again"
            raise ModelError(f"{path} {what_is_wrong(path, error)}; {way_out}") from error
        if hashlib.sha256(content).hexdigest() != expected:
            raise ModelError(
                f"{path} is not the file that was exported, as {CARD} tells; "
                "copy or export it again"
            )
        return content

    @contextmanager
    def _explained(self, modality: Modality) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # ONNX Runtime's errors have no common base
            reason = " ".join(str(error).split())[:300]
            raise ModelError(
                f"{self._folder / _graph_of(modality)} cannot be run by ONNX Runtime ({reason}); "
                "export it again, with this version of vireid"
            ) from error


def _graph_of(modality: Modality) -> str:
    return f"{modality}.onnx"
