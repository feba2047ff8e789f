"""Errors that a person can fix."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

EXTRA_OF_MODULE = {
    "accelerate": "train",
    "anny": "render",
    "av": "video",
    "embreex": "render",
    "fastapi": "serve",
    "filelock": "train",
    "grpc": "milvus",
    "httptools": "serve",
    "httpx2": "client",
    "imagecodecs": "train",
    "matplotlib": "report",
    "onnx": "export",
    "onnxscript": "export",
    "open_clip": "train",
    "openvino": "openvino",
    "prometheus_client": "serve",
    "pyarrow": "parquet",
    "pydantic": "serve",
    "pymilvus": "milvus",
    "pytorch_metric_learning": "metric-learning",
    "python_multipart": "serve",
    "ray": "ray",
    "safetensors": "train",
    "scipy": "render",
    "sklearn": "report",
    "starlette": "serve",
    "tensorboard": "tensorboard",
    "threadpoolctl": "render",
    "timm": "train",
    "tokenizers": "text",
    "torch": "train",
    "torchvision": "train",
    "uvicorn": "serve",
}
"""Extra of `pip install 'vireid[extra]'` that brings a module, by the module's name."""


class VireidError(Exception):
    """An error that a person can fix.

    The message is one sentence that names the culprit (a file, a setting, a record) and the way
    out. The command line shows it without a traceback; every error of this package that is not a
    fault of the package itself is a subclass.

    Args:
        message: The sentence.
        listed: Files, people or records that it is about, each shown on a line of its own.
    """

    def __init__(self, *message: object, listed: Iterable[object] = ()) -> None:
        super().__init__(*message)
        self.listed = tuple(map(str, listed))

    @property
    def sentence(self) -> str:
        """The message without what is listed."""
        return super().__str__()

    def __str__(self) -> str:
        return "\n  ".join((self.sentence, *self.listed))


class Interrupted(VireidError):  # noqa: N818
    """Somebody has asked for work to stop; the message says what is safe and how to go on."""


class MissingExtraError(VireidError):
    """A part of vireid was asked for whose dependencies are not installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(
            f"this needs {module}, which is not installed; "
            f"install it with: pip install 'vireid[{extra}]'"
        )


def suggestion(word: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """Return the hint for a word that is not known: "did you mean 'agw'?".

    Args:
        word: The word that was given.
        known: The words that could have been meant.
        otherwise: Hint where none of them is like it; by default all of them: "there are a, b".
    """
    known = list(known)
    if meant := closest(word, known):
        return f"did you mean '{meant}'?"
    return otherwise or f"there are {', '.join(known)}"


def closest(word: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the known word that is most like another one; None where none is.

    Args:
        word: Any word.
        known: The words to choose from.
        likeness: Least share of letters in common, from 0 to 1 (difflib's ratio).
    """
    return next(iter(get_close_matches(word, list(known), 1, likeness)), None)


def check_settings(
    settings: object,
    names: Iterable[str],
    right: Callable[[Any], bool],
    rule: str,
    table: str = "settings.",
) -> None:
    """Refuse settings that break a rule; one that is None is not set, and breaks none.

    Args:
        settings: Object that has the settings as attributes.
        names: Names of the settings to check.
        right: Tells whether a value follows the rule.
        rule: The rule in words, after "it has to be".
        table: Table of the recipe that holds the settings, with a dot.

    Raises:
        VireidError: A setting breaks the rule; the message names the first that does.
    """
    for name in names:
        value = getattr(settings, name)
        if value is not None and not right(value):
            raise VireidError(f"{table}{name} is {value}; it has to be {rule}")


def is_rising(values: Iterable[float]) -> bool:
    """Return whether no value is below the one before it."""
    return (values := list(values)) == sorted(values)


def explain_missing_module(error: ModuleNotFoundError) -> MissingExtraError | None:
    """Return the extra to install for a failed import; None for a module of no extra."""
    module = (error.name or "").partition(".")[0]
    extra = EXTRA_OF_MODULE.get(module)
    return MissingExtraError(module, extra) if extra else None
