"""The contract of a network: uint8 pictures of one spectrum in, unit vectors out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from vireid.records import Modality

Pictures = UInt8[np.ndarray, "n h w 3"]
Vectors = Float[np.ndarray, "n d"]
"""Embeddings as float32, each of length one; a dot product of two is their similarity."""
Network = Callable[[Pictures, Modality], Vectors]
Reader = Callable[[Sequence[str]], Float[np.ndarray, "n d"]]
"""Embeds sentences in English."""


@dataclass(frozen=True)
class Text:
    """How a model compares sentences with pictures, if it does."""

    embed: Reader | None = None
    refusal: str = (
        "{name} reads no text; search by sentences in a gallery that was indexed by a run of a "
        "method that does, such as clip4vi_reid"
    )
    """Message for a model that does not."""
    caveat: str | None = None
    """What a person who searches by a sentence has to know."""
