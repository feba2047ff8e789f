"""Calibrating as `vireid calibrate` does it: from a model's name to where the result is kept."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from vireid.console import plain
from vireid.files import documents
from vireid.gallery import Gallery
from vireid.gallery.store import Address
from vireid.models.calibration import (
    FILE,
    Calibration,
    CalibrationError,
    Direction,
    in_percent,
)
from vireid.models.card import ModelCard
from vireid.models.embedder import Embedder
from vireid.models.opening import folder_of, is_shipped
from vireid.records import ImageRecord, Modality
from vireid.scoring.calibration_people import calibrate_model
from vireid.search.answers import Searcher
from vireid.search.confirmed_hits import calibrate_by_judgements


def on_people(
    model: str, name: str | None = None, root: Path | None = None, *, trust_code: bool = False
) -> Calibration:
    """Calibrate a model on labelled people; see `calibrate_model`."""
    return calibrate_model(model, name, root, trust_code=trust_code)


def by_judgements(gallery: Address, *, trust_code: bool = False) -> Calibration:
    """Calibrate by the judged hits of a gallery, which keeps the result.

    Raises:
        VireidError: There are too few, or the gallery's model cannot be opened.
    """
    with Searcher.open(gallery, trust_code=trust_code) as searcher:
        found = calibrate_by_judgements(searcher.gallery, searcher.embedder)
        searcher.gallery.calibration = found
    return found


def file_beside(model: str) -> Path:
    """Return where the calibration of a model is kept.

    Raises:
        CalibrationError: It comes with vireid, or is no folder.
    """
    if is_shipped(model):
        raise CalibrationError(
            f"{model} comes with vireid, which is calibrated already; keep yours in a gallery: "
            "--gallery GALLERY"
        )
    return folder_of(model) / FILE


def keep_in(gallery: Address, found: Calibration) -> None:
    """Have a gallery keep a calibration of its model, which comes before the model's own.

    Raises:
        CalibrationError: The gallery was filled by another model.
    """
    with Gallery.open(gallery) as opened:
        if opened.model.fingerprint != found.model:
            raise CalibrationError(
                f"{gallery} was filled by model {opened.model.name}; calibrate that one: "
                f"vireid calibrate {opened.model.source} --gallery {gallery}"
            )
        opened.calibration = replace(found, of_gallery=True)


def write(path: Path, found: Calibration) -> None:
    """Write a calibration to a file; the whole file is written, or nothing."""
    documents.write_json(path, found)


def table(found: Calibration) -> Table:
    """Return what was learnt, a row for each direction."""
    shown = Table(
        title=plain(f"Calibrated on {found.learnt_from}", style="table.title"),
        caption=plain(
            "similarity at which the chance is 50 % and 90 %, if the pair was as likely the same "
            "person as not, with the 95 % interval of the chance there; log loss of held-out "
            "people in nats (0.693: similarities say nothing)"
        ),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    shown.add_column("direction")
    for heading in ("people", "same", "different", "curve", "log loss", "50 %", "90 %"):
        shown.add_column(heading, justify="right")
    for name, known in found.directions.items():
        losses = f"{known.log_loss[known.curve.kind]:.3f}"
        cells = (f"{known.people}", f"{known.same:,}", f"{known.different:,}", known.curve.kind)
        at = (_similarity_at(known, share) for share in (0.5, 0.9))
        shown.add_row(plain(name), *map(plain, (*cells, losses, *at)))
    return shown


def _similarity_at(known: Direction, chance: float) -> str:
    curve = known.curve
    reached = [s for s in curve.similarities if curve.probability(s, 0.5) >= chance]
    if not reached:
        return "never"
    low, high = (in_percent(end) for end in curve.interval(reached[0], 0.5))
    return f"{reached[0]:.2f} ({low} to {high})"


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
