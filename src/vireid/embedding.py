"""Former home of `Embedder` and `ModelFacts` (`ModelCard` now), which have moved to `models`."""

import warnings
from importlib import import_module
from typing import Any

_HOMES = {
    "Embedder": ("models.embedder", "Embedder"),
    "ModelError": ("models.card", "ModelError"),
    "ModelFacts": ("models.card", "ModelCard"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vireid.embedding' has no attribute {name!r}")
    module, now = _HOMES[name]
    told = f"vireid.embedding.{name} is vireid.{module}.{now} now"
    warnings.warn(told, DeprecationWarning, stacklevel=2)
    return getattr(import_module(f"vireid.{module}"), now)
