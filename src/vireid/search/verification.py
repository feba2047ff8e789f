"""Verification: how likely two pictures show one person, as `vireid verify` answers it."""

from dataclasses import dataclass
from typing import Any

from vireid.models.calibration import in_percent
from vireid.models.card import ModelCard
from vireid.models.embedder import Embedder
from vireid.records import ImageRecord, Modality


@dataclass(frozen=True)
class Verified:
    """How likely two pictures show one person."""

    similarity: float
    modalities: tuple[Modality, Modality]
    model: ModelCard
    probability: float | None = None
    """Chance, if it was as likely as not before; None where the model is not calibrated."""
    interval: tuple[float, float] | None = None
    """95 % interval of the chance, which says how few people the calibration rests on."""
    cautions: tuple[str, ...] = ()
    """Reasons not to rely on the chance."""

    def as_dict(self) -> dict[str, Any]:
        """Return the answer for programs."""
        return {
            "similarity": round(self.similarity, 6),
            "probability": self.probability and round(self.probability, 6),
            "interval": self.interval and [round(end, 6) for end in self.interval],
            "modalities": [modality.value for modality in self.modalities],
            "model": {"name": self.model.name, "fingerprint": self.model.fingerprint},
            "cautions": list(self.cautions),
        }

    def in_words(self) -> str:
        """Return the answer for people."""
        told = f"similarity {self.similarity:.3f} by model {self.model.name}"
        if self.probability is None or self.interval is None:
            return f"{told}; no probability, as the model is not calibrated"
        low, high = map(in_percent, self.interval)
        return (
            f"the same person: {in_percent(self.probability)} ({low} to {high}), if that was as "
            f"likely as not before; {told}"
        )


def verified(one: ImageRecord, other: ImageRecord, embedder: Embedder) -> Verified:
    """Compare the people on two pictures.

    Raises:
        PictureError: One cannot be read.
    """
    vectors = embedder.embed_records([one, other])
    similarity = float(vectors[0] @ vectors[1])
    spectra = one.modality, other.modality
    calibration = embedder.calibration
    known = calibration and calibration.of(*spectra)
    if not calibration or not known:
        return Verified(similarity, spectra, embedder.card)
    cautions = tuple(
        f"{record.path.name} is unlike the {record.modality} pictures that the model was "
        f"calibrated on ({calibration.learnt_from}): do not rely on the chance"
        for record, vector in zip((one, other), vectors, strict=True)
        if (likeness := calibration.likeness.get(record.modality))
        and likeness.are_unlike(vector[None])
    )
    chance = known.curve.probability(similarity, 0.5)
    interval = known.curve.interval(similarity, 0.5)
    return Verified(similarity, spectra, embedder.card, chance, interval, cautions)
