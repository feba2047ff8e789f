"""Engines: what computes the networks of an exported model, and on which device.

    engine          computes by                                     installed by
    cpu             ONNX Runtime on the processor                   vireid
    cuda, tensorrt  ONNX Runtime on a GPU of NVIDIA                 onnxruntime-gpu in its place
    coreml          ONNX Runtime on a Mac                           vireid, on a Mac
    openvino        OpenVINO on the processor                       vireid[openvino]

`auto` is `cuda` where ONNX Runtime has it, and else `cpu`; both compute in float32. Every engine
gets the very bytes that were checked against the model's card.
"""

import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from vireid.errors import VireidError, suggestion
from vireid.threads import processors
from vireid.types.arrays import Pictures, Vectors
from vireid.types.engine_options import BATCH, Engine, Precision

PROVIDERS: Mapping[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
"""Names that ONNX Runtime gives to engines."""
AT_ONCE = 4
"""Pictures that go through a network on the processor together: what layers hand on of more of
them does not stay in its cache. `stripes` takes nearly twice the time a picture with 32 as with
4."""
VARIABLE = "VIREID_ENGINE"
"""Environment variable that names the engine where nothing else does."""

Run = Callable[[Any], Vectors]
"""Embeds pictures of one spectrum, or the words of sentences. Threads share it."""


@dataclass(frozen=True)
class Running:
    """How a model is run."""

    engine: Engine | None = None
    """None for the one that the model's card, or else `VIREID_ENGINE`, names."""
    threads: int | None = None
    """Number of threads; None for one for each processor."""
    batch: int = BATCH
    """Number of pictures that the engine gets together; ONNX Runtime on the processor takes
    `AT_ONCE` of them at a time."""

    def __post_init__(self) -> None:
        """Refuse an engine that nobody knows, and numbers below one."""
        if self.engine is not None:
            check(self.engine)
        for what, number in (("threads", self.threads), ("batch", self.batch)):
            if number is not None and number < 1:
                raise VireidError(f"{what} has to be 1 or more, not {number}")


AS_USUAL = Running()


def check(engine: str) -> None:
    """Refuse an engine that nobody knows.

    Raises:
        VireidError: There is no such engine.
    """
    known = get_args(Engine)
    if engine not in known:
        raise VireidError(f"there is no engine {engine!r}; {suggestion(engine, known)}")


def chosen(running: Running, card: Engine = "auto") -> Engine:
    """Return the engine that a model is run by.

    Args:
        running: What was asked for.
        card: Engine that the card of the model names.

    Raises:
        VireidError: The environment names an engine that nobody knows.
    """
    if running.engine is not None:
        return running.engine
    if card != "auto":
        return card
    named = os.environ.get(VARIABLE, "auto")
    check(named)
    return named  # type: ignore[return-value]


def start(
    graph: bytes,
    weights: Mapping[str, bytes],
    engine: Engine,
    precision: Precision,
    threads: int | None = None,
) -> Run:
    """Make a network ready to run.

    Args:
        graph: ONNX graph from one array, uint8 `pictures` (n x height x width x 3) or int64 `words`
            (1 x length), to float32 `embeddings`.
        weights: Contents of the files of weights that the graph names.
        engine: Engine to run it by.
        precision: Number format to compute in.
        threads: Number of threads; None for one for each processor.

    Raises:
        VireidError: The engine is not installed, has no such device, or does not compute in this
            precision.
    """
    count = threads or processors()
    if engine == "openvino":
        return _openvino(graph, weights, precision, count)
    if precision == "bfloat16":
        raise VireidError(
            "ONNX Runtime does not compute in bfloat16; use the engine openvino, or export the "
            "model again in float32"
        )
    return _onnx_runtime(graph, weights, engine, count)


def _onnx_runtime(graph: bytes, weights: Mapping[str, bytes], engine: Engine, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Its threads would wait for one another by turning round and round: where others want the
    # processors too, a picture then takes twice the processor time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # By itself it would refuse weights behind a link, which is how git-annex, DVC and caches keep
    # them, and read files that may have changed since they were checked.
    options.add_external_initializers_from_files_in_memory(
        list(weights), list(weights.values()), list(map(len, weights.values()))
    )
    providers = _providers(engine, onnxruntime.get_available_providers())
    session = onnxruntime.InferenceSession(graph, options, providers=providers)
    if providers[0] not in session.get_providers():
        raise VireidError(
            f"ONNX Runtime cannot use its {providers[0]} here; see its log, or use the engine cpu"
        )

    (taken,) = session.get_inputs()

    def run(items: np.ndarray) -> Vectors:
        (embeddings,) = session.run(["embeddings"], {taken.name: items})
        return np.asarray(embeddings)

    return _in_parts(run) if providers[0] == PROVIDERS["cpu"] else run


def _in_parts(run: Run) -> Run:
    """Return what gives a network a few pictures at a time."""

    def run_parts(items: np.ndarray) -> Vectors:
        starts = range(0, max(1, len(items)), AT_ONCE)
        return np.concatenate([run(items[start : start + AT_ONCE]) for start in starts])

    return run_parts


def _providers(engine: Engine, available: list[str]) -> list[str]:
    """Return ONNX Runtime's names of the engine to use, and of the processor for what it lacks."""
    if engine == "auto":
        engine = "cuda" if PROVIDERS["cuda"] in available else "cpu"
    if PROVIDERS[engine] not in available:
        there = ", ".join(name for name, provider in PROVIDERS.items() if provider in available)
        raise VireidError(
            f"this ONNX Runtime has no engine {engine}; it has {there}. For cuda and tensorrt "
            "install onnxruntime-gpu in place of onnxruntime"
        )
    return list(dict.fromkeys([PROVIDERS[engine], PROVIDERS["cpu"]]))


def _openvino(
    graph: bytes, weights: Mapping[str, bytes], precision: Precision, threads: int
) -> Run:
    import openvino

    with tempfile.TemporaryDirectory(prefix="vireid-") as folder:
        for name, content in {"graph.onnx": graph, **weights}.items():
            (Path(folder) / name).write_bytes(content)
        core = openvino.Core()
        # By itself it computes in bfloat16 where the processor can, without a word.
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
            "INFERENCE_NUM_THREADS": threads,
        }
        network = core.compile_model(core.read_model(Path(folder) / "graph.onnx"), "CPU", settings)
    own = threading.local()  # a request computes one batch at a time

    def run(pictures: Pictures) -> Vectors:
        if not hasattr(own, "request"):
            own.request = network.create_infer_request()
        found = own.request.infer({"pictures": pictures})
        return np.array(found["embeddings"])

    return run
