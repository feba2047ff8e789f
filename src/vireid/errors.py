"""The errors that a person can do something about."""

EXTRA_OF_MODULE = {
    "accelerate": "train",
    "anny": "render",
    "embreex": "render",
    "filelock": "train",
    "imagecodecs": "train",
    "matplotlib": "report",
    "onnx": "export",
    "onnxscript": "export",
    "open_clip": "train",
    "safetensors": "train",
    "scipy": "render",
    "sklearn": "report",
    "tensorboard": "tensorboard",
    "threadpoolctl": "render",
    "timm": "train",
    "torch": "train",
    "torchvision": "train",
}
"""Which `pip install 'vireid[extra]'` brings a module that the core does without."""


class VireidError(Exception):
    """Something a person can put right.

    The message is one sentence that names the culprit (a file, a setting, a record) and the way
    out. The command line shows it as it is, without a traceback; every error of this package that
    is not a fault of the package itself is a subclass.
    """


class MissingExtraError(VireidError):
    """A part of vireid was asked for whose dependencies are not installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(
            f"this needs {module}, which is not installed; "
            f"install it with: pip install 'vireid[{extra}]'"
        )


def explain_missing_module(error: ModuleNotFoundError) -> MissingExtraError | None:
    """The extra to install for an import that failed; None for a module that no extra brings."""
    module = (error.name or "").partition(".")[0]
    extra = EXTRA_OF_MODULE.get(module)
    return MissingExtraError(module, extra) if extra else None
