"""The reader of sentences of an exported model, which does without torch.

`tokenizer.json` turns a sentence into the numbers of its words, `text.onnx` these into a vector
whose dot product with a picture's embedding says how well the two fit.
"""

import importlib.util
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from vireid.models import engines
from vireid.models.card import ExportedText
from vireid.models.engines import Run
from vireid.types.arrays import Vectors
from vireid.types.sentences import SIGNS, check_length

TOKENIZER = "tokenizer.json"
GRAPH = "text.onnx"
WEIGHTS = "text.bin"
FILES = (TOKENIZER, GRAPH, WEIGHTS)
"""Names of its files beside `model.json`."""
NO_TOKENIZER = (
    "{name} reads text by the library tokenizers, which is not installed; pip install "
    "'vireid[text]'"
)
"""Error message where sentences cannot be read for want of a library."""


def is_possible() -> bool:
    """Return whether the library is installed that reads the words of a sentence."""
    return importlib.util.find_spec("tokenizers") is not None


class SentenceReader:
    """Embeds sentences; its files are read at the first one."""

    def __init__(
        self, told: ExportedText, content: Callable[[str], bytes], threads: int | None
    ) -> None:
        """Prepare a reader.

        Args:
            told: What the card says of it.
            content: Returns a file of the model by its name, checked against the card.
            threads: Number of threads; None for one for each processor.
        """
        self._told, self._content, self._threads = told, content, threads

    def __call__(self, sentences: Sequence[str]) -> Vectors:
        """Embed sentences in English; row i is that of sentence i.

        Raises:
            VireidError: A sentence is empty or too long.
            ModelError: A file is not the exported one.
        """
        return np.concatenate([self._graph(self._words(sentence)) for sentence in sentences])

    def _words(self, sentence: str) -> np.ndarray:
        numbers = self._tokenizer.encode(sentence).ids
        check_length(len(numbers) - SIGNS, self._told.most_words - SIGNS)
        return np.array([numbers], np.int64)

    @cached_property
    def _tokenizer(self):  # type: ignore[no-untyped-def]  # tokenizers is imported when needed
        from tokenizers import Tokenizer

        return Tokenizer.from_str(self._content(TOKENIZER).decode())

    @cached_property
    def _graph(self) -> Run:
        weights = {WEIGHTS: self._content(WEIGHTS)}
        return engines.start(self._content(GRAPH), weights, "cpu", "float32", self._threads)
