"""Visible-infrared person re-identification: learn it, score it, search with it."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# ONNX Runtime reports its use to its maker and keeps a number of this machine, the Hugging Face
# hub counts who uses what. Both look here when they are imported, which is after this line.
for _silent in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
    os.environ.setdefault(_silent, "1")

if TYPE_CHECKING:
    from vireid.errors import VireidError as VireidError
    from vireid.gallery import Gallery as Gallery
    from vireid.gallery import Hit as Hit
    from vireid.models.embedder import Embedder as Embedder
    from vireid.pictures import PictureError as PictureError
    from vireid.records import ImageRecord as ImageRecord
    from vireid.records import Modality as Modality

_HOMES = {
    "Embedder": "models.embedder",
    "Gallery": "gallery",
    "Hit": "gallery",
    "ImageRecord": "records",
    "Modality": "records",
    "PictureError": "pictures",
    "VireidError": "errors",
}
__all__ = [*_HOMES]


if not TYPE_CHECKING:  # To a type checker, a module that answers for any name has every name.

    def __getattr__(name: str) -> Any:
        """Import what is asked for, and only then: `import vireid` costs nothing."""
        if name not in _HOMES:
            raise AttributeError(f"module 'vireid' has no attribute {name!r}")
        return getattr(import_module(f"vireid.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
