"""The contract of a network: uint8 pictures of one spectrum in, unit vectors out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vireid.records import Modality
from vireid.types.arrays import Pictures, Vectors

Network = Callable[[Pictures, Modality], Vectors]
"""Embeds pictures of one spectrum: unit vectors as float32."""
Reader = Callable[[Sequence[str]], Vectors]
"""Embeds sentences in English."""


@dataclass(frozen=True)
class Text:
    """The reader of sentences of a model, if it has one."""

    embed: Reader | None = None
    refusal: str = (
        "{name} reads no text; search by sentences in a gallery that was indexed by a run of a "
        "method that does, such as clip4vi_reid"
    )
    """Error message of a model without a reader."""
    caveat: str | None = None
    """What a person who searches by a sentence has to know."""
