"""Exported models: checked against their card and run by an engine, without torch."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vireid.errors import VireidError
from vireid.files.untrusted import open_plain, what_is_wrong
from vireid.models import engines, sentence_reader
from vireid.models.card import CARD, Exported, ModelCard, ModelError
from vireid.models.engines import Run, Running
from vireid.models.network import Text
from vireid.models.sentence_reader import SentenceReader
from vireid.records import Modality
from vireid.types.arrays import Pictures, Vectors

WEIGHTS = "weights.bin"
"""File of the weights of graphs that do not lie in `model.safetensors`."""
EXPORTED = Text(
    refusal="{name} was exported without its reader of sentences; export its run again, or say by "
    "--model which run that was"
)


def open_exported(
    folder: Path, exported: Exported, source: str, running: Running
) -> tuple[ModelCard, "OnnxNetwork", Text]:
    """Open a folder that `vireid export` has written.

    Args:
        folder: Holds `model.json`, a graph for each spectrum, and their weights.
        exported: The content of `model.json`.
        source: Name that the model was opened by, for its card.
        running: How to run it.

    Raises:
        ModelError: A file is not the exported one.
    """
    network = OnnxNetwork(folder, exported, running)
    return exported.card(source), network, _text_of(exported, network)


def _text_of(exported: Exported, network: "OnnxNetwork") -> Text:
    if exported.text and not sentence_reader.is_possible():
        return Text(refusal=sentence_reader.NO_TOKENIZER)
    if exported.text:
        reader = SentenceReader(exported.text, network.content, network.threads)
        return Text(reader, caveat=exported.text.caveat)
    return EXPORTED if exported.reads_text else Text()


class OnnxNetwork:
    """Runs one network for each spectrum, started when it is first needed."""

    def __init__(self, folder: Path, exported: Exported, running: Running) -> None:
        """Check the files of an exported model.

        Raises:
            ModelError: One is missing, or is not the exported one.
            VireidError: There is no such engine.
        """
        self._folder, self._exported, self.threads = folder, exported, running.threads
        self._engine = engines.chosen(running, exported.engine)
        self._started: dict[Modality, Run] = {}
        self._weights = weights_among(exported.files)
        names = (*map(_graph_of, Modality), *self._weights)
        self._read = {name: self.content(name) for name in names}
        """Contents of files until they are needed first, which is usually at once."""

    def __call__(self, pictures: Pictures, modality: Modality) -> Vectors:
        """Embed pictures of one spectrum.

        Raises:
            ModelError: A file has changed since, or the engine cannot run it.
        """
        if modality not in self._started:
            self._started[modality] = self._start(modality)
        with self._explained(modality):
            return self._started[modality](pictures)

    def _start(self, modality: Modality) -> Run:
        names = (_graph_of(modality), *self._weights)
        graph, *weights = (self._read.pop(name, b"") or self.content(name) for name in names)
        files = dict(zip(self._weights, weights, strict=True))
        about = self._engine, self._exported.precision, self.threads
        with self._explained(modality):
            return engines.start(graph, files, *about)

    def content(self, name: str) -> bytes:
        """Return a file's content, which is that of the exported file.

        Raises:
            ModelError: It is not.
        """
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
        except (VireidError, ModuleNotFoundError):
            raise
        except Exception as error:  # those of ONNX Runtime and OpenVINO have no common base
            reason = " ".join(str(error).split())[:300]
            by = "OpenVINO" if self._engine == "openvino" else "ONNX Runtime"
            raise ModelError(
                f"{self._folder / _graph_of(modality)} cannot be run by {by} ({reason}); "
                "export it again, with this version of vireid"
            ) from error


def weights_among(files: Iterable[str]) -> list[str]:
    """Return the names of those files of a model in which its graphs may have their weights."""
    named = (name for name in files if name == Path(name).name)
    weights = {name for name in named if name.endswith((".bin", ".safetensors"))}
    return sorted(weights - {sentence_reader.WEIGHTS})


def _graph_of(modality: Modality) -> str:
    return f"{modality}.onnx"
